"""Take away labels that contradict the anatomy of a knee.

One femur lies above one tibia; a plate lies between the two zones of its own bone; there is one fibula and one
patella; bone has no holes. Voxels connect within their slice and straight on to the next slice, because slices are
thick; parts of a bone that a narrow unlabelled line parts (a plate the network missed) still count as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.core.anatomy import DISTAL_FEMUR, PLATE_SITES, PROXIMAL_TIBIA, Label, PlateSite
from kneeage.core.volume import Volume
from kneeage.prepare.masks import fill_holes, largest_component

# Parts of one bone this near to each other are one part, and a plate this near to a zone touches it. Source: ours,
# from the thickness of a young plate (about 2 mm at 14 years on male 3T knees) that may go unlabelled.
BRIDGE_MM = 2.0
# Parts of a bone smaller than this share of its largest part are never the bone itself. Source: ours.
MIN_PART_SHARE = 0.1
# A part at least this share of the largest may be the other half of a bone, such as the second condyle of a posterior
# slice. Source: ours.
MIN_COMPANION_SHARE = 0.3
# A larger hole is no slip of the network but something that is not bone, such as a notch cut across its mouth.
# Source: ours; a disc of 11 mm.
MAX_HOLE_MM2 = 100.0

ByteArray = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]
_FEMUR = DISTAL_FEMUR.bone
_TIBIA = (*PROXIMAL_TIBIA.bone, Label.TIBIAL_TUBEROSITY_PHYSIS)
_FACES = ndimage.generate_binary_structure(3, 1)
_FACES_IN_SLICE = _FACES & np.array([False, True, False])


@dataclass(frozen=True, eq=False)
class _Part:
    """One connected part of a bone: its voxels, their number and their mean row."""

    mask: BoolArray
    voxels: int
    row: float


def cleaned_labels(labels: Volume) -> Volume:
    """Clean labels by anatomy.

    Args:
        labels: Label values, uint8, shape (1, I, J, K), in a canonical orientation. Where the rows do not run down
            the leg (an axial grid), the order of the bones along the leg is not looked at.

    Returns:
        Labels on the same grid; nothing is added but inside holes of a bone.
    """
    values = np.array(labels.array[0], dtype=np.uint8, order="C")
    for box in ndimage.find_objects((values > 0).astype(np.uint8)):  # one box around all labels, or none
        found = np.ascontiguousarray(values[box])
        _clean(found, labels)
        values[box] = found
    return labels.with_array(values[None])


def _clean(values: ByteArray, grid: Volume) -> None:
    """Clean labels (I, J, K) that lie somewhere on a grid, in place."""
    reach, largest_hole = _reach(grid), MAX_HOLE_MM2 / (grid.spacing[0] * grid.spacing[1])
    _keep_ordered_pair(values, reach, rows_down=grid.orientation[1] == "I")
    for single in (Label.PROXIMAL_FIBULA, Label.PATELLA):
        mask = values == single
        values[mask & ~largest_component(mask)] = Label.BACKGROUND
    for site in PLATE_SITES:
        _drop_strayed_plates(values, site, reach)
    for bone in (_FEMUR, _TIBIA):
        _fill_holes(values, bone, largest_hole)


def _reach(labels: Volume) -> tuple[int, int]:
    """Turn half the bridge into voxels along I and J, at least one."""
    column_mm, row_mm, _ = labels.spacing
    return max(1, round(BRIDGE_MM / 2 / column_mm)), max(1, round(BRIDGE_MM / 2 / row_mm))


def _keep_ordered_pair(values: ByteArray, reach: tuple[int, int], *, rows_down: bool) -> None:
    """Keep the largest pair of one femur above one tibia, in place; where none is in order, the larger bone alone.

    Large further parts on the right side of the other bone stay too: a single slice may show two condyles.
    """
    femurs, tibias = (_parts(np.isin(values, bone), reach) for bone in (_FEMUR, _TIBIA))
    pairs = [(f, t) for f, t in product(femurs, tibias) if f.row < t.row or not rows_down]
    if pairs:
        femur, tibia = max(pairs, key=lambda pair: pair[0].voxels + pair[1].voxels)
        kept = (
            [f for f in femurs if f is femur or (_belongs(f, femur) and (f.row < tibia.row or not rows_down))],
            [t for t in tibias if t is tibia or (_belongs(t, tibia) and (femur.row < t.row or not rows_down))],
        )
    elif _voxels(femurs) >= _voxels(tibias):
        kept = [f for f in femurs if _belongs(f, femurs[0])], []
    else:
        kept = [], [t for t in tibias if _belongs(t, tibias[0])]
    _keep(values, _FEMUR, kept[0])
    _keep(values, _TIBIA, kept[1])


def _belongs(part: _Part, main: _Part) -> bool:
    """Say whether a further part is large enough to be of the same bone."""
    return part.voxels >= MIN_COMPANION_SHARE * main.voxels


def _parts(mask: BoolArray, reach: tuple[int, int]) -> list[_Part]:
    """List the parts of a bone, largest first, leaving out small ones; shape (I, J, K)."""
    numbered = np.where(mask, _connected(_widened(mask, reach)), 0)
    sizes = np.bincount(numbered.ravel())
    sizes[0] = 0
    large = np.flatnonzero(sizes >= max(1, MIN_PART_SHARE * sizes.max()))
    ordered = sorted(large, key=lambda number: -sizes[number])
    return [_part(numbered == number) for number in ordered]


def _part(mask: BoolArray) -> _Part:
    """Describe one part."""
    return _Part(mask, int(np.count_nonzero(mask)), float(np.nonzero(mask)[1].mean()))


def _voxels(parts: list[_Part]) -> int:
    """Give the size of the largest part."""
    return parts[0].voxels if parts else 0


def _keep(values: ByteArray, bone: Iterable[Label], parts: list[_Part]) -> None:
    """Set a bone's labels outside the parts to background, in place."""
    stray = np.isin(values, tuple(bone))
    for part in parts:
        stray &= ~part.mask
    values[stray] = Label.BACKGROUND


