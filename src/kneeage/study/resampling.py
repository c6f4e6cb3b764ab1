"""Bootstrap by subject, and the equivalence of two groups.

Subjects are drawn with replacement, each with all its rows: five models' votes on one subject, or twenty slices, are
one draw. So the intervals are as wide as the number of subjects makes them. What they leave out is chance in training:
the models stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kneeage.study.intervals import LEVEL
from kneeage.study.predictions import FloatArray, IntArray, Predictions

Metric = Callable[[Predictions], float]
BoolArray = NDArray[np.bool_]

REPLICATES = 2000
# Largest difference that counts as none, as a share. Source: ours, fixed before any study was run.
MARGIN = 0.10
# Chance to call groups equivalent that are not. Source: custom.
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Resampling:
    """How the bootstrap is done.

    Args:
        replicates: How many times the subjects are drawn.
        seed: What the draws follow from.
        level: Level of the interval.
    """

    replicates: int = REPLICATES
    seed: int = 0
    level: float = LEVEL


RESAMPLING = Resampling()


@dataclass(frozen=True)
class Bootstrapped:
    """A number with its percentile interval over subjects.

    Args:
        value: The number, of the subjects as they are.
        low: Lower bound.
        high: Upper bound.
        level: Level of the interval.
        standard_error: SD over the replicates.
        replicates: How many replicates had a value; one that lost, say, every adult has no share of adults.
        subjects: How many subjects were drawn each time; of a difference in both groups together.
    """

    value: float
    low: float
    high: float
    level: float
    standard_error: float
    replicates: int
    subjects: int


@dataclass(frozen=True)
class Equivalence:
    """Whether two groups differ by less than a margin, by two one-sided tests.

    Args:
        difference: First less second group, with the interval that goes with the tests: at 5 % the one of 90 %.
        margin: Largest difference that counts as none.
        p_value: Larger P of the two tests; NaN where nothing was measured.
        equivalent: Whether it is below 5 %. No: equivalence is not shown, which does not show a difference.
    """

    difference: Bootstrapped
    margin: float
    p_value: float
    equivalent: bool


def bootstrap(predictions: Predictions, metric: Metric, resampling: Resampling = RESAMPLING) -> Bootstrapped:
    """Give a metric with its interval.

    Args:
        predictions: Any table; rows of one subject are drawn together.
        metric: Any number that follows from a table, such as ``metrics.macro_recall``. A subject that is drawn twice
            comes under two names.
        resampling: How it is done.
    """
    rng = np.random.default_rng(resampling.seed)
    values = _replicates(predictions, metric, rng, resampling.replicates)
    return _summarised(metric(predictions), values, resampling.level, predictions.subjects)


def bootstrap_difference(
    first: Predictions, second: Predictions, metric: Metric, resampling: Resampling = RESAMPLING
) -> Bootstrapped:
    """Give the difference of a metric between two groups of different subjects, with its interval.

    Args:
        first: One group, such as the external one.
        second: The other.
        metric: See ``bootstrap``.
        resampling: How it is done.

    Returns:
        The metric of the first less that of the second.
    """
    values = _differences(first, second, metric, resampling)
    value = metric(first) - metric(second)
    return _summarised(value, values, resampling.level, first.subjects + second.subjects)


def bootstrap_ratio(
    part: FloatArray | BoolArray, whole: FloatArray | BoolArray, resampling: Resampling = RESAMPLING
) -> Bootstrapped:
    """Divide the sums of two values of every subject, both of the same drawn subjects.

    Args:
        part: One value per subject, shape (n,).
        whole: Another of the same subjects, shape (n,).
        resampling: How it is done.

    Returns:
        Sum of the first over sum of the second; NaN where the second has the sum 0.
    """
    rng = np.random.default_rng(resampling.seed)
    drawn = rng.integers(len(part), size=(resampling.replicates, len(part)))
    values = _ratios(part[drawn].sum(axis=1), whole[drawn].sum(axis=1))
    return _summarised(float(_ratios(part.sum(), whole.sum())), values, resampling.level, len(part))


def bootstrap_places(
    subjects: int, metric: Callable[[IntArray], float], resampling: Resampling = RESAMPLING
) -> Bootstrapped:
    """Give a number that follows from some of n subjects, with its interval, where no table holds them.

    Args:
        subjects: How many there are, n.
        metric: The number of the subjects in some places, 0 to n - 1, of which one may come more than once; NaN where
            it has none.
        resampling: How it is done.
    """
    rng = np.random.default_rng(resampling.seed)
    values = np.array([metric(rng.integers(subjects, size=subjects)) for _ in range(resampling.replicates)])
    return _summarised(metric(np.arange(subjects)), values, resampling.level, subjects)


def equivalence(
    first: Predictions,
    second: Predictions,
    metric: Metric,
    *,
    margin: float = MARGIN,
    resampling: Resampling = RESAMPLING,
) -> Equivalence:
    """Test whether two groups differ by less than a margin.

    Both one-sided tests are read off the bootstrap: P is the share of replicates beyond the margin on either side,
    the larger of the two, the observed difference counted as one of them.

    Args:
        first: One group, such as the external one.
        second: The other.
        metric: See ``bootstrap``. Take a macro average, so that the groups' ages do not matter, and rows of single
            models in both: one vote averaged over five models in one group only would favour that group.
        margin: Largest difference that counts as none; above 0.
        resampling: How it is done; its level is not looked at.

    Source: Schuirmann 1987, doi:10.1007/BF01068419; P from replicates: Davison and Hinkley 1997, section 4.2.5.
    """
    values = _differences(first, second, metric, resampling)
    value, subjects = metric(first) - metric(second), first.subjects + second.subjects
    difference = _summarised(value, values, 1 - 2 * SIGNIFICANCE, subjects)
    beyond = max(int(np.count_nonzero(values <= -margin)), int(np.count_nonzero(values >= margin)))
    p_value = (beyond + 1) / (len(values) + 1) if len(values) else float("nan")
    inside = -margin < value < margin
    return Equivalence(difference, margin, p_value, bool(inside and p_value < SIGNIFICANCE))


def _ratios(parts: FloatArray, wholes: FloatArray) -> FloatArray:
    """Divide; NaN where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(wholes) == 0, np.nan, np.divide(parts, wholes))


