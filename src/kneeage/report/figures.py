"""The pictures of an examination, drawn as pixels: panels of slices, and the preview with the age distribution.

Pillow draws them: it starts five times faster than a plotting library and leaves no font cache in the user's home.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageDraw

from kneeage.core.anatomy import LABEL_COLOURS, Label
from kneeage.core.result import Result
from kneeage.report.ageplot import AgePlot, age_plot
from kneeage.report.fonts import font_for, picture_lang
from kneeage.report.panels import ByteArray, Line, Panel, Shown
from kneeage.report.summary import is_virtual
from kneeage.report.words import Words, words

LEGEND = (
    (Label.DISTAL_FEMUR_PHYSIS, "legend.open_femur"),
    (Label.PROXIMAL_TIBIA_PHYSIS, "legend.open_tibia"),
    (Label.DISTAL_FEMUR_PHYSEAL_SCAR, "legend.scar_femur"),
    (Label.PROXIMAL_TIBIA_PHYSEAL_SCAR, "legend.scar_tibia"),
    (Label.DISTAL_FEMUR_METAPHYSIS, "legend.femur"),
    (Label.PROXIMAL_TIBIA_METAPHYSIS, "legend.tibia"),
    (Label.PROXIMAL_FIBULA, "legend.fibula"),
)
_SCALE_BAR_MM = 20
# zlib level: higher ones take much longer and save little on grey values with noise.
_COMPRESSION = 3
_WHITE = (255, 255, 255)
_BLACK = (0, 0, 0)
_GREY = (150, 150, 150)
_INSIDE = (70, 70, 70)
_OUTSIDE = (190, 190, 190)
_BAND = (238, 238, 238)
# Share of the plot's height that the highest bar takes.
PEAK_HEIGHT = 0.9
_GAP = 12
_HEADER_HEIGHT = 44
_PLOT_HEIGHT = 300

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]


def preview_png(result: Result, shown: Shown, lang: str) -> bytes:
    """Draw the preview: slices with and without outlines, a legend and the age distribution.

    Args:
        result: The answer.
        shown: Its image and labels.
        lang: Language of the few words, ``"en"`` or ``"zh"``; English where no Chinese typeface is found.

    Returns:
        The bytes of a PNG file.

    Raises:
        UsageError: The language is not one of the report's.
    """
    say = words(lang)
    sheet = _Sheet.of(say if picture_lang(lang) == lang else words("en"), shown.panels)
    _draw_header(sheet, result)
    _draw_panels(sheet, shown.panels)
    if shown.panels[0].drawn is not None:
        _draw_legend(sheet)
    plot = age_plot(result)
    if plot is not None:
        _draw_plot(sheet, plot)
    return png(sheet.picture)


def panel_pictures(panel: Panel) -> list[bytes]:
    """Give one slice as PNG files with body sides and scale bar: alone, then with outlines where there are any."""
    return [png(_marked(panel, pixels)) for pixels in _rows(panel)]


def png(picture: Image.Image) -> bytes:
    """Write a picture as PNG."""
    buffer = BytesIO()
    picture.save(buffer, "PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()


@dataclass(frozen=True)
class _Sheet:
    """The preview while it is drawn: header, two rows of panels, then legend and plot side by side."""

    say: Words
    picture: Image.Image
    pen: ImageDraw.ImageDraw
    panels_end: int

    @classmethod
    def of(cls, say: Words, shown: Sequence[Panel]) -> _Sheet:
        """Make an empty sheet that the panels fit on."""
        height, width = shown[0].plain.shape
        panels_end = _HEADER_HEIGHT + len(_rows(shown[0])) * (height + _GAP)
        size = (max(len(shown), 3) * (width + _GAP) + _GAP, panels_end + _PLOT_HEIGHT)
        picture = Image.new("RGB", size, _WHITE)
        return cls(say, picture, ImageDraw.Draw(picture), panels_end)

    def text(
        self, position: tuple[float, float], text: str, size: int = 18, fill: Colour = _BLACK, anchor: str = "la"
    ) -> None:
        """Write at a position."""
        self.pen.text(position, text, fill=fill, font=font_for(self.say.lang, size), anchor=anchor)


def _draw_header(sheet: _Sheet, result: Result) -> None:
    """Write the state of the document, and that it is a demonstration where it is one."""
    parts = [sheet.say("draft"), *([sheet.say("virtual.sentence")] if is_virtual(result) else [])]
    sheet.text((_GAP, 10), "  ·  ".join(parts), size=22)


def _draw_panels(sheet: _Sheet, shown: Sequence[Panel]) -> None:
    """Put the slices in two rows, alone above and with outlines below."""
    for column, panel in enumerate(shown):
        for row, pixels in enumerate(_rows(panel)):
            height, width = panel.plain.shape
            corner = (_GAP + column * (width + _GAP), _HEADER_HEIGHT + row * (height + _GAP))
            sheet.picture.paste(_marked(panel, pixels), corner)


def _rows(panel: Panel) -> list[ByteArray]:
    """Give what is shown of one slice, from above: alone, then with outlines where there are any."""
    return [panel.plain] if panel.drawn is None else [panel.plain, panel.drawn]


def _marked(panel: Panel, pixels: ByteArray) -> Image.Image:
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


def _draw_legend(sheet: _Sheet) -> None:
    """Name the outlines, to the left below the panels."""
    for row, (label, key) in enumerate(LEGEND):
        middle = sheet.panels_end + 24 + row * 34
        _draw_sample(sheet, middle, label)
        sheet.text((_GAP + 50, middle), sheet.say(key), anchor="lm")


def _draw_sample(sheet: _Sheet, middle: float, label: Label) -> None:
    """Draw a piece of an outline as it runs on the slices, from the left margin on."""
    line = Line.of(label)
    length, step, half = {Line.SOLID: (36, 36, 2), Line.DOTTED: (6, 12, 2), Line.DASHED: (8, 14, 1)}[line]
    edge = 0 if line is Line.DASHED else 2
    for x in range(_GAP, _GAP + 36, step):
        sheet.pen.rectangle((x, middle - half - edge, x + length - 1, middle + half - 1 + edge), _BLACK)
        sheet.pen.rectangle((x, middle - half, x + length - 1, middle + half - 1), LABEL_COLOURS[label])


def _draw_plot(sheet: _Sheet, plot: AgePlot) -> None:
    """Draw the age distribution, to the right below the panels."""
    left, right = sheet.picture.width // 3 + 2 * _GAP, sheet.picture.width - 2 * _GAP
    frame = _Frame(left, sheet.panels_end + 30, right, sheet.picture.height - 52)
    if plot.interval is not None:
        sheet.pen.rectangle(frame.box(*plot.interval, 1.0), _BAND)
    for bar in plot.bars:
        sheet.pen.rectangle(
            frame.box(bar.left, bar.right, PEAK_HEIGHT * bar.height), _INSIDE if bar.inside else _OUTSIDE
        )
    _draw_axis(sheet, frame, plot)
    _draw_thresholds(sheet, frame, plot)


@dataclass(frozen=True)
class _Frame:
    """Where the unit square of a plot lies on the sheet, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def x(self, share: float) -> float:
        """Place a share of the width."""
        return self.left + share * (self.right - self.left)

    def y(self, share: float) -> float:
        """Place a share of the height, from below."""
        return self.bottom - share * (self.bottom - self.top)

    def box(self, left: float, right: float, height: float) -> Box:
        """Place a bar that stands on the axis."""
        return (self.x(left), self.y(height), self.x(right), self.bottom)


