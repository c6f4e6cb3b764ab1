"""The slices that the documents show: chosen at the plates' sites, cropped to the knee, alone and with outlines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from kneeage.core.anatomy import LABEL_COLOURS, PLATE_SITES, Label, Plane
from kneeage.core.volume import Volume, axis_changes

BoolArray = NDArray[np.bool_]
ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

PANEL_WIDTH = 400
SLICES_SHOWN = 3
# How a plane is looked at: columns to the viewer's right, rows downwards, slices away from the viewer.
VIEW_ORIENTATION = {Plane.CORONAL: "LIP", Plane.SAGITTAL: "PIL", Plane.AXIAL: "LPI"}
_OPPOSITE = dict(zip("LRPAIS", "RLAPSI", strict=True))
_WINDOW_PERCENTILES = (1.0, 99.7)
_COLUMN_MARGIN_MM = 8.0
_ROW_MARGIN_MM = 14.0
# Dashes of bones are longer than the dots of scars. Source: ours, as those that follow.
_DASH_PIXELS, _DOT_PIXELS = 8, 6
# A blurred mask falls from 255 to 0 across its border: the rim is where it is between these values.
_RIM = [
    255 if 25 <= value < 140 else 3 * value if value < 25 else max(255 - 6 * (value - 140), 0) for value in range(256)
]
_PLATE_BLUR = ImageFilter.GaussianBlur(1.6)
_BONE_BLUR = ImageFilter.GaussianBlur(0.8)
_DIRECTION_BLUR = ImageFilter.GaussianBlur(4.0)
# The dark edge of a plate's outline is half of this wide.
_EDGE = ImageFilter.MaxFilter(5)
_PLATES = tuple(label for site in PLATE_SITES for label in (site.open_plate, site.scar))
_SCARS = tuple(site.scar for site in PLATE_SITES)
_BONES = (*(label for site in PLATE_SITES for label in (site.epiphysis, site.metaphysis)), Label.PROXIMAL_FIBULA)
_NEAR_JOINT = (*_PLATES, *(site.epiphysis for site in PLATE_SITES))


class Line(str, Enum):
    """How an outline is drawn, so that it is known without its colour."""

    SOLID = "solid"
    DOTTED = "dotted"
    DASHED = "dashed"

    @classmethod
    def of(cls, label: Label) -> Line:
        """Give the line of a label: bones are dashed, open plates solid, scars dotted."""
        if label in _BONES:
            return cls.DASHED
        return cls.DOTTED if label in _SCARS else cls.SOLID


@dataclass(frozen=True)
class Panel:
    """One slice as pixels.

    Args:
        number: Number of the slice in the source, from 1.
        total: Number of slices in the source.
        plain: Grey values, shape (rows, columns).
        drawn: The same with outlines, shape (rows, columns, 3); None where nothing was labelled in the whole volume.
        left: Body side at the left edge, such as ``"R"``.
        right: Body side at the right edge.
        pixel_mm: Size of one (square) pixel in mm.
    """

    number: int
    total: int
    plain: ByteArray
    drawn: ByteArray | None
    left: str
    right: str
    pixel_mm: float


@dataclass(frozen=True, eq=False)
class Shown:
    """What the documents show; its slices are drawn once, however many documents show them.

    Args:
        image: Grey values on the source grid, shape (1, I, J, K).
        labels: Label values on the same grid.
        plane: Plane to look at.
    """

    image: Volume
    labels: Volume
    plane: Plane

    @cached_property
    def panels(self) -> list[Panel]:
        """Slices through the plates' sites."""
        return panels(self.image, self.labels, self.plane)


@dataclass(frozen=True)
class _View:
    """Image and labels as they are looked at: shape (I, J, K), I to the right, J downwards, spacing in mm."""

    image: FloatArray
    labels: ByteArray
    spacing: tuple[float, float, float]
    codes: str
    slice_axis_flipped: bool

    @cached_property
    def is_labelled(self) -> bool:
        """Whether anything was labelled."""
        return bool(self.labels.any())

    @property
    def slices(self) -> int:
        """Number of slices."""
        return int(self.image.shape[2])


def panels(
    image: Volume,
    labels: Volume,
    plane: Plane,
    count: int = SLICES_SHOWN,
    black_white: tuple[float, float] | None = None,
) -> list[Panel]:
    """Draw slices through the plates' sites.

    Args:
        image: Grey values, shape (1, I, J, K), any orientation.
        labels: Label values on the same grid.
        plane: Plane to look at.
        count: How many slices at most.
        black_white: Values that are shown as black and as white; None: nearly the lowest and the highest there are.

    Returns:
        Panels of one size, in the order of the slices.
    """
    view = _looked_at(image, labels, plane)
    chosen = chosen_slices(view.labels, count)
    window = _crop(view, chosen)
    low, high = black_white or _grey_window(view.image[(*window, chosen)])
    return [_panel(view, k, window, low, high) for k in chosen]


def chosen_slices(labels: ByteArray, count: int = SLICES_SHOWN) -> list[int]:
    """Choose slices evenly over those that show both sites (else either site, else all).

    Where an open plate was drawn and none of these shows it, the one that shows most of it takes the nearest's place.

    Args:
        labels: Label values, shape (I, J, K).
        count: How many slices at most.

    Returns:
        Rising slice indices.
    """
    widths = np.stack([_site_width(labels, site.epiphysis, site.metaphysis) for site in PLATE_SITES])
    both, either = np.flatnonzero(widths.min(axis=0)), np.flatnonzero(widths.max(axis=0))
    candidates = next((found for found in (both, either) if found.size), np.arange(labels.shape[2]))
    places = (np.arange(count) + 0.5) / count * candidates.size
    chosen = candidates[places.astype(int)]
    for site in PLATE_SITES:
        drawn = np.count_nonzero(labels == site.open_plate, axis=(0, 1))
        most = candidates[int(drawn[candidates].argmax())]
        if drawn[most] and not drawn[chosen].any():
            chosen[np.abs(chosen - most).argmin()] = most
    return [int(k) for k in np.unique(chosen)]


