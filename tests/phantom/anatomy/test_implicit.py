"""Tests of operations on implicit bodies."""

from __future__ import annotations

import numpy as np

from kneeage.phantom.anatomy.implicit import apart, blend, either

LINE = np.linspace(-10, 10, 201, dtype=np.float32)
LEFT, RIGHT = LINE, -LINE


def test_blend_fills_the_crease() -> None:
    union = blend(LEFT + 1, RIGHT + 1, 4.0)
    assert (union <= np.minimum(LEFT + 1, RIGHT + 1) + 1e-6).all()
    assert union[100] < 0.5


def test_apart_keeps_a_gap_of_the_given_half_width() -> None:
    parted = apart(LEFT, RIGHT, 1.0)
    outside = LINE[parted > 1e-6]
    np.testing.assert_allclose([outside.min(), outside.max()], [-0.9, 0.9], atol=0.11)


def test_either_is_zero_where_one_is() -> None:
    assert abs(either(LEFT, LEFT + 5)[[100, 50]]).max() < 1e-5
