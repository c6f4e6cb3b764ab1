"""Tests of the lattice: what is smooth comes to the pixels as it is."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.phantom.anatomy.lattice import Lattice, cubic_weights
from kneeage.phantom.anatomy.slab import SliceGrid, oblique_axes

GRID = SliceGrid(np.array([3.0, -8.0, 5.0]), *oblique_axes(0.2, -0.1, 0.1), (90, 70), 0.5, 4.0)


@pytest.mark.parametrize("planes", [1, 3, 5])
def test_a_parabola_comes_to_the_pixels_exactly(planes: int) -> None:
    lattice = Lattice(GRID, planes)
    x, y, z = lattice.points()
    spread = lattice.at_pixels({"value": 0.01 * x * x - 0.02 * y * z + z})
    assert len(spread) == planes
    for number, plane in enumerate(spread):
        offset = (number - (planes - 1) / 2) / planes * GRID.thickness_mm
        x, y, z = GRID.points(np.arange(90.0), np.arange(70.0), offset)
        np.testing.assert_allclose(plane["value"], 0.01 * x * x - 0.02 * y * z + z, atol=2e-4)


def test_a_rounded_edge_of_two_centimetres_is_kept_within_a_twentieth_of_a_millimetre() -> None:
    lattice = Lattice(GRID, 3)
    x, y, z = lattice.points()
    found = lattice.at_pixels({"ball": np.sqrt((x - 3) ** 2 + (y + 8) ** 2 + (z - 5) ** 2 + 1e-6) - 10})[1]["ball"]
    x, y, z = GRID.points(np.arange(90.0), np.arange(70.0), 0.0)
    true = np.sqrt((x - 3) ** 2 + (y + 8) ** 2 + (z - 5) ** 2) - 10
    assert np.abs(found - true)[np.abs(true) < 4].max() < 0.05


@pytest.mark.parametrize("place", [0.0, 0.3, 0.5, 0.9])
def test_cubic_weights_reproduce_a_parabola(place: float) -> None:
    samples = np.array([-1.0, 0.0, 1.0, 2.0])
    weights = cubic_weights(np.abs(samples - place))
    assert weights.sum() == pytest.approx(1.0)
    assert (weights * samples**2).sum() == pytest.approx(place**2)
