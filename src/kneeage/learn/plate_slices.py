"""Whole slices with the subject's age: what the end-to-end model learns from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch.utils.data import Dataset

from kneeage.core.anatomy import PLATE_SITES
from kneeage.learn.data import (
    Files,
    FloatArray,
    RegionItem,
    SubjectSlices,
    fit_square,
    labelled,
    load_slices,
    slice_files,
    subject_of,
)

# Labels of open plates and of their scars.
PLATE_LABELS = tuple(int(label) for site in PLATE_SITES for label in (site.open_plate, site.scar))
# A slice shows the plates when it shows at least this share of the subject's largest plate area. Source: ours; the
# share of the width by which serving chooses slices (kneeage.infer.region).
MIN_AREA_SHARE = 0.5
Areas = TypeVar("Areas", NDArray[Any], torch.Tensor)


def shows_plates(areas: Areas) -> Areas:
    """Say which slices of a subject show the plates; all of them when none has any.

    Args:
        areas: Area of plate and scar in each slice, or its expected value, in pixels, shape (S,).

    Returns:
        True or false for each slice, shape (S,).
    """
    enough: Areas = areas >= MIN_AREA_SHARE * areas.max()
    return enough


def squares(images: NDArray[np.floating], size: int) -> FloatArray:
    """Cut or pad slices (S, H, W) about their middle to (S, size, size)."""
    no_labels = np.zeros(images.shape[1:], dtype=np.uint8)
    return np.stack([fit_square(image.astype(np.float32), no_labels, size)[0] for image in images])


class PlateSlices(Dataset[RegionItem]):
    """Training slices by running number: every labelled slice that shows the plates, once a pass.

    An item is image (1, size, size), sex (1,) and age in years ().

    Args:
        source: Folder or files that `kneeage.learn.data.save_slices` wrote.
        size: Rows and columns.
        seed: Of the order of the slices.

    Raises:
        InputRefusedError: There are no files, or one of them has no labels.
    """

    def __init__(self, source: Files, size: int, seed: int) -> None:
        self._size, self._seed = size, seed
        bar = Console(stderr=True)
        files = track(slice_files(source), description="slices with plates", console=bar, transient=True)
        self._slices = [(path, int(index)) for path in files for index in _plate_slices(path)]

    @property
    def slices(self) -> int:
        """Number of slices; a pass holds each once."""
        return len(self._slices)

    def __getitem__(self, number: int) -> RegionItem:
        path, index = self._slices[subject_of(number, len(self._slices), self._seed)]
        subject = load_slices(path)
        return _item(subject, squares(subject.images[index : index + 1], self._size))


class SubjectSquares(Dataset[RegionItem]):
    """Every subject once with all its slices: images (S, 1, size, size), sex (1,), age in years ().

    Args:
        source: Folder or files that `kneeage.learn.data.save_slices` wrote.
        size: Rows and columns.

    Raises:
        InputRefusedError: There are none.
    """

    def __init__(self, source: Files, size: int) -> None:
        self._files, self._size = slice_files(source), size

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> RegionItem:
        subject = load_slices(self._files[index])
        return _item(subject, squares(subject.images, self._size)[:, None])


def _plate_slices(path: Path) -> NDArray[np.intp]:
    """List the slices of a subject that show its plates."""
    _, labels = labelled(path)
    return np.flatnonzero(shows_plates(np.isin(labels, PLATE_LABELS).sum((1, 2))))


def _item(subject: SubjectSlices, images: FloatArray) -> RegionItem:
    """Turn images of any shape, sex and age into tensors."""
    sex, age_years = torch.tensor([float(subject.sex)]), torch.tensor(subject.age_years, dtype=torch.float32)
    return torch.from_numpy(images), sex, age_years
