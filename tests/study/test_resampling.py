"""The bootstrap by subject and the test of equivalence, against scipy's bootstrap and the classical formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from kneeage.study.comparison import Summary, summarise
from kneeage.study.metrics import macro_recall, mean_absolute_error_years
from kneeage.study.predictions import Group, Predictions
from kneeage.study.resampling import MARGIN, Resampling, bootstrap, bootstrap_difference, bootstrap_places, equivalence
from tests.study.tables import study, told

FEW = Resampling(replicates=400, seed=3)


def mean_age(predictions: Predictions) -> float:
    return float(predictions.chronological_age_years.mean())


def internal() -> Predictions:
    return study().of_group(Group.INTERNAL)


def external() -> Predictions:
    return study().of_group(Group.EXTERNAL)


def shifted(predictions: Predictions, group: Group, years: float, count: int = 200) -> Predictions:
    """Subjects whose ages are spread by 1 year around 14 and a shift; only their ages matter."""
    own = predictions.of_group(group)
    rng = np.random.default_rng(5 if group is Group.INTERNAL else 6)
    own = own.take(np.zeros(count, dtype=np.intp))
    ages = 14 + years + stats.zscore(rng.normal(size=count), ddof=1)
    return Predictions(
        **{
            **vars(own),
            "subject_id": np.arange(count).astype(np.str_),
            "chronological_age_years": ages,
        }
    )


def test_intervals_are_scipy_s() -> None:
    table = internal()
    ours = bootstrap(table, mean_age, Resampling(4000, seed=1))
    theirs = stats.bootstrap(
        (table.chronological_age_years,), np.mean, n_resamples=4000, method="percentile", random_state=2
    )
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.05)
    assert ours.standard_error == pytest.approx(theirs.standard_error, rel=0.05)
    assert (ours.value, ours.subjects, ours.replicates) == (mean_age(table), 90, 4000)


def test_differences_are_scipy_s() -> None:
    first, second = external(), internal()
    ours = bootstrap_difference(first.of_fold(0), second, mean_age, Resampling(4000, seed=1))
    ages = (first.of_fold(0).chronological_age_years, second.chronological_age_years)
    theirs = stats.bootstrap(
        ages,
        lambda a, b: np.mean(a) - np.mean(b),
        n_resamples=4000,
        method="percentile",
        vectorized=False,
        random_state=2,
    )
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.08)
    assert ours.subjects == 135


def test_the_same_seed_gives_the_same_interval() -> None:
    table = internal()
    assert bootstrap(table, macro_recall, FEW) == bootstrap(table, macro_recall, FEW)
    other = bootstrap(table, macro_recall, Resampling(400, seed=4))
    assert (other.low, other.high) != (bootstrap(table, mean_age, FEW).low, bootstrap(table, mean_age, FEW).high)


def test_votes_of_five_models_are_not_five_subjects() -> None:
    five = bootstrap(external(), mean_age, FEW)
    one = bootstrap(external().of_fold(0), mean_age, FEW)
    assert (five.low, five.high) == pytest.approx((one.low, one.high))
    assert (five.subjects, one.subjects) == (45, 45)


def test_a_subject_comes_with_all_its_rows_and_twice_under_two_names() -> None:
    table = study(slices=3)
    seen: list[int] = []

    def count(drawn: Predictions) -> float:
        _, rows = np.unique(drawn.subject_id, return_counts=True)
        _, owners = np.unique(drawn.chronological_age_years, return_counts=True)
        seen.append(len(rows))
        assert set(rows) <= {3, 15}
        assert max(owners) > 15 or drawn is table
        return 0.0

    bootstrap(table, count, Resampling(20))
    assert set(seen) == {135}


def test_replicates_without_a_value_are_left_out() -> None:
    def only_if_drawn(drawn: Predictions) -> float:
        return 1.0 if drawn.true_class[0] == 0 else math.nan

    found = bootstrap(internal(), only_if_drawn, FEW)
    assert 0 < found.replicates < 400
    assert (found.low, found.high) == (1, 1)


def test_a_metric_that_is_never_defined_has_no_interval() -> None:
    found = bootstrap(internal(), lambda _: math.nan, FEW)
    assert math.isnan(found.low)
    assert found.replicates == 0
    assert not equivalence(external(), internal(), lambda _: math.nan, resampling=FEW).equivalent


@pytest.mark.parametrize("years", [0.0, 0.2, -0.25, 0.32, 0.6])
def test_equivalence_is_that_of_two_one_sided_t_tests(years: float) -> None:
    first, second = shifted(study(), Group.EXTERNAL, years), shifted(study(), Group.INTERNAL, 0.0)
    found = equivalence(first, second, mean_age, margin=0.4, resampling=Resampling(8000))
    assert classical_p(first, second, 0.4) == pytest.approx(found.p_value, abs=0.02)
    assert found.equivalent == (classical_p(first, second, 0.4) < 0.05)
    assert found.difference.value == pytest.approx(years)


def classical_p(first: Predictions, second: Predictions, margin: float) -> float:
    """P of Schuirmann's two tests with Student's t."""
    groups: list[Summary] = [summarise(each.chronological_age_years.tolist()) for each in (first, second)]
    difference = groups[0].mean - groups[1].mean
    error = math.sqrt(sum(group.sd**2 / group.n for group in groups))
    degrees = sum(group.n for group in groups) - 2
    below, above = (difference + margin) / error, (margin - difference) / error
    return float(max(stats.t.sf(below, degrees), stats.t.sf(above, degrees)))


def test_the_interval_of_equivalence_is_that_of_90_percent() -> None:
    found = equivalence(external(), internal(), macro_recall, resampling=FEW)
    ninety = bootstrap_difference(external(), internal(), macro_recall, Resampling(400, seed=3, level=0.9))
    assert found.difference == ninety
    assert found.margin == MARGIN == 0.10


def test_a_difference_beyond_the_margin_is_never_equivalent() -> None:
    found = equivalence(external(), internal(), mean_absolute_error_years, margin=1e-6, resampling=FEW)
    assert not found.equivalent
    assert found.p_value > 0.3


@pytest.mark.slow
def test_at_the_margin_groups_are_called_equivalent_in_about_5_percent() -> None:
    """Source of the counts: Gao et al., Table 1: training and validation together, and test."""
    rng = np.random.default_rng(0)
    internal, external = (51, 86, 114, 141, 135, 161, 166, 177, 181), (35, 48, 53, 39, 45, 36, 29, 29, 27)
    called = [
        equivalence(
            told(external, 0.7 - MARGIN, 5, rng),
            told(internal, 0.7, 1, rng),
            macro_recall,
            resampling=Resampling(200, seed),
        ).equivalent
        for seed in range(300)
    ]
    assert 0.02 < np.mean(called) < 0.09


def test_what_no_table_holds_is_drawn_by_place() -> None:
    values = np.random.default_rng(7).normal(size=80)
    ours = bootstrap_places(80, lambda places: float(np.median(values[places])), Resampling(4000, seed=1))
    theirs = stats.bootstrap((values,), np.median, n_resamples=4000, method="percentile", random_state=2)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.05)
    assert (ours.value, ours.subjects, ours.replicates) == (float(np.median(values)), 80, 4000)
