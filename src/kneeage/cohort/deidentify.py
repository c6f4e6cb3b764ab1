"""DICOM files without the identity of anybody: the Basic Application Level Confidentiality Profile, and stricter.

The profile is that of DICOM PS3.15 (`kneeage.cohort.profile`); texts that it does not list go as well
(`kneeage.cohort.scrub`). Pixels are left as they are; an image that says that text is burned into it is refused.
Sexes, ages, sizes, weights and dates leave the files; the subject table holds what a study needs of them.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from itertools import count
from pathlib import Path
from random import SystemRandom

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset

from kneeage import __version__
from kneeage.cohort import cells
from kneeage.cohort.profile import PROFILE_EDITION, NewUid, Profile
from kneeage.cohort.scrub import identity_of, scrub
from kneeage.cohort.sheet import read_sheet, sheet_text
from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.io.dicom import read_instance, require_transfer_syntax
from kneeage.io.facts import READ_ERRORS, Facts, quietly
from kneeage.io.item import SourceItem
from kneeage.io.output import require_free, whole_file, whole_folder
from kneeage.io.sources import open_source
from kneeage.io.write import deterministic_uid

# Columns of a table of codes: what PatientID says, and the code that takes its place.
PATIENT_ID, SUBJECT_ID = "patient_id", "subject_id"
# Texts of at most 64 characters. Source: DICOM PS3.3 section C.12.1 (Deidentification Method).
METHODS = (
    f"DICOM PS3.15 {PROFILE_EDITION} Basic Application Level Confidentiality",
    f"kneeage {__version__}: texts that are not listed are removed",
)
# Source: DICOM PS3.16 CID 7050 (De-identification Method).
_METHOD_CODE = ("113100", "DCM", "Basic Application Confidentiality Profile")
_KEYWORDS = ("BurnedInAnnotation", "PatientID", "PatientName", "SeriesInstanceUID", "StudyInstanceUID")
_LISTED = 5

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Refused:
    """A file that was left out.

    Args:
        file: Its path inside the source; it may name somebody.
        reason: Why, in words that name nobody.
    """

    file: str = field(repr=False)
    reason: str


@dataclass(frozen=True)
class Deidentified:
    """What was done.

    Args:
        subjects: Number of subjects.
        files: Number of files that were written.
        unstated: How many of them do not say whether text is burned into their pixels.
        renamed: Number of subjects whose files bear more than one name.
        refused: Files that were left out.
    """

    subjects: int
    files: int
    unstated: int
    renamed: int
    refused: tuple[Refused, ...]


@dataclass(frozen=True)
class _Found:
    """A file that can be de-identified."""

    item: SourceItem = field(repr=False)
    subject: str = field(repr=False)
    name: str = field(repr=False)
    study: str = field(repr=False)
    series: str = field(repr=False)
    states_burned_in: bool


def read_codes(path: Path) -> dict[str, str]:
    """Read which code takes the place of each identifier.

    Args:
        path: CSV file with the columns ``patient_id`` and ``subject_id``, such as an earlier run has written.

    Returns:
        The code of each PatientID.

    Raises:
        InputRefusedError: The file is no such table, an identifier or code is there twice, or a code is no plain name
            or itself an identifier; the row is named.
    """
    sheet = read_sheet(path)
    sheet.require(PATIENT_ID, SUBJECT_ID)
    identifiers = {row.cells[PATIENT_ID] for row in sheet.rows}
    codes: dict[str, str] = {}
    for row in sheet.rows:
        fault = _fault(row.cells, codes, identifiers)
        if fault is not None:
            raise InputRefusedError(f"{path.name!r}, row {row.number}: {fault}")
        codes[row.cells[PATIENT_ID]] = row.cells[SUBJECT_ID]
    return codes


def deidentify(
    source: Path,
    destination: Path,
    *,
    codes: Mapping[str, str] | None = None,
    key: Path | None = None,
    tell: Tell = lambda _done, _total: None,
) -> Deidentified:
    """Write the MR images of a source without the identity of anybody.

    They become ``CODE/study_N/series_N/NNNN.dcm``; studies and series are numbered in the order of the file names.

    Args:
        source: DICOM file, folder, DICOMDIR or zip.
        destination: A new folder.
        codes: Code of each PatientID; None: S0001, S0002 and so on, in an order left to chance.
        key: A new file for the codes and what they stand for, in the form of ``read_codes``; keep it apart from the
            images. None: nobody can tell afterwards.
        tell: Told how much is done, and how much there is.

    Returns:
        What was done, and which files were left out.

    Raises:
        UsageError: The library of the profile is not installed, or one of the places lies inside another.
        InputRefusedError: Nothing can be de-identified, or the source cannot be read.
        OutputError: The folder or the key is there, or cannot be written.
    """
    new_uid = partial(deterministic_uid, secrets.token_hex(32))
    profile = Profile(new_uid)
    _require_apart(source, destination, key)
    require_free(destination)
    with ExitStack() as stack:
        stack.enter_context(quietly())
        items = stack.enter_context(open_source(source))
        run = _Run(profile, new_uid, tell)
        found = run.survey(items)
        assigned = run.assign(found, codes)
        folder = stack.enter_context(whole_folder(destination))
        if key is not None:
            _write_key(stack.enter_context(whole_file(key)), assigned)
        return run.write(folder, found, assigned)


class _Run:
    """One run over the files of a source: first their headers, then the files whole.

    Args:
        profile: The profile.
        new_uid: Gives the UID that takes the place of one.
        tell: Told how much is done, and how much there is.
    """

    def __init__(self, profile: Profile, new_uid: NewUid, tell: Tell) -> None:
        self._profile, self._new_uid, self._tell = profile, new_uid, tell
        self._refused: list[Refused] = []
        self._total = 0

    def survey(self, items: Sequence[SourceItem]) -> list[_Found]:
        """Look at the header of every file, and refuse what is no MR image of somebody."""
        self._total = 2 * len(items)
        found = []
        for done, item in enumerate(items, 1):
            try:
                found.append(_look_at(item))
            except (InputRefusedError, OSError) as error:
                self._refuse(item, error)
            self._tell(done, self._total)
        return found

    def assign(self, found: Sequence[_Found], codes: Mapping[str, str] | None) -> dict[str, str]:
        """Give the code of each subject that has one."""
        subjects = sorted({one.subject for one in found})
        if codes is not None:
            return {subject: codes[subject] for subject in subjects if subject in codes}
        SystemRandom().shuffle(subjects)
        free = (code for number in count(1) if (code := f"S{number:04d}") not in set(subjects))
        return dict(zip(subjects, free, strict=False))

    def write(self, folder: Path, found: Sequence[_Found], codes: Mapping[str, str]) -> Deidentified:
        """Write every file whose subject has a code."""
        places = _Places(folder)
        written: list[_Found] = []
        for done, one in enumerate(found, self._total - len(found) + 1):
            try:
                data = self._clean(one, codes)
                places.take(one, codes[one.subject]).write_bytes(data)
                written.append(one)
            except InputRefusedError as error:
                self._refuse(one.item, error)
            self._tell(done, self._total)
        if not written:
            raise self._nothing_written()
        return self._summary(written)

    def _summary(self, written: Sequence[_Found]) -> Deidentified:
        """Count what was written."""
        subjects = {one.subject for one in written}
        names = {(one.subject, one.name) for one in written}
        renamed = [subject for subject, times in Counter(subject for subject, _ in names).items() if times > 1]
        unstated = sum(not one.states_burned_in for one in written)
        return Deidentified(len(subjects), len(written), unstated, len(renamed), tuple(self._refused))

    def _clean(self, found: _Found, codes: Mapping[str, str]) -> bytes:
        """Give the bytes of a file without any identity."""
        if found.subject not in codes:
            raise InputRefusedError("its PatientID is not in the table of codes (spreadsheets drop leading zeros)")
        try:
            dataset = _read(found.item)
            words = identity_of(dataset)
            scrub(dataset, self._profile, self._new_uid, words)
            data = _encoded(dataset, codes[found.subject])
        except READ_ERRORS as error:
            raise InputRefusedError("it is damaged and cannot be read whole; send the file again") from error
        if words.are_in_bytes(data):
            raise InputRefusedError("a name or identifier is left in it after all, perhaps among its pixels")
        return data

    def _refuse(self, item: SourceItem, error: Exception) -> None:
        """Keep a file that is left out, and why."""
        words = (error.strerror or "cannot be read") if isinstance(error, OSError) else str(error)
        self._refused.append(Refused(item.name, words.removeprefix(f"{item.file_name!r}").lstrip(": ")))

    def _nothing_written(self) -> InputRefusedError:
        """Say why there is nothing, naming no file."""
        reasons = dict.fromkeys(refused.reason for refused in self._refused)
        told = "; ".join(list(reasons)[:_LISTED]) or "there is none"
        return InputRefusedError(f"none of the {len(self._refused)} files can be de-identified: {told}")


class _Places:
    """Names files by code, study, series and number alone.

    Args:
        folder: Where they go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._studies: dict[str, dict[str, int]] = {}
        self._series: dict[tuple[str, str], dict[str, int]] = {}
        self._files: dict[Path, Iterator[int]] = {}

    def take(self, found: _Found, code: str) -> Path:
        """Give the place of the next file."""
        study = _number_in(self._studies.setdefault(code, {}), found.study)
        series = _number_in(self._series.setdefault((code, found.study), {}), found.series)
        folder = self._folder / code / f"study_{study}" / f"series_{series}"
        if folder not in self._files:
            folder.mkdir(parents=True)
            self._files[folder] = count(1)
        return folder / f"{next(self._files[folder]):04d}.dcm"


