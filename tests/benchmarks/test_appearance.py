"""Every measure finds a value that was built into an image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from benchmarks import appearance
from benchmarks.appearance import Line, Look, Start, measure

PIXEL_MM = 0.5
SIZE = 240
MARROW, MUSCLE, AIR = 100.0, 25.0, 1.0


def _look(seed: int = 0, noise: float = 0.0) -> Look:
    """A leg of marrow 100 pixels wide with a cortex, a muscle beside it, and a dark line across."""
    rng = np.random.default_rng(seed)
    image = np.full((SIZE, SIZE), AIR, np.float32)
    image[:, 60:200] = MUSCLE
    image[:, 70:170] = MARROW
    image[:, 66:70] = image[:, 170:174] = 5.0
    image[99:102, 70:170] = 30.0
    image += rng.normal(0, noise, image.shape).astype(np.float32) if noise else 0
    regions = {name: np.zeros((1, SIZE, SIZE), bool) for name in ("marrow", "muscle", "subcutaneous fat", "air")}
    regions["marrow"][0, 130:230, 80:160] = True
    regions["muscle"][0, 130:230, 180:195] = True
    regions["air"][0, :, 210:] = True
    regions["cartilage"] = np.zeros((1, SIZE, SIZE), bool)
    columns = np.arange(90, 150)
    line = Line(0, columns, np.full(len(columns), 100.5, np.float32))
    condyles = [Start(0, 114, column) for column in range(90, 150, 10)]
    return Look(image[None], PIXEL_MM, 120.0, regions, {"femur": [line]}, [Start(0, 180, 120)], condyles, [0], [0])


def test_ratios_are_relative_to_marrow() -> None:
    found = measure(_look())
    assert (found["muscle"], found["air"]) == pytest.approx((0.25, 0.01))
    assert np.isnan(found["cartilage"])


def test_the_shaft_shows_its_cortex_and_a_sharp_edge() -> None:
    found = measure(_look())
    assert found["cortex"] == pytest.approx(0.05)
    assert found["edge spread, mm"] == pytest.approx(0.8 * PIXEL_MM, abs=0.05)


def test_a_blurred_edge_is_as_wide_as_its_blur() -> None:
    sharp = _look()
    # Wide structures alone: the cortex is taken away, so that the edge falls to a plateau.
    image = np.where(np.arange(SIZE) < 120, MARROW, 0.0)[None, None] * np.ones((1, SIZE, 1))
    blurred = ndimage.gaussian_filter1d(image, 2.0, axis=2).astype(np.float32)
    profile = blurred[0, 180, 80:]
    edge = appearance._edge(profile, sharp.pixel_mm)
    assert edge is not None
    assert edge[1] == pytest.approx(2.563 * 2.0 * PIXEL_MM, rel=0.15)


def test_a_plate_has_its_darkness_and_width() -> None:
    found = measure(_look())
    assert found["femur darkest"] == pytest.approx(0.3, abs=0.03)
    assert found["femur width, mm"] == pytest.approx(3 * PIXEL_MM, abs=0.25)
    assert found["femur step"] == pytest.approx(1.0)


def test_texture_is_what_was_added() -> None:
    found = measure(_look(noise=10.0))
    expected = 0.1 / (2 * np.sqrt(np.pi) * 0.25 / PIXEL_MM)
    assert found["texture SD"] == pytest.approx(expected, rel=0.25)


def test_texture_with_its_noise_is_all_that_was_added() -> None:
    assert measure(_look(noise=10.0))["unfiltered SD"] == pytest.approx(0.1, rel=0.05)


def test_a_cap_is_as_thick_as_what_is_black() -> None:
    look = _look()
    image = look.images.copy()
    assert measure(look)["cap, mm"] == 0.0
    image[0, 99:102, 70:170] = 2.0
    image[0, :99, 70:170] = MUSCLE
    assert measure(replace(look, images=image))["cap, mm"] == pytest.approx(3 * PIXEL_MM, abs=0.3)


def test_fat_that_is_brighter_than_marrow_is_counted() -> None:
    look = _look()
    image = look.images.copy()
    fat = np.zeros_like(look.regions["marrow"])
    fat[0, 130:230, 60:64] = True
    image[0, 130:155, 60:64] = MARROW + 1
    found = measure(replace(look, images=image, regions={**look.regions, "subcutaneous fat": fat}))
    assert found["brighter fat"] == pytest.approx(0.25)


def test_shading_is_a_factor() -> None:
    even = _look()
    ramp = np.linspace(1.0, 2.0, SIZE, dtype=np.float32)[None, :, None]
    assert measure(even)["shading"] == pytest.approx(1.0, abs=0.01)
    assert measure(replace(even, images=even.images * ramp))["shading"] == pytest.approx(1.9, abs=0.15)


def test_a_straight_leg_has_no_bumps() -> None:
    assert measure(_look())["outline, mm"] == pytest.approx(0.0, abs=1e-6)
