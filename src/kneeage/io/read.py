"""The front door: what series a path holds, and one of them as a volume."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from kneeage.core.errors import (
    AmbiguousSeriesError,
    GeometryError,
    InputRefusedError,
    UndecodableError,
    UsageError,
    WrongPlaneError,
)
from kneeage.core.volume import Volume
from kneeage.io.dicom import read_instance
from kneeage.io.finish import finished
from kneeage.io.geometry import Stack
from kneeage.io.instance import Instance
from kneeage.io.item import SourceItem
from kneeage.io.nifti import UNKNOWN_NIFTI, describe_nifti, is_nifti_head, is_nifti_name, load_nifti, read_nifti_head
from kneeage.io.origin import read_origin
from kneeage.io.pixels import decode_frames
from kneeage.io.ranking import is_in_other_plane, is_tie, judge, rank
from kneeage.io.series import Candidate, LoadedSeries, SeriesGroup, SeriesHeader, Slice, describe, group_series
from kneeage.io.sources import open_source
from kneeage.io.wanted import T1_KNEE, Wanted

# Candidates listed in a message.
MAX_LISTED = 20

_HEAD_BYTES = 540


@dataclass(frozen=True)
class Survey:
    """What a path holds.

    Args:
        candidates: Series, best first.
        foreign: Number of files that are neither DICOM images nor NIfTI.
        unreadable: What is wrong with each file that should be readable and is not.
    """

    candidates: tuple[Candidate, ...]
    foreign: int
    unreadable: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Entry:
    """A candidate, how to load it, what forbids that, and whether it would fit without that fault."""

    candidate: Candidate
    load: Callable[[tuple[str, ...]], LoadedSeries] = field(repr=False)
    problem: InputRefusedError | None = None
    fits: bool = True
    subject_token: str | None = field(default=None, repr=False)


@dataclass(eq=False)
class _Findings:
    """What looking through the items of a source finds, and what it is looked through for."""

    wanted: Wanted = T1_KNEE
    entries: list[_Entry] = field(default_factory=list)
    foreign: int = 0
    unreadable: list[InputRefusedError] = field(default_factory=list)

    @property
    def candidates(self) -> list[Candidate]:
        """The candidates, best first."""
        return rank([entry.candidate for entry in self.entries])


def survey(path: Path, wanted: Wanted = T1_KNEE) -> Survey:
    """Look at every file of a path.

    Args:
        path: DICOM file, folder, DICOMDIR, zip or NIfTI file.
        wanted: What the series are ranked for, such as what a bundle covers.

    Returns:
        The ranked candidates, and what else is there.

    Raises:
        InputRefusedError: The path cannot be read at all, is unsafe or past a limit.
    """
    with open_source(path) as items:
        findings = _look(items, wanted)
    return Survey(
        candidates=tuple(findings.candidates),
        foreign=findings.foreign,
        unreadable=tuple(str(error) for error in findings.unreadable),
    )


def list_candidates(path: Path, wanted: Wanted = T1_KNEE) -> list[Candidate]:
    """List the series of a path, best first; several subjects and foreign files are no obstacle.

    Args:
        path: DICOM file, folder, DICOMDIR, zip or NIfTI file.
        wanted: What they are ranked for, such as what a bundle covers.

    Returns:
        The ranked candidates, the unsuitable ones last.

    Raises:
        InputRefusedError: The path cannot be read at all, is unsafe or past a limit.
    """
    return list(survey(path, wanted).candidates)


def load(path: Path, series: str | None = None, wanted: Wanted = T1_KNEE) -> LoadedSeries:
    """Load the best series of a path, or the one that is named.

    Args:
        path: DICOM file, folder, DICOMDIR, zip or NIfTI file.
        series: Key of a candidate, as ``list_candidates`` gives it; None: the best one.
        wanted: What the best one is the best for, such as what a bundle covers.

    Returns:
        The series: float32 grey values (1, columns, rows, slices) in RAS+ mm.

    Raises:
        UsageError: No series has that key.
        AmbiguousSeriesError: Nothing is suitable, or two series are equally good.
        WrongPlaneError: Nothing is suitable, and nothing is in the plane that is wanted.
        GeometryError: The slices do not form a volume.
        UndecodableError: Pixels are damaged, cut short or encoded in an unsupported way.
        InputRefusedError: Several subjects, another modality, colour, constant values, or no image at all.
    """
    with open_source(path) as items:
        findings = _look(items, wanted)
        entry = _best(findings) if series is None else _named(findings, series)
        loaded = _load(entry)
    return replace(loaded, notes=(*loaded.notes, *(f"left out: {error}" for error in _left_out(findings, entry))))


def candidate_lines(candidates: Sequence[Candidate]) -> list[str]:
    """Write candidates as lines for a person: rank, key and reasons; none names a subject.

    Args:
        candidates: Ranked candidates.

    Returns:
        One line each, at most ``MAX_LISTED`` and one that says how many more there are.
    """
    lines = [
        f"{'-' if candidate.rank is None else f'{candidate.rank}.'} {candidate.key}: {'; '.join(candidate.reasons)}"
        for candidate in candidates[:MAX_LISTED]
    ]
    rest = len(candidates) - MAX_LISTED
    return [*lines, f"and {rest} more"] if rest > 0 else lines


def _look(items: Iterable[SourceItem], wanted: Wanted) -> _Findings:
    """Read the header of every item once."""
    findings, instances = _Findings(wanted), []
    for item in items:
        try:
            found = _look_at(item, wanted)
        except InputRefusedError as error:
            findings.unreadable.append(error)
            continue
        if found is None:
            findings.foreign += 1
        elif isinstance(found, Instance):
            instances.append(found)
        else:
            findings.entries.append(found)
    findings.entries += [_dicom_entry(group, wanted) for group in group_series(instances)]
    return findings


def _look_at(item: SourceItem, wanted: Wanted) -> Instance | _Entry | None:
    """Say what an item is: a DICOM instance, a NIfTI image, or neither."""
    try:
        if _is_nifti(item):
            return _nifti_entry(item, wanted)
        return read_instance(item)
    except OSError as error:
        raise InputRefusedError(
            f"cannot read {item.file_name!r}: {error.strerror or 'input error'}; check the file and its permissions"
        ) from error


def _is_nifti(item: SourceItem) -> bool:
    """Say whether an item is a NIfTI file, by its name or by its first bytes."""
    if is_nifti_name(item.file_name):
        return True
    with item.open() as handle:
        return is_nifti_head(handle.read(_HEAD_BYTES))


def _nifti_entry(item: SourceItem, wanted: Wanted) -> _Entry:
    """Describe a NIfTI file; one that cannot be used is a candidate that says why."""
    try:
        head = read_nifti_head(item)
    except UndecodableError:
        raise
    except InputRefusedError as error:
        return _faulty_entry(item.name, UNKNOWN_NIFTI, error, wanted)
    header = describe_nifti(head)
    candidate = judge(item.name, header, None, wanted)
    if not header.label_map:
        return _Entry(candidate, partial(load_nifti, item))
    words = f"{item.file_name!r} is a label map, not an image; give the image that it was drawn on"
    return replace(_faulty_entry(item.name, header, InputRefusedError(words), wanted), candidate=candidate)


def _dicom_entry(group: SeriesGroup, wanted: Wanted) -> _Entry:
    """Describe a group of slices."""
    header, stack = describe(group)
    token = group.slices[0].instance.subject_token
    if isinstance(stack, InputRefusedError):
        return _faulty_entry(group.key, header, stack, wanted, token)
    candidate = judge(group.key, header, None, wanted)
    return _Entry(candidate, partial(_load_group, group, header, stack), subject_token=token)


def _faulty_entry(
    key: str, header: SeriesHeader, problem: InputRefusedError, wanted: Wanted, subject_token: str | None = None
) -> _Entry:
    """Describe a series that cannot be loaded; it says why, and whether it would fit if it could."""

    def refuse(_: tuple[str, ...]) -> LoadedSeries:
        """Refuse with the fault."""
        raise problem

    fits = judge(key, header, None, wanted).suitable
    return _Entry(judge(key, header, problem, wanted), refuse, problem, fits, subject_token)


def _best(findings: _Findings) -> _Entry:
    """Choose the best entry, or refuse and say why."""
    _require_something(findings)
    _require_one_subject(findings)
    ranked = findings.candidates
    if len(findings.entries) == 1 and findings.entries[0].problem is not None:
        raise findings.entries[0].problem
    if not ranked[0].suitable:
        raise _nothing_suitable(findings, ranked)
    if is_tie(ranked):
        raise _open_choice("more than one series is equally good", ranked, findings.wanted)
    return next(entry for entry in findings.entries if entry.candidate.key == ranked[0].key)


def _named(findings: _Findings, key: str) -> _Entry:
    """Choose the entry with a key; a series UID is enough where the series was not split."""
    exact = [entry for entry in findings.entries if entry.candidate.key == key]
    parts = exact or [entry for entry in findings.entries if entry.candidate.key.startswith(f"{key}#")]
    if not parts:
        raise UsageError(
            "\n".join((f"no series {key!r} is here; the series are", *candidate_lines(findings.candidates)))
        )
    if len(parts) > 1:
        ranked = rank([entry.candidate for entry in parts])
        raise _open_choice(f"the series {key!r} has {len(parts)} parts", ranked, findings.wanted)
    return parts[0]


def _load(entry: _Entry) -> LoadedSeries:
    """Load an entry, or refuse it with its own fault."""
    try:
        return entry.load(entry.candidate.reasons)
    except OSError as error:
        raise InputRefusedError(f"cannot read {entry.candidate.key!r}: {error.strerror or 'input error'}") from error


def _left_out(findings: _Findings, entry: _Entry) -> list[InputRefusedError]:
    """List what could not be used: damaged files, and images of the entry's own series that may be slices of it."""
    series_uid = entry.candidate.header.series_uid
    others = [one for one in findings.entries if one is not entry and one.candidate.header.series_uid == series_uid]
    faults = [one.problem for one in others if series_uid is not None and one.problem is not None]
    return [*findings.unreadable, *(fault for fault in faults if not isinstance(fault, GeometryError))]