def _looked_at(image: Volume, labels: Volume, plane: Plane) -> _View:
    """Turn image and labels so that they are looked at as usual for the plane."""
    codes = VIEW_ORIENTATION[plane]
    _, flips = axis_changes(image.orientation, codes)
    turned = image.reoriented(codes)
    return _View(
        image=turned.array[0].astype(np.float32, copy=False),
        labels=labels.reoriented(codes).array[0].astype(np.uint8, copy=False),
        spacing=turned.spacing,
        codes=codes,
        slice_axis_flipped=flips[2],
    )


def _site_width(labels: ByteArray, epiphysis: Label, metaphysis: Label) -> NDArray[np.intp]:
    """Count, per slice, the columns (of about a hundred) that hold both parts of a bone, shape (K,)."""
    some = labels[:: max(labels.shape[0] // 100, 1)]
    return np.asarray(np.sum((some == epiphysis).any(axis=1) & (some == metaphysis).any(axis=1), axis=0))


def _crop(view: _View, chosen: list[int]) -> tuple[slice, slice]:
    """Give the columns and rows around the joint on the chosen slices; everything where no bone was seen."""
    seen = np.isin(view.labels[:, :, chosen], _NEAR_JOINT).any(axis=2)
    if not seen.any():
        return slice(None), slice(None)
    columns = _extent(np.any(seen, axis=1), round(_COLUMN_MARGIN_MM / view.spacing[0]))
    return columns, _extent(np.any(seen, axis=0), round(_ROW_MARGIN_MM / view.spacing[1]))


def _extent(seen: BoolArray, margin: int) -> slice:
    """Give the range of true values with a margin, inside the array."""
    places = np.flatnonzero(seen)
    return slice(max(int(places[0]) - margin, 0), min(int(places[-1]) + margin + 1, seen.size))


def _grey_window(values: FloatArray) -> tuple[float, float]:
    """Give the values that are shown as black and as white."""
    low, high = np.percentile(values[np.isfinite(values)], _WINDOW_PERCENTILES)
    return float(low), float(max(high, low + 1e-6))


def _panel(view: _View, k: int, window: tuple[slice, slice], low: float, high: float) -> Panel:
    """Draw one slice."""
    grey = np.clip((view.image[(*window, k)].T - low) / (high - low), 0, 1)
    size = _panel_size(grey.shape, view.spacing)
    plain = np.asarray(Image.fromarray((255 * grey).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC))
    return Panel(
        number=view.slices - k if view.slice_axis_flipped else k + 1,
        total=view.slices,
        plain=plain,
        drawn=_outlined(plain, view.labels[(*window, k)].T) if view.is_labelled else None,
        left=_OPPOSITE[view.codes[0]],
        right=view.codes[0],
        pixel_mm=grey.shape[1] * view.spacing[0] / size[0],
    )


def _panel_size(shape: tuple[int, ...], spacing: tuple[float, float, float]) -> tuple[int, int]:
    """Give the width and height in square pixels of a crop of (rows, columns) voxels."""
    rows, columns = shape
    height = PANEL_WIDTH * rows * spacing[1] / (columns * spacing[0])
    return PANEL_WIDTH, max(round(height), 1)


def _outlined(plain: ByteArray, labels: ByteArray) -> ByteArray:
    """Lay the outlines of bones and plates over a grey panel, shape (rows, columns, 3).

    They are told apart without colour: bones by thin dashes, open plates by a solid line and scars by a dotted one,
    both with a dark edge, so that they are seen in bright marrow.
    """
    canvas = Image.fromarray(plain).convert("RGB")
    present = set(np.flatnonzero(np.bincount(labels.ravel(), minlength=len(Label))))
    for label in (*_BONES, *_PLATES):
        if label in present:
            line, edge = _outline(labels == label, canvas.size, label)
            canvas.paste((0, 0, 0), mask=edge)
            canvas.paste(LABEL_COLOURS[label], mask=line)
    return np.asarray(canvas)


def _outline(mask: BoolArray, size: tuple[int, int], label: Label) -> tuple[Image.Image, Image.Image]:
    """Give the opacity of one outline, which lies just outside its mask, and that of its dark edge further outside."""
    wide = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    if Line.of(label) is Line.DASHED:
        line = wide.filter(_BONE_BLUR).point(_RIM)
        return ImageChops.multiply(line, _dashes(wide, _DASH_PIXELS)), Image.new("L", size)
    line = wide.filter(_PLATE_BLUR).point(_RIM)
    edge = ImageChops.subtract(line.filter(_EDGE), wide)
    if Line.of(label) is Line.SOLID:
        return line, edge
    dots = _dashes(wide, _DOT_PIXELS)
    return ImageChops.multiply(line, dots), ImageChops.multiply(edge, dots)


def _dashes(wide: Image.Image, length: int) -> Image.Image:
    """Make stripes that cut the outline of a mask into dashes, whatever its direction.

    Along any line, columns plus rows or columns less rows change by at least 0.7 per pixel.
    """
    down, right = np.gradient(np.asarray(wide.filter(_DIRECTION_BLUR), np.float32))
    rows, columns = np.ogrid[: wide.height, : wide.width]
    along = np.where(down * right < 0, columns + rows, columns - rows)
    return Image.fromarray(np.where(along // length % 2, 0, 255).astype(np.uint8))
