"""Smooth fields of a knee evaluated on a coarse lattice and brought to the pixels of a slice by cubic weights.

Every shape of the virtual knee is a level set of a smooth field, so that the costly formulas need few points and only
thresholds are left at pixel level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.anatomy.slab import SliceGrid, Vector

FloatArray = NDArray[np.float64]

LATTICE_STEP_MM = 1.8
# Planes on which fields are evaluated: the faces of the slice and its middle.
_FACES = np.array([-0.5, 0.0, 0.5])
# Columns and rows of pixels whose few nodes are multiplied together. Source: the fastest of 8, 16, 32 and 64 on slices
# of 320 x 320 and 512 x 512; columns go first, while the rows are few, so that the long step runs along memory.
_COLUMN_BLOCK, _ROW_BLOCK = 32, 16


class Lattice:
    """A lattice through one slice.

    Args:
        grid: The slice.
        planes: Number of planes that pixels are wanted on, evenly spread over the slice's thickness.
        step_mm: Distance of neighbouring nodes.
    """

    def __init__(self, grid: SliceGrid, planes: int, step_mm: float = LATTICE_STEP_MM) -> None:
        step = step_mm / grid.pixel_mm
        self._rows, self._to_rows = _nodes(grid.shape[0], step)
        self._columns, self._to_columns = _nodes(grid.shape[1], step)
        self._faces = _FACES if planes > 1 else _FACES[1:2]
        self._grid = grid
        self._planes = planes

    def points(self) -> tuple[Field, Field, Field]:
        """Knee coordinates of the nodes in mm, float32 arrays of shape (faces, nodes along rows, along columns)."""
        faces = [
            self._grid.points(self._rows, self._columns, float(share * self._grid.thickness_mm))
            for share in self._faces
        ]
        x, y, z = (np.stack([face[axis] for face in faces]) for axis in range(3))
        return x, y, z

    def at_pixels(self, fields: Mapping[str, Field]) -> list[dict[str, Field]]:
        """Fields given at the nodes, brought to the pixels of each plane, as float32 arrays (rows, columns)."""
        stacked = np.stack(list(fields.values()), axis=1)  # (faces, fields, n, m)
        shares = (np.arange(self._planes) - (self._planes - 1) / 2) / self._planes
        return [dict(zip(fields, self._spread(stacked, share), strict=True)) for share in shares]

    def _spread(self, stacked: Field, share: float) -> Field:
        """(faces, fields, n, m) at the nodes -> (fields, rows, columns) on the plane at ``share`` of the thickness."""
        weights = _through(share) if len(self._faces) > 1 else np.ones(1, np.float32)
        plane = np.tensordot(weights, stacked, 1)  # (fields, n, m)
        across = np.empty((len(plane), plane.shape[1], self._grid.shape[1]), np.float32)
        for pixels, nodes, block in _blocks(self._to_columns, _COLUMN_BLOCK):
            np.matmul(plane[:, :, nodes], block.T, out=across[:, :, pixels])
        out = np.empty((len(plane), *self._grid.shape), np.float32)
        for pixels, nodes, block in _blocks(self._to_rows, _ROW_BLOCK):
            np.matmul(block, across[:, nodes], out=out[:, pixels])
        return out


def cubic_weights(away: FloatArray) -> FloatArray:
    """Weights of samples for a place between them, by their distance from it in steps; an array of the same shape.

    Source: cubic convolution, Keys 1981, doi 10.1109/TASSP.1981.1163711, a = -1/2.
    """
    near = (1.5 * away - 2.5) * away**2 + 1
    far = ((-0.5 * away + 2.5) * away - 4) * away + 2
    return np.asarray(np.where(away < 1, near, np.where(away < 2, far, 0)), np.float64)


def _blocks(weights: NDArray[np.float32], size: int) -> Iterator[tuple[slice, slice, NDArray[np.float32]]]:
    """Cut banded weights (pixels, nodes) into blocks that leave out most of the zeros: pixels, nodes, weights."""
    for first in range(0, len(weights), size):
        block = weights[first : first + size]
        used = np.flatnonzero(block.any(axis=0))
        nodes = slice(int(used[0]), int(used[-1]) + 1)
        yield slice(first, first + size), nodes, np.ascontiguousarray(block[:, nodes])


def _through(share: float) -> NDArray[np.float32]:
    """Weights of a parabola through the two faces (at -1/2 and 1/2) and the middle."""
    return np.array([share * (2 * share - 1), 1 - 4 * share**2, share * (2 * share + 1)], np.float32)


def _nodes(pixels: int, step: float) -> tuple[Vector, NDArray[np.float32]]:
    """Node positions in pixels, two of them spare at each end, and the weights (pixels, nodes) that lead to pixels."""
    count = int(np.ceil((pixels - 1) / step)) + 4
    first = (pixels - 1) / 2 - step * (count - 1) / 2
    nodes = np.asarray(first + step * np.arange(count), np.float64)
    away = np.abs(np.arange(pixels)[:, None] - nodes[None, :]) / step
    return nodes, cubic_weights(away).astype(np.float32)
