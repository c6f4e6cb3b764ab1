"""The part of an image that holds the leg."""

from __future__ import annotations

import numpy as np

from kneeage.core.volume import Volume
from kneeage.infer.body import MARGIN_MM, body_box

SPACING_MM = 2.0
MARGIN = round(MARGIN_MM / SPACING_MM)


def image_with(columns: slice, rows: slice) -> Volume:
    rng = np.random.default_rng(0)
    array = np.abs(rng.normal(0, 0.02, (1, 80, 90, 5))).astype(np.float32)
    array[0, columns, rows] = 1.0
    return Volume(array, np.diag([SPACING_MM, SPACING_MM, 4.0, 1.0]))


def test_the_leg_is_found_with_a_margin() -> None:
    rows, columns = body_box(image_with(slice(30, 50), slice(20, 70)))
    assert columns == slice(30 - MARGIN, 50 + MARGIN)
    assert rows == slice(20 - MARGIN, 70 + MARGIN)


def test_the_margin_ends_at_the_image() -> None:
    rows, columns = body_box(image_with(slice(2, 80), slice(0, 90)))
    assert columns == slice(0, 80)
    assert rows == slice(0, 90)


def test_single_bright_voxels_in_air_do_not_widen_the_box() -> None:
    image = image_with(slice(30, 50), slice(20, 70))
    array = image.array.copy()
    array[0, 3, 5, 1] = 1.0
    assert body_box(image.with_array(array)) == body_box(image)


def test_a_constant_image_is_kept_whole() -> None:
    image = Volume(np.zeros((1, 40, 50, 3), np.float32), np.eye(4))
    assert body_box(image) == (slice(0, 50), slice(0, 40))
