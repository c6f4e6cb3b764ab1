"""Cohorts so small that tests make them in a moment."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from kneeage.core.anatomy import Sex
from kneeage.phantom.cohort.make import CohortRecipe
from kneeage.phantom.cohort.presets import Preset, Stratum, Subset
from kneeage.phantom.cohort.subject import HOSPITAL_A, HOSPITAL_B, Hospital, Imaging
from kneeage.phantom.cohort.write import FileFormat
from kneeage.phantom.growth.table import FORENSIC
from kneeage.phantom.scanner.protocol import Layout

ONE_PLANE = Imaging(planes_per_slice=1)


def coarse(hospital: Hospital, pixels: int = 48, slices: int = 4) -> Hospital:
    """A hospital that scans few pixels, and twice as many slices half as far apart in 3D."""
    layout = Layout((150, 165), (pixels,), (slices, slices), (16.0, 16.0), (0.3, 0.3))
    volumetric = Layout((150, 165), (pixels,), (2 * slices, 2 * slices), (8.0, 8.0), (1.0, 1.0))
    return replace(hospital, coronal=layout, sagittal=layout, volumetric=volumetric)


SMALL_PRESET = Preset(
    "small",
    (
        Stratum(Subset.TRAINING, coarse(HOSPITAL_A), Sex.MALE, 11, 3),
        Stratum(Subset.EXTERNAL, coarse(HOSPITAL_B), Sex.FEMALE, 17, 3),
    ),
    FORENSIC,
    people=9,
)


def small_recipe(subjects: int = 3, seed: int = 1, file_format: FileFormat = FileFormat.NIFTI) -> CohortRecipe:
    """A recipe of a small cohort."""
    return CohortRecipe(SMALL_PRESET, subjects, seed, file_format, ONE_PLANE)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
