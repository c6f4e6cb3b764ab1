"""Tests of slice grids: where their pixels lie."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.phantom.anatomy.slab import SliceGrid, oblique_axes, plane_weights


def test_axes_are_orthonormal_and_run_medially_and_down() -> None:
    axes = np.stack(oblique_axes(0.2, -0.1, 0.05))
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert axes[0, 0] < -0.9
    assert axes[1, 2] < -0.9
    assert axes[2, 1] > 0.9


def test_a_quarter_turn_makes_a_sagittal_slice() -> None:
    columns_to, rows_to, normal = oblique_axes(np.pi / 2, 0.0, 0.0)
    np.testing.assert_allclose(columns_to, (0, -1, 0), atol=1e-12)
    np.testing.assert_allclose(rows_to, (0, 0, -1), atol=1e-12)
    np.testing.assert_allclose(normal, (-1, 0, 0), atol=1e-12)


def test_the_middle_pixel_lies_at_the_centre_and_offsets_follow_the_normal() -> None:
    grid = SliceGrid(np.array([1.0, 2.0, 3.0]), *oblique_axes(0.0, 0.0, 0.0), (11, 21), 0.5, 3.0)
    x, y, z = grid.points(np.array([5.0, 6.0]), np.array([10.0]), 1.5)
    np.testing.assert_allclose([x[0, 0], y[0, 0], z[0, 0]], (1.0, 3.5, 3.0), atol=1e-6)
    np.testing.assert_allclose(z[1, 0], 2.5, atol=1e-6)


def test_the_profile_of_a_slice_falls_to_its_faces() -> None:
    weights = plane_weights(5)
    assert weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(weights, weights[::-1])
    assert weights[0] == pytest.approx(0.6 * weights[2])
    assert plane_weights(1).tolist() == [1.0]
