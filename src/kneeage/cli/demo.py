"""``kneeage demo``: a virtual subject as DICOM, read back, estimated, reported; offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kneeage.cli.estimate import leave
from kneeage.cli.options import BundleFolder, Lang, language
from kneeage.cli.speak import answering, give, tell, working

if TYPE_CHECKING:
    from kneeage.core.result import Result
    from kneeage.phantom.cohort.subject import VirtualSubject

DEMO_FOLDER = "kneeage-demo"
DEMO_SEED = 20


@answering
def demo(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help=f"New folder; {DEMO_FOLDER} if not given."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Which virtual subject.")] = DEMO_SEED,
    bundle: BundleFolder = None,
    lang: Lang = "en",
) -> None:
    """Try it all on a virtual subject, offline."""
    folder = output or _free_folder(Path(DEMO_FOLDER))
    language(lang)
    subject, result = run_demo(folder, seed=seed, bundle=bundle, lang=lang)
    _tell_both(subject, result)
    tell("Report:")
    give(str(folder / "report" / "report.html"))
    leave(result)


def run_demo(folder: Path, *, seed: int, bundle: Path | None, lang: str) -> tuple[VirtualSubject, Result]:
    """Write a virtual subject as DICOM, read it back, estimate and report.

    Args:
        folder: New folder for ``dicom`` and ``report``.
        seed: Which virtual subject.
        bundle: Folder of the model bundle; None: the shipped one.
        lang: Language of the report.

    Returns:
        The subject with its truth, and the answer.

    Raises:
        OutputError: The folder exists or cannot be written.
    """
    from kneeage.io.output import whole_folder
    from kneeage.phantom.cohort.write import write_virtual_dicom
    from kneeage.pipeline import estimate, write_documents

    with whole_folder(folder) as whole:
        with working("Making a virtual subject"):
            subject = write_virtual_dicom(whole / "dicom", seed)
        with working("Estimating"):
            examination = estimate(whole / "dicom", sex=subject.sex, bundle=bundle)
            write_documents(examination, whole / "report", lang)
    return subject, examination.result


def _free_folder(wanted: Path) -> Path:
    """Give the first of ``kneeage-demo``, ``kneeage-demo-2``, ... that does not exist."""
    number = 1
    while (folder := wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")).exists():
        number += 1
    return folder


def _tell_both(subject: VirtualSubject, result: Result) -> None:
    """Say the true age beside the estimate."""
    from kneeage.report.summary import reason_lines, summary, virtual_sentences
    from kneeage.report.words import words

    say = words("en")
    for sentence in virtual_sentences(result, say):
        tell(sentence)
    tell(f"Virtual subject: {subject.sex.value}, true age {say.years(subject.chronological_age_years)}.")
    tell(f"Estimate: {summary(result, say)}")
    for name, message, _ in reason_lines(result, say):
        tell(f"- {name}: {message}")
