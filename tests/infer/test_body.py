"""The part of an image that holds the leg."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kneeage.infer.body import MARGIN_MM, body_box

SPACING_MM = 2.0
MARGIN = round(MARGIN_MM / SPACING_MM)


def slices_with(columns: slice, rows: slice) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    slices = np.abs(rng.normal(0, 0.02, (5, 90, 80))).astype(np.float32)
    slices[:, rows, columns] = 1.0
    return slices


def box(slices: NDArray[np.float32]) -> tuple[slice, slice]:
    return body_box(slices, (SPACING_MM, SPACING_MM, 4.0))


def test_the_leg_is_found_with_a_margin() -> None:
    rows, columns = box(slices_with(slice(30, 50), slice(20, 70)))
    assert columns == slice(30 - MARGIN, 50 + MARGIN)
    assert rows == slice(20 - MARGIN, 70 + MARGIN)


def test_the_margin_ends_at_the_image() -> None:
    rows, columns = box(slices_with(slice(2, 80), slice(0, 90)))
    assert columns == slice(0, 80)
    assert rows == slice(0, 90)


def test_single_bright_voxels_in_air_do_not_widen_the_box() -> None:
    slices = slices_with(slice(30, 50), slice(20, 70))
    spotted = slices.copy()
    spotted[1, 5, 3] = 1.0
    assert box(spotted) == box(slices)


def test_a_constant_image_is_kept_whole() -> None:
    assert box(np.zeros((3, 50, 40), np.float32)) == (slice(0, 50), slice(0, 40))
