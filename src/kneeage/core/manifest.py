"""What a model bundle says about itself: the schema of ``bundle.json``."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kneeage.core.anatomy import Label, Plane, Sex

BUNDLE_SCHEMA_VERSION = "1.0"
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
    """The network that turns slices through the plates' sites into age-bin logits.

    ONNX inputs ``image`` float32 (S, 3, rows, columns): standardised grey value, probability of open plate,
    probability of scar; ``sex`` float32 (S, 1): 0 female, 1 male. Output ``logits`` float32 (S, bins).
    """

    kind: Literal["age"] = "age"
    file: str
    region_shape: tuple[int, int] = Field(description="rows and columns of the region around both sites")
    max_slices: int = Field(ge=1)
    min_slices: int = Field(ge=1, description="fewer slices over the sites than this: abstain")
    slice_pooling: Literal["mean_logits"] = "mean_logits"


class ThresholdPolicy(_Part):
    """The fixed rule for threshold decisions, on the posterior under the training prior."""

    at_least_probability: float = Field(0.99, gt=0.5, le=1)
    below_probability: float = Field(0.01, ge=0, lt=0.5)
    calibrated: bool = False


class ThicknessScale(_Part):
    """From the thickness of the drawn plate to that of the plate: ``slope * drawn + offset_mm``."""

    slope: float = Field(gt=0)
    offset_mm: float


class Calibration(_Part):
    """What was fitted after training, on subjects that the networks were not trained on."""

    thickness: dict[str, ThicknessScale] = Field(
        default_factory=dict, description="by plate; a plate that is not named is reported as it was drawn"
    )
    temperature: float = Field(1.0, gt=0, description="divides the pooled logits")
    subjects: int = Field(0, ge=0, description="number of subjects it was fitted on")


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
