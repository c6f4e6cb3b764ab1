"""``kneeage cohort``: import, check and count the subjects of a study."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kneeage.cli.options import AsJson, one_of
from kneeage.cli.speak import answering, counting, give, resumable, show, tell
from kneeage.core.errors import EXIT_REFUSED, InputRefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from kneeage.cohort.check import Finding
    from kneeage.cohort.deidentify import Deidentified
    from kneeage.cohort.importing import Imported
    from kneeage.cohort.split import Split
    from kneeage.cohort.summary import GroupSummary

app = typer.Typer(name="cohort", help="Import, check, split and export the subjects of a study.", no_args_is_help=True)
CohortFolder = Annotated[
    Path, typer.Argument(metavar="COHORT", help="Folder of a cohort, imported or virtual.", show_default=False)
]


@app.command("import")
@resumable
def import_subjects(
    table: Annotated[
        Path,
        typer.Argument(metavar="SUBJECTS.csv", help="Who: subject_id, sex, age, site, ...", show_default=False),
    ],
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="Folder with a study per subject: DICOM or NIfTI.", show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="COHORT", help="New folder, or that of an earlier run, which goes on."),
    ],
    population: Annotated[
        str, typer.Option(metavar="TEXT", help="Whom the subjects stand for; 'virtual' for computer-generated ones.")
    ] = "not stated",
) -> None:
    """Import subjects and their series into a cohort; who is left out is listed with the reason."""
    from kneeage.cohort.importing import import_cohort

    with counting("Importing subjects") as count:
        made = import_cohort(table, source, output, count, population=population)
    _tell_import(made)
    if made.subjects == 0:
        raise InputRefusedError(f"no subject was imported; {_commonest(made)}")
    give(str(output / "subjects.csv"))


@app.command("check")
@answering
def check_subjects(
    cohort: CohortFolder,
    against: Annotated[
        Path | None,
        typer.Option(metavar="COHORT2", help="Another cohort that must share nobody, such as the external test set."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look for what would make a study wrong: duplicates, leaks, misfit labels, impossible ages. Exit 3: mend it."""
    from kneeage.cohort.check import Severity, check_cohort

    with counting("Checking subjects") as count:
        findings = check_cohort(cohort, count, against)
    mend = sum(finding.severity is Severity.MEND for finding in findings)
    if as_json:
        give(json.dumps({"clean": mend == 0, "findings": [asdict(finding) for finding in findings]}, indent=2))
    elif findings:
        show(_findings(findings))
    tell(f"{mend} to mend, {len(findings) - mend} to know.")
    if mend:
        raise typer.Exit(EXIT_REFUSED)


@app.command("summary")
@answering
def summarize_subjects(
    cohort: CohortFolder,
    by: Annotated[
        str | None,
        typer.Option(metavar="subset|site|sex", help="Columns of the table; subset where there is one, else site."),
    ] = None,
    split: Annotated[str | None, typer.Option(metavar="NAME", help="Groups of a split instead.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the table as CSV on stdout.")] = False,
    as_json: AsJson = False,
) -> None:
    """Count subjects per completed year and group, as a paper's Table 1."""
    if as_csv and as_json:
        raise UsageError("--csv and --json go apart; give one")
    groups = _groups(cohort, by, split)
    if as_json:
        give(json.dumps([asdict(group) for group in groups], indent=2))
    elif as_csv:
        from kneeage.cohort.summary import table_csv

        give(table_csv(groups).rstrip("\n"))
    else:
        show(_table_1(groups))


@app.command("split")
@answering
def split_subjects(
    cohort: CohortFolder,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="NAME", help="Name of the split; it is kept in the cohort.")
    ],
    folds: Annotated[
        int | None, typer.Option(metavar="K", help="Folds of a cross-validation; 8:2 if not given.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="S", help="What the split follows from; 0 if not given.")] = None,
    random_numbers: Annotated[
        Path | None,
        typer.Option("--random-numbers", metavar="FILE", help="A table of random numbers (digits) instead of a seed."),
    ] = None,
) -> None:
    """Put subjects into groups or folds: by subject, every age year in the same proportions, seeded and recorded."""
    from kneeage.cohort.folder import read_cohort
    from kneeage.cohort.random_numbers import read_random_numbers
    from kneeage.cohort.split import make_eight_to_two, make_folds
    from kneeage.cohort.split_files import split_path, write_split

    if seed is not None and random_numbers is not None:
        raise UsageError("give --seed or --random-numbers, not both")
    path = split_path(cohort, output)
    entries = read_cohort(cohort).entries
    chance = read_random_numbers(random_numbers) if random_numbers is not None else seed or 0
    made = make_eight_to_two(entries, chance) if folds is None else make_folds(entries, folds, chance)
    write_split(path, made)
    _tell_split(made)
    give(str(path))


@app.command("deidentify")
@answering
def deidentify_files(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="DICOM file, folder, DICOMDIR or zip.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DEST", help="New folder.")],
    codes: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Codes to use: columns patient_id, subject_id; else S0001, ...")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="New file that says whose codes they are; keep it apart from the images."),
    ] = None,
) -> None:
    """Take identities out of MR images: DICOM PS3.15 basic profile, and all texts that it does not know."""
    from kneeage.cohort.deidentify import deidentify, read_codes

    known = None if codes is None else read_codes(codes)
    with counting("Taking identities out") as count:
        done = deidentify(source, output, codes=known, key=key, tell=count)
    _tell_deidentified(done, is_traceable=known is not None or key is not None)
    give(str(output))