def _require_something(findings: _Findings) -> None:
    """Refuse a source with damaged files, or without any image."""
    if findings.unreadable:
        raise _with_a_way_on(findings.unreadable[0], findings)
    if not findings.entries and findings.foreign:
        raise InputRefusedError(
            f"none of the {findings.foreign} files is a DICOM image or a NIfTI file; give the folder of the MR series"
        )
    if not findings.entries:
        raise InputRefusedError("there is no file in it; give a DICOM file, folder, DICOMDIR, zip or NIfTI file")


def _with_a_way_on(error: InputRefusedError, findings: _Findings) -> InputRefusedError:
    """Add to an error that a series can be chosen in spite of it, where there is one that an answer may come of."""
    sound = {entry.candidate.key for entry in findings.entries if entry.problem is None}
    ways = [
        candidate.key
        for candidate in findings.candidates
        if candidate.key in sound and not is_in_other_plane(candidate.header, findings.wanted)
    ]
    return type(error)(f"{error}, or choose a series with --series: {ways[0]}") if ways else error


def _require_one_subject(findings: _Findings) -> None:
    """Refuse images of several subjects, without naming them."""
    tokens = {entry.subject_token for entry in findings.entries if entry.subject_token is not None}
    if len(tokens) > 1:
        raise InputRefusedError(
            f"images of {len(tokens)} subjects are mixed in one place (or of studies without any identifier); "
            "give the folder of one subject, or choose a series with --series"
        )


