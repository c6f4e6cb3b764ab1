"""Rank series for the job: a knee as a bundle covers it, T1 before other weightings, an original image, enough slices.

Where there is no bundle, the job is a T1-weighted knee without fat suppression, coronal rather than sagittal.

Every point given or refused comes with its reason in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kneeage.core.anatomy import Plane
from kneeage.core.errors import InputRefusedError
from kneeage.io.series import Candidate, SeriesHeader
from kneeage.io.wanted import T1_KNEE, Wanted

# Points. Their order is what counts: the body part and the weighting over the plane, the plane over the rest.
# Source: ours. Knee age studies read T1 series, coronal ones most; sagittal series show the same plates.
KNEE_POINTS = 4.0
T1_POINTS = 4.0
# Less than T1, but what tells the less: a T1 series of a slice or two, or a derived one, comes after a whole PD series.
OTHER_WEIGHTING_POINTS = 2.5
CORONAL_POINTS = 3.0
BUNDLE_PLANE_POINTS = 3.0
ANY_PLANE_POINTS = 2.0
SAGITTAL_POINTS = 1.0
FAT_SEEN_POINTS = 1.0
MANY_SLICES_POINTS = 2.0
SOME_SLICES_POINTS = 1.0
DERIVED_POINTS = -2.0
CONTRAST_AGENT_POINTS = -1.0
UNSUITABLE_POINTS = -10.0
# Two series whose scores are closer than this are a tie.
TIE_MARGIN = 0.5
# A knee of 80 to 110 mm depth at 3 to 4 mm has 20 to 36 slices; fewer than the second number shows a plate in passing.
MANY_SLICES = 12
SOME_SLICES = 5
# A series with this many orientations and fewer slices in each than MANY_SLICES is a localizer, whatever it is called.
LOCALIZER_STACKS = 2
# A grid whose coarsest axis is less than this many times coarser than the finest can be cut in any plane.
NEAR_ISOTROPIC_RATIO = 1.5

_KNEE = re.compile(r"knee|knie|genou|gonarth|rodilla|ginocchio|(?<![a-z])genu(?![a-z])|膝", re.IGNORECASE)
# Defined terms that do not say which joint. Source: DICOM PS3.16 annex L.
_VAGUE_PARTS = frozenset(
    (
        *("ANKLE_KNEE", "EXTREMITY", "LEXTREMITY", "LOWER_EXTREMITY", "LOWEREXTREMITY", "LOWERLIMB", "LOWER_LIMB"),
        *("LEG", "JOINT", "MSK", "OTHER", "UNKNOWN", "BONE"),
    )
)
_LOCALIZER = re.compile(
    r"(?<![a-z])(?:locali[sz]\w*|lokali[sz]\w*|loc|scout\w*|survey|topogram\w*|plan scan|3[ -]?plane|three[ -]?plane"
    r"|tri[ -]?pilot|rep[eé]rage)(?![a-z])|定位",
    re.IGNORECASE,
)
# Image types of maps, projections and parts of a complex image. Source: DICOM PS3.3 sections C.8.3.1.1.1 and
# C.8.16.1, and what vendors write.
_MAPS = frozenset(
    (
        *("ADC", "FA", "TRACEW", "T1 MAP", "T2 MAP", "T2_STAR MAP", "R2 MAP", "PHASE MAP", "PHASE", "P", "REAL", "R"),
        *("IMAGINARY", "I", "MIP", "MAX_IP", "MIN_IP", "MINIP", "SUBTRACTION", "SUB", "PROJECTION IMAGE", "FAT", "F"),
        *("FAT_FRACTION", "VELOCITY", "VOLUME_RENDER", "SCREEN SAVE"),
    )
)


@dataclass(frozen=True)
class _Verdict:
    """What one criterion says."""

    points: float
    reason: str
    suitable: bool = True


def judge(key: str, header: SeriesHeader, problem: InputRefusedError | None, wanted: Wanted = T1_KNEE) -> Candidate:
    """Judge one series for the job.

    Args:
        key: What ``--series`` takes.
        header: What is known about it.
        problem: Why it cannot be loaded at all, None where it can.
        wanted: What the job needs.

    Returns:
        The candidate, not yet ranked.
    """
    found = (
        _body_part(header),
        _weighting(header, wanted),
        _plane(header, wanted),
        _fat(header, wanted),
        *(criterion(header) for criterion in _CRITERIA),
    )
    verdicts = [verdict for verdict in found if verdict is not None]
    if problem is not None:
        verdicts.insert(0, _unsuitable(f"cannot be read: {problem}"))
    return Candidate(
        key=key,
        header=header,
        suitable=all(verdict.suitable for verdict in verdicts),
        score=sum(verdict.points for verdict in verdicts),
        rank=None,
        reasons=tuple(verdict.reason for verdict in verdicts),
    )


def rank(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Sort candidates, best first, and number the suitable ones; a tie has one number.

    Args:
        candidates: Candidates of one source.

    Returns:
        The same candidates with their ranks, the suitable ones first.
    """
    ordered = sorted(candidates, key=lambda candidate: (not candidate.suitable, -candidate.score, candidate.key))
    ranked: list[Candidate] = []
    for number, candidate in enumerate(ordered, start=1):
        is_tie = bool(ranked) and candidate.suitable and ranked[-1].score - candidate.score < TIE_MARGIN
        place = ranked[-1].rank if is_tie else number
        ranked.append(replace(candidate, rank=place if candidate.suitable else None))
    return ranked


