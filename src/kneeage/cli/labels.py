"""``kneeage labels``: hand subjects to ITK-SNAP, take their labels back, check labels."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kneeage.cli.options import AsJson, BundleFolder, Series
from kneeage.cli.speak import answering, counting, give, some_of, tell, working
from kneeage.core.errors import EXIT_REFUSED, InputRefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kneeage.cohort.folder import Cohort
    from kneeage.cohort.label_checks import LabelFinding
    from kneeage.cohort.table import SubjectEntry
    from kneeage.core.volume import Volume
    from kneeage.io.series import LoadedSeries
    from kneeage.pipeline import Examiner

app = typer.Typer(name="labels", help="Label subjects by hand in ITK-SNAP, and check labels.", no_args_is_help=True)
# Folder of a series that belongs to no cohort: its own name might tell who it is.
_NAMELESS = "series"


@app.command("export")
@answering
def export_subjects(
    path: Annotated[Path, typer.Argument(metavar="COHORT|SERIES", help="A cohort, or one series.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for a folder per subject.", show_default=False)
    ],
    subject: Annotated[
        list[str] | None,
        typer.Option("--subject", metavar="ID", help="Only this subject of the cohort; may be given again."),
    ] = None,
    draft: Annotated[
        bool,
        typer.Option("--draft", "--from-bundle", help="Let a bundle draw first where there are no labels."),
    ] = False,
    bundle: BundleFolder = None,
    series: Series = None,
) -> None:
    """Write image, segmentation, label names and a workspace for ITK-SNAP; folders that are there are kept."""
    if bundle is not None and not draft:
        raise UsageError("--bundle goes with --draft: it says which bundle draws")
    examiner = _examiner(bundle) if draft else None
    if _is_cohort(path):
        if series is not None:
            raise UsageError("--series goes with a single series; --subject chooses subjects of a cohort")
        _export_cohort(path, output, subject, None if examiner is None else _drawer(examiner))
    else:
        _export_series(path, output, subject, (series, examiner))


@app.command("import")
@answering
def import_edited(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="What 'labels export' wrote, edited.", show_default=False)
    ],
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="Cohort to change.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Check edited segmentations, and take all of them into the cohort or none; what they replace is kept."""
    from kneeage.cohort.folder import read_cohort
    from kneeage.cohort.label_files import REPLACED_FOLDER, import_labels

    with counting("Checking labels") as count:
        done = import_labels(folder, read_cohort(cohort), count)
    if as_json:
        give(json.dumps({"imported": not done.is_refused, **asdict(done)}, indent=2))
    else:
        _give_findings(done.findings)
    _stop_at_errors(done.findings, "nothing was imported; mend them and import again")
    tell(f"{len(done.added)} added, {len(done.replaced)} replaced, {len(done.unchanged)} unchanged.")
    if done.replaced:
        tell(f"What was replaced is kept in {str(cohort / REPLACED_FOLDER)!r}.")
    if done.empty:
        tell(f"Left out, since nothing is drawn yet: {', '.join(done.empty)}.")


@app.command("check")
@answering
def check(
    path: Annotated[
        Path, typer.Argument(metavar="LABELS|COHORT", help="A segmentation (NIfTI), or a cohort.", show_default=False)
    ],
    image: Annotated[
        Path | None, typer.Argument(metavar="[IMAGE]", help="The image it was drawn on.", show_default=False)
    ] = None,
    series: Series = None,
    as_json: AsJson = False,
) -> None:
    """Check labels: grid, values, forgotten slices, islands, plates out of place. Exit code 3: something to mend."""
    if _is_cohort(path):
        if image is not None or series is not None:
            raise UsageError("a cohort names its own images; leave IMAGE and --series out")
        checked, findings = _check_cohort(path)
    else:
        checked, findings = 1, _check_file(path, image, series)
    if as_json:
        give(json.dumps({"checked": checked, **_counts(findings), "findings": [asdict(f) for f in findings]}, indent=2))
    else:
        _give_findings(findings)
    number = _counts(findings)
    tell(f"{checked} checked: {_counted(number['errors'], 'error')}, {_counted(number['warnings'], 'warning')}.")
    if number["errors"]:
        raise typer.Exit(EXIT_REFUSED)


def _is_cohort(path: Path) -> bool:
    """Say whether a path is a cohort."""
    from kneeage.cohort.folder import MANIFEST_FILE

    return (path / MANIFEST_FILE).exists()


