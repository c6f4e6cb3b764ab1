"""The plane follows the slice axis, in any orientation."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from kneeage.core.anatomy import Plane
from kneeage.core.volume import Volume
from kneeage.prepare.plane import plane_of, slice_axis

ORIENTATIONS = ["".join(codes) for pairs in permutations(("LR", "PA", "IS")) for codes in product(*pairs)]


def grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Volume:
    """An empty RAS volume."""
    return Volume(np.zeros((1, *shape), np.float32), np.diag([*spacing, 1.0]))


@pytest.mark.parametrize("codes", ORIENTATIONS)
@pytest.mark.parametrize(
    ("spacing", "plane"),
    [((4, 0.5, 0.5), Plane.SAGITTAL), ((0.5, 4, 0.6), Plane.CORONAL), ((0.4, 0.6, 3), Plane.AXIAL)],
)
def test_thick_slices_give_the_plane(codes: str, spacing: tuple[float, float, float], plane: Plane) -> None:
    assert plane_of(grid((5, 6, 7), spacing).reoriented(codes)) is plane


def test_near_isotropic_volume_has_no_plane() -> None:
    assert plane_of(grid((5, 6, 7), (0.5, 0.5, 0.6))) is None


def test_single_slice_gives_the_plane_whatever_its_thickness() -> None:
    assert plane_of(grid((30, 1, 30), (0.5, 0.5, 0.5))) is Plane.CORONAL


def test_thickest_of_several_single_axes_wins() -> None:
    assert slice_axis(grid((1, 9, 1), (3, 0.5, 0.5))) == 0


def test_oblique_slices_take_the_nearest_plane() -> None:
    turn = np.deg2rad(20)
    affine = np.array(
        [[np.cos(turn), -np.sin(turn), 0, 0], [np.sin(turn), np.cos(turn), 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    ) @ np.diag([0.5, 4, 0.5, 1])
    assert plane_of(Volume(np.zeros((1, 8, 3, 8)), affine)) is Plane.CORONAL
