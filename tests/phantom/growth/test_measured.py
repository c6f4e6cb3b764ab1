"""Tests of the measurement of plates on true labels."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest

from benchmarks.plate_measurements import TABLE, columns, measured_knee
from kneeage.phantom.growth.age_law import MaturityGrid, age_posterior, plates_likelihood
from kneeage.phantom.growth.law import FORENSIC, TABLE1, Sample
from kneeage.phantom.growth.measured import ERRORS, MeasuredPlates, fit_error, measure
from tests.phantom.growth.test_age_law import even_ages, subjects


@pytest.fixture(scope="module")
def sample() -> Sample:
    return subjects(5000)


@pytest.mark.parametrize("plate", ERRORS)
def test_errors_are_those_of_the_measured_table(plate: str) -> None:
    with TABLE.open(encoding="utf-8") as file:
        rows = [dict(row) for row in csv.DictReader(file) if row["plate"] == plate]
    assert len(rows) == 320
    fitted = dataclasses.asdict(fit_error(**columns(rows)))
    assert dataclasses.asdict(ERRORS[plate]) == pytest.approx(fitted, abs=1e-3)


@pytest.mark.parametrize("plate", ERRORS)
def test_drawn_measurements_have_the_errors_they_are_drawn_with(plate: str, sample: Sample) -> None:
    measured = measure(sample.latents, np.random.default_rng(0))
    names = {"thickness_mm": "thickness_mm", "bridged": "bridged"}
    values = {name: sample.latents[f"{plate}.{latent}"] for name, latent in names.items()}
    values |= {name: measured[f"{plate}.{name}"] for name in ("measured_thickness_mm", "measured_openness")}
    found, error = fit_error(**values), ERRORS[plate]
    assert found.open_log_sd == pytest.approx(error.open_log_sd, rel=0.1)
    assert found.openness_slope == pytest.approx(error.openness_slope, abs=0.05)


def test_open_plates_are_seldom_and_closed_plates_never_mistaken(sample: Sample) -> None:
    measured = measure(sample.latents, np.random.default_rng(0))
    bridged = sample.latents["tibia.bridged"]
    short = 1 - measured["tibia.measured_openness"][bridged == 0]
    assert np.mean(short > 0) == pytest.approx(ERRORS["tibia"].short_share, abs=0.03)
    assert np.mean(short[short > 0]) == pytest.approx(ERRORS["tibia"].short_mean, rel=0.3)
    assert set(measured["tibia.measured_openness"][bridged == 1]) == {0.0}
    assert np.isnan(measured["tibia.measured_thickness_mm"][bridged == 1]).all()


def test_likelihood_peaks_at_the_truth(sample: Sample) -> None:
    measured = measure(sample.latents, np.random.default_rng(0))
    grid = MaturityGrid(np.arange(5.0, 30.0, 0.05), 0.05)
    likelihood = MeasuredPlates(measured, TABLE1).likelihood("femur", grid)
    assert likelihood is not None
    between = (sample.latents["femur.bridged"] > 0.1) & (sample.latents["femur.bridged"] < 0.9)
    found = grid.points[likelihood[between].argmax(axis=1)]
    assert found == pytest.approx(18.0 - sample.years_left["femur"][between], abs=0.3)


def test_an_open_plate_that_is_measured_a_little_short_stays_open() -> None:
    measured = {
        **{f"{plate}.measured_openness": np.array([0.99]) for plate in ERRORS},
        **{f"{plate}.measured_thickness_mm": np.array([2.5]) for plate in ERRORS},
    }
    grid = MaturityGrid(np.arange(5.0, 30.0, 0.05), 0.05)
    for plate in ERRORS:
        likelihood = MeasuredPlates(measured, TABLE1).likelihood(plate, grid)
        assert likelihood is not None
        assert grid.points[likelihood[0].argmax()] < 14.5, "years before the first bridge, as the thickness says"


def test_measured_posterior_is_calibrated() -> None:
    """The true age's place in its posterior is uniform, and the share of hits is what the posterior promises."""
    sample, ages = subjects(6000, FORENSIC, female=0.5), even_ages(FORENSIC)
    measured = measure(sample.latents, np.random.default_rng(1))
    grid = MaturityGrid.around(ages, FORENSIC)
    likelihood = plates_likelihood(MeasuredPlates(measured, FORENSIC), grid, FORENSIC, sample.covariates.female)
    chances = age_posterior(likelihood, grid, ages, sample.covariates, FORENSIC)
    place = np.sum(chances * (ages.points < sample.age_years[:, None]), axis=1)
    assert np.quantile(place, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.025)
    by_year = chances.reshape(len(chances), 18, -1).sum(axis=2)
    reached = np.mean(by_year.argmax(axis=1) == np.floor(sample.age_years) - 8)
    assert reached == pytest.approx(by_year.max(axis=1).mean(), abs=0.02)


def test_plates_that_are_not_measured_say_nothing(sample: Sample) -> None:
    measured = measure(sample.latents, np.random.default_rng(0))
    grid = MaturityGrid(np.arange(5.0, 30.0, 0.05), 0.05)
    assert MeasuredPlates(measured, TABLE1).likelihood("fibula", grid) is None


def test_a_rendered_knee_is_measured_near_its_latents() -> None:
    for row in measured_knee(np.random.default_rng(3), 0):
        assert float(row["measured_openness"]) == pytest.approx(1 - float(row["bridged"]), abs=0.15)


def test_the_table_is_of_the_knees_of_today() -> None:
    """A change of the anatomy calls for ``python -m benchmarks.plate_measurements`` and new errors and ceilings."""
    with TABLE.open(encoding="utf-8") as file:
        kept = {(int(row["knee"]), row["plate"]): row for row in csv.DictReader(file)}
    for number in (0, 2, 3):
        for row in measured_knee(np.random.default_rng([0, number]), number):
            for name in ("measured_thickness_mm", "measured_openness"):
                found = float(kept[number, str(row["plate"])][name])
                assert found == pytest.approx(float(row[name]), rel=0.05, abs=0.01), (number, row["plate"], name)
