"""Standardised values do not depend on scale, offset or the amount of air."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.errors import UsageError
from kneeage.core.volume import Volume
from kneeage.prepare.intensity import NYUL_PERCENTILES, apply_nyul, fit_nyul, nyul_landmarks, standardise


def knee(slices: int = 3, air: int = 16) -> Volume:
    """Two tissues in a field of air."""
    values = np.abs(np.random.default_rng(1).normal(0, 5, (1, 64, 64, slices))).astype(np.float32)
    values[:, air:-air, air:40] += 400
    values[:, air:-air, 40:-air] += 900
    return Volume(values, np.diag([0.6, 0.6, 3, 1]))


def tissue(volume: Volume) -> np.ndarray:
    """Standardised values of the tissue."""
    return standardise(volume).array[:, 16:-16, 16:-16]


def test_tissue_has_mean_zero_and_deviation_one() -> None:
    assert tissue(knee()).mean() == pytest.approx(0, abs=0.02)
    assert tissue(knee()).std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("scale", "offset"), [(0.01, 0), (7, 0), (3, -200), (1, 5000)])
def test_scale_and_offset_do_not_matter(scale: float, offset: float) -> None:
    volume = knee()
    other = volume.with_array(volume.array * np.float32(scale) + np.float32(offset))
    np.testing.assert_allclose(standardise(other).array, standardise(volume).array, atol=2e-3)


def test_more_air_does_not_shift_the_tissue() -> None:
    volume = knee()
    wide = Volume(np.pad(volume.array, ((0, 0), (60, 60), (60, 60), (0, 0))), volume.affine)
    np.testing.assert_allclose(standardise(wide).array[:, 76:-76, 76:-76], tissue(volume), atol=0.05)


def test_one_slice_is_as_good_as_three() -> None:
    np.testing.assert_allclose(tissue(knee(slices=1)).mean(), tissue(knee()).mean(), atol=0.02)


def test_a_single_bright_voxel_is_clipped() -> None:
    volume = knee()
    volume.array[0, 30, 30, 1] = 1e6
    assert standardise(volume).array.max() < 3


def test_constant_image_gives_zeros() -> None:
    flat = Volume(np.full((1, 5, 5, 1), 7.0), np.eye(4))
    assert not standardise(flat).array.any()


def test_integer_values_give_float32() -> None:
    volume = knee()
    assert standardise(volume.with_array(volume.array.astype(np.int16))).array.dtype == np.float32


def test_source_values_are_left_alone() -> None:
    volume = knee()
    before = volume.array.copy()
    standardise(volume)
    np.testing.assert_array_equal(volume.array, before)


def smooth(gamma: float, scale: float) -> Volume:
    """Air and the same rising tissue, seen with another contrast."""
    ramp = np.concatenate([np.zeros(1000), np.linspace(0.4, 1, 3096)]).reshape(1, 64, 64, 1) ** gamma * scale
    return Volume(ramp.astype(np.float32), np.eye(4))


def test_nyul_brings_contrasts_together() -> None:
    cohort = [smooth(1.0, 100), smooth(1.3, 900), smooth(0.8, 40)]
    standard = fit_nyul(cohort)
    matched = [apply_nyul(volume, standard).array.ravel()[1000:] for volume in cohort]
    assert standard[0] == pytest.approx(0)
    assert standard[-1] == pytest.approx(100)
    np.testing.assert_allclose(matched[1], matched[0], atol=1.5)
    np.testing.assert_allclose(matched[2], matched[0], atol=1.5)


def test_nyul_landmarks_of_a_matched_volume_are_the_standard() -> None:
    standard = fit_nyul([smooth(1.0, 100), smooth(1.3, 900)])
    np.testing.assert_allclose(nyul_landmarks(apply_nyul(smooth(0.9, 55), standard)), standard, atol=3)


def test_nyul_goes_on_beyond_the_outer_landmarks() -> None:
    standard = np.linspace(0, 100, len(NYUL_PERCENTILES))
    matched = apply_nyul(smooth(1.0, 100), standard).array
    assert matched.max() > 100
    assert np.all(np.diff(matched.ravel()[1000:]) > 0)
    assert matched.min() < 0


def test_nyul_of_a_constant_image_is_finite() -> None:
    flat = Volume(np.full((1, 5, 5, 1), 7.0), np.eye(4))
    assert np.isfinite(apply_nyul(flat, np.linspace(0, 100, 11)).array).all()


def test_nyul_needs_contrast() -> None:
    with pytest.raises(UsageError, match="at least one volume whose grey values differ"):
        fit_nyul([Volume(np.ones((1, 4, 4, 1)), np.eye(4))])
