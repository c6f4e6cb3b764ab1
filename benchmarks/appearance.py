"""What a coronal T1 series looks like in numbers, measured in the same way on a virtual and on a real series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

# Limb: brighter than this share of marrow after smoothing; bright tissue (fat and marrow): above the second share.
_LIMB_SHARE, _BRIGHT_SHARE = 0.15, 0.55
# Profiles across a plate reach this far; marrow beside it is looked at beyond the second distance.
_PROFILE_MM, _BESIDE_MM = 6.0, 3.0
_LEAST_SHARE = 0.4
# The darkest point is looked for this near to the line; the profile is a mean over this much of the line.
_SEARCH_MM, _ALONG_MM = 1.5, 1.2
# Height of the part of the leg whose outline is looked at.
_OUTLINE_HEIGHT_MM = 90.0
_PATCH_MM, _PATCH_PIXEL_MM = 64.0, 0.5
# Texture is what lies between a common resolution and the trend, both given as the SD of a Gaussian.
_FINE_SIGMA_MM, _TREND_SIGMA_MM = 0.25, 4.0
# Percentile of the edges' widths that tells how sharp an image is.
_SHARPEST = 20
# Cap of a condyle: darker than this share of its marrow, looked for this far up from a point in the marrow.
_CAP_SHARE, _CAP_REACH_MM, _FINE_MM = 0.2, 14.0, 0.05
_FREQUENCIES_PER_MM = (0.06, 0.5)
QUANTILES = np.linspace(0.002, 0.998, 499)


@dataclass(frozen=True)
class Line:
    """The site of a plate in one slice.

    Args:
        k: Slice.
        columns: Columns, rising by one.
        rows: Row of the site in each.
    """

    k: int
    columns: NDArray[np.intp]
    rows: FloatArray


@dataclass(frozen=True)
class Start:
    """A point in marrow, from which profiles go out: slice, row and column."""

    k: int
    row: int
    column: int


@dataclass(frozen=True, eq=False)
class Look:
    """A series and where to look in it.

    Args:
        images: Grey values, shape (slices, rows, columns).
        pixel_mm: Width of a pixel.
        joint_row: Row of the joint.
        regions: Masks of the images' shape: marrow, muscle, subcutaneous fat, cartilage, air.
        sites: Sites of the plates by the bone's name.
        shaft: Points in the femoral shaft.
        condyles: Points a few mm below the tops of the posterior condyles.
        central: Slices through the middle of both bones.
        both_bones: Slices that hold both bones.
    """

    images: FloatArray
    pixel_mm: float
    joint_row: float
    regions: dict[str, BoolArray]
    sites: dict[str, list[Line]]
    shaft: list[Start]
    condyles: list[Start]
    central: list[int]
    both_bones: list[int]

    @cached_property
    def marrow(self) -> float:
        """Median of the marrow."""
        return float(np.median(self.images[self.regions["marrow"]]))


def measure(look: Look) -> dict[str, float]:
    """Measure everything; nan where a series does not show it."""
    cortex, edge = _shaft(look)
    return {
        **{name: _ratio(look, name) for name in ("muscle", "subcutaneous fat", "cartilage", "air")},
        "cortex": cortex,
        "edge spread, mm": edge,
        "brighter fat": _brighter_fat(look),
        "cap, mm": _cap(look),
        "texture SD": _texture(look, _FINE_SIGMA_MM),
        "unfiltered SD": _texture(look, 0.0),
        "shading": _shading(look),
        "outline, mm": _outline(look),
        "spectrum slope": _slope(look),
        **{f"{bone} {name}": value for bone in look.sites for name, value in _plate(look, bone).items()},
    }


def grey_quantiles(look: Look, chosen: list[int]) -> FloatArray:
    """Quantiles of the limb's grey values relative to marrow; the mean difference of two is a Wasserstein distance.

    Args:
        look: The series.
        chosen: Slices.
    """
    values = np.concatenate([look.images[k][_limb(look, k)] for k in chosen])
    return np.asarray(np.quantile(values / look.marrow, QUANTILES), np.float32)


def _ratio(look: Look, name: str) -> float:
    """Median of a region relative to marrow."""
    values = look.images[look.regions[name]]
    return float(np.median(values) / look.marrow) if values.size > 20 else float("nan")


def _limb(look: Look, k: int) -> BoolArray:
    """The leg in one slice, holes filled."""
    smooth = ndimage.gaussian_filter(look.images[k], 1.0 / look.pixel_mm)
    parts, _ = ndimage.label(smooth > _LIMB_SHARE * look.marrow)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(parts == sizes.argmax()))


def _shaft(look: Look) -> tuple[float, float]:
    """Darkest value of the shaft's cortex relative to marrow, and the width of its inner edge from 10 to 90 %.

    The width is that of the sharpest edges: the others are cut obliquely.
    """
    profiles = [profile for start in look.shaft for profile in _outwards(look, start)]
    found = [edge for profile in profiles if (edge := _edge(profile, look.pixel_mm)) is not None]
    if not found:
        return float("nan"), float("nan")
    cortex, width = np.transpose(found)
    return float(np.median(cortex)), float(np.percentile(width, _SHARPEST))


def _outwards(look: Look, start: Start) -> Iterator[FloatArray]:
    """Profiles from a point in the marrow to both sides, means over about a millimetre along the shaft."""
    half = max(round(0.5 / look.pixel_mm), 1)
    band = look.images[start.k, start.row - half : start.row + half + 1].mean(axis=0)
    yield band[start.column :]
    yield band[start.column :: -1]


def _edge(profile: FloatArray, pixel_mm: float) -> tuple[float, float] | None:
    """Darkest value after the first fall below half of marrow, relative to it, and the fall's width from 10 to 90 %."""
    marrow = float(np.median(profile[: round(6 / pixel_mm)]))
    below = np.flatnonzero(profile < marrow / 2)
    if not below.size:
        return None
    dark = below[0] + int(profile[below[0] : below[0] + round(2.5 / pixel_mm) + 1].argmin())
    least = float(profile[dark])
    levels = least + (marrow - least) * np.array([0.9, 0.1])
    high, low = (_crossing(profile, dark, level) for level in levels)
    return least / marrow, (low - high) * pixel_mm


