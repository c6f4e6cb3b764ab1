"""Tests of the probability of age given latents."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from kneeage.phantom.growth.age_law import (
    Ages,
    MaturityGrid,
    TruePlates,
    age_posterior,
    age_posterior_blind,
    age_posterior_of_bodies,
    body_likelihood,
    body_likelihood_by_height,
    closed_form_age,
    closed_form_sd,
    plates_likelihood,
    points_per_year,
)
from kneeage.phantom.growth.law import (
    FORENSIC,
    PLATES,
    TABLE1,
    Covariates,
    FloatArray,
    GrowthTable,
    Sample,
    grow,
    scar_logit,
    thickness_mm,
)
from kneeage.phantom.growth.population import draw_covariates

EVEN = np.full(18, 1 / 18)
PATTERNS = (
    "unevenness", "bridging_posterior_mm", "bridging_lateral_mm", "patchiness", "undulation_mm", "border"
)  # fmt: skip


class OnlyPlate:
    """Evidence of one plate alone."""

    def __init__(self, sample: Sample, table: GrowthTable, plate: str) -> None:
        self._plates = TruePlates(sample.latents, table)
        self._plate = plate

    def likelihood(self, plate: str, grid: MaturityGrid) -> FloatArray | None:
        return self._plates.likelihood(plate, grid) if plate == self._plate else None


def subjects(count: int, table: GrowthTable = TABLE1, seed: int = 0, female: float = 0.0) -> Sample:
    rng = np.random.default_rng(seed)
    covariates = draw_covariates(rng.random(count) < female, rng, table)
    return grow(rng.uniform(8, 26, count), covariates, rng, table)


def even_ages(table: GrowthTable = TABLE1) -> Ages:
    return Ages(8, EVEN, points_per_year(table))


def by_sex(sample: Sample, grid: MaturityGrid) -> dict[bool, FloatArray]:
    """Likelihood by the plates alone, of a male and of a female."""
    plates, count = TruePlates(sample.latents, FORENSIC), len(sample.age_years)
    return {sex: plates_likelihood(plates, grid, FORENSIC, np.full(count, sex)) for sex in (False, True)}


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
    likelihood = plates_likelihood(OnlyPlate(sample, TABLE1, "femur"), grid, TABLE1, sample.covariates.female)
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
    likelihood = plates_likelihood(TruePlates(sample.latents, table), grid, table, sample.covariates.female)
    likelihood = likelihood * body_likelihood(sample.latents, sample.covariates, grid, table)
    chances = age_posterior(likelihood, grid, ages, sample.covariates, table)
    place = np.sum(chances * (ages.points < sample.age_years[:, None]), axis=1)
    assert np.quantile(place, [0.1, 0.25, 0.5, 0.75, 0.9]) == pytest.approx([0.1, 0.25, 0.5, 0.75, 0.9], abs=0.03)


@pytest.fixture(scope="module")
def simulated() -> Sample:
    """A large population, for posteriors by simulation alone."""
    return subjects(400_000, FORENSIC, seed=1, female=0.5)


@pytest.mark.parametrize("age_years", [10.0, 13.0, 15.0, 23.0])
def test_posterior_is_that_of_simulated_subjects_with_the_same_plates(age_years: float, simulated: Sample) -> None:
    """An independent implementation: simulated subjects, weighted by how well their years left explain the plates.

    Calibration would not notice a plate that is left out; this does.
    """
    covariates = draw_covariates(np.array([False]), np.random.default_rng(0), FORENSIC)
    knee = next(
        each
        for seed in range(100)
        for each in [grow(np.array([age_years]), covariates, np.random.default_rng(seed), FORENSIC)]
        if all(each.latents[f"{plate}.bridged"][0] in (0.0, 1.0) for plate in PLATES)
    )
    ages = even_ages(FORENSIC)
    grid = MaturityGrid.around(ages, FORENSIC)
    chances = age_posterior_blind(by_sex(knee, grid), grid, ages, 0.5, FORENSIC)[0]
    mean = chances @ ages.points
    sd = np.sqrt(chances @ ages.points**2 - mean**2)

    weights = np.exp(sum(_explained(knee, plate, simulated.years_left[plate]) for plate in PLATES))
    enough = weights.sum() ** 2 / np.sum(weights**2)
    expected = np.average(simulated.age_years, weights=weights)
    spread = np.sqrt(np.average((simulated.age_years - expected) ** 2, weights=weights))
    assert enough > 1000
    assert mean == pytest.approx(expected, abs=4 * spread / np.sqrt(enough))
    assert sd == pytest.approx(spread, rel=4 / np.sqrt(enough))


def _explained(knee: Sample, plate: str, years_left: FloatArray) -> FloatArray:
    """Log density of a plate's thickness and scar for years left, by scipy's distributions; no bridging plates."""
    latents = {name: float(values[0]) for name, values in knee.latents.items()}
    is_closed = latents[f"{plate}.bridged"] == 1.0
    thickness = stats.lognorm.logpdf(
        latents[f"{plate}.thickness_mm"],
        FORENSIC.thickness_log_sd.value,
        scale=thickness_mm(plate, years_left, FORENSIC),
    )
    scar = stats.norm.logpdf(
        special.logit(latents[f"{plate}.scar"]), scar_logit(years_left, FORENSIC), FORENSIC.scar_logit_sd.value
    )
    possible = years_left <= 0 if is_closed else years_left >= getattr(FORENSIC, plate).bridging_years.value
    return np.where(possible, thickness + scar, -np.inf)


def test_every_latent_that_follows_maturity_is_in_the_likelihood_and_no_pattern_is() -> None:
    """An open plate's thickness and a closed one's scar tell of maturity, so it takes a child and an adult."""
    patterns = {f"{plate}.{name}" for plate in PLATES for name in PATTERNS}
    assert telling_latents(12.0) | telling_latents(23.0) == set(subjects(1).latents) - patterns


def telling_latents(age_years: float) -> set[str]:
    """Names of a male's latents that move the likelihood of maturity when they are moved."""
    covariates = draw_covariates(np.array([False]), np.random.default_rng(0), TABLE1)
    knee = grow(np.array([age_years]), covariates, np.random.default_rng(1), TABLE1)
    grid = MaturityGrid.around(even_ages(), TABLE1)

    def likelihood(latents: dict[str, FloatArray]) -> FloatArray:
        by_plates = plates_likelihood(TruePlates(latents, TABLE1), grid, TABLE1, covariates.female)
        return by_plates * body_likelihood(latents, covariates, grid, TABLE1)

    home = likelihood(knee.latents)
    return {
        name
        for name, values in knee.latents.items()
        if not np.allclose(likelihood({**knee.latents, name: 0.9 * values}), home)
    }


