"""The canonical orientation of each plane, and mirroring of left knees, as changes of axes alone.

Mirroring turns the direction of the voxel axis that runs from right to left, values and affine together: the network
sees a right knee, while every world position stays what it was. Nothing has to be mirrored back in world coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import Plane, Side
from kneeage.core.errors import GeometryError
from kneeage.core.volume import Volume, axis_changes
from kneeage.prepare.plane import plane_of

# I, J, K of a prepared right knee: columns, rows, slices.
CANONICAL_ORIENTATION = {Plane.CORONAL: "LIP", Plane.SAGITTAL: "PIL", Plane.AXIAL: "LPI"}


def canonical_orientation(plane: Plane, *, mirrored: bool = False) -> str:
    """Give the orientation codes of a prepared volume.

    Args:
        plane: Plane of its slices.
        mirrored: Whether a left knee is shown as a right one.

    Returns:
        Letter codes such as ``"LIP"``; ``"RIP"`` when mirrored.
    """
    codes = CANONICAL_ORIENTATION[plane]
    return codes.replace("L", "R") if mirrored else codes


@dataclass(frozen=True)
class Orientation:
    """A change of axes with its way back.

    Args:
        codes: Orientation after the change.
        permutation: Source axis of each new axis.
        flips: Whether each new axis runs against its source axis.
    """

    codes: str
    permutation: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @property
    def _flipped_axes(self) -> tuple[int, ...]:
        """Axes of a (C, I, J, K) array that run against their source axis."""
        return tuple(axis + 1 for axis, flip in enumerate(self.flips) if flip)

    def apply(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Bring an array of shape (C, I, J, K) on the source's axes to the new ones; a view."""
        array = np.transpose(array, (0, *(axis + 1 for axis in self.permutation)))
        return np.asarray(np.flip(array, self._flipped_axes))

    def undo(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Bring an array of shape (C, I, J, K) back to the source's axes; a view."""
        array = np.flip(array, self._flipped_axes)
        back = np.argsort(self.permutation)
        return np.transpose(array, (0, *(int(axis) + 1 for axis in back)))


def orient(volume: Volume, plane: Plane, side: Side, *, mirror_left: bool = True) -> tuple[Volume, Orientation]:
    """Turn a volume to the canonical orientation of its plane.

    Args:
        volume: Any volume whose slices lie in the plane, or that is near-isotropic.
        plane: Plane of the slices wanted.
        side: Side of the knee; an unknown side is never mirrored.
        mirror_left: Show a left knee as a right one.

    Returns:
        The turned volume (a view of the values) and the way back.

    Raises:
        GeometryError: The volume was cut in another plane.
    """
    found = plane_of(volume)
    if found not in (None, plane):
        raise GeometryError(f"the slices are {found.value}; {plane.value} slices are needed; choose another series")
    codes = canonical_orientation(plane, mirrored=mirror_left and side is Side.LEFT)
    permutation, flips = axis_changes(volume.orientation, codes)
    return volume.reoriented(codes), Orientation(codes, permutation, flips)
