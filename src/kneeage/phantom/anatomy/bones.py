"""The bones of the virtual knee as implicit surfaces: approximate signed distances, negative inside.

Knee coordinates (see ``kneeage.phantom.anatomy.knee``), for a distal femur of half-width 37 mm ("reference mm"). Each
bone is a stack of sections, given as radius by angle and height, cut by a few curved surfaces with rounded edges; each
part is divided by the length of its gradient, which makes it a distance near the surface.

Source: ``kneeage.phantom.anatomy.bone_tables``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, tan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kneeage.phantom.anatomy import bone_tables as tables
from kneeage.phantom.anatomy.bone_shape import BoneShape, Profile, Profiles, shaped_profiles

__all__ = ["BoneDistances", "BoneShape", "Field", "Place", "bone_distances"]

Field = NDArray[np.floating[Any]]
Place = tuple[Field, Field, Field]

# Least distances between the bones of any knee, whatever its shape, in mm; the patella's is a share of the joint's gap.
# Source: the measured knee has 3.7, 0.9 and 1.4; the values are ``assumed``, as are the radii of rounded edges below.
_TIBIA_CLEAR, _FIBULA_CLEAR, _PATELLA_CLEAR_SHARE = 3.4, 1.5, 1 / 3


@dataclass(frozen=True, eq=False)
class BoneDistances:
    """Approximate signed distances to the bones in reference mm, negative inside, arrays of one shape."""

    femur: Field
    tibia: Field
    fibula: Field
    patella: Field


def bone_distances(thigh: Place, shin: Place, shape: BoneShape, roundness: float) -> BoneDistances:
    """Signed distances to the four bones.

    Args:
        thigh: x, y, z of the points in the femur's frame in reference mm, float32 arrays of one shape.
        shin: The same points in the tibia's frame.
        shape: Individual shape.
        roundness: 0 (adult) to 1 (child of eight).

    Returns:
        Distances of the shape of the points, float32.
    """
    profiles = shaped_profiles(shape, float(roundness))
    leg = _on_tibia(shin, shape, roundness)
    femur = _femur(*thigh, profiles, shape, roundness)
    tibia = _clear_of(_tibia(*leg, profiles.tibia, shape, roundness), femur, _TIBIA_CLEAR)
    fibula = _clear_of(_fibula(*_moved(leg, shape.fibula), profiles.fibula, roundness), tibia, _FIBULA_CLEAR)
    clear = shape.joint_gap * _PATELLA_CLEAR_SHARE + 1.5 * roundness
    patella = _clear_of(_patella(thigh, shape, roundness), femur, clear)
    return BoneDistances(femur, tibia, fibula, patella)


def _femur(x: Field, y: Field, z: Field, profiles: Profiles, shape: BoneShape, roundness: float) -> Field:
    """Distance to the femur: sections, cut by the condyles' underside, by their tops and by the notch."""
    (wall, half_width, middle, groove), notch_slopes = profiles.notch.at(z)
    dip = np.exp(-(((x - tables.GROOVE_X) / tables.GROOVE_WIDTH) ** 2))
    body = _stack(x, y, z, profiles.femur, 5) + groove * dip * np.clip((y + 5) / 10, 0, 1)
    solid = _common(body, _below_condyles(x, y, z, dip, profiles.underside), 4.5 + 2 * roundness)
    solid = _common(solid, _above_condyles(x, y, z, wall, shape), 4)
    behind = (y - wall) / np.sqrt(1 + notch_slopes[0] ** 2)
    beside = np.abs(x - middle) - half_width - np.clip(-0.1 * (y + 15), -2, 2)
    return _common(solid, -_common(behind, beside, 7), 3 + 2 * roundness)


def _below_condyles(x: Field, y: Field, z: Field, dip: Field, underside: Profile) -> Field:
    """Distance below the surface that bounds condyles and groove from below (negative above it)."""
    (medial, lateral, curve, groove), slopes = underside.at(y)
    share = np.clip((x + 8) / 16, 0, 1)
    share = share * share * (3 - 2 * share)
    off = (x - tables.MEDIAL_X - (tables.LATERAL_X - tables.MEDIAL_X) * share) / 12
    height = medial + (lateral - medial) * share + curve * off**2 + groove * dip
    along_y = slopes[0] + (slopes[1] - slopes[0]) * share + slopes[2] * off**2 + slopes[3] * dip
    along_x = curve * off / 6 - 2 / tables.GROOVE_WIDTH**2 * (x - tables.GROOVE_X) * groove * dip
    return np.asarray((height - z) / np.sqrt(1 + along_x**2 + along_y**2))


