"""The report that a person reads: one self-contained HTML file, printable on A4, in English or Chinese.

The same page is what the PDF is made of.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from kneeage.core.anatomy import LABEL_COLOURS
from kneeage.core.manifest import BundleManifest
from kneeage.core.result import Result
from kneeage.infer.explain import Explanation
from kneeage.report import evidence, sections
from kneeage.report.ageplot import age_plot, shown_interval
from kneeage.report.figures import LEGEND, PEAK_HEIGHT, panel_pictures
from kneeage.report.heat import explanation_pictures, most_line, scale_colours, scale_ticks
from kneeage.report.panels import Line, Shown
from kneeage.report.population import population_rows, population_verdict
from kneeage.report.reference import ReferenceKnee, neighbours
from kneeage.report.sheet import Colour
from kneeage.report.summary import is_virtual, reason_lines, summary, virtual_sentences
from kneeage.report.words import Words, words

_HASH_SHOWN = 16


@dataclass(frozen=True, eq=False)
class Backing:
    """What the report shows beside a result and its image.

    Args:
        manifest: What the bundle says about itself; None: the reference population is not compared.
        explained: How far the answer moves when a place is covered; None: no explanation map.
        knees: Reference knees of the bundle.
    """

    manifest: BundleManifest | None = None
    explained: Explanation | None = None
    knees: Sequence[ReferenceKnee] = field(default_factory=list)


@dataclass(frozen=True)
class Picture:
    """One picture in the report, as a data URI."""

    alt: str
    uri: str
    caption: str = ""


@dataclass(frozen=True)
class LegendEntry:
    """One line of the legend of the outlines."""

    colour: str
    line: str
    text: str


def render_html(result: Result, shown: Shown | None, lang: str, backing: Backing | None = None) -> str:
    """Write the report of an examination.

    Args:
        result: The answer, with or without an age.
        shown: Its image and labels; None where there is no image.
        lang: Language, ``"en"`` or ``"zh"``.
        backing: What is shown beside these; None: nothing.

    Returns:
        An HTML document that loads nothing from outside and runs no script.

    Raises:
        UsageError: The language is not one of the report's.
    """
    say, backing = words(lang), backing or Backing()
    rows = [] if shown is None else _rows(shown, backing.explained, say)
    return _template().render(
        say=say,
        result=result,
        summary=summary(result, say),
        virtual=virtual_sentences(result, say),
        reasons=reason_lines(result, say),
        rows=rows,
        outlined=len(rows) > 0 and len(rows[0]) > 1,
        heat=None if shown is None or backing.explained is None else _heat_note(backing.explained, say),
        heat_colours=[_css_colour(colour) for colour in scale_colours()],
        heat_ticks=scale_ticks(say),
        knees=[_knee(knee, say) for knee in neighbours(list(backing.knees), result)],
        knees_note=say("reference.virtual" if is_virtual(result) else "reference.real"),
        legend=_legend(say),
        plot=age_plot(result),
        peak_height=PEAK_HEIGHT,
        interval=shown_interval(result),
        image_hash="–" if result.series is None else result.series.pixel_sha256[:_HASH_SHOWN],
        **_tables(result, backing, say),
    )


@cache
def _template() -> Template:
    """Load the page; every value is escaped and a name that does not exist fails."""
    loader = PackageLoader("kneeage.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2")


def _tables(result: Result, backing: Backing, say: Words) -> dict[str, object]:
    """Make every table of the page."""
    population = population_rows(result, backing.manifest, say)
    return {
        "ages": sections.age_rows(result, say),
        "thresholds": sections.threshold_rows(result, say),
        "common_reason": sections.common_reason(result, say),
        "ratios": evidence.ratio_lines(result, say),
        "errors": evidence.error_table(result, say),
        "plates": sections.plate_table(result, say),
        "stages": sections.stage_definitions(result, say),
        "prior_effects": evidence.prior_table(result, say),
        "covariates": evidence.covariate_table(result, say),
        "population": population,
        "population_verdict": population_verdict(population, say),
        "classes": sections.class_rows(result, say),
        "model": sections.fact_lines(sections.model_rows(result, backing.manifest, say)),
        **_facts(result, say),
    }


def _facts(result: Result, say: Words) -> dict[str, object]:
    """Make the tables of facts, short ones side by side."""
    made = {
        "subject": sections.subject_rows,
        "series": sections.series_rows,
        "quality": sections.quality_rows,
        "prior": sections.prior_rows,
    }
    return {name: sections.fact_lines(rows(result, say)) for name, rows in made.items()}


def _rows(shown: Shown, explained: Explanation | None, say: Words) -> list[list[Picture]]:
    """Give, for each slice, its pictures: alone, with outlines where there are any, with the explanation map."""
    heats = [] if explained is None else explanation_pictures(shown, explained)
    rows = []
    for place, panel in enumerate(shown.panels):
        pictures = [*panel_pictures(panel), *heats[place : place + 1]]
        keys = ["images.alt_plain", *([] if panel.drawn is None else ["images.alt_drawn"]), "images.alt_heat"]
        caption = say("images.caption", number=panel.number, total=panel.total)
        alts = [say(key, number=panel.number) for key in keys]
        rows.append([Picture(alt, _uri(png), caption) for alt, png in zip(alts, pictures, strict=False)])
    return rows


def _knee(knee: ReferenceKnee, say: Words) -> Picture:
    """Show a reference knee."""
    age = say.years(knee.age_years)
    return Picture(
        say("reference.alt", age=age),
        _uri(knee.png()),
        say("reference.caption", sex=say(f"sex.{knee.sex.value}"), age=age),
    )


def _uri(png: bytes) -> str:
    """Put a picture into a data URI."""
    return f"data:image/png;base64,{b64encode(png).decode('ascii')}"


def _legend(say: Words) -> list[LegendEntry]:
    """Name the outlines with their colours and lines."""
    return [LegendEntry(_css_colour(LABEL_COLOURS[label]), Line.of(label).value, say(key)) for label, key in LEGEND]


def _heat_note(explained: Explanation, say: Words) -> str:
    """Say what the explanation map shows, and what it does not."""
    keys = ("heat.line", "images.heat_beside", "heat.caution")
    sentences = [say("images.heat"), most_line(explained, say), *(say(key) for key in keys)]
    return say("format.sentence_gap").join(sentences)


def _css_colour(colour: Colour) -> str:
    """Write a colour for a style sheet."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
