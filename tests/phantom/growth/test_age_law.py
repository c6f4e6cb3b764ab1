"""Tests of the probability of age given latents."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.phantom.growth.age_law import (
    Ages,
    MaturityGrid,
    TruePlates,
    age_posterior,
    age_posterior_blind,
    body_likelihood,
    closed_form_age,
    closed_form_sd,
    plates_likelihood,
    points_per_year,
)
from kneeage.phantom.growth.law import FORENSIC, TABLE1, FloatArray, GrowthTable, Sample, grow
from kneeage.phantom.growth.population import draw_covariates

EVEN = np.full(18, 1 / 18)


class OnlyPlate:
    """Evidence of one plate alone."""

    def __init__(self, sample: Sample, table: GrowthTable, plate: str) -> None:
        self._plates = TruePlates(sample.latents, table)
        self._plate = plate

    def likelihood(self, plate: str, grid: MaturityGrid) -> FloatArray | None:
        return self._plates.likelihood(plate, grid) if plate == self._plate else None


def subjects(count: int, table: GrowthTable = TABLE1, seed: int = 0, female: float = 0.0) -> Sample:
    rng = np.random.default_rng(seed)
    covariates = draw_covariates(rng.random(count) < female, rng)
    return grow(rng.uniform(8, 26, count), covariates, rng, table)


def even_ages(table: GrowthTable = TABLE1) -> Ages:
    return Ages(8, EVEN, points_per_year(table))


def chosen(sample: Sample, which: FloatArray) -> Sample:
    covariates = type(sample.covariates)(*(part[which] for part in vars(sample.covariates).values()))
    return Sample(
        sample.age_years[which],
        covariates,
        {name: values[which] for name, values in sample.years_left.items()},
        {name: values[which] for name, values in sample.latents.items()},
    )


@pytest.fixture(scope="module")
def bridging() -> tuple[Sample, FloatArray, Ages]:
    """Subjects whose femoral plate is bridging, and their posterior by that plate alone."""
    drawn = subjects(150_000)
    sample = chosen(drawn, (drawn.latents["femur.bridged"] > 0) & (drawn.latents["femur.bridged"] < 1))
    ages = even_ages()
    grid = MaturityGrid.around(ages, TABLE1)
    likelihood = plates_likelihood(OnlyPlate(sample, TABLE1, "femur"), grid, TABLE1)
    return sample, age_posterior(likelihood, grid, ages, sample.covariates, TABLE1), ages


def test_bridging_plate_gives_the_closed_form(bridging: tuple[Sample, FloatArray, Ages]) -> None:
    sample, chances, ages = bridging
    mean = chances @ ages.points
    sd = np.sqrt(chances @ ages.points**2 - mean**2)
    expected = closed_form_age(sample.years_left["femur"], "femur", sample.covariates, TABLE1)
    assert mean == pytest.approx(expected, abs=0.01)
    assert sd == pytest.approx(np.full(len(sd), closed_form_sd(TABLE1)), rel=0.01)


def test_closed_form_and_simulation_agree_on_exact_years(bridging: tuple[Sample, FloatArray, Ages]) -> None:
    """Within 0.5 points: what the normal posterior promises, and what the grid's decisions reach."""
    from scipy.special import ndtr

    sample, chances, ages = bridging
    mean = closed_form_age(sample.years_left["femur"], "femur", sample.covariates, TABLE1)
    edges = ages.first_year + np.arange(len(EVEN) + 1)
    promised = np.diff(ndtr((edges - mean[:, None]) / closed_form_sd(TABLE1)), axis=1).max(axis=1).mean()
    by_year = chances.reshape(len(chances), len(EVEN), -1).sum(axis=2)
    assert by_year.max(axis=1).mean() == pytest.approx(promised, abs=0.0005)
    reached = np.mean(by_year.argmax(axis=1) == np.floor(sample.age_years) - ages.first_year)
    assert reached == pytest.approx(promised, abs=0.015)  # three Monte Carlo errors of 10,000 subjects


@pytest.mark.parametrize("table", [TABLE1, FORENSIC], ids=["table1", "forensic"])
def test_posterior_is_calibrated(table: GrowthTable) -> None:
    """The true age's place in its posterior is uniform: the law was turned round without a mistake."""
    sample, ages = subjects(4000, table, female=0.5), even_ages(table)
    grid = MaturityGrid.around(ages, table)
    likelihood = plates_likelihood(TruePlates(sample.latents, table), grid, table)
    likelihood = likelihood * body_likelihood(sample.latents, sample.covariates, grid, table)
    chances = age_posterior(likelihood, grid, ages, sample.covariates, table)
    place = np.sum(chances * (ages.points < sample.age_years[:, None]), axis=1)
    assert np.quantile(place, [0.1, 0.25, 0.5, 0.75, 0.9]) == pytest.approx([0.1, 0.25, 0.5, 0.75, 0.9], abs=0.03)


def test_blind_posterior_is_calibrated() -> None:
    sample, ages = subjects(4000, FORENSIC, female=0.5), even_ages(FORENSIC)
    grid = MaturityGrid.around(ages, FORENSIC)
    likelihood = plates_likelihood(TruePlates(sample.latents, FORENSIC), grid, FORENSIC)
    chances = age_posterior_blind(likelihood, grid, ages, 0.5, FORENSIC)
    place = np.sum(chances * (ages.points < sample.age_years[:, None]), axis=1)
    assert np.quantile(place, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.03)


def test_posterior_depends_on_latents_and_covariates_alone() -> None:
    """Two subjects of different age and equal latents get the same posterior."""
    sample = chosen(subjects(1), np.array([0, 0]))
    ages = even_ages()
    grid = MaturityGrid.around(ages, TABLE1)
    likelihood = plates_likelihood(TruePlates(sample.latents, TABLE1), grid, TABLE1)
    first, second = age_posterior(likelihood, grid, ages, sample.covariates, TABLE1)
    assert (first == second).all()
    assert first.sum() == pytest.approx(1.0)


def test_finer_grid_changes_nothing() -> None:
    sample = subjects(300)
    means = []
    for per_year in (20, 50):
        ages = Ages(8, EVEN, per_year)
        grid = MaturityGrid.around(ages, TABLE1)
        likelihood = plates_likelihood(TruePlates(sample.latents, TABLE1), grid, TABLE1)
        means.append(age_posterior(likelihood, grid, ages, sample.covariates, TABLE1) @ ages.points)
    assert means[0] == pytest.approx(means[1], abs=0.02)


def test_prior_follows_the_year_weights() -> None:
    ages = Ages(10, np.array([1.0, 3.0]), 4)
    assert ages.prior == pytest.approx([1 / 16] * 4 + [3 / 16] * 4)
    assert ages.points[[0, -1]] == pytest.approx([10.125, 11.875])
