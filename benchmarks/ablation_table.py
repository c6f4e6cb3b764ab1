"""What the ablations measured: a line per training in a CSV file, and the tables of pages made from it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

from benchmarks.ablation_rows import ROWS, Row, reference_of
from kneeage.core.errors import InputRefusedError
from kneeage.io.output import replace_file
from tools.marked_page import filled, part_names

COLUMNS = (
    *("world", "group", "row", "changes", "weighting", "seed", "training", "validation", "steps"),
    *("nll", "mean_error_years", "exact_year", "within_one_year", "nll_minus_reference", "standard_error"),
    *("last_training_loss", "minutes", "threads", "segmenter", "kneeage", "torch", "plan"),
)
CHANCE = "chance"
NOT_MEASURED = "not yet measured"
# First word of the names of the parts that are filled in.
PARTS = "ablations"
_HEAD = (
    "| what | trainings | NLL, nats | NLL less the reference's | mean error, years | exact year "
    "| within a year | settings |\n|---|---|---|---|---|---|---|---|"
)
_SIZE, _GROUPS = "size", ("default", "norm", "network", "sequence")

Line = Mapping[str, str]


def read_lines(path: Path) -> list[dict[str, str]]:
    """Read the lines of the CSV file; none where there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def merged(old: Iterable[Line], new: Iterable[Line], plan: str) -> list[Line]:
    """Put new lines beside older ones of the same plan, in the order of the table; a new one replaces its older one."""
    kept = {(line["row"], line["seed"]): line for line in old if line.get("plan") == plan}
    kept |= {(line["row"], line["seed"]): line for line in new}
    order = [CHANCE, *(row.name for row in ROWS)]
    return sorted(kept.values(), key=lambda line: (order.index(line["row"]), line["seed"]))


def write_lines(path: Path, lines: Iterable[Line]) -> None:
    """Write the CSV file, whole."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(lines)
    replace_file(path, text.getvalue())


def write_tables(page: Path, lines: Sequence[Line]) -> None:
    """Fill the parts of a page that are of the ablations; see `parts`.

    Raises:
        InputRefusedError: The page has no such part.
    """
    text = page.read_text(encoding="utf-8")
    wanted = {name: part for name, part in parts(lines).items() if name in part_names(text)}
    if not wanted:
        raise InputRefusedError(f"{page.name} has none of the parts {', '.join(parts(lines))}; mark where they belong")
    replace_file(page, filled(text, wanted))


def parts(lines: Sequence[Line]) -> dict[str, Callable[[], list[str]]]:
    """Give what fills each part: what the numbers were measured on, and the table of each group of rows."""
    groups = {f"{PARTS} {group}": partial(table, group, lines) for group in _GROUPS}
    return {f"{PARTS} {_SIZE}": partial(_size, lines), **groups}


def table(group: str, lines: Sequence[Line]) -> list[str]:
    """Write the table of one group of rows as Markdown."""
    rows = [_table_row(row, lines) for row in ROWS if row.group == group]
    chance = [_chance_row(line) for line in lines if line["row"] == CHANCE] if group == "default" else []
    return [_HEAD, *rows, *chance]


def _size(lines: Sequence[Line]) -> list[str]:
    """Say what the numbers were measured on."""
    if not lines:
        return [f"**{NOT_MEASURED}**"]
    first = lines[-1]
    return [
        f"Measured on `{first['world']}`: {first['training']} subjects to learn from, {first['validation']} to judge, "
        f"{first['steps']} steps, {first['threads']} threads, plates by the segmenter of {first['segmenter']}; kneeage "
        f"{first['kneeage']}, torch {first['torch']}."
    ]


def _table_row(row: Row, lines: Sequence[Line]) -> str:
    """Write one row: means over its trainings, with half of their range where there are several."""
    own = [line for line in lines if line["row"] == row.name]
    if not own:
        return f"| {row.words} | 0 | {NOT_MEASURED} | | | | | {_settings(row)} |"
    cells = [
        row.words,
        str(len(own)),
        _number(own, "nll", 3),
        "" if reference_of(row) == row else _difference(own),
        _number(own, "mean_error_years", 2),
        _percent(own, "exact_year"),
        _percent(own, "within_one_year"),
        _settings(row),
    ]
    return f"| {' | '.join(cells)} |"


def _chance_row(line: Line) -> str:
    """Write what one gets who knows the ages of the training subjects alone."""
    cells = ["always the training subjects' ages", "", *(_number([line], "nll", 3), "")]
    cells += [
        _number([line], "mean_error_years", 2),
        _percent([line], "exact_year"),
        _percent([line], "within_one_year"),
    ]
    return f"| {' | '.join([*cells, ''])} |"


def _settings(row: Row) -> str:
    """Write what ``kneeage train age`` would be told."""
    return f"`{' '.join(row.changes)}`" if row.changes else ""


def _difference(own: Sequence[Line]) -> str:
    """Write the difference from the reference with its standard error over subjects."""
    differences = list(_values(own, "nll_minus_reference"))
    if not differences:
        return "its reference is missing"
    return f"{fmean(differences):+.3f} ± {fmean(_values(own, 'standard_error')):.3f}"


def _number(own: Sequence[Line], name: str, digits: int) -> str:
    """Write a mean over trainings, with half of their range."""
    values = list(_values(own, name))
    spread = f" (± {(max(values) - min(values)) / 2:.{digits}f})" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}f}{spread}"


def _percent(own: Sequence[Line], name: str) -> str:
    """Write a share in percent, in the same way."""
    return f"{_number([{name: str(100 * value)} for value in _values(own, name)], name, 0)} %"


def _values(own: Iterable[Line], name: str) -> Iterator[float]:
    """Give the numbers of a column; an empty cell was not measured."""
    return (float(line[name]) for line in own if line[name])
