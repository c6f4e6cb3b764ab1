"""What is wrong with a cohort before anything is trained on it: table, images, labels, and who is in which group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np

from kneeage.cohort.folder import (
    SPLITS_FOLDER,
    SUBJECTS_FOLDER,
    Cohort,
    pixel_key,
    read_manifest,
    study_key,
    table_path,
)
from kneeage.cohort.label_checks import check_labels
from kneeage.cohort.label_maps import label_values
from kneeage.cohort.request import implausible_words, is_plausible
from kneeage.cohort.sheet import read_sheet
from kneeage.cohort.table import SUBJECT_ID, SubjectEntry, scan_sheet
from kneeage.core.anatomy import Label
from kneeage.core.errors import InputRefusedError
from kneeage.core.volume import Volume
from kneeage.io.nifti import read_values

Tell = Callable[[int, int], None]
# Labels of open plates and their closed remainders: what the study reads.
_PLATES = (
    Label.DISTAL_FEMUR_PHYSIS,
    Label.PROXIMAL_TIBIA_PHYSIS,
    Label.DISTAL_FEMUR_PHYSEAL_SCAR,
    Label.PROXIMAL_TIBIA_PHYSEAL_SCAR,
)


class Severity(str, Enum):
    """Whether a finding must be mended."""

    MEND = "mend"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """What is wrong, or worth knowing.

    Args:
        severity: Whether it must be mended.
        about: What it is about: table, image, labels, duplicate, split, age or folder.
        subjects: Whom it concerns; empty: the whole cohort.
        words: What was found.
    """

    severity: Severity
    about: str
    subjects: tuple[str, ...]
    words: str


@dataclass(frozen=True)
class Identity:
    """What tells that two subjects are one.

    Args:
        subject_id: Who.
        pixels: Hash of the image; None where it cannot be read.
        study: Hash of the study; None where it is not known.
    """

    subject_id: str
    pixels: str | None
    study: str | None


@dataclass
class _Looking:
    """A cohort that is looked through, every identifier of its table, and what was found so far."""

    cohort: Cohort
    named: frozenset[str]
    findings: list[Finding] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)

    def mend(self, about: str, subjects: Iterable[str], words: str) -> None:
        """Note what must be mended."""
        self.findings.append(Finding(Severity.MEND, about, tuple(subjects), words))

    def note(self, about: str, subjects: Iterable[str], words: str) -> None:
        """Note what is worth knowing."""
        self.findings.append(Finding(Severity.NOTE, about, tuple(subjects), words))


def check_cohort(folder: Path, tell: Tell, against: Path | None = None) -> list[Finding]:
    """Look for everything that would make a study wrong.

    Args:
        folder: An imported or a virtual cohort.
        tell: Told how many subjects are done, and how many there are.
        against: Another cohort that must share nobody with this one, such as the external test set.

    Returns:
        What was found, in the order of the checks; nothing where all is well.

    Raises:
        InputRefusedError: It is no cohort, or its table cannot be read at all.
    """
    own, other = _open(folder), None if against is None else _open(against)
    total = sum(len(looking.cohort.entries) for looking in (own, other) if looking is not None)
    _look_at_subjects(own, lambda done: tell(done, total))
    _look_at_groups(own)
    _look_at_folder(own)
    if other is not None:
        before = len(own.cohort.entries)
        _identify(other, lambda done: tell(before + done, total))
        _compare(own, other)
    return own.findings


def _open(folder: Path) -> _Looking:
    """Read a cohort whose table may have faults."""
    folder = Path(folder).absolute()
    manifest = read_manifest(folder)
    sheet = read_sheet(table_path(folder))
    scan = scan_sheet(sheet)
    named = frozenset(row.cells[SUBJECT_ID] for row in sheet.rows)
    looking = _Looking(Cohort(folder, manifest, scan.entries), named)
    for fault in scan.faults:
        looking.mend("table", [fault.subject_id] if fault.subject_id else [], str(fault))
    return looking


def _look_at_subjects(looking: _Looking, tell: Callable[[int], None]) -> None:
    """Look at every subject's age, image and labels."""
    tell(0)
    for done, entry in enumerate(looking.cohort.entries, 1):
        if not is_plausible(entry):
            looking.mend("age", [entry.subject_id], implausible_words(entry))
        image = _look_at_image(looking, entry)
        if image is not None:
            _look_at_labels(looking, entry, image)
        tell(done)
    ages_years = [entry.chronological_age_years for entry in looking.cohort.entries]
    if len(ages_years) > 1 and all(age_years.is_integer() for age_years in ages_years):
        looking.note("age", [], "all ages are whole years; errors in years need decimal ages")


