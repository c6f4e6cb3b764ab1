"""Tests of the measurement of plates on true labels."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest

from benchmarks.plate_measurements import TABLE, columns, measured_knee
from kneeage.phantom.growth.age_law import MaturityGrid
from kneeage.phantom.growth.law import TABLE1, Sample
from kneeage.phantom.growth.measured import ERRORS, MeasuredPlates, fit_error, measure
from tests.phantom.growth.test_age_law import subjects


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


def test_open_and_closed_plates_are_told_without_error(sample: Sample) -> None:
    measured = measure(sample.latents, np.random.default_rng(0))
    bridged = sample.latents["tibia.bridged"]
    assert set(measured["tibia.measured_openness"][bridged == 0]) == {1.0}
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


def test_plates_that_are_not_measured_say_nothing(sample: Sample) -> None:
    measured = measure(sample.latents, np.random.default_rng(0))
    grid = MaturityGrid(np.arange(5.0, 30.0, 0.05), 0.05)
    assert MeasuredPlates(measured, TABLE1).likelihood("fibula", grid) is None


def test_a_rendered_knee_is_measured_near_its_latents() -> None:
    for row in measured_knee(np.random.default_rng(3), 0):
        assert float(row["measured_openness"]) == pytest.approx(1 - float(row["bridged"]), abs=0.15)
