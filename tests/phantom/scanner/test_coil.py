"""Tests of the virtual receiving coil."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kneeage.phantom.scanner.coil import Coil, coil_gain, draw_coil

ORIGIN = np.zeros(1, np.float32)


def drawn(count: int = 40) -> list[Coil]:
    return [draw_coil((2, 10), (0.0, 1.0), np.random.default_rng(seed)) for seed in range(count)]


def test_gain_is_one_in_the_middle_of_the_knee() -> None:
    for coil in drawn():
        assert coil_gain(coil, ORIGIN, ORIGIN, ORIGIN) == pytest.approx(1)


def test_coils_shade_by_a_factor_of_two_and_more_over_the_field_of_view() -> None:
    x, y, z = (axis.astype(np.float32) for axis in np.meshgrid(*[np.linspace(-60, 60, 9)] * 3, indexing="ij"))
    gains = [coil_gain(coil, x, y, z) for coil in drawn()]
    assert np.median([gain.max() / gain.min() for gain in gains]) > 2


def test_gain_falls_off_at_the_ends_of_the_coil() -> None:
    ends = [coil_gain(coil, ORIGIN, ORIGIN, ORIGIN + sign * 110).item() for coil in drawn() for sign in (-1, 1)]
    assert np.median(ends) < 0.6


def test_single_element_falls_as_a_loop_on_its_axis() -> None:
    single = replace(
        drawn(1)[0],
        elements=np.zeros((1, 3), np.float32),
        weights=np.ones(1, np.float32),
        radius_mm=50.0,
        reach_mm=1e6,
        slope=np.zeros(3, np.float32),
    )
    assert coil_gain(single, ORIGIN + 50, ORIGIN, ORIGIN) == pytest.approx(2**-1.5, rel=1e-5)