def _draw_axis(sheet: _Sheet, frame: _Frame, plot: AgePlot) -> None:
    """Draw the age axis with its years and the most probable age."""
    sheet.pen.line((frame.left, frame.bottom, frame.right, frame.bottom), _BLACK, 2)
    for tick in plot.ticks:
        x = frame.x(tick.position)
        sheet.pen.line((x, frame.bottom, x, frame.bottom + 6), _BLACK, 2)
        sheet.text((x, frame.bottom + 9), tick.text, anchor="ma")
    sheet.text(((frame.left + frame.right) / 2, frame.bottom + 30), sheet.say("plot.x"), size=16, anchor="ma")
    if plot.mode is not None:
        x, y = frame.x(plot.mode), frame.y(PEAK_HEIGHT) - 4
        sheet.pen.polygon([(x - 7, y - 11), (x + 7, y - 11), (x, y)], _BLACK)


def _draw_thresholds(sheet: _Sheet, frame: _Frame, plot: AgePlot) -> None:
    """Draw the age limits as dashed lines with their age on top."""
    for threshold in plot.thresholds:
        x = frame.x(threshold.position)
        for y in range(round(frame.top), round(frame.bottom), 12):
            sheet.pen.line((x, y, x, min(y + 6, frame.bottom)), _GREY, 2)
        sheet.text((x, frame.top - 4), threshold.text, size=16, anchor="mb")