def test_likelihood_between_heights_is_that_of_the_height() -> None:
    """Interpolated against found at the very height; cm and kg that tell nothing leave the posterior alone."""
    sample, ages = subjects(200, female=0.5), even_ages()
    grid, known = MaturityGrid.around(ages, TABLE1), sample.covariates
    plates = plates_likelihood(TruePlates(sample.latents, TABLE1), grid, TABLE1, known.female)
    expected = age_posterior(plates * body_likelihood(sample.latents, known, grid, TABLE1), grid, ages, known, TABLE1)
    found = age_posterior_of_bodies(
        plates * body_likelihood_by_height(sample.latents, known.female, grid, TABLE1),
        grid,
        ages,
        covariates=Covariates(*(part[:, None] for part in vars(known).values())),
        density=np.ones((len(known.female), 1)),
        table=TABLE1,
    )
    assert found @ ages.points == pytest.approx(expected @ ages.points, abs=0.005)
    assert found == pytest.approx(expected, abs=1e-3)


def test_blind_posterior_is_calibrated() -> None:
    sample, ages = subjects(4000, FORENSIC, female=0.5), even_ages(FORENSIC)
    grid = MaturityGrid.around(ages, FORENSIC)
    chances = age_posterior_blind(by_sex(sample, grid), grid, ages, 0.5, FORENSIC)
    place = np.sum(chances * (ages.points < sample.age_years[:, None]), axis=1)
    assert np.quantile(place, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.03)


def test_posterior_depends_on_latents_and_covariates_alone() -> None:
    """Two subjects of different age and equal latents get the same posterior."""
    sample = chosen(subjects(1), np.array([0, 0]))
    ages = even_ages()
    grid = MaturityGrid.around(ages, TABLE1)
    likelihood = plates_likelihood(TruePlates(sample.latents, TABLE1), grid, TABLE1, sample.covariates.female)
    first, second = age_posterior(likelihood, grid, ages, sample.covariates, TABLE1)
    assert (first == second).all()
    assert first.sum() == pytest.approx(1.0)


def test_finer_grid_changes_nothing() -> None:
    sample = subjects(300)
    means = []
    for per_year in (20, 50):
        ages = Ages(8, EVEN, per_year)
        grid = MaturityGrid.around(ages, TABLE1)
        likelihood = plates_likelihood(TruePlates(sample.latents, TABLE1), grid, TABLE1, sample.covariates.female)
        means.append(age_posterior(likelihood, grid, ages, sample.covariates, TABLE1) @ ages.points)
    assert means[0] == pytest.approx(means[1], abs=0.02)


def test_prior_follows_the_year_weights() -> None:
    ages = Ages(10, np.array([1.0, 3.0]), 4)
    assert ages.prior == pytest.approx([1 / 16] * 4 + [3 / 16] * 4)
    assert ages.points[[0, -1]] == pytest.approx([10.125, 11.875])
