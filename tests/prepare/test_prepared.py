"""Masks land exactly on the source grid: any orientation, side, size and spacing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

import numpy as np
import pytest

from kneeage.core.anatomy import Plane, Side
from kneeage.core.errors import GeometryError
from kneeage.core.volume import Volume
from kneeage.prepare.recipe import DEFAULT, OrientStep, Prepared, Recipe, RegisterStep, ResampleStep, prepare

ORIENTATIONS = ["".join(codes) for pairs in permutations(("LR", "PA", "IS")) for codes in product(*pairs)]
# Sizes and spacings along R, A, S: odd, anisotropic in plane, one of them a single slice.
GRIDS = {
    Plane.CORONAL: ((61, 5, 47), (0.31, 4.0, 0.87)),
    Plane.SAGITTAL: ((4, 53, 40), (3.3, 0.72, 0.4)),
    Plane.AXIAL: ((45, 38, 1), (0.5, 0.9, 5.0)),
}
LABELS = (0, 3, 11)


def tilted(angle: float = 0.2) -> np.ndarray:
    """A rotation about an oblique axis, so that no axis of the grid is a body axis."""
    a, b = np.cos(angle), np.sin(angle)
    return np.array([[a, -b, 0], [b, a, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, a, -b], [0, b, a]])


def knee(plane: Plane, codes: str) -> Volume:
    """An oblique volume of noise in a plane, its axes in any order and direction."""
    shape, spacing = GRIDS[plane]
    affine = np.eye(4)
    affine[:3, :3] = tilted() @ np.diag(spacing)
    affine[:3, 3] = (-21, 33, 140)
    values = np.random.default_rng(0).random((1, *shape), np.float32)
    return Volume(values, affine).reoriented(codes)


def distance_mm(volume: Volume, centre: np.ndarray) -> np.ndarray:
    """Distance of every voxel from a world position, shape (I, J, K)."""
    indices = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), axis=-1)
    return np.linalg.norm(volume.world(indices) - centre, axis=-1)


def blob_centre(volume: Volume) -> np.ndarray:
    """World position of the blob's centre: on the middle slice, away from the middle of it."""
    share = np.array([0.35 if size > 5 else 0.5 for size in volume.shape])
    return volume.world(np.where(share == 0.5, (np.array(volume.shape) - 1) // 2, share * np.array(volume.shape)))


def shares(prepared: Prepared, centre: np.ndarray) -> Iterator[np.ndarray]:
    """Probabilities of (background, a ball of 5 mm, nothing) on the prepared grid, slice by slice."""
    ball = 1 / (1 + np.exp((distance_mm(prepared.volume, centre) - 5) * 4))
    for k in range(ball.shape[2]):
        yield np.stack([1 - ball[:, :, k], ball[:, :, k], 0 * ball[:, :, k]]).astype(np.float32)


def centroid(labels: Volume, value: int) -> np.ndarray:
    """Mean world position of a label."""
    return labels.world(np.argwhere(labels.array[0] == value)).mean(axis=0)


def index_error(volume: Volume, found: np.ndarray, true: np.ndarray) -> float:
    """Largest difference of two world positions in voxels."""
    return float(np.abs(volume.index(found) - volume.index(true)).max())


@pytest.mark.parametrize("plane", Plane)
@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT])
@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_blob_found_on_the_prepared_grid_lies_where_it_was(codes: str, side: Side, plane: Plane) -> None:
    volume = knee(plane, codes)
    prepared = prepare(volume, DEFAULT, plane=plane, side=side)
    centre = blob_centre(volume)
    labels = prepared.labels_to_source(shares(prepared, centre), LABELS)
    assert labels.shape == volume.shape
    assert labels.array.dtype == np.uint8
    np.testing.assert_array_equal(labels.affine, volume.affine)
    truth = volume.with_array((distance_mm(volume, centre) < 5)[None].astype(np.uint8) * 3)
    assert index_error(volume, centroid(labels, 3), centroid(truth, 3)) < 0.35
    assert set(np.unique(labels.array)) == {0, 3}


@pytest.mark.parametrize("plane", Plane)
@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT])
@pytest.mark.parametrize("codes", ORIENTATIONS[::5])
def test_labels_survive_forth_and_back(codes: str, side: Side, plane: Plane) -> None:
    volume = knee(plane, codes)
    prepared = prepare(volume, DEFAULT, plane=plane, side=side)
    truth = volume.with_array((distance_mm(volume, blob_centre(volume)) < 5)[None].astype(np.uint8) * 11)
    there = prepared.labels_from_source(truth)
    assert there.shape == prepared.volume.shape
    np.testing.assert_array_equal(there.affine, prepared.volume.affine)
    assert np.linalg.norm(centroid(there, 11) - centroid(truth, 11)) < 0.3
    back = prepared.volume_to_source(there.array)
    assert back.array.dtype == np.uint8
    assert index_error(volume, centroid(back, 11), centroid(truth, 11)) < 0.35