def _number_in(numbers: dict[str, int], uid: str) -> int:
    """Number a UID from 1, in the order in which they are met."""
    return numbers.setdefault(uid, len(numbers) + 1)


def _look_at(item: SourceItem) -> _Found:
    """Read the header of a file, and refuse what is no MR image, of nobody, or has text in its pixels."""
    instance = read_instance(item)
    if instance is None:
        raise InputRefusedError("it is no DICOM image; only MR images are de-identified")
    if instance.problem is not None:
        raise instance.problem
    with item.open() as handle:
        facts = Facts(dcmread(handle, stop_before_pixels=True, force=True, specific_tags=list(_KEYWORDS)))
    burned_in = (facts.text("BurnedInAnnotation") or "").upper()
    if burned_in == "YES":
        raise InputRefusedError("text is burned into its pixels (BurnedInAnnotation is YES); send it without")
    subject = facts.text("PatientID") or facts.text("PatientName") or instance.study_uid
    if subject is None:
        raise InputRefusedError("it names no subject and no study; fill in its PatientID")
    name = " ".join((facts.text("PatientName") or "").replace("^", " ").casefold().split())
    return _Found(item, subject, name, instance.study_uid or "", instance.series_uid or "", burned_in == "NO")


def _read(item: SourceItem) -> Dataset:
    """Read a file whole."""
    with item.open() as handle:
        dataset = dcmread(handle, force=True)
    require_transfer_syntax(dataset)
    return dataset


