from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kneeage.core.anatomy import Plane
from kneeage.core.errors import GeometryError
from kneeage.core.volume import orientation_codes
from kneeage.io.geometry import SlicePlane, Stack, plane_of_orientation, prove_stack
from tests.io.support import AXIAL, CORONAL, SAGITTAL


def _planes(count: int = 6, step: float = 3.8, cosines: tuple[float, ...] = CORONAL) -> list[SlicePlane]:
    normal = np.cross(cosines[:3], cosines[3:])
    return [
        SlicePlane(tuple(np.array([1.0, 2, 3]) + k * step * normal), cosines, (0.5, 0.4), 3.0, None)
        for k in range(count)
    ]


def _moved(planes: list[SlicePlane], k: int, offset: tuple[float, float, float]) -> list[SlicePlane]:
    position = tuple(np.array(planes[k].position_mm) + offset)
    return [*planes[:k], replace(planes[k], position_mm=position), *planes[k + 1 :]]


def _prove(planes: list[SlicePlane]) -> Stack:
    return prove_stack(planes, [f"f{k}" for k in range(len(planes))])


def test_the_affine_is_ras() -> None:
    stack = _prove(_planes())
    expected = [[-0.4, 0, 0, -1], [0, 0, -3.8, -2], [0, -0.5, 0, 3], [0, 0, 0, 1]]
    np.testing.assert_allclose(stack.affine, expected, atol=1e-12)
    assert stack.notes == ()


@pytest.mark.parametrize("codes", [a + b for a in ("xyz", "yzx", "zxy", "xzy", "zyx", "yxz") for b in "01234567"])
def test_every_orientation_maps_world_positions(codes: str) -> None:
    """Rows, columns and slices may run along any body axis, in either direction."""
    column, row = np.eye(3)["xyz".index(codes[0])], np.eye(3)["xyz".index(codes[1])]
    sign = int(codes[3])
    cosines = (*(column * (1 - 2 * (sign & 1))), *(row * (1 - (sign & 2))))
    planes = _planes(4, cosines=cosines)
    planes = planes[::-1] if sign & 4 else planes
    stack = _prove(planes)
    for k, n in enumerate(stack.order):
        lps = np.array(planes[n].position_mm) + 2 * 0.4 * np.array(cosines[:3]) + 3 * 0.5 * np.array(cosines[3:])
        np.testing.assert_allclose((stack.affine @ [2, 3, k, 1])[:3], lps * [-1, -1, 1], atol=1e-9)
    assert len(set(orientation_codes(stack.affine))) == 3


def test_slices_are_ordered_along_the_normal() -> None:
    planes = _planes()
    assert _prove([planes[n] for n in (3, 0, 5, 1, 4, 2)]).order == (1, 3, 5, 0, 4, 2)


def test_an_oblique_stack_keeps_its_angle() -> None:
    a = np.radians(30)
    cosines = (np.cos(a), np.sin(a), 0.0, 0.0, 0.0, -1.0)
    stack = _prove(_planes(cosines=cosines))
    np.testing.assert_allclose(stack.affine[:3, 0], [-0.4 * np.cos(a), -0.4 * np.sin(a), 0], atol=1e-12)
    assert np.linalg.norm(stack.affine[:3, 2]) == pytest.approx(3.8)


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("position_mm", r"Image Position \(Patient\)"),
        ("orientation", r"Image Orientation \(Patient\)"),
        ("pixel_spacing_mm", "Pixel Spacing"),
    ],
)
def test_an_absent_value_is_named(attribute: str, name: str) -> None:
    planes = _planes()
    planes[2] = replace(planes[2], **{attribute: None})
    with pytest.raises(GeometryError, match=f"f2 has no valid {name}"):
        _prove(planes)


def test_zero_pixel_spacing_is_refused() -> None:
    with pytest.raises(GeometryError, match="not above 0"):
        _prove([replace(plane, pixel_spacing_mm=(0.0, 0.4)) for plane in _planes()])


def test_another_orientation_is_named() -> None:
    planes = _planes()
    planes[3] = replace(planes[3], orientation=(np.cos(0.05), np.sin(0.05), 0.0, 0.0, 0.0, -1.0))
    with pytest.raises(GeometryError, match=r"f3 is oriented differently from f0 .*tolerance is 0\.002"):
        _prove(planes)


def test_another_pixel_spacing_is_named() -> None:
    planes = _planes()
    planes[3] = replace(planes[3], pixel_spacing_mm=(0.5, 0.41))
    with pytest.raises(GeometryError, match=r"f3 has another pixel spacing than f0 \(2\.5 % apart\)"):
        _prove(planes)


