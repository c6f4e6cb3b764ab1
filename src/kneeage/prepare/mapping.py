"""What a change of the slice grid can do: bring images forth and back, and let labels win on the other grid.

Slices are arrays of shape (..., J, I), rows before columns, as a network sees them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kneeage.core.errors import UsageError

FloatSlices = NDArray[np.float32]
Box = tuple[slice, slice]

# Probabilities of one voxel may miss a sum of one by this much (they may have been stored as float16).
SUM_TOLERANCE = 0.02


class SliceMap(Protocol):
    """A change of the in-plane grid, the same for all slices."""

    def forward(self, slices: FloatSlices) -> FloatSlices:
        """Interpolate (..., J, I) of the source grid on the prepared grid."""

    def backward(self, slices: FloatSlices) -> FloatSlices:
        """Interpolate (..., J, I) of the prepared grid on the source grid."""

    def backward_box(self, image: FloatSlices, box: Box, /) -> tuple[FloatSlices, Box]:
        """Interpolate one image (J, I) on the part of the source grid that draws on the box; give it and the part."""

    def backward_nearest(self, slices: NDArray[np.generic]) -> NDArray[np.generic]:
        """Take the nearest value of (..., J, I) for each voxel of the source grid."""


@dataclass(frozen=True)
class Chain:
    """Several maps after each other; none at all changes nothing."""

    maps: tuple[SliceMap, ...] = ()

    def forward(self, slices: FloatSlices) -> FloatSlices:
        """Go through all maps, first to last."""
        for step in self.maps:
            slices = step.forward(slices)
        return slices

    def backward(self, slices: FloatSlices) -> FloatSlices:
        """Go back through all maps, last to first."""
        for step in reversed(self.maps):
            slices = step.backward(slices)
        return slices

    def backward_box(self, image: FloatSlices, box: Box) -> tuple[FloatSlices, Box]:
        """Go back where the box is drawn on; only a single map can make use of it."""
        if len(self.maps) == 1:
            return self.maps[0].backward_box(image, box)
        values = self.backward(image)
        return values, (slice(0, values.shape[-2]), slice(0, values.shape[-1]))

    def backward_nearest(self, slices: NDArray[np.generic]) -> NDArray[np.generic]:
        """Go back through all maps by nearest values."""
        for step in reversed(self.maps):
            slices = step.backward_nearest(slices)
        return slices


def winners_forward(classes: FloatSlices, change: SliceMap) -> NDArray[np.uint8]:
    """Number of the class that wins at each voxel of the prepared grid.

    Args:
        classes: Shares of shape (L, J, I) on the source grid.
        change: The change of grid.

    Returns:
        Class numbers of shape (J', I'); the first of equal ones.
    """
    return np.asarray(np.argmax(change.forward(classes), axis=0), np.uint8)


def winners_backward(classes: FloatSlices, change: SliceMap, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Number of the class that wins at each voxel of the source grid.

    A winner has at least the mean probability 1/L, and interpolation never raises a maximum. So each class is
    interpolated only where voxels that reach so much are drawn on: the same winners in a fraction of the time.

    Args:
        classes: Probabilities of shape (L, J, I) on the prepared grid; they sum to one at each voxel.
        change: The change of grid.
        shape: Rows and columns of the source grid.

    Returns:
        Class numbers of the given shape; the first of equal ones.

    Raises:
        UsageError: The classes do not sum to one.
    """
    _require_probabilities(classes)
    best = np.zeros(shape, np.float32)
    winner = np.zeros(shape, np.uint8)
    for number, image in enumerate(classes):
        box = _box_above(image, (1 - SUM_TOLERANCE) / len(classes) * 0.99)
        if box is not None:
            _challenge(best, winner, number, *change.backward_box(image, box))
    return winner


def _challenge(best: FloatSlices, winner: NDArray[np.uint8], number: int, values: FloatSlices, box: Box) -> None:
    """Let a class win, in place, where its values are above the best of the classes before it."""
    won = values > best[box]
    np.maximum(winner[box], won.view(np.uint8) * np.uint8(number), out=winner[box])
    np.maximum(best[box], values, out=best[box])


def _box_above(image: FloatSlices, threshold: float) -> Box | None:
    """Give the smallest box of (J, I) that holds all values from the threshold up; None when there are none."""
    rows = np.flatnonzero(image.max(axis=1) >= threshold)
    if not len(rows):
        return None
    columns = np.flatnonzero(image[rows[0] : rows[-1] + 1].max(axis=0) >= threshold)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _require_probabilities(classes: FloatSlices) -> None:
    """Refuse scores that are no probabilities; a sparse sample of voxels is looked at."""
    sums = classes[:, ::16, ::16].sum(axis=0)
    if not np.allclose(sums, 1, atol=SUM_TOLERANCE):
        raise UsageError(
            f"class probabilities must sum to one; found {sums.min():.3g} to {sums.max():.3g}; use softmax"
        )