@pytest.mark.parametrize("codes", ORIENTATIONS[::7])
def test_image_lies_where_it_was(codes: str) -> None:
    volume = knee(Plane.CORONAL, codes)
    centre = blob_centre(volume)
    bright = volume.with_array(np.exp(-((distance_mm(volume, centre) / 4) ** 2))[None])
    steps = Recipe(name="grid only", steps=(OrientStep(), ResampleStep()))
    prepared = prepare(bright, steps, plane=Plane.CORONAL, side=Side.LEFT).volume
    peak = prepared.world(np.unravel_index(prepared.array[0].argmax(), prepared.shape))
    assert index_error(prepared, peak, centre) < 0.8


def test_registered_volume_finds_its_way_back() -> None:
    pytest.importorskip("SimpleITK")
    volume = knee(Plane.CORONAL, "LIP")
    centre = blob_centre(volume)
    ball = np.exp(-((distance_mm(volume, centre) / 6) ** 2))[None].astype(np.float32)
    grid = Recipe(name="grid only", steps=(OrientStep(), ResampleStep()))
    template = prepare(volume.with_array(ball), grid, plane=Plane.CORONAL, side=Side.RIGHT).volume
    template = template.with_array(np.roll(template.array, (3, -2), axis=(1, 2)))
    recipe = Recipe(name="registered", steps=(*grid.steps, RegisterStep()))
    prepared = prepare(volume.with_array(ball), recipe, plane=Plane.CORONAL, side=Side.RIGHT, template=template)
    assert np.linalg.norm(prepared.volume.origin - template.origin) > 0.5
    labels = prepared.labels_to_source(shares(prepared, centre), LABELS)
    truth = volume.with_array((distance_mm(volume, centre) < 5)[None].astype(np.uint8) * 3)
    assert index_error(volume, centroid(labels, 3), centroid(truth, 3)) < 0.35


@pytest.fixture
def prepared() -> Prepared:
    """A left coronal knee."""
    return prepare(knee(Plane.CORONAL, "PSR"), DEFAULT, plane=Plane.CORONAL, side=Side.LEFT)


def test_function_of_the_slice_gives_the_same_labels(prepared: Prepared) -> None:
    classes = list(shares(prepared, blob_centre(prepared.source)))
    by_number = prepared.labels_to_source(classes.__getitem__, LABELS)
    np.testing.assert_array_equal(by_number.array, prepared.labels_to_source(classes, LABELS).array)


def test_one_slice_goes_back_as_the_labels_do(prepared: Prepared) -> None:
    classes = list(shares(prepared, blob_centre(prepared.source)))
    labels = prepared.orientation.apply(prepared.labels_to_source(classes, (0, 1, 2)).array)
    for k, here in enumerate(classes):
        back = prepared.slice_to_source(here, k)
        assert back.shape[1:] == prepared.canonical_shape[:2]
        np.testing.assert_array_equal(back.argmax(axis=0), labels[0, :, :, k])


def test_several_channels_go_back_together(prepared: Prepared) -> None:
    array = np.random.default_rng(0).integers(0, 9, (3, *prepared.volume.shape), np.int16)
    back = prepared.volume_to_source(array)
    assert back.array.dtype == np.int16
    np.testing.assert_array_equal(back.array[1:2], prepared.volume_to_source(array[1:2]).array)


@pytest.mark.parametrize("count", [4, 6])
def test_wrong_number_of_slices_is_refused(prepared: Prepared, count: int) -> None:
    classes = np.zeros((2, *prepared.volume.shape[:2]), np.float32)
    classes[0] = 1
    with pytest.raises(GeometryError, match=rf"has 5 slices; {count} were given"):
        prepared.labels_to_source([classes] * count, (0, 1))


def test_wrong_shapes_are_refused(prepared: Prepared) -> None:
    i, j, k = prepared.volume.shape
    with pytest.raises(GeometryError, match="needs the shape"):
        prepared.labels_to_source([np.zeros((2, j, i))] * k, (0, 1))
    with pytest.raises(GeometryError, match="needs the shape"):
        prepared.slice_to_source(np.zeros((1, i + 1, j)), 0)
    with pytest.raises(GeometryError, match="needs the shape"):
        prepared.volume_to_source(np.zeros((1, i, j, k + 1)))


@pytest.mark.parametrize("k", [-1, 5])
def test_unknown_slice_is_refused(prepared: Prepared, k: int) -> None:
    with pytest.raises(GeometryError, match=f"there is no slice {k}"):
        prepared.slice_to_source(np.zeros((1, *prepared.volume.shape[:2])), k)


def test_labels_of_another_grid_are_refused(prepared: Prepared) -> None:
    moved = prepared.source.affine.copy()
    moved[0, 3] += 1
    with pytest.raises(GeometryError, match="not on the grid of the image"):
        prepared.labels_from_source(Volume(prepared.source.array.astype(np.uint8), moved))


def test_orientation_at_exactly_45_degrees_finds_its_way_back() -> None:
    turn = np.deg2rad(45)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    volume = Volume(np.random.default_rng(0).random((1, 6, 5, 4), np.float32), affine)
    only_axes = Recipe(name="axes", steps=(OrientStep(),))
    for plane, side in product(Plane, (Side.LEFT, Side.RIGHT)):
        turned = prepare(volume, only_axes, plane=plane, side=side)
        np.testing.assert_array_equal(turned.volume_to_source(turned.volume.array).array, volume.array)
