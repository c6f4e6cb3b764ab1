"""Resampling keeps places and means, does not alias, and finds its way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kneeage.core.errors import GeometryError
from kneeage.core.volume import Volume
from kneeage.prepare.resample import AxisMap, in_plane_resampling, linear_weights, resample


def image(values: np.ndarray, columns_mm: float, rows_mm: float) -> Volume:
    """Slices (K, J, I) as a canonical coronal volume."""
    affine = np.array([[-columns_mm, 0, 0, 40], [0, 0, -4, 9], [0, -rows_mm, 0, 200], [0, 0, 0, 1.0]])
    return Volume(np.moveaxis(values, (0, 1, 2), (2, 1, 0))[None], affine)


def world_ramp(volume: Volume) -> np.ndarray:
    """A linear function of the world position at every voxel."""
    indices = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), axis=-1)
    return volume.world(indices) @ np.array([1.0, 0.5, -2.0])


@given(
    size=st.integers(1, 40),
    spacing=st.floats(0.2, 1.5),
    target=st.floats(0.2, 1.5),
)
def test_weights_sum_to_one_both_ways(size: int, spacing: float, target: float) -> None:
    axis = AxisMap(size, spacing, max(1, round(size * spacing / target)), target)
    np.testing.assert_allclose(axis.forward.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(axis.backward.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("scale", [1e3, 1e90])
def test_an_absurd_spacing_is_refused_before_anything_is_allocated(scale: float) -> None:
    volume = Volume(np.zeros((1, 6, 7, 8), np.float32), np.diag([scale, scale, scale, 1]))
    with pytest.raises(GeometryError, match="the limit is 4096 along each and 67108864 in all"):
        in_plane_resampling(volume, 0.6)


def test_too_many_voxels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kneeage.prepare.resample.MAX_PREPARED_VOXELS", 6 * 7 * 8)
    volume = Volume(np.zeros((1, 6, 7, 8), np.float32), np.eye(4))
    in_plane_resampling(volume, 1.0)
    with pytest.raises(GeometryError, match="check the pixel spacing"):
        in_plane_resampling(volume, 0.99)


def test_same_spacing_changes_nothing() -> None:
    volume = image(np.random.default_rng(0).random((2, 7, 5), np.float32), 0.6, 0.6)
    same = resample(volume, in_plane_resampling(volume, 0.6))
    np.testing.assert_allclose(same.array, volume.array, atol=1e-6)
    np.testing.assert_allclose(same.affine, volume.affine, atol=1e-9)


@pytest.mark.parametrize("spacing", [(0.3, 0.45), (0.6, 0.31), (0.9, 1.1), (0.33, 0.95)])
@pytest.mark.parametrize("shape", [(1, 40, 41), (3, 63, 20)])
def test_a_ramp_in_the_world_stays_that_ramp(spacing: tuple[float, float], shape: tuple[int, int, int]) -> None:
    volume = image(np.zeros(shape, np.float32), *spacing)
    volume = volume.with_array(world_ramp(volume)[None])
    prepared = resample(volume, in_plane_resampling(volume, 0.6))
    inside = (0, slice(3, -3), slice(3, -3), slice(None))
    # The steepest slope is 2 per mm: at most 0.04 mm, a fifteenth of a voxel.
    np.testing.assert_allclose(prepared.array[inside], world_ramp(prepared)[inside[1:]], atol=0.08, rtol=0)


def test_in_plane_spacing_is_as_asked_and_slices_stay() -> None:
    volume = image(np.zeros((3, 50, 40), np.float32), 0.31, 0.45)
    prepared = resample(volume, in_plane_resampling(volume, 0.6))
    assert prepared.spacing == pytest.approx((0.6, 0.6, 4))
    assert prepared.shape == (round(40 * 0.31 / 0.6), round(50 * 0.45 / 0.6), 3)
    centres = [v.world((np.array(v.shape) - 1) / 2) for v in (volume, prepared)]
    np.testing.assert_allclose(*centres, atol=1e-9)


def test_fine_stripes_do_not_alias() -> None:
    stripes = np.tile(np.array([0, 1] * 60, np.float32), (1, 120, 1))
    volume = image(stripes, 0.3, 0.3)
    prepared = resample(volume, in_plane_resampling(volume, 0.75)).array[0, 2:-2]
    assert np.ptp(prepared) < 0.1
    assert prepared.mean() == pytest.approx(0.5, abs=0.01)


def test_smooth_image_survives_forth_and_back() -> None:
    x = np.sin(np.linspace(0, 6, 100, dtype=np.float32))
    slices = (x[:, None] * x[None, :])[None]
    plan = in_plane_resampling(image(slices, 0.35, 0.4), 0.6)
    back = plan.backward(plan.forward(slices))
    np.testing.assert_allclose(back[:, 3:-3, 3:-3], slices[:, 3:-3, 3:-3], atol=0.02)


def test_box_gives_the_same_values_as_the_whole() -> None:
    volume = image(np.zeros((1, 61, 47), np.float32), 0.31, 0.9)
    plan = in_plane_resampling(volume, 0.6)
    values = np.random.default_rng(1).random((plan.rows.size, plan.columns.size), np.float32)
    whole = plan.backward(values)
    patch, part = plan.backward_box(values, (slice(5, 20), slice(3, 9)))
    np.testing.assert_allclose(patch, whole[part], atol=1e-6)
    only_box = np.zeros_like(values)
    only_box[5:20, 3:9] = 1
    reached = plan.backward(only_box) > 0
    assert reached[part].sum() == reached.sum()


def test_nearest_takes_values_as_they_are() -> None:
    volume = image(np.zeros((1, 20, 30), np.float32), 0.3, 0.3)
    plan = in_plane_resampling(volume, 0.6)
    labels = np.random.default_rng(2).integers(0, 12, (1, 10, 15), np.uint8)
    back = plan.backward_nearest(labels)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back[0], np.repeat(np.repeat(labels[0], 2, 0), 2, 1))


def test_positions_outside_take_the_end_voxels() -> None:
    np.testing.assert_array_equal(linear_weights(np.array([-3.0, 5.0]), 3, 1.0), [[1, 0, 0], [0, 0, 1]])