def _look_at_image(looking: _Looking, entry: SubjectEntry) -> Volume | None:
    """Read an image, and note what identifies it; None where it cannot be read."""
    try:
        loaded = looking.cohort.series(entry)
    except InputRefusedError as error:
        looking.mend("image", [entry.subject_id], " ".join(str(error).splitlines()))
        looking.identities.append(Identity(entry.subject_id, entry.pixel_sha256, entry.study_key))
        return None
    pixels = pixel_key(loaded.volume)
    if entry.pixel_sha256 not in (None, pixels):
        looking.mend("image", [entry.subject_id], "the image is not the one that was imported: its hash differs")
    study = entry.study_key or study_key(loaded.header.study_uid)
    looking.identities.append(Identity(entry.subject_id, pixels, study))
    return loaded.volume


def _look_at_labels(looking: _Looking, entry: SubjectEntry, image: Volume) -> None:
    """Check that labels, where there are any, fit the image and hold plates."""
    path = looking.cohort.labels_path(entry)
    if path is None:
        return
    try:
        labels = read_values(path)
    except InputRefusedError as error:
        looking.mend("labels", [entry.subject_id], str(error))
        return
    found = check_labels(labels, image)
    for each in found:
        (looking.mend if each.is_error else looking.note)("labels", [entry.subject_id], str(each))
    if not any(each.is_error for each in found) and not np.isin(label_values(labels).array, _PLATES).any():
        looking.note("labels", [entry.subject_id], "no growth plate and no scar is labelled")


def _look_at_groups(looking: _Looking) -> None:
    """Look for one subject, image or study in two groups, and for subjects of no group."""
    for words, alike in _alike(looking.identities):
        looking.mend("duplicate", alike, words)
    for path in sorted((looking.cohort.folder / SPLITS_FOLDER).glob("*.csv")):
        _look_at_split(looking, path)


def _look_at_split(looking: _Looking, path: Path) -> None:
    """Look at one split."""
    try:
        places = _places(path)
    except InputRefusedError as error:
        looking.mend("split", [], str(error))
        return
    name = f"split {path.stem!r}"
    for subject, own in places.items():
        if len(own) > 1:
            looking.mend("split", [subject], f"{name}: is in {' and in '.join(sorted(own))}")
    if gone := sorted(set(places) - looking.named):
        looking.mend("split", gone, f"{name} names subjects who are not in the cohort; make it anew")
    if without := sorted(looking.named - set(places)):
        looking.mend("split", without, f"{name} has no place for these subjects; make it anew")
    for words, alike in _alike(looking.identities):
        own_places = {place for subject in alike for place in places.get(subject, set())}
        if len(own_places) > 1:
            looking.mend("split", alike, f"{name}: {words}, in {' and in '.join(sorted(own_places))}")


def _places(path: Path) -> dict[str, set[str]]:
    """Read where a split puts each subject: group, and fold where it has one."""
    sheet = read_sheet(path)
    sheet.require("subject_id", "group")
    places: dict[str, set[str]] = defaultdict(set)
    for row in sheet.rows:
        fold = row.cells.get("fold")
        places[row.cells["subject_id"]].add(row.cells["group"] + (f", fold {fold}" if fold else ""))
    return places


def _look_at_folder(looking: _Looking) -> None:
    """Find folders of subjects who are in no row, such as those who were taken out."""
    folder = looking.cohort.folder / SUBJECTS_FOLDER
    there = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    if without := sorted(there - looking.named):
        looking.note("folder", without, f"folders in {SUBJECTS_FOLDER}/ without a row in the table")


def _identify(looking: _Looking, tell: Callable[[int], None]) -> None:
    """Note what identifies the subjects of another cohort."""
    for done, entry in enumerate(looking.cohort.entries, 1):
        _look_at_image(looking, entry)
        tell(done)


def _compare(own: _Looking, other: _Looking) -> None:
    """Look for subjects, images and studies that two cohorts share."""
    name = other.cohort.folder.name
    for finding in other.findings:
        own.findings.append(Finding(finding.severity, finding.about, finding.subjects, f"{name!r}: {finding.words}"))
    for kind, words in _KINDS.items():
        theirs = _by(kind, other.identities)
        for key, subjects in _by(kind, own.identities).items():
            if key in theirs:
                own.mend("duplicate", (*subjects, *theirs[key]), f"{words} in {name!r}")


# What tells that two subjects are one, and how that is said of several.
_KINDS: Mapping[str, str] = {"subject_id": "one subject_id", "pixels": "the same pixels", "study": "the same study"}


def _alike(identities: Sequence[Identity]) -> Iterator[tuple[str, list[str]]]:
    """Find subjects of different names who share an image or a study."""
    for kind in ("pixels", "study"):
        for subjects in _by(kind, identities).values():
            if len(set(subjects)) > 1:
                yield _KINDS[kind], subjects


def _by(kind: str, identities: Sequence[Identity]) -> dict[str, list[str]]:
    """Gather subjects by one kind of identity."""
    alike: dict[str, list[str]] = defaultdict(list)
    for identity in identities:
        key = getattr(identity, kind)
        if key is not None:
            alike[key].append(identity.subject_id)
    return alike
