"""The individual shape of the bones: how one knee differs from the measured adult knee, and its shaped profiles.

A profile is a table of a few parameters by height (or by depth); a knee's own shape is made by changing these tables,
so that no point of an image pays for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import radians

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from kneeage.phantom.anatomy import bone_tables as tables
from kneeage.phantom.anatomy.bone_tables import Rows

# Share of each angular harmonic (0 to 5) in a bulge of 1 mm that is about 60 degrees wide (``assumed``).
_BULGE = (0.18, 0.32, 0.25, 0.15, 0.07, 0.03)
_STEP_MM = 0.05
# No normal deviate is drawn larger, so that every profile can be made (``assumed``).
_LARGEST_SCORE = 3.0


@dataclass(frozen=True)
class BoneShape:
    """The individual shape of the bones of one knee, in reference mm and radians; the default is the measured knee.

    Args:
        joint_gap: Distance between the bones, cartilage included: the mean over where they bear on each other.
        medial_width: How much wider the medial condyle is, to the side; likewise ``lateral_width``.
        lateral_width: The same of the lateral condyle.
        medial_height: How much further down the medial condyle reaches; likewise ``lateral_height``.
        lateral_height: The same of the lateral condyle.
        condyle_depth: How much further back the condyles reach.
        lip: How much further the condyles' lower edges stand out to the sides.
        condyle_top: How much higher their tops reach behind the shaft.
        condyle_fall: Slope of these tops to the back; ``condyle_lean`` to medial.
        condyle_lean: Slope of these tops to medial.
        ridges: How far the ridges above them stand out behind the popliteal surface.
        epiphysis_height: Factor on the height of the condyles and the flare above them.
        notch_width: Factor on the width of the intercondylar notch.
        notch_roof: How much higher its roof lies.
        trochlea: Factor on the depth of the trochlear groove.
        flare: How much wider the femur is where it begins to flare.
        shaft: How much thicker both shafts are, in radius.
        bow: How much further to the front the femoral shaft bows at 120 mm.
        slope: Posterior slope of the tibial plateau.
        plateau_edge: Radius of its rounded edge.
        tuberosity: How much further the tibial tuberosity stands out.
        varus: Lean of the tibial shaft to medial below the flare.
        turn: Turn of the tibia about its axis, tuberosity to lateral.
        fibula: Shift of the fibula to lateral, anterior and superior.
        patella_size: Factor on the size of the patella.
        patella: Shift of the patella to lateral, anterior and superior (alta, baja).
        patella_tilt: Tilt of the patella about its long axis, lateral edge to the back.
    """

    joint_gap: float = tables.MEASURED_GAP_MM
    medial_width: float = 0.0
    lateral_width: float = 0.0
    medial_height: float = 0.0
    lateral_height: float = 0.0
    condyle_depth: float = 0.0
    lip: float = 0.0
    condyle_top: float = 2.0
    condyle_fall: float = 0.4
    condyle_lean: float = 0.0
    ridges: float = 9.0
    epiphysis_height: float = 1.0
    notch_width: float = 1.0
    notch_roof: float = 0.0
    trochlea: float = 1.0
    flare: float = 0.0
    shaft: float = 0.0
    bow: float = 0.0
    slope: float = tables.MEASURED_SLOPE
    plateau_edge: float = 3.5
    tuberosity: float = 0.0
    varus: float = 0.0
    turn: float = 0.0
    fibula: tuple[float, float, float] = (0.0, 0.0, 0.0)
    patella_size: float = 1.0
    patella: tuple[float, float, float] = (0.0, 0.0, 0.0)
    patella_tilt: float = 0.0

    @staticmethod
    def draw(rng: np.random.Generator) -> BoneShape:
        """Draw the shape of one knee's bones.

        Source: ranges ``assumed``, set wide about the measured knee; plateau slope and height of the patella span
        what is usual in adults. The measured patella lies far lateral and tilted, so most are drawn more central.
        Its popliteal surface is hollow between high ridges, the lower edges of its condyles are sharp;
        most are drawn flatter and rounder.
        """
        return BoneShape(
            joint_gap=rng.uniform(5.0, 8.0),
            medial_width=_normal(rng, 0.0, 1.2),
            lateral_width=_normal(rng, 0.0, 1.2),
            medial_height=_normal(rng, 0.0, 0.7),
            lateral_height=_normal(rng, 0.6, 0.8),
            condyle_depth=_normal(rng, 0.0, 1.5),
            lip=rng.uniform(-3.0, 0.0),
            condyle_top=rng.uniform(-0.5, 5.0),
            condyle_fall=rng.uniform(0.25, 0.8),
            condyle_lean=_normal(rng, 0.0, 0.08),
            ridges=rng.uniform(0.0, 4.5),
            epiphysis_height=_normal(rng, 1.0, 0.05),
            notch_width=rng.uniform(0.75, 1.35),
            notch_roof=_normal(rng, 0.0, 2.0),
            trochlea=rng.uniform(0.35, 1.4),
            flare=_normal(rng, 0.0, 1.3),
            shaft=_normal(rng, 0.0, 0.9),
            bow=_normal(rng, 0.0, 3.0),
            slope=radians(rng.uniform(0.0, 12.0)),
            plateau_edge=rng.uniform(3.0, 7.0),
            tuberosity=_normal(rng, 1.5, 1.8),
            varus=radians(_normal(rng, 0.0, 2.0)),
            turn=radians(_normal(rng, -6.0, 5.0)),
            fibula=(_normal(rng, 0.0, 1.8), _normal(rng, 0.5, 2.0), rng.uniform(-5.0, 5.0)),
            patella_size=rng.uniform(0.85, 1.12),
            patella=(_normal(rng, -7.0, 2.0), _normal(rng, 1.2, 0.7), rng.uniform(-8.0, 8.0)),
            patella_tilt=radians(_normal(rng, -8.0, 6.0)),
        )


def _normal(rng: np.random.Generator, mean: float, spread: float) -> float:
    """Draw from a normal distribution whose tails beyond :data:`_LARGEST_SCORE` are pulled in."""
    return mean + spread * float(np.clip(rng.standard_normal(), -_LARGEST_SCORE, _LARGEST_SCORE))


class Profile:
    """A table of parameters along one axis, made fine enough to be read at the nearest step.

    Args:
        knots: Rising positions in mm, shape (n,).
        rows: Parameters at the knots, shape (n, columns).
    """

    def __init__(self, knots: Rows, rows: Rows) -> None:
        curve = PchipInterpolator(knots, rows.T, axis=1)
        at = np.arange(knots[0], knots[-1], _STEP_MM)
        self._first = np.float32(knots[0] - _STEP_MM / 2)
        self._values = curve(at).astype(np.float32)
        self._slopes = (curve(at + 0.5) - curve(at - 0.5)).astype(np.float32)

    def at(self, position: Rows) -> tuple[Rows, Rows]:
        """Parameters and their slopes per mm at positions in mm; the ends go on unchanged.

        Args:
            position: Positions in mm, any shape.

        Returns:
            Two arrays of shape (columns, *shape).
        """
        index = ((position - self._first) * np.float32(1 / _STEP_MM)).astype(np.intp)
        return self._values.take(index, axis=1, mode="clip"), self._slopes.take(index, axis=1, mode="clip")


@dataclass(frozen=True, eq=False)
class Profiles:
    """The shaped profiles of one knee (see :mod:`kneeage.phantom.anatomy.bone_tables` for their columns)."""

    femur: Profile
    notch: Profile
    underside: Profile
    tibia: Profile
    fibula: Profile


@lru_cache(maxsize=4)
def shaped_profiles(shape: BoneShape, roundness: float) -> Profiles:
    """Change the measured tables into those of one knee."""
    return Profiles(
        femur=_femur(shape, roundness),
        notch=_notch(shape),
        underside=_underside(shape, roundness),
        tibia=_tibia(shape, roundness),
        fibula=_fibula(roundness),
    )


def _femur(shape: BoneShape, roundness: float) -> Profile:
    """Sections of the femur by height."""
    height, rows = _split(tables.FEMUR)
    condyles, flare, shaft = _over(height, -20, 36), _over(height, 36, 58), _ramp(height, 45, 75)
    _bulge(rows, 0.0, (shape.lateral_width + 0.5 * roundness) * condyles + shape.flare * flare)
    _bulge(rows, np.pi, (shape.medial_width + 0.5 * roundness) * condyles + shape.flare * flare)
    for side in (0.0, np.pi):
        _bulge(rows, side, shape.lip * _over(height, -20, 5))
    _bulge(rows, -np.pi / 2, (shape.condyle_depth - 1.5 * roundness) * condyles)
    rows[:, 5:] *= 1 - 0.35 * roundness * condyles[:, None]
    rows[:, 2] += shape.shaft * shaft
    rows[:, 1] += shape.bow * (_ramp(height, 50, 120) ** 2)
    return Profile(_stretched(height, shape.epiphysis_height), rows)


def _notch(shape: BoneShape) -> Profile:
    """Intercondylar notch, popliteal surface and trochlear groove by height."""
    height, rows = _split(tables.NOTCH)
    rows[:, 1] *= shape.notch_width
    rows[:, 3] += (shape.trochlea - 1) * np.clip(rows[:, 3], 0, 5)
    return Profile(_stretched(height, shape.epiphysis_height) + shape.notch_roof * _over(height, 4, 34), rows)


def _underside(shape: BoneShape, roundness: float) -> Profile:
    """Underside of the condyles by depth."""
    depth, rows = _split(tables.UNDERSIDE)
    rows[:, 0] += 2.5 * roundness - shape.medial_height
    rows[:, 1] += 2.5 * roundness - shape.lateral_height
    rows[:, 2] += 1.2 * roundness
    rows[:, 3] += (shape.trochlea - 1) * np.clip(rows[:, 3], 0, 5)
    return Profile(depth, rows)


def _tibia(shape: BoneShape, roundness: float) -> Profile:
    """Sections of the tibia by height."""
    height, rows = _split(tables.TIBIA)
    rows[:, 5:] *= 1 - 0.3 * roundness * _ramp(height, -30, -15)[:, None]
    _bulge(rows, tables.TUBEROSITY_ANGLE, (shape.tuberosity - 3.0 * roundness) * _over(height, -44, -28))
    rows[:, 2] += shape.shaft * _ramp(-height, 40, 65) - 0.6 * roundness * _ramp(height, -30, -15)
    rows[:, 0] += np.tan(shape.varus) * np.minimum(height + 15, 0)
    return Profile(height, rows)


def _fibula(roundness: float) -> Profile:
    """Sections of the fibula by height: the head is small in a child."""
    height, rows = _split(tables.FIBULA)
    rows[:, 2] *= 1 - 0.2 * roundness * _ramp(height, -38, -24)
    return Profile(height, rows)


def _split(table: Rows) -> tuple[Rows, Rows]:
    """First column and a copy of the others."""
    return table[:, 0], table[:, 1:].copy()


def _stretched(height: Rows, factor: float) -> Rows:
    """Heights with the lowest 50 mm stretched and the shaft shifted."""
    return height + (factor - 1) * np.clip(height, 0, 50)


def _ramp(position: Rows, low: float, high: float) -> Rows:
    """0 below ``low``, 1 above ``high``, smooth between."""
    share = np.clip((position - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def _over(position: Rows, low: float, high: float) -> Rows:
    """1 from ``low`` to ``high``, falling smoothly to 0 within 12 mm outside."""
    return _ramp(position, low - 12, low) * (1 - _ramp(position, high, high + 12))


def _bulge(rows: Rows, angle: float, amount: NDArray[np.floating]) -> None:
    """Bulge sections by ``amount`` mm, one per row, toward an angle counted from lateral to anterior, in place."""
    rows[:, 0] += _BULGE[1] * np.cos(angle) * amount
    rows[:, 1] += _BULGE[1] * np.sin(angle) * amount
    rows[:, 2] += _BULGE[0] * amount
    for order in range(2, (rows.shape[1] - 1) // 2 + 1):
        rows[:, 2 * order - 1] += _BULGE[order] * np.cos(order * angle) * amount
        rows[:, 2 * order] += _BULGE[order] * np.sin(order * angle) * amount
