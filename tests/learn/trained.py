"""Finished runs on the cohort of six: a tiny segmenter, and age models behind it whose regions hold the true plates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kneeage.cohort.folder import read_cohort
from kneeage.core.manifest import AgeStage
from kneeage.core.workers import in_turn
from kneeage.learn import train_cohort
from kneeage.learn.settings import AgeModelSettings, EndToEndSettings, FitSettings, SegmenterSettings
from kneeage.learn.train_cohort import AnySettings, CohortTraining, own_run, prepare_material, train
from tests.learn.cohorts import draw_the_truth, silent

FIT = FitSettings(
    batch_size=2, max_steps=2, steps_per_epoch=1, precision="32-true", accelerator="cpu", progress_bar=False
)
SEGMENTER = SegmenterSettings(fit=FIT, widths=(8, 8, 8), size=64, validation_slices=2)
# The boys are of 11 years: bins so fine that they fall into several.
AGE = AgeModelSettings(
    fit=FIT, width=0.125, slices_per_subject=1, age_edges_years=(8, 10, *(11 + tenth / 10 for tenth in range(11)), 26)
)
END_TO_END = EndToEndSettings(fit=replace(FIT, epochs=1), width=0.125, size=64)
STAGE = AgeStage(files=["age.onnx"], region_shape=(64, 64), max_slices=4, min_slices=1)


def trained(cohort: Path, run: Path, settings: AnySettings, segmenter: Path | None = None) -> Path:
    """Train; give the folder of the run."""
    training = CohortTraining(read_cohort(cohort), run, settings, segmenter)
    with own_run(training) as split:
        train(training, prepare_material(training, split, in_turn, silent))
    return run


def truth_is_drawn(patch: pytest.MonkeyPatch) -> None:
    """Let the segmenter draw the truth, and let an age model take any number of slices."""
    draw_the_truth(patch)
    patch.setattr(train_cohort, "age_stage", lambda: STAGE)