def _crossing(profile: FloatArray, dark: int, level: float) -> float:
    """Last place before ``dark`` where the profile falls through a level, in pixels."""
    before = np.flatnonzero(profile[:dark] >= level)
    if not before.size:
        return 0.0
    n = int(before[-1])
    return n + float((profile[n] - level) / max(profile[n] - profile[n + 1], 1e-6))


def _brighter_fat(look: Look) -> float:
    """Share of the subcutaneous fat's pixels that are brighter than the median of marrow."""
    fat = look.images[look.regions["subcutaneous fat"]]
    return float(np.mean(fat > look.marrow)) if fat.size else float("nan")


def _cap(look: Look) -> float:
    """Thickness of what is nearly black on top of the posterior condyles, in mm; 0 where nothing is."""
    found = [_black_mm(_upwards(look, start)) for start in look.condyles]
    return float(np.median(found)) if found else float("nan")


def _upwards(look: Look, start: Start) -> NDArray[np.float64]:
    """Profile from a point upwards in fine steps, a mean over about a millimetre across."""
    half = max(round(0.5 / look.pixel_mm), 1)
    band = look.images[start.k, : start.row + 1, start.column - half : start.column + half + 1].mean(axis=1)[::-1]
    places = np.arange(0, _CAP_REACH_MM, _FINE_MM)
    return np.asarray(np.interp(places, np.arange(len(band)) * look.pixel_mm, band), np.float64)


def _black_mm(profile: NDArray[np.float64]) -> float:
    """Length of the first nearly black run of a fine profile that begins in marrow."""
    black = profile < _CAP_SHARE * np.median(profile[: round(3 / _FINE_MM)])
    runs, _ = ndimage.label(black)
    return float(np.sum(runs == 1)) * _FINE_MM


def _texture(look: Look, sigma_mm: float) -> float:
    """SD of marrow relative to its local mean, at a resolution given as the SD of a Gaussian."""
    found = []
    for k in look.central:
        inside = ndimage.binary_erosion(look.regions["marrow"][k], iterations=max(round(1.0 / look.pixel_mm), 1))
        weight = inside.astype(np.float32)
        fine = _smooth_inside(look.images[k], weight, sigma_mm / look.pixel_mm)
        trend = _smooth_inside(look.images[k], weight, _TREND_SIGMA_MM / look.pixel_mm)
        found.append(fine[inside] / trend[inside])
    return float(np.std(np.concatenate(found)))


def _smooth_inside(image: FloatArray, weight: FloatArray, sigma: float) -> FloatArray:
    """Gaussian mean over what has weight."""
    total = ndimage.gaussian_filter(weight, sigma)
    return np.asarray(ndimage.gaussian_filter(image * weight, sigma) / np.maximum(total, 1e-3), np.float32)


def _shading(look: Look) -> float:
    """How much brighter bright tissue is where it is brightest (95 %) than where it is darkest (5 %)."""
    found = []
    for k in look.central:
        bright = look.images[k] > _BRIGHT_SHARE * look.marrow
        smooth = _smooth_inside(look.images[k], bright.astype(np.float32), 6.0 / look.pixel_mm)
        found.append(smooth[bright])
    low, high = np.percentile(np.concatenate(found), (5, 95))
    return float(high / low)


