"""Tests of the growth plates: closing front, thickness, profile across, labels."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import Label
from kneeage.phantom.anatomy.plates import (
    SCAR_THICKNESS_MM,
    THINNEST_OPEN_MM,
    Closure,
    Plate,
    PlateRun,
    label_plate,
    perpendicular,
    weigh,
)
from kneeage.phantom.growth.latents import PlateLatents
from tests.phantom.knees import plate

X, Y = (c.ravel().astype(np.float32) for c in np.meshgrid(np.arange(-36.0, 37.0), np.arange(-30.0, 25.0)))
INSIDE = np.hypot(X / 36, (Y + 3) / 27) < 1
X, Y = X[INSIDE], Y[INSIDE]
PHASES = np.array([0.3, 1.7, 4.0], np.float32)
VALUES = (Label.DISTAL_FEMUR_PHYSIS, Label.DISTAL_FEMUR_PHYSEAL_SCAR)


def closed_at(latents: PlateLatents) -> np.ndarray:
    return np.asarray(Closure(latents, PHASES, (X, Y)).fields(X, Y)[0] < 0)


def across(latents: PlateLatents, *, closed: bool = False) -> tuple[np.ndarray, Plate]:
    """A plate seen along one line across it."""
    distance = np.linspace(-4, 4, 801, dtype=np.float32)
    same = np.ones_like(distance)
    found = Plate(
        distance, same * latents.thickness_mm, np.full(distance.shape, closed), same * latents.scar, latents.border
    )
    return distance, found


@pytest.mark.parametrize("bridged", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_closed_share_of_the_extent_is_exact(bridged: float) -> None:
    assert closed_at(plate(bridged=bridged)).mean() == pytest.approx(bridged, abs=0.005)


def test_bridging_begins_behind_the_centre_and_where_the_latents_say() -> None:
    behind = closed_at(plate(bridged=0.2, patchiness=0.0, bridging_posterior_mm=6.0))
    assert Y[behind].mean() == pytest.approx(Y.mean() - 6.0, abs=1.5)
    lateral = closed_at(plate(bridged=0.2, patchiness=0.0, bridging_lateral_mm=8.0))
    assert X[lateral].mean() == pytest.approx(8.0, abs=1.5)


def test_periphery_closes_last() -> None:
    closed = closed_at(plate(bridged=0.6))
    outer = np.hypot(X / 36, (Y + 3) / 27) > 0.9
    assert closed[outer].mean() < 0.3 < closed[~outer].mean()


def test_patchiness_makes_the_front_ragged() -> None:
    smooth, ragged = (closed_at(plate(bridged=0.5, patchiness=p)) for p in (0.0, 1.0))
    radius = np.hypot(X / 36, (Y + 3) / 27)
    assert radius[ragged].std() > radius[smooth].std()


@pytest.mark.parametrize("bridged", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("thickness_mm", [0.8, 2.0])
def test_mean_thickness_of_the_open_part_is_the_latent(thickness_mm: float, bridged: float) -> None:
    beyond, thickness, _ = Closure(plate(thickness_mm, bridged, unevenness=0.4), PHASES, (X, Y)).fields(X, Y)
    assert thickness[beyond > 0].mean() == pytest.approx(thickness_mm, rel=0.01)


def test_a_plate_thins_towards_a_bar_as_towards_a_bridge() -> None:
    closure = Closure(plate(2.0, unevenness=0.0), PHASES, (X, Y))
    bar = np.asarray((np.hypot(X - 10, Y) - 5) / 30, np.float32)
    beyond, thickness, _ = closure.fields(X, Y, bar)
    np.testing.assert_array_equal(beyond < 0, bar < 0)
    assert thickness[(bar > 0) & (bar < 0.03)].mean() < 0.75 * thickness[bar > 0.3].mean()


def test_a_plate_thins_towards_a_bridge() -> None:
    beyond, thickness, _ = Closure(plate(2.0, 0.5, patchiness=0.0), PHASES, (X, Y)).fields(X, Y)
    assert thickness[(beyond > 0) & (beyond < 0.03)].mean() < 0.75 * thickness[beyond > 0.3].mean()
    assert thickness.min() >= THINNEST_OPEN_MM


def test_thick_plate_has_two_dark_borders_about_grey_cartilage() -> None:
    distance, found = across(plate(2.5, border=1.0))
    weights = weigh(found, 0.2)
    middle = np.abs(distance) < 0.2
    edge = np.abs(np.abs(distance) - 1.05) < 0.05
    assert weights.cartilage[middle].min() > 0.95
    assert weights.border[edge].min() > 0.9
    assert weights.border[middle].max() < 0.05


def test_borders_of_a_thin_plate_merge_into_one_dark_line() -> None:
    distance, found = across(plate(0.8, border=1.0))
    weights = weigh(found, 0.2)
    assert weights.border[np.abs(distance) < 0.2].min() > 0.95


@pytest.mark.parametrize("pixel_mm", [0.2, 0.5, 1.0])
def test_a_thin_plate_keeps_its_amount_of_signal_at_any_pixel(pixel_mm: float) -> None:
    distance, found = across(plate(0.8))
    weights = weigh(found, pixel_mm)
    assert np.trapezoid(weights.cartilage + weights.border, distance) == pytest.approx(0.8, rel=0.1)


def test_a_scar_is_one_line_as_strong_as_its_latent() -> None:
    distance, found = across(plate(2.0, scar=0.4), closed=True)
    weights = weigh(found, 0.2)
    assert weights.scar.max() == pytest.approx(0.4, abs=0.01)
    assert np.trapezoid(weights.scar, distance) == pytest.approx(0.4 * SCAR_THICKNESS_MM, rel=0.1)
    assert weights.cartilage.max() == weights.border.max() == 0


@pytest.mark.parametrize(("closed", "scar", "expected"), [(False, 0.5, 1), (True, 0.5, 9), (True, 0.05, 0)])
def test_label_follows_closure_and_visibility_not_darkness(closed: bool, scar: float, expected: int) -> None:
    distance, found = across(plate(1.2, scar=scar), closed=closed)
    label = np.zeros(distance.shape, np.uint8)
    label_plate(label, found, np.ones(distance.shape, bool), VALUES, 0.5)
    assert label[np.abs(distance) < 0.2].max() == expected
    assert label[np.abs(distance) > 0.7].max() == 0


def test_labelled_width_is_the_thickness_but_at_least_a_pixel() -> None:
    for thickness, pixel, width in ((2.0, 0.5, 2.0), (0.6, 1.0, 1.0)):
        distance, found = across(plate(thickness))
        label = np.zeros(distance.shape, np.uint8)
        label_plate(label, found, np.ones(distance.shape, bool), VALUES, pixel)
        assert (label > 0).sum() * 0.01 == pytest.approx(width, abs=0.03)


def test_distance_is_taken_at_right_angles() -> None:
    height = np.array([1.0, -2.0], np.float32)
    surface = np.zeros(2, np.float32)
    found = perpendicular(height, surface, (surface + 1, surface))
    np.testing.assert_allclose(found, height / np.sqrt(2), rtol=1e-6)


def test_femoral_plate_is_an_m_and_the_tibial_a_gentle_arch() -> None:
    x, zero = np.linspace(-36, 36, 73, dtype=np.float32), np.zeros(73, np.float32)
    femoral, tibial = [], []
    for seed in range(20):
        run = PlateRun.draw(np.random.default_rng(seed))
        femoral.append(run.femoral_surface(x, zero, 0.0))
        tibial.append(run.tibial_surface(x, zero, 0.0))
    middle, condyle, margin = 36, 14, 0
    mean = np.mean(femoral, axis=0)
    assert mean[middle] > mean[condyle] < mean[margin]
    assert np.ptp(np.mean(tibial, axis=0)) < 4
