"""Noise and bias field: curvature flow, non-local means, N4.

SimpleITK is imported inside the functions that need it. Thick slices are denoised one by one, never across K.
Every function keeps the memory order of the volume's values and gives float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.core.volume import Volume
from kneeage.prepare.intensity import tissue_threshold
from kneeage.prepare.mapping import FloatSlices
from kneeage.prepare.slices import as_slices, each_slice, from_slices
from kneeage.prepare.toolkit import simple_itk

# Kernel that cancels image structure and leaves noise, and the factor from its mean absolute answer to the noise SD.
# Source: Immerkaer J, Comput Vis Image Underst 1996;64:300-302, doi:10.1006/cviu.1996.0060.
_NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_NOISE_FACTOR = float(np.sqrt(np.pi / 2) / 6)
# Added to grey values before the logarithm of N4, as a share of their range.
_LOG_FLOOR = 1e-3


def curvature_flow(volume: Volume, *, iterations: int = 5, time_step: float = 0.05) -> Volume:
    """Smooth along edges, not across them.

    Source: Malladi R, Sethian JA, Graph Models Image Process 1996;58:127-141, doi:10.1006/gmip.1996.0011.

    Args:
        volume: Grey values of shape (1, I, J, K).
        iterations: Number of steps; more smooth more.
        time_step: Length of a step, stable up to 0.125 in two dimensions.

    Returns:
        Volume of float32 on the same grid.
    """
    sitk = simple_itk()

    def flow(image: FloatSlices) -> FloatSlices:
        smooth = sitk.CurvatureFlow(sitk.GetImageFromArray(image), time_step, iterations)
        return np.asarray(sitk.GetArrayFromImage(smooth), np.float32)

    return each_slice(volume, flow)


def non_local_means(volume: Volume, *, strength: float = 1.0, patch_radius: int = 1, search_radius: int = 4) -> Volume:
    """Average each pixel with pixels nearby whose surroundings look the same.

    Source: Buades A, Coll B, Morel JM, CVPR 2005, doi:10.1109/CVPR.2005.38; patch distances by box filters after
    Froment J, Image Process On Line 2014;4:300-326, doi:10.5201/ipol.2014.120.

    Args:
        volume: Grey values of shape (1, I, J, K).
        strength: Filter parameter in multiples of the noise's standard deviation, which is measured per slice.
        patch_radius: Half the width of a surrounding, in voxels.
        search_radius: How far away a pixel may be, in voxels.

    Returns:
        Volume of float32 on the same grid.
    """

    def average(image: FloatSlices) -> FloatSlices:
        return _non_local_means(image, strength * noise_deviation(image), patch_radius, search_radius)

    return each_slice(volume, average)


def noise_deviation(image: FloatSlices) -> float:
    """Estimate the standard deviation of the noise of one image (J, I), in the unit of its values."""
    if min(image.shape) < 3:
        return 0.0
    return _NOISE_FACTOR * float(np.abs(ndimage.convolve(image, _NOISE_KERNEL)[1:-1, 1:-1]).mean())


def correct_bias(volume: Volume, *, shrink: int = 6, iterations: tuple[int, ...] = (30, 20, 10)) -> Volume:
    """Remove the slow shading of the coil (N4). It needs grey values before standardisation.

    Source: Tustison NJ et al., IEEE Trans Med Imaging 2010;29:1310-1320, doi:10.1109/TMI.2010.2046908.

    Args:
        volume: Grey values of shape (1, I, J, K).
        shrink: In-plane factor by which the field is fitted on a coarser grid.
        iterations: Most iterations at each level, coarse to fine.

    Returns:
        Volume of float32 on the same grid.
    """
    slices = np.ascontiguousarray(as_slices(volume.array), np.float32)
    low, high = float(slices.min()), float(slices.max())
    if high <= low:
        return volume.with_array(np.asarray(volume.array, np.float32))
    positive = slices - low + _LOG_FLOOR * (high - low)
    field = _n4_field(positive, tissue_threshold(positive), volume.spacing, shrink, iterations)
    return volume.with_array(from_slices(np.asarray(slices / field, np.float32)))


def _non_local_means(image: FloatSlices, filter_sd: float, patch_radius: int, search_radius: int) -> FloatSlices:
    """Weigh each shifted image by how alike the surroundings are; the unshifted one has the weight one."""
    if filter_sd <= 0:
        return image
    total, weights = image.copy(), np.ones_like(image)
    margin = search_radius
    padded = np.pad(image, margin, mode="symmetric")
    for row, column in _offsets(search_radius):
        shifted = padded[margin + row :, margin + column :][: image.shape[0], : image.shape[1]]
        distance = ndimage.uniform_filter((image - shifted) ** 2, 2 * patch_radius + 1)
        # Two noisy copies of one value differ by twice the variance; that much is no sign of another tissue.
        weight = np.exp(-np.maximum(distance / filter_sd**2 - 2, 0))
        total += weight * shifted
        weights += weight
    return np.asarray(total / weights, np.float32)


def _offsets(radius: int) -> Iterator[tuple[int, int]]:
    """Give every shift within a square but none."""
    span = range(-radius, radius + 1)
    return ((row, column) for row, column in product(span, span) if (row, column) != (0, 0))


def _n4_field(
    positive: FloatSlices,
    threshold: float,
    spacing: tuple[float, float, float],
    shrink: int,
    iterations: tuple[int, ...],
) -> NDArray[np.float32]:
    """Fit the bias field of slices (K, J, I) on a coarser grid; give it on the full grid, with mean one in tissue."""
    sitk = simple_itk()

    image = sitk.GetImageFromArray(positive if len(positive) > 1 else positive[0])
    image.SetSpacing(spacing[: image.GetDimension()])
    factors = [max(1, min(shrink, size // 8)) for size in image.GetSize()[:2]] + [1] * (image.GetDimension() - 2)
    corrector: Any = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations(iterations)
    corrector.SetNumberOfThreads(1)
    small = sitk.Shrink(image, factors)
    corrector.Execute(small, sitk.Cast(small > threshold, sitk.sitkUInt8))
    log_field = sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image)).reshape(positive.shape)
    return np.asarray(np.exp(log_field - log_field[positive > threshold].mean()), np.float32)