def _outline(look: Look) -> float:
    """RMS distance of the leg's outline from the best cubic over 90 mm about the joint, mean of both sides."""
    half = _OUTLINE_HEIGHT_MM / 2 / look.pixel_mm
    rows = np.arange(max(round(look.joint_row - half), 0), min(round(look.joint_row + half), look.images.shape[1]))
    found: list[float] = []
    for k in look.central:
        limb = _limb(look, k)[rows]
        full = limb.any(axis=1)
        edges = limb[full].argmax(axis=1), limb.shape[1] - 1 - limb[full][:, ::-1].argmax(axis=1)
        found.extend(_off_cubic(rows[full], edge) * look.pixel_mm for edge in edges)
    return float(np.mean(found))


def _off_cubic(rows: NDArray[np.intp], edge: NDArray[np.intp]) -> float:
    """RMS distance from the best cubic, in pixels."""
    fit = np.polynomial.Polynomial.fit(rows, edge, 3)
    return float(np.sqrt(np.mean((edge - fit(rows)) ** 2)))


def _slope(look: Look) -> float:
    """Slope of the logarithm of the power spectrum against that of the frequency, about the joint."""
    size = round(_PATCH_MM / _PATCH_PIXEL_MM)
    window = np.hanning(size)[:, None] * np.hanning(size)
    power = np.mean([np.abs(np.fft.fft2(_patch(look, k, size) * window)) ** 2 for k in look.central], axis=0)
    along = np.fft.fftfreq(size, _PATCH_PIXEL_MM)
    frequency = np.hypot(along[:, None], along)
    low, high = _FREQUENCIES_PER_MM
    edges = np.geomspace(low, high, 13)
    rings = [(frequency >= a) & (frequency < b) for a, b in pairwise(edges)]
    heights = [np.log(power[ring].mean()) for ring in rings]
    places = [np.log(frequency[ring].mean()) for ring in rings]
    return float(np.polynomial.Polynomial.fit(places, heights, 1).convert().coef[1])


def _patch(look: Look, k: int, size: int) -> FloatArray:
    """A square about the joint's middle, its mean taken away."""
    steps = (np.arange(size) - (size - 1) / 2) * _PATCH_PIXEL_MM / look.pixel_mm
    middle = ndimage.center_of_mass(look.regions["marrow"][k])[1] if look.regions["marrow"][k].any() else 0
    places = np.meshgrid(look.joint_row + steps, middle + steps, indexing="ij")
    patch = ndimage.map_coordinates(look.images[k], places, order=1, mode="nearest")
    return np.asarray(patch - patch.mean(), np.float32)


def _plate(look: Look, bone: str) -> dict[str, float]:
    """The dip at a plate's site, and how much brighter the epiphysis is than the metaphysis.

    The dip's darkest value is relative to marrow beside it, its width is that at half depth.
    """
    found = [dip for line in look.sites[bone] for dip in _dips(look, line)]
    darkest, width, step = np.median(found, axis=0) if found else (np.nan,) * 3
    epiphysis_below = bone == "femur"
    return {
        "darkest": float(darkest),
        "width, mm": float(width),
        "step": float(step if epiphysis_below else 1 / step),
    }


def _dips(look: Look, line: Line) -> Iterator[tuple[float, float, float]]:
    """Darkest value of the dip along a line, its width corrected for the slope, and marrow below relative to above."""
    image, step = look.images[line.k], 0.1
    away = np.arange(-_PROFILE_MM, _PROFILE_MM + step / 2, step)
    rows = line.rows[:, None] + away / look.pixel_mm
    columns = np.broadcast_to(line.columns[:, None], rows.shape)
    profiles = ndimage.map_coordinates(image, [rows, columns], order=1, mode="nearest")
    profiles = ndimage.uniform_filter1d(profiles, max(round(_ALONG_MM / look.pixel_mm), 1), axis=0)
    slopes = 1 / np.sqrt(1 + np.gradient(line.rows) ** 2)
    for profile, slope in zip(profiles[::2], slopes[::2], strict=True):
        above, below = (float(np.median(profile[side * away > _BESIDE_MM])) for side in (-1, 1))
        # No marrow on both sides: a metal void, or a plate that leaves the bone.
        if min(above, below) > _LEAST_SHARE * look.marrow:
            darkest, width = _dip(profile, away)
            yield darkest, width * float(slope), below / above


def _dip(profile: FloatArray, away: NDArray[np.float64]) -> tuple[float, float]:
    """Darkest value near the middle relative to marrow beside it, and the width at half depth."""
    marrow = float(np.median(profile[np.abs(away) > _BESIDE_MM]))
    near = np.flatnonzero(np.abs(away) <= _SEARCH_MM)
    dark = int(near[profile[near].argmin()])
    half = (marrow + float(profile[dark])) / 2
    above = np.flatnonzero(profile >= half)
    left, right = above[above < dark], above[above > dark]
    ends = (int(left[-1]) if left.size else 0), (int(right[0]) if right.size else len(away) - 1)
    return float(profile[dark]) / marrow, float(away[ends[1]] - away[ends[0]])
