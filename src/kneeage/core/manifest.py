"""What a model bundle says about itself: the schema of ``bundle.json``."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kneeage.core.anatomy import Label, Plane, Sex
from kneeage.core.result import ThresholdErrors

# What is written, and what is read. 1.0: one age network that answers slice by slice (the bundle 0.3.0).
BUNDLE_SCHEMA_VERSION = "1.1"
READ_SCHEMA_VERSIONS = ("1.0", BUNDLE_SCHEMA_VERSION)
VIRTUAL_POPULATION = "virtual"
# Manufacturer (DICOM) or descrip (NIfTI) of every image that the virtual cohort makes.
VIRTUAL_IMAGE_MARK = "kneeage virtual cohort"


class _Part(BaseModel):
    """A part of the manifest: unknown keys are refused, values are fixed once made."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SegmentStage(_Part):
    """The network that labels every slice.

    ONNX input ``image`` float32 (S, 1, J, I), any S, J and I that are multiples of ``size_multiple``;
    output ``logits`` float32 (S, labels, J, I).
    """

    kind: Literal["segment"] = "segment"
    file: str
    label_values: list[int] = Field(description="label value of each output channel, background first")
    size_multiple: int = Field(32, ge=1)


class AgeStage(_Part):
    """The networks that turn slices through the plates' sites into the probability of each age.

    With ``slice_pooling`` ``"in_graph"``: ONNX inputs ``image`` float32 (S, 3, rows, columns): standardised grey value,
    probability of open plate, probability of scar; ``facts`` float32 (1, F): one value per name in ``fact_names``, in
    their own units, standardised inside the graph. Outputs ``logits`` float32 (1, bins): log-probabilities up to a
    constant, pooled over slices; ``features`` float32 (1, D): what the novelty of an image is judged on. Several files
    are an ensemble: their probabilities are averaged.

    With ``"mean_logits"``: inputs ``image`` and ``sex`` float32 (S, 1): 0 female, 1 male; output ``logits`` float32
    (S, bins), averaged over slices; one file.
    """

    kind: Literal["age"] = "age"
    files: list[str] = Field(min_length=1, description="one network, or an ensemble")
    region_shape: tuple[int, int] = Field(description="rows and columns of the region around both sites")
    max_slices: int = Field(ge=1)
    min_slices: int = Field(ge=1, description="fewer slices over the sites than this: abstain")
    slice_pooling: Literal["mean_logits", "in_graph"] = "mean_logits"
    fact_names: list[str] = Field(
        default_factory=list, description="what each value of ``facts`` is, such as sex, height_cm, height_known"
    )

    @property
    def file(self) -> str:
        """The first network."""
        return self.files[0]

    @model_validator(mode="before")
    @classmethod
    def _one_file_is_a_list(cls, raw: Any) -> Any:
        """Read ``file`` of earlier bundles as a list of one."""
        if isinstance(raw, dict) and "file" in raw and "files" not in raw:
            return {"files": [raw["file"]], **{name: value for name, value in raw.items() if name != "file"}}
        return raw


class ThresholdRule(_Part):
    """The limits for one threshold and sex, tuned on subjects that the networks were not trained on.

    Both limits are on the probability of being at least ``age_years`` under the reference prior (uniform over the
    bundle's ages).
    """

    age_years: float
    sex: Sex | None = Field(description="null: the sex is not given")
    at_least_probability: float | None = Field(
        None, description="from this probability on: at least; null: never, since too few subjects were there to tune"
    )
    below_probability: float | None = Field(
        None, description="down to this probability: below; null: never, for the same reason"
    )
    subjects_below: int = Field(0, ge=0, description="subjects just below the threshold that it was tuned on")
    subjects_above: int = Field(0, ge=0, description="subjects just above the threshold that it was tuned on")
    errors: ThresholdErrors | None = Field(None, description="counted on other subjects; null: not counted")


class ThresholdPolicy(_Part):
    """The fixed rule for threshold decisions, on the posterior under the reference prior.

    Where there are ``rules``, only they decide; the two probabilities are for bundles that have none.
    """

    at_least_probability: float | None = Field(0.99, gt=0.5, le=1, description="null: at least is never said")
    below_probability: float | None = Field(0.01, ge=0, lt=0.5, description="null: below is never said")
    calibrated: bool = False
    limit: float = Field(0.01, gt=0, lt=1, description="what the upper Wilson bound of either error stays under")
    window_years: float = Field(2.0, gt=0, description="errors are limited among subjects this near the threshold")
    rules: list[ThresholdRule] = Field(default_factory=list)

    @classmethod
    def none(cls) -> ThresholdPolicy:
        """Give the policy of a bundle for which nothing was tuned: it decides nothing."""
        return cls(at_least_probability=None, below_probability=None)

    @property
    def decides_nothing(self) -> bool:
        """Whether there is no limit at all."""
        return not self.rules and self.at_least_probability is None and self.below_probability is None

    def rule(self, age_years: float, sex: Sex | None) -> ThresholdRule | None:
        """Find the rule for a threshold and sex; None where none was tuned."""
        return next((rule for rule in self.rules if rule.age_years == age_years and rule.sex == sex), None)


