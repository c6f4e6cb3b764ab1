"""Tests of the pool of painted slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kneeage.phantom.cohort.pool import POOL_PIXELS, PoolSettings, SlicePool, paint_pool


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    paint_pool(folder, PoolSettings(subjects=1, slices_per_subject=2, seed=4), workers=1)
    return folder


def test_pool_gives_standardised_slices_with_labels(folder: Path) -> None:
    pool = SlicePool(folder)
    image, label = pool.draw(0, np.random.default_rng(0))
    assert len(pool) == 2
    assert image.shape == label.shape == (POOL_PIXELS, POOL_PIXELS)
    assert image.dtype == np.float32
    assert label.dtype == np.uint8
    assert np.isfinite(image).all()
    assert label.max() <= 11


def test_a_slice_gets_another_contrast_each_time(folder: Path) -> None:
    pool = SlicePool(folder)
    first, again, other = (pool.draw(1, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
