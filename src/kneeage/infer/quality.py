"""How good the images are: motion, metal, sharpness. Small numbers, whose limits the bundle keeps.

All are taken on the prepared slices that the age network sees, so that they do not depend on scanner or pixel size. A
limit is what next to no clean image passes: what is worse was not trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.core.manifest import QualityLimits
from kneeage.core.volume import Volume
from kneeage.infer.slices import to_slices
from kneeage.prepare.intensity import tissue_threshold

FloatArray32 = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

# Measures that motion raises, that metal raises, and that must not be low.
MOTION_MEASURES = ("ghosts_in_air", "ripple_rows", "ripple_columns")
METAL_MEASURES = ("void_share",)
LOWEST_MEASURES = ("sharpness",)
# Air nearer to the leg is left out: it holds blurred skin. Source: ours.
_AIR_MARGIN_MM = 5.0
# Ghosts are wider than this, noise is not. Source: ours.
_NOISE_MM = 1.2
# Air that is too little to judge. Source: ours; a strip of 10 mm along one side of a slice of 100 mm.
_LEAST_AIR_MM2 = 1000.0
# Differences over the first distance are steep where edges are sharp; over the second they hold the whole edge.
# Source: ours; pixels of knee protocols are 0.2 to 0.6 mm wide.
_STEEP_MM, _WHOLE_MM = 1.2, 6.0
# Edges are judged where they are strongest. Source: ours.
_STRONG = 0.99
# A void is darker than this share of the median tissue, and holds a disc of this radius: cortical bone, ligaments and
# menisci are as dark but thinner. Source: ours, on virtual knees with and without metal.
_VOID_SHARE, _VOID_RADIUS_MM = 0.12, 3.0
# What counts as no signal. Source: ours.
_NO_SIGNAL_PERCENTILE = 0.1


@dataclass(frozen=True)
class ImageQuality:
    """What was measured of the slices that the age network sees.

    Args:
        ghosts_in_air: Spread of the smoothed air beside the leg over the tissue's median; 0 where there is no air.
        ripple_rows: Median change per mm of the smoothed tissue from row to row, over the tissue's median.
        ripple_columns: The same from column to column.
        sharpness: Steepness of strong edges over their height, along the sharper axis: 0 (blurred) to about 1.
        void_share: Share of the region around the plates that is signal void, as metal leaves it.
    """

    ghosts_in_air: float
    ripple_rows: float
    ripple_columns: float
    sharpness: float
    void_share: float


def image_quality(image: Volume, regions: FloatArray32, slices: Sequence[int]) -> ImageQuality:
    """Measure the slices that the age network sees.

    Args:
        image: Prepared image, shape (1, I, J, K).
        regions: Regions around the plates, grey value first, shape (S, 3, rows, columns).
        slices: Which slices they were cut from.
    """
    pixel_mm = image.spacing[0]
    grey = np.asarray(regions[:, 0], np.float32)
    dark = np.float32(np.percentile(grey, _NO_SIGNAL_PERCENTILE))
    rows, columns = ripples(grey - dark, pixel_mm)
    return ImageQuality(
        ghosts_in_air=ghosts_in_air(to_slices(image.array, slices)[:, 0], pixel_mm),
        ripple_rows=rows,
        ripple_columns=columns,
        sharpness=sharpness(grey, pixel_mm),
        void_share=void_share(grey - dark, pixel_mm),
    )


def ghosts_in_air(slices: NDArray[np.generic], pixel_mm: float) -> float:
    """Measure what stands beside the leg: ghosts make air uneven, noise alone does not once it is smoothed.

    Args:
        slices: Whole slices, shape (S, J, I).
        pixel_mm: Width of a pixel.
    """
    grey = np.asarray(slices, np.float32)
    leg = _leg(grey)
    margin = round(_AIR_MARGIN_MM / pixel_mm)
    near = ndimage.maximum_filter(leg.astype(np.uint8), (1, 2 * margin + 1, 2 * margin + 1)).astype(bool)
    air = ~near & (grey > grey.min())  # what is empty was cut off by the scanner and shows no ghosts
    if np.count_nonzero(air) * pixel_mm**2 < _LEAST_AIR_MM2 * len(grey) or not leg.any():
        return 0.0
    smooth = ndimage.gaussian_filter(grey, (0, _NOISE_MM / pixel_mm, _NOISE_MM / pixel_mm))
    low, high = np.percentile(smooth[air], (5, 95))
    return float((high - low) / max(float(np.median(grey[leg])) - float(grey.min()), 1e-6))


def ripples(grey: FloatArray32, pixel_mm: float) -> tuple[float, float]:
    """Measure how uneven smooth tissue is along rows (J) and columns (I).

    Args:
        grey: Slices, no signal at 0, shape (S, J, I).
        pixel_mm: Width of a pixel.

    Returns:
        Median change from row to row and from column to column, per mm, over the median.
    """
    smooth = ndimage.gaussian_filter(grey, (0, 0.75 * _NOISE_MM / pixel_mm, 0.75 * _NOISE_MM / pixel_mm))
    level = max(float(np.median(grey)), 1e-6) * pixel_mm
    down, along = (float(np.median(np.abs(np.diff(smooth, axis=axis)))) / level for axis in (1, 2))
    return down, along


def sharpness(grey: FloatArray32, pixel_mm: float) -> float:
    """Measure how steep strong edges are, along the sharper axis.

    Args:
        grey: Slices, shape (S, J, I).
        pixel_mm: Width of a pixel.

    Returns:
        Change over 1.2 mm as a share of the change over 6 mm, each where it is strongest.
    """
    return max(_steepness(grey, axis, pixel_mm) for axis in (1, 2))


def void_share(grey: FloatArray32, pixel_mm: float) -> float:
    """Measure which share of the slices is void: dark, wide, and not joined to the air at their rim.

    Args:
        grey: Slices, no signal at 0, shape (S, J, I).
        pixel_mm: Width of a pixel.
    """
    dark = grey < _VOID_SHARE * np.median(grey)
    disc = _disc(round(_VOID_RADIUS_MM / pixel_mm))
    wide = sum(int(ndimage.binary_opening(_inside(one), disc).sum()) for one in dark)
    return wide / dark.size


def fit_quality_limits(clean: Sequence[ImageQuality], percentile: float = 99.95) -> QualityLimits:
    """Set limits that clean images keep.

    Args:
        clean: Measures of clean images like those that the networks were trained on.
        percentile: Share of them that keeps each limit, in percent: all limits together, with those on novelty and
            growth, may cost no more than one clean image in fifty.
    """
    rows = [asdict(one) for one in clean]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    low = {name: np.percentile(columns[name], 100 - percentile) for name in LOWEST_MEASURES}
    high = {name: np.percentile(column, percentile) for name, column in columns.items() if name not in low}
    return QualityLimits(
        highest={name: float(value) for name, value in high.items()},
        lowest={name: float(value) for name, value in low.items()},
        percentile=percentile,
        subjects=len(rows),
    )


def motion_strength(quality: ImageQuality, limits: QualityLimits) -> float:
    """Give the strongest sign of motion as a multiple of its limit: 1 and more is too much."""
    measured = asdict(quality)
    kept = {name: limits.highest[name] for name in MOTION_MEASURES if name in limits.highest}
    return max((measured[name] / max(limit, 1e-9) for name, limit in kept.items()), default=0.0)


def _leg(grey: FloatArray32) -> BoolArray:
    """Find the leg in slices (S, J, I): tissue, closed over its dark parts."""
    tissue = grey > tissue_threshold(grey)
    opened = ndimage.binary_opening(tissue, np.ones((1, 5, 5), bool))
    return np.stack([ndimage.binary_fill_holes(one) for one in opened])


def _steepness(grey: FloatArray32, axis: int, pixel_mm: float) -> float:
    """Strongest change over a short distance, as a share of that over a long one, along an axis."""
    short, long = (
        float(np.quantile(np.abs(_changes(grey, axis, max(1, round(mm / pixel_mm)))), _STRONG))
        for mm in (_STEEP_MM, _WHOLE_MM)
    )
    return short / max(long, 1e-6)


def _changes(grey: FloatArray32, axis: int, pixels: int) -> FloatArray32:
    """Differences between pixels so far apart along an axis."""
    along = np.moveaxis(grey, axis, 0)
    return np.asarray(along[pixels:] - along[:-pixels])


def _inside(dark: BoolArray) -> BoolArray:
    """Leave out the dark parts that touch the rim of a slice (J, I)."""
    numbered, _ = ndimage.label(dark)
    rim = np.unique(np.concatenate([numbered[0], numbered[-1], numbered[:, 0], numbered[:, -1]]))
    return np.asarray(dark & ~np.isin(numbered, rim))


def _disc(radius: int) -> BoolArray:
    """A filled circle."""
    away = np.arange(-radius, radius + 1)
    return np.asarray(away[:, None] ** 2 + away[None, :] ** 2 <= radius**2)
