"""Tests of the deformations that make one knee's shape its own."""

from __future__ import annotations

import numpy as np

from kneeage.phantom.anatomy.deform import Bend, Waves, rippled

POINTS = tuple(np.random.default_rng(0).uniform(-50, 50, (3, 200)).astype(np.float32))


def moved_mm(after: tuple[np.ndarray, ...]) -> np.ndarray:
    return np.asarray(np.linalg.norm(np.subtract(after, POINTS), axis=0))


def test_waves_move_points_by_millimetres_and_smoothly() -> None:
    waves = Waves.draw(np.random.default_rng(3))
    moved = moved_mm(waves.move(*POINTS))
    assert 0.5 < moved.max() < 12
    x, y, z = POINTS
    near = np.subtract(waves.move(x + 0.1, y, z), waves.move(x, y, z))
    np.testing.assert_allclose(near, np.broadcast_to([[0.1], [0.0], [0.0]], near.shape), atol=0.06)


def test_a_bend_keeps_distances_and_no_bend_keeps_places() -> None:
    np.testing.assert_allclose(Bend(0.0, 0.0, 0.0).turn(*POINTS), POINTS, atol=1e-5)
    turned = np.array(Bend(0.1, 0.2, -0.1).turn(*POINTS))
    lengths = [np.linalg.norm(np.diff(points, axis=1), axis=0) for points in (turned, np.array(POINTS))]
    np.testing.assert_allclose(*lengths, rtol=1e-4)


def test_the_soft_tissue_ripples_by_a_few_millimetres() -> None:
    assert 0.5 < moved_mm(rippled(*POINTS, np.float32(1.0))).max() < 5.5