def test_cosines_are_repaired_within_the_tolerance_and_recorded() -> None:
    stack = _prove(_planes(cosines=(1.0, 0.0005, 0.0, 0.0005, 0.0, -1.0)))
    columns = stack.affine[:3, :2] / np.linalg.norm(stack.affine[:3, :2], axis=0)
    assert columns[:, 0] @ columns[:, 1] == pytest.approx(0, abs=1e-12)
    assert any("made orthonormal" in note for note in stack.notes)


@pytest.mark.parametrize("cosines", [(1.0, 0.0, 0.0, 0.1, 0.0, -1.0), (0.9, 0, 0, 0, 0, -1.0), (0.0,) * 6])
def test_cosines_beyond_the_tolerance_are_refused(cosines: tuple[float, ...]) -> None:
    with pytest.raises(GeometryError, match="not orthonormal"):
        _prove([replace(plane, orientation=cosines) for plane in _planes()])


def test_a_missing_slice_is_named() -> None:
    planes = _planes()
    with pytest.raises(GeometryError, match=r"missing between slice 3 \(f2\) and slice 4 \(f3\): .*7\.60 mm.*3\.80 mm"):
        _prove([*planes[:3], *planes[4:]])


def test_a_missing_slice_among_three_is_refused() -> None:
    planes = _planes(4)
    with pytest.raises(GeometryError, match="a slice is missing"):
        _prove([planes[0], planes[1], planes[3]])


def test_a_duplicated_slice_is_named() -> None:
    planes = _planes()
    with pytest.raises(GeometryError, match=r"slice 3 \(f2\) and slice 4 \(f6\) are at the same position"):
        _prove([*planes, planes[2]])


def test_small_unevenness_is_noted() -> None:
    stack = _prove(_moved(_planes(), 2, (0, 0.1, 0)))
    assert stack.notes == ("slice distances differ by up to 2.6 %",)


def test_large_unevenness_is_named() -> None:
    with pytest.raises(GeometryError, match=r"unevenly spaced: slice 2 \(f1\) and slice 3 \(f2\).*tolerance 5 %"):
        _prove(_moved(_planes(), 2, (0, 0.5, 0)))


def test_a_slice_shifted_sideways_is_named() -> None:
    with pytest.raises(GeometryError, match=r"slice 4 \(f3\) is shifted sideways by 1\.00 mm"):
        _prove(_moved(_planes(), 3, (1.0, 0, 0)))


def _tilted(degrees: float) -> list[SlicePlane]:
    shift = 3.8 * np.tan(np.radians(degrees))
    planes = _planes()
    for k in range(len(planes)):
        planes = _moved(planes, k, (k * shift, 0, 0))
    return planes


def test_a_small_tilt_is_in_the_affine_and_noted() -> None:
    stack = _prove(_tilted(2))
    assert stack.notes == ("stack tilted by 2.0 degrees; the affine carries it",)
    assert stack.affine[0, 2] == pytest.approx(-3.8 * np.tan(np.radians(2)))


def test_a_large_tilt_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"tilted by 10\.0 degrees .*tolerance 5 degrees"):
        _prove(_tilted(10))


def test_a_stated_slice_distance_that_disagrees_is_noted() -> None:
    planes = [replace(plane, spacing_mm=0.8) for plane in _planes()]
    assert _prove(planes).notes == (
        "the header states 0.80 mm between slices, their positions 3.80 mm; the positions count",
    )


@pytest.mark.parametrize(
    ("spacing", "thickness", "expected"),
    [(3.8, 3.0, 3.8), (None, 3.0, 3.0), (0.0, 3.0, 3.0), (1e300, 3.0, 3.0), (None, None, 1.0)],
)
def test_one_slice_takes_its_distance_from_the_header(
    spacing: float | None, thickness: float | None, expected: float
) -> None:
    plane = replace(_planes(1)[0], spacing_mm=spacing, thickness_mm=thickness)
    stack = _prove([plane])
    assert np.linalg.norm(stack.affine[:3, 2]) == pytest.approx(expected)
    assert bool(stack.notes) == (thickness is None)


def test_planes_are_named() -> None:
    assert [plane_of_orientation(o) for o in (CORONAL, SAGITTAL, AXIAL)] == [Plane.CORONAL, Plane.SAGITTAL, Plane.AXIAL]
    assert plane_of_orientation((1, 0, 0, 1, 0, 0)) is None
