"""Grey-scale morphology of images, slice by slice, with a flat disk.

Source: Soille P, Morphological Image Analysis, 2nd ed., Springer 2004, doi:10.1007/978-3-662-05088-0, chapters 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.core.volume import Volume
from kneeage.prepare.mapping import FloatSlices
from kneeage.prepare.slices import each_slice

MorphologyOperation = Literal["opening", "closing", "white_top_hat", "black_top_hat", "enhance"]


def grey_morphology(volume: Volume, operation: MorphologyOperation, *, radius_mm: float) -> Volume:
    """Apply one grey-scale operation to every slice.

    Args:
        volume: Grey values of shape (1, I, J, K).
        operation: ``"opening"`` removes bright details smaller than the disk, ``"closing"`` dark ones;
            ``"white_top_hat"`` and ``"black_top_hat"`` are what these remove; ``"enhance"`` adds the white and takes
            away the black top-hat, which raises the contrast of small details such as a plate.
        radius_mm: Radius of the disk in mm.

    Returns:
        Volume of float32 on the same grid.
    """
    disk = disk_footprint(radius_mm, volume.spacing[0], volume.spacing[1])
    change = _OPERATIONS[operation]
    return each_slice(volume, lambda image: np.asarray(change(image, disk), np.float32))


def disk_footprint(radius_mm: float, column_spacing_mm: float, row_spacing_mm: float) -> NDArray[np.bool_]:
    """Make a disk of shape (rows, columns) around its central voxel; at least that voxel belongs to it."""
    rows, columns = int(radius_mm / row_spacing_mm), int(radius_mm / column_spacing_mm)
    row, column = np.ogrid[-rows : rows + 1, -columns : columns + 1]
    inside = (row * row_spacing_mm) ** 2 + (column * column_spacing_mm) ** 2 <= radius_mm**2
    return np.asarray(inside | ((row == 0) & (column == 0)))


def _opening(image: FloatSlices, disk: NDArray[np.bool_]) -> FloatSlices:
    """Erode, then dilate."""
    return np.asarray(ndimage.grey_opening(image, footprint=disk))


def _closing(image: FloatSlices, disk: NDArray[np.bool_]) -> FloatSlices:
    """Dilate, then erode."""
    return np.asarray(ndimage.grey_closing(image, footprint=disk))


def _white_top_hat(image: FloatSlices, disk: NDArray[np.bool_]) -> FloatSlices:
    """Bright details that the opening removes."""
    return image - _opening(image, disk)


def _black_top_hat(image: FloatSlices, disk: NDArray[np.bool_]) -> FloatSlices:
    """Dark details that the closing fills."""
    return _closing(image, disk) - image


def _enhance(image: FloatSlices, disk: NDArray[np.bool_]) -> FloatSlices:
    """Make small bright details brighter and small dark ones darker."""
    return image + _white_top_hat(image, disk) - _black_top_hat(image, disk)


_OPERATIONS: dict[MorphologyOperation, Callable[[FloatSlices, NDArray[np.bool_]], FloatSlices]] = {
    "opening": _opening,
    "closing": _closing,
    "white_top_hat": _white_top_hat,
    "black_top_hat": _black_top_hat,
    "enhance": _enhance,
}
