"""Loss, validation metrics and learning rate of a training as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kneeage.core.errors import UsageError
from kneeage.learn.metrics_file import curve, read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES_FILE = "curves.png"
_RATE, _LOSS = "learning_rate", "loss"
_NOT_DRAWN = {"step", "epoch", _RATE}
_INCHES, _DPI = (7.0, 3.0), 110
# Points of a noisy curve are so many of its moving average's windows.
_WINDOWS = 40

Rows = Sequence[Mapping[str, str]]


def draw_curves(metrics: Path, picture: Path) -> None:
    """Draw the curves of a training.

    Args:
        metrics: File that the training wrote.
        picture: PNG file; one that is there is replaced.

    Raises:
        UsageError: matplotlib is not installed.
    """
    rows = read_metrics(metrics)
    panels = panels_of(rows)
    if not panels:
        return
    figure = _figure(len(panels))
    for axes, names in zip(figure.axes, panels, strict=True):
        _draw_panel(axes, rows, names)
    figure.axes[-1].set_xlabel("step")
    temporary = picture.with_suffix(".part")
    figure.savefig(temporary, format="png")
    temporary.replace(picture)


def panels_of(rows: Rows) -> list[list[str]]:
    """Share the metrics of a file out: losses, the other metrics, the learning rate; an empty panel is left out."""
    names = [name for name in (rows[0] if rows else {}) if name not in _NOT_DRAWN and curve(rows, name)[0]]
    losses = [name for name in names if _LOSS in name or name.endswith("nll")]
    others = [name for name in names if name not in losses]
    rate = [_RATE] if curve(rows, _RATE)[0] else []
    return [panel for panel in (losses, others, rate) if panel]


def moving_average(values: Sequence[float]) -> list[float]:
    """Average each value with those just before it, over a fortieth of the curve."""
    window = max(1, len(values) // _WINDOWS)
    recent = (values[max(0, end - window) : end] for end in range(1, len(values) + 1))
    return [sum(part) / len(part) for part in recent]


def _figure(panels: int) -> Figure:
    """Make a figure with panels above each other."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UsageError(f"curves need {error.name}; install it with: pip install 'kneeage[train]'") from None
    width, height = _INCHES
    figure = Figure((width, height * panels), dpi=_DPI, layout="constrained")
    figure.subplots(panels, sharex=True)
    return figure


def _draw_panel(axes: Axes, rows: Rows, names: Sequence[str]) -> None:
    """Draw metrics into one panel."""
    for name in names:
        steps, values = curve(rows, name)
        marker = "." if len(steps) < _WINDOWS else None
        axes.plot(steps, moving_average(values), marker=marker, label=name.replace("_", " "), linewidth=1.2)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="x-small", ncols=1 + len(names) // 8)
    if names == [_RATE] and min(curve(rows, _RATE)[1]) > 0:
        axes.set_yscale("log")