def _above_condyles(x: Field, y: Field, z: Field, wall: Field, shape: BoneShape) -> Field:
    """Distance above the tops of the posterior condyles, behind the ridges beside the popliteal surface."""
    falling = shape.condyle_fall
    above = z - tables.CONDYLE_TOP - shape.condyle_top - falling * (y + 24) - shape.condyle_lean * x
    return np.asarray(np.minimum(wall - shape.ridges - y, above / hypot(1, falling, shape.condyle_lean)))


def _on_tibia(shin: Place, shape: BoneShape, roundness: float) -> Place:
    """Turn about the tibia's axis and shift by the joint's gap."""
    x, y, z = shin
    cos, sin = np.float32(np.cos(shape.turn)), np.float32(np.sin(shape.turn))
    u, w = x - tables.TIBIA_AXIS[0], y - tables.TIBIA_AXIS[1]
    gap = shape.joint_gap + 1.5 * roundness - tables.MEASURED_GAP_MM
    return u * cos - w * sin + tables.TIBIA_AXIS[0], w * cos + u * sin + tables.TIBIA_AXIS[1], z + gap


def _tibia(x: Field, y: Field, z: Field, profile: Profile, shape: BoneShape, roundness: float) -> Field:
    """Distance to the tibia: sections, cut by the plateau."""
    level, along_x, along_y = tables.PLATEAU
    along_y += tan(shape.slope) - tan(tables.MEASURED_SLOPE)
    height = level + along_x * x + along_y * (y + 17)
    for rise, from_x, from_y, width_x, width_y in _plateau_hills(roundness):
        u, w = (x - from_x) / width_x, (y - from_y) / width_y
        hill = rise * np.exp(-u * u - w * w)
        height, along_x, along_y = height + hill, along_x - 2 / width_x * u * hill, along_y - 2 / width_y * w * hill
    top = (z - height) / np.sqrt(1 + along_x**2 + along_y**2)
    return _common(_stack(x, y, z, profile, 5), top, shape.plateau_edge + 2 * roundness)


def _plateau_hills(roundness: float) -> list[tuple[float, ...]]:
    """Hills and dishes of the plateau; a child's eminence is low."""
    low = 1 - 0.5 * roundness
    return [*tables.PLATEAU_DISHES, *((hill[0] * low, *hill[1:]) for hill in tables.EMINENCE)]


def _fibula(x: Field, y: Field, z: Field, profile: Profile, roundness: float) -> Field:
    """Distance to the fibula: sections, cut by the slanting facet of the head."""
    level, along_x, along_y = tables.FIBULA_TOP
    facet = level - 4 * roundness + along_x * (x - tables.FIBULA_AXIS[0]) + along_y * (y - tables.FIBULA_AXIS[1])
    return _common(_stack(x, y, z, profile, 3), (z - facet) / hypot(1, along_x, along_y), 5)


def _patella(thigh: Place, shape: BoneShape, roundness: float) -> Field:
    """Distance to the patella: front, facets and outline."""
    size = np.float32(shape.patella_size * (1 - 0.2 * roundness))
    u, y, w = _in_patella(_moved(thigh, shape.patella), shape.patella_tilt, size)
    faces = _common(_patella_front(u, y, w), _patella_back(u, y, w), 5 + 2 * roundness)
    return _common(faces, _patella_outline(u, y, w), 4 + 3 * roundness) * size


def _in_patella(place: Place, tilt: float, size: np.float32) -> Place:
    """Coordinates about the patella's centre, turned and scaled; y stays counted from the knee's origin."""
    x, y, z = place
    middle_x, middle_y, middle_z = tables.PATELLA_CENTRE
    cos, sin = np.float32(np.cos(tilt) / size), np.float32(np.sin(tilt) / size)
    u, v = x - middle_x, y - middle_y
    return u * cos - v * sin, v * cos + u * sin + middle_y, (z - middle_z) / size


