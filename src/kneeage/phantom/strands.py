"""Course of the long structures about the knee: muscles, tendons, vessels, nerves, cruciate ligaments.

Each is a row of ellipses in sections across its course, in reference mm (see ``kneeage.phantom.anatomy``).

Source: read off axial sections of one lean adult knee, reformatted from its coronal T1 and sagittal T2 series (the
public OsiriX sample "KNEE"), scaled to a femur of half-width 37 mm and rounded; what lies beyond its field of view is
``assumed``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kneeage.phantom.bones import Field

_LOWEST, _STEPS_PER_MM, _LEVELS = -170.0, 2.0, 681
_AT = _LOWEST + np.arange(_LEVELS) / _STEPS_PER_MM
_SMOOTHING = np.hanning(13) / np.hanning(13).sum()


@dataclass(frozen=True)
class Strand:
    """A long structure: ellipses in the sections across its course.

    Args:
        sections: Position along the course, centre across it (two coordinates) and radii along these, in mm.
        shear: Shift of the first coordinate per mm of the second, which tilts the ellipses.
    """

    sections: tuple[tuple[float, float, float, float, float], ...]
    shear: float = 0.0


# Heights run along z; across it lie x and y.
MUSCLES = {
    "vastus medialis": Strand(
        ((120, -26, 0, 19, 35), (70, -27, -2, 17, 31), (55, -30, -3, 15, 27), (42, -34, -5, 12, 20), (36, -36, -6, 9, 13),
         (31, -37, -7, 5, 7), (26, -37, -8, 0.4, 2)), 0.28),
    "vastus lateralis": Strand(
        ((120, 32, 4, 17, 28), (70, 32, -4, 10, 19), (55, 33, -3, 6.5, 12), (45, 34, -3, 3, 7), (37, 35, -3, 0.4, 2)), -0.28),
    "vastus intermedius": Strand(
        ((120, 4, 22, 24, 13), (95, 3, 22, 20, 9), (80, 3, 21, 15, 5), (72, 3, 20, 9, 2.5), (64, 3, 19, 0.4, 0.4))),
    "sartorius": Strand(
        ((120, -38, -22, 9, 14), (70, -34, -43, 8, 12), (42, -36, -41, 6.5, 12.5), (30, -38, -43, 5.5, 10),
         (18, -37.5, -44, 4.5, 9), (5, -36, -42, 3, 8), (-10, -34, -38, 1.5, 6), (-20, -32, -34, 0.3, 3))),
    "gracilis": Strand(
        ((120, -36, -50, 7, 10), (70, -28, -58, 5, 6), (45, -30, -56, 3.2, 4), (24, -33, -52, 1.5, 2), (10, -33, -50, 0.3, 1))),
    "semimembranosus": Strand(
        ((120, -12, -56, 17, 17), (70, -5, -58, 15, 17), (55, -6, -54, 14, 16), (42, -9, -52, 11, 12), (30, -17, -50, 6, 7),
         (21, -22, -48, 2.5, 3.5), (13, -23, -46, 0.3, 1))),
    "semitendinosus": Strand(
        ((120, -6, -74, 13, 9), (70, -13, -73, 8, 4), (50, -16, -67, 3, 2.5), (38, -19, -64, 0.4, 0.4))),
    "biceps femoris": Strand(
        ((120, 26, -48, 11, 17), (70, 31, -40, 7.5, 18), (55, 33, -38, 6.5, 16), (42, 35.5, -38, 5.5, 13),
         (30, 38, -39, 4.5, 11), (15, 39, -38, 3.5, 8), (2, 39, -37, 2.2, 5), (-8, 38, -36, 0.3, 2))),
    "tibialis anterior": Strand(
        ((-14, 37, -12, 0.4, 3), (-24, 36, -12, 4.5, 9), (-38, 35, -14, 10, 16), (-52, 34, -17, 15, 21),
         (-80, 32, -16, 16, 21), (-130, 28, -14, 14, 18))),
    "peroneus longus": Strand(
        ((-24, 44, -30, 0.4, 2), (-34, 44, -30, 5, 9), (-52, 45, -32, 8, 12), (-90, 42, -34, 10, 14), (-130, 36, -34, 9, 13))),
    "tibialis posterior": Strand(
        ((-38, 19, -34, 0.4, 0.4), (-48, 18, -34, 8, 6), (-70, 16, -32, 12, 8), (-130, 14, -30, 12, 9))),
}
CALF = {
    "medial gastrocnemius": Strand(
        ((48, -13, -25, 0.4, 1), (43, -11, -28, 8, 7), (36, -8, -34, 12, 11), (30, -5, -43, 13, 15), (18, -5, -50, 16, 16),
         (5, -8, -54, 18, 17), (-12, -9, -58, 21, 18), (-25, -11, -60, 23, 19), (-52, -12, -62, 27, 20),
         (-80, -14, -60, 28, 21), (-130, -14, -56, 22, 18))),
    "lateral gastrocnemius": Strand(
        ((46, 20, -26, 0.4, 1), (40, 21, -30, 8, 6), (30, 23, -41, 12, 10), (18, 24, -49, 13, 12), (5, 24, -54, 14, 15),
         (-12, 25, -57, 16, 16), (-25, 24, -60, 18, 17), (-52, 21, -63, 21, 18), (-80, 18, -61, 20, 19), (-130, 14, -54, 15, 15))),
    "soleus": Strand(
        ((-20, 28, -44, 0.4, 1), (-28, 24, -45, 11, 6), (-40, 18, -47, 23, 9), (-52, 12, -48, 30, 12), (-90, 6, -48, 33, 16),
         (-130, 6, -45, 30, 16))),
    "popliteus": Strand(
        ((-4, 24, -36, 0.4, 1), (-10, 16, -39, 10, 4.5), (-18, 8, -38, 19, 7), (-28, 2, -36, 22, 9), (-40, -3, -34, 19, 9),
         (-52, -6, -33, 14, 8), (-66, -7, -32, 0.4, 1))),
}
FRONT = {
    "quadriceps tendon": Strand(
        ((112, 2, 33, 3, 0.8), (95, 2, 31, 10, 2), (70, 4, 30.5, 14, 3), (58, 5, 34.5, 16, 3.4), (50, 5, 37.5, 16, 3),
         (42, 5, 40, 12, 1.8), (34, 5, 41, 0.4, 0.4))),
    "patellar tendon": Strand(
        ((28, 5.5, 40.5, 0.4, 0.4), (22, 7, 38.5, 10, 1.8), (14, 7.5, 35, 13, 2.6), (0, 7, 29.5, 13, 2.8), (-14, 6.8, 23, 12, 2.8),
         (-28, 6.5, 15.5, 11, 2.8), (-40, 6.5, 10.5, 9.5, 2.6), (-48, 6.5, 7, 7, 1), (-52, 6.5, 6, 0.4, 0.4))),
}
TENDONS = {
    "semimembranosus tendon": Strand(
        ((45, -20, -52, 0.3, 0.3), (36, -21, -52, 2.4, 2.2), (22, -23, -49, 3, 2.6), (5, -25, -45, 3.2, 2.6),
         (-12, -26, -40, 4, 2.4), (-18, -26, -38, 0.3, 0.3))),
    "semitendinosus tendon": Strand(
        ((58, -15, -69, 0.3, 0.3), (48, -17, -67, 1.8, 1.8), (20, -26, -60, 1.9, 1.9), (-5, -33, -48, 1.8, 2.6),
         (-22, -31, -30, 1.4, 4), (-40, -20, -8, 0.8, 4), (-48, -14, -4, 0.2, 1))),
    "gracilis tendon": Strand(
        ((40, -32, -55, 0.3, 0.3), (20, -34, -52, 1.5, 1.6), (-5, -36, -44, 1.5, 2.4), (-22, -32, -26, 1.2, 3),
         (-40, -22, -8, 0.3, 2))),
    "biceps tendon": Strand(
        ((26, 41, -42, 0.3, 2), (15, 41, -40, 1.3, 4), (4, 40.5, -38, 2, 4.5), (-8, 39, -36, 3, 4), (-18, 38, -36, 2.6, 3),
         (-24, 37, -36, 0.3, 1))),
    "lateral collateral ligament": Strand(
        ((24, 36, -18, 0.3, 1), (18, 37.5, -20, 1.8, 2.4), (0, 40, -27, 1.8, 2.4), (-14, 39, -33, 1.9, 2.4), (-20, 38, -34, 0.3, 1))),
}
VESSELS = {
    "popliteal artery": Strand(
        ((120, 0, -30, 3.2, 3.2), (70, 7, -33, 3.4, 3.4), (55, 9, -35, 3.3, 3.3), (42, 9, -38, 3.2, 3.2), (18, 7, -43, 3, 3),
         (-12, 4, -46, 2.8, 2.8), (-38, 2, -46, 2.6, 2.6), (-60, 0, -46, 2.2, 2.2), (-130, 0, -44, 2, 2))),
    "popliteal vein": Strand(
        ((120, 8, -34, 4, 4), (70, 14, -35, 4.4, 4), (55, 13, -41, 4.2, 4), (42, 12, -45, 4, 4), (18, 10, -50, 3.8, 3.8),
         (-12, 7, -52, 3.4, 3.4), (-38, 5, -50, 3, 3), (-60, 3, -48, 2.4, 2.4), (-130, 3, -46, 2, 2))),
    "superior lateral genicular artery": Strand(
        ((90, 24, -12, 1.3, 1.3), (60, 26, -4, 1.5, 1.5), (48, 31, 0, 1.4, 1.4), (36, 37, 4, 1.2, 1.2), (30, 39, 5, 0.2, 0.2))),
    "anterior tibial artery": Strand(
        ((-34, 12, -42, 0.3, 0.3), (-40, 16, -36, 1.8, 1.8), (-60, 22, -28, 1.8, 1.8), (-130, 22, -24, 1.6, 1.6))),
}
NERVES = {
    "tibial nerve": Strand(
        ((120, 10, -52, 3.2, 2.6), (70, 17, -50, 2.8, 2.4), (40, 14, -56, 2.4, 2.2), (10, 8, -58, 2.2, 2), (-20, 6, -57, 2, 2),
         (-60, 6, -52, 2, 2), (-130, 4, -48, 1.8, 1.8))),
    "common peroneal nerve": Strand(
        ((90, 18, -52, 0.3, 0.3), (70, 23, -52, 2, 2.2), (40, 32, -54, 1.7, 2.2), (10, 38, -50, 1.5, 2), (-15, 42, -46, 1.4, 2),
         (-32, 46, -34, 1.4, 2), (-40, 46, -26, 0.3, 0.3))),
}
CRUCIATES = {
    "anterior cruciate ligament": Strand(
        ((-12, -1, -2, 2, 3), (-9, 0, -4, 5, 8), (2, 2.5, -13, 4.8, 7.5), (14, 6, -23, 4.2, 7), (21, 7, -27, 1, 2))),
    # Along y; across it lie x and z.
    "posterior cruciate ligament": Strand(
        ((-44, 2, -16, 3, 3), (-38, 1, -11, 6.5, 5), (-30, -1, -2, 6, 5.5), (-20, -2.5, 6, 5.4, 5.4), (-10, -4.5, 9, 5, 5.4),
         (-3, -6, 10, 3.5, 4), (0, -6, 10, 0.4, 0.4))),
}
STRANDS = {**MUSCLES, **CALF, **FRONT, **TENDONS, **VESSELS, **NERVES, **CRUCIATES}


def levels_of(along: Field) -> NDArray[np.intp]:
    """Index of each point into the tables of :func:`tabulated`, by its position along the course in mm."""
    return np.asarray(np.clip((along - _LOWEST) * _STEPS_PER_MM, 0, _LEVELS - 1), dtype=np.intp)


def at_levels(rows: tuple[tuple[float, ...], ...], shift: Field | float = 0.0) -> Field:
    """Interpolate a table at every level along the course.

    Args:
        rows: Position along the course, then the quantities there.
        shift: Shift of the rows along the course in mm, at each level or everywhere.

    Returns:
        Quantities at the levels, shape (quantities, levels), rounded over a few millimetres.
    """
    table = np.array(sorted(rows)).T
    columns = [np.pad(np.interp(_AT - shift, table[0], column), 6, mode="edge") for column in table[1:]]
    return np.stack([np.convolve(column, _SMOOTHING, mode="valid") for column in columns]).astype(np.float32)


def tabulated(strand: Strand, moved: Sequence[Field | float], size: float) -> Field:
    """Centre, radii and narrowing of one structure at every level along its course.

    Args:
        strand: The structure.
        moved: Shift of the centre in both directions across, and along the course, in mm, at each level or everywhere.
        size: Factor on the radii.

    Returns:
        Centre (two rows), factors that make the section round (two rows), and its radius, shape (5, levels).
    """
    first, second, first_radius, second_radius = at_levels(strand.sections, moved[2])
    narrow = np.minimum(first_radius, second_radius)
    ends = [section[0] for section in strand.sections]
    beyond = np.maximum(_AT - moved[2] - max(ends), min(ends) - _AT + moved[2])
    radius = narrow * size - np.clip(beyond, 0, None)
    table = (first + moved[0], second + moved[1], narrow / first_radius, narrow / second_radius, radius)
    return np.stack(table).astype(np.float32)


def near_patella() -> Field:
    """Share of the patella's shift that the tendons follow at each level, shape (levels,)."""
    return np.asarray(1 / (1 + ((_AT - 33) / 38) ** 2))


def distance_to(strand: Strand, table: Field, across: tuple[Field, Field], levels: NDArray[np.intp]) -> Field:
    """Approximate distance to a long structure, negative inside.

    Args:
        strand: The structure.
        table: Its row of :func:`tabulated`.
        across: The two coordinates across its course.
        levels: Those of :func:`levels_of`.
    """
    first, second, narrow, flat, radius = (row[levels] for row in table)
    v = across[1] - second
    u = (across[0] - first - strand.shear * v if strand.shear else across[0] - first) * narrow
    v = v * flat
    return np.asarray(np.sqrt(u * u + v * v + 0.3) - radius)
