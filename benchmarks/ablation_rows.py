"""Rows of the ablations: the `default` age model with one thing changed at a time, each beside a reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kneeage.core.errors import UsageError
from kneeage.learn.presets import overridden, preset
from kneeage.learn.settings import AgeModelSettings, FitSettings

T1, PD, T2 = "T1", "PD", "T2"
FIRST_SEED = FitSettings().seed
# Training subjects whose metrics are watched; nothing follows from them.
WATCHED = 8
_STEPS_PER_EPOCH = 50


@dataclass(frozen=True)
class Row:
    """One training.

    Args:
        name: Short name.
        group: Rows that stand in one table.
        words: What is changed, for the table.
        changes: ``key=value`` changes to the default age model.
        weighting: Sequence of the images.
        beside: Row that it is compared with; the first of its group if not given.
        seeds: Trainings with different seeds.
    """

    name: str
    group: str
    words: str
    changes: tuple[str, ...] = ()
    weighting: str = T1
    beside: str = ""
    seeds: int = 1


# One slice of each subject at a step: the large networks take several times as long.
_SMALL = ("slices_per_subject=1",)
_PAPER_FIT = ("fit.optimizer=adam", "fit.learning_rate=1e-3", "fit.schedule=exponential", "fit.weight_decay=0")
_STILL = tuple(f"augment.{name}=0" for name in ("flip", "warp", "gain", "offset", "gamma", "noise", "saturate"))
# All of preset `paper` that an age model on regions can have; one slice of a subject counts as one of its images.
_PAPER = (
    *("inputs=masked", "target=classes", "age_edges_years=[10,11,12,13,14,15,16,17,18,19]", "width=1.0"),
    *("slices_per_subject=1", "fit.batch_size=8", *_PAPER_FIT, *_STILL),
)
_BODY = ("facts=[height,weight]", "drop_facts=0")
_ALL = ("facts=[height,weight,plates]", "drop_facts=0")

ROWS = (
    Row("default", "default", "preset `default`", seeds=2),
    Row("masked", "default", "grey value times plates enters", ("inputs=masked",)),
    Row("raw", "default", "grey value alone enters", ("inputs=raw",)),
    Row(
        "classes",
        "default",
        "a class per completed year, no soft labels",
        ("target=classes", "age_edges_years=[10,11,12,13,14,15,16,17,18,19]"),
    ),
    Row("attention", "default", "slices pooled by attention", ("pooling=attention",)),
    Row(
        "zoomed",
        "default",
        "zoomed by up to 15 % and turned by up to 12 degrees",
        ("augment.scale=0.15", "augment.rotation_degrees=12"),
    ),
    Row(
        "blanked",
        "default",
        "grey value, or plates, blanked in 15 %",
        ("augment.drop_grey=0.15", "augment.drop_masks=0.15"),
    ),
    Row("wide-labels", "default", "soft labels of SD 0.5 y", ("label_sigma_years=0.5",)),
    Row("still", "default", "no augmentation", _STILL),
    Row("body", "default", "told height and weight", _BODY),
    Row("body-plates", "default", "told height, weight and the plates' measures", _ALL),
    Row("hidden", "default", "told the same, with a hidden layer", (*_ALL, "head=hidden")),
    Row("exponential", "default", "exponential schedule, 1e-3 to 3e-4", ("fit.schedule=exponential",)),
    Row("float32", "default", "precision float32", ("fit.precision=32-true",)),
    Row("adam", "norm", "batch norm, Adam, 1e-3 to 3e-4", _PAPER_FIT),
    Row("plain", "norm", "no norm (the network of 2015), the same Adam", (*_PAPER_FIT, "norm=none")),
    Row("paper", "norm", "preset `paper` on regions: batch norm", _PAPER),
    Row("paper-plain", "norm", "the same, no norm", (*_PAPER, "norm=none"), beside="paper"),
    Row("googlenet", "network", "GoogLeNet, half as wide as published", _SMALL),
    Row("densenet121", "network", "DenseNet-121", (*_SMALL, "backbone=densenet121")),
    Row("efficientnet-b0", "network", "EfficientNet-B0", (*_SMALL, "backbone=efficientnet-b0")),
    Row("resnet18", "network", "ResNet-18", (*_SMALL, "backbone=resnet18")),
    Row("pd", "sequence", "PD instead of T1", weighting=PD, beside="default"),
    Row("t2", "sequence", "T2 instead of T1", weighting=T2, beside="default"),
)


@dataclass(frozen=True)
class Training:
    """A row with one seed."""

    row: Row
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder and file."""
        return f"{self.row.name}-{self.seed}"


def trainings(names: list[str] | None, seeds: int) -> Iterator[Training]:
    """List trainings in the order of the table.

    Args:
        names: Rows to do; None: all.
        seeds: Least number of seeds of each row.

    Raises:
        UsageError: There is no such row.
    """
    known = [row.name for row in ROWS]
    for name in names or ():
        if name not in known:
            raise UsageError(f"there is no row {name!r}; take some of {', '.join(known)}")
    for row in ROWS:
        if names is None or row.name in names:
            for number in range(max(seeds, row.seeds)):
                yield Training(row, FIRST_SEED + number)


def reference_of(row: Row) -> Row:
    """Give the row that a row is compared with."""
    return next(other for other in ROWS if other.name == row.beside or (not row.beside and other.group == row.group))


def settings_of(training: Training, steps: int) -> AgeModelSettings:
    """Give the settings of a training of so many steps."""
    common = [
        f"fit.max_steps={steps}",
        f"fit.steps_per_epoch={min(steps, _STEPS_PER_EPOCH)}",
        f"fit.seed={training.seed}",
        "fit.progress_bar=false",
    ]
    return overridden(preset("default").age_model, [*common, *training.row.changes])