@app.command("export")
@answering
def export_subjects(
    cohort: CohortFolder,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of raw data sets; nnU-Net's nnUNet_raw.")
    ],
    file_format: Annotated[str, typer.Option("--format", metavar="nnunet", help="Program to export to.")] = "nnunet",
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="Split whose training group is exported to learn from; else all.")
    ] = None,
    dataset_id: Annotated[int, typer.Option(metavar="N", help="Number of the data set.")] = 1,
) -> None:
    """Write images and labels as a raw data set of nnU-Net v2."""
    from kneeage.cohort.folder import read_cohort
    from kneeage.cohort.nnunet import export_nnunet
    from kneeage.cohort.split_files import read_named_split

    one_of("format", file_format, ["nnunet"])
    chosen = None if split is None else read_named_split(cohort, split)
    with counting("Exporting subjects") as count:
        made = export_nnunet(read_cohort(cohort), output, chosen, dataset_id, count)
    for subject in made.without_labels:
        tell(f"Left out {subject}: it has no labels")
    tell(f"Subjects to learn from: {made.training}; to test on: {made.test}; left out: {len(made.without_labels)}.")
    give(str(made.folder))


def _tell_split(split: Split) -> None:
    """Say how many subjects are in each group, and in each fold."""
    from kneeage.cohort.split import Group

    counts = {group.value: len(split.members(group)) for group in Group}
    tell(", ".join(f"{count} {group}" for group, count in counts.items() if count) + ".")
    if split.folds:
        tell(f"Folds of {', '.join(str(len(split.tested_in(fold))) for fold in range(split.folds))} subjects.")


def _tell_deidentified(done: Deidentified, *, is_traceable: bool) -> None:
    """Say what was written, and list what was not."""
    for refused in done.refused:
        tell(f"Left out {refused.file}: {refused.reason}")
    if done.renamed:
        tell(f"Subjects with more than one name: {done.renamed}. See that each is one person.")
    if done.unstated:
        tell(f"Files that do not say whether text is burned into their pixels: {done.unstated}. Look at them.")
    if not is_traceable:
        tell("Nobody can tell from now on whose images these are; --key keeps that.")
    tell(f"Subjects: {done.subjects}; files: {done.files}; files left out: {len(done.refused)}.")


def _tell_import(made: Imported) -> None:
    """Say what an import came to, every subject that was left out on a line of its own."""
    for note in made.notes:
        tell(f"Note on {note}")
    for refused in made.refused:
        tell(f"Left out {refused.subject_id}: {refused.reason}")
    if made.left_over:
        tell(f"Folders of an earlier run that are in no table; remove them: {', '.join(made.left_over)}")
    if made.earlier_table is not None:
        tell(f"subjects.csv said something else: that table is kept as {made.earlier_table.name!r}.")
    noun = "subject" if made.subjects == 1 else "subjects"
    tell(f"{made.subjects} {noun}, {made.kept} of them from an earlier run; {len(made.refused)} left out.")


def _commonest(made: Imported) -> str:
    """Say why most subjects were left out."""
    ((reason, count),) = Counter(each.reason for each in made.refused).most_common(1)
    return f"{count} of {len(made.refused)} were left out since {reason}"


def _findings(findings: Sequence[Finding]) -> Table:
    """Put findings into a table."""
    from rich.table import Table

    table = Table(box=None)
    for name in ("", "about", "subjects", "found"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        table.add_row(finding.severity.value, finding.about, ", ".join(finding.subjects), finding.words)
    return table


def _groups(cohort: Path, by: str | None, split: str | None) -> list[GroupSummary]:
    """Count the groups that are asked for.

    Raises:
        UsageError: Two kinds of groups are asked for, or one that there is not.
    """
    from kneeage.cohort.folder import read_cohort
    from kneeage.cohort.summary import GROUPINGS, summarize, summarize_groups, usual_grouping

    if by is not None and split is not None:
        raise UsageError("give --by or --split, not both")
    entries = read_cohort(cohort).entries
    if split is None:
        return summarize(entries, one_of("by", by or usual_grouping(entries), GROUPINGS))
    from kneeage.cohort.split_files import read_named_split

    places = read_named_split(cohort, split).places
    return summarize_groups(entries, {subject: place.group.value for subject, place in places.items()})


def _table_1(groups: Sequence[GroupSummary]) -> Table:
    """Put the counts into a table."""
    from rich.table import Table

    from kneeage.cohort.summary import table_rows

    table = Table("completed years", box=None)
    for group in groups:
        table.add_column(group.name, justify="right")
    for row in table_rows(groups):
        table.add_row(*row)
    return table
