"""Tests of the sampling of k-space."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from kneeage.phantom.scanner.kspace import Sampling, acquire, draw_sampling, moved, rolled

SIDE = 96
SHARP = Sampling(phase_axis=0, acquired_mm=(0.1, 0.1), apodisation=0.0, fat_shift_mm=0.0)
STILL = (0.0, 1.0)


def acquired(
    image: NDArray[np.float32],
    pixel_mm: float,
    sampling: Sampling,
    noise: float = 0.0,
    motion: tuple[float, float] = STILL,
) -> NDArray[np.complex64]:
    spread = np.full(image.shape, noise, np.float32)
    return acquire(image, spread, pixel_mm, sampling, motion, np.random.default_rng(0))


def block() -> NDArray[np.float32]:
    image = np.zeros((SIDE, SIDE), np.float32)
    image[32:64, 32:64] = 1
    return image


@pytest.mark.parametrize("phase_axis", [0, 1])
@pytest.mark.parametrize("pixels", [-2.5, 1.0, 2.25])
def test_signal_moves_by_the_stated_pixels_along_the_frequency_axis(phase_axis: int, pixels: float) -> None:
    shifted = moved(block(), pixels * 0.5, 0.5, replace(SHARP, phase_axis=phase_axis))
    centre = np.array([(shifted * places).sum() / shifted.sum() for places in np.indices(shifted.shape)])
    expected = np.full(2, 47.5)
    expected[1 - phase_axis] += pixels
    np.testing.assert_allclose(centre, expected, atol=1e-3)
    assert shifted.sum() == pytest.approx(block().sum(), rel=1e-5)


@pytest.mark.parametrize("acquired_mm", [0.6, 1.0])
@pytest.mark.parametrize("pixel_mm", [0.19, 0.3])
def test_point_spread_has_the_stated_width_and_keeps_the_sum(acquired_mm: float, pixel_mm: float) -> None:
    # Without apodisation it is a sinc, 1.207 acquired pixels wide at half height.
    line = np.zeros((SIDE, SIDE), np.float32)
    line[:, 48] = 1
    spread = acquired(line, pixel_mm, replace(SHARP, acquired_mm=(0.1, acquired_mm)))[48].real
    assert spread.sum() == pytest.approx(1, abs=0.03)
    fine = np.interp(np.linspace(30, 66, 3601), np.arange(SIDE), spread)
    assert pixel_mm * (fine > spread.max() / 2).sum() / 100 == pytest.approx(1.207 * acquired_mm, rel=0.1)


def test_apodisation_trades_ringing_for_blur() -> None:
    plain, smooth = (
        acquired(block(), 0.5, replace(SHARP, acquired_mm=(1.0, 1.0), apodisation=depth)).real for depth in (0, 1)
    )
    assert plain.max() > 1.08
    assert smooth.max() < 1.01
    assert np.abs(np.diff(smooth[48])).max() < np.abs(np.diff(plain[48])).max()


@pytest.mark.parametrize("acquired_mm", [(0.1, 0.1), (0.7, 0.8)])
def test_noise_is_rician_and_of_the_stated_size(acquired_mm: tuple[float, float]) -> None:
    sampling = replace(SHARP, acquired_mm=acquired_mm, apodisation=0.5)
    air, fat = (
        np.abs(acquired(np.full((SIDE, SIDE), level, np.float32), 0.5, sampling, noise=0.05)) for level in (0, 1)
    )
    assert air.mean() == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.06)
    assert fat.std() == pytest.approx(0.05, rel=0.08)


def test_zero_filling_makes_noise_smooth() -> None:
    air = np.zeros((SIDE, SIDE), np.float32)
    white, filled = (acquired(air, 0.3, replace(SHARP, acquired_mm=(mm, mm)), noise=0.1).real for mm in (0.1, 0.6))
    neighbours = [np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1] for noise in (white, filled)]
    assert abs(neighbours[0]) < 0.05
    assert neighbours[1] > 0.5


def test_motion_makes_ghosts_at_the_stated_distance_along_the_phase_axis() -> None:
    point = np.zeros((SIDE, SIDE), np.float32)
    point[48, 48] = 1
    for phase_axis in (0, 1):
        image = np.moveaxis(
            np.abs(acquired(point, 0.5, replace(SHARP, phase_axis=phase_axis), motion=(0.4, 20))), phase_axis, 0
        )
        # A phase error of amplitude a has a first ghost of the Bessel function J1(a), near a / 2.
        assert image[68, 48] == pytest.approx(0.196, abs=0.01)
        assert image[48, 68] < 1e-3


def test_drawn_pixels_are_coarser_along_the_phase_axis() -> None:
    for seed in range(30):
        sampling = draw_sampling((0.4, 0.6), 3.0, np.random.default_rng(seed))
        frequency_mm = sampling.acquired_mm[1 - sampling.phase_axis]
        assert 0.4 <= frequency_mm <= 0.6
        assert frequency_mm <= sampling.acquired_mm[sampling.phase_axis] <= 1.5 * frequency_mm


@pytest.mark.parametrize(("tesla", "fewest", "most"), [(1.5, 220 / 300, 220 / 150), (3.0, 440 / 300, 440 / 150)])
def test_fat_moves_by_its_frequency_over_the_bandwidth_of_an_acquired_pixel(
    tesla: float, fewest: float, most: float
) -> None:
    pixels = []
    for seed in range(60):
        sampling = draw_sampling((0.3, 0.5), tesla, np.random.default_rng(seed))
        pixels.append(sampling.fat_shift_mm / sampling.acquired_mm[1 - sampling.phase_axis])
    assert fewest <= np.abs(pixels).min() <= np.abs(pixels).max() <= most
    assert min(pixels) < 0 < max(pixels)


def test_fat_moves_no_further_where_pixels_are_coarse() -> None:
    shifts = [draw_sampling((0.9, 1.0), 3.0, np.random.default_rng(seed)).fat_shift_mm for seed in range(30)]
    assert 1.3 < np.abs(shifts).max() <= 1.6


@pytest.mark.parametrize("axis", [0, 1])
def test_edge_is_repeated_where_nothing_comes_in(axis: int) -> None:
    ramp = np.moveaxis(np.tile(np.arange(5, dtype=np.float32)[:, None], (1, 3)), 0, axis)
    for pixels, expected in ((2, [0, 0, 0, 1, 2]), (-1, [1, 2, 3, 4, 4])):
        np.testing.assert_array_equal(np.moveaxis(rolled(ramp, pixels, axis), axis, 0)[:, 0], expected)
