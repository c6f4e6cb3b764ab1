"""A picture on the way to its file: a header, rows of slices with their marks, and what stands below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageDraw

from kneeage.core.result import Result
from kneeage.report.fonts import font_for, picture_lang
from kneeage.report.panels import ByteArray, Panel
from kneeage.report.summary import is_virtual
from kneeage.report.words import Words, words

GAP = 12
WHITE = (255, 255, 255)
BLACK = (0, 0, 0)
_HEADER_HEIGHT = 44
_SCALE_BAR_MM = 20
# zlib level: higher ones take much longer and save little on grey values with noise.
_COMPRESSION = 3
# A sheet is never narrower than so many panels, for the words on it.
_FEWEST_PANELS = 3

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Sheet:
    """A picture while it is drawn.

    Args:
        say: Its words.
        picture: The pixels.
        pen: What draws on them.
        panels_end: Where the rows of slices end, in pixels from above.
    """

    say: Words
    picture: Image.Image
    pen: ImageDraw.ImageDraw
    panels_end: int

    @classmethod
    def of(cls, lang: str, panels: Sequence[Panel], rows: int, below: int) -> Sheet:
        """Make an empty sheet.

        Args:
            lang: Language of its words; English where no Chinese typeface is found.
            panels: The slices, all of one size.
            rows: How many rows of them it holds.
            below: Height of what stands below them, in pixels.

        Raises:
            UsageError: The language is not one of the report's.
        """
        say = words(lang)
        height, width = panels[0].plain.shape
        panels_end = _HEADER_HEIGHT + rows * (height + GAP)
        size = (max(len(panels), _FEWEST_PANELS) * (width + GAP) + GAP, panels_end + below)
        picture = Image.new("RGB", size, WHITE)
        lettered = say if picture_lang(lang) == lang else words("en")
        return cls(lettered, picture, ImageDraw.Draw(picture), panels_end)

    def text(
        self, position: tuple[float, float], text: str, size: int = 18, fill: Colour = BLACK, anchor: str = "la"
    ) -> None:
        """Write at a position."""
        self.pen.text(position, text, fill=fill, font=font_for(self.say.lang, size), anchor=anchor)

    def draw_header(self, result: Result) -> None:
        """Write the state of the document, and that it is a demonstration where it is one."""
        parts = [self.say("draft"), *([self.say("virtual.sentence")] if is_virtual(result) else [])]
        self.text((GAP, 10), "  ·  ".join(parts), size=22)

    def draw_panel(self, row: int, column: int, panel: Panel, pixels: ByteArray) -> None:
        """Put a slice, drawn as these pixels, with its marks into a row and a column."""
        height, width = panel.plain.shape
        corner = (GAP + column * (width + GAP), _HEADER_HEIGHT + row * (height + GAP))
        self.picture.paste(marked(panel, pixels), corner)


def marked(panel: Panel, pixels: ByteArray) -> Image.Image:
    """Put body sides, slice number and a scale bar on one panel; the bar has a black ground to look alike on all."""
    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    height, width = panel.plain.shape
    bar_start = width - 8 - round(_SCALE_BAR_MM / panel.pixel_mm)
    pen.rectangle((bar_start - 5, height - 36, width - 4, height - 4), fill="black")
    for position, text, anchor in (
        ((8, height / 2), panel.left, "lm"),
        ((width - 8, height / 2), panel.right, "rm"),
        ((8, 8), f"{panel.number}/{panel.total}", "la"),
        ((width - 8, height - 14), f"{_SCALE_BAR_MM} mm", "rb"),
    ):
        pen.text(
            position, text, fill="white", font=font_for("en", 18), anchor=anchor, stroke_width=2, stroke_fill="black"
        )
    pen.rectangle((bar_start, height - 11, width - 9, height - 8), fill="white")
    return picture


def png(picture: Image.Image) -> bytes:
    """Write a picture as PNG."""
    buffer = BytesIO()
    picture.save(buffer, "PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()
