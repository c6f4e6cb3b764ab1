"""Tests of the virtual scanner."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.phantom.anatomy import Anatomy, Knee
from kneeage.phantom.growth import draw_latents
from kneeage.phantom.scanner import Slab, draw_random_scanner, draw_t1_scanner, paint_slab, render
from kneeage.phantom.tissue import Tissue

PIXEL_MM = 0.8


@pytest.fixture(scope="module")
def slab() -> Slab:
    rng = np.random.default_rng(5)
    knee = Knee(Anatomy.draw(rng), draw_latents(13.0, Sex.MALE, rng), PIXEL_MM)
    steps = ((np.arange(160) - 80) * PIXEL_MM).astype(np.float32)
    x, z = np.meshgrid(-steps, -steps)
    return paint_slab(knee, x, np.full_like(x, -8), z, np.array([0, 1, 0], np.float32), 3.0, 3)


def test_slab_holds_its_planes(slab: Slab) -> None:
    assert slab.tissue.shape == (3, 160, 160)
    np.testing.assert_array_equal(slab.middle, slab.tissue[1])


def test_t1_contrast_is_that_of_a_t1_knee(slab: Slab) -> None:
    rng = np.random.default_rng(0)
    scanner = draw_t1_scanner(rng, red_marrow=0.0)
    flat = np.zeros_like(scanner.shading)
    image = render(slab, type(scanner)(**{**vars(scanner), "shading": flat}), PIXEL_MM, rng)
    pure = (slab.tissue == slab.tissue[0]).all(axis=0)
    signal = {
        tissue: image[pure & (slab.middle == tissue)].mean() for tissue in (Tissue.FEMUR_EPIPHYSIS, Tissue.MUSCLE)
    }
    assert 0.2 < signal[Tissue.MUSCLE] / signal[Tissue.FEMUR_EPIPHYSIS] < 0.55
    assert image[slab.middle == Tissue.AIR].mean() < 0.15


def test_open_plates_are_dark_on_t1(slab: Slab) -> None:
    rng = np.random.default_rng(1)
    image = render(slab, draw_t1_scanner(rng, red_marrow=0.0), PIXEL_MM, rng)
    plate = slab.cartilage + slab.border > 0.8
    assert image[plate].mean() < 0.75 * image[slab.middle == Tissue.FEMUR_EPIPHYSIS].mean()


def test_rendering_repeats_with_its_seed_and_varies_without(slab: Slab) -> None:
    scanner = draw_random_scanner(np.random.default_rng(2), red_marrow=0.2)
    first, again, other = (render(slab, scanner, PIXEL_MM, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0
    assert np.isfinite(first).all()
