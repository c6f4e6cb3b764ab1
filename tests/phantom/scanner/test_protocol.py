"""Tests of the protocol families."""

from __future__ import annotations

from operator import attrgetter

import numpy as np
import pytest

from kneeage.core.anatomy import Plane
from kneeage.phantom.scanner.protocol import HOSPITAL_A, HOSPITAL_B, Hospital, Protocol, draw_protocol
from kneeage.phantom.scanner.sequence import Weighting

PLANES = {Plane.CORONAL: (-42.0, 25.0), Plane.SAGITTAL: (-39.0, 38.0)}


def drawn(
    hospital: Hospital, plane: Plane = Plane.CORONAL, *, volumetric: bool = False, count: int = 30
) -> list[Protocol]:
    return [
        draw_protocol(hospital, np.random.default_rng(seed), plane=plane, volumetric=volumetric)
        for seed in range(count)
    ]


@pytest.mark.parametrize("plane", list(PLANES))
@pytest.mark.parametrize(
    ("hospital", "pixels", "tesla"), [(HOSPITAL_A, (320, 640), 3.0), (HOSPITAL_B, (256, 384), 1.5)]
)
def test_series_lie_in_their_ranges(hospital: Hospital, pixels: tuple[int, int], tesla: float, plane: Plane) -> None:
    for protocol in drawn(hospital, plane):
        assert pixels[0] <= protocol.pixels <= pixels[1]
        assert 18 <= protocol.slices == len(protocol.grids()) <= 40
        assert 120 <= protocol.pixels * protocol.pixel_mm <= 200
        assert 0.18 < protocol.pixel_mm <= 0.6
        assert 2.5 <= protocol.thickness_mm <= 4.5
        assert protocol.thickness_mm < protocol.spacing_mm
        assert protocol.sequence.field_strength_tesla == tesla
        assert protocol.sequence.weighting is Weighting.T1


def test_hospitals_differ() -> None:
    a, b = drawn(HOSPITAL_A, count=100), drawn(HOSPITAL_B, count=100)
    for what in (attrgetter("thickness_mm"), attrgetter("pixel_mm")):
        assert max(map(what, a)) < max(map(what, b))
        assert np.median([*map(what, a)]) < 0.9 * np.median([*map(what, b)])


def test_all_matrices_are_used_and_a_series_costs_not_much_more_than_24_slices_of_320() -> None:
    a = drawn(HOSPITAL_A, count=200)
    assert {p.pixels for p in a} == {320, 384, 448, 512, 640}
    assert np.mean([p.slices * p.pixels**2 for p in a]) < 1.8 * 24 * 320**2


@pytest.mark.parametrize("hospital", [HOSPITAL_A, HOSPITAL_B])
@pytest.mark.parametrize("plane", list(PLANES))
@pytest.mark.parametrize("volumetric", [False, True])
def test_stack_reaches_through_the_plates(hospital: Hospital, plane: Plane, volumetric: bool) -> None:
    # Along the normal, mm from the middle of the knee: 95 % of virtual plates lie within.
    low, high = PLANES[plane]
    for protocol in drawn(hospital, plane, volumetric=volumetric):
        reach = (protocol.slices - 1) / 2 * protocol.spacing_mm
        middle = protocol.centre[1 if plane is Plane.CORONAL else 0]
        assert middle - reach < low
        assert middle + reach > high


@pytest.mark.parametrize(
    ("plane", "columns_to", "normal"),
    [(Plane.CORONAL, (-1, 0, 0), (0, -1, 0)), (Plane.SAGITTAL, (0, -1, 0), (-1, 0, 0))],
)
def test_slices_run_as_documented(plane: Plane, columns_to: tuple[int, ...], normal: tuple[int, ...]) -> None:
    for protocol in drawn(HOSPITAL_B, plane):
        grids = protocol.grids()
        stack = grids[-1].centre - grids[0].centre
        assert grids[0].columns_to @ np.array(columns_to) > 0.9
        assert grids[0].rows_to @ np.array([0, 0, -1]) > 0.9
        np.testing.assert_allclose(stack / np.linalg.norm(stack), grids[0].normal, atol=1e-12)
        assert grids[0].normal @ np.array(normal) > 0.9
        assert np.linalg.norm(grids[1].centre - grids[0].centre) == pytest.approx(protocol.spacing_mm)


def test_axes_are_orthonormal() -> None:
    for protocol in drawn(HOSPITAL_A, Plane.SAGITTAL):
        axes = np.stack(protocol.axes())
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("hospital", [HOSPITAL_A, HOSPITAL_B])
def test_volumetric_series_are_thin_and_without_gap(hospital: Hospital) -> None:
    for protocol in drawn(hospital, volumetric=True):
        assert 0.8 <= protocol.thickness_mm == protocol.spacing_mm <= 1.0
        assert 0.4 * protocol.spacing_mm < protocol.pixel_mm < protocol.spacing_mm


def test_series_follow_from_the_seed() -> None:
    first, again = (draw_protocol(HOSPITAL_A, np.random.default_rng(8)) for _ in range(2))
    assert first.sequence == again.sequence
    assert first.obliquity == again.obliquity
    np.testing.assert_array_equal(first.centre, again.centre)
