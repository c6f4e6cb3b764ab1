"""Series: instances grouped, then split so that one volume is one contrast, and described by a header."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from kneeage.core.anatomy import Plane, Side
from kneeage.core.errors import GeometryError, InputRefusedError
from kneeage.core.manifest import VIRTUAL_IMAGE_MARK
from kneeage.core.volume import Volume
from kneeage.io.geometry import Stack, plane_of_orientation, prove_stack
from kneeage.io.instance import Acquisition, Frame, Instance
from kneeage.io.origin import DicomOrigin
from kneeage.io.side import judge_side
from kneeage.io.weighting import judge_fat_suppression, judge_weighting

# Echo times of one echo, which some scanners write with jitter, and of two echoes, which are at least 1 ms apart
# (fat and water in and out of phase at 3 T: 1.15 ms). Our own choice between them.
ECHO_TIME_TOLERANCE_MS = 0.5
# Slices whose cosines differ by more belong to another stack (5 degrees); less is one stack, proved by the geometry.
STACK_COSINE_DIFFERENCE = 0.087
# Voxels of one volume: 1 GiB as float32. A knee at 24 x 512 x 512 has 6 million. Our own choice.
MAX_VOXELS = 2**28
NO_UID = "series-without-uid"

_SLICES_AT_ONE_POSITION_MM = 0.05


@dataclass(frozen=True)
class SeriesHeader:
    """What is known about a series before its pixels are read. It names no subject.

    Args:
        source_format: Where it came from.
        series_uid: Series Instance UID, None for NIfTI.
        study_uid: Study Instance UID, None for NIfTI.
        description: Series description as written.
        plane: Acquisition plane; None only where the header does not say, and then the series cannot be loaded.
        weighting: ``"T1"``, ``"PD"`` or ``"T2"`` as judged from the physics, None where unknown.
        weighting_reason: What the weighting was judged from.
        fat_suppressed: Whether the signal of fat is suppressed, None where not stated.
        side: Side of the knee.
        side_source: Where the side was read, or ``"not stated"``.
        shape: Columns, rows, slices.
        spacing_mm: Between columns, rows and slice centres; 0 where unknown.
        field_strength_tesla: Field strength in tesla.
        manufacturer: Maker of the equipment.
        virtual: Whether the virtual cohort made it.
        label_map: Whether it says that its values are labels, not grey values.
        acquisition: How it was acquired; empty for NIfTI.
        body_parts: Words that name the body part, upper case.
        texts: Free texts by what they are called.
        sibling_stacks: Number of differently oriented stacks in the same series.
        files: Number of files.
    """

    source_format: Literal["dicom", "nifti"]
    series_uid: str | None
    study_uid: str | None
    description: str | None
    plane: Plane | None
    weighting: str | None
    weighting_reason: str
    fat_suppressed: bool | None
    side: Side
    side_source: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    field_strength_tesla: float | None
    manufacturer: str | None
    virtual: bool
    label_map: bool = False
    acquisition: Acquisition = field(default_factory=Acquisition)
    body_parts: tuple[str, ...] = ()
    texts: dict[str, str] = field(default_factory=dict, repr=False)
    sibling_stacks: int = 1
    files: int = 1


@dataclass(frozen=True)
class Candidate:
    """A series that could be loaded, and how well it fits the job.

    Args:
        key: What ``--series`` takes.
        header: What is known about it.
        suitable: Whether it may be chosen without being named.
        score: Higher is better; comparable within one source.
        rank: From 1; equal for a tie; None where unsuitable.
        reasons: Why, in words.
    """

    key: str
    header: SeriesHeader
    suitable: bool
    score: float
    rank: int | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class LoadedSeries:
    """A series in memory.

    Args:
        volume: Grey values, float32, C = 1.
        header: What is known about it.
        pixel_sha256: SHA-256 of values and affine, in hexadecimal.
        reasons: Why it was chosen.
        notes: What was repaired or tolerated.
        origin: What objects derived from the series repeat and refer to; None for NIfTI. It holds the subject's
            identity, so it is never printed.
    """

    volume: Volume
    header: SeriesHeader
    pixel_sha256: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    origin: DicomOrigin | None = field(default=None, repr=False)

    @property
    def plane(self) -> Plane:
        """The acquisition plane, which every loaded series has."""
        if self.header.plane is None:
            raise GeometryError("the acquisition plane is unknown; export the original images")
        return self.header.plane


@dataclass(frozen=True, eq=False)
class Slice:
    """A frame and the instance it lies in."""

    instance: Instance
    frame: Frame

    @property
    def label(self) -> str:
        """Name it in messages: by its file, and its frame where the file has several."""
        name = self.instance.item.file_name
        return name if len(self.instance.frames) == 1 else f"{name}, frame {self.frame.number + 1}"


@dataclass(frozen=True, eq=False)
class SeriesGroup:
    """Slices of one contrast of one series, not yet ordered.

    Args:
        key: Series UID, with a suffix such as ``"#echo2"`` where the series was split.
        slices: Its slices.
        sibling_stacks: Number of differently oriented stacks in the series.
    """

    key: str
    slices: tuple[Slice, ...] = field(repr=False)
    sibling_stacks: int = 1


def group_series(instances: Sequence[Instance]) -> list[SeriesGroup]:
    """Group instances into series, and split each by subject, kind, matrix, image type, echo, orientation and time.

    Args:
        instances: Instances of any number of studies.

    Returns:
        The groups, in the order in which their series were met.
    """
    by_series: dict[str, list[Slice]] = {}
    for instance in instances:
        slices = by_series.setdefault(instance.series_uid or NO_UID, [])
        slices += [Slice(instance, frame) for frame in instance.frames]
    return [group for uid, slices in by_series.items() for group in _split(uid, slices)]


def describe(group: SeriesGroup) -> tuple[SeriesHeader, Stack | InputRefusedError]:
    """Describe a group by its header, and prove its geometry.

    Args:
        group: Slices of one contrast.

    Returns:
        The header; the stack where the geometry holds, else why the group cannot be loaded.
    """
    stack = _stack(group)
    return _header(group, stack), stack


def _stack(group: SeriesGroup) -> Stack | InputRefusedError:
    """Prove the geometry, unless something else is wrong first."""
    problem = next((s.instance.problem for s in group.slices if s.instance.problem is not None), None)
    problem = problem or _mosaic(group) or _too_large(group)
    if problem is not None:
        return problem
    try:
        return prove_stack([s.frame.plane for s in group.slices], [s.label for s in group.slices])
    except GeometryError as error:
        return error


def _mosaic(group: SeriesGroup) -> InputRefusedError | None:
    """Refuse images that hold many slices side by side."""
    if "MOSAIC" not in group.slices[0].frame.acquisition.image_type:
        return None
    return GeometryError(f"{group.slices[0].label} is a mosaic of many slices in one image; send the unpacked slices")


def _too_large(group: SeriesGroup) -> InputRefusedError | None:
    """Refuse a volume that would not fit the memory."""
    first = group.slices[0].instance
    voxels = first.rows * first.columns * len(group.slices)
    if voxels <= MAX_VOXELS:
        return None
    return InputRefusedError(f"the series has {voxels} voxels; the limit is {MAX_VOXELS}; send one knee")


def _header(group: SeriesGroup, stack: Stack | InputRefusedError) -> SeriesHeader:
    """Describe a group; its first slice speaks for all."""
    first = group.slices[0]
    instance, acquisition = first.instance, first.frame.acquisition
    weighting, weighting_reason = judge_weighting(acquisition)
    side, side_source = judge_side(instance.lateralities, instance.texts)
    orientation = first.frame.plane.orientation
    own_texts = tuple(instance.texts.get(name, "") for name in ("series description", "protocol name"))
    return SeriesHeader(
        source_format="dicom",
        series_uid=instance.series_uid,
        study_uid=instance.study_uid,
        description=instance.texts.get("series description"),
        plane=None if orientation is None else plane_of_orientation(orientation),
        weighting=weighting,
        weighting_reason=weighting_reason,
        fat_suppressed=judge_fat_suppression(acquisition, own_texts),
        side=side,
        side_source=side_source,
        shape=(instance.columns, instance.rows, len(group.slices)),
        spacing_mm=_spacing(first.frame, stack),
        field_strength_tesla=instance.field_strength_tesla,
        manufacturer=instance.manufacturer,
        virtual=instance.manufacturer == VIRTUAL_IMAGE_MARK,
        acquisition=acquisition,
        body_parts=instance.body_parts,
        texts=instance.texts,
        sibling_stacks=group.sibling_stacks,
        files=len({id(s.instance) for s in group.slices}),
    )


def _spacing(frame: Frame, stack: Stack | InputRefusedError) -> tuple[float, float, float]:
    """Give the spacing of the proved stack, else what the header states."""
    if isinstance(stack, Stack):
        columns, rows, slices = np.linalg.norm(stack.affine[:3, :3], axis=0)
        return (float(columns), float(rows), float(slices))
    rows_mm, columns_mm = frame.plane.pixel_spacing_mm or (0.0, 0.0)
    return (columns_mm, rows_mm, frame.plane.spacing_mm or frame.plane.thickness_mm or 0.0)


def _split(uid: str, slices: list[Slice]) -> list[SeriesGroup]:
    """Split the slices of one series into groups of one contrast."""
    parts: dict[tuple[int, ...], list[Slice]] = {}
    columns = [_numbers(slices, key) for _, key in _SPLITS]
    columns += [_echo_numbers(slices), _stack_numbers(slices)]
    for row, one in zip(zip(*columns, strict=True), slices, strict=True):
        parts.setdefault(row, []).append(one)
    timed = {(*row, n): part for row, group in parts.items() for n, part in enumerate(_split_by_time(group), start=1)}
    names = (*(name for name, _ in _SPLITS), "echo", "stack", "time")
    varying = [n for n in range(len(names)) if len({row[n] for row in timed}) > 1]
    stacks = len({row[names.index("stack")] for row in timed})
    return [
        SeriesGroup(_key(uid, [f"{names[n]}{row[n]}" for n in varying]), tuple(timed[row]), stacks)
        for row in sorted(timed)
    ]


def _key(uid: str, suffixes: list[str]) -> str:
    """Name a group."""
    return f"{uid}#{'-'.join(suffixes)}" if suffixes else uid


def _numbers(slices: Sequence[Slice], key: Callable[[Slice], object]) -> list[int]:
    """Number the values of a property from 1, in the order in which they are met."""
    seen: dict[object, int] = {}
    return [seen.setdefault(key(one), len(seen) + 1) for one in slices]


def _kind(one: Slice) -> object:
    """Tell apart what can never be one volume: kind of object, with or without a problem."""
    return (one.instance.modality, one.instance.problem is not None and type(one.instance.problem))


# Properties that split a series, each with the word of its suffix.
_SPLITS: tuple[tuple[str, Callable[[Slice], object]], ...] = (
    ("subject", lambda one: one.instance.subject_token),
    ("kind", _kind),
    ("matrix", lambda one: (one.instance.rows, one.instance.columns)),
    ("type", lambda one: one.frame.acquisition.image_type),
)


def _echo_numbers(slices: Sequence[Slice]) -> list[int]:
    """Number the echoes from 1, by echo time and then by echo number."""
    times = [one.frame.acquisition.echo_time_ms or 0.0 for one in slices]
    starts = _cluster_starts(times)
    pairs = [
        (int(np.searchsorted(starts, time, side="right")), one.frame.acquisition.echo_number or 0)
        for time, one in zip(times, slices, strict=True)
    ]
    ordered = sorted(set(pairs))
    return [ordered.index(pair) + 1 for pair in pairs]


def _cluster_starts(values: Sequence[float]) -> list[float]:
    """Find where sorted values jump by more than the tolerance; give the first value of each cluster."""
    ordered = sorted(set(values))
    return [value for n, value in enumerate(ordered) if n == 0 or value - ordered[n - 1] > ECHO_TIME_TOLERANCE_MS]


def _stack_numbers(slices: Sequence[Slice]) -> list[int]:
    """Number the orientations from 1, in the order in which they are met."""
    seen: list[tuple[float, ...] | None] = []
    return [_stack_number(one.frame.plane.orientation, seen) for one in slices]


def _stack_number(orientation: tuple[float, ...] | None, seen: list[tuple[float, ...] | None]) -> int:
    """Find the stack of an orientation, or open a new one."""
    for number, other in enumerate(seen, start=1):
        if orientation == other or (orientation and other and _is_near(orientation, other)):
            return number
    seen.append(orientation)
    return len(seen)


def _is_near(orientation: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Say whether two orientations may belong to one stack."""
    return max(abs(a - b) for a, b in zip(orientation, other, strict=True)) <= STACK_COSINE_DIFFERENCE


def _split_by_time(slices: list[Slice]) -> list[list[Slice]]:
    """Split by temporal position, but only where slices share a place: some scanners number slices with it."""
    if not _share_places(slices):
        return [slices]
    parts: dict[int, list[Slice]] = {}
    for one in slices:
        parts.setdefault(one.frame.temporal_position or 0, []).append(one)
    return [parts[time] for time in sorted(parts)]


def _share_places(slices: Sequence[Slice]) -> bool:
    """Say whether two slices are at one position."""
    places = [one.frame.plane.position_mm for one in slices]
    rounded = {tuple(round(x / _SLICES_AT_ONE_POSITION_MM) for x in place) for place in places if place is not None}
    return len(rounded) < len(places)