def _differences(first: Predictions, second: Predictions, metric: Metric, resampling: Resampling) -> FloatArray:
    """Draw both groups, and give the differences that are defined."""
    rng = np.random.default_rng(resampling.seed)
    count = resampling.replicates
    values = _replicates(first, metric, rng, count) - _replicates(second, metric, rng, count)
    return values[np.isfinite(values)]


def _replicates(predictions: Predictions, metric: Metric, rng: np.random.Generator, count: int) -> FloatArray:
    """Measure drawn subjects again and again, shape (count,)."""
    return np.array([metric(drawn) for drawn in _draws(predictions, rng, count)], dtype=np.float64)


def _draws(predictions: Predictions, rng: np.random.Generator, count: int) -> Iterator[Predictions]:
    """Draw as many subjects as there are, each with all its rows and a name of its own."""
    _, owner = np.unique(predictions.subject_id, return_inverse=True)
    by_subject = np.argsort(owner, kind="stable")
    rows_of = np.bincount(owner)
    starts = np.cumsum(rows_of) - rows_of
    names = np.arange(len(rows_of)).astype(np.str_)
    for _ in range(count):
        drawn = rng.integers(len(rows_of), size=len(rows_of))
        rows, places = _rows_of(starts[drawn], rows_of[drawn])
        yield replace(predictions.take(by_subject[rows]), subject_id=names[places])


def _rows_of(starts: IntArray, counts: IntArray) -> tuple[IntArray, IntArray]:
    """Give the rows of subjects that lie one after the other, and whose place among the drawn each row belongs to."""
    places = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
    return starts[places] + within, places


def _summarised(value: float, values: FloatArray, level: float, subjects: int) -> Bootstrapped:
    """Give the interval of replicates; NaN where fewer than two have a value."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return Bootstrapped(value, float("nan"), float("nan"), level, float("nan"), len(known), subjects)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    spread = float(np.std(known, ddof=1))
    return Bootstrapped(value, float(low), float(high), level, spread, len(known), subjects)
