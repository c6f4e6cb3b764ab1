"""What the trainers learn from: slices with labels, and regions around the plates' sites.

Every training item has a running number from which its random generator is made, so that a resumed run draws exactly
what an unbroken one would have drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, Dataset, Sampler

from kneeage.core.errors import InputRefusedError
from kneeage.infer.facts import facts_row
from kneeage.learn.settings import FitSettings

FloatArray = NDArray[np.float32]
LabelArray = NDArray[np.uint8]
SliceItem = tuple[torch.Tensor, torch.Tensor]  # image (1, size, size) float32, labels (1, size, size) uint8
RegionItem = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # regions (S, 3, H, W), facts (F,), age in years ()
Item = TypeVar("Item")
Files = Path | Sequence[Path]  # a folder of .npz files, one per subject, or the files themselves
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
        subject_id: The subject's id in the cohort's table; empty where there is no table.
        facts: What else is known of the subject, its series and its plates, by the names of ``kneeage.infer.facts``.
    """

    regions: NDArray[np.floating]
    sex: int
    age_years: float
    subject_id: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)

    def row(self, names: Sequence[str]) -> FloatArray:
        """Put the facts into the order that a network wants, shape (1, F)."""
        return facts_row(names, {**self.facts, "sex": float(self.sex)})


@dataclass(frozen=True, eq=False)
class SubjectSlices:
    """The prepared slices of one subject.

    Args:
        images: Standardised grey values, shape (S, H, W).
        labels: Label values, uint8, shape (S, H, W); None where the subject was not labelled.
        sex: 0 female, 1 male.
        age_years: Chronological age.
        subject_id: The subject's id in the cohort's table; empty where there is no table.
    """

    images: NDArray[np.floating]
    labels: LabelArray | None
    sex: int
    age_years: float
    subject_id: str = ""


def save_regions(path: Path, subject: SubjectRegions) -> None:
    """Write one subject's regions as an ``.npz`` file (float16, not compressed: it is read at every step)."""
    named = {"fact_names": np.array([*subject.facts], dtype=np.str_), "facts": np.array([*subject.facts.values()])}
    _save(path, subject, regions=np.asarray(subject.regions, dtype=np.float16), **named)


def load_regions(path: Path) -> SubjectRegions:
    """Read what `save_regions` wrote; the regions stay float16.

    Raises:
        InputRefusedError: The file lacks an array, or the regions have not the shape (S, 3, H, W) with S > 0.
    """
    with np.load(path, allow_pickle=False) as arrays:
        _check_arrays(path, arrays, {"regions", "sex", "age_years", "fact_names", "facts"}, "save_regions")
        regions = arrays["regions"]
        facts = dict(zip(arrays["fact_names"].tolist(), arrays["facts"].tolist(), strict=True))
        subject = SubjectRegions(regions, int(arrays["sex"]), float(arrays["age_years"]), _subject_id(arrays), facts)
    if regions.ndim != 4 or regions.shape[0] == 0 or regions.shape[1] != 3:
        raise InputRefusedError(
            f"{path.name} holds regions of shape {regions.shape}; needed is (S, 3, H, W) with S > 0"
        )
    return subject


def save_slices(path: Path, subject: SubjectSlices) -> None:
    """Write one subject's slices as an ``.npz`` file: images float16, labels uint8, not compressed."""
    arrays = {"images": np.asarray(subject.images, dtype=np.float16)}
    labels = {} if subject.labels is None else {"labels": np.asarray(subject.labels, dtype=np.uint8)}
    _save(path, subject, **arrays, **labels)


def load_slices(path: Path) -> SubjectSlices:
    """Read what `save_slices` wrote; the images stay float16.

    Raises:
        InputRefusedError: The file lacks an array, or images and labels have not one shape (S, H, W) with S > 0.
    """
    with np.load(path, allow_pickle=False) as arrays:
        _check_arrays(path, arrays, {"images", "sex", "age_years"}, "save_slices")
        images, labels = arrays["images"], arrays.get("labels")
        subject = SubjectSlices(images, labels, int(arrays["sex"]), float(arrays["age_years"]), _subject_id(arrays))
    shapes = {array.shape for array in (images, labels) if array is not None}
    if images.ndim != 3 or images.shape[0] == 0 or len(shapes) > 1:
        raise InputRefusedError(
            f"{path.name} holds images and labels of the shapes {sorted(shapes)}; needed is one shape (S, H, W) with "
            "S > 0"
        )
    return subject