def _drop_strayed_plates(values: ByteArray, site: PlateSite, reach: tuple[int, int]) -> None:
    """Set parts of a plate that do not touch both zones of their bone to background, in place."""
    plate = np.isin(values, (site.open_plate, site.scar))
    numbered = np.where(plate, _connected(plate), 0)
    touching = set(np.unique(numbered[plate]))
    for zone in (site.epiphysis, site.metaphysis):
        touching &= set(np.unique(numbered[plate & _widened(values == zone, (*reach, 1))]))
    values[plate & ~np.isin(numbered, list(touching))] = Label.BACKGROUND


def _fill_holes(values: ByteArray, bone: tuple[Label, ...], largest: float) -> None:
    """Give small holes of background in a bone, slice by slice, the label of the nearest bone voxel, in place."""
    mask = np.isin(values, bone)
    numbered, _ = ndimage.label(fill_holes(mask) & (values == Label.BACKGROUND), structure=_FACES_IN_SLICE)
    holes = (numbered > 0) & (np.bincount(numbered.ravel()) <= largest)[numbered]
    for k in np.flatnonzero(holes.any(axis=(0, 1))):
        nearest = ndimage.distance_transform_edt(~mask[..., k], return_distances=False, return_indices=True)
        filled = values[nearest[0], nearest[1], k]
        values[..., k] = np.where(holes[..., k], filled, values[..., k])


def _connected(mask: BoolArray) -> NDArray[np.int32]:
    """Number the connected parts of a mask."""
    numbered, _ = ndimage.label(mask, structure=_FACES)
    return np.asarray(numbered, dtype=np.int32)


def _widened(mask: BoolArray, reach: tuple[int, ...]) -> BoolArray:
    """Widen a mask by a box of so many voxels along I, J and, if given, K; shape (I, J, K)."""
    wide = mask.astype(np.uint8)
    for axis, voxels in enumerate(reach):
        wide = ndimage.maximum_filter1d(wide, 2 * voxels + 1, axis=axis, mode="constant")
    return wide.astype(bool)
