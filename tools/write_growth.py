"""Fill in the tables of ``docs/growth.md`` and draw its picture; the words between the tables are written by hand.

It takes a few minutes; ``--check`` compares only what is quick to make: parameters, hashes, curve and picture.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from kneeage.core.anatomy import Sex
from kneeage.core.machine import available_cores, possible_processes
from kneeage.phantom.cohort.ceiling import (
    Ceiling,
    Reader,
    ceiling,
    closed_form_exact_year,
    sd_for_exact_year,
)
from kneeage.phantom.cohort.presets import PRESETS
from kneeage.phantom.growth.law import PLATES
from kneeage.phantom.growth.literature import AttainmentRow, ClosedRow, Row, YoungestRow
from kneeage.phantom.growth.measured import ERRORS
from kneeage.phantom.growth.population import Comparison, closed_share, compare_all, minimum_ages, simulate
from kneeage.phantom.growth.stages import Dedouit
from kneeage.phantom.growth.table import FORENSIC, FROZEN_SHA256, LAW_VERSION, TABLE1, GrowthTable, Parameter
from tools.growth_picture import PAPER_ACCURACY, picture, prior_sd_years
from tools.marked_page import filled, table

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "growth.md"
PICTURE = DOCS / "images" / "exact-year.svg"

POPULATION = 20_000
AGES_YEARS = (8.0, 26.0)
CLOSING_YEARS = range(14, 22)
SENSITIVITY_SUBJECTS = 6_000
# A parameter is listed when an end of its range moves a mean absolute error by this much.
NOTABLE_YEARS = 0.02
_BOTH_READERS = (Reader.LATENTS, Reader.MEASURED)
# Ends of single ranges that may bring a row of the literature inside.
_MOVES = ("femur_closure_male_years", "female_earlier_years", "tibia_after_femur_years")


def main() -> int:
    """Write the page, or with ``--check`` only say whether its quick parts are up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a quick part is out of date")
    if parser.parse_args().check:
        if is_current():
            return 0
        print("docs/growth.md is out of date: run `make growth`", file=sys.stderr)
        return 1
    PICTURE.write_text(picture(), encoding="utf-8")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), QUICK | SLOW), encoding="utf-8")
    return 0


def is_current() -> bool:
    """Say whether the quick parts in docs are what the code gives."""
    text = PAGE.read_text(encoding="utf-8")
    return filled(text, QUICK) == text and PICTURE.read_text(encoding="utf-8") == picture()


def versions() -> list[str]:
    """Give the frozen tables."""
    return table((f"preset (law version {LAW_VERSION})", "SHA-256 of the growth table"), FROZEN_SHA256.items())


def parameters() -> list[str]:
    """Give every parameter of the table."""
    rows = (_parameter_row(name, parameter) for name, parameter in TABLE1.parameters().items())
    return table(("parameter", "value", "range", "unit", "tag", "meaning", "source"), rows)


def differences() -> list[str]:
    """Give what the other presets' tables change."""
    base = TABLE1.parameters()
    rows = (
        (name, f"`{parameter}`", f"{value.value:.4g}")
        for name, preset in PRESETS.items()
        for parameter, value in preset.growth.parameters().items()
        if value.value != base[parameter].value
    )
    return table(("preset", "parameter", "value"), rows)


def curve() -> list[str]:
    """Give the curve of exact-year accuracy in figures."""
    named = {sd_for_exact_year(PAPER_ACCURACY): " (the paper's accuracy)", prior_sd_years(): " (our prior)"}
    rows = (
        (f"{sd:.2f}{named.get(sd, '')}", _percent(closed_form_exact_year(sd)))
        for sd in sorted({0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0, 1.3, *named})
    )
    return table(("SD (years)", "exact-year accuracy"), rows)


def errors() -> list[str]:
    """Give the errors of the measurement."""
    rows = ((plate, *vars(error).values()) for plate, error in ERRORS.items())
    return table(("plate", *vars(ERRORS["femur"])), rows)


def youngest() -> list[str]:
    """Give the youngest subject in each stage of a simulated population."""
    rows = (
        (sex.value, plate, *(f"{age:.1f}" for age in minimum_ages(sample, plate).values()))
        for sex in Sex
        for sample in (simulate(POPULATION, AGES_YEARS, sex, np.random.default_rng(1), TABLE1),)
        for plate in PLATES
    )
    return table(("sex", "plate", *(stage.value for stage in Dedouit)), rows)


