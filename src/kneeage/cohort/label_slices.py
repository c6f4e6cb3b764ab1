"""A label map seen slice by slice: masks, heights in the world, connected parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.core.anatomy import Label, Plane
from kneeage.core.volume import FloatArray, Volume
from kneeage.prepare.plane import plane_of_axis, slice_axis

FACES = ndimage.generate_binary_structure(3, 1)
FACES_IN_SLICE = FACES & np.array([False, True, False])

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LabelSlices:
    """Labels with their slices along the last axis.

    Args:
        grid: Where ``found`` is.
        found: Permanent labels, uint8, shape (I, J, K); the margin within the slices is cut off.
        values: All labels as they were read.
    """

    grid: Volume
    found: NDArray[np.uint8] = field(repr=False)
    values: NDArray[Any] = field(repr=False)

    @classmethod
    def of(cls, labels: Volume) -> LabelSlices:
        """Turn the slice axis, or the last one of a near-isotropic volume, to the end; none is reversed."""
        axis, codes = slice_axis(labels), labels.orientation
        grid = labels if axis is None else labels.reoriented(codes[:axis] + codes[axis + 1 :] + codes[axis])
        values = np.rint(grid.array[0])
        found = np.where(is_permanent(values), values, Label.BACKGROUND).astype(np.uint8)
        return cls(*_cropped(grid, found), grid.array[0])

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        return abs(float(np.linalg.det(self.grid.affine[:3, :3])))

    @property
    def is_axial(self) -> bool:
        """Whether the slices lie across the leg."""
        return plane_of_axis(self.grid, 2) is Plane.AXIAL

    def of_labels(self, labels: Iterable[Label]) -> BoolArray:
        """Mark labels."""
        table = np.zeros(256, dtype=bool)
        table[list(labels)] = True
        return table[self.found]

    def has(self, labels: Iterable[Label]) -> bool:
        """Say whether one of the labels is there."""
        return bool(self.of_labels(labels).any())

    def heights_mm(self, mask: BoolArray) -> tuple[FloatArray, NDArray[np.intp]]:
        """Give the height in the world, and the slice, of every voxel of a mask."""
        index = np.argwhere(mask)
        return self.grid.world(index)[:, 2], index[:, 2]

    def height_mm(self, labels: Iterable[Label]) -> float:
        """Give the median height of labels that are there."""
        return float(np.median(self.heights_mm(self.of_labels(labels))[0]))

    def touching(self, mask: BoolArray, reach_mm: float = 0.0) -> BoolArray:
        """Widen a mask within its slices, by one voxel at least."""
        wide = mask.astype(np.uint8)
        for axis in (0, 1):
            reach = max(1, round(reach_mm / self.grid.spacing[axis]))
            wide = ndimage.maximum_filter1d(wide, 2 * reach + 1, axis=axis, mode="constant")
        return wide.astype(bool)


@dataclass(frozen=True, eq=False)
class Part:
    """One connected part of a mask.

    Args:
        index: Its voxels, shape (voxels, 3).
        labels: Their labels.
        volume_mm3: Its volume.
    """

    index: NDArray[np.intp] = field(repr=False)
    labels: NDArray[np.uint8] = field(repr=False)
    volume_mm3: float

    @property
    def main_label(self) -> Label:
        """Its most frequent label."""
        return Label(int(np.bincount(self.labels).argmax()))

    @property
    def slices(self) -> set[int]:
        """Its slices, from 0."""
        return set(self.index[:, 2].tolist())


def connected_parts(look: LabelSlices, mask: BoolArray) -> list[Part]:
    """Give the connected parts of a mask, the largest first; voxels connect by their faces."""
    numbered, count = ndimage.label(mask, FACES)
    index = np.argwhere(mask)
    own = numbered[mask]
    order, sizes = np.argsort(own, kind="stable"), np.bincount(own, minlength=count + 1)[1:]
    places = np.split(index[order], np.cumsum(sizes)[:-1]) if count else []
    parts = [Part(place, look.found[tuple(place.T)], len(place) * look.voxel_mm3) for place in places]
    return sorted(parts, key=lambda part: -part.volume_mm3)


def is_permanent(values: NDArray[Any]) -> BoolArray:
    """Mark whole values that are labels."""
    return np.asarray((values >= min(Label)) & (values <= max(Label)))


def _cropped(grid: Volume, found: NDArray[np.uint8]) -> tuple[Volume, NDArray[np.uint8]]:
    """Cut off columns and rows without a label; every slice stays."""
    columns, rows = (_span(np.asarray(found.any(axis=axes))) for axes in ((1, 2), (0, 2)))
    affine = grid.affine.copy()
    affine[:3, 3] = grid.world((columns.start, rows.start, 0))
    part = np.ascontiguousarray(found[columns, rows])
    return Volume(part[None], affine), part


def _span(there: BoolArray) -> slice:
    """Give the range from the first to the last true value; the first value alone where there is none."""
    places = np.flatnonzero(there)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 1)