def _encoded(dataset: Dataset, code: str) -> bytes:
    """Say in a scrubbed data set what was done, and write it with file meta information of our own."""
    dataset.PatientID, dataset.PatientName = code, f"{code}^"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = list(METHODS)
    dataset.DeidentificationMethodCodeSequence = [_method_code()]
    dataset.LongitudinalTemporalInformationModified = "REMOVED"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta, dataset.preamble = meta, bytes(128)
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _method_code() -> Dataset:
    """Give the code of the profile."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = _METHOD_CODE
    return item


def _fault(row: Mapping[str, str], codes: Mapping[str, str], identifiers: set[str]) -> str | None:
    """Say what is wrong with a row of a table of codes, without repeating the identifier."""
    identifier, code = row[PATIENT_ID], row[SUBJECT_ID]
    if not identifier:
        return f"{PATIENT_ID} is empty; fill it in"
    if identifier in codes:
        return f"this {PATIENT_ID} is there twice; keep one row"
    if code in codes.values():
        return f"{SUBJECT_ID} {code!r} is there twice; every subject needs its own"
    if code in identifiers:
        return f"{SUBJECT_ID} is a {PATIENT_ID} as well; give codes that tell nothing"
    try:
        cells.subject_id(code)
    except ValueError as error:
        return f"{SUBJECT_ID} {error}"
    return None


def _write_key(path: Path, codes: Mapping[str, str]) -> None:
    """Write what the codes stand for."""
    rows = [{PATIENT_ID: subject, SUBJECT_ID: code} for subject, code in sorted(codes.items(), key=lambda one: one[1])]
    path.write_text(sheet_text((PATIENT_ID, SUBJECT_ID), rows), encoding="utf-8", newline="\n")


def _require_apart(source: Path, destination: Path, key: Path | None) -> None:
    """Check that what is written does not lie inside what is read, nor the key beside the images."""
    folder = destination.absolute().resolve()
    if source.absolute().resolve() in (folder, *folder.parents):
        raise UsageError("the output folder lies inside the source; name one outside of it")
    if key is not None and folder in key.absolute().resolve().parents:
        raise UsageError("the key would lie beside the images that it names; keep it outside of the output folder")
