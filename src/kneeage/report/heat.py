"""Where on the slices the age came from, as a picture: grey slices, warm where covering moves the answer."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from kneeage.core.volume import Volume
from kneeage.report.figures import png
from kneeage.report.panels import ByteArray, Shown, panels

# Colour of what moves the answer most, distinguishable with colour-blindness. Source: Okabe M, Ito K, Color Universal
# Design, 2008 (vermilion); and the most opaque that it gets, so that the slice stays visible.
_WARM = np.array([213, 94, 0], dtype=np.float32)
_OPAQUE = 0.75
# Share of the strongest effect that the line runs around, so that the picture can be read without colour. Source: ours.
_LINE_AT = 0.5
_LINE_PIXELS = 2
_GAP = 12


def explanation_png(shown: Shown, moved: Volume) -> bytes:
    """Draw the slices that the report shows, side by side, with what moves the answer.

    Args:
        shown: Image and labels.
        moved: How far the answer moves when a place is covered, 0 to 1, on the same grid; nan where none was.

    Returns:
        The bytes of a PNG file. The strongest place has the strongest colour, however strong it is.
    """
    pictures = _pictures(shown, moved)
    height, width = pictures[0].shape[:2]
    sheet = Image.new("RGB", (len(pictures) * (width + _GAP) - _GAP, height), (255, 255, 255))
    for place, picture in enumerate(pictures):
        sheet.paste(Image.fromarray(picture), (place * (width + _GAP), 0))
    return png(sheet)


def explanation_pictures(shown: Shown, moved: Volume) -> list[bytes]:
    """Draw the same slices one by one, as PNG files; see `explanation_png`."""
    return [png(Image.fromarray(picture)) for picture in _pictures(shown, moved)]


def _pictures(shown: Shown, moved: Volume) -> list[ByteArray]:
    """Draw each slice, shape (rows, columns, 3)."""
    strength = np.nan_to_num(np.asarray(moved.array, np.float32))
    warm = panels(moved.with_array(strength), shown.labels, shown.plane)
    return [_warmed(grey.plain, heat.plain) for grey, heat in zip(shown.panels, warm, strict=True)]


def _warmed(grey: ByteArray, heat: ByteArray) -> ByteArray:
    """Lay heat, shape (rows, columns), over a slice, with a line around the most; shape (rows, columns, 3)."""
    share = _OPAQUE * heat[..., None].astype(np.float32) / 255
    warmed = np.asarray((1 - share) * grey[..., None] + share * _WARM, np.uint8)
    most = heat > _LINE_AT * 255
    for edge, tone in ((most, 255), (ndimage.binary_dilation(most, iterations=_LINE_PIXELS), 0)):
        warmed[ndimage.binary_dilation(edge, iterations=_LINE_PIXELS) & ~edge] = tone
    return warmed
