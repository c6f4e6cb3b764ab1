"""The acquisition plane of a volume, judged from its grid alone."""

from __future__ import annotations

from kneeage.core.anatomy import Plane
from kneeage.core.volume import Volume

# A grid whose coarsest axis is less than this many times coarser than the next one can be cut in any plane.
# Knee protocols have slices of 3 to 4 mm over pixels of 0.3 to 0.6 mm (ratio 5 and more); isotropic 3-D sequences
# reach about 1.2 after interpolation in the scanner. The value between them is our own choice.
THICK_SLICE_RATIO = 1.5

_PLANE_OF_LETTER = {
    "A": Plane.CORONAL,
    "P": Plane.CORONAL,
    "L": Plane.SAGITTAL,
    "R": Plane.SAGITTAL,
    "I": Plane.AXIAL,
    "S": Plane.AXIAL,
}


def plane_of(volume: Volume) -> Plane | None:
    """Say in which plane a volume was cut.

    Args:
        volume: Any volume.

    Returns:
        The plane, or None for a near-isotropic volume, whose plane may be chosen freely.
    """
    axis = slice_axis(volume)
    return None if axis is None else plane_of_axis(volume, axis)


def plane_of_axis(volume: Volume, axis: int) -> Plane:
    """Name the plane of the slices that are stacked along an axis (0, 1 or 2)."""
    return _PLANE_OF_LETTER[volume.orientation[axis]]


def slice_axis(volume: Volume) -> int | None:
    """Find the axis along which the slices are stacked.

    It is the axis of length one (the coarsest of them, the last when they are equal), else the clearly coarsest one.

    Returns:
        0, 1 or 2; None for a near-isotropic volume.
    """
    single = [axis for axis in range(3) if volume.shape[axis] == 1]
    if single:
        return max(single, key=lambda axis: (volume.spacing[axis], axis))
    coarsest = max(range(3), key=lambda axis: volume.spacing[axis])
    others = max(spacing for axis, spacing in enumerate(volume.spacing) if axis != coarsest)
    return coarsest if volume.spacing[coarsest] >= THICK_SLICE_RATIO * others else None