def is_tie(ranked: Sequence[Candidate]) -> bool:
    """Say whether more than one candidate is the best."""
    return sum(candidate.rank == 1 for candidate in ranked) > 1


def is_in_other_plane(header: SeriesHeader, wanted: Wanted) -> bool:
    """Say whether a series was cut in another plane than the bundle's, so that no age can come of it."""
    return wanted.plane is not None and header.plane not in (None, wanted.plane) and not _is_near_isotropic(header)


def _unsuitable(reason: str) -> _Verdict:
    """Rule a series out, unless it is asked for by name."""
    return _Verdict(UNSUITABLE_POINTS, reason, suitable=False)


def _body_part(header: SeriesHeader) -> _Verdict | None:
    """Knee, another part of the body, or not stated."""
    if header.source_format == "nifti":
        return None
    named = [part for part in header.body_parts if part.replace(" ", "_") not in _VAGUE_PARTS]
    words = [*header.body_parts, *header.texts.values()]
    if any(_KNEE.search(word) for word in words):
        others = [part for part in named if not _KNEE.search(part)]
        if others:
            return _Verdict(0.0, f"called a knee, but the body part is {others[0]}")
        return _Verdict(KNEE_POINTS, "knee")
    if named:
        return _unsuitable(f"body part {named[0]}, not a knee")
    return _Verdict(0.0, "body part not stated")


def _weighting(header: SeriesHeader, wanted: Wanted) -> _Verdict:
    """T1, another weighting that is wanted, one that is not, or unknown."""
    if header.weighting in wanted.weightings:
        points = T1_POINTS if header.weighting == "T1" else OTHER_WEIGHTING_POINTS
        return _Verdict(points, f"{header.weighting}-weighted ({header.weighting_reason})")
    if header.weighting is not None:
        covered = "/".join(wanted.weightings)
        return _unsuitable(f"{header.weighting}-weighted, not {covered} ({header.weighting_reason})")
    if header.source_format == "nifti":
        return _Verdict(0.0, "weighting not stated in NIfTI")
    return _unsuitable(f"weighting unclear ({header.weighting_reason})")


