"""Where pixels are in the world, by pydicom and numpy alone: nothing of the package is used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset


@dataclass(frozen=True)
class Frame:
    """A frame: its rescaled pixels, its place (LPS in mm), and what names it."""

    pixels: np.ndarray
    position: np.ndarray
    orientation: np.ndarray
    spacing: np.ndarray
    uid: str
    number: int | None
    item: Dataset

    def world(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Place pixels in the world, shape (N, 3). Source: DICOM PS3.3 equation C.7.6.2.1-1."""
        across = self.orientation[:3] * self.spacing[1]
        down = self.orientation[3:] * self.spacing[0]
        return self.position + np.outer(columns, across) + np.outer(rows, down)


def frames_below(folder: Path) -> list[Frame]:
    """Read every frame of every file in a folder."""
    return [frame for path in sorted(folder.iterdir()) for frame in frames_of(path)]


def frames_of(path: Path) -> Iterator[Frame]:
    """Read every frame of a file."""
    dataset = pydicom.dcmread(path)
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        yield _frame(dataset.pixel_array, [dataset], str(dataset.SOPInstanceUID), None, dataset)
        return
    shared = dataset.SharedFunctionalGroupsSequence[0]
    pixels = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    for number, (values, group) in enumerate(zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True), 1):
        macros = [element.value[0] for level in (group, shared) for element in level if element.VR == "SQ"]
        yield _frame(values, macros, str(dataset.SOPInstanceUID), number, group)


def _frame(pixels: np.ndarray, levels: list[Dataset], uid: str, number: int | None, item: Dataset) -> Frame:
    """Read one frame; the first level that has an attribute tells it."""

    def numbers(keyword: str, default: object = None) -> np.ndarray:
        found = next((level[keyword].value for level in levels if keyword in level), default)
        return np.array(found, dtype=float)

    values = pixels * numbers("RescaleSlope", 1.0) + numbers("RescaleIntercept", 0.0)
    place = (numbers(keyword) for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
    return Frame(values, *place, uid, number, item)
