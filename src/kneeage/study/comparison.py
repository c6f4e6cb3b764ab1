"""Two groups of numbers compared as SPSS does it: Levene's test and Student's t; needs scipy alone.

The tests take their values for independent. The values of the paper are not: nine classes share a model, and five
models share the external subjects. ``kneeage.study.resampling`` asks the same question of subjects.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import stats

from kneeage.core.errors import InputRefusedError

# Values that a standard deviation takes.
FEWEST = 2


@dataclass(frozen=True)
class Summary:
    """Mean and spread of a group of values.

    Args:
        mean: Mean.
        sd: Standard deviation of the sample (divided by n - 1); 0 or more.
        n: How many values; 2 or more.

    Raises:
        InputRefusedError: One of them cannot be.
    """

    mean: float
    sd: float
    n: int

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not (math.isfinite(self.mean) and math.isfinite(self.sd)):
            raise InputRefusedError(f"a mean and an SD must be finite numbers; found {self.mean} and {self.sd}")
        if self.sd < 0:
            raise InputRefusedError(f"an SD must be 0 or more; found {self.sd:g}")
        if self.n < FEWEST:
            raise InputRefusedError(f"a group needs {FEWEST} values or more; found {self.n}")


@dataclass(frozen=True)
class SignificanceTest:
    """Result of a significance test.

    Args:
        statistic: F or t.
        degrees: Degrees of freedom: of t one number, of F those between and within groups.
        p_value: Two-sided for t.
    """

    statistic: float
    degrees: tuple[float, ...]
    p_value: float


@dataclass(frozen=True)
class PrintedRange:
    """All that t and P may have been before means and SDs were rounded for print.

    Args:
        t: Least and largest t.
        p_value: Least and largest P.
    """

    t: tuple[float, float]
    p_value: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """Two groups compared.

    Args:
        first: The first group; in the paper the test group.
        second: The second group; in the paper the validation group.
        levene: Whether the variances differ; None where the raw values are not known, or F is not defined.
        t: Whether the means differ, if the variances are equal; None where t is not defined.
        welch: The same if they are not.
    """

    first: Summary
    second: Summary
    levene: SignificanceTest | None
    t: SignificanceTest | None
    welch: SignificanceTest | None


def summarise(values: Sequence[float]) -> Summary:
    """Give mean, SD and number of values; NaN, of measures that are not defined, is left out."""
    known = _known(values)
    if len(known) < FEWEST:
        raise InputRefusedError(f"a group needs {FEWEST} values or more; found {len(known)}")
    # Of equal values the machine's mean may miss them by its last digit, and their SD be above 0.
    sd = float(np.std(known, ddof=1)) if np.ptp(known) else 0.0
    return Summary(float(np.mean(known)), sd, len(known))


def levene(first: Sequence[float], second: Sequence[float]) -> SignificanceTest | None:
    """Test whether two groups vary equally, with distances from the means as SPSS takes them.

    Args:
        first: Values of a group; NaN is left out.
        second: Values of the other.

    Returns:
        F and P; None where, within each group, all values lie equally far from the mean, so that F is not defined.

    Raises:
        InputRefusedError: A group has fewer than two values.

    Source: Levene 1960; IBM SPSS Statistics Algorithms, "T Test". scipy's own choice is the median.
    """
    groups = [_known(first), _known(second)]
    sizes = [summarise(group).n for group in groups]
    if all(_equally_far(group) for group in groups):
        return None
    found = stats.levene(*groups, center="mean")
    return SignificanceTest(float(found.statistic), (1.0, float(sum(sizes) - 2)), float(found.pvalue))


def student_t(first: Summary, second: Summary, *, equal_variances: bool = True) -> SignificanceTest | None:
    """Test whether the means of two independent groups differ.

    Args:
        first: A group.
        second: The other; t is below 0 where its mean is larger.
        equal_variances: Student's t with pooled variances; else Welch's.

    Returns:
        t and P; None where neither group varies, so that t is not defined.
    """
    if first.sd == second.sd == 0:
        return None
    found = stats.ttest_ind_from_stats(
        *(first.mean, first.sd, first.n), *(second.mean, second.sd, second.n), equal_var=equal_variances
    )
    degrees = float(first.n + second.n - 2) if equal_variances else _welch_degrees(first, second)
    return SignificanceTest(float(found.statistic), (degrees,), float(found.pvalue))


def compare(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Compare raw values.

    Args:
        first: Values of the first group; NaN is left out.
        second: Values of the second.

    Raises:
        InputRefusedError: A group has fewer than two values.
    """
    return compare_summaries(summarise(first), summarise(second), levene(first, second))


def compare_summaries(first: Summary, second: Summary, variances: SignificanceTest | None = None) -> Comparison:
    """Compare groups of which means and SDs are known, such as printed ones.

    Args:
        first: The first group.
        second: The second.
        variances: Levene's test, which only raw values give.
    """
    welch = student_t(first, second, equal_variances=False)
    return Comparison(first, second, variances, student_t(first, second), welch)


def printed_range(first: Summary, second: Summary, decimals: int) -> PrintedRange:
    """Find what t and P may have been before means and SDs were rounded.

    Args:
        first: Printed mean and SD.
        second: Those of the other group.
        decimals: How many decimals they were printed with; 0 or more.

    Returns:
        The least and the largest t and P. Each number is anywhere within half a unit of its last decimal; t rises or
        falls steadily with each of them, so its extremes lie at the ends.

    Raises:
        InputRefusedError: A group may not have varied at all, so that t has no bounds.
    """
    half = 0.5 * 10.0**-decimals
    if max(first.sd, second.sd) <= half:
        raise InputRefusedError(f"t has no bounds: with {decimals} decimals both SDs may be 0")
    pairs = product(_corners(first, half), _corners(second, half))
    found = [result for pair in pairs if (result := student_t(*pair)) is not None]
    low, high = (extreme(result.statistic for result in found) for extreme in (min, max))
    p_values = [result.p_value for result in found] + ([1.0] if low <= 0 <= high else [])
    return PrintedRange((low, high), (min(p_values), max(p_values)))


def _corners(summary: Summary, half: float) -> Iterator[Summary]:
    """Give the extreme means and SDs that are printed as these."""
    for mean, sd in product((-half, half), (-half, half)):
        yield Summary(summary.mean + mean, max(summary.sd + sd, 0.0), summary.n)


def _welch_degrees(first: Summary, second: Summary) -> float:
    """Give the degrees of freedom of Welch's t. Source: Welch 1947, doi:10.1093/biomet/34.1-2.28."""
    parts = [(group.sd**2 / group.n, group.n - 1) for group in (first, second)]
    return sum(part for part, _ in parts) ** 2 / sum(part**2 / degrees for part, degrees in parts)


def _equally_far(values: list[float]) -> bool:
    """Say whether all values lie equally far from their mean, up to the last digits of the machine."""
    distances = np.abs(np.asarray(values) - np.mean(values))
    return bool(np.ptp(distances) <= np.finfo(float).eps * len(values) * np.abs(values).max())


def _known(values: Sequence[float]) -> list[float]:
    """Leave out NaN."""
    return [float(value) for value in values if not math.isnan(value)]
