"""``kneeage study``: a whole study, and statistics."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kneeage.cli import study_run
from kneeage.cli.options import AsJson
from kneeage.cli.speak import answering, give, show, tell, working
from kneeage.core.errors import InputRefusedError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from kneeage.study.comparison import Comparison, PrintedRange, SignificanceTest, Summary

app = typer.Typer(name="study", help="Do a study, and its statistics.", no_args_is_help=True)

PrintedStats = tuple[float, float, int, float, float, int]
# More digits than any table prints, and than a float64 tells apart.
_MOST_DECIMALS = 12


@app.callback()
def study() -> None:
    """Do a study, and its statistics."""


app.command("run")(study_run.run_study)


@app.command("page")
@answering
def write_page(
    folder: Annotated[
        Path,
        typer.Argument(metavar="STUDY", help="Folder of a study, or a copy of its small files.", show_default=False),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Where the documents go; STUDY if not given.")
    ] = None,
) -> None:
    """Make tables, figures and page again, from the small files of a study alone; nothing is trained."""
    from kneeage.study.collect import write_documents

    with working("Making the documents"):
        page = write_documents(folder, output)
    give(str(page))


@app.command("keep")
@answering
def keep(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a study.", show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder, such as docs/studies/NAME.")],
) -> None:
    """Copy the small files of a study, about 1 MB: predictions, numbers, settings. `study page DIR` makes the rest."""
    from kneeage.study.keep import keep_study

    size = keep_study(run, folder)
    tell(f"{size / 1000:,.0f} kB; make tables, figures and page with: kneeage study page {folder} -o DOCUMENTS")
    give(str(folder))


@app.command("compare")
@answering
def compare_groups(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="A.csv B.csv", help="Raw values, one per row; test group first.", show_default=False),
    ] = None,
    column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the values, where a file has several.")
    ] = None,
    from_stats: Annotated[
        PrintedStats | None,
        typer.Option("--from-stats", metavar="MEAN SD N MEAN SD N", help="Printed means and SDs, not raw values."),
    ] = None,
    decimals: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=_MOST_DECIMALS,
            metavar="D",
            help="Decimals of the printed numbers: gives all t and P.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two groups as SPSS does: Levene's test around the means, Student's and Welch's t."""
    _require_one_source(files or [], column, from_stats, decimals)
    if from_stats is None:
        comparison, rounding = _of_files(files or [], column), None
    else:
        comparison, rounding = _of_stats(from_stats, decimals)
    if as_json:
        give(json.dumps({**asdict(comparison), "rounding": rounding and asdict(rounding)}, indent=2))
    else:
        show(_groups(comparison))
        show(_tests(comparison, rounding))
    tell("P takes the values for independent; no difference shown is not equality shown.")


def _require_one_source(
    files: list[Path], column: str | None, stats: PrintedStats | None, decimals: int | None
) -> None:
    """Check that there are two files, or printed numbers, and only options that go with them.

    Raises:
        UsageError: There are not.
    """
    if stats is None and len(files) != 2:
        raise UsageError(f"give two files of values, or --from-stats MEAN SD N MEAN SD N; found {len(files)} files")
    if stats is not None and files:
        raise UsageError("give two files of values or --from-stats, not both")
    if stats is not None and column is not None:
        raise UsageError("--column goes with files of values; leave it out with --from-stats")
    if stats is None and decimals is not None:
        raise UsageError("--decimals goes with --from-stats: raw values are taken as exact")


def _of_files(files: list[Path], column: str | None) -> Comparison:
    """Compare the values of two files."""
    from kneeage.study.comparison import compare
    from kneeage.study.values import read_values

    first, second = (read_values(path, column) for path in files)
    return compare(first, second)


def _of_stats(stats: PrintedStats, decimals: int | None) -> tuple[Comparison, PrintedRange | None]:
    """Compare printed numbers.

    Raises:
        UsageError: They cannot be means, SDs and sizes of groups, or t does not follow from them.
    """
    from kneeage.study.comparison import Summary, compare_summaries, printed_range

    try:
        first, second = Summary(*stats[:3]), Summary(*stats[3:])
        rounding = None if decimals is None else printed_range(first, second, decimals)
    except InputRefusedError as error:
        raise UsageError(f"--from-stats: {error}") from None
    return compare_summaries(first, second), rounding


def _groups(comparison: Comparison) -> Table:
    """Put the two groups into a table."""
    from rich.table import Table

    table = Table(box=None)
    for name in ("", "n", "mean", "SD"):
        table.add_column(name, justify="right" if name else "left")
    for name, group in (("first", comparison.first), ("second", comparison.second)):
        table.add_row(name, *_numbers(group))
    return table


def _numbers(group: Summary) -> tuple[str, ...]:
    """Write a group."""
    return str(group.n), f"{group.mean:.6g}", f"{group.sd:.6g}"


def _tests(comparison: Comparison, rounding: PrintedRange | None) -> Table:
    """Put the tests into a table, and below them what rounding leaves open."""
    from rich.table import Table

    table = Table(box=None)
    for name in ("", "statistic", "df", "P"):
        table.add_column(name, justify="right" if name else "left")
    if comparison.levene is not None:
        table.add_row("Levene's F, around the means", *_result(comparison.levene))
    table.add_row("t, equal variances", *_result(comparison.t))
    if rounding is not None:
        t, p_value = rounding.t, rounding.p_value
        table.add_row("  before rounding, from", f"{t[0]:z.4f}", "", f"{p_value[0]:.4f}")
        table.add_row("  to", f"{t[1]:z.4f}", "", f"{p_value[1]:.4f}")
    table.add_row("t, unequal variances (Welch)", *_result(comparison.welch))
    return table


def _result(result: SignificanceTest | None) -> tuple[str, ...]:
    """Write a test."""
    if result is None:
        return "not defined", "", ""
    return f"{result.statistic:z.4f}", ", ".join(f"{each:.5g}" for each in result.degrees), f"{result.p_value:.4f}"
