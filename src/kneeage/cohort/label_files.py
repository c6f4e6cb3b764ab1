"""The label files of a cohort: checked as they lie there, and taken back from ITK-SNAP whole or not at all.

What an import replaces is kept in ``replaced_labels/ID-1.nii.gz``, ``ID-2.nii.gz`` and so on, the first the oldest.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import numpy as np

from kneeage.cohort.folder import LABELS_FILE, MANIFEST_FILE, SUBJECTS_FOLDER, Cohort
from kneeage.cohort.itksnap import SEGMENTATION_FILE, Progress
from kneeage.cohort.label_checks import FindingKind, LabelFinding, Severity, check_labels
from kneeage.cohort.label_maps import label_values, on_grid
from kneeage.cohort.sheet import read_sheet, sheet_text
from kneeage.cohort.table import SUBJECT_ID, TABLE_FILE, SubjectEntry
from kneeage.core.errors import GeometryError, InputRefusedError, OutputError
from kneeage.core.manifest import VIRTUAL_IMAGE_MARK
from kneeage.core.volume import Volume
from kneeage.io.lock import only_run
from kneeage.io.nifti import read_values, write_labels
from kneeage.io.output import whole_file
from kneeage.io.series import LoadedSeries

REPLACED_FOLDER = "replaced_labels"
LABELS_COLUMN = "labels"
_MAX_NAMED = 5


@dataclass
class CheckedCohort:
    """What is wrong with the labels of a cohort.

    Args:
        checked: Subjects with labels.
        unlabelled: Subjects without.
        findings: What is wrong, subject by subject.
    """

    checked: int = 0
    unlabelled: list[str] = field(default_factory=list)
    findings: list[LabelFinding] = field(default_factory=list)


@dataclass
class Imported:
    """What an import came to; nothing was written where a finding is an error.

    Args:
        added: Subjects that had no labels.
        replaced: Subjects whose labels were replaced.
        unchanged: Subjects whose labels are as they were.
        empty: Subjects whose segmentation is empty, and was left out.
        findings: What is wrong, subject by subject.
    """

    added: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    findings: list[LabelFinding] = field(default_factory=list)

    @property
    def is_refused(self) -> bool:
        """Whether something must be mended first."""
        return any(finding.is_error for finding in self.findings)


def check_cohort_labels(cohort: Cohort, tell: Progress) -> CheckedCohort:
    """Check the labels of every subject against its image.

    Args:
        cohort: The cohort.
        tell: Told how many subjects are done, and how many there are.
    """
    found = CheckedCohort()
    for number, entry in enumerate(cohort.entries, 1):
        path = cohort.labels_path(entry)
        if path is None:
            found.unlabelled.append(entry.subject_id)
        else:
            found.checked += 1
            found.findings += _checked(cohort, entry, path).findings
        tell(number, len(cohort.entries))
    return found


def import_labels(folder: Path, cohort: Cohort, tell: Progress) -> Imported:
    """Take edited segmentations into a cohort.

    All are checked before the first is written. A file that is replaced is kept, one that did not change is left as it
    is, and an empty one is left out.

    Args:
        folder: What `kneeage.cohort.itksnap.export_cohort` wrote, edited.
        cohort: The cohort.
        tell: Told how many subjects are checked, and how many there are.

    Returns:
        What was done; where a finding is an error, what would have been.

    Raises:
        InputRefusedError: The folder holds no segmentation, or one of somebody who is not in the cohort.
        OutputError: The cohort cannot be written, or another run is writing it.
    """
    entries = _drawn_entries(folder, cohort)
    with (
        only_run(cohort.folder / MANIFEST_FILE, "the cohort or its labels", elsewhere=False),
        _staging(cohort.folder) as stage,
    ):
        done, staged = Imported(), []
        for number, entry in enumerate(entries, 1):
            if _prepare(cohort, entry, folder / entry.subject_id / SEGMENTATION_FILE, stage, done):
                staged.append(entry)
            tell(number, len(entries))
        if staged and not done.is_refused:
            _commit(cohort, staged, stage)
    return done


@dataclass(frozen=True, eq=False)
class _Checked:
    """Labels of one subject; without labels where they cannot be used."""

    findings: list[LabelFinding]
    series: LoadedSeries | None = None
    labels: Volume | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is drawn, and nothing else is wrong."""
        return [finding.kind for finding in self.findings] == [FindingKind.EMPTY]


def _checked(cohort: Cohort, entry: SubjectEntry, path: Path) -> _Checked:
    """Read and check the labels of a subject."""
    try:
        series, labels = cohort.series(entry), read_values(path)
    except InputRefusedError as error:
        return _Checked([LabelFinding(FindingKind.UNREADABLE, Severity.ERROR, str(error), subject_id=entry.subject_id)])
    findings = [replace(each, subject_id=entry.subject_id) for each in check_labels(labels, series.volume)]
    if any(finding.is_error for finding in findings):
        return _Checked(findings, series)
    return _Checked(findings, series, label_values(on_grid(labels, series.volume)))


