"""Fields of what lies along the leg: its outline, fat, fascia, muscles, tendons and vessels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kneeage.phantom.anatomy import strand_tables as tables
from kneeage.phantom.anatomy import strands
from kneeage.phantom.anatomy.bones import BoneDistances, Field, Place
from kneeage.phantom.anatomy.implicit import apart, blend, either, squared
from kneeage.phantom.anatomy.soft_shape import SoftTissue

# Height, most anterior and posterior point, half-width, lateral shift and waist in front, of the deep fascia, in
# reference mm. Source: see ``kneeage.phantom.anatomy.soft_tissue``.
_OUTLINE = strands.at_levels(
    (
        (150, 50, -88, 55, -6, 0.1),
        (120, 43, -84, 51, -5, 0.15),
        (90, 36, -78, 47, -3, 0.22),
        (70, 34.5, -75, 45, -2.5, 0.25),
        (55, 38, -71, 44.5, -1, 0.24),
        (42, 41, -68, 44.5, 0, 0.2),
        (30, 41.5, -66, 44.5, 1, 0.16),
        (18, 40.5, -66, 44, 2, 0.18),
        (5, 35, -68, 44, 3, 0.22),
        (-12, 25.5, -71, 44.5, 4, 0.25),
        (-25, 18.5, -74, 45, 5, 0.26),
        (-38, 12.5, -76, 45, 4.5, 0.3),
        (-52, 8, -79, 47, 5, 0.33),
        (-80, 6, -82, 49, 5, 0.34),
        (-130, 5, -76, 42, 5, 0.3),
    )
)


def leg_fields(leg: Leg, firm: Leg, bones: BoneDistances) -> dict[str, Field]:
    """Fields of what lies along the leg.

    Args:
        leg: Points in coordinates that bend with the leg, loosened.
        firm: The same points, not loosened: the outline of the leg.
        bones: Distances to the bones.

    Returns:
        Distances in reference mm but for ``band`` (thickness of the fascia), ``septum`` (zero on the planes within the
        calf) and ``veil`` (zero on strands within fat).
    """
    fascia, fat = _fascia(firm, bones, leg.nearest(tables.FRONT)), _fat(firm)
    vessel = leg.nearest(tables.VESSELS)
    return {
        "skin": fascia - fat,
        "fascia": fascia,
        "band": _band(leg),
        **_muscles(leg, bones, fascia, vessel),
        "vessel": np.minimum(vessel, _saphenous(leg.place, fascia, fat)),
        "nerve": leg.nearest(tables.NERVES),
        "hoffa": _hoffa(leg),
        "veil": _veil(leg.place, leg.soft.phases),
    }


@dataclass(frozen=True, eq=False)
class Leg:
    """Points along the leg with their levels in the tables of the long structures."""

    place: Place
    levels: NDArray[np.intp]
    soft: SoftTissue

    @staticmethod
    def at(place: Place, soft: SoftTissue) -> Leg:
        """Look the points' levels up."""
        return Leg(place, strands.levels_of(place[2]), soft)

    def distance(self, name: str) -> Field:
        """Distance to a structure that runs along the leg."""
        table = self.soft.sections[name]
        return strands.distance_to(tables.STRANDS[name], table, self.place[:2], self.levels)

    def nearest(self, names: Iterable[str]) -> Field:
        """Distance to the nearest of several structures."""
        first, *others = names
        union = self.distance(first)
        for name in others:
            np.minimum(union, self.distance(name), out=union)
        return union

    def parted(self, names: Iterable[str], gap: float) -> Field:
        """Distance to the nearest of several muscles that are parted by fat planes of half-width ``gap``."""
        first, *others = names
        union = self.distance(first)
        for name in others:
            union = apart(union, self.distance(name), gap)
        return union


def along_the_leg(thigh: Place, shin: Place, loose: Place) -> Place:
    """Coordinates that bend with the leg: those of the thigh above, of the shin below, both loosened."""
    share = np.clip((8 - thigh[2]) / 30, 0, 1)
    share = share * share * (3 - 2 * share)
    x, y, z = (free + share * (low - high) for free, low, high in zip(loose, shin, thigh, strict=True))
    return x, y, z


def _fascia(leg: Leg, bones: BoneDistances, front: Field) -> Field:
    """Distance to the deep fascia: an egg with a waist in front, wide enough to hold bones and tendons."""
    beside = np.clip(np.abs(leg.place[0] - 4) - 13, 0, None)
    held = np.minimum(blend(bones.femur, bones.tibia, 8.0) - 0.8, front + beside)
    egg = np.clip(_egg(leg), -40, None)
    # Far from a bone its distance says little: there the egg alone counts.
    held = np.maximum(held + 3 * np.clip(held - 4, 0, None), np.minimum(2 * (egg - 9), 6 * held))
    # Patella and head of the fibula swell the leg widely.
    near = np.clip(np.minimum(bones.patella, bones.fibula) + 1.0, -40, 35)
    return blend(blend(egg, held, 8.0), near, 24.0)