def _export_cohort(
    path: Path, output: Path, subjects: list[str] | None, draft: Callable[[LoadedSeries], Volume] | None
) -> None:
    """Export subjects of a cohort, and say what came of it.

    Raises:
        UsageError: A subject is not in the cohort.
    """
    from kneeage.cohort.folder import read_cohort
    from kneeage.cohort.itksnap import export_cohort

    cohort = read_cohort(path)
    with counting("Writing subjects") as count:
        done = export_cohort(cohort, _chosen(cohort, subjects), output, draft, count)
    sources = Counter(source.value for source in done.written.values())
    tell(
        f"{len(done.written)} written: {sources['cohort']} with the cohort's labels, {sources['draft']} with a draft, "
        f"{sources['empty']} empty. {len(done.kept)} were there and are kept."
    )
    for reason in done.refused.values():
        tell(f"Not exported: {reason}")
    give(str(output))
    if done.refused:
        raise InputRefusedError(f"{_counted(len(done.refused), 'subject')} could not be exported; the others were")


def _chosen(cohort: Cohort, subjects: list[str] | None) -> Sequence[SubjectEntry]:
    """Choose subjects by their ids; all where none is named."""
    if not subjects:
        return cohort.entries
    unknown = sorted(set(subjects) - {entry.subject_id for entry in cohort.entries})
    if unknown:
        raise UsageError(f"--subject: {some_of(unknown)} not in the cohort; take ids from its subjects.csv")
    return [entry for entry in cohort.entries if entry.subject_id in subjects]


def _export_series(
    path: Path, output: Path, subjects: list[str] | None, how: tuple[str | None, Examiner | None]
) -> None:
    """Export one series, under the name that is given to it; where a bundle draws, the best one for that bundle."""
    from kneeage.cohort.cells import subject_id
    from kneeage.cohort.itksnap import export_series
    from kneeage.io.read import load
    from kneeage.io.wanted import T1_KNEE

    series, examiner = how
    if subjects and len(subjects) > 1:
        raise UsageError("a series is of one subject; give --subject once, to name it")
    try:
        name = subject_id(subjects[0] if subjects else _NAMELESS)
    except ValueError as error:
        raise UsageError(f"--subject {error}") from None
    with working("Writing"):
        loaded = load(path, series, T1_KNEE if examiner is None else examiner.wanted)
        source = export_series(output / name, loaded, None, None if examiner is None else _drawer(examiner))
    tell(f"Segmentation: {source.value}")
    give(str(output / name))


def _examiner(bundle: Path | None) -> Examiner:
    """Load a bundle that draws labels."""
    from kneeage.io.bundle import load_bundle
    from kneeage.pipeline import Examiner

    return Examiner(load_bundle(bundle))


def _drawer(examiner: Examiner) -> Callable[[LoadedSeries], Volume]:
    """Let a bundle draw labels on the grid of a series."""
    return lambda series: examiner.segment(examiner.prepare(series)).source_labels


def _check_cohort(path: Path) -> tuple[int, list[LabelFinding]]:
    """Check the labels of a cohort."""
    from kneeage.cohort.folder import read_cohort
    from kneeage.cohort.label_files import check_cohort_labels

    with counting("Checking labels") as count:
        found = check_cohort_labels(read_cohort(path), count)
    if found.unlabelled:
        tell(f"Without labels: {some_of(found.unlabelled)}.")
    return found.checked, found.findings


def _check_file(path: Path, image: Path | None, series: str | None) -> list[LabelFinding]:
    """Check one segmentation, against its image where that is given."""
    from kneeage.cohort.label_checks import check_labels
    from kneeage.io.nifti import read_values
    from kneeage.io.read import load

    if series is not None and image is None:
        raise UsageError("--series chooses among the series of IMAGE; give IMAGE too")
    with working("Checking"):
        return check_labels(read_values(path), None if image is None else load(image, series).volume)


def _give_findings(findings: Sequence[LabelFinding]) -> None:
    """Give one finding per line, errors marked apart from warnings."""
    for finding in findings:
        give(f"{finding.severity.value}: {finding}")


def _counts(findings: Sequence[LabelFinding]) -> dict[str, int]:
    """Count errors and warnings."""
    errors = sum(finding.is_error for finding in findings)
    return {"errors": errors, "warnings": len(findings) - errors}


def _counted(number: int, noun: str) -> str:
    """Say how many there are."""
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def _stop_at_errors(findings: Sequence[LabelFinding], remedy: str) -> None:
    """Refuse what has errors."""
    errors = _counts(findings)["errors"]
    if errors:
        raise InputRefusedError(f"{_counted(errors, 'error')} in the labels: {remedy}")
