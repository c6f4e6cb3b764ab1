"""DICOM sources of many kinds, made with plain pydicom, and labels that their own grey values tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import Dataset

from kneeage.core.anatomy import Label
from kneeage.core.volume import Volume
from kneeage.io.read import load
from kneeage.io.series import LoadedSeries
from tests.io.support import CORONAL, SAGITTAL, Made, enhanced, save, write_series

SHAPE = (21, 18)
SLICES = 6
# Columns run 20 degrees towards the back and 10 towards the feet; rows stay at a right angle.
_COLUMN = np.array([np.cos(0.35) * np.cos(0.17), np.sin(0.35) * np.cos(0.17), -np.sin(0.17)])
_ROW = np.cross(np.cross(_COLUMN, (0.0, 0.1, -1.0)), _COLUMN)
OBLIQUE = tuple(float(x) for x in (*_COLUMN, *(_ROW / np.linalg.norm(_ROW))))
HEADER = {
    "FrameOfReferenceUID": "1.2.7",
    "PatientSex": "M",
    "PatientBirthDate": "20010203",
    "StudyDate": "20240229",
    "StudyTime": "101112",
    "StudyID": "7",
    "AccessionNumber": "A-17",
    "ReferringPhysicianName": "",
    "StudyDescription": "MR knee",
    "SeriesNumber": 401,
    "Laterality": "R",
}


def source(**changes: object) -> Made:
    """Give the recipe of a small coronal source of the right knee."""
    made = Made(slices=SLICES, shape=SHAPE, spacing=(0.5, 0.7))
    return made.but(**{**HEADER, **changes})


def oriented(orientation: tuple[float, ...], **changes: object) -> Made:
    """Give the recipe of a source of another orientation."""
    made = source(**changes)
    return Made(made.slices, made.uid, made.study, orientation, made.step, made.spacing, made.shape, made.extra)


def sheared(one: Dataset, k: int) -> None:
    """Let the stack lean by about 3 degrees."""
    position = np.array([float(x) for x in one.ImagePositionPatient])
    lean = 0.05 * 3.8 * k * np.array([float(x) for x in one.ImageOrientationPatient[:3]])
    one.ImagePositionPatient = [round(float(x), 6) for x in position + lean]


def _classic(made: Made, edit: Callable[[Dataset, int], None] | None = None) -> Callable[[Path], LoadedSeries]:
    """Write single-frame files and read them."""

    def read(folder: Path) -> LoadedSeries:
        write_series(folder, made, edit)
        return load(folder)

    return read


def _multi_frame(made: Made) -> Callable[[Path], LoadedSeries]:
    """Write one multi-frame file, its frames in reverse order, and read it."""

    def read(folder: Path) -> LoadedSeries:
        save(enhanced(made), folder / "enhanced.dcm")
        return load(folder)

    return read


def _two_echoes(folder: Path) -> LoadedSeries:
    """Write one multi-frame file that holds two echoes at the same places, and read the second."""
    one, other = enhanced(source()), enhanced(source(), echo=lambda _: 80.0)
    one.NumberOfFrames = 2 * SLICES
    one.PerFrameFunctionalGroupsSequence += other.PerFrameFunctionalGroupsSequence
    one.PixelData += other.PixelData
    save(one, folder / "enhanced.dcm")
    return load(folder, f"{source().uid}#echo2")


SOURCES: dict[str, Callable[[Path], LoadedSeries]] = {
    "coronal": _classic(source()),
    "sagittal": _classic(oriented(SAGITTAL)),
    "oblique": _classic(oriented(OBLIQUE)),
    "tilted": _classic(oriented(CORONAL), sheared),
    "tilted oblique": _classic(oriented(OBLIQUE), sheared),
    "left": _classic(source(Laterality="L")),
    "head first": _classic(oriented((-1.0, 0.0, 0.0, 0.0, 0.0, 1.0))),
    "enhanced": _multi_frame(source()),
    "enhanced oblique left": _multi_frame(oriented(OBLIQUE, Laterality="L")),
    "enhanced of two echoes": _two_echoes,
    "one slice": _classic(Made(1, "1.2.3", "1.2", CORONAL, 3.8, (0.5, 0.7), SHAPE, source().extra)),
}


def labels_of(series: LoadedSeries) -> Volume:
    """Label by grey value: every voxel has its own, so that a voxel out of place is found by its value."""
    return series.volume.with_array(labels_of_values(series.volume.array))


def labels_of_values(values: np.ndarray) -> np.ndarray:
    """Give the label of each grey value; slices at either end have none, and neither do some inside."""
    stored = np.rint(values).astype(int)
    found = np.zeros(stored.shape, np.uint8)
    for label, remainder in (
        (Label.DISTAL_FEMUR_PHYSIS, 1),
        (Label.PROXIMAL_TIBIA_PHYSEAL_SCAR, 3),
        (Label.DISTAL_FEMUR_EPIPHYSIS, 4),
    ):
        found[(stored % 7 == remainder) & (stored // 11 % 4 == 2)] = label
    return found
