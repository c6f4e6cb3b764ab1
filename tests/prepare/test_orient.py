"""Orientation and mirroring change axes, never world positions."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from kneeage.core.anatomy import Plane, Side
from kneeage.core.errors import GeometryError
from kneeage.core.volume import Volume
from kneeage.prepare.orient import canonical_orientation, orient

ORIENTATIONS = ["".join(codes) for pairs in permutations(("LR", "PA", "IS")) for codes in product(*pairs)]
THICK_AXIS = {Plane.SAGITTAL: 0, Plane.CORONAL: 1, Plane.AXIAL: 2}


def numbered(plane: Plane, codes: str = "RAS") -> Volume:
    """A volume with thick slices in a plane; every voxel holds its own number."""
    spacing = [0.4, 0.5, 0.6]
    spacing[THICK_AXIS[plane]] = 4
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-11, 7, 130)
    return Volume(np.arange(60, dtype=np.float32).reshape(1, 3, 4, 5), affine).reoriented(codes)


def place(volume: Volume, number: float) -> np.ndarray:
    """World position of the voxel with this number."""
    return volume.world(np.argwhere(volume.array[0] == number)[0])


@pytest.mark.parametrize("plane", Plane)
@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_world_positions_stay_and_undo_gives_the_source_back(codes: str, side: Side, plane: Plane) -> None:
    volume = numbered(plane, codes)
    turned, way = orient(volume, plane, side)
    assert turned.orientation == canonical_orientation(plane, mirrored=side is Side.LEFT)
    for number in (0, 17, 59):
        np.testing.assert_allclose(place(turned, number), place(volume, number), atol=1e-9)
    np.testing.assert_array_equal(way.undo(turned.array), volume.array)
    np.testing.assert_array_equal(way.apply(volume.array), turned.array)


def test_left_knee_looks_like_its_right_mirror_image() -> None:
    right = numbered(Plane.CORONAL)
    mirror_image = Volume(right.array, np.diag([-1.0, 1, 1, 1]) @ right.affine)
    shown_right, _ = orient(right, Plane.CORONAL, Side.RIGHT)
    shown_left, _ = orient(mirror_image, Plane.CORONAL, Side.LEFT)
    np.testing.assert_array_equal(shown_left.array, shown_right.array)


def test_unknown_side_is_not_mirrored() -> None:
    assert orient(numbered(Plane.CORONAL), Plane.CORONAL, Side.UNKNOWN)[0].orientation == "LIP"


def test_mirroring_can_be_left_out() -> None:
    assert orient(numbered(Plane.CORONAL), Plane.CORONAL, Side.LEFT, mirror_left=False)[0].orientation == "LIP"


def test_another_plane_is_refused() -> None:
    with pytest.raises(GeometryError, match="the slices are sagittal; coronal slices are needed"):
        orient(numbered(Plane.SAGITTAL), Plane.CORONAL, Side.RIGHT)


def test_near_isotropic_volume_takes_any_plane() -> None:
    cube = Volume(np.zeros((1, 4, 5, 6), np.float32), np.eye(4))
    assert [orient(cube, plane, Side.RIGHT)[0].orientation for plane in Plane] == ["LIP", "PIL", "LPI"]