def _egg(leg: Leg) -> Field:
    """Distance to the smooth outline of the leg inside its fascia."""
    x, y, _ = leg.place
    front, back, half_width, shift, waist = (row[leg.levels] for row in _OUTLINE)
    middle, depth = (front + back) / 2, (front - back) / 2
    ahead = (y + 14 - 0.48 * front) * (1 / 15)
    width = half_width * np.float32(leg.soft.girth) * (1 - waist * (0.5 + 0.5 * ahead / np.sqrt(1 + ahead * ahead)))
    u, v = (x - shift) / width, (y - middle) / depth
    square = u * u + v * v + 1e-4
    slope = np.sqrt((u / width) ** 2 + (v / depth) ** 2 + 1e-6)
    return np.asarray((square - np.sqrt(square)) / slope)


def _muscles(leg: Leg, bones: BoneDistances, fascia: Field, vessel: Field) -> dict[str, Field]:
    """Distance to the muscles, where the nearest belongs to the calf, and the planes within the calf as zeros."""
    gap = leg.soft.gap + 0.6
    swelling = _swelling(leg)
    thigh = leg.parted(tables.MUSCLES, gap) - 0.6 * swelling
    medial, lateral, soleus, popliteus = (leg.distance(name) for name in tables.CALF)
    gastrocnemius = np.minimum(medial, lateral) - swelling
    calf = blend(np.minimum(gastrocnemius, soleus), popliteus, 6.0)
    bone = np.minimum(np.minimum(bones.femur, bones.tibia), bones.fibula)
    outside = np.maximum(np.maximum(fascia + 0.7, 0.4 - bone), _sheath(leg) - vessel)
    planes = either(medial - lateral, gastrocnemius - soleus)
    return {"muscle": np.maximum(np.minimum(thigh, calf), outside), "calf": calf - thigh, "septum": planes}


def _sheath(leg: Leg) -> Field:
    """Thickness of the fat about the popliteal vessels: most above the heads of the gastrocnemius."""
    return np.asarray(leg.soft.sheath * (0.4 + 0.6 * np.clip((leg.place[2] + 10) * (1 / 40), 0, 1.5)))


def _swelling(leg: Leg) -> Field:
    """How much thicker than in the tables the muscles behind the knee are."""
    behind = np.clip((-27 - leg.place[1]) / 14, 0, 1)
    return np.asarray(behind * (0.5 + 0.7 * leg.soft.origin))


def _fat(leg: Leg) -> Field:
    """Thickness of skin and subcutaneous fat: most on the medial side and the back, least in front of the patella."""
    (x, y, z), soft = leg.place, leg.soft
    side = 0.5 + 0.5 * x / np.sqrt(900 + x * x)
    ahead = 0.5 + 0.5 * (y - 4) / np.sqrt(220 + (y - 4) ** 2)
    share = 1 + (soft.fat_lateral - 1) * side
    share = share + (soft.fat_in_front - share) * ahead
    return np.asarray(1.6 + soft.fat * share * (1 + 0.003 * np.clip(z, -40, 80)))


def _band(leg: Leg) -> Field:
    """Thickness of the deep fascia: thick where it is iliotibial band or retinaculum."""
    (x, y, z), soft = leg.place, leg.soft
    ahead = 1 / (1 + squared(squared((y - 12) * (1 / 22))))
    near = 1 / (1 + squared(squared((z - 20) * (1 / 45))))
    lateral = 0.5 + 0.5 * x / np.sqrt(100 + x * x)
    return np.asarray(0.6 + soft.band * ahead * np.maximum(lateral, near))


def _saphenous(place: Place, fascia: Field, fat: Field) -> Field:
    """Distance to the great saphenous vein within the medial subcutaneous fat."""
    x, y, z = place
    off = np.sqrt((fascia - 0.4 * fat) ** 2 + ((y + 38 - 0.1 * z) * 0.7) ** 2 + 0.3) - 1.6
    return np.maximum(off, x + 10)


def _hoffa(leg: Leg) -> Field:
    """Distance to Hoffa's fat pad, between patella, patellar tendon, trochlea and tibia."""
    (x, y, z), soft = leg.place, leg.soft
    ratio = np.sqrt(((x - 3) / 27) ** 2 + ((y - 18 - 0.5 * z) / 20) ** 2 + (z / 24) ** 2)
    return np.asarray((ratio - soft.hoffa) * 20)


def _veil(place: Place, phases: Field) -> Field:
    """Strands within fat: the zeros of wavy sheets, lifted off zero here and there, and of one through Hoffa's fat."""
    x, y, z = place
    slow = np.sin(0.11 * x + 0.07 * z + phases[0]) + np.sin(0.09 * y - 0.06 * x + phases[1])
    bend = np.sin(0.23 * z - 0.16 * x + phases[2]) + np.sin(0.19 * x + 0.12 * z + phases[5])
    patches = np.sin(0.17 * x - 0.13 * z + 0.1 * y + phases[4]) + np.sin(0.15 * z + 0.08 * y + phases[1])
    strands_of_fat = np.sin(0.2 * x + 0.2 * y + 0.12 * z + 1.5 * bend + 1.2 * slow + phases[3]) + 1.5 * patches
    sheet = np.abs(z - 1 + 0.15 * x + 2 * np.sin(0.2 * x + phases[5]) + 1.5 * np.sin(0.3 * y)) * 0.4
    sheet = 0.15 + sheet + np.clip(patches, 0, 1)
    behind = np.clip(-y, -10, 40)
    share = np.clip(sheet + np.clip(behind + 2, 0, None) * 0.15, 0, 1)
    return np.asarray(1.3 * strands_of_fat * share * (1 + 0.05 * behind))