class ThicknessScale(_Part):
    """From the thickness of the drawn plate to that of the plate: ``slope * drawn + offset_mm``."""

    slope: float = Field(gt=0)
    offset_mm: float


class ConformalGroup(_Part):
    """The calibration subjects of one group of sex and predicted maturity."""

    sexes: list[Sex] = Field(description="sexes of the calibration subjects")
    sex_given: bool = Field(True, description="false: their ages were predicted without the sex")
    open_upwards: bool = Field(description="the predicted distribution has no end upwards: a closed knee")
    low_years: float = Field(description="predicted medians from here on")
    high_years: float = Field(description="and below this")
    merged: bool = Field(False, description="finer groups were too small, so that this one holds them together")
    scores: list[float] = Field(
        min_length=1, description="share of the predicted distribution below the true age, one per subject, rising"
    )

    @property
    def subjects(self) -> int:
        """How many calibration subjects the group has."""
        return len(self.scores)


class Conformal(_Part):
    """What conformal intervals are made of; see docs/decision.md."""

    groups: list[ConformalGroup] = Field(default_factory=list)
    subjects: int = Field(0, ge=0, description="calibration subjects, none of them a training subject")
    source: str = Field("", description="where they come from: a fresh cohort, or out-of-fold predictions")


class Calibration(_Part):
    """What was fitted after training, on subjects that the networks were not trained on."""

    thickness: dict[str, ThicknessScale] = Field(
        default_factory=dict, description="by plate; a plate that is not named is reported as it was drawn"
    )
    temperature: float = Field(1.0, gt=0, description="divides the pooled logits")
    location_years: float = Field(0.0, description="added to every age: how much later the local population matures")
    scale: float = Field(1.0, gt=0, description="divides the log-likelihood: how much less the local images tell")
    conformal: Conformal | None = None
    subjects: int = Field(0, ge=0, description="number of subjects it was fitted on")


class ReferenceRow(_Part):
    """Reference subjects of one sex with one stage of each plate."""

    sex: Sex
    distal_femur: str = Field(description="stage of the femoral plate")
    proximal_tibia: str = Field(description="stage of the tibial plate")
    n: int = Field(ge=1)
    youngest_years: float
    quantile_years: float | None = Field(None, description="1 % quantile of their ages; null where they are too few")


class References(_Part):
    """Whom minimum ages are read from."""

    system: Literal["dedouit", "schmeling_kellinghaus"]
    population: str
    low_years: float = Field(description="youngest age in the reference population")
    high_years: float = Field(description="oldest age in the reference population")
    rows: list[ReferenceRow]


class GrowthLimit(_Part):
    """How far the two plates of one knee differ: femur minus tibia."""

    measure: Literal["openness", "thickness_mm", "stage"]
    low: float
    high: float
    quantile: float = Field(gt=0, lt=1, description="share of reference knees inside")
    subjects: int = Field(ge=1)


class Novelty(_Part):
    """How the distance of an image from the training images is measured: Mahalanobis, on the pooled features.

    The distance of features f is ``sqrt(d' precision d)`` with ``d = basis (f - mean)``.
    """

    mean: list[float] = Field(description="shape (D,)")
    basis: list[list[float]] = Field(description="shape (d, D)")
    precision: list[list[float]] = Field(description="shape (d, d)")
    limit: float = Field(gt=0, description="distance from which the image is unlike the training images")
    percentile: float = Field(
        gt=0, le=100, description="share of held-out training-like images below the limit, in percent"
    )
    quantiles: list[float] = Field(
        min_length=2, description="distances of such images at evenly spaced shares from 0 to 1"
    )


class QualityLimits(_Part):
    """What next to no clean image passes, for each measure of ``kneeage.infer.quality``."""

    highest: dict[str, float] = Field(default_factory=dict, description="measures that are too high in poor images")
    lowest: dict[str, float] = Field(default_factory=dict, description="measures that are too low in poor images")
    percentile: float = Field(gt=0, le=100, description="share of clean images that keeps each limit, in percent")
    subjects: int = Field(ge=1, description="clean images that the limits were set on")


class Lineage(_Part):
    """Which bundle a recalibrated one comes from, and what it was recalibrated on."""

    parent_name: str
    parent_version: str
    parent_sha256: str = Field(description="SHA-256 of the parent's SHA256SUMS file")
    subjects: int = Field(ge=1)
    subjects_sha256: str = Field(description="SHA-256 over the sorted subject ids")
    before: dict[str, float] = Field(default_factory=dict, description="the parent's numbers on these subjects")
    after: dict[str, float] = Field(default_factory=dict, description="cross-validated numbers on the same subjects")


