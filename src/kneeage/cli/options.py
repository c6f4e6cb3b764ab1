"""Options that several commands take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kneeage.core.anatomy import Sex
from kneeage.core.errors import UsageError

if TYPE_CHECKING:
    from kneeage.core.workers import Runner

Source = Annotated[
    Path, typer.Argument(metavar="PATH", help="DICOM file, folder, DICOMDIR, zip, or NIfTI file.", show_default=False)
]
Series = Annotated[str | None, typer.Option("--series", metavar="UID", help="Series to read, as 'inspect' lists it.")]
BundleFolder = Annotated[
    Path | None, typer.Option("--bundle", metavar="FOLDER", help="Model bundle; the one that is shipped if not given.")
]
SexGiven = Annotated[
    str | None, typer.Option("--sex", metavar="male|female", help="Sex of the subject; never read from a header.")
]
HeightCm = Annotated[float | None, typer.Option(metavar="N", help="Height of the subject.")]
WeightKg = Annotated[float | None, typer.Option(metavar="N", help="Weight of the subject.")]
QuestionText = Annotated[str | None, typer.Option(metavar="TEXT", help="Question, for the report.")]
LegalBasis = Annotated[str | None, typer.Option(metavar="TEXT", help="Its legal basis, for the report.")]
Consent = Annotated[str | None, typer.Option(metavar="TEXT", help="Who consented, for the report.")]
ClaimedAge = Annotated[
    float | None, typer.Option(metavar="YEARS", help="Age that the subject claims, for the report; never used.")
]
ExaminerName = Annotated[str | None, typer.Option(metavar="TEXT", help="Who examines, for the report.")]
THRESHOLDS = "12,14,16,18"
Thresholds = Annotated[str, typer.Option(metavar="YEARS,...", help="Age limits to judge.")]
RatioAges = Annotated[
    str | None,
    typer.Option(metavar="14-18:18-22", help="Windows of age to compare by a likelihood ratio; several by commas."),
]
Prior = Annotated[
    str | None,
    typer.Option(metavar="uniform:8-26|FILE", help="Prior ages: a range, or a CSV file of age_years,weight."),
]
Lang = Annotated[str, typer.Option("--lang", metavar="en|zh", help="Language of the report.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON on stdout.")]


@contextmanager
def training_extra(doing: str) -> Iterator[None]:
    """Import in the block what only the training extra installs.

    Args:
        doing: What needs it, as the subject of a sentence.

    Raises:
        UsageError: It is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(f"{doing} needs {error.name}; install it with: pip install 'kneeage[train]'") from None


def require_libraries(names: Sequence[str], extra: str) -> None:
    """Check that the libraries of an extra are installed.

    Raises:
        UsageError: One is not.
    """
    from importlib.util import find_spec

    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise UsageError(f"this needs {missing[0]}; install it with: pip install 'kneeage[{extra}]'")


def numbers(text: str) -> tuple[float, ...]:
    """Read numbers that are parted by commas.

    Args:
        text: Such as ``"12,14,16,18"``.

    Raises:
        UsageError: A part is no number.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"give numbers parted by commas, such as 12,14,16,18; found {text!r}") from None


def one_of(option: str, text: str, choices: Sequence[str]) -> str:
    """Check that an option has one of the values it takes.

    Args:
        option: Name of the option.
        text: What was given.
        choices: What it takes.

    Raises:
        UsageError: It has another value.
    """
    if text not in choices:
        raise UsageError(f"--{option} takes {', '.join(choices)}; found {text!r}")
    return text


def runner_on(workers: int | None, scheduler: str | None) -> Runner:
    """Choose where work on many subjects is done.

    Args:
        workers: Processes on this machine; None: one per core.
        scheduler: Address of the dask scheduler that is used instead.

    Raises:
        UsageError: Both places are asked for, or no worker.
    """
    from kneeage.core.machine import available_cores
    from kneeage.core.workers import on_cluster, on_cores

    if scheduler is not None:
        if workers is not None:
            raise UsageError("give --workers for this machine or --scheduler for a cluster, not both")
        return partial(on_cluster, scheduler=scheduler)
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be 1 or more; found {workers}")
    return partial(on_cores, workers=workers or available_cores())


def known_sex(text: str | None) -> Sex | None:
    """Read the sex of a subject.

    Raises:
        UsageError: It is neither male nor female.
    """
    return None if text is None else Sex(one_of("sex", text, [sex.value for sex in Sex]))


def language(lang: str) -> str:
    """Check, before any work is done, that the report is written in a language.

    Raises:
        UsageError: It is not.
    """
    from kneeage.report.words import words

    return words(lang).lang
