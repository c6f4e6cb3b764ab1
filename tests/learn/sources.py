"""Tiny synthetic subjects to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kneeage.learn.data import SubjectRegions, SubjectSlices, save_regions, save_slices


class StripeSource:
    """Horizontal stripes of labels, with the label value as the grey value."""

    def __init__(self, subjects: int = 3, shape: tuple[int, int] = (70, 60)) -> None:
        self._subjects, self._shape = subjects, shape

    def __len__(self) -> int:
        return self._subjects

    def draw(self, _: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        rows, columns = self._shape
        stripes = rng.permutation(12).repeat(6)[:rows]
        labels = np.broadcast_to(stripes[:, None], (rows, columns)).astype(np.uint8)
        return (labels / 6 + rng.normal(0, 0.1, labels.shape)).astype(np.float32), labels


class KilledSource(StripeSource):
    """The same stripes, until the process that draws them dies."""

    def __init__(self, draws: int) -> None:
        super().__init__()
        self._left = draws

    def draw(self, index: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("killed")
        return super().draw(index, rng)


def write_regions(folder: Path, subjects: int = 3, size: int = 64) -> Path:
    """Write subjects whose age is the brightness of their regions; subject n has n + 1 slices."""
    rng = np.random.default_rng(0)
    for subject in range(subjects):
        age_years = float(rng.uniform(9, 25))
        regions = rng.normal(age_years / 10, 0.1, (subject + 1, 3, size, size))
        save_regions(folder / f"subject_{subject}.npz", SubjectRegions(regions, subject % 2, age_years))
    return folder


def write_slices(folder: Path, subjects: int = 3, size: int = 64) -> Path:
    """Write subjects of four slices, two of which show a plate whose grey value is the age."""
    rng = np.random.default_rng(0)
    for subject in range(subjects):
        age_years = float(rng.uniform(10, 19))
        labels = np.zeros((4, size, size - 6), dtype=np.uint8)
        labels[1:3, 24:32, 8:50], labels[1:3, 36:40, 8:50] = 1, 10
        images = rng.normal(0, 0.1, labels.shape) + (labels > 0) * age_years / 10
        save_slices(
            folder / f"subject_{subject}.npz", SubjectSlices(images, labels, subject % 2, age_years, f"s{subject}")
        )
    return folder