def _plane(header: SeriesHeader, wanted: Wanted) -> _Verdict:
    """The bundle's plane, another, or any; without a bundle coronal, sagittal or axial."""
    if header.plane is None:
        return _unsuitable("plane not stated")
    if _is_near_isotropic(header):
        return _Verdict(ANY_PLANE_POINTS, f"{header.plane.value}, near-isotropic: can be cut in any plane")
    if wanted.plane is header.plane:
        return _Verdict(BUNDLE_PLANE_POINTS, header.plane.value)
    if wanted.plane is not None:
        return _unsuitable(f"{header.plane.value}; the bundle answers on {wanted.plane.value} slices")
    if header.plane is Plane.AXIAL:
        return _unsuitable("axial: the slices run along the growth plates")
    return _Verdict(CORONAL_POINTS if header.plane is Plane.CORONAL else SAGITTAL_POINTS, header.plane.value)


def _is_near_isotropic(header: SeriesHeader) -> bool:
    """Say whether a volume can be cut in any plane."""
    finest, coarsest = min(header.spacing_mm), max(header.spacing_mm)
    return 0 < coarsest < NEAR_ISOTROPIC_RATIO * finest and min(header.shape) > SOME_SLICES


def _fat(header: SeriesHeader, wanted: Wanted) -> _Verdict | None:
    """Fat suppression hides the marrow that the plates are seen against; a bundle may have learned such images."""
    is_covered = wanted.covers(header.weighting, fat_suppressed=header.fat_suppressed)
    if header.fat_suppressed:
        return (
            _Verdict(0.0, "fat suppressed, which the bundle covers")
            if is_covered
            else _unsuitable("fat suppressed: the marrow is dark")
        )
    if header.weighting in wanted.weightings and not is_covered:
        return _unsuitable("no fat suppression stated, and the bundle needs it")
    if header.fat_suppressed is False:
        return _Verdict(FAT_SEEN_POINTS, "no fat suppression stated")
    return None


def _localizer(header: SeriesHeader) -> _Verdict | None:
    """Localizers, by type, by name, or by having several orientations of few slices."""
    names = [header.texts.get(name, "").replace("_", " ") for name in ("series description", "protocol name")]
    is_called = "LOCALIZER" in header.acquisition.image_type or any(map(_LOCALIZER.search, names))
    is_built = header.sibling_stacks >= LOCALIZER_STACKS and header.shape[2] < MANY_SLICES
    return _unsuitable("localizer") if is_called or is_built else None


def _derived(header: SeriesHeader) -> _Verdict | None:
    """Maps and projections are no anatomy; other derived images rank below the original."""
    types = header.acquisition.image_type
    maps = [word for word in types[2:] if word in _MAPS]
    if maps:
        return _unsuitable(f"derived image ({maps[0]})")
    return _Verdict(DERIVED_POINTS, "derived image") if types[:1] == ("DERIVED",) else None


def _label_map(header: SeriesHeader) -> _Verdict | None:
    """Labels lie beside the image that they belong to."""
    return _unsuitable("label map, not grey values") if header.label_map else None


def _contrast_agent(header: SeriesHeader) -> _Verdict | None:
    """A contrast agent brightens vessels and plates."""
    if not header.acquisition.contrast_agent:
        return None
    return _Verdict(CONTRAST_AGENT_POINTS, "after a contrast agent")


def _slices(header: SeriesHeader) -> _Verdict:
    """How much of the knee is covered."""
    count = header.shape[2] if header.source_format == "dicom" else _slice_count(header)
    words = f"{count} slice" if count == 1 else f"{count} slices"
    if count >= MANY_SLICES:
        return _Verdict(MANY_SLICES_POINTS, words)
    return _Verdict(SOME_SLICES_POINTS if count >= SOME_SLICES else 0.0, f"{words} only")


def _slice_count(header: SeriesHeader) -> int:
    """Count along the coarsest axis, whichever it is in a NIfTI file."""
    return header.shape[header.spacing_mm.index(max(header.spacing_mm))]


_CRITERIA: tuple[Callable[[SeriesHeader], _Verdict | None], ...] = (
    _localizer,
    _derived,
    _label_map,
    _contrast_agent,
    _slices,
)
