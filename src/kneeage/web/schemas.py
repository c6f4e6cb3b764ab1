"""The JSON of the API."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Literal

from fastapi import Path as PathParameter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, model_validator

from kneeage.core.anatomy import Sex
from kneeage.core.errors import UsageError
from kneeage.core.result import Interval, PlateReport
from kneeage.decide.question import DEFAULT_THRESHOLDS_YEARS, HEIGHT_CM, WEIGHT_KG, Question
from kneeage.service.cases import Case, CaseState, Run, RunState


class FileName(str, Enum):
    """Documents of a run."""

    RESULT = "result.json"
    REPORT = "report.html"
    PDF = "report.pdf"
    PREVIEW = "preview.png"
    EXPLANATION = "explanation.png"
    IMAGE = "image.nii.gz"
    LABELS = "labels.nii.gz"
    EXPLANATION_MAP = "explanation.nii.gz"
    SEGMENTATION = "segmentation.dcm"
    MEASUREMENTS = "measurements.dcm"
    DICOM_REPORT = "report.dcm"
    DICOM_PREVIEW = "preview.dcm"
    ALL = "all.zip"


def _plain(text: str) -> str:
    """Refuse what no register can keep: the character NUL, and halves of characters."""
    if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError("the text holds characters that cannot be kept")
    return text


ShortText = Annotated[str, StringConstraints(max_length=200), AfterValidator(_plain)]
LongText = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_plain)]
Id = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{32}$")]
ShortId = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{16}$")]
Number = Annotated[int, PathParameter(ge=1, le=1_000_000)]
Years = Annotated[FiniteFloat, Field(gt=0, le=120)]
PriorRange = Annotated[str, StringConstraints(pattern=r"^uniform:[0-9]{1,3}(\.[0-9]{1,3})?-[0-9]{1,3}(\.[0-9]{1,3})?$")]


class _Body(BaseModel):
    """A part of a request: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class SessionBody(BaseModel):
    """Who asks."""

    user: str | None
    login_required: bool
    csrf_token: str = Field(description="goes into the header X-CSRF-Token of every request that changes something")


class LoginBody(_Body):
    """A name and its password."""

    name: ShortText
    password: ShortText


class NewCase(_Body):
    """A new examination."""

    reference: ShortText = Field("", description="free text by which its user finds it again")


class PriorKnot(_Body):
    """Relative frequency of an age."""

    age_years: FiniteFloat = Field(ge=0, le=120)
    weight: FiniteFloat = Field(ge=0, le=1e9)


class AskedQuestion(_Body):
    """What is asked about a subject, and how it is answered."""

    series: ShortText | None = Field(None, description="key of a series; null: the best one")
    sex: Sex | None = None
    height_cm: FiniteFloat | None = Field(None, ge=HEIGHT_CM[0], le=HEIGHT_CM[1])
    weight_kg: FiniteFloat | None = Field(None, ge=WEIGHT_KG[0], le=WEIGHT_KG[1])
    thresholds: list[Years] = Field(list(DEFAULT_THRESHOLDS_YEARS), min_length=1, max_length=12)
    prior: PriorRange | None = Field(None, description="such as uniform:8-26; null: uniform over the bundle's ages")
    prior_table: list[PriorKnot] | None = Field(None, min_length=2, max_length=500, description="instead of a range")
    question: LongText | None = None
    legal_basis: LongText | None = None
    consent: LongText | None = None
    claimed_age_years: Years | None = None
    examiner: ShortText | None = None
    bundle: str | None = Field(None, pattern=r"^[0-9a-f]{16}$", description="null: the chosen one")
    lang: Literal["en", "zh"] = "en"
    explain: bool = True

    @model_validator(mode="after")
    def _is_a_question(self) -> AskedQuestion:
        """Check what only the question itself can."""
        if self.prior is not None and self.prior_table is not None:
            raise ValueError("give prior or prior_table, not both")
        try:
            Question(thresholds=self.thresholds)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return self


class ChosenBundle(_Body):
    """Which bundle answers from now on."""

    id: str = Field(pattern=r"^[0-9a-f]{16}$")


class Reason(BaseModel):
    """Why there is no answer."""

    code: str
    message: str


