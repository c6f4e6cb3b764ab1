"""What is read off a posterior."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kneeage.core.errors import UsageError
from kneeage.decide.posterior import AgeDistribution, posterior
from kneeage.decide.prior import FittedPrior, fit_prior, uniform_prior

EDGES = [float(age) for age in range(8, 27)]
UNIFORM = fit_prior(uniform_prior(8, 26), EDGES)
FLAT = np.zeros(18)


def certain(bin_index: int) -> np.ndarray:
    return np.where(np.arange(18) == bin_index, 0.0, -900.0)


def test_a_flat_likelihood_leaves_the_prior() -> None:
    np.testing.assert_allclose(posterior(FLAT, UNIFORM).masses, UNIFORM.masses)


def test_likelihood_times_prior() -> None:
    prior = FittedPrior("p", (8, 9, 10), (0.25, 0.75), 0)
    found = posterior(np.log(np.array([3.0, 1.0])), prior)
    np.testing.assert_allclose(found.masses, (0.5, 0.5))


def test_a_constant_in_the_likelihood_changes_nothing() -> None:
    likelihood = np.linspace(-3, 2, 18)
    np.testing.assert_allclose(posterior(likelihood, UNIFORM).masses, posterior(likelihood - 5000, UNIFORM).masses)


def test_a_prior_inside_the_grid_takes_its_own_bins() -> None:
    found = posterior(certain(4), fit_prior(uniform_prior(11.5, 13), EDGES))
    assert found.edges_years == (11.5, 12, 13)
    np.testing.assert_allclose(found.masses, (0, 1), atol=1e-300)


def test_ages_without_training_subjects_stay_at_zero() -> None:
    likelihood = np.where(np.arange(18) < 9, -np.inf, 0.0)
    found = posterior(likelihood, UNIFORM)
    assert found.masses[:9] == (0,) * 9
    assert sum(found.masses) == pytest.approx(1)


def test_a_prior_on_unknown_ages_alone_is_refused() -> None:
    likelihood = np.where(np.arange(18) < 9, -np.inf, 0.0)
    with pytest.raises(UsageError, match="trained on no subject of the ages that the prior 'uniform:8-12' allows"):
        posterior(likelihood, fit_prior(uniform_prior(8, 12), EDGES))


def test_probabilities_inside_a_bin_are_interpolated() -> None:
    found = AgeDistribution((10, 11, 13), (0.4, 0.6))
    assert found.at_least(9) == 1
    assert found.at_least(10.25) == pytest.approx(0.9)
    assert found.at_least(12) == pytest.approx(0.3)
    assert found.at_least(14) == 0
    assert found.below(12) == pytest.approx(0.7)


def test_quantiles_undo_probabilities() -> None:
    found = AgeDistribution((10, 11, 12, 13), (0.4, 0.0, 0.6))
    for age in (10.1, 10.9, 12.3, 12.9):
        assert found.quantile(found.below(age)) == pytest.approx(age)
    assert found.quantile(0) == 10
    assert found.quantile(1) == 13


def test_a_quantile_passes_over_leading_empty_bins() -> None:
    found = AgeDistribution((10, 11, 12, 13), (0.0, 0.0, 1.0))
    assert found.quantile(0.025) == pytest.approx(12.025)


def test_the_mode_is_the_centre_of_the_densest_bin() -> None:
    assert AgeDistribution((10, 11, 13), (0.4, 0.6)).mode_years == 10.5
    assert AgeDistribution((10, 11, 13), (0.3, 0.7)).mode_years == 12
    assert AgeDistribution((10, 11, 13), (0.3, 0.7)).mean_years == pytest.approx(0.3 * 10.5 + 0.7 * 12)


def test_a_flat_distribution_has_its_mode_in_the_middle() -> None:
    assert posterior(FLAT, UNIFORM).mode_years == 17.5


@pytest.mark.parametrize(("bin_index", "last"), [(17, True), (16, False)])
def test_the_mode_in_the_last_bin_is_known(bin_index: int, last: bool) -> None:
    assert posterior(certain(bin_index), UNIFORM).mode_is_last is last


def test_bins_are_listed_with_their_lower_edge() -> None:
    listed = AgeDistribution((10, 11, 13), (0.4, 0.6)).probabilities()
    assert [(each.age_years, each.probability) for each in listed] == [(10, 0.4), (11, 0.6)]


def test_a_probability_never_exceeds_one_by_rounding() -> None:
    assert AgeDistribution((10, 11), (1 + 2e-16,)).probabilities()[0].probability == 1


def test_classes_are_completed_years_with_open_ends() -> None:
    classes = posterior(FLAT, UNIFORM).class_probabilities()
    assert list(classes) == ["<10", *map(str, range(10, 19)), ">=19"]
    assert classes["<10"] == pytest.approx(2 / 18)
    assert classes["14"] == pytest.approx(1 / 18)
    assert classes[">=19"] == pytest.approx(7 / 18)


@given(st.lists(st.floats(-50, 50), min_size=18, max_size=18), st.floats(0, 12), st.floats(15, 40))
def test_every_posterior_is_a_distribution(likelihood: list[float], low: float, high: float) -> None:
    found = posterior(np.array(likelihood), fit_prior(uniform_prior(low, high), EDGES))
    assert sum(found.masses) == pytest.approx(1)
    assert sum(found.class_probabilities().values()) == pytest.approx(1)
    assert found.edges_years[0] <= found.mode_years <= found.edges_years[-1]
    assert found.quantile(0.025) <= found.quantile(0.975)
    steps = [found.at_least(age) for age in np.linspace(7, 41, 60)]
    assert all(before >= after for before, after in pairwise(steps))
