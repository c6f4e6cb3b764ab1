"""Where on the slices the age came from, as a picture: grey slices, warm where covering moves the answer."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from kneeage.core.result import Result
from kneeage.infer.explain import Explanation
from kneeage.report.panels import ByteArray, FloatArray, Shown, panels
from kneeage.report.sheet import BLACK, GAP, Colour, Sheet, marked, png
from kneeage.report.summary import outward
from kneeage.report.words import Words

# Colour of what moves the answer most, distinguishable with colour-blindness. Source: Okabe M, Ito K, Color Universal
# Design, 2008 (vermilion); and the most opaque that it gets, so that the slice stays visible.
_WARM = np.array([213, 94, 0], dtype=np.float32)
_OPAQUE = 0.75
# Distance that has the full colour, on one scale for all subjects. Source: ours; effects of 0.1 to 0.35
# are seen and told apart.
FULL_COLOUR_AT = 0.4
# Share of the strongest effect that the line runs around, so that the picture can be read without colour. Source: ours.
_LINE_AT = 0.5
_LINE_PIXELS = 2
# Less than this is no effect, and no line is drawn. Source: ours, under what is printed.
_NOTHING = 0.001
# Grey that the legend's colours lie on. Source: ours, about that of marrow.
_LEGEND_GREY = 190
_LEGEND_STEPS = 4
_LEGEND_BOX = (300, 18)
_BELOW = 138


def explanation_png(result: Result, shown: Shown, explained: Explanation, lang: str) -> bytes:
    """Draw the slices that the report shows, side by side, with what moves the answer, and what the colours say.

    Args:
        result: The answer.
        shown: Its image and labels.
        explained: How far the answer moves when a place is covered, on the same grid.
        lang: Language of the words, ``"en"`` or ``"zh"``; English where no Chinese typeface is found.

    Returns:
        The bytes of a PNG file. A colour means the same for every subject.

    Raises:
        UsageError: The language is not one of the report's.
    """
    sheet = Sheet.of(lang, shown.panels, 1, _BELOW)
    sheet.draw_header(result)
    for column, (panel, pixels) in enumerate(zip(shown.panels, _pictures(shown, explained), strict=True)):
        sheet.draw_panel(0, column, panel, pixels)
    _draw_legend(sheet)
    lines = (most_line(explained, sheet.say), sheet.say("heat.line"), sheet.say("heat.caution"))
    for row, line in enumerate(lines):
        sheet.text((GAP, sheet.panels_end + 56 + 26 * row), line)
    return png(sheet.picture)


def explanation_pictures(shown: Shown, explained: Explanation) -> list[bytes]:
    """Draw the same slices one by one, as PNG files; see `explanation_png`."""
    pictures = _pictures(shown, explained)
    return [png(marked(panel, pixels)) for panel, pixels in zip(shown.panels, pictures, strict=True)]


def most_line(explained: Explanation, say: Words) -> str:
    """Say how far covering one place moves the answer at most; both numbers are rounded up."""
    moved, years = outward(explained.most_moved, +1, 2), outward(explained.most_years, +1)
    return say("heat.most", moved=say.number(moved, 2), years=say.years(years))


def scale_colours() -> tuple[Colour, Colour]:
    """Give the ends of the legend's colour scale, 0 and ``FULL_COLOUR_AT``; between them it runs evenly."""
    none, full = _coloured(np.full(2, _LEGEND_GREY, np.uint8), np.array([0, 1], np.float32)).tolist()
    return tuple(none), tuple(full)


def scale_ticks(say: Words) -> list[tuple[float, str]]:
    """Give the places, 0 to 1, and the words of the ticks of the legend's colour scale."""
    shares = [step / _LEGEND_STEPS for step in range(_LEGEND_STEPS + 1)]
    numbers = [say.number(share * FULL_COLOUR_AT) if share else "0" for share in shares]
    return list(zip(shares, [*numbers[:-1], say("heat.and_more", number=numbers[-1])], strict=True))


def _pictures(shown: Shown, explained: Explanation) -> list[ByteArray]:
    """Draw each slice, shape (rows, columns, 3)."""
    moved = explained.moved.with_array(np.nan_to_num(np.asarray(explained.moved.array, np.float32)))
    most = max(explained.most_moved, _NOTHING)
    parts = panels(moved, shown.labels, shown.plane, black_white=(0.0, most))
    return [_warmed(grey.plain, part.plain, most) for grey, part in zip(shown.panels, parts, strict=True)]


def _warmed(grey: ByteArray, part: ByteArray, strongest: float) -> ByteArray:
    """Lay over a slice what part of the strongest effect each pixel has, 255 being all; shape (rows, columns, 3)."""
    warmed = _coloured(grey, np.minimum(part.astype(np.float32) / 255 * strongest / FULL_COLOUR_AT, 1))
    most = part > _LINE_AT * 255
    for edge, tone in ((most, 255), (ndimage.binary_dilation(most, iterations=_LINE_PIXELS), 0)):
        warmed[ndimage.binary_dilation(edge, iterations=_LINE_PIXELS) & ~edge] = tone
    return warmed


def _coloured(grey: ByteArray, warmth: FloatArray) -> ByteArray:
    """Colour grey values by a warmth of the same shape, 0 to 1; shape (..., 3)."""
    share = _OPAQUE * warmth[..., None]
    return np.asarray((1 - share) * grey[..., None] + share * _WARM, np.uint8)


def _draw_legend(sheet: Sheet) -> None:
    """Draw the colour scale below the slices, and say what it measures."""
    (width, height), top = _LEGEND_BOX, sheet.panels_end + 2
    warmth = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (height, width))
    scale = Image.fromarray(_coloured(np.full(warmth.shape, _LEGEND_GREY, np.uint8), warmth))
    sheet.picture.paste(scale, (GAP, top))
    sheet.pen.rectangle((GAP, top, GAP + width - 1, top + height - 1), outline=BLACK)
    for share, words in scale_ticks(sheet.say):
        x = GAP + round(share * (width - 1))
        sheet.pen.line((x, top + height, x, top + height + 4), BLACK)
        sheet.text((x, top + height + 5), words, size=15, anchor="la" if share in (0, 1) else "ma")
    sheet.text((GAP + width + 100, top + height / 2), sheet.say("heat.scale"), anchor="lm")
