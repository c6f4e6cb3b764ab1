"""``kneeage phantom ceiling``: the best that any reader could do on a virtual cohort."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from kneeage.cli.options import AsJson, one_of
from kneeage.cli.speak import answering, counting, give, show, tell

if TYPE_CHECKING:
    from rich.table import Table

    from kneeage.phantom.cohort.ceiling import Ceiling, Estimate

# The same number as in ``kneeage.phantom.cohort.ceiling``, which is loaded only when the command runs.
_SUBJECTS = 20_000
# Readers side by side, so that a table fits a narrow terminal.
_COLUMNS = 3


@answering
def ceiling(
    preset: Annotated[str, typer.Option(metavar="table1|table1-tight|forensic", help="Kind of cohort.")] = "forensic",
    subjects: Annotated[int, typer.Option(min=100, metavar="N", help="Simulated subjects.")] = _SUBJECTS,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="What the simulation follows from.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Say how well the best reader could tell ages in a virtual cohort."""
    from kneeage.phantom.cohort.ceiling import Reader
    from kneeage.phantom.cohort.ceiling import ceiling as find
    from kneeage.phantom.cohort.presets import PRESETS
    from kneeage.phantom.growth.table import table_hash

    chosen = PRESETS[one_of("preset", preset, list(PRESETS))]
    with counting("Simulating readers") as count:
        advance = _added_up(count, len(Reader) * subjects)
        found = [find(chosen, reader, subjects, seed, advance=advance) for reader in Reader]
    tell(f"Preset {chosen.name}, growth table {table_hash(chosen.growth)[:12]}, {subjects} simulated subjects.")
    if as_json:
        give(_json(chosen.name, table_hash(chosen.growth), found))
    else:
        for place in range(0, len(found), _COLUMNS):
            show(_table(found[place : place + _COLUMNS]))
        for sentence in _EXPLAINED:
            tell(sentence)


def _added_up(count: Callable[[int, int], None], total: int) -> Callable[[int], None]:
    """Turn a bar that is told how many are done into one that is told how many more are."""
    numbers = [0]

    def advance(more: int) -> None:
        numbers.append(numbers[-1] + more)
        count(numbers[-1], total)

    return advance


def _json(preset: str, growth_table_sha256: str, found: list[Ceiling]) -> str:
    """Write the ceilings as JSON."""
    readers = {each.reader.value: {**asdict(each), "reader": each.reader.value} for each in found}
    return json.dumps({"preset": preset, "growth_table_sha256": growth_table_sha256, "readers": readers}, indent=2)


def _table(found: list[Ceiling]) -> Table:
    """Put the ceilings into a table, one reader per column."""
    from rich.table import Table

    table = Table(box=None)
    for name in ("", *(each.reader.value for each in found)):
        table.add_column(name, justify="left" if not name else "right")
    for words, name, unit in (
        ("exact year", "exact_year", "%"),
        ("macro recall", "macro_recall", "%"),
        ("within one year", "within_one_year", "%"),
        ("mean absolute error", "mean_absolute_error_years", "y"),
        ("posterior SD", "posterior_sd_years", "y"),
    ):
        table.add_row(words, *(_said(getattr(each, name), unit) for each in found))
    for place, threshold in enumerate(found[0].thresholds):
        for words, name in _RATES.items():
            cells = (_said(getattr(each.thresholds[place], name), "%") for each in found)
            table.add_row(words.format(at=threshold.age_years, last=threshold.age_years - 1), *cells)
    return table


_EXPLAINED = (
    "What a reader knows beside the law of growth: 'latents' all that the image depends on; 'measured' thickness and "
    "openness of the femoral and tibial plates, measured at image resolution; 'plates' the state of the four plates "
    "and nothing else. 'latents' and 'measured' also know sex, and height and weight for age; 'and body' has cm and kg "
    "in their place. 'body' knows sex, cm and kg, and no image.",
    "Each number is followed by its Monte Carlo error; a bound holds with 95 % confidence.",
    "A false adult is a younger subject called older; 'cautious' calls older only what is 95 % probable.",
)
_RATES = {
    "false adult at {at}": "false_adult",
    "- of those aged {last}": "last_year_false_adult",
    "false minor at {at}": "false_minor",
    "cautious false adult at {at}": "cautious_false_adult",
    "- cautious, of those aged {last}": "last_year_cautious_false_adult",
    "cautious false minor at {at}": "cautious_false_minor",
}


def _said(estimate: Estimate, unit: str) -> str:
    """Write a number with its error."""
    return estimate.percent() if unit == "%" else estimate.years()
