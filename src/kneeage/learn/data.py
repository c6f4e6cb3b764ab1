"""What the trainers learn from: slices with labels, and regions around the plates' sites.

Every training item has a running number from which its random generator is made, so that a resumed run draws exactly
what an unbroken one would have drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from kneeage.core.errors import InputRefusedError
from kneeage.learn.settings import FitSettings

FloatArray = NDArray[np.float32]
LabelArray = NDArray[np.uint8]
SliceItem = tuple[torch.Tensor, torch.Tensor]  # image (1, size, size) float32, labels (1, size, size) uint8
RegionItem = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # regions (S, 3, H, W), sex (1,), age in years ()
Item = TypeVar("Item")
# First word of every seed, so that training, validation and order never share random numbers.
_TRAINING, _VALIDATION, _ORDER = 1, 2, 3


class SliceSource(Protocol):
    """Subjects from which labelled slices can be drawn."""

    def __len__(self) -> int:
        """Number of subjects."""

    def draw(self, index: int, rng: np.random.Generator) -> tuple[FloatArray, LabelArray]:
        """Draw a slice of the subject ``index``: standardised image (H, W) and label values (H, W)."""


@dataclass(frozen=True, eq=False)
class SubjectRegions:
    """The regions of one subject.

    Args:
        regions: Shape (S, 3, H, W): standardised grey value, probability of open plate, probability of scar.
        sex: 0 female, 1 male.
        age_years: Chronological age.
    """

    regions: NDArray[np.floating]
    sex: int
    age_years: float


def save_regions(path: Path, subject: SubjectRegions) -> None:
    """Write one subject's regions as an ``.npz`` file (float16, not compressed: it is read at every step)."""
    regions = np.asarray(subject.regions, dtype=np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, regions=regions, sex=np.int64(subject.sex), age_years=np.float64(subject.age_years))


def load_regions(path: Path) -> SubjectRegions:
    """Read what `save_regions` wrote; the regions stay float16.

    Raises:
        InputRefusedError: The file lacks an array, or the regions have not the shape (S, 3, H, W) with S > 0.
    """
    with np.load(path, allow_pickle=False) as arrays:
        missing = {"regions", "sex", "age_years"} - set(arrays)
        if missing:
            raise InputRefusedError(f"{path.name} lacks {', '.join(sorted(missing))}; write it with save_regions")
        regions = arrays["regions"]
        sex, age_years = int(arrays["sex"]), float(arrays["age_years"])
    if regions.ndim != 4 or regions.shape[0] == 0 or regions.shape[1] != 3:
        raise InputRefusedError(
            f"{path.name} holds regions of shape {regions.shape}; needed is (S, 3, H, W) with S > 0"
        )
    return SubjectRegions(regions, sex, age_years)


def region_files(folder: Path) -> list[Path]:
    """List the subjects' files of a folder in a fixed order.

    Raises:
        InputRefusedError: The folder holds none.
    """
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise InputRefusedError(f"no .npz file of regions in {folder}; write one per subject with save_regions")
    return files


def fit_square(
    image: FloatArray, labels: LabelArray, size: int, rng: np.random.Generator | None = None
) -> tuple[FloatArray, LabelArray]:
    """Crop or pad a slice to ``size`` rows and columns.

    Args:
        image: Shape (H, W); padded with its smallest value (air).
        labels: Shape (H, W); padded with background.
        size: Rows and columns wanted.
        rng: Where to cut and to place; ``None`` takes the middle.

    Returns:
        Image and labels of shape (size, size).
    """
    for axis in (0, 1):
        cut, before, after = _placement(image.shape[axis], size, rng)
        keep = [slice(None), slice(None)]
        keep[axis] = cut
        pad = [(0, 0), (0, 0)]
        pad[axis] = (before, after)
        air = image.min()
        image = np.pad(image[tuple(keep)], pad, constant_values=air)
        labels = np.pad(labels[tuple(keep)], pad)
    return image, labels


def _placement(length: int, size: int, rng: np.random.Generator | None) -> tuple[slice, int, int]:
    """Say which part of an axis stays, and how much is added before and after it."""
    room = abs(length - size)
    first = room // 2 if rng is None else int(rng.integers(room + 1))
    if length >= size:
        return slice(first, first + size), 0, 0
    return slice(None), first, room - first


