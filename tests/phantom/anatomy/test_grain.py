"""Tests of the grain of tissue."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from kneeage.phantom.anatomy.grain import Grain, grain_noise

FIELD_MM = 96.0


def noise(grain: Grain, pixel_mm: float, seed: int = 0) -> np.ndarray:
    pixels = round(FIELD_MM / pixel_mm)
    return grain_noise((pixels, pixels), pixel_mm, (grain,), np.random.default_rng(seed))


def spread(grain: Grain, pixel_mm: float) -> float:
    return float(np.mean([noise(grain, pixel_mm, seed).std() for seed in range(4)]))


def correlation(image: np.ndarray, rows: int, columns: int) -> float:
    return float((image * np.roll(image, (rows, columns), (0, 1))).mean() / image.var())


@pytest.mark.parametrize("pixel_mm", [0.2, 0.4, 0.8])
def test_coarse_grain_has_its_spread_and_size_in_mm_at_any_pixel(pixel_mm: float) -> None:
    image = noise(Grain(0.3, 4.0, 1.6), pixel_mm)
    assert image.std() == pytest.approx(0.3, rel=0.1)
    # Gaussian blobs of SD s are correlated by exp(-(d / 2 s)^2) at a distance d.
    assert correlation(image, round(4.0 / pixel_mm), 0) == pytest.approx(np.exp(-0.25), abs=0.08)
    assert correlation(image, 0, round(1.6 / pixel_mm)) == pytest.approx(np.exp(-0.25), abs=0.08)


def test_grain_agrees_with_smoothed_white_noise() -> None:
    white = np.random.default_rng(1).standard_normal((480, 480))
    smoothed = ndimage.gaussian_filter(white, (5.0, 2.5), mode="wrap")
    image = noise(Grain(1.0, 1.0, 0.5), 0.2)
    for rows, columns in ((2, 0), (6, 0), (0, 2), (0, 4), (4, 2)):
        expected = correlation(smoothed, rows, columns)
        assert correlation(image, rows, columns) == pytest.approx(expected, abs=0.06)


def test_pixels_leave_out_what_they_cannot_carry() -> None:
    fine = Grain(1.0, 0.15, 0.15)
    spreads = [spread(fine, pixel_mm) for pixel_mm in (0.1, 0.3, 0.6)]
    assert spreads[0] == pytest.approx(1.0, abs=0.05)
    assert spreads[0] > spreads[1] > spreads[2] > 0.3


def test_leaning_grains_move_along_the_columns() -> None:
    image = noise(Grain(1.0, 5.0, 0.8, lean=0.5), 0.4)
    assert correlation(image, 8, 4) > correlation(image, 8, -4) + 0.4


def test_spreads_of_several_grains_add_up_as_squares() -> None:
    grains = Grain(0.3, 2.0, 2.0), Grain(0.4, 1.0, 3.0)
    image = grain_noise((240, 240), 0.4, grains, np.random.default_rng(0))
    assert image.std() == pytest.approx(0.5, rel=0.1)


def test_noise_is_single_precision_of_mean_zero_and_any_shape() -> None:
    image = grain_noise((61, 84), 0.5, (Grain(1.0, 0.4, 0.4),), np.random.default_rng(0))
    assert (image.shape, image.dtype) == ((61, 84), np.dtype(np.float32))
    assert image.mean() == pytest.approx(0.0, abs=1e-4)


def test_same_seed_gives_the_same_noise() -> None:
    np.testing.assert_array_equal(noise(Grain(1.0, 1.0, 1.0), 0.4), noise(Grain(1.0, 1.0, 1.0), 0.4))
