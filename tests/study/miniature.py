"""A study so small that a test does it whole: eight virtual subjects on few pixels, two folds, two steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from kneeage.core.anatomy import Sex
from kneeage.core.workers import in_turn
from kneeage.learn.prepared_cohort import Tell
from kneeage.phantom.cohort.make import CohortRecipe, make_cohort
from kneeage.phantom.cohort.presets import Preset, Stratum, Subset
from kneeage.phantom.cohort.subject import HOSPITAL_A, HOSPITAL_B, Hospital
from kneeage.phantom.cohort.write import FileFormat
from kneeage.phantom.growth.table import TABLE1
from kneeage.phantom.scanner.protocol import Layout
from tests.phantom.miniature import ONE_PLANE

TINY_FIT = [f"{part}.fit.{name}" for part in ("segmenter", "age_model", "end_to_end") for name in (
    "batch_size=2", "max_steps=2", "epochs=null", "steps_per_epoch=2", "progress_bar=false", "precision=32-true",
    "channels_last=false",
)]  # fmt: skip
TINY = [
    *TINY_FIT,
    "folds=2",
    "segmenter.architecture=light",
    "segmenter.widths=[4,4,8]",
    "segmenter.size=64",
    "segmenter.validation_slices=2",
    "age_model.width=0.125",
    "age_model.slices_per_subject=2",
    "end_to_end.width=0.125",
    "end_to_end.size=64",
]


def few_pixels(hospital: Hospital) -> Hospital:
    """A hospital that scans few pixels, but enough slices for an age to be told."""
    return replace(hospital, coronal=Layout((150, 165), (112,), (10, 10), (4.0, 4.0), (0.3, 0.3)))


def preset(internal: int, external: int, years: range = range(12, 14)) -> Preset:
    """So many subjects of every completed year in both groups."""
    groups = ((Subset.TRAINING, HOSPITAL_A, internal), (Subset.EXTERNAL, HOSPITAL_B, external))
    strata = tuple(
        Stratum(subset, few_pixels(hospital), Sex.MALE, year, number)
        for subset, hospital, number in groups
        for year in years
    )
    return Preset("miniature", strata, TABLE1, people=9)


def make_small_cohort(folder: Path, chosen: Preset) -> Path:
    """Make a cohort of a preset."""
    recipe = CohortRecipe(chosen, chosen.subjects, 3, FileFormat.NIFTI, ONE_PLANE)
    make_cohort(folder, recipe, in_turn, lambda _done, _total: None)
    return folder


@contextmanager
def no_counting(_words: str) -> Iterator[Tell]:
    """Show nothing."""
    yield lambda _done, _total: None
