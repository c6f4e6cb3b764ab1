"""Check a label map as a person drew it: its grid, its values, forgotten slices, islands, plates out of place.

An *error* must be mended before anybody trains on the labels; a *warning* is worth a look. Slices are counted from 1
along the slice axis of the image, as ITK-SNAP shows them. The left or right side of the body makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from kneeage.cohort.label_findings import FindingKind, LabelFinding, Severity
from kneeage.cohort.label_maps import not_whole, on_grid, unknown_value_words
from kneeage.cohort.label_slices import (
    FACES,
    FACES_IN_SLICE,
    BoolArray,
    LabelSlices,
    Part,
    connected_parts,
    is_permanent,
)
from kneeage.core.anatomy import DISTAL_FEMUR, PLATE_SITES, PROXIMAL_TIBIA, Label, PlateSite
from kneeage.core.errors import GeometryError
from kneeage.core.volume import Volume

__all__ = [
    "FindingKind",
    "LabelFinding",
    "Severity",
    "check_labels",
]

# A part that is apart from the rest of its bone and smaller than this is a slip. Source: ours; every bone of 26 true
# label maps of virtual knees, 8 to 25 years, is in one part; of 107 others one patella is not.
SMALLEST_PART_MM3 = {"distal_femur": 100.0, "proximal_tibia": 100.0, "proximal_fibula": 50.0, "patella": 50.0}
# Zones of a bone may have separate pieces up to this, where a few voxels peep out beyond a plate. Source: ours; the
# largest in those true label maps have 23, 6 and 5 mm3. In one of five of the 107 others such pieces are true, up to
# 620 mm3, so that they are worth a look and no error.
SMALLEST_PIECE_MM3 = 5.0
# Where the bones are not labelled, parts of a plate this near to each other belong together. Source: ours; in those
# maps no remnant of a closing plate is farther from the next.
FAR_MM = 20.0
# A plate this near to a zone of its bone touches it. Source: ours, as `kneeage.infer.clean.BRIDGE_MM`.
TOUCH_MM = 2.0

_SCARS = tuple(site.scar for site in PLATE_SITES)


def check_labels(labels: Volume, image: Volume | None = None) -> list[LabelFinding]:
    """Check a label map.

    Args:
        labels: Values of any type as they were read, shape (1, I, J, K), in any orientation.
        image: The image that they belong to; its slices are counted. None: the labels' own slices are.

    Returns:
        What is wrong, the errors first. Anatomy is looked at only where grid and values are sound.
    """
    if labels.array.shape[0] != 1:
        return [_error(FindingKind.CHANNELS, f"there are {labels.array.shape[0]} channels; save one 3-D segmentation")]
    try:
        placed = labels if image is None else on_grid(labels, image)
    except GeometryError as error:
        return [_error(FindingKind.OTHER_GRID, str(error)), *_value_findings(LabelSlices.of(labels))]
    look = LabelSlices.of(placed)
    findings = _value_findings(look) or _drawing_findings(look)
    return sorted(findings, key=lambda finding: not finding.is_error)


@dataclass(frozen=True, eq=False)
class _Bone:
    """The labels of one bone.

    Args:
        name: What it is called.
        labels: All its labels.
        zones: Those that are bone; the rest are its plates.
    """

    name: str
    labels: tuple[Label, ...]
    zones: tuple[Label, ...]


_FEMUR = _Bone(DISTAL_FEMUR.name, DISTAL_FEMUR.bone, (DISTAL_FEMUR.epiphysis, DISTAL_FEMUR.metaphysis))
_TIBIA = _Bone(
    PROXIMAL_TIBIA.name,
    (*PROXIMAL_TIBIA.bone, Label.TIBIAL_TUBEROSITY_PHYSIS),
    (PROXIMAL_TIBIA.epiphysis, PROXIMAL_TIBIA.metaphysis),
)
_SINGLE = tuple(_Bone(own.name.lower(), (own,), (own,)) for own in (Label.PROXIMAL_FIBULA, Label.PATELLA))
_BONES = (_FEMUR, _TIBIA, *_SINGLE)
_PLATES = ((DISTAL_FEMUR, _FEMUR, _TIBIA), (PROXIMAL_TIBIA, _TIBIA, _FEMUR))


def _value_findings(look: LabelSlices) -> list[LabelFinding]:
    """Find values that are no permanent labels."""
    broken, values = not_whole(look.values), np.rint(look.values)
    unknown = ~broken & ~is_permanent(values)
    findings = []
    if broken.any():
        words = f"{np.count_nonzero(broken)} voxels hold no whole number; save a segmentation, not an image"
        findings.append(_error(FindingKind.NOT_WHOLE, words, where=broken))
    for value in np.unique(values[unknown]):
        words = unknown_value_words(value)
        findings.append(_error(FindingKind.UNKNOWN_VALUE, words, where=unknown & (values == value)))
    return findings


def _drawing_findings(look: LabelSlices) -> list[LabelFinding]:
    """Find what is wrong with the drawing."""
    if not look.found.any():
        return [_error(FindingKind.EMPTY, "nothing is labelled")]
    findings = _gap_findings(look)
    turned = _upside_down(look)
    strayed = np.zeros(look.found.shape, dtype=bool)
    if not turned:
        for site, bone, other in _PLATES:
            wrong = _beyond_joint(look, site)
            strayed |= wrong
            findings += _wrong_side(site, wrong) + _at_other_bone(look, site, other, strayed)
            findings += _away_from_bone(look, site, bone, strayed)
    for each in _BONES:
        findings += _part_findings(look, each, strayed)
    return [*turned, *findings]


def _gap_findings(look: LabelSlices) -> list[LabelFinding]:
    """Find slices without a label, and then without a bone or a plate, between slices that have it."""
    knee = (*_FEMUR.labels, *_TIBIA.labels)  # the patella may lie in slices of its own, in front of the others
    solid = look.of_labels([label for label in knee if label not in _SCARS])
    empty = _gaps(look.of_labels(knee))
    words = "neither femur nor tibia is labelled here, between slices where they are; label it too"
    findings = _gap(FindingKind.EMPTY_SLICE, words, empty, solid)
    for bone in _BONES:
        mask, own = look.of_labels(bone.labels), look.of_labels(bone.zones)
        missing = _gaps(own) - empty
        severity = Severity.WARNING if bone in _SINGLE else Severity.ERROR
        if missing:
            words = "not labelled here, and labelled before and after; label it here too"
            slices = _numbers(missing)
            findings.append(LabelFinding(FindingKind.MISSING_IN_SLICE, severity, words, bone.name, slices))
        empty_here = empty | (_gaps(mask) if missing else set())
        for site in (each for each in PLATE_SITES if each.name == bone.name):
            findings += _plate_gap(look, site, empty_here)
    return findings


def _plate_gap(look: LabelSlices, site: PlateSite, known: set[int]) -> list[LabelFinding]:
    """Find slices without a plate between slices that have it; a closing one may really be interrupted."""
    missing = _gaps(look.of_labels((site.open_plate, site.scar))) - known
    words = "the plate is not labelled here, and labelled before and after; label it here too, open or scar"
    return _gap(FindingKind.MISSING_IN_SLICE, words, missing, look.found == site.open_plate, site)


def _gap(
    kind: FindingKind, words: str, slices: set[int], solid: BoolArray, site: PlateSite | None = None
) -> list[LabelFinding]:
    """Report slices: an error where what is solid, and no scar alone, lies on both sides."""
    surely = _gaps(solid)
    label = None if site is None else _name(site.open_plate)
    parted = ((Severity.ERROR, slices & surely), (Severity.WARNING, slices - surely))
    return [LabelFinding(kind, severity, words, label, _numbers(own)) for severity, own in parted if own]


def _gaps(mask: BoolArray) -> set[int]:
    """Give the slices (from 0) without a voxel between slices with one; shape (I, J, K)."""
    there = np.flatnonzero(mask.any(axis=(0, 1)))
    return set(range(there[0], there[-1])) - set(there.tolist()) if len(there) else set()


def _upside_down(look: LabelSlices) -> list[LabelFinding]:
    """Find the femur below the tibia, in all or in some of the slices along the leg."""
    femur, tibia = look.of_labels(_FEMUR.labels), look.of_labels(_TIBIA.labels)
    if not (femur.any() and tibia.any()):
        return []
    if look.height_mm(_FEMUR.labels) < look.height_mm(_TIBIA.labels):
        words = "the labels of the femur lie below those of the tibia; swap them, or mend the orientation of the image"
        return [LabelFinding(FindingKind.UPSIDE_DOWN, Severity.ERROR, words)]
    if look.is_axial:
        return []
    heights_mm, lower_mm = _heights_by_slice(look, femur), _heights_by_slice(look, tibia)
    turned = {k for k in heights_mm.keys() & lower_mm.keys() if heights_mm[k] < lower_mm[k]}
    words = "the labels of the femur lie below those of the tibia; swap them in this slice"
    return [LabelFinding(FindingKind.UPSIDE_DOWN, Severity.ERROR, words, slices=_numbers(turned))] if turned else []


def _heights_by_slice(look: LabelSlices, mask: BoolArray) -> dict[int, float]:
    """Give the median height of a mask in every slice (from 0) that has it."""
    heights_mm, slices = look.heights_mm(mask)
    return {int(k): float(np.median(heights_mm[slices == k])) for k in np.unique(slices)}


def _beyond_joint(look: LabelSlices, site: PlateSite) -> BoolArray:
    """Mark voxels of a plate that lie on the other side of the joint."""
    plate, joint_mm = look.of_labels((site.open_plate, site.scar)), _joint_height_mm(look)
    if joint_mm is None or not plate.any():
        return np.zeros(plate.shape, dtype=bool)
    heights, _ = look.heights_mm(plate)
    beyond = plate.copy()
    beyond[plate] = heights < joint_mm if site is DISTAL_FEMUR else heights > joint_mm
    return beyond


def _joint_height_mm(look: LabelSlices) -> float | None:
    """Put the joint half way between both epiphyses, or where they are not labelled, between both plates."""
    epiphyses = [[site.epiphysis] for site in PLATE_SITES]
    plates = [[site.open_plate, site.scar] for site in PLATE_SITES]
    for pair in (epiphyses, plates):
        if all(look.has(labels) for labels in pair):
            return sum(look.height_mm(labels) for labels in pair) / len(pair)
    return None


def _wrong_side(site: PlateSite, wrong: BoolArray) -> list[LabelFinding]:
    """Report voxels of a plate on the other side of the joint."""
    where = "below the joint, where the tibia is" if site is DISTAL_FEMUR else "above the joint, where the femur is"
    words = f"{_voxels(wrong)} {where}; draw the plate there with the label of its own bone"
    return [_error(FindingKind.WRONG_SIDE, words, site.open_plate, wrong)] if wrong.any() else []


def _at_other_bone(look: LabelSlices, site: PlateSite, other: _Bone, strayed: BoolArray) -> list[LabelFinding]:
    """Report voxels of a plate that touch the other bone."""
    plate = look.of_labels((site.open_plate, site.scar)) & ~strayed
    rest = look.of_labels(other.labels) & ~strayed
    touching = plate & ndimage.binary_dilation(rest, FACES_IN_SLICE)
    words = f"{_voxels(touching)} touching the labels of the {other.name}; one of the two is wrong"
    return [_error(FindingKind.OTHER_BONE, words, site.open_plate, touching)] if touching.any() else []


def _away_from_bone(look: LabelSlices, site: PlateSite, bone: _Bone, strayed: BoolArray) -> list[LabelFinding]:
    """Report parts of a plate that touch no zone of their bone, where that bone is labelled."""
    zones = look.of_labels(bone.zones)
    if not zones.any():
        return []
    plate = look.of_labels((site.open_plate, site.scar)) & ~strayed
    numbered, _ = ndimage.label(plate, FACES)
    touching = np.unique(numbered[plate & look.touching(zones, TOUCH_MM)])
    away = plate & ~np.isin(numbered, touching)
    words = f"{_voxels(away)} apart from the labels of the {bone.name}; a plate lies within its bone"
    return [_error(FindingKind.AWAY_FROM_BONE, words, site.open_plate, away)] if away.any() else []


def _part_findings(look: LabelSlices, bone: _Bone, strayed: BoolArray) -> list[LabelFinding]:
    """Report parts of a bone that are apart from the rest of it, and pieces of its zones."""
    parts = connected_parts(look, look.of_labels(bone.labels) & ~strayed)
    if not look.has(bone.zones):
        return _islands(bone, _far_parts(look, bone, parts))
    apart = [part for part in parts[1:] if np.isin(part.labels, bone.zones).any()]  # plates are judged elsewhere
    least = SMALLEST_PART_MM3[bone.name]
    findings = _islands(bone, [part for part in apart if part.volume_mm3 < least])
    large = [part for part in apart if part.volume_mm3 >= least]
    if large:
        words = f"{_sizes(large, 'part')} apart from the rest of the {bone.name}; look whether it belongs there"
        findings.append(_piece(words, large))
    if bone not in _SINGLE:
        findings += [finding for zone in bone.zones for finding in _zone_pieces(look, zone, apart)]
    return findings


def _far_parts(look: LabelSlices, bone: _Bone, parts: Sequence[Part]) -> list[Part]:
    """Choose small parts of a plate that are far from all others, where the bone is not labelled."""
    worlds = [look.grid.world(part.index) for part in parts]
    far = []
    for n, part in enumerate(parts):
        if n and part.volume_mm3 < SMALLEST_PART_MM3[bone.name]:
            rest = KDTree(np.concatenate([*worlds[:n], *worlds[n + 1 :]]))
            far += [part] if rest.query(worlds[n])[0].min() > FAR_MM else []
    return far


def _islands(bone: _Bone, parts: Sequence[Part]) -> list[LabelFinding]:
    """Report small parts, label by label."""
    findings = []
    for label in bone.labels:
        own = [part for part in parts if part.main_label is label]
        limit = f"{SMALLEST_PART_MM3[bone.name]:g} mm3"
        words = f"{_sizes(own, 'island')} apart from the rest of the {bone.name}, below {limit}; erase it, or join it"
        slices = _numbers(set().union(*(part.slices for part in own)))
        findings += [LabelFinding(FindingKind.ISLAND, Severity.ERROR, words, _name(label), slices)] if own else []
    return findings


def _zone_pieces(look: LabelSlices, zone: Label, apart: Sequence[Part]) -> list[LabelFinding]:
    """Report pieces of a zone that lie apart from the rest of it, but within the bone."""
    mask = look.of_labels((zone,))
    for part in apart:
        mask[tuple(part.index.T)] = False
    pieces = [part for part in connected_parts(look, mask)[1:] if part.volume_mm3 >= SMALLEST_PIECE_MM3]
    words = f"{_sizes(pieces, 'piece')} apart from the rest of it, within the bone; look whether it is the other zone"
    return [_piece(words, pieces)] if pieces else []


def _piece(words: str, parts: Sequence[Part]) -> LabelFinding:
    """Report parts that are worth a look."""
    slices = _numbers(set().union(*(part.slices for part in parts)))
    return LabelFinding(FindingKind.SEPARATE_PIECE, Severity.WARNING, words, _name(parts[0].main_label), slices)


def _sizes(parts: Sequence[Part], noun: str) -> str:
    """Say how many parts there are, and how large."""
    volumes = sorted(part.volume_mm3 for part in parts)
    if len(volumes) == 1:
        return f"one {noun} of {volumes[0]:.3g} mm3"
    return f"{len(volumes)} {noun}s of {volumes[0]:.3g} to {volumes[-1]:.3g} mm3" if volumes else ""


def _voxels(mask: BoolArray) -> str:
    """Count voxels."""
    count = np.count_nonzero(mask)
    return "1 voxel" if count == 1 else f"{count} voxels"


def _error(kind: FindingKind, words: str, label: Label | None = None, where: BoolArray | None = None) -> LabelFinding:
    """Report what must be mended, where a mask (I, J, K) has voxels."""
    slices = () if where is None else _numbers(np.flatnonzero(where.any(axis=(0, 1))))
    return LabelFinding(kind, Severity.ERROR, words, None if label is None else _name(label), slices)


def _numbers(slices: Iterable[int]) -> tuple[int, ...]:
    """Count slices from 1, in order."""
    return tuple(sorted(int(k) + 1 for k in slices))


def _name(label: Label) -> str:
    """Name a label as documents do."""
    return label.name.lower()