def _nothing_suitable(findings: _Findings, ranked: Sequence[Candidate]) -> InputRefusedError:
    """Say why nothing is suitable: the one fault of the one fitting series, else the list."""
    faults = [entry.problem for entry in findings.entries if entry.fits and entry.problem is not None]
    if len(faults) == 1:
        return faults[0]
    images = [candidate for candidate in ranked if not candidate.header.label_map]
    if not images:
        return InputRefusedError("there are label maps only, and no image; give the images that they were drawn on")
    return _open_choice(f"no series is suitable ({findings.wanted.words})", images, findings.wanted)


def _open_choice(words: str, ranked: Sequence[Candidate], wanted: Wanted) -> InputRefusedError:
    """Refuse with the list of candidates; a choice is offered unless none of them is in the bundle's plane."""
    lines = candidate_lines(ranked)
    if wanted.plane is None or not all(is_in_other_plane(one.header, wanted) for one in ranked):
        return AmbiguousSeriesError("\n".join((f"{words}; choose one with --series:", *lines)))
    return WrongPlaneError("\n".join((f"{words}; none is {wanted.plane.value}; give one that is:", *lines)))


def _load_group(group: SeriesGroup, header: SeriesHeader, stack: Stack, reasons: tuple[str, ...]) -> LoadedSeries:
    """Decode the slices of a group in their order."""
    slices = [group.slices[n] for n in stack.order]
    columns, rows, count = header.shape
    pixels = np.empty((count, rows, columns), dtype=np.float32)
    for instance, numbers in _by_instance(slices).items():
        decode_frames(instance, [slices[n].frame for n in numbers], [pixels[n] for n in numbers])
    volume = Volume(np.transpose(pixels, (2, 1, 0))[None], stack.affine)
    blank = [slices[n].label for n in range(count) if pixels[n].min() == pixels[n].max()]
    notes = (*stack.notes, *(f"{label} is blank" for label in blank))
    origin = read_origin([(one.instance, one.frame) for one in slices])
    return replace(finished(volume, header, reasons, notes), origin=origin)


def _by_instance(slices: Sequence[Slice]) -> dict[Instance, list[int]]:
    """Collect the places of the slices of each file."""
    found: dict[int, tuple[Instance, list[int]]] = {}
    for n, one in enumerate(slices):
        found.setdefault(id(one.instance), (one.instance, []))[1].append(n)
    return dict(found.values())
