"""Grey-scale operations remove or raise details smaller than the disk."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.volume import Volume
from kneeage.prepare.morphology import MorphologyOperation, disk_footprint, grey_morphology


@pytest.fixture
def lines() -> Volume:
    """A thin bright and a thin dark line on grey, and a wide bright band."""
    slices = np.full((2, 40, 40), 10.0, np.float32)
    slices[:, 8], slices[:, 16], slices[:, 24:36] = 15, 5, 20
    return Volume(np.moveaxis(slices, (0, 1, 2), (2, 1, 0))[None], np.diag([0.5, 0.5, 3, 1]))


@pytest.mark.parametrize(
    ("operation", "bright", "dark", "wide"),
    [
        ("opening", 10, 5, 20),
        ("closing", 15, 10, 20),
        ("white_top_hat", 5, 0, 0),
        ("black_top_hat", 0, 5, 0),
        ("enhance", 20, 0, 20),
    ],
)
def test_small_details_change_and_wide_ones_stay(
    lines: Volume, operation: MorphologyOperation, bright: float, dark: float, wide: float
) -> None:
    rows = grey_morphology(lines, operation, radius_mm=1.5).array[0, 20, :, 1]
    assert (rows[8], rows[16], rows[30]) == (bright, dark, wide)


def test_disk_is_round_in_mm() -> None:
    disk = disk_footprint(2.0, 0.5, 1.0)
    assert disk.shape == (5, 9)
    assert disk[0].sum() == 1
    assert disk[2].all()


def test_disk_smaller_than_a_voxel_is_one_voxel() -> None:
    assert disk_footprint(0.1, 0.5, 0.5).tolist() == [[True]]
