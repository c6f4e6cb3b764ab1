"""The answer to one examination: the schema of ``result.json``.

The JSON Schema in ``docs/result.schema.json`` is generated from these classes.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kneeage.core.anatomy import Plane, Sex, Side

SCHEMA_VERSION = "1.1"
RESULT_FILE = "result.json"


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
    UNLIKE_TRAINING = "unlike_training"
    PLATES_DISAGREE = "plates_disagree"
    MOTION = "motion"
    METAL = "metal"
    WRONG_SEQUENCE = "wrong_sequence"
    FIELD_OF_VIEW = "field_of_view"
    SIDE_CONTRADICTION = "side_contradiction"
    BLURRED = "blurred"


class ThresholdDecision(str, Enum):
    """What is said about one age threshold."""

    AT_LEAST = "at_least"
    BELOW = "below"
    UNDETERMINED = "undetermined"


class SummaryQuantity(str, Enum):
    """Which of three different ages the summary line names."""

    MOST_PROBABLE_AGE = "most_probable_age"
    MINIMUM_AGE = "minimum_age"
    INTERVAL_LOWER_END = "interval_lower_end"


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


class NoveltyReport(_Part):
    """How far the image lies from the images that the bundle was trained on."""

    distance: float = Field(ge=0, description="distance of the age network's features from the training images")
    percentile: float = Field(
        ge=0,
        le=100,
        description="share of clean images like the training images, but not trained on, that lie nearer, in percent",
    )
    limit: float = Field(ge=0, description="distance from which the bundle gives no age")


class QualityReport(_Part):
    """What the image allows."""

    slices: int
    slices_over_femoral_site: int
    slices_over_tibial_site: int
    side_from_fibula: Side = Field(description="side that the fibula suggests; unknown when no fibula was seen")
    motion: float | None = Field(
        None,
        ge=0,
        description="strongest sign of motion over its limit in the bundle; above 1: too much; null: it has none for "
        "this sequence",
    )
    metal_share: float | None = Field(
        None, ge=0, le=1, description="share of the region around the plates that is signal void, as near metal"
    )
    sharpness: float | None = Field(
        None, ge=0, description="steepness of the strongest edges over their height; low: blurred"
    )
    novelty: NoveltyReport | None = Field(
        None, description="null where the bundle cannot tell, as of a sequence that it does not cover"
    )
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

    value_years: float = Field(description="age of the youngest reference subject with this finding")
    quantile_years: float | None = Field(
        None, description="age below which the share ``quantile`` of these subjects lies; null where they are too few"
    )
    quantile: float = Field(0.01, gt=0, lt=1)
    n: int = Field(ge=1, description="reference subjects with this finding")
    definition: str = Field(description="the finding and the reference population, in words")


class AgeProbability(_Part):
    """Probability of the age bin that begins at ``age_years``; the last bin ends at the prior's ``high_years``."""

    age_years: float = Field(description="lower edge of the bin")
    probability: float = Field(ge=0, le=1)


class LikelihoodRatio(_Part):
    """How much more probable the image is above a threshold than below, for two named age windows."""

    value: float | None = Field(description="null when the lower window has no probability at all")
    ages_below: tuple[float, float]
    ages_above: tuple[float, float]


class ErrorRate(_Part):
    """A share of subjects with its Wilson 95 % interval."""

    errors: int = Field(ge=0)
    subjects: int = Field(ge=0)
    share: float | None = Field(None, ge=0, le=1, description="errors / subjects; null where nobody was counted")
    low: float = Field(0.0, ge=0, le=1, description="lower bound of the Wilson 95 % interval")
    high: float = Field(1.0, ge=0, le=1, description="upper bound of the Wilson 95 % interval")


