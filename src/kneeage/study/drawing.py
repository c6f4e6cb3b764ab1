"""Matplotlib as the study uses it: loaded late, no window, no file of the user's, the same bytes every time."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from kneeage.study.predictions import Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Width between the margins of an A4 page. Source: ISO 216, less 2 x 14 mm.
PAGE_WIDTH_INCHES = 7.16
DOTS_PER_INCH = 200
INK = "0.1"
FAINT = "0.55"
# Vermilion and blue differ for every kind of colour vision; marker and line tell them apart without colour.
# Source: Okabe and Ito 2008, Color Universal Design.
GROUP_COLOURS = {Group.INTERNAL: "#0072B2", Group.EXTERNAL: "#D55E00"}
GROUP_MARKERS = {Group.INTERNAL: "o", Group.EXTERNAL: "s"}
GROUP_LINES = {Group.INTERNAL: "-", Group.EXTERNAL: (0, (4, 1.5))}
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)))
# Part of the map viridis that is dark enough on paper.
_DARKEST, _LIGHTEST = 0.0, 0.82
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "axes.linewidth": 0.7,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.2,
    "svg.hashsalt": "kneeage",
    "svg.fonttype": "path",
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw and save inside this: with matplotlib's own defaults and ours, whatever the user's files say."""
    _load()
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def figure(height_inches: float, width_inches: float = PAGE_WIDTH_INCHES, *, constrained: bool = True) -> Figure:
    """Give an empty figure that belongs to no window.

    Args:
        height_inches: Its height.
        width_inches: Its width.
        constrained: Whether its panels make room for their labels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width_inches, height_inches), layout="constrained" if constrained else None)
    FigureCanvasAgg(made)
    return made


def save(made: Figure, path: Path) -> None:
    """Write a figure as ``PATH.png`` and ``PATH.svg``, without dates and versions.

    Args:
        made: The figure.
        path: Its place, without an ending.
    """
    made.dpi = DOTS_PER_INCH
    made.draw_without_rendering()
    # The layout is found; finding it again for each file takes longer than drawing.
    made.set_layout_engine("none")
    made.savefig(path.with_suffix(".png"), dpi=DOTS_PER_INCH, metadata={"Software": None})
    made.savefig(path.with_suffix(".svg"), dpi=DOTS_PER_INCH, metadata={"Date": None, "Creator": None})


def ordered_colours(count: int) -> list[tuple[float, ...]]:
    """Give colours from dark to light for things that have an order; their lightness alone tells them apart."""
    import matplotlib as mpl
    import numpy as np

    shades = mpl.colormaps["viridis"](np.linspace(_DARKEST, _LIGHTEST, count))
    return [tuple(float(part) for part in shade) for shade in shades]


def percent_axis(axis: Axes, which: str = "y") -> None:
    """Write shares on an axis in percent."""
    from matplotlib.ticker import PercentFormatter

    getattr(axis, f"{which}axis").set_major_formatter(PercentFormatter(1.0, symbol=""))


@cache
def _load() -> TemporaryDirectory[str]:
    """Load matplotlib with a folder of its own for what it caches; the folder goes when the process ends."""
    folder = TemporaryDirectory(prefix="kneeage-drawing-", ignore_cleanup_errors=True)
    before = os.environ.get("MPLCONFIGDIR")
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    os.environ["MPLCONFIGDIR"] = folder.name
    try:
        import matplotlib as mpl
        import matplotlib.font_manager

        # Both remember what they find, also where nothing asked for them so far.
        mpl.get_configdir()
        mpl.get_cachedir()
    finally:
        if before is None:
            del os.environ["MPLCONFIGDIR"]
        else:
            os.environ["MPLCONFIGDIR"] = before
    return folder