class SliceDataset(Dataset[SliceItem]):
    """Training slices by running number; each pass over the subjects has an order of its own."""

    def __init__(self, source: SliceSource, size: int, seed: int) -> None:
        self._source, self._size, self._seed = source, size, seed

    def __getitem__(self, number: int) -> SliceItem:
        rng = np.random.default_rng((_TRAINING, self._seed, number))
        image, labels = self._source.draw(subject_of(number, len(self._source), self._seed), rng)
        return _slice_item(*fit_square(image, labels, self._size, rng))


class ValidationSlices(Dataset[SliceItem]):
    """The same slices at every validation, spread evenly over the subjects."""

    def __init__(self, source: SliceSource, size: int, seed: int, count: int) -> None:
        self._source, self._size, self._seed, self._count = source, size, seed, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> SliceItem:
        if index >= self._count:
            raise IndexError(index)
        rng = np.random.default_rng((_VALIDATION, self._seed, index))
        image, labels = self._source.draw(index * len(self._source) // self._count, rng)
        return _slice_item(*fit_square(image, labels, self._size))


def _slice_item(image: FloatArray, labels: LabelArray) -> SliceItem:
    """Add the channel axis: (H, W) -> (1, H, W)."""
    pixels = np.ascontiguousarray(image, dtype=np.float32)
    return torch.from_numpy(pixels)[None], torch.from_numpy(np.ascontiguousarray(labels))[None]


class RegionDataset(Dataset[RegionItem]):
    """Training subjects by running number, each with a few random slices."""

    def __init__(self, folder: Path, slices: int, seed: int) -> None:
        self._files, self._slices, self._seed = region_files(folder), slices, seed

    def __getitem__(self, number: int) -> RegionItem:
        rng = np.random.default_rng((_TRAINING, self._seed, number))
        subject = load_regions(self._files[subject_of(number, len(self._files), self._seed)])
        available = len(subject.regions)
        chosen = rng.choice(available, self._slices, replace=available < self._slices)
        return _region_item(subject, subject.regions[chosen])


class ValidationRegions(Dataset[RegionItem]):
    """Every subject once, with all its slices."""

    def __init__(self, folder: Path) -> None:
        self._files = region_files(folder)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> RegionItem:
        subject = load_regions(self._files[index])
        return _region_item(subject, subject.regions)


def _region_item(subject: SubjectRegions, regions: NDArray[np.floating]) -> RegionItem:
    """Turn regions (S, 3, H, W), sex and age into tensors."""
    pixels = torch.from_numpy(regions.astype(np.float32))
    return pixels, torch.tensor([float(subject.sex)]), torch.tensor(subject.age_years, dtype=torch.float32)


@lru_cache(maxsize=4)
def _order(subjects: int, seed: int, turn: int) -> NDArray[np.int64]:
    """Order of the subjects in one pass."""
    return np.random.default_rng((_ORDER, seed, turn)).permutation(subjects)


def subject_of(number: int, subjects: int, seed: int) -> int:
    """Say which subject the training item with this running number is drawn from."""
    turn, position = divmod(number, subjects)
    return int(_order(subjects, seed, turn)[position])


class RunningNumbers(Sampler[int]):
    """Running numbers of one epoch's items; Lightning tells the epoch, also after a resume."""

    def __init__(self, items_per_epoch: int) -> None:
        self._items, self._epoch = items_per_epoch, 0

    def set_epoch(self, epoch: int) -> None:
        """Go on to the items of this epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._items

    def __iter__(self) -> Iterator[int]:
        first = self._epoch * self._items
        return iter(range(first, first + self._items))


def training_loader(dataset: Dataset[Item], fit: FitSettings) -> DataLoader[Item]:
    """Batches of one epoch after the other."""
    sampler = RunningNumbers(fit.batch_size * fit.steps_per_epoch)
    return DataLoader(
        dataset,
        batch_size=fit.batch_size,
        sampler=sampler,
        num_workers=fit.workers,
        persistent_workers=fit.workers > 0,
    )
