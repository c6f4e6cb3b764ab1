"""Tests of the pool of painted slices."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from kneeage.core.volume import Volume
from kneeage.phantom.anatomy.slab import Slab
from kneeage.phantom.cohort import pool
from kneeage.phantom.cohort.pool import (
    _SHARP,
    _USUAL,
    POOL_PIXELS,
    PoolSettings,
    SlicePool,
    _random_grid,
    paint_pool,
)
from kneeage.phantom.scanner.render import Scanner, render
from kneeage.prepare.resample import in_plane_resampling, resample


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    paint_pool(folder, PoolSettings(subjects=2, slices_per_subject=1, seed=4), workers=1)
    return folder


def test_pool_gives_standardised_slices_with_labels(folder: Path) -> None:
    slices = SlicePool(folder)
    image, label = slices.draw(0, np.random.default_rng(0))
    assert len(slices) == 2
    assert image.shape == label.shape == (POOL_PIXELS, POOL_PIXELS)
    assert image.dtype == np.float32
    assert label.dtype == np.uint8
    assert np.isfinite(image).all()
    assert label.max() <= 11


def test_half_of_the_subjects_are_painted_on_pixels_half_as_wide(folder: Path) -> None:
    shapes = {path.name: np.load(path / "label.npy", mmap_mode="r").shape for path in folder.iterdir()}
    assert shapes == {"usual": (1, 256, 256), "sharp": (1, 511, 511)}


def test_sharp_slices_show_the_same_knees_acquired_finer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, float]] = []
    monkeypatch.setattr(pool, "render", lambda *acquisition: _seen(seen, *acquisition))
    monkeypatch.setattr(pool, "ProcessPoolExecutor", ThreadPoolExecutor)  # spares the start of processes
    usual, sharp = (_all_drawn(tmp_path / str(share), share) for share in (0.0, 1.0))
    same = [_mirrored_like(image, label, wanted) for (image, label), (wanted, _) in zip(sharp, usual, strict=True)]
    assert sum(bool(label.any()) for _, label in usual) >= 2
    for (image, label), (sharp_image, sharp_label) in zip(usual, same, strict=True):
        assert np.mean(sharp_label == label) > 0.995
        assert _likeness(sharp_image, image) > 0.9
    coarse, fine = np.array(seen[:3]), np.array(seen[3:])
    np.testing.assert_allclose(fine[:, 0], coarse[:, 0] / 2, rtol=1e-6)
    assert (fine[:, 1] < coarse[:, 1]).all()


def _seen(seen: list[tuple[float, float]], slab: Slab, scanner: Scanner, rng: np.random.Generator) -> np.ndarray:
    """Render, and note the painted and the acquired pixel in mm."""
    seen.append((slab.grid.pixel_mm, min(scanner.sampling.acquired_mm)))
    return render(slab, scanner, rng)


def test_sharp_slices_are_brought_to_the_pool_as_series_are_prepared() -> None:
    image = np.random.default_rng(0).random((511, 511), np.float32)
    volume = Volume(image.T[None, :, :, None], np.diag([0.25, 0.25, 3.0, 1.0]))
    prepared = resample(volume, in_plane_resampling(volume, 0.5)).array[0, :, :, 0].T
    np.testing.assert_allclose(_SHARP.to_pool.forward(image), prepared, atol=1e-5)


Drawn = tuple[np.ndarray, np.ndarray]


def _all_drawn(folder: Path, sharp_share: float) -> list[Drawn]:
    paint_pool(folder, PoolSettings(subjects=3, slices_per_subject=1, seed=6, sharp_share=sharp_share), workers=1)
    slices = SlicePool(folder, t1_share=1.0)
    return [slices.draw(index, np.random.default_rng(index)) for index in range(len(slices))]


def _mirrored_like(image: np.ndarray, label: np.ndarray, wanted: np.ndarray) -> Drawn:
    """Mirror a slice, as drawing does half of the time, where its image then fits better; some have no labels."""
    mirrored = _likeness(image[:, ::-1], wanted) > _likeness(image, wanted)
    return (image[:, ::-1], label[:, ::-1]) if mirrored else (image, label)


def _likeness(image: np.ndarray, other: np.ndarray) -> float:
    """Correlate two images."""
    return float(np.corrcoef(image.ravel(), other.ravel())[0, 1])


def test_depths_follow_the_size_of_the_knee_and_favour_the_condyles() -> None:
    child, adult = (np.array([_depth(seed, half_width) for seed in range(400)]) for half_width in (25.0, 40.0))
    np.testing.assert_allclose(child / 25.0, adult / 40.0)
    assert 0.35 < np.mean((adult > -1.2 * 40) & (adult < -0.5 * 40)) < 0.5
    assert np.mean(adult > 0.2 * 40) > 0.2


def _depth(seed: int, half_width_mm: float) -> float:
    grid = _random_grid(half_width_mm, 0.6, _USUAL, np.random.default_rng(seed))
    centre = _random_grid(0.0, 0.6, _SHARP, np.random.default_rng(seed)).centre
    return float((grid.centre - centre) @ grid.normal)


def test_a_slice_gets_another_contrast_each_time(folder: Path) -> None:
    slices = SlicePool(folder)
    first, again, other = (slices.draw(1, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
