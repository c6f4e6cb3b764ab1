"""Prove that the slices of a series form one volume, and say where it is in the world.

Positions and directions come in as DICOM has them (LPS, mm); the affine goes out as RAS+. This is the only place
where a read series changes from one to the other. Slices are counted from 1 along the normal of the stack.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kneeage.core.anatomy import Plane
from kneeage.core.errors import GeometryError
from kneeage.core.volume import FloatArray

# All tolerances are our own choice, set between what scanners write and what would move a growth plate.
# Departure of the row and column cosines from unit length and from a right angle: repaired up to this (0.06 degrees),
# recorded above the second value, refused beyond the first. Scanners write 5 to 12 digits.
COSINE_TOLERANCE = 1e-3
COSINE_NOTED = 1e-4
# Largest difference of one cosine between two slices of a stack (0.11 degrees).
ORIENTATION_TOLERANCE = 2e-3
# Relative difference of the pixel spacing between two slices of a stack.
PIXEL_SPACING_TOLERANCE = 1e-3
# Two slices closer than this are the same slice twice.
DUPLICATE_TOLERANCE_MM = 0.05
# Relative departure of one step from the usual step: tolerated up to the first value, recorded above the second.
# Positions rounded to 0.1 mm give 3 % on slices of 3 mm.
SPACING_TOLERANCE = 0.05
SPACING_NOTED = 0.01
# A step this many times the usual one is a missing slice, not an uneven one.
MISSING_SLICE_STEP = 1.5
# Distance of a slice from where the straight, even stack would have it, within the slice plane.
DRIFT_TOLERANCE_MM = 0.2
# Angle between the direction of the stack and the normal of its slices: recorded above the first value, refused above
# the second. Below it the affine carries the shear exactly, and slices are read one by one, so nothing is lost.
TILT_NOTED_DEGREES = 0.5
TILT_TOLERANCE_DEGREES = 5.0
# Pixels beyond this are no picture of a knee, and would become very many when they are resampled.
MAX_VOXEL_MM = 100.0
# Distance of the slices of one-slice series when the header states none.
SINGLE_SLICE_SPACING_MM = 1.0

_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_PLANE_OF_AXIS = (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)


@dataclass(frozen=True)
class SlicePlane:
    """Where one slice is, as its header has it; None where the header has no valid value.

    Args:
        position_mm: Centre of the first pixel, LPS.
        orientation: Direction cosines of increasing column, then of increasing row, LPS.
        pixel_spacing_mm: Distance between rows, then between columns.
        thickness_mm: Nominal thickness.
        spacing_mm: Distance between slice centres as stated.
    """

    position_mm: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    pixel_spacing_mm: tuple[float, ...] | None = None
    thickness_mm: float | None = None
    spacing_mm: float | None = None


@dataclass(frozen=True)
class Stack:
    """Slices in order, and their place in the world.

    Args:
        order: Index of the slice that comes first along the normal, second, and so on.
        affine: Voxel-to-world matrix, RAS+ in mm; axes columns, rows, slices.
        notes: What was repaired or tolerated.
    """

    order: tuple[int, ...]
    affine: FloatArray = field(repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Axes:
    """Unit vectors of increasing column, increasing row and the normal, LPS."""

    column: FloatArray
    row: FloatArray
    normal: FloatArray


def prove_stack(planes: Sequence[SlicePlane], labels: Sequence[str]) -> Stack:
    """Order slices along their normal and prove that they form one even, straight, complete volume.

    Args:
        planes: One per slice, in any order.
        labels: What to call each slice in messages, such as its file name.

    Returns:
        The order, the affine and what was tolerated.

    Raises:
        GeometryError: A value is absent or impossible, or the slices differ in orientation or pixel spacing, overlap,
            are unevenly spaced, are missing, drift, or are tilted beyond the tolerance.
    """
    _require_complete(planes, labels)
    axes, notes = _common_axes(planes, labels)
    spacing = _common_pixel_spacing(planes, labels)
    positions = np.array([plane.position_mm for plane in planes], dtype=np.float64)
    order = tuple(int(n) for n in np.argsort(positions @ axes.normal, kind="stable"))
    positions, ordered = positions[list(order)], _numbered(labels, order)
    step, step_notes = _slice_step(positions, axes, planes[order[0]], ordered)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = axes.column * spacing[1], axes.row * spacing[0], step
    affine[:3, 3] = positions[0]
    return Stack(order, _RAS_FROM_LPS @ affine, (*notes, *step_notes))


def plane_of_orientation(orientation: Sequence[float]) -> Plane | None:
    """Name the anatomical plane nearest to a slice; None when its two directions do not span a plane."""
    normal = np.abs(np.cross(orientation[:3], orientation[3:]))
    return _PLANE_OF_AXIS[int(np.argmax(normal))] if normal.max() > 0.1 else None


def _numbered(labels: Sequence[str], order: Sequence[int]) -> list[str]:
    """Name the slices in order, with their number along the normal."""
    return [f"slice {number} ({labels[n]})" for number, n in enumerate(order, start=1)]


def _require_complete(planes: Sequence[SlicePlane], labels: Sequence[str]) -> None:
    """Refuse slices without position, orientation or a possible pixel spacing."""
    for plane, label in zip(planes, labels, strict=True):
        for found, name in (
            (plane.position_mm, "Image Position (Patient)"),
            (plane.orientation, "Image Orientation (Patient)"),
            (plane.pixel_spacing_mm, "Pixel Spacing"),
        ):
            if found is None:
                raise GeometryError(
                    f"{label} has no valid {name}, so its place in space is unknown; export the original images"
                )
        if plane.pixel_spacing_mm is not None and not all(0 < mm <= MAX_VOXEL_MM for mm in plane.pixel_spacing_mm):
            raise GeometryError(
                f"{label} has a Pixel Spacing that is not above 0, or beyond the limit of {MAX_VOXEL_MM:g} mm; "
                "export the original images"
            )


def _common_axes(planes: Sequence[SlicePlane], labels: Sequence[str]) -> tuple[_Axes, list[str]]:
    """Prove that all slices have one orientation, and make it orthonormal within the tolerance."""
    orientations = np.array([plane.orientation for plane in planes], dtype=np.float64)
    for n, difference in enumerate(np.abs(orientations - orientations[0]).max(axis=1)):
        if difference > ORIENTATION_TOLERANCE:
            raise GeometryError(
                f"{labels[n]} is oriented differently from {labels[0]} (cosines differ by {difference:.3g}; "
                f"the tolerance is {ORIENTATION_TOLERANCE:g}); a volume needs parallel slices"
            )
    return _orthonormal(orientations[0])


def _orthonormal(orientation: FloatArray) -> tuple[_Axes, list[str]]:
    """Make the direction cosines orthonormal, or refuse them."""
    column, row = orientation[:3], orientation[3:]
    lengths = np.array([np.linalg.norm(column), np.linalg.norm(row)])
    departure = float(max(np.abs(lengths - 1).max(), abs(column @ row)))
    if departure > COSINE_TOLERANCE:
        raise GeometryError(
            f"the direction cosines are not orthonormal (departure {departure:.3g}; "
            f"the tolerance is {COSINE_TOLERANCE:g}); export the original images"
        )
    column = column / lengths[0]
    row = row - (row @ column) * column
    row = row / np.linalg.norm(row)
    notes = [f"direction cosines made orthonormal (departure {departure:.2g})"] if departure > COSINE_NOTED else []
    return _Axes(column, row, np.cross(column, row)), notes


def _common_pixel_spacing(planes: Sequence[SlicePlane], labels: Sequence[str]) -> FloatArray:
    """Prove that all slices have one pixel spacing (between rows, between columns)."""
    spacings = np.array([plane.pixel_spacing_mm for plane in planes], dtype=np.float64)
    for n, difference in enumerate(np.abs(spacings / spacings[0] - 1).max(axis=1)):
        if difference > PIXEL_SPACING_TOLERANCE:
            raise GeometryError(
                f"{labels[n]} has another pixel spacing than {labels[0]} ({100 * difference:.2g} % apart); "
                "a volume needs one pixel spacing"
            )
    return np.asarray(spacings[0])


def _slice_step(
    positions: FloatArray, axes: _Axes, first: SlicePlane, names: Sequence[str]
) -> tuple[FloatArray, list[str]]:
    """Find the vector from one slice to the next, LPS in mm."""
    if len(positions) == 1:
        return _single_slice_step(axes, first)
    steps = np.diff(positions @ axes.normal)
    _require_no_duplicates(steps, names)
    notes = _require_even(steps, names)
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    _require_straight(positions, step, axes, names)
    return step, [*notes, *_tilt_notes(step, axes), *_stated_spacing_notes(float(step @ axes.normal), first)]


def _single_slice_step(axes: _Axes, plane: SlicePlane) -> tuple[FloatArray, list[str]]:
    """Take the distance of neighbouring slices from the header where there is only one slice."""
    for stated in (plane.spacing_mm, plane.thickness_mm):
        if stated is not None and 0 < stated <= MAX_VOXEL_MM:
            return axes.normal * stated, []
    return axes.normal * SINGLE_SLICE_SPACING_MM, [
        f"one slice without stated thickness: {SINGLE_SLICE_SPACING_MM:g} mm assumed"
    ]


def _require_no_duplicates(steps: FloatArray, names: Sequence[str]) -> None:
    """Refuse two slices at one position."""
    for n, step in enumerate(steps):
        if step < DUPLICATE_TOLERANCE_MM:
            raise GeometryError(
                f"{names[n]} and {names[n + 1]} are at the same position; remove the duplicate or the second image set"
            )


def _require_even(steps: FloatArray, names: Sequence[str]) -> list[str]:
    """Refuse missing slices and uneven steps; note small departures."""
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])
    for n, step in enumerate(steps):
        if step > MISSING_SLICE_STEP * usual:
            raise GeometryError(
                f"a slice is missing between {names[n]} and {names[n + 1]}: they are {step:.2f} mm apart where the "
                f"usual step is {usual:.2f} mm; send the complete series"
            )
        if abs(step - usual) > SPACING_TOLERANCE * usual:
            raise GeometryError(
                f"the slices are unevenly spaced: {names[n]} and {names[n + 1]} are {step:.2f} mm apart where the "
                f"usual step is {usual:.2f} mm (tolerance {100 * SPACING_TOLERANCE:g} %); send the original series"
            )
    worst = float(np.abs(steps / usual - 1).max())
    return [f"slice distances differ by up to {100 * worst:.1f} %"] if worst > SPACING_NOTED else []


def _require_straight(positions: FloatArray, step: FloatArray, axes: _Axes, names: Sequence[str]) -> None:
    """Refuse a slice that lies beside the straight line of the stack."""
    expected = positions[0] + np.arange(len(positions))[:, None] * step
    offset = positions - expected
    in_plane = offset - (offset @ axes.normal)[:, None] * axes.normal
    drift = np.linalg.norm(in_plane, axis=1)
    worst = int(np.argmax(drift))
    if drift[worst] > DRIFT_TOLERANCE_MM:
        raise GeometryError(
            f"{names[worst]} is shifted sideways by {drift[worst]:.2f} mm against the others "
            f"(tolerance {DRIFT_TOLERANCE_MM:g} mm); a volume needs one straight stack"
        )


def _tilt_notes(step: FloatArray, axes: _Axes) -> list[str]:
    """Refuse a stack that leans too much; note one that leans a little."""
    cosine = float(step @ axes.normal) / float(np.linalg.norm(step))
    tilt = math.degrees(math.acos(min(1.0, cosine)))
    if tilt > TILT_TOLERANCE_DEGREES:
        raise GeometryError(
            f"the stack is tilted by {tilt:.1f} degrees against the normal of its slices "
            f"(tolerance {TILT_TOLERANCE_DEGREES:g} degrees); send an untilted series"
        )
    return [f"stack tilted by {tilt:.1f} degrees; the affine carries it"] if tilt > TILT_NOTED_DEGREES else []


def _stated_spacing_notes(measured: float, plane: SlicePlane) -> list[str]:
    """Note a stated slice distance that disagrees with the positions; the positions win."""
    stated = plane.spacing_mm
    if stated is None or stated <= 0 or abs(measured / stated - 1) <= SPACING_TOLERANCE:
        return []
    return [f"the header states {stated:.2f} mm between slices, their positions {measured:.2f} mm; the positions count"]