class BodyRange(_Part):
    """Smallest and largest height, weight and body mass index of the training subjects.

    What an age network makes of a body beyond them it has learned from nobody.
    """

    height_cm: tuple[float, float]
    weight_kg: tuple[float, float]
    body_mass_index: tuple[float, float] = Field(description="in kg/m²")

    def outside(self, height_cm: float | None, weight_kg: float | None) -> dict[str, float]:
        """Give what of a body lies outside, by the names of the ranges; what is not known does not."""
        index = None if height_cm is None or weight_kg is None else body_mass_index(height_cm, weight_kg)
        found = {"height_cm": height_cm, "weight_kg": weight_kg, "body_mass_index": index}
        return {
            name: value
            for name, value in found.items()
            if value is not None and not getattr(self, name)[0] <= value <= getattr(self, name)[1]
        }


def body_mass_index(height_cm: float, weight_kg: float) -> float:
    """Give the body mass index in kg/m²."""
    return weight_kg / (height_cm / 100) ** 2


class BundleManifest(_Part):
    """The content of ``bundle.json``."""

    schema_version: str = BUNDLE_SCHEMA_VERSION
    name: str
    version: str
    population: str = Field(
        description=f"who it was trained on; {VIRTUAL_POPULATION!r} for computer-generated subjects"
    )
    licence: str
    plane: Plane
    sexes: list[Sex]
    age_range_years: tuple[float, float] = Field(description="lower and upper edge of the training ages")
    age_edges_years: list[float] = Field(min_length=3, description="edges of the age bins, one more than bins")
    training_prior: list[float] | None = Field(None, description="share of training subjects per bin; null: uniform")
    labels: dict[str, int]
    recipe: dict[str, Any] = Field(description="preparation recipe, read by kneeage.prepare")
    segment: SegmentStage
    age: AgeStage
    policy: ThresholdPolicy = Field(default_factory=ThresholdPolicy)
    calibration: Calibration = Field(default_factory=Calibration)
    references: References | None = Field(None, description="null: no minimum age is given")
    growth_limits: list[GrowthLimit] = Field(default_factory=list)
    novelty: Novelty | None = Field(None, description="null: the novelty of an image is not judged")
    sequences: list[str] = Field(default_factory=list, description="weightings it is valid for; empty: not judged")
    field_of_view_mm: tuple[float, float] | None = Field(
        None, description="smallest and largest width of the image that it is valid for; null: not judged"
    )
    pixel_mm: tuple[float, float] | None = Field(
        None, description="smallest and largest pixel that it is valid for; null: not judged"
    )
    slice_spacing_mm: tuple[float, float] | None = Field(
        None, description="smallest and largest distance of slices that it is valid for; null: not judged"
    )
    body_range: BodyRange | None = Field(
        None, description="bodies of the training subjects; null: not recorded, so that a given one is not compared"
    )
    quality_limits: QualityLimits | None = Field(None, description="null: the quality of an image is not judged")
    reference_knees: str | None = Field(None, description="file with pictures of typical knees")
    lineage: Lineage | None = Field(None, description="null: not recalibrated")
    training_split_sha256: str = Field(description="SHA-256 over the sorted training and validation subject ids")
    training: dict[str, int] = Field(default_factory=dict, description="how many subjects and steps it was made of")
    made_with: dict[str, str] = Field(default_factory=dict, description="versions of the software that trained it")
    held_out: dict[str, float] = Field(
        default_factory=dict, description="measured on held-out subjects, see MODEL_CARD.md"
    )

    @property
    def is_virtual(self) -> bool:
        """Whether the bundle was trained on computer-generated subjects."""
        return self.population == VIRTUAL_POPULATION

    @model_validator(mode="after")
    def _labels_are_ours(self) -> BundleManifest:
        """Check that no label means something else than in this package, and each output channel has its own."""
        ours = {label.name.lower(): int(label) for label in Label}
        drifted = sorted(name for name, value in self.labels.items() if ours.get(name) != value)
        if drifted:
            raise ValueError(f"labels must keep their permanent values; {drifted[0]!r} does not")
        values = self.segment.label_values
        if values[:1] != [Label.BACKGROUND] or len(set(values)) < len(values) or not {*values} <= {*ours.values()}:
            raise ValueError("segment.label_values must be different labels, background first")
        return self

    @model_validator(mode="after")
    def _edges_fit(self) -> BundleManifest:
        """Check that the age bins rise and the training prior has one share per bin."""
        if any(low >= high for low, high in pairwise(self.age_edges_years)):
            raise ValueError("age_edges_years must rise")
        if self.training_prior is not None and len(self.training_prior) != len(self.age_edges_years) - 1:
            raise ValueError("training_prior must have one share per age bin")
        return self
