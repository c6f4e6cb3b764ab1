"""Where things stand in the plot of the age distribution."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kneeage.core.result import AgeProbability, Interval, PriorReport, Result
from kneeage.report.ageplot import age_plot, bin_edges, shown_interval


def test_the_plot_spans_the_bins(estimated: Result) -> None:
    plot = age_plot(estimated)
    assert plot is not None
    assert (plot.bars[0].left, plot.bars[-1].right) == (0.0, 1.0)
    assert max(bar.height for bar in plot.bars) == 1
    assert [mark.text for mark in plot.thresholds] == ["12", "14", "16", "18"]
    assert plot.thresholds[0].position == pytest.approx((12 - 8) / (26 - 8))


def test_bins_inside_the_interval_are_marked(estimated: Result) -> None:
    plot = age_plot(estimated)
    assert plot is not None
    inside = [bar for bar in plot.bars if bar.inside]
    assert inside[0].left == pytest.approx((14 - 8) / 18)
    assert inside[-1].right == pytest.approx((19.5 - 8) / 18)


def test_an_open_interval_ends_with_the_axis(changed: Callable[..., Result]) -> None:
    plot = age_plot(changed(interval_years=[Interval(level=0.95, low=17, high=None, method="m")]))
    assert plot is not None
    assert plot.interval == (pytest.approx(0.5), 1.0)
    assert plot.bars[-1].inside


def test_bins_of_unequal_width_are_shown_as_densities(changed: Callable[..., Result]) -> None:
    bins = [AgeProbability(age_years=age, probability=0.25) for age in (10, 11, 12, 14)]
    plot = age_plot(changed(age_distribution=bins, prior=PriorReport(name="p", low_years=10, high_years=16)))
    assert plot is not None
    assert [bar.height for bar in plot.bars] == pytest.approx([1, 1, 0.5, 0.5])
    assert plot.peak_percent_per_year == pytest.approx(25)


def test_the_last_bin_ends_with_the_prior(changed: Callable[..., Result]) -> None:
    bins = [AgeProbability(age_years=age, probability=0.5) for age in (24.5, 25)]
    cut = changed(age_distribution=bins, prior=PriorReport(name="p", low_years=24.5, high_years=25.25))
    assert bin_edges(cut) == [24.5, 25, 25.25]


def test_without_a_prior_the_last_bin_is_as_wide_as_the_one_before(changed: Callable[..., Result]) -> None:
    assert bin_edges(changed(prior=None))[-1] == 26


def test_only_the_limits_that_were_asked_about_are_marked(changed: Callable[..., Result]) -> None:
    plot = age_plot(changed(thresholds=[]))
    assert plot is not None
    assert plot.thresholds == ()


def test_the_widest_interval_is_shown(changed: Callable[..., Result]) -> None:
    both = [Interval(level=level, low=10, high=20, method="m") for level in (0.5, 0.95)]
    shown = shown_interval(changed(interval_years=both))
    assert shown is not None
    assert shown.level == 0.95


def test_nothing_is_plotted_without_a_distribution(abstained: Result) -> None:
    assert age_plot(abstained) is None