def _save(path: Path, subject: SubjectRegions | SubjectSlices, **arrays: NDArray[np.generic]) -> None:
    """Write arrays with what is known of the subject; what stands at the path is whole at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.part")
    facts = {"sex": np.int64(subject.sex), "age_years": np.float64(subject.age_years)}
    with temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, subject_id=np.str_(subject.subject_id), **facts, **arrays)
    temporary.replace(path)


def _check_arrays(path: Path, found: Iterable[str], needed: set[str], writer: str) -> None:
    """Refuse a file that lacks an array."""
    missing = needed - set(found)
    if missing:
        raise InputRefusedError(f"{path.name} lacks {', '.join(sorted(missing))}; write it with {writer}")


def _subject_id(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """Read the subject's id; older files have none."""
    return str(arrays["subject_id"]) if "subject_id" in arrays else ""


def region_files(source: Files) -> list[Path]:
    """List the subjects' files: those of a folder in a fixed order, or those that are given.

    Raises:
        InputRefusedError: There are none.
    """
    return _files(source, "regions", "save_regions")


def slice_files(source: Files) -> list[Path]:
    """List the subjects' files of slices, as `region_files` does.

    Raises:
        InputRefusedError: There are none.
    """
    return _files(source, "slices", "save_slices")


def _files(source: Files, kind: str, writer: str) -> list[Path]:
    """List files, or refuse a source without any."""
    files = sorted(source.glob("*.npz")) if isinstance(source, Path) else list(source)
    if not files:
        where = f" in {source}" if isinstance(source, Path) else " in the list"
        raise InputRefusedError(f"no .npz file of {kind}{where}; write one per subject with {writer}")
    return files


class LabelledSlices:
    """Subjects whose labelled slices are drawn from files; a `SliceSource`.

    Args:
        source: Folder or files that `save_slices` wrote.

    Raises:
        InputRefusedError: There are none.
    """

    def __init__(self, source: Files) -> None:
        self._files = slice_files(source)

    def __len__(self) -> int:
        return len(self._files)

    def draw(self, index: int, rng: np.random.Generator) -> tuple[FloatArray, LabelArray]:
        """Draw one slice of a subject: image (H, W) and labels (H, W).

        Raises:
            InputRefusedError: The subject has no labels.
        """
        images, labels = labelled(self._files[index])
        chosen = int(rng.integers(len(images)))
        return images[chosen].astype(np.float32), labels[chosen]


def labelled(path: Path) -> tuple[NDArray[np.floating], LabelArray]:
    """Read images and labels of one subject, both (S, H, W).

    Raises:
        InputRefusedError: The subject has no labels.
    """
    subject = load_slices(path)
    if subject.labels is None:
        raise InputRefusedError(f"{path.name} holds no labels; leave the subject out of this training, or label it")
    return subject.images, subject.labels


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

    def __init__(self, source: Files, slices: int, seed: int, facts: Sequence[str] = ("sex",)) -> None:
        self._files, self._slices, self._seed, self._facts = region_files(source), slices, seed, facts

    @property
    def subjects(self) -> int:
        """Number of subjects; a pass holds each once."""
        return len(self._files)

    def __getitem__(self, number: int) -> RegionItem:
        rng = np.random.default_rng((_TRAINING, self._seed, number))
        subject = load_regions(self._files[subject_of(number, len(self._files), self._seed)])
        available = len(subject.regions)
        chosen = rng.choice(available, self._slices, replace=available < self._slices)
        return _region_item(subject, subject.regions[chosen], self._facts)


class ValidationRegions(Dataset[RegionItem]):
    """Every subject once, with all its slices."""

    def __init__(self, source: Files, facts: Sequence[str] = ("sex",)) -> None:
        self._files, self._facts = region_files(source), facts

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> RegionItem:
        subject = load_regions(self._files[index])
        return _region_item(subject, subject.regions, self._facts)


def _region_item(subject: SubjectRegions, regions: NDArray[np.floating], facts: Sequence[str]) -> RegionItem:
    """Turn regions (S, 3, H, W), named facts and age into tensors."""
    pixels = torch.from_numpy(regions.astype(np.float32))
    return pixels, torch.from_numpy(subject.row(facts)[0]), torch.tensor(subject.age_years, dtype=torch.float32)


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
        worker_init_fn=_keep_to_one_thread,
    )


def _keep_to_one_thread(_worker: int) -> None:
    """Keep numpy in a process that draws items to one thread: more only wait for each other on the same cores."""
    threadpool_limits(1)
