"""Typed settings of the trainers, saved as JSON beside each run. Numpy and torch free."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from kneeage.core.errors import UsageError

SETTINGS_FILE = "settings.json"
Precision = Literal["32-true", "bf16-mixed"]


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast to train; shared by both trainers.

    Args:
        seed: Seeds the weights, the draws and the augmentation.
        batch_size: Slices (segmenter) or subjects (age model) in one step.
        learning_rate: Highest value of the one warm-up and cosine cycle.
        weight_decay: Of AdamW.
        warmup: Share of the training over which the learning rate rises.
        gradient_clip: Largest norm of the gradient.
        max_steps: The training ends after so many steps.
        max_minutes: The training ends after so much wall-clock time, pauses between resumes left out; ``None``: no
            limit. The schedule follows whichever of both ends sooner.
        steps_per_epoch: Steps between two validations and checkpoints.
        workers: Processes that draw the items; 0 draws them in the training process.
        precision: ``"bf16-mixed"`` computes convolutions in bfloat16.
        channels_last: Keep images with the channel axis innermost in memory.
        progress_bar: Show one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    seed: int = 2015
    batch_size: int = 8
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    warmup: float = 0.05
    gradient_clip: float = 5.0
    max_steps: int = 6000
    max_minutes: float | None = None
    steps_per_epoch: int = 250
    workers: int = 0
    precision: Precision = "bf16-mixed"
    channels_last: bool = True
    progress_bar: bool = True


@dataclass(frozen=True)
class AugmentSettings:
    """How far a training image is changed; every range is drawn uniformly for each slice.

    Args:
        flip: Probability of mirroring the columns.
        warp: Probability of a random shift, rotation and scale.
        shift: Largest shift as a share of the image's side.
        rotation_degrees: Largest rotation.
        scale: Largest relative change of size.
        gain: Largest relative change of contrast.
        offset: Largest shift of the grey value, in standard deviations of the standardised image.
        gamma: Largest absolute logarithm of the grey-value exponent.
        noise: Largest standard deviation of added Gaussian noise.
        saturate: Probability of cutting off the darkest and the brightest grey values.
        drop_grey: Probability of blanking the grey-value channel of a region.
        drop_masks: Probability of blanking the mask channels of a region; never together with the grey value.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    flip: float = 0.5
    warp: float = 0.5
    shift: float = 0.06
    rotation_degrees: float = 12.0
    scale: float = 0.15
    gain: float = 0.25
    offset: float = 0.25
    gamma: float = 0.35
    noise: float = 0.2
    saturate: float = 0.3
    drop_grey: float = 0.0
    drop_masks: float = 0.0


# Plates and scars are one to three pixels thick: without weight they are the cheapest classes to miss, and with much
# they are drawn too thick.
PLATE_CLASS_WEIGHTS = (0.5, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0)


@dataclass(frozen=True)
class SegmenterSettings:
    """Settings of `train_segmenter`.

    Args:
        widths: Channels of the U-Net's levels, finest first; n levels need sizes that are multiples of 2**(n-1).
        size: Rows and columns to which slices are padded or cropped for batching.
        class_weights: Weight of each label in the loss, background first.
        validation_slices: Most slices drawn for one validation.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    fit: FitSettings = field(default_factory=FitSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    widths: tuple[int, ...] = (16, 24, 32, 64, 96, 128)
    size: int = 256
    class_weights: tuple[float, ...] = PLATE_CLASS_WEIGHTS
    validation_slices: int = 128


def _age_edges_years() -> tuple[float, ...]:
    """Edges of half-year bins from 8 to 26 years."""
    return tuple(8 + half / 2 for half in range(37))


@dataclass(frozen=True)
class AgeModelSettings:
    """Settings of `train_age_model`.

    Args:
        age_edges_years: Edges of the age bins, one more than bins.
        label_sigma_years: Standard deviation of the Gaussian that spreads a true age over the bins.
        slices_per_subject: Slices drawn from one subject in one step.
        width: Factor on all channels of GoogLeNet; 1 is the published layout.
        dropout: Before the last linear layer.
        auxiliary_weight: Weight of each auxiliary head's loss, in training only.
            Source: Szegedy et al. 2015, doi:10.1109/CVPR.2015.7298594, section 5.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    fit: FitSettings = field(
        default_factory=lambda: FitSettings(batch_size=16, learning_rate=1e-3, max_steps=3000, steps_per_epoch=100)
    )
    augment: AugmentSettings = field(default_factory=lambda: AugmentSettings(drop_grey=0.15, drop_masks=0.15))
    age_edges_years: tuple[float, ...] = field(default_factory=_age_edges_years)
    label_sigma_years: float = 0.5
    slices_per_subject: int = 3
    width: float = 0.5
    dropout: float = 0.4
    auxiliary_weight: float = 0.3


Settings = TypeVar("Settings", SegmenterSettings, AgeModelSettings)


def as_json_object(settings: SegmenterSettings | AgeModelSettings) -> dict[str, Any]:
    """Turn settings into what JSON can hold: nested objects, lists and numbers."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return plain


def from_json_object(kind: type[Settings], raw: dict[str, Any]) -> Settings:
    """Read settings back.

    Raises:
        UsageError: A key is unknown or a value has the wrong type.
    """
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"the training settings do not fit {kind.__name__}: {problems}") from error


def keep_settings(settings: Settings, run: Path) -> None:
    """Save the settings in the run's folder, or check that the run there was begun with the same.

    The length of the training, the workers and the progress bar may change between resumes.

    Raises:
        UsageError: The folder holds a run with other settings.
    """
    path = run / SETTINGS_FILE
    if path.exists():
        begun = from_json_object(type(settings), json.loads(path.read_text(encoding="utf-8")))
        if _lasting(begun) != _lasting(settings):
            raise UsageError(f"{run} holds a run with other settings; choose another folder, or resume with its own")
    run.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(as_json_object(settings), indent=2) + "\n", encoding="utf-8")


def _lasting(settings: Settings) -> Settings:
    """Replace what may change between resumes by fixed values."""
    fit = replace(settings.fit, max_steps=0, max_minutes=None, workers=0, progress_bar=False)
    return replace(settings, fit=fit)
