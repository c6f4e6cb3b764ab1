"""One image in memory: an array of shape (C, I, J, K) with its voxel-to-world affine.

World coordinates are RAS+ (x to the right, y to the front, z to the head) in mm; the affine is float64.
An index names the centre of its voxel. DICOM's LPS exists only inside ``kneeage.io``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kneeage.core.errors import GeometryError

FloatArray = NDArray[np.float64]
_AXIS_CODES = (("L", "R"), ("P", "A"), ("I", "S"))
_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "I": "S", "S": "I"}


@dataclass(frozen=True, eq=False)
class Volume:
    """An image and where it is in the world.

    Args:
        array: Values of shape (C, I, J, K); C is the channel axis.
        affine: Voxel-to-world matrix of shape (4, 4), RAS+ in mm.

    Raises:
        GeometryError: The array has not four axes, or the affine is not finite, or is singular.
    """

    array: NDArray[np.generic] = field(repr=False)
    affine: FloatArray

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if self.array.ndim != 4:
            raise GeometryError(f"a volume has the axes (C, I, J, K); found an array of shape {self.array.shape}")
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError("the affine must be a finite 4x4 matrix")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise GeometryError("the affine is singular: two voxel axes point the same way or have no length")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along I, J, K."""
        _, i, j, k = self.array.shape
        return (i, j, k)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along I, J, K in mm."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return (float(i), float(j), float(k))

    @property
    def direction(self) -> FloatArray:
        """Unit vectors of the voxel axes as columns, shape (3, 3)."""
        return np.asarray(self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def origin(self) -> FloatArray:
        """World position of the first voxel in mm, shape (3,)."""
        return self.affine[:3, 3]

    @property
    def orientation(self) -> str:
        """Letter codes of the directions in which I, J, K grow, such as ``"LIP"``."""
        return orientation_codes(self.affine)

    def world(self, index: ArrayLike) -> FloatArray:
        """Map voxel indices of shape (..., 3) to world positions in mm of the same shape."""
        return np.asarray(np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3])

    def index(self, world: ArrayLike) -> FloatArray:
        """Map world positions in mm of shape (..., 3) to fractional voxel indices of the same shape."""
        offset = np.asarray(world, dtype=np.float64) - self.affine[:3, 3]
        return np.asarray(offset @ np.linalg.inv(self.affine[:3, :3]).T)

    def with_array(self, array: NDArray[np.generic]) -> Volume:
        """Put other values of the same I, J, K on this grid.

        Raises:
            GeometryError: The array has another number of voxels.
        """
        if array.ndim != 4 or array.shape[1:] != self.array.shape[1:]:
            raise GeometryError(f"the grid has {self.shape} voxels; the array has the shape {array.shape}")
        return Volume(array, self.affine)

    def reoriented(self, codes: str) -> Volume:
        """Permute and flip the voxel axes so that they grow towards ``codes``; no value is interpolated.

        Args:
            codes: Three letters such as ``"LIP"``, one of each pair L/R, P/A, I/S.

        Raises:
            GeometryError: The codes do not name three different body axes.
        """
        permutation, flips = axis_changes(self.orientation, codes)
        array = np.transpose(self.array, (0, *(axis + 1 for axis in permutation)))
        affine = self.affine[:, [*permutation, 3]].copy()
        for axis, flip in enumerate(flips):
            if flip:
                array = np.flip(array, axis + 1)
                affine[:3, 3] += affine[:3, axis] * (array.shape[axis + 1] - 1)
                affine[:3, axis] *= -1
        return Volume(array, affine)


def orientation_codes(affine: ArrayLike) -> str:
    """Name the body direction in which each voxel axis grows.

    The assignment maximises the total alignment, so oblique axes never share a letter pair.
    """
    matrix = np.asarray(affine, dtype=np.float64)[:3, :3]
    unit = matrix / np.linalg.norm(matrix, axis=0)
    best = max(_PERMUTATIONS, key=lambda p: sum(abs(unit[p[axis], axis]) for axis in range(3)))
    return "".join(_AXIS_CODES[best[axis]][int(unit[best[axis], axis] > 0)] for axis in range(3))


def axis_changes(source: str, target: str) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Say which source axis each target axis is, and whether it is reversed.

    Args:
        source: Orientation codes of the source, such as ``"RAS"``.
        target: Orientation codes wanted.

    Returns:
        The permutation (target axis to source axis) and a flip per target axis.

    Raises:
        GeometryError: The codes do not name three different body axes.
    """
    if not (_names_three_axes(source) and _names_three_axes(target)):
        raise GeometryError(f"orientation codes name one of L/R, P/A and I/S each; found {source!r} and {target!r}")
    permutation, flips = [], []
    for letter in target:
        axis = next(n for n, own in enumerate(source) if own in (letter, _OPPOSITE[letter]))
        permutation.append(axis)
        flips.append(source[axis] != letter)
    return (permutation[0], permutation[1], permutation[2]), (flips[0], flips[1], flips[2])


def _names_three_axes(codes: Sequence[str]) -> bool:
    """Say whether the codes hold one letter of each pair."""
    return len(codes) == 3 and all(sum(letter in pair for letter in codes) == 1 for pair in _AXIS_CODES)


_PERMUTATIONS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
