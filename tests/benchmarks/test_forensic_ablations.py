"""Every candidate of the forensic age model is a set of options that trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.forensic_ablations import CANDIDATES, ENSEMBLE, SIMPLER, _median, judge
from kneeage.learn.age_model import train_age_model
from kneeage.learn.presets import overridden, preset
from tests.learn.sources import write_regions

QUICK = [
    *("fit.batch_size=2", "fit.max_steps=2", "fit.steps_per_epoch=2", "fit.precision=32-true"),
    *("fit.progress_bar=false", "width=0.125", "slices_per_subject=1"),
]


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_is_made_of_known_options(name: str) -> None:
    assert overridden(preset("forensic").age_model, CANDIDATES[name]).age_edges_years[-1] == 26


def test_two_models_answer_together(tmp_path: Path) -> None:
    folder = write_regions(tmp_path / "regions", subjects=2, size=32)
    settings = overridden(preset("forensic").age_model, [*QUICK, *CANDIDATES["ordinal (CORN)"]])
    checkpoint = train_age_model(folder, folder, settings, tmp_path / "run")
    files = sorted(folder.iterdir())
    ages, even = np.array([10.0, 20.0]), np.full(36, 1 / 36)
    errors, losses = judge([checkpoint, checkpoint], files, ages, even)
    assert errors.shape == losses.shape == (2,)
    assert (losses > 0).all()
    # An age that hardly anybody was trained on is what an image says that gives it any probability.
    rare = np.where(np.arange(36) == 4, 1e-9, even)
    assert judge([checkpoint, checkpoint], files, ages, rare)[1][0] == pytest.approx(0, abs=1e-4)


def test_every_candidate_is_compared_with_a_simpler_one() -> None:
    names = [*CANDIDATES, ENSEMBLE]
    assert set(SIMPLER) == set(names[1:])
    assert all(names.index(simpler) < names.index(name) for name, simpler in SIMPLER.items())


def test_the_median_lies_within_its_bin() -> None:
    assert _median(np.array([0.25, 0.5, 0.25]), np.array([8.0, 9.0, 10.0, 11.0])) == pytest.approx(9.5)
