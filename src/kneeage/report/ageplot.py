"""Where everything stands in the plot of the age distribution, before it is drawn as pixels or as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from kneeage.core.result import Interval, Result

_TICK_YEARS = 2


@dataclass(frozen=True)
class Bar:
    """One age bin in the plot; every position is a share (0 to 1) of the plot's width or height."""

    left: float
    right: float
    height: float
    inside: bool


@dataclass(frozen=True)
class Mark:
    """A labelled position along the age axis, a share (0 to 1) of the plot's width."""

    position: float
    text: str


@dataclass(frozen=True)
class AgePlot:
    """The age distribution as shares of a unit square, with the origin at the lower left.

    Args:
        bars: Probability per year of each age bin; the highest has height 1.
        ticks: Even years along the age axis.
        thresholds: The age limits that were asked about, inside the axis.
        mode: Position of the most probable age.
        interval: Left and right end of the shown interval, or None.
        peak_percent_per_year: What height 1 stands for.
    """

    bars: tuple[Bar, ...]
    ticks: tuple[Mark, ...]
    thresholds: tuple[Mark, ...]
    mode: float | None
    interval: tuple[float, float] | None
    peak_percent_per_year: float


def age_plot(result: Result) -> AgePlot | None:
    """Lay out the age distribution of a result; None where it has none to plot."""
    if len(result.age_distribution) < 2:
        return None
    edges = bin_edges(result)
    bins = list(pairwise(edges))
    density = [bin_.probability / (high - low) for bin_, (low, high) in zip(result.age_distribution, bins, strict=True)]
    peak = max([*density, 1e-9])
    axis = _Axis(edges[0], edges[-1])
    band, ages = shown_interval(result), [threshold.age_years for threshold in result.thresholds]
    return AgePlot(
        bars=tuple(_bar(axis, low, high, d / peak, band) for (low, high), d in zip(bins, density, strict=True)),
        ticks=tuple(_mark(axis, year) for year in _even_years(edges)),
        thresholds=tuple(_mark(axis, age) for age in ages if edges[0] < age < edges[-1]),
        mode=None if result.estimated_age_years is None else axis.share(result.estimated_age_years),
        interval=None if band is None else (axis.share(band.low), _upper_share(axis, band)),
        peak_percent_per_year=100 * peak,
    )


def bin_edges(result: Result) -> list[float]:
    """Give the edges of the age bins in years, one more than bins.

    The last bin ends where the prior does; where no prior is given, it is as wide as the one before.
    """
    lows = [bin_.age_years for bin_ in result.age_distribution]
    return [*lows, 2 * lows[-1] - lows[-2] if result.prior is None else result.prior.high_years]


def shown_interval(result: Result) -> Interval | None:
    """Give the interval that the documents show: the widest level there is."""
    return max(result.interval_years, key=lambda interval: interval.level, default=None)


@dataclass(frozen=True)
class _Axis:
    """The age axis, from its lowest to its highest age in years."""

    low: float
    high: float

    def share(self, age_years: float) -> float:
        """Place an age on the axis, clipped to its ends."""
        return min(max((age_years - self.low) / (self.high - self.low), 0.0), 1.0)


def _bar(axis: _Axis, low: float, high: float, height: float, band: Interval | None) -> Bar:
    """Lay out one bin; it is inside the interval when its middle is."""
    middle = (low + high) / 2
    inside = band is not None and band.low <= middle and (band.high is None or middle <= band.high)
    return Bar(axis.share(low), axis.share(high), height, inside)


def _mark(axis: _Axis, age_years: float) -> Mark:
    """Place and letter one age."""
    return Mark(axis.share(age_years), f"{age_years:g}")


def _upper_share(axis: _Axis, band: Interval) -> float:
    """Place the upper end of an interval; an open one ends with the axis."""
    return 1.0 if band.high is None else axis.share(band.high)


def _even_years(edges: list[float]) -> range:
    """Give the even years inside the axis."""
    first = -int(-edges[0] // _TICK_YEARS) * _TICK_YEARS
    return range(first, int(edges[-1]) + 1, _TICK_YEARS)
