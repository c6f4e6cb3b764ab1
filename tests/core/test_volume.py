"""The volume: where voxels are in the world, and that re-orienting moves none of them."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kneeage.core.errors import GeometryError
from kneeage.core.volume import Volume, axis_changes, orientation_codes

ORIENTATIONS = ["".join(codes) for pairs in permutations(("LR", "PA", "IS")) for codes in product(*pairs)]
SHAPE = (2, 3, 4, 5)
# Source: any values do; chosen anisotropic, oblique and off the origin so that no two mistakes cancel.
ANGLE = np.deg2rad(17)
OBLIQUE = np.array(
    [
        [0.5 * np.cos(ANGLE), -0.7 * np.sin(ANGLE), 0.0, -31.0],
        [0.5 * np.sin(ANGLE), 0.7 * np.cos(ANGLE), 0.0, 12.5],
        [0.0, 0.0, 3.3, -140.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


@pytest.fixture
def volume() -> Volume:
    """Every voxel holds its own number."""
    return Volume(np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE), OBLIQUE)


def _positions(volume: Volume) -> dict[float, tuple[float, ...]]:
    """World position of every value of the first channel, rounded to 1e-6 mm."""
    grid = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), axis=-1)
    world = np.round(volume.world(grid), 6) + 0.0
    return {float(volume.array[0][tuple(i)]): tuple(world[tuple(i)]) for i in grid.reshape(-1, 3)}


def test_there_are_48_orientations() -> None:
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_reorienting_moves_no_voxel(volume: Volume, codes: str) -> None:
    turned = volume.reoriented(codes)
    assert turned.orientation == codes
    assert _positions(turned) == _positions(volume)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_reorienting_and_back_is_the_same_volume(volume: Volume, codes: str) -> None:
    back = volume.reoriented(codes).reoriented(volume.orientation)
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-9)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_axis_changes_undo_each_other(codes: str) -> None:
    there, flips = axis_changes("RAS", codes)
    back, back_flips = axis_changes(codes, "RAS")
    assert [there[axis] for axis in back] == [0, 1, 2]
    assert [flips[axis] for axis in back] == list(back_flips)


def test_reorienting_keeps_the_channels_apart(volume: Volume) -> None:
    turned = volume.reoriented("LIP")
    assert turned.array.shape[0] == 2
    np.testing.assert_array_equal(turned.array[1] - turned.array[0], 60)


def test_index_undoes_world(volume: Volume) -> None:
    index = np.array([[0.0, 0.0, 0.0], [1.5, 2.25, 4.0], [-3.0, 7.0, 0.5]])
    np.testing.assert_allclose(volume.index(volume.world(index)), index, atol=1e-9)


def test_world_names_the_centre_of_the_voxel(volume: Volume) -> None:
    np.testing.assert_allclose(volume.world((0, 0, 0)), [-31.0, 12.5, -140.0])
    np.testing.assert_allclose(volume.world((0, 0, 2)), [-31.0, 12.5, -133.4])


def test_grid_is_read_from_the_affine(volume: Volume) -> None:
    assert volume.shape == (3, 4, 5)
    assert volume.spacing == pytest.approx((0.5, 0.7, 3.3))
    assert volume.orientation == "RAS"
    np.testing.assert_allclose(volume.origin, [-31.0, 12.5, -140.0])
    np.testing.assert_allclose(volume.direction.T @ volume.direction, np.eye(3), atol=1e-12)


def test_affine_is_copied_and_locked(volume: Volume) -> None:
    affine = np.eye(4)
    locked = Volume(volume.array, affine)
    affine[0, 3] = 99
    assert locked.affine[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        locked.affine[0, 3] = 1


@given(st.lists(st.floats(-1, 1), min_size=9, max_size=9))
def test_oblique_axes_never_share_a_letter_pair(values: list[float]) -> None:
    matrix = np.array(values).reshape(3, 3) + 1e-3 * np.eye(3)
    if (np.linalg.norm(matrix, axis=0) < 1e-6).any():
        return
    assert orientation_codes(matrix) in ORIENTATIONS


def test_axes_at_45_degrees_get_different_letters() -> None:
    half = np.sqrt(0.5)
    assert orientation_codes([[half, half, 0], [half, half, 0.001], [0, 0, 1]]) in ORIENTATIONS


def test_with_array_keeps_the_grid(volume: Volume) -> None:
    labels = volume.with_array(np.zeros((1, 3, 4, 5), dtype=np.uint8))
    assert labels.array.dtype == np.uint8
    np.testing.assert_array_equal(labels.affine, volume.affine)


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 3, 4, 6)])
def test_with_array_refuses_another_grid(volume: Volume, shape: tuple[int, ...]) -> None:
    with pytest.raises(GeometryError, match=r"the grid has \(3, 4, 5\) voxels"):
        volume.with_array(np.zeros(shape))


def test_three_axes_are_refused() -> None:
    with pytest.raises(GeometryError, match=r"\(C, I, J, K\); found an array of shape \(3, 4, 5\)"):
        Volume(np.zeros((3, 4, 5)), np.eye(4))


@pytest.mark.parametrize("affine", [np.eye(3), np.full((4, 4), np.nan), np.diag([1.0, np.inf, 1.0, 1.0])])
def test_bad_affine_is_refused(affine: np.ndarray) -> None:
    with pytest.raises(GeometryError, match="finite 4x4"):
        Volume(np.zeros(SHAPE), affine)


def test_singular_affine_is_refused() -> None:
    with pytest.raises(GeometryError, match="singular"):
        Volume(np.zeros(SHAPE), np.diag([1.0, 0.0, 1.0, 1.0]))


@pytest.mark.parametrize("codes", ["", "RA", "RAX", "RLS", "RASS", "ras"])
def test_bad_codes_are_refused(volume: Volume, codes: str) -> None:
    with pytest.raises(GeometryError, match="orientation codes name one of"):
        volume.reoriented(codes)