def _patella_front(u: Field, y: Field, w: Field) -> Field:
    """Distance to the patella's convex front."""
    level, along_u, along_w, bend, twist = tables.PATELLA_FRONT
    front = level + along_u * u + along_w * w + bend * u * u + twist * u * w
    return np.asarray((y - front) / np.sqrt(1 + (along_u + 2 * bend * u + twist * w) ** 2 + (along_w + twist * u) ** 2))


def _patella_back(u: Field, y: Field, w: Field) -> Field:
    """Distance to the patella's two facets, which meet at the ridge."""
    level, ridge, along_w, bend, rise, along_u = tables.PATELLA_BACK
    off = u - ridge
    edge = np.sqrt(off * off + 16)
    back = level + along_w * w + bend * w * w + rise * (edge - 4) + along_u * off
    return np.asarray((back - y) / np.sqrt(1 + (rise * off / edge + along_u) ** 2 + (along_w + 2 * bend * w) ** 2))


def _patella_outline(u: Field, y: Field, w: Field) -> Field:
    """Distance to the patella's outline, an oblique cylinder that narrows to the front."""
    lean_u, lean_w, taper = tables.PATELLA_LEAN
    depth = y - tables.PATELLA_CENTRE[1]
    cos, sin, inverse, away = _polar(u + lean_u * depth, w + lean_w * depth)
    radius, turning = _radius(tables.PATELLA_OUTLINE, cos, sin, 5)
    shrink = lean_u * cos + lean_w * sin + taper
    return np.asarray((away - radius + taper * depth) / np.sqrt(1 + (turning * inverse) ** 2 + shrink**2))


def _stack(x: Field, y: Field, z: Field, profile: Profile, orders: int) -> Field:
    """Distance to a stack of sections; the profile's columns are centre x, y, mean radius, cosines and sines."""
    values, slopes = profile.at(z)
    cos, sin, inverse, away = _polar(x - values[0], y - values[1])
    radius, turning = _radius(values[2:], cos, sin, orders)
    rising = _radius(slopes[2:], cos, sin, orders)[0] + slopes[0] * cos + slopes[1] * sin
    return np.asarray((away - radius) / np.sqrt(1 + rising**2 + (turning * inverse) ** 2))


def _polar(u: Field, w: Field) -> tuple[Field, Field, Field, Field]:
    """Cosine, sine, inverse radius and radius, all softened within a millimetre of the axis."""
    squared = u * u + w * w
    inverse = 1 / np.sqrt(squared + 1)
    return u * inverse, w * inverse, inverse, squared * inverse


def _radius(waves: Field, cos: Field, sin: Field, orders: int) -> tuple[Field, Field]:
    """Radius, and its change per radian, from its mean and its harmonics of order 2 and up."""
    radius: Field = waves[0]
    turning: Field = np.zeros_like(cos)
    cos_n, sin_n = cos, sin
    for order in range(2, orders + 1):
        cos_n, sin_n = cos_n * cos - sin_n * sin, sin_n * cos + cos_n * sin
        even, odd = waves[2 * order - 3], waves[2 * order - 2]
        radius = radius + even * cos_n + odd * sin_n
        turning = turning + np.float32(order) * (odd * cos_n - even * sin_n)
    return radius, turning


def _common(first: Field, second: Field, rounding: float) -> Field:
    """Distance to what two solids have in common, its edges rounded with a radius in mm."""
    soft = np.float32(rounding)
    outer = np.sqrt(np.maximum(first + soft, 0) ** 2 + np.maximum(second + soft, 0) ** 2)
    return np.asarray(np.minimum(np.maximum(first, second), -soft) + outer)


def _clear_of(bone: Field, other: Field, gap: float) -> Field:
    """The bone, kept a gap in mm away from another one."""
    return _common(bone, np.float32(gap) - other, 2)


def _moved(place: Place, shift: tuple[float, float, float]) -> Place:
    """Points in the frame of what was shifted."""
    x, y, z = place
    return x - np.float32(shift[0]), y - np.float32(shift[1]), z - np.float32(shift[2])
