"""Tests of the protocol families."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import Plane
from kneeage.phantom.scanner.protocol import HOSPITAL_A, HOSPITAL_B, Hospital, Protocol, draw_protocol
from kneeage.phantom.scanner.sequence import Weighting


def drawn(hospital: Hospital, plane: Plane = Plane.CORONAL, *, volumetric: bool = False) -> list[Protocol]:
    return [
        draw_protocol(hospital, np.random.default_rng(seed), plane=plane, volumetric=volumetric) for seed in range(30)
    ]


@pytest.mark.parametrize(
    ("hospital", "pixels", "slices", "tesla"),
    [(HOSPITAL_A, (288, 320), (22, 25), 3.0), (HOSPITAL_B, (256, 256), (20, 23), 1.5)],
)
def test_coronal_series_lie_in_their_ranges(
    hospital: Hospital, pixels: tuple[int, int], slices: tuple[int, int], tesla: float
) -> None:
    for protocol in drawn(hospital):
        assert pixels[0] <= protocol.pixels <= pixels[1]
        assert slices[0] <= protocol.slices == len(protocol.grids()) <= slices[1]
        assert 150 <= protocol.pixels * protocol.pixel_mm <= 180
        assert 2.5 <= protocol.thickness_mm < protocol.spacing_mm <= 4.6
        assert protocol.sequence.field_strength_tesla == tesla
        assert protocol.sequence.weighting is Weighting.T1


def test_hospitals_differ() -> None:
    a, b = drawn(HOSPITAL_A), drawn(HOSPITAL_B)
    assert max(p.thickness_mm for p in a) < max(p.thickness_mm for p in b)
    assert max(p.pixel_mm for p in a) < min(p.pixel_mm for p in b)


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


def test_volumetric_series_are_thin_and_without_gap() -> None:
    for protocol in drawn(HOSPITAL_A, volumetric=True):
        assert 0.8 <= protocol.thickness_mm == protocol.spacing_mm <= 1.0
        assert protocol.slices * protocol.spacing_mm > 75


def test_series_follow_from_the_seed() -> None:
    first, again = (draw_protocol(HOSPITAL_A, np.random.default_rng(8)) for _ in range(2))
    assert first.sequence == again.sequence
    assert first.obliquity == again.obliquity
    np.testing.assert_array_equal(first.centre, again.centre)
