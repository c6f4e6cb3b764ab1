"""Image quality: each fault raises its own measure, and clean images keep the limits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.core.manifest import QualityLimits
from kneeage.core.volume import Volume
from kneeage.infer.quality import (
    ImageQuality,
    fit_quality_limits,
    ghosts_in_air,
    image_quality,
    motion_strength,
    ripples,
    sharpness,
    void_share,
)

PIXEL_MM = 0.6
Stack = NDArray[np.float32]


def leg(seed: int = 0) -> Stack:
    """Two slices of a bright shaft with a dark rim in grey muscle, in noisy air; shape (2, 200, 200)."""
    rng = np.random.default_rng(seed)
    away = np.abs(np.arange(200) - 100)[None, None, :] * np.ones((2, 200, 1))
    image = np.where(away < 60, 0.4, 0.0) + np.where(away < 30, 0.6, 0.0) - np.where((away > 28) & (away < 32), 0.35, 0)
    image += np.where(away < 30, 0.03 * np.sin(np.arange(200) / 4), 0)[:, :, :]
    return np.abs(image + rng.normal(0, 0.03, image.shape)).astype(np.float32)


def test_ghosts_stand_in_the_air() -> None:
    clean = leg()
    ghosts = clean + 0.15 * np.roll(clean, 50, axis=2)
    assert ghosts_in_air(clean, PIXEL_MM) < 0.04
    assert ghosts_in_air(ghosts, PIXEL_MM) > 3 * ghosts_in_air(clean, PIXEL_MM)


def test_without_air_there_are_no_ghosts_to_see() -> None:
    assert ghosts_in_air(leg()[:, :, 60:140], PIXEL_MM) == 0


def test_noise_alone_is_no_ghost() -> None:
    clean = leg()
    noisy = np.abs(clean + np.random.default_rng(1).normal(0, 0.06, clean.shape)).astype(np.float32)
    assert ghosts_in_air(noisy, PIXEL_MM) < 0.08


def test_motion_ripples_along_its_axis() -> None:
    clean = leg()
    wave = (1 + 0.15 * np.sin(np.arange(200) / 2.5))[None, :, None].astype(np.float32)
    down, along = ripples(clean, PIXEL_MM)
    moved_down, moved_along = ripples(clean * wave, PIXEL_MM)
    assert moved_down > 2 * down
    assert moved_along == pytest.approx(along, rel=0.2)


@pytest.mark.parametrize("sigma_mm", [1.0, 1.5])
def test_blur_lowers_sharpness(sigma_mm: float) -> None:
    clean = leg()
    blurred = ndimage.gaussian_filter(clean, (0, sigma_mm / PIXEL_MM, sigma_mm / PIXEL_MM))
    assert sharpness(blurred, PIXEL_MM) < 0.75 * sharpness(clean, PIXEL_MM)


def test_blur_along_one_axis_is_no_blur() -> None:
    both = leg() + np.transpose(leg(), (0, 2, 1))
    assert sharpness(ndimage.gaussian_filter1d(both, 2.0, axis=1), PIXEL_MM) > 0.5


def test_metal_leaves_a_wide_void_inside() -> None:
    clean = leg()
    metal = clean.copy()
    metal[0, 80:110, 85:115] = 0.0
    assert void_share(clean, PIXEL_MM) == 0
    assert void_share(metal, PIXEL_MM) == pytest.approx(900 / metal.size, rel=0.1)


def test_air_at_the_rim_is_no_void() -> None:
    image = leg()
    image[:, :, :40] = 0.0
    assert void_share(image, PIXEL_MM) == 0


def measured(seed: int, fault: float = 0.0) -> ImageQuality:
    slices = leg(seed) + fault * np.roll(leg(seed), 50, axis=2)
    image = Volume(np.transpose(slices, (2, 1, 0))[None], np.diag([PIXEL_MM, PIXEL_MM, 3.0, 1.0]))
    regions = np.stack([slices[:, 20:180, 20:180]] * 3, axis=1)
    return image_quality(image, regions, [0, 1])


def test_limits_hold_clean_images_and_show_the_fault() -> None:
    limits = fit_quality_limits([measured(seed) for seed in range(5)], percentile=100)
    assert isinstance(limits, QualityLimits)
    assert limits.subjects == 5
    assert motion_strength(measured(2), limits) <= 1
    assert motion_strength(measured(2, 0.3), limits) > 1
    assert set(limits.lowest) == {"sharpness"}
    assert set(limits.highest) == {"ghosts_in_air", "ripple_rows", "ripple_columns", "void_share"}
