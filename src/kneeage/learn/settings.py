"""Typed settings of the trainers, saved as JSON beside each run. Numpy and torch free."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from kneeage.core.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SETTINGS_FILE = "settings.json"
# What may change between resumes.
_MAY_CHANGE = (
    "max_steps",
    "max_minutes",
    "workers",
    "progress_bar",
    "tensorboard",
    "accelerator",
    "devices",
    "nodes",
    "strategy",
)
Precision = Literal["32-true", "bf16-mixed"]
Optimizer = Literal["adamw", "adam"]
Schedule = Literal["one_cycle", "exponential"]
Architecture = Literal["light", "classic"]
Backbone = Literal["googlenet", "densenet121", "efficientnet-b0", "resnet18", "none"]
Norm = Literal["batch", "none"]
Inputs = Literal["regions", "masked", "raw"]
Pooling = Literal["mean", "attention"]
Target = Literal["soft", "classes", "corn", "mean_variance"]
Head = Literal["linear", "hidden"]
Fact = Literal["height", "weight", "sequence", "plates"]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast to train; shared by both trainers.

    Args:
        seed: Seeds the weights, the draws and the augmentation.
        batch_size: Slices (segmenter) or subjects (age model) in one step, of all processes together.
        optimizer: ``"adamw"`` decouples the weight decay; ``"adam"`` adds it to the gradient.
        schedule: ``"one_cycle"`` rises linearly and falls along a half cosine to zero; ``"exponential"`` falls from the
            learning rate to ``last_rate`` by the same factor at every step.
        learning_rate: Highest value of the schedule.
        last_rate: Learning rate at the end of the exponential schedule; the other schedule does not read it.
        weight_decay: Of the optimizer.
        warmup: Share of the training over which the learning rate of the one cycle rises.
        gradient_clip: Largest norm of the gradient.
        max_steps: The training ends after so many steps.
        epochs: Passes over the training data instead of steps: `max_steps` and `steps_per_epoch` then follow from the
            number of items (see `with_steps`); ``None``: both are as written.
        max_minutes: The training ends after so much wall-clock time, pauses between resumes left out; ``None``: no
            limit. The schedule follows whichever of both ends sooner.
        steps_per_epoch: Steps between two validations and checkpoints.
        workers: Processes that draw the items; 0 draws them in the training process.
        precision: ``"bf16-mixed"`` computes convolutions in bfloat16.
        channels_last: Keep images with the channel axis innermost in memory.
        progress_bar: Show one on a terminal.
        tensorboard: Log the metrics for TensorBoard too; needs the extra of that name.
        accelerator: Kind of processor; ``"auto"`` takes a GPU where there is one.
        devices: Processes on each machine, each with a processor of its own.
        nodes: Machines.
        strategy: How the processes work together, by Lightning's name; ``"auto"``: data parallel where there are more
            than one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    seed: Annotated[int, Field(ge=0)] = 2015
    batch_size: Count = 8
    optimizer: Optimizer = "adamw"
    schedule: Schedule = "one_cycle"
    learning_rate: Positive = 5e-3
    last_rate: Positive = 3e-4
    weight_decay: NotNegative = 1e-2
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    gradient_clip: Positive = 5.0
    max_steps: Count = 6000
    epochs: Count | None = None
    max_minutes: Positive | None = None
    steps_per_epoch: Count = 250
    workers: Annotated[int, Field(ge=0)] = 0
    precision: Precision = "bf16-mixed"
    channels_last: bool = True
    progress_bar: bool = True
    tensorboard: bool = False
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: Count = 1
    nodes: Count = 1
    strategy: str = "auto"


def with_steps(fit: FitSettings, items: int) -> FitSettings:
    """Turn epochs into steps.

    Args:
        fit: Settings; without `epochs` they stay as they are.
        items: Training items of one pass: slices (end to end) or subjects (the other trainers).

    Returns:
        Settings whose `steps_per_epoch` covers every item once, and whose `max_steps` is so many passes.
    """
    if fit.epochs is None:
        return fit
    steps = math.ceil(items / fit.batch_size)
    return replace(fit, steps_per_epoch=steps, max_steps=fit.epochs * steps)


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
        drop_masks: Probability of blanking the mask channels of a region; never together with the grey value. Both
            only where grey value and masks enter the network side by side.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    flip: Share = 0.5
    warp: Share = 0.5
    shift: NotNegative = 0.06
    rotation_degrees: NotNegative = 12.0
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.15
    gain: NotNegative = 0.25
    offset: NotNegative = 0.25
    gamma: NotNegative = 0.35
    noise: NotNegative = 0.2
    saturate: Share = 0.3
    drop_grey: Share = 0.0
    drop_masks: Share = 0.0


NO_AUGMENTATION = AugmentSettings(flip=0, warp=0, gain=0, offset=0, gamma=0, noise=0, saturate=0)
# Plates and scars are one to three pixels thick: without weight they are the cheapest classes to miss, and with much
# they are drawn too thick.
PLATE_CLASS_WEIGHTS = (0.5, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0)


@dataclass(frozen=True)
class SegmenterSettings:
    """Settings of `train_segmenter`.

    Args:
        architecture: ``"light"`` halves the image by strided convolutions, any number of levels; ``"classic"`` is the
            U-Net with maximum pools and five levels.
        widths: Channels of the U-Net's levels, finest first; n levels need sizes that are multiples of 2**(n-1).
        size: Rows and columns to which slices are padded or cropped for batching.
        class_weights: Weight of each label in the loss, background first.
        validation_slices: Most slices drawn for one validation.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    fit: FitSettings = field(default_factory=FitSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    architecture: Architecture = "light"
    widths: tuple[Count, ...] = (16, 24, 32, 64, 96, 128)
    size: Count = 256
    class_weights: tuple[NotNegative, ...] = PLATE_CLASS_WEIGHTS
    validation_slices: Count = 128

    def __post_init__(self) -> None:
        """Refuse a size that the U-Net cannot halve as often as it has levels."""
        check_size(self.size, self.widths)


def check_size(size: int, widths: tuple[int, ...]) -> None:
    """Check that a U-Net can halve a slice as often as it has levels.

    Raises:
        UsageError: The size is not a multiple of 2**(levels-1).
    """
    multiple = 2 ** (len(widths) - 1)
    if size % multiple:
        raise UsageError(f"size is {size}; {len(widths)} levels of the U-Net need a multiple of {multiple}")


def _age_edges_years() -> tuple[float, ...]:
    """Edges of half-year bins from 8 to 26 years."""
    return tuple(8 + half / 2 for half in range(37))


def _check_edges(edges_years: tuple[float, ...]) -> None:
    """Refuse edges that do not rise."""
    if len(edges_years) < 3 or any(low >= high for low, high in pairwise(edges_years)):
        raise UsageError("age_edges_years must be three or more rising ages")


def _check_classes(edges_years: tuple[float, ...]) -> None:
    """Refuse classes that are not completed years."""
    _check_edges(edges_years)
    if any(high - low != 1 or low % 1 for low, high in pairwise(edges_years)):
        raise UsageError("classes need age_edges_years of whole years, such as [10,11,12,13,14,15,16,17,18,19]")


@dataclass(frozen=True)
class AgeModelSettings:
    """Settings of `train_age_model`.

    Args:
        inputs: What of a region enters the network: ``"regions"`` grey value, open plate and scar side by side;
            ``"masked"`` the grey value times the probability of open plate or scar; ``"raw"`` the grey value alone.
        facts: What the network is told beside the image and the sex: height, weight, sequence, and the openness and
            thickness of both plates as serving code measures them on the segmenter's labels.
        drop_facts: Probability that height, weight or sequence, each by itself, is withheld from a training subject, so
            that they may be missing later.
        pooling: How a subject's slices become one answer: the mean of their features, or a mean whose weights the
            network learns (attention).
        head: From a subject's features and facts to its ages: one linear layer, or one hidden layer before it, in which
            facts can change what an image means.
        head_channels: Size of the hidden layer.
        target: ``"classes"`` is cross-entropy with the true bin; ``"soft"`` spreads the true age over the bins;
            ``"corn"`` asks at every edge whether the age lies above it, given that it lies above the edge before;
            ``"mean_variance"`` adds to the cross-entropy the squared error of the mean and the variance.
        backbone: The network over slices; ``"none"`` sees the facts alone.
        norm: Of GoogLeNet: batch norm after each convolution, or none as in the 2015 paper.
        age_edges_years: Edges of the age bins, one more than bins.
        label_sigma_years: Standard deviation of the Gaussian that spreads a true age over the bins.
        slices_per_subject: Slices drawn from one subject in one step.
        width: Factor on all channels of GoogLeNet; 1 is the published layout. Other backbones have one width.
        dropout: Before the last linear layer.
        auxiliary_weight: Weight of each auxiliary head's loss, in training only; GoogLeNet alone has such heads.
            Source: Szegedy et al. 2015, doi:10.1109/CVPR.2015.7298594, section 5.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    fit: FitSettings = field(
        default_factory=lambda: FitSettings(batch_size=16, learning_rate=1e-3, max_steps=2000, steps_per_epoch=100)
    )
    # Size tells age, so that regions are hardly zoomed.
    augment: AugmentSettings = field(default_factory=lambda: AugmentSettings(rotation_degrees=5.0, scale=0.02))
    inputs: Inputs = "regions"
    facts: tuple[Fact, ...] = ()
    drop_facts: Share = 0.5
    pooling: Pooling = "mean"
    head: Head = "linear"
    head_channels: Count = 128
    target: Target = "soft"
    backbone: Backbone = "googlenet"
    norm: Norm = "batch"
    age_edges_years: tuple[float, ...] = field(default_factory=_age_edges_years)
    label_sigma_years: NotNegative = 0.2
    slices_per_subject: Count = 3
    width: Positive = 0.5
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.4
    auxiliary_weight: NotNegative = 0.3

    def __post_init__(self) -> None:
        """Refuse edges and networks that no training can carry."""
        _check_edges(self.age_edges_years)
        if len(set(self.facts)) < len(self.facts):
            raise UsageError(f"facts names each fact once; found {list(self.facts)}")
        if self.norm == "none" and self.backbone != "googlenet":
            raise UsageError(f"norm=none is of the backbone googlenet alone; found backbone={self.backbone}")


# Edges of the paper's nine classes: 10 to 18 completed years.
COMPLETED_YEARS = tuple(float(age) for age in range(10, 20))


@dataclass(frozen=True)
class EndToEndSettings:
    """Settings of `train_end_to_end`.

    Args:
        age_edges_years: Edges of the classes: completed years.
        size: Rows and columns that are cut or padded about the middle of every slice; 256 of 0.6 mm hold a whole knee.
        norm: Of GoogLeNet.
        width: Factor on all channels of GoogLeNet; 1 is the published layout.
        dropout: Before GoogLeNet's last linear layer.
        auxiliary_weight: Weight of each auxiliary head's loss, in training only.
            Source: Szegedy et al. 2015, doi:10.1109/CVPR.2015.7298594, section 5.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    fit: FitSettings = field(
        default_factory=lambda: FitSettings(
            batch_size=8,
            optimizer="adam",
            schedule="exponential",
            learning_rate=1e-3,
            last_rate=3e-4,
            weight_decay=0,
            epochs=200,
        )
    )
    augment: AugmentSettings = NO_AUGMENTATION
    age_edges_years: tuple[float, ...] = COMPLETED_YEARS
    size: Count = 256
    norm: Norm = "batch"
    width: Positive = 1.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.4
    auxiliary_weight: NotNegative = 0.3

    def __post_init__(self) -> None:
        """Refuse classes that are not completed years."""
        _check_classes(self.age_edges_years)


Settings = TypeVar("Settings", SegmenterSettings, AgeModelSettings, EndToEndSettings)
AnySettings = TypeVar("AnySettings", bound="DataclassInstance")


def as_json_object(settings: DataclassInstance) -> dict[str, Any]:
    """Turn settings into what JSON can hold: nested objects, lists and numbers."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return plain


def from_json_object(kind: type[AnySettings], raw: dict[str, Any]) -> AnySettings:
    """Read settings back.

    Raises:
        UsageError: A key is unknown or a value has the wrong type.
    """
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"settings do not fit: {problems}") from error


def keep_settings(settings: Settings, run: Path) -> None:
    """Save the settings in the run's folder, or check that the run there was begun with the same.

    The length of the training, where it runs and what is shown of it may change between resumes.

    Raises:
        UsageError: The folder holds a run with other settings.
    """
    path = run / SETTINGS_FILE
    if path.exists():
        begun = from_json_object(type(settings), json.loads(path.read_text(encoding="utf-8")))
        other = ", ".join(_differences(as_json_object(_lasting(begun)), as_json_object(_lasting(settings))))
        if other:
            raise UsageError(
                f"{run} holds a run with other settings ({other}); choose another folder, or resume with its own"
            )
    run.mkdir(parents=True, exist_ok=True)
    # Several processes of one training may do this at once: none may find half a file.
    temporary = path.with_name(f".{os.getpid()}.part.{path.name}")
    temporary.write_text(json.dumps(as_json_object(settings), indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def _differences(there: Mapping[str, Any], asked: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Name the keys whose values differ, with both values."""
    for name, value in asked.items():
        before = there.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            yield from _differences(before, value, f"{above}{name}.")
        elif value != before:
            yield f"{above}{name}: {json.dumps(before)} there, {json.dumps(value)} here"


def _lasting(settings: Settings) -> Settings:
    """Replace what may change between resumes by fixed values."""
    usual = FitSettings()
    fit = replace(settings.fit, **{name: getattr(usual, name) for name in _MAY_CHANGE})
    return replace(settings, fit=replace(fit, epochs=settings.fit.epochs and 1))
