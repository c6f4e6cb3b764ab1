"""The report that a person reads: one self-contained HTML file, printable on A4, in English or Chinese."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from kneeage.core.anatomy import LABEL_COLOURS, Label
from kneeage.core.result import Result
from kneeage.core.volume import Volume
from kneeage.report import sections
from kneeage.report.ageplot import age_plot, shown_interval
from kneeage.report.figures import LEGEND, PEAK_HEIGHT, panel_pictures, plane_of
from kneeage.report.panels import Panel, panels
from kneeage.report.summary import reason_lines, summary, virtual_sentences
from kneeage.report.words import Words, words

_HASH_SHOWN = 16


@dataclass(frozen=True)
class Picture:
    """One slice in the report: its number and its pictures as data URIs, alone, then with outlines if any."""

    number: int
    total: int
    plain: str
    drawn: str | None


@dataclass(frozen=True)
class LegendEntry:
    """One line of the legend of the outlines."""

    colour: str
    dotted: bool
    text: str


def render_html(result: Result, image: Volume | None, labels: Volume | None, lang: str) -> str:
    """Write the report of an examination.

    Args:
        result: The answer, with or without an age.
        image: Grey values on the source grid, shape (1, I, J, K); None where there is none to show.
        labels: Label values on the source grid, shape (1, I, J, K); None where there are none.
        lang: Language, ``"en"`` or ``"zh"``.

    Returns:
        An HTML document that loads nothing from outside and runs no script.

    Raises:
        UsageError: The language is not one of the report's.
    """
    say = words(lang)
    shown = [] if image is None or labels is None else panels(image, labels, plane_of(result))
    return _template().render(
        say=say,
        result=result,
        summary=summary(result, say),
        virtual=virtual_sentences(result, say),
        reasons=reason_lines(result, say),
        pictures=[_picture(panel) for panel in shown],
        legend=_legend(say),
        plot=age_plot(result),
        peak_height=PEAK_HEIGHT,
        interval=shown_interval(result),
        image_hash="–" if result.series is None else result.series.pixel_sha256[:_HASH_SHOWN],
        **_tables(result, say),
    )


@cache
def _template() -> Template:
    """Load the page; every value is escaped and a name that does not exist fails."""
    loader = PackageLoader("kneeage.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2")


def _tables(result: Result, say: Words) -> dict[str, object]:
    """Make every table of the page."""
    return {
        "ages": sections.age_rows(result, say),
        "thresholds": sections.threshold_rows(result, say),
        "common_reason": sections.common_reason(result, say),
        "plates": sections.plate_table(result, say),
        "subject": sections.subject_rows(result, say),
        "series": sections.series_rows(result, say),
        "quality": sections.quality_rows(result, say),
        "classes": sections.class_rows(result, say),
        "prior": sections.prior_rows(result, say),
        "model": sections.model_rows(result, say),
    }


def _picture(panel: Panel) -> Picture:
    """Put the pictures of one slice into data URIs."""
    plain, *drawn = (f"data:image/png;base64,{b64encode(png).decode('ascii')}" for png in panel_pictures(panel))
    return Picture(panel.number, panel.total, plain, drawn[0] if drawn else None)


def _legend(say: Words) -> list[LegendEntry]:
    """Name the outlines and their colours."""
    return [LegendEntry(_css_colour(label), "scar" in key, say(key)) for label, key in LEGEND]


def _css_colour(label: Label) -> str:
    """Write the colour of a label for a style sheet."""
    return "#{:02x}{:02x}{:02x}".format(*LABEL_COLOURS[label])