def closed() -> list[str]:
    """Give the share of closed plates by completed year, in percent."""
    rows = (
        (sex.value, plate, *(_closed_percent(sex, plate, year) for year in CLOSING_YEARS))
        for sex in Sex
        for plate in ("femur", "tibia")
    )
    return table(("sex", "plate", *(str(year) for year in CLOSING_YEARS)), rows)


def literature() -> Iterator[str]:
    """Compare simulated populations with every row of the literature."""
    worlds = {"table1": TABLE1, "forensic": FORENSIC, "tibia first": TABLE1.with_value("tibia_after_femur_years", -0.5)}
    found = {name: compare_all(table) for name, table in worlds.items()}
    met = _met_by_one_move()
    counts = ", ".join(f"{name} {sum(each.inside for each in rows)}" for name, rows in found.items())
    one_move = sum(row.inside or bool(move) for row, move in zip(found["table1"], met, strict=True))
    yield f"Rows inside, of {len(met)}: {counts}; inside `table1`, or brought inside by one move: {one_move}."
    yield ""
    rows = (
        (*_row_words(row.row), _simulated(row), *(_verdict(each[place]) for each in found.values()), met[place])
        for place, row in enumerate(found["table1"])
    )
    yield from table(("study", "row", "published", "simulated (table1)", *worlds, "met in table1 by"), rows)


def ceilings() -> Iterator[str]:
    """Give the ceilings of every preset."""
    for name, preset in PRESETS.items():
        with ProcessPoolExecutor(possible_processes(available_cores())) as executor:
            found = list(executor.map(ceiling, repeat(preset), Reader))
        yield from (f"### {name}", "")
        yield from table(("measure", *(each.reader.value for each in found)), _ceiling_rows(found))
        yield ""


def sensitivity() -> Iterator[str]:
    """Give the ceilings across the plausible ranges."""
    heads = [f"{reader.value}: {what}" for reader in _BOTH_READERS for what in ("exact year", "MAE")]
    for name in ("table1", "forensic"):
        rows = sorted(_sensitivities(name), key=lambda row: -row[0])
        yield from (f"### {name}, parameter by parameter", "")
        yield from table(("parameter", "value", *heads), (row[1:] for row in rows))
        yield ""


QUICK: dict[str, Callable[[], Iterable[str]]] = {
    "versions": versions, "parameters": parameters, "differences": differences, "curve": curve, "errors": errors
}  # fmt: skip
SLOW: dict[str, Callable[[], Iterable[str]]] = {
    "youngest": youngest, "closed": closed, "literature": literature, "ceilings": ceilings, "sensitivity": sensitivity
}  # fmt: skip


def _parameter_row(name: str, parameter: Parameter) -> tuple[str, ...]:
    """Write one parameter as a row."""
    span = f"{parameter.low:.4g} to {parameter.high:.4g}"
    value = f"{parameter.value:.4g}"
    return (f"`{name}`", value, span, parameter.unit, parameter.tag.value, parameter.meaning, parameter.source)


def _closed_percent(sex: Sex, plate: str, year: int) -> str:
    """Give the share of closed plates in a completed year, in percent."""
    sample = simulate(POPULATION, (year, year + 1), sex, np.random.default_rng(year), TABLE1)
    return f"{100 * closed_share(sample, plate):.0f}"


def _met_by_one_move() -> list[str]:
    """Say for every row outside which single parameter, at an end of its range, brings it inside."""
    home = compare_all(TABLE1)
    words = ["" for _ in home]
    for name in _MOVES:
        parameter = TABLE1.parameters()[name]
        for value in (parameter.low, parameter.high):
            moved = compare_all(TABLE1.with_value(name, value))
            for place, (before, after) in enumerate(zip(home, moved, strict=True)):
                if not before.inside and after.inside and not words[place]:
                    words[place] = f"`{name}` {value:g}"
    return words


