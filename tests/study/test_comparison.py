"""Levene, t and P, against formulas worked out by hand, and against Table 2 as printed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, special

from kneeage.core.errors import InputRefusedError
from kneeage.study.comparison import Summary, compare, compare_summaries, levene, printed_range, student_t, summarise

# Source: Gao et al., Table 2: mean and SD of the test group and of the validation group, n = 45 each, t and P.
PRINTED = {
    "accuracy": ((0.82578, 0.09586), (0.85713, 0.06001), -1.86, 0.066),
    "precision": ((0.83145, 0.07462), (0.84732, 0.06556), -1.07, 0.287),
    "sensitivity, printed as specificity": ((0.82578, 0.09586), (0.85713, 0.06001), -1.86, 0.066),
    "specificity, printed as sensitivity": ((0.97442, 0.01313), (0.97729, 0.01223), -1.07, 0.287),
}


def groups(seed: int, first: int = 12, second: int = 17) -> tuple[list[float], list[float]]:
    rng = np.random.default_rng(seed)
    return rng.normal(0.8, 0.1, first).tolist(), rng.normal(0.85, 0.06, second).tolist()


def p_of_f(f: float, between: int, within: int) -> float:
    """P of an F statistic: the incomplete beta function."""
    return float(special.betainc(within / 2, between / 2, within / (within + between * f)))


def p_of_t(t: float, degrees: float) -> float:
    """P of a t statistic, both sides: the integral of its density."""
    scale = special.gamma((degrees + 1) / 2) / (special.gamma(degrees / 2) * math.sqrt(degrees * math.pi))
    tail, _ = integrate.quad(lambda x: scale * (1 + x * x / degrees) ** (-(degrees + 1) / 2), abs(t), math.inf)
    return float(2 * tail)


@pytest.mark.parametrize("name", PRINTED)
def test_table_2_as_printed_is_within_what_rounding_allows(name: str) -> None:
    test, validation, t, p_value = PRINTED[name]
    found = printed_range(Summary(*test, 45), Summary(*validation, 45), decimals=5)
    assert found.t[0] - 0.005 <= t <= found.t[1] + 0.005
    assert found.p_value[0] - 0.0005 <= p_value <= found.p_value[1] + 0.0005


def test_p_of_specificity_is_anywhere_from_284_to_288() -> None:
    found = printed_range(Summary(0.97442, 0.01313, 45), Summary(0.97729, 0.01223, 45), decimals=5)
    assert [round(p_value, 3) for p_value in found.p_value] == [0.284, 0.288]


@pytest.mark.parametrize("seed", range(5))
def test_the_range_of_rounding_holds_whatever_was_rounded(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = Summary(0.84, 0.07, 30), Summary(0.85, 0.06, 45)
    found = printed_range(first, second, decimals=2)
    for shifts in rng.uniform(-0.005, 0.005, (200, 4)):
        exact = student_t(
            Summary(first.mean + shifts[0], first.sd + shifts[1], 30),
            Summary(second.mean + shifts[2], second.sd + shifts[3], 45),
        )
        assert exact is not None
        assert found.t[0] <= exact.statistic <= found.t[1]
        assert found.p_value[0] <= exact.p_value <= found.p_value[1]


def test_the_range_of_rounding_reaches_p_1_where_means_may_be_equal() -> None:
    found = printed_range(Summary(0.85, 0.07, 30), Summary(0.85, 0.06, 45), decimals=2)
    assert found.p_value[1] == 1.0
    assert found.t[0] == pytest.approx(-found.t[1])


def test_the_range_of_rounding_may_have_no_bounds() -> None:
    with pytest.raises(InputRefusedError, match="with 2 decimals both SDs may be 0"):
        printed_range(Summary(0.85, 0.005, 30), Summary(0.85, 0.0, 45), decimals=2)


@pytest.mark.parametrize("seed", range(3))
def test_levene_is_an_analysis_of_variance_of_distances_from_the_means(seed: int) -> None:
    samples = [np.array(each) for each in groups(seed)]
    distances = [np.abs(each - each.mean()) for each in samples]
    everything = np.concatenate(distances)
    between = sum(len(each) * (each.mean() - everything.mean()) ** 2 for each in distances)
    within = sum(((each - each.mean()) ** 2).sum() for each in distances) / (len(everything) - 2)
    found = levene(*(each.tolist() for each in samples))
    assert found is not None
    assert found.statistic == pytest.approx(between / within)
    assert found.degrees == (1, 27)
    assert found.p_value == pytest.approx(p_of_f(between / within, 1, 27))


def test_levene_is_not_centred_on_the_median() -> None:
    found = levene([0, 0, 0, 10], [4, 5, 6, 7])
    # Distances from means 2.5 and 5.5: (2.5, 2.5, 2.5, 7.5) and (1.5, .5, .5, 1.5); their means are 3.75 and 1.
    assert found is not None
    assert found.statistic == pytest.approx((4 * 2 * 1.375**2) / ((18.75 + 1.0) / 6))


@pytest.mark.parametrize("seed", range(3))
def test_t_by_hand(seed: int) -> None:
    first, second = groups(seed)
    found = compare(first, second)
    n, m = len(first), len(second)
    mean_1, mean_2 = sum(first) / n, sum(second) / m
    squares_1 = sum((value - mean_1) ** 2 for value in first)
    squares_2 = sum((value - mean_2) ** 2 for value in second)
    pooled = (squares_1 + squares_2) / (n + m - 2)
    t = (mean_1 - mean_2) / math.sqrt(pooled * (1 / n + 1 / m))
    assert found.t is not None
    assert found.t.statistic == pytest.approx(t)
    assert found.t.degrees == (n + m - 2,)
    assert found.t.p_value == pytest.approx(p_of_t(t, n + m - 2))


@pytest.mark.parametrize("seed", range(3))
def test_welch_by_hand(seed: int) -> None:
    first, second = groups(seed)
    found = compare(first, second).welch
    parts = [np.var(each, ddof=1) / len(each) for each in (first, second)]
    t = (np.mean(first) - np.mean(second)) / math.sqrt(sum(parts))
    degrees = sum(parts) ** 2 / (parts[0] ** 2 / (len(first) - 1) + parts[1] ** 2 / (len(second) - 1))
    assert found is not None
    assert (found.statistic, *found.degrees) == pytest.approx((t, degrees))
    assert found.p_value == pytest.approx(p_of_t(t, degrees))


def test_raw_values_and_their_summaries_give_the_same_t() -> None:
    first, second = groups(7)
    assert compare_summaries(summarise(first), summarise(second)).t == compare(first, second).t


def test_the_first_group_being_lower_makes_t_negative() -> None:
    found = compare([1, 2, 3], [4, 5, 6])
    assert found.t is not None
    assert found.t.statistic == pytest.approx(-3 / math.sqrt(2 / 3))


def test_values_that_are_not_defined_are_left_out() -> None:
    assert summarise([1.0, math.nan, 3.0]) == Summary(2.0, math.sqrt(2), 2)
    assert compare([1, math.nan, 2, 4], [3, 4, 7]) == compare([1, 2, 4], [3, 4, 7])


def test_groups_that_do_not_vary_have_no_tests() -> None:
    found = compare([0.1] * 10, [0.3] * 4)
    assert (found.levene, found.t, found.welch) == (None, None, None)


def test_equal_distances_have_no_levene_but_a_t() -> None:
    found = compare([0.1, 0.3], [0.7, 0.9, 0.7, 0.9])
    assert found.levene is None
    assert found.t is not None


def test_a_group_needs_two_values() -> None:
    with pytest.raises(InputRefusedError, match="2 values or more; found 1"):
        compare([1.0, math.nan], [1.0, 2.0])


@pytest.mark.parametrize(
    ("stats", "words"),
    [
        ((0.8, -0.1, 45), "SD must be 0 or more; found -0.1"),
        ((0.8, 0.1, 1), "2 values or more; found 1"),
        ((math.nan, 0.1, 45), "finite"),
        ((0.8, math.inf, 45), "finite"),
    ],
)
def test_a_summary_refuses_what_cannot_be(stats: tuple[float, float, int], words: str) -> None:
    with pytest.raises(InputRefusedError, match=words):
        Summary(*stats)
