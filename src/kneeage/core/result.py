"""The answer to one examination: the schema of ``result.json``.

The JSON Schema in ``docs/result.schema.json`` is generated from these classes.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kneeage.core.anatomy import Plane, Sex, Side

SCHEMA_VERSION = "1.0"


class Outcome(str, Enum):
    """How an examination ended."""

    ESTIMATED = "estimated"
    ABSTAINED = "abstained"
    REFUSED = "refused"


class ReasonCode(str, Enum):
    """Why an examination was abstained from or refused, for machines; the message is for people."""

    INPUT_REFUSED = "input_refused"
    GEOMETRY = "geometry"
    UNDECODABLE = "undecodable"
    AMBIGUOUS_SERIES = "ambiguous_series"
    BONE_NOT_SEEN = "bone_not_seen"
    PLATE_SITE_NOT_SEEN = "plate_site_not_seen"
    TOO_FEW_SLICES = "too_few_slices"
    WRONG_PLANE = "wrong_plane"
    SEX_NOT_COVERED = "sex_not_covered"


class ThresholdDecision(str, Enum):
    """What is said about one age threshold."""

    AT_LEAST = "at_least"
    BELOW = "below"
    UNDETERMINED = "undetermined"


class _Part(BaseModel):
    """A part of the result: unknown keys are refused, values are fixed once made, every key is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)


class Reason(_Part):
    """One reason for an abstention or a refusal."""

    code: ReasonCode
    message: str


class SeriesReport(_Part):
    """The series that was read. It names no subject."""

    source_format: Literal["dicom", "nifti"]
    series_uid: str | None = None
    study_uid: str | None = None
    description: str | None = Field(None, description="series description as written in the header")
    plane: Plane
    weighting: str | None = Field(None, description="T1, PD or T2 as judged from TR, TE and sequence; null if unknown")
    fat_suppressed: bool | None = None
    side: Side
    side_source: str = Field(description="where the side was read, or 'not stated'")
    shape: tuple[int, int, int] = Field(description="columns, rows, slices")
    spacing_mm: tuple[float, float, float] = Field(description="between columns, rows and slice centres")
    field_strength_tesla: float | None = None
    manufacturer: str | None = None
    virtual: bool = Field(description="the image was made by the virtual cohort, not by a scanner")
    pixel_sha256: str = Field(description="SHA-256 of the decoded values and the affine: the identity of the image")
    rank_reasons: list[str] = Field(default_factory=list, description="why this series was chosen")


class QualityReport(_Part):
    """What the image allows."""

    slices: int
    slices_over_femoral_site: int
    slices_over_tibial_site: int
    side_from_fibula: Side = Field(description="side that the fibula suggests; unknown when no fibula was seen")
    notes: list[str] = Field(default_factory=list)


class SkeletalStages(_Part):
    """Skeletal stages of one plate; null where the bundle does not grade them."""

    dedouit: str | None = None
    schmeling_kellinghaus: str | None = None


class PlateReport(_Part):
    """Measurements of one growth plate."""

    found: bool = Field(description="the site (interface of epiphysis and metaphysis) was seen, open or closed")
    stages: SkeletalStages = Field(default_factory=SkeletalStages)
    openness: float | None = Field(None, ge=0, le=1, description="share of the site's width that is still open")
    thickness_mm: float | None = Field(
        None, ge=0, description="median thickness of the open part; null when none is open"
    )
    area_mm2: float | None = Field(None, ge=0, description="area of the open plate seen along the bone's long axis")
    volume_mm3: float | None = Field(
        None, ge=0, description="volume of the open plate in the columns that cross the site"
    )


class Interval(_Part):
    """An age interval in years; ``high`` is null when it is open upwards."""

    level: float = Field(gt=0, lt=1)
    low: float
    high: float | None = None
    method: str = Field(description="how the interval was made")


class MinimumAge(_Part):
    """The youngest reference subject with this finding."""

    value: float
    definition: str
    n: int
    quantile: float


class AgeProbability(_Part):
    """Probability of the age bin that begins at ``age_years``; the last bin ends at the prior's ``high_years``."""

    age_years: float = Field(description="lower edge of the bin")
    probability: float = Field(ge=0, le=1)


class LikelihoodRatio(_Part):
    """How much more probable the image is above a threshold than below, for two named age windows."""

    value: float | None = Field(description="null when the lower window has no probability at all")
    ages_below: tuple[float, float]
    ages_above: tuple[float, float]


class ThresholdReport(_Part):
    """The statement about one age threshold."""

    age_years: float
    probability_at_least: float = Field(ge=0, le=1)
    likelihood_ratio: LikelihoodRatio | None = None
    decision: ThresholdDecision
    decision_reason: str


class PriorReport(_Part):
    """The prior age distribution that the shown posterior rests on."""

    name: str
    low_years: float
    high_years: float


class BundleReport(_Part):
    """The model bundle that answered."""

    name: str
    version: str
    population: str
    sha256: str = Field(description="SHA-256 of the bundle's SHA256SUMS file")


class SoftwareReport(_Part):
    """What ran."""

    kneeage: str
    python: str
    onnxruntime: str
    result_created_utc: str


class SubjectReport(_Part):
    """What the user said about the subject and the case; nothing of it is read from a header."""

    sex: Sex | None = None
    question: str | None = None
    legal_basis: str | None = None
    claimed_age_years: float | None = None


class Result(_Part):
    """The whole answer, as written to ``result.json``."""

    schema_version: str = SCHEMA_VERSION
    outcome: Outcome
    reasons: list[Reason] = Field(default_factory=list)
    subject: SubjectReport = Field(default_factory=SubjectReport)
    series: SeriesReport | None = None
    quality: QualityReport | None = None
    plates: dict[str, PlateReport] = Field(default_factory=dict)
    estimated_age_years: float | None = Field(None, description="most probable age: the mode of the posterior")
    interval_years: list[Interval] = Field(default_factory=list)
    minimum_age_years: MinimumAge | None = Field(
        None, description="null where the bundle carries no reference subjects"
    )
    age_distribution: list[AgeProbability] = Field(default_factory=list)
    class_probabilities: dict[str, float] = Field(default_factory=dict)
    thresholds: list[ThresholdReport] = Field(default_factory=list)
    prior: PriorReport | None = None
    bundle: BundleReport | None = None
    software: SoftwareReport | None = None
    warnings: list[str] = Field(default_factory=list)
