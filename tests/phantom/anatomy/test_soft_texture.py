"""Tests of the fine texture of soft tissue."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.phantom.anatomy.soft_texture import soft_texture
from kneeage.phantom.anatomy.tissue import Tissue

FIELD_MM = 96.0


def texture(tissue: Tissue, pixel_mm: float = 0.5, seed: int = 0) -> np.ndarray:
    pixels = round(FIELD_MM / pixel_mm)
    x = np.tile(np.linspace(-48, 48, pixels, dtype=np.float32), (pixels, 1))
    everywhere = np.full((pixels, pixels), int(tissue), np.uint8)
    return soft_texture(everywhere, pixel_mm, {"x": x}, np.random.default_rng(seed))


def test_there_is_none_outside_soft_tissue() -> None:
    for tissue in (Tissue.AIR, Tissue.FEMUR_EPIPHYSIS, Tissue.CORTEX):
        assert not texture(tissue).any(), tissue


@pytest.mark.parametrize("tissue", [Tissue.MUSCLE, Tissue.SUBCUTANEOUS_FAT, Tissue.HOFFA_FAT])
def test_spread_is_faint_and_hardly_depends_on_the_pixels(tissue: Tissue) -> None:
    spreads = [np.mean([texture(tissue, pixel_mm, seed).std() for seed in range(3)]) for pixel_mm in (0.25, 0.5, 0.7)]
    assert min(spreads) > 0.02
    assert max(spreads) < min(0.08, 1.25 * min(spreads))


def test_fibres_of_muscle_lean_to_opposite_sides() -> None:
    image = texture(Tissue.MUSCLE)
    middle = image.shape[1] // 2
    for half, sign in ((image[:, :middle], -1), (image[:, middle:], 1)):
        along, against = (np.mean((half - np.roll(half, (8, turn), (0, 1))) ** 2) for turn in (2 * sign, -2 * sign))
        assert along < 0.7 * against


@pytest.mark.parametrize("pixel_mm", [0.2, 0.35, 0.7])
def test_septa_are_unbroken_lines_that_coarse_pixels_show_fainter(pixel_mm: float) -> None:
    image = texture(Tissue.HOFFA_FAT, pixel_mm)
    dark = image < -0.2 * 0.35 / np.hypot(0.35, pixel_mm)
    assert dark.any(axis=1).mean() > 0.9
    assert dark.mean() < 0.15