def _row_words(row: Row) -> tuple[str, str, str]:
    """Say which study, what and how much was published."""
    if isinstance(row, AttainmentRow):
        what = f"{row.plate}, {100 * row.share:.0f} % at {row.stage.value} or beyond"
        return f"{row.name}, {row.sex.value} ({row.tag.value})", what, f"{row.age_years:g}"
    study = f"{row.study.name}, {row.study.subjects} {row.study.sex.value} ({row.study.tag.value})"
    if isinstance(row, ClosedRow):
        return study, f"{row.plate}, closed at {row.completed_years}", _percent(row.share)
    later = " and later" if row.and_later else ""
    relation = "" if row.relation.value == "is" else f"{row.relation.value} "
    return study, f"{row.plate}, youngest at {row.stage.value}{later}", f"{relation}{row.age_years:g}"


def _simulated(found: Comparison) -> str:
    """Write the simulated range."""
    if isinstance(found.row, YoungestRow):
        return f"{found.middle:.1f} ({found.low:.1f} to {found.high:.1f})"
    if isinstance(found.row, ClosedRow):
        return f"{_percent(found.middle)} ({_percent(found.low)} to {_percent(found.high)})"
    return f"{found.middle:.2f}"


def _verdict(found: Comparison) -> str:
    """Write inside, or by how much outside."""
    if found.inside:
        return "inside"
    is_share = isinstance(found.row, ClosedRow)
    amount = round(100 * found.outside_by) if is_share else round(found.outside_by, 2)
    if not amount:
        return "just outside"
    return f"{amount:+d} points" if is_share else f"{amount:+.2f} y"


def _ceiling_rows(found: Sequence[Ceiling]) -> Iterator[tuple[str, ...]]:
    """Write ceilings as rows."""
    for words, name in (
        ("exact year", "exact_year"),
        ("macro recall", "macro_recall"),
        ("within one year", "within_one_year"),
    ):
        yield words, *(getattr(each, name).percent() for each in found)
    for words, name in (("mean absolute error", "mean_absolute_error_years"), ("posterior SD", "posterior_sd_years")):
        yield words, *(getattr(each, name).years() for each in found)
    for place, threshold in enumerate(found[0].thresholds):
        for words, name in (
            ("false adult at {at}", "false_adult"),
            ("- of those aged {last}", "last_year_false_adult"),
            ("false minor at {at}", "false_minor"),
            ("cautious false adult at {at}", "cautious_false_adult"),
            ("- of those aged {last}", "last_year_cautious_false_adult"),
            ("cautious false minor at {at}", "cautious_false_minor"),
        ):
            cells = (getattr(each.thresholds[place], name).percent() for each in found)
            yield words.format(at=threshold.age_years, last=threshold.age_years - 1), *cells


def _sensitivities(preset: str) -> Iterator[tuple[Any, ...]]:
    """Give the parameters that matter, with the largest move of a mean absolute error first in each row."""
    home = PRESETS[preset].growth
    base = _both(preset, home)
    yield (math.inf, "none", "", *_cells(base))
    # Patterns tell nothing of age.
    moves = [
        (name, value)
        for name, parameter in home.parameters().items()
        if not name.startswith("pattern.")
        for value in (parameter.low, parameter.high)
    ]
    with ProcessPoolExecutor(possible_processes(available_cores())) as executor:
        moved = list(executor.map(_both, repeat(preset), (home.with_value(*move) for move in moves)))
    for (low, high), ends in zip(_pairs(moves), _pairs(moved), strict=True):
        effect = max(
            abs(after.mean_absolute_error_years.value - before.mean_absolute_error_years.value)
            for both in ends
            for after, before in zip(both, base, strict=True)
        )
        if effect >= NOTABLE_YEARS:
            for (name, value), both in zip((low, high), ends, strict=True):
                yield (effect, f"`{name}`", f"{value:.4g}", *_cells(both))


def _pairs(values: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Take values two at a time."""
    return zip(values[::2], values[1::2], strict=True)


def _both(preset: str, table: GrowthTable) -> list[Ceiling]:
    """Find the ceilings of the readers with and without perfect sight."""
    return [ceiling(PRESETS[preset], reader, SENSITIVITY_SUBJECTS, table=table) for reader in _BOTH_READERS]


def _cells(both: list[Ceiling]) -> list[str]:
    """Write two ceilings."""
    return [cell for each in both for cell in (each.exact_year.percent(), each.mean_absolute_error_years.years())]


def _percent(share: float) -> str:
    """Write a share."""
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    raise SystemExit(main())