def _drawn_entries(folder: Path, cohort: Cohort) -> list[SubjectEntry]:
    """Give the subjects that the folder holds segmentations of, in the order of the table."""
    drawn = {path.parent.name for path in folder.glob(f"*/{SEGMENTATION_FILE}")}
    if not drawn:
        raise InputRefusedError(
            f"{str(folder)!r} holds no ID/{SEGMENTATION_FILE}; give the folder that 'kneeage labels export' wrote"
        )
    strangers = sorted(drawn - {entry.subject_id for entry in cohort.entries})
    if strangers:
        names = ", ".join(repr(name) for name in strangers[:_MAX_NAMED])
        raise InputRefusedError(
            f"no subject_id of {TABLE_FILE} is the name of {len(strangers)} folders here: {names}; rename or move them"
        )
    return [entry for entry in cohort.entries if entry.subject_id in drawn]


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Give a folder for new labels, on the disk of the cohort."""
    try:
        with tempfile.TemporaryDirectory(prefix=".labels-", suffix=".part", dir=folder) as stage:
            yield Path(stage)
    except PermissionError as error:
        raise OutputError(
            f"{str(folder)!r} cannot be written ({error.strerror}); allow it, and import again"
        ) from error


def _prepare(cohort: Cohort, entry: SubjectEntry, path: Path, stage: Path, done: Imported) -> bool:
    """Check a segmentation and write it into the stage; say whether it is to be taken over."""
    checked = _checked(cohort, entry, path)
    if checked.is_empty:
        done.empty.append(entry.subject_id)
        return False
    done.findings += checked.findings
    if checked.labels is None or checked.series is None:
        return False
    old = cohort.labels_path(entry)
    if old is not None and _is_same(old, checked.labels):
        done.unchanged.append(entry.subject_id)
        return False
    note = VIRTUAL_IMAGE_MARK if checked.series.header.virtual else ""
    write_labels(_staged(cohort, entry, stage), checked.labels, note=note)
    (done.added if old is None else done.replaced).append(entry.subject_id)
    return True


def _is_same(path: Path, labels: Volume) -> bool:
    """Say whether a file holds the same labels in the same place."""
    try:
        return np.array_equal(on_grid(read_values(path), labels).array, labels.array)
    except (GeometryError, InputRefusedError):
        return False


def _target(cohort: Cohort, entry: SubjectEntry) -> Path:
    """Say where a subject's labels go: where they are, else in the usual place."""
    return cohort.labels_path(entry) or cohort.folder / SUBJECTS_FOLDER / entry.subject_id / LABELS_FILE


def _staged(cohort: Cohort, entry: SubjectEntry, stage: Path) -> Path:
    """Say where a subject's labels wait."""
    return stage / entry.subject_id / _target(cohort, entry).name


def _commit(cohort: Cohort, entries: Sequence[SubjectEntry], stage: Path) -> None:
    """Put staged labels into place, or none of them; what they replace is copied first."""
    unnamed = {entry.subject_id: _target(cohort, entry) for entry in entries if entry.labels is None}
    with ExitStack() as undo:
        backups = {entry.subject_id: _backed_up(cohort, entry, undo) for entry in entries}
        try:
            table = _staged_table(cohort, unnamed, stage) if unnamed else None
            for entry in entries:
                target, backup = _target(cohort, entry), backups[entry.subject_id]
                target.parent.mkdir(parents=True, exist_ok=True)
                _staged(cohort, entry, stage).replace(target)
                undo.callback(target.unlink) if backup is None else undo.callback(shutil.copyfile, backup, target)
            if table is not None:
                table.replace(cohort.folder / TABLE_FILE)
        except OSError as error:
            raise OutputError(
                f"the labels could not be put into the cohort ({error.strerror}); they are as they were; import again"
            ) from error
        undo.pop_all()


def _backed_up(cohort: Cohort, entry: SubjectEntry, undo: ExitStack) -> Path | None:
    """Copy the labels that are to be replaced; None where there are none."""
    target = _target(cohort, entry)
    if not target.exists():
        return None
    ending = target.name.removeprefix(target.name.partition(".")[0])
    names = (cohort.folder / REPLACED_FOLDER / f"{entry.subject_id}-{number}{ending}" for number in count(1))
    backup = next(name for name in names if not name.exists())
    with whole_file(backup) as copy:
        shutil.copyfile(target, copy)
    undo.callback(backup.unlink)
    return backup


def _staged_table(cohort: Cohort, targets: Mapping[str, Path], stage: Path) -> Path:
    """Write the table with the places of new labels; every other cell stays as it is."""
    sheet = read_sheet(cohort.folder / TABLE_FILE)
    rows = [dict(row.cells) for row in sheet.rows]
    for row in rows:
        if row[SUBJECT_ID] in targets:
            row[LABELS_COLUMN] = targets[row[SUBJECT_ID]].relative_to(cohort.folder).as_posix()
    columns = sheet.columns if LABELS_COLUMN in sheet.columns else (*sheet.columns, LABELS_COLUMN)
    path = stage / TABLE_FILE
    path.write_text(sheet_text(columns, rows), encoding="utf-8", newline="\n")
    return path