class ThresholdErrors(_Part):
    """How often the fixed rule was wrong or silent, counted on subjects that it was not tuned on."""

    sex: Sex | None = Field(None, description="whom it was counted on; null: both sexes, the sex withheld")
    limit: float = Field(gt=0, lt=1, description="what the upper bound of ``false_adult`` was tuned to stay under")
    window_years: float = Field(2.0, gt=0, description="how far from the threshold the nearest subjects reach")
    false_adult: ErrorRate = Field(description="called at least, of subjects up to ``window_years`` below")
    false_adult_all_minors: ErrorRate = Field(description="called at least, of all subjects below")
    false_minor: ErrorRate = Field(description="called below, of subjects up to ``window_years`` above")
    undetermined: ErrorRate = Field(description="not decided, of subjects up to ``window_years`` on either side")
    reference_undetermined: dict[str, ErrorRate] = Field(
        default_factory=dict,
        description="the same for the best readers of virtual knees under the same limit: 'a' knows the plates, the "
        "bones, height and weight, 'b' the plates alone",
    )


class ThresholdReport(_Part):
    """The statement about one age threshold."""

    age_years: float
    probability_at_least: float = Field(ge=0, le=1)
    likelihood_ratio: LikelihoodRatio | None = Field(
        None, description="null: the bundle does not know the ages in both windows, or the image speaks against both"
    )
    decision: ThresholdDecision
    decision_reason: str
    errors: ThresholdErrors | None = Field(None, description="null where the rule's errors were not counted")


class PriorEffect(_Part):
    """What the answer would be under another prior."""

    prior: str = Field(description="name of the prior")
    most_probable_age_years: float
    interval: Interval = Field(description="central credible interval under this prior")
    thresholds: dict[str, float] = Field(description="probability of being at least each age asked about, by age")


class CovariateReport(_Part):
    """A fact beside the image that may inform the age."""

    name: Literal["height_cm", "weight_kg", "sequence"]
    value: float | str | None = Field(None, description="as given; null: not known")
    used: bool = Field(description="whether it entered the estimate")
    changed_years: float | None = Field(
        None, description="most probable age with it, minus without it; null where it was not used"
    )
    note: str = ""


class PriorRow(_Part):
    """Relative density of one age."""

    age_years: float
    weight: float


class PriorReport(_Part):
    """The prior age distribution that the shown posterior rests on."""

    name: str
    low_years: float = Field(description="youngest age that the prior and the bundle allow")
    high_years: float = Field(description="oldest age that they allow")
    rows: list[PriorRow] = Field(
        default_factory=list,
        description="the prior as it was given, before it was cut to the bundle's ages: straight lines between the "
        "rows, zero outside; a range of ages alike has two. Empty in results of earlier versions",
    )

    @property
    def is_flat(self) -> bool:
        """Whether every age of its range is alike, so that the name says all."""
        return len({row.weight for row in self.rows}) < 2 and len(self.rows) < 3


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
    height_cm: float | None = None
    weight_kg: float | None = None
    question: str | None = None
    legal_basis: str | None = None
    consent: str | None = Field(None, description="who consented to the examination, and how")
    claimed_age_years: float | None = None
    examiner: str | None = Field(None, description="who answers for the examination")


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
    median_age_years: float | None = Field(None, description="median of the posterior")
    mean_age_years: float | None = Field(
        None, description="mean of the posterior; where it is open upwards, it follows from the oldest age considered"
    )
    interval_years: list[Interval] = Field(default_factory=list)
    minimum_age_years: MinimumAge | None = Field(
        None, description="null where the bundle carries no reference subjects"
    )
    age_distribution: list[AgeProbability] = Field(default_factory=list)
    summary_quantity: SummaryQuantity | None = Field(
        None, description="which of the three ages the summary line names; null without an estimate"
    )
    class_probabilities: dict[str, float] = Field(default_factory=dict)
    thresholds: list[ThresholdReport] = Field(default_factory=list)
    likelihood_ratios: list[LikelihoodRatio] = Field(
        default_factory=list, description="for the age windows that the user named"
    )
    prior: PriorReport | None = None
    prior_effects: list[PriorEffect] = Field(default_factory=list)
    covariates: list[CovariateReport] = Field(default_factory=list)
    bundle: BundleReport | None = None
    software: SoftwareReport | None = None
    warnings: list[str] = Field(default_factory=list)
