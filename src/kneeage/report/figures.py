"""The pictures of an examination, drawn as pixels: panels of slices, and the preview with the age distribution.

Pillow draws them: it starts five times faster than a plotting library and leaves no font cache in the user's home.
"""

from __future__ import annotations

from dataclasses import dataclass

from kneeage.core.anatomy import LABEL_COLOURS, Label
from kneeage.core.result import Result
from kneeage.report.ageplot import AgePlot, age_plot
from kneeage.report.panels import ByteArray, Line, Panel, Shown
from kneeage.report.sheet import BLACK, GAP, Sheet, marked, png

LEGEND = (
    (Label.DISTAL_FEMUR_PHYSIS, "legend.open_femur"),
    (Label.PROXIMAL_TIBIA_PHYSIS, "legend.open_tibia"),
    (Label.DISTAL_FEMUR_PHYSEAL_SCAR, "legend.scar_femur"),
    (Label.PROXIMAL_TIBIA_PHYSEAL_SCAR, "legend.scar_tibia"),
    (Label.DISTAL_FEMUR_METAPHYSIS, "legend.femur"),
    (Label.PROXIMAL_TIBIA_METAPHYSIS, "legend.tibia"),
    (Label.PROXIMAL_FIBULA, "legend.fibula"),
)
_GREY = (150, 150, 150)
_INSIDE = (70, 70, 70)
_OUTSIDE = (190, 190, 190)
_BAND = (238, 238, 238)
# Share of the plot's height that the highest bar takes.
PEAK_HEIGHT = 0.9
_PLOT_HEIGHT = 300

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
    sheet = Sheet.of(lang, shown.panels, len(_rows(shown.panels[0])), _PLOT_HEIGHT)
    sheet.draw_header(result)
    for column, panel in enumerate(shown.panels):
        for row, pixels in enumerate(_rows(panel)):
            sheet.draw_panel(row, column, panel, pixels)
    if shown.panels[0].drawn is not None:
        _draw_legend(sheet)
    plot = age_plot(result)
    if plot is not None:
        _draw_plot(sheet, plot)
    return png(sheet.picture)


def panel_pictures(panel: Panel) -> list[bytes]:
    """Give one slice as PNG files with body sides and scale bar: alone, then with outlines where there are any."""
    return [png(marked(panel, pixels)) for pixels in _rows(panel)]


def _rows(panel: Panel) -> list[ByteArray]:
    """Give what is shown of one slice, from above: alone, then with outlines where there are any."""
    return [panel.plain] if panel.drawn is None else [panel.plain, panel.drawn]


def _draw_legend(sheet: Sheet) -> None:
    """Name the outlines, to the left below the panels."""
    for row, (label, key) in enumerate(LEGEND):
        middle = sheet.panels_end + 24 + row * 34
        _draw_sample(sheet, middle, label)
        sheet.text((GAP + 50, middle), sheet.say(key), anchor="lm")


def _draw_sample(sheet: Sheet, middle: float, label: Label) -> None:
    """Draw a piece of an outline as it runs on the slices, from the left margin on."""
    line = Line.of(label)
    length, step, half = {Line.SOLID: (36, 36, 2), Line.DOTTED: (6, 12, 2), Line.DASHED: (8, 14, 1)}[line]
    edge = 0 if line is Line.DASHED else 2
    for x in range(GAP, GAP + 36, step):
        sheet.pen.rectangle((x, middle - half - edge, x + length - 1, middle + half - 1 + edge), BLACK)
        sheet.pen.rectangle((x, middle - half, x + length - 1, middle + half - 1), LABEL_COLOURS[label])


def _draw_plot(sheet: Sheet, plot: AgePlot) -> None:
    """Draw the age distribution, to the right below the panels."""
    left, right = sheet.picture.width // 3 + 2 * GAP, sheet.picture.width - 2 * GAP
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


def _draw_axis(sheet: Sheet, frame: _Frame, plot: AgePlot) -> None:
    """Draw the age axis with its years and the most probable age."""
    sheet.pen.line((frame.left, frame.bottom, frame.right, frame.bottom), BLACK, 2)
    for tick in plot.ticks:
        x = frame.x(tick.position)
        sheet.pen.line((x, frame.bottom, x, frame.bottom + 6), BLACK, 2)
        sheet.text((x, frame.bottom + 9), tick.text, anchor="ma")
    sheet.text(((frame.left + frame.right) / 2, frame.bottom + 30), sheet.say("plot.x"), size=16, anchor="ma")
    if plot.mode is not None:
        x, y = frame.x(plot.mode), frame.y(PEAK_HEIGHT) - 4
        sheet.pen.polygon([(x - 7, y - 11), (x + 7, y - 11), (x, y)], BLACK)


def _draw_thresholds(sheet: Sheet, frame: _Frame, plot: AgePlot) -> None:
    """Draw the age limits as dashed lines with their age on top."""
    for threshold in plot.thresholds:
        x = frame.x(threshold.position)
        for y in range(round(frame.top), round(frame.bottom), 12):
            sheet.pen.line((x, y, x, min(y + 6, frame.bottom)), _GREY, 2)
        sheet.text((x, frame.top - 4), threshold.text, size=16, anchor="mb")
