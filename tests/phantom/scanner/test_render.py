"""Tests of the virtual scanner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from kneeage.phantom.anatomy.slab import Slab, SliceGrid, oblique_axes, plane_weights
from kneeage.phantom.anatomy.tissue import Tissue
from kneeage.phantom.scanner.coil import Coil
from kneeage.phantom.scanner.kspace import Sampling
from kneeage.phantom.scanner.render import (
    Artefacts,
    Quality,
    Scanner,
    draw_random_scanner,
    draw_scanner,
    render,
)
from kneeage.phantom.scanner.sequence import Sequence, Signals, Weighting, draw_sequence

SIDE = 96
T1 = Sequence(Weighting.T1, False, 3, 600, 14, 3.0)
FLAT = Coil(
    elements=np.zeros((1, 3), np.float32),
    weights=np.ones(1, np.float32),
    radius_mm=1e4,
    reach_mm=1e4,
    centre_mm=0.0,
    slope=np.zeros(3, np.float32),
    normalised=0.0,
    acceleration=0.0,
)
SHARP = Sampling(phase_axis=0, acquired_mm=(0.1, 0.1), apodisation=0.0, fat_shift_mm=0.0)


def slab_of(tissue: NDArray[np.uint8], pixel_mm: float = 0.5, **layers: NDArray[np.float32]) -> Slab:
    columns_to, rows_to, normal = oblique_axes(0, 0, 0)
    shape = tissue.shape[-2:]
    empty = np.zeros(shape, np.float32)
    planes = tissue if tissue.ndim == 3 else np.stack([tissue] * 3)
    return Slab(
        grid=SliceGrid(np.zeros(3), columns_to, rows_to, normal, shape, pixel_mm, 3.0),
        tissue=planes,
        label=np.zeros(shape, np.uint8),
        **{name: layers.get(name, empty) for name in ("cartilage", "border", "scar", "red", "texture")},
    )


def filled(tissue: Tissue, side: int = SIDE) -> NDArray[np.uint8]:
    return np.full((side, side), tissue, np.uint8)


def block(inside: Tissue, outside: Tissue) -> NDArray[np.uint8]:
    tissue = filled(outside)
    tissue[32:64, 32:64] = inside
    return tissue


def clean(**more: object) -> Scanner:
    levels = np.zeros(len(Tissue), np.float32)
    levels[[Tissue.MUSCLE, Tissue.DEEP_FAT, Tissue.FEMUR_EPIPHYSIS]] = 0.4, 1.0, 1.0
    fat = np.where(levels == 1, levels, 0)
    signals = Signals(levels, fat, red_marrow=0.6, red_marrow_fat=0.3, cartilage=0.5, border=0.1, scar=0.3)
    plain: dict[str, object] = {"sampling": SHARP, "coil": FLAT, "artefacts": Artefacts(), "noise": 0.0}
    return Scanner(signals=signals, **{**plain, **more})  # type: ignore[arg-type]


def shot(slab: Slab, scanner: Scanner, seed: int = 0) -> NDArray[np.float32]:
    return render(slab, scanner, np.random.default_rng(seed))


def test_perfect_scanner_shows_the_signals() -> None:
    image = shot(slab_of(block(Tissue.MUSCLE, Tissue.DEEP_FAT)), clean())
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[33:63, 33:63], 0.4, atol=1e-3)
    np.testing.assert_allclose(image[:30], 1.0, atol=1e-3)


def test_planes_count_by_the_slice_profile() -> None:
    image = shot(slab_of(np.stack([filled(Tissue.MUSCLE), filled(Tissue.AIR), filled(Tissue.AIR)])), clean())
    np.testing.assert_allclose(image, 0.4 * plane_weights(3)[0], atol=1e-3)


def test_plates_lie_over_marrow_and_scars_only_darken() -> None:
    half = np.full((SIDE, SIDE), 0.5, np.float32)
    marrow, muscle = filled(Tissue.FEMUR_EPIPHYSIS), filled(Tissue.AIR)
    assert shot(slab_of(marrow, cartilage=half), clean())[48, 48] == pytest.approx(0.5 + 0.25, abs=1e-3)
    assert shot(slab_of(marrow, border=half), clean())[48, 48] == pytest.approx(0.5 + 0.05, abs=1e-3)
    assert shot(slab_of(marrow, scar=half), clean())[48, 48] == pytest.approx(0.5 + 0.15, abs=1e-3)
    assert shot(slab_of(muscle, scar=half), clean())[48, 48] == pytest.approx(0, abs=1e-3)


def test_red_marrow_shows_in_marrow_alone() -> None:
    half = np.full((SIDE, SIDE), 0.5, np.float32)
    assert shot(slab_of(filled(Tissue.FEMUR_EPIPHYSIS), red=half), clean())[48, 48] == pytest.approx(0.8, abs=1e-3)
    assert shot(slab_of(filled(Tissue.MUSCLE), red=half), clean())[48, 48] == pytest.approx(0.4, abs=1e-3)


def test_red_marrow_takes_its_share_of_a_pixel() -> None:
    half = np.full((SIDE, SIDE), 0.5, np.float32)
    planes = np.stack([filled(Tissue.FEMUR_EPIPHYSIS), filled(Tissue.MUSCLE), filled(Tissue.FEMUR_EPIPHYSIS)])
    muscle = plane_weights(3)[1]
    image = shot(slab_of(planes, red=half), clean())
    np.testing.assert_allclose(image[20:-20, 20:-20], 0.4 * muscle + 0.8 * (1 - muscle), atol=1e-3)


@pytest.mark.parametrize("weighting", [Weighting.PD, Weighting.T2])
def test_suppressed_series_show_muscle_above_the_noise(weighting: Weighting) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        scanner = draw_scanner(draw_sequence(weighting, True, 3.0, rng), rng)
        assert 8 <= scanner.signals.tissue[Tissue.MUSCLE] / scanner.noise <= 25


@pytest.mark.parametrize("shift_mm", [-1.0, 1.0])
def test_marrow_stays_in_place_and_water_moves(shift_mm: float) -> None:
    apart = clean(sampling=replace(SHARP, fat_shift_mm=shift_mm))
    marrow, muscle = (slab_of(block(tissue, Tissue.AIR)) for tissue in (Tissue.FEMUR_EPIPHYSIS, Tissue.MUSCLE))
    np.testing.assert_array_equal(shot(marrow, apart), shot(marrow, clean()))
    np.testing.assert_allclose(
        shot(muscle, apart), np.roll(shot(muscle, clean()), round(-shift_mm / 0.5), 1), atol=1e-3
    )


@pytest.mark.parametrize("shift_mm", [-1.0, 1.0])
def test_water_stays_in_place_where_marrow_shows_water(shift_mm: float) -> None:
    plain = clean()
    levels = replace(plain.signals, fat=np.where(np.arange(len(Tissue)) == Tissue.DEEP_FAT, plain.signals.fat, 0))
    apart = replace(plain, signals=levels, sampling=replace(SHARP, fat_shift_mm=shift_mm))
    for tissue in (Tissue.FEMUR_EPIPHYSIS, Tissue.MUSCLE):
        slab = slab_of(block(tissue, Tissue.AIR))
        np.testing.assert_allclose(shot(slab, apart), shot(slab, plain), atol=1e-5)
    fat = slab_of(block(Tissue.DEEP_FAT, Tissue.AIR))
    np.testing.assert_allclose(shot(fat, apart), np.roll(shot(fat, plain), round(shift_mm / 0.5), 1), atol=1e-3)


def test_offset_empties_the_background() -> None:
    air = shot(slab_of(filled(Tissue.AIR)), clean(noise=0.01, offset=-0.06))
    assert np.all(air == 0)


def test_shading_is_one_function_of_the_knee() -> None:
    scanner = clean(coil=replace(FLAT, slope=np.array([1.0, 0.5, -0.5], np.float32)))
    slab = slab_of(filled(Tissue.DEEP_FAT))
    ahead = replace(slab.grid, centre=np.array([0.0, 10.0, 0.0]))
    ratio = shot(replace(slab, grid=ahead), scanner) / shot(slab, scanner)
    np.testing.assert_allclose(ratio[20:-20, 20:-20], np.exp(0.05), rtol=1e-3)


def test_evening_out_moves_shading_from_signal_to_noise() -> None:
    slope = np.array([2.0, 0, 0], np.float32)
    slab = slab_of(filled(Tissue.DEEP_FAT))
    images = [shot(slab, clean(coil=replace(FLAT, slope=slope, normalised=n), noise=0.01)) for n in (0.0, 1.0)]
    left, right = np.s_[20:-20, 15:25], np.s_[20:-20, -25:-15]
    assert images[0][left].mean() > 1.5 * images[0][right].mean()
    assert images[1][left].mean() == pytest.approx(images[1][right].mean(), rel=0.02)
    assert images[1][right].std() > 1.3 * images[1][left].std()


def test_failed_fat_suppression_shows_fat_on_one_side() -> None:
    plain = clean()
    weak = replace(plain.signals, tissue=plain.signals.tissue * 0.1, fat=plain.signals.fat * 0.1, fat_left=0.1)
    failing = Artefacts(unsuppressed=1.0, unsuppressed_to=(0.0, 0.0, 1.0))
    slab = slab_of(filled(Tissue.DEEP_FAT), pixel_mm=1.8)
    image = shot(slab, replace(plain, signals=weak, artefacts=failing))
    assert image[2, 48] > 0.7
    assert image[-2, 48] < 0.15


def test_motion_and_pulsation_make_ghosts_along_the_phase_axis() -> None:
    tissue = block(Tissue.DEEP_FAT, Tissue.AIR)
    tissue[40:44, 40:44] = Tissue.VESSEL
    for artefacts in (Artefacts(motion=(0.5, 24)), Artefacts(pulsation=(0.5, 24))):
        image = shot(slab_of(tissue), clean(artefacts=artefacts))
        assert image[:28, 34:62].max() > 0.05
        assert image[34:62, :28].max() < 0.03


def test_wrap_folds_one_end_onto_the_other() -> None:
    tissue = filled(Tissue.AIR)
    tissue[:20] = Tissue.MUSCLE
    image = shot(slab_of(tissue), clean(artefacts=Artefacts(wrap=0.1)))
    assert image[-1, 48] > 0.2
    assert image[-12, 48] < 0.02


def test_empty_margin_lies_where_it_is_said() -> None:
    image = shot(slab_of(filled(Tissue.DEEP_FAT)), clean(artefacts=Artefacts(frame=(5, 0, 3, 0, 0.0))))
    assert np.all(image[:5] == 0)
    assert np.all(image[:, :3] == 0)
    assert np.all(image[6:, 4:] > 0.9)


@pytest.mark.parametrize(("shape", "pixel_mm"), [((67, 101), 0.19), ((64, 64), 0.6), ((200, 200), 0.9)])
def test_any_drawn_scanner_gives_finite_images(shape: tuple[int, int], pixel_mm: float) -> None:
    rng = np.random.default_rng(0)
    for seed in range(12):
        kinds = np.arange(seed, seed + shape[1]) % len(Tissue)
        layers = {
            name: rng.random(shape).astype(np.float32) for name in ("cartilage", "border", "scar", "red", "texture")
        }
        slab = slab_of(np.tile(kinds.astype(np.uint8), (3, shape[0], 1)), pixel_mm, **layers)
        sequence = draw_sequence(list(Weighting)[seed % 3], bool(seed % 2), 1.5, rng)
        for scanner in (draw_random_scanner(rng), draw_scanner(sequence, rng, quality=Quality(artefacts=9.0))):
            image = render(slab, scanner, rng)
            assert image.shape == shape
            assert image.dtype == np.float32
            assert np.isfinite(image).all()
            assert image.min() >= 0


def test_images_follow_from_seeds() -> None:
    slab = slab_of(block(Tissue.DEEP_FAT, Tissue.MUSCLE))
    scanners = [draw_random_scanner(np.random.default_rng(2)) for _ in range(2)]
    first, again = (shot(slab, scanner, 3) for scanner in scanners)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - shot(slab, scanners[0], 4)).max() > 0
