"""A cohort of three boys of eleven and three girls of seventeen, and a segmenter that draws the truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.volume import Volume
from kneeage.core.workers import in_turn
from kneeage.infer.segment import OPEN_PLATES, SCARS, SliceLabels
from kneeage.learn import prepared_cohort
from kneeage.phantom.cohort.make import CohortRecipe, make_cohort
from kneeage.phantom.cohort.presets import Preset, Stratum, Subset
from kneeage.phantom.cohort.subject import HOSPITAL_A, HOSPITAL_B, Hospital
from kneeage.phantom.cohort.write import FileFormat
from kneeage.phantom.growth.table import FORENSIC
from kneeage.phantom.scanner.protocol import Layout
from tests.phantom.miniature import ONE_PLANE


def _coarse(hospital: Hospital) -> Hospital:
    """A hospital that scans few pixels, and eight slices from the front to the back of the knee."""
    return replace(hospital, coronal=Layout((150, 165), (48,), (8, 8), (8.0, 8.0), (0.3, 0.3)))


_PRESET = Preset(
    "six",
    (
        Stratum(Subset.TRAINING, _coarse(HOSPITAL_A), Sex.MALE, 11, 3),
        Stratum(Subset.EXTERNAL, _coarse(HOSPITAL_B), Sex.FEMALE, 17, 3),
    ),
    FORENSIC,
    people=9,
)


def silent(_done: int, _total: int) -> None:
    """Say nothing."""


def make_six(folder: Path) -> Path:
    """Make the cohort."""
    recipe = CohortRecipe(_PRESET, 6, 1, FileFormat.NIFTI, ONE_PLANE)
    make_cohort(folder, recipe, in_turn, silent)
    return folder


def draw_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the true labels stand for what a segmenter draws; its network is never loaded."""
    truth: list[Volume] = []
    prepared = prepared_cohort._prepared

    def remembered(*arguments: object) -> object:
        found = prepared(*arguments)
        truth[:] = [found[1]]
        return found

    def drawn(*_: object) -> SliceLabels:
        (labels,) = truth
        masks = [np.isin(labels.array[0], group) for group in (OPEN_PLATES, SCARS)]
        return SliceLabels(labels, labels.with_array(np.stack(masks).astype(np.float32)), np.zeros(1, np.uint8))

    monkeypatch.setattr(prepared_cohort, "_prepared", remembered)
    monkeypatch.setattr(prepared_cohort, "label_slices", drawn)
    monkeypatch.setattr(prepared_cohort, "_engine", lambda _: None)