class SeriesCandidate(BaseModel):
    """A series that may be chosen."""

    key: str
    rank: int | None
    suitable: bool
    score: float
    reasons: list[str]
    description: str | None
    plane: str | None
    weighting: str | None
    fat_suppressed: bool | None
    side: str
    shape: list[int]
    spacing_mm: list[float]
    field_strength_tesla: float | None
    manufacturer: str | None
    virtual: bool
    files: int
    source_format: str
    chosen: bool = Field(description="it is taken if none is named")


class BundleName(BaseModel):
    """A bundle that answered."""

    id: str
    name: str
    version: str
    population: str


class DocumentsBody(BaseModel):
    """How far the documents of a run are, which are made after its answer."""

    state: RunState
    stage: str
    progress: float
    reason: Reason | None = Field(description="why there are none, or why some are missing")


class RunBody(BaseModel):
    """One piece of work on an examination."""

    number: int
    kind: Literal["estimate", "correction"]
    base: int | None = Field(description="number of the run that was corrected")
    state: RunState
    stage: str
    progress: float
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    created_by: str
    outcome: str | None
    estimated_age_years: float | None
    reason: Reason | None
    bundle: BundleName | None
    question: dict[str, Any]
    files: list[str] = Field(description="what can be downloaded by now")
    documents: DocumentsBody | None = Field(description="null: none are made, because there is no answer")


class ShortCase(BaseModel):
    """An examination in a list."""

    id: str
    reference: str
    state: CaseState
    created_at: datetime
    changed_at: datetime
    created_by: str
    files: int
    bytes: int
    reason: Reason | None
    latest: RunBody | None
    answered: RunBody | None


class CaseBody(ShortCase):
    """An examination."""

    series: list[SeriesCandidate] | None
    inspect_notes: list[str]
    runs: list[RunBody]


class CaseList(BaseModel):
    """Examinations, the newest first."""

    items: list[ShortCase]
    total: int


class Received(BaseModel):
    """What an examination holds."""

    files: int
    bytes: int


class ThresholdSide(BaseModel):
    """What a run says about an age limit."""

    age_years: float
    probability_at_least: float
    decision: str


class Side(BaseModel):
    """One of two versions."""

    run: int
    outcome: str
    estimated_age_years: float | None
    interval_years: list[Interval]
    thresholds: list[ThresholdSide]
    plates: dict[str, PlateReport]


class LabelChange(BaseModel):
    """Voxels of one label in both versions."""

    label: int
    name: str
    a_voxels: int
    b_voxels: int


class LabelChanges(BaseModel):
    """How the labels of two versions differ."""

    changed_voxels: int
    changed_mm3: float
    by_label: list[LabelChange]


class Change(BaseModel):
    """How far the answer moved from the first to the second."""

    estimated_age_years: float | None


class Comparison(BaseModel):
    """Two versions side by side."""

    a: Side
    b: Side
    labels: LabelChanges | None
    change: Change


def run_body(run: Run) -> RunBody:
    """Give a run as JSON."""
    return RunBody.model_validate({**asdict(run), **_times(run, "created_at", "started_at", "finished_at")})


def short_case(case: Case) -> ShortCase:
    """Give an examination as it stands in a list."""
    return ShortCase.model_validate(_short_values(case))


def case_body(case: Case) -> CaseBody:
    """Give an examination as JSON."""
    more = {"series": case.series, "inspect_notes": case.notes, "runs": [run_body(run) for run in case.runs]}
    return CaseBody.model_validate({**_short_values(case), **more})


def _short_values(case: Case) -> dict[str, Any]:
    """Give what an examination in a list holds."""
    latest = run_body(case.runs[-1]) if case.runs else None
    answered = None if case.answered is None else run_body(case.answered)
    return {**asdict(case), **_times(case, "created_at", "changed_at"), "latest": latest, "answered": answered}


def _times(thing: Case | Run, *names: str) -> dict[str, datetime | None]:
    """Turn seconds since 1970 into times."""
    found = {name: getattr(thing, name) for name in names}
    return {name: None if at is None else datetime.fromtimestamp(at, UTC) for name, at in found.items()}
