"""Fields of what lies at the joint: cartilage, menisci, fluid, capsule and ligaments on the bones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeage.phantom.anatomy import strand_tables as tables
from kneeage.phantom.anatomy import strands
from kneeage.phantom.anatomy.bones import BoneDistances, Field, Place
from kneeage.phantom.anatomy.implicit import blend, squared
from kneeage.phantom.anatomy.leg import Leg
from kneeage.phantom.anatomy.soft_shape import SoftTissue

# Thickness of articular cartilage in mm; what is thicker is unossified epiphysis. Source: ``assumed`` from adult knees.
ARTICULAR_MM = 2.2
# Greatest thickness of cartilage on the patella, and the sum of the distances to patella and femur beyond which it has
# none, in reference mm (``assumed``).
_PATELLAR_MM, _FACING_MM = 5.0, 10.0


def joint_fields(
    thigh: Place,
    shin: Place,
    leg: Leg,
    bones: BoneDistances,
    soft: SoftTissue,
    cartilage_mm: float,
    articular_mm: float,
) -> dict[str, Field]:
    """Fields of what lies at the joint.

    Args:
        thigh: Points in the femur's frame, in reference mm.
        shin: The same points in the tibia's frame.
        leg: The same points in coordinates that bend with the leg.
        bones: Distances to the bones.
        soft: The individual soft tissue.
        cartilage_mm: Thickness of articular and unossified epiphyseal cartilage, in reference mm.
        articular_mm: The most of it that is articular, in reference mm.

    Returns:
        Distances in reference mm.
    """
    articular, young = min(cartilage_mm, articular_mm), max(cartilage_mm - articular_mm, 0.0)
    shell = blend(bones.femur, bones.tibia, 7.0)
    anterior, posterior = leg.distance("anterior cruciate ligament"), _posterior_cruciate(leg)
    capsule = np.minimum(shell - soft.capsule * _near_joint(leg.place[2]), _space(shin, bones, 10.5))
    return {
        "tendon": np.minimum(_tendons(leg, shell), posterior),
        "cruciate": anterior + _bundles(leg.place, soft),
        "capsule": np.minimum(
            capsule, np.minimum(_notch(thigh, soft), np.minimum(anterior, posterior) - soft.synovium)
        ),
        "origin": _origin(thigh, bones, soft),
        "cap": _cap(thigh, bones, soft),
        "fluid": _fluid(leg.place, shin, bones, soft),
        "meniscus": np.minimum(_menisci(shin, bones, soft, young), _contact(shin, bones, soft)),
        "cartilage": _femoral_cartilage(thigh, bones, articular, young, soft.cover),
        "lower_cartilage": np.minimum(
            _tibial_cartilage(shin, bones, articular, young), _patellar_cartilage(bones, articular, young)
        ),
    }


def _space(shin: Place, bones: BoneDistances, reach: float = 8.0) -> Field:
    """Distance to the space where femur and tibia bear on each other, neither farther off than ``reach`` in mm."""
    x, y, _ = shin
    radius = np.sqrt(((np.abs(x) - 19) / 17) ** 2 + ((y + 20) / 20) ** 2 + 1e-3)
    return np.asarray(np.maximum(np.maximum(bones.femur, bones.tibia) - reach, (radius - 1) * 16))


def _dry(soft: SoftTissue) -> bool:
    """Whether no fluid shows between the bones: where the suprapatellar recess is all but collapsed."""
    return soft.recess < 0.2


def _contact(shin: Place, bones: BoneDistances, soft: SoftTissue) -> Field:
    """Distance to the dark line where the cartilages of femur and tibia bear on each other without fluid."""
    half = 0.2 + 0.2 * soft.capsule if _dry(soft) else 0.0
    between = squared(0.5 * (bones.femur - bones.tibia)) - half * half
    return np.asarray(np.maximum(between, _space(shin, bones) + 2.5))


def _tendons(leg: Leg, shell: Field) -> Field:
    """Distance to the nearest tendon or collateral ligament."""
    front = leg.nearest(tables.FRONT) + _fibres(leg.place)
    return np.minimum(front, np.minimum(leg.nearest(tables.TENDONS), _medial_collateral(leg.place, shell)))


def _posterior_cruciate(leg: Leg) -> Field:
    """Distance to the posterior cruciate ligament, which runs from the front to the back."""
    x, y, z = leg.place
    name = "posterior cruciate ligament"
    return strands.distance_to(tables.STRANDS[name], leg.soft.sections[name], (x, z), strands.levels_of(y))


def _bundles(place: Place, soft: SoftTissue) -> Field:
    """How far the bundles of the anterior cruciate ligament part, with synovium between them."""
    x, y, z = place
    return np.asarray(1.4 + 1.6 * np.sin(0.75 * x + 0.3 * y - 0.12 * z + 1.2 * np.sin(0.2 * z + soft.phases[3])))


def _fibres(place: Place) -> Field:
    """Roughness of the tendons in front, whose bundles part where they meet fat."""
    x, _, z = place
    return np.asarray(0.3 + 0.3 * np.sin(1.3 * x + 0.004 * z * x + 1.2 * np.sin(0.45 * x + 0.15 * z)))


def _medial_collateral(place: Place, shell: Field) -> Field:
    """Distance to the medial collateral ligament: a band on the bones from the epicondyle to the tibia."""
    x, y, z = place
    half = 1.5 - 2.0 * squared((y + 12) * 0.1) - 2.0 * squared(squared((z + 12) * 0.025))
    return np.asarray(np.abs(shell - 1.5) - half + np.clip(x + 20, 0, None))


def _near_joint(z: Field) -> Field:
    """Share of the capsule's thickness at each height: 1 at the joint, negative beyond the capsule."""
    return np.asarray(1.6 / (1 + squared(squared(z * (1 / 32)))) - 0.6)


def _origin(thigh: Place, bones: BoneDistances, soft: SoftTissue) -> Field:
    """Distance to the origin of the gastrocnemius and the capsule above and behind the posterior condyles."""
    x, y, z = thigh
    across = (np.abs(x) - 20) * (1 / 14)
    ragged = 0.9 + 0.2 * np.sin(0.18 * x + 0.11 * z + 0.08 * y + soft.phases[0])
    reach = soft.origin * ragged * (1 - across * across) - 0.3 * np.clip(-28 - y, 0, None)
    return np.asarray(
        bones.femur
        - reach
        + 0.6 * np.clip(26 - z, 0, None)
        + 0.8 * np.clip(y + 16, 0, None)
        + 0.3 * np.clip(z - 40, 0, None)
    )


def _cap(thigh: Place, bones: BoneDistances, soft: SoftTissue) -> Field:
    """Distance to the tendinous layer of this origin, which thins out and thickens along the bone."""
    x, y, z = thigh
    medial, lateral = soft.tendinous
    side = 0.5 + 0.5 * np.clip(x * (1 / 12), -1, 1)
    wave = np.sin(0.31 * x + 0.13 * y + soft.phases[3]) + np.sin(0.21 * y - 0.17 * x + 0.2 * z + soft.phases[4])
    return np.asarray(bones.femur - (medial + (lateral - medial) * side) * (1 + 0.45 * wave))


def _fluid(place: Place, shin: Place, bones: BoneDistances, soft: SoftTissue) -> Field:
    """Distance to the fluid: film between the bones, suprapatellar recess, effusion around the front of the femur."""
    x, y, z = place
    film = np.minimum(_space(shin, bones) + (20.0 if _dry(soft) else 0.0), bones.femur + bones.patella - 7)
    off = np.abs(bones.femur - 5.0 - 0.06 * np.clip(z - 20, 0, None)) - soft.recess - soft.effusion * 0.5
    extent = 10 * ((x / 22) ** 2 + ((z - 40) / 26) ** 2 - 1)
    sheet = np.maximum(off, np.maximum(extent, 8 - y))
    gutter = bones.femur - soft.effusion * (1.3 - ((z - 20) / 26) ** 2 - ((y - 6) / 20) ** 2)
    return np.asarray(np.minimum(np.minimum(film, sheet), gutter))


def _notch(thigh: Place, soft: SoftTissue) -> Field:
    """Distance to the synovium that fills the intercondylar notch, but for strands of fat, most at its ends."""
    x, y, z = thigh
    ahead = (y + 14) / 26 + np.clip(y + 14, 0, None) / 34
    ratio = np.sqrt(((x - 1) / 15) ** 2 + ahead * ahead + ((z - 13) / 25) ** 2 + 1e-3)
    wave = np.sin(0.3 * x + 0.21 * z + soft.phases[0]) + np.sin(0.25 * z - 0.19 * y + soft.phases[1])
    sheets = np.sin(0.35 * x + 0.6 * y + 1.4 * np.sin(0.22 * z + soft.phases[2]) + 0.7 * wave)
    end = np.clip(np.maximum((-16 - y) * (1 / 16), (y + 9) * (1 / 8)), 0, 1)
    fat = 2.5 * (0.5 - wave - 0.9 * end + 0.45 * sheets)
    return np.asarray(np.maximum((ratio - 1) * 15, -fat))


@dataclass(frozen=True)
class _Ring:
    """Shape of one meniscus in reference mm, in the tibia's frame.

    Args:
        centre: Middle of the ring.
        radii: Outer radius to the side, in front and behind.
        heights: Height of the rim in front and behind.
        opening: Side to which the ring is open: 1 lateral, -1 medial.
        open_at: Distance from the middle beyond which it is open.
        narrower: Its inner edge relative to :attr:`SoftTissue.meniscus`.
    """

    centre: tuple[float, float]
    radii: tuple[float, float, float]
    heights: tuple[float, float]
    opening: int
    open_at: float
    narrower: float


# Source: see ``kneeage.phantom.anatomy.soft_tissue``.
_RINGS = (
    _Ring((-18.5, -14.0), (14.5, 18.0, 19.5), (5.0, 6.0), 1, 9.5, 0.05),
    _Ring((20.0, -21.0), (15.5, 15.0, 16.0), (4.5, 7.5), -1, 10.0, -0.14),
)


def _menisci(shin: Place, bones: BoneDistances, soft: SoftTissue, young: float) -> Field:
    """Distance to the two menisci: wedges between the bones, open to the middle of the joint."""
    medial, lateral = (_meniscus(shin, bones, ring, soft.meniscus + ring.narrower, young) for ring in _RINGS)
    return np.minimum(medial, lateral)


def _meniscus(shin: Place, bones: BoneDistances, ring: _Ring, inner: float, young: float) -> Field:
    """Distance to one meniscus, whose inner edge lies at a share of its outer radius."""
    u, v = shin[0] - ring.centre[0], shin[1] - ring.centre[1]
    side, front, back = (np.float32(radius) for radius in ring.radii)
    radius = np.sqrt((u / side) ** 2 + (v / np.where(v > 0, front, back)) ** 2 + 1e-3)
    share = np.clip((radius - inner) / (0.8 - 0.8 * inner), -0.5, 1.2)
    # It tapers to its inner edge and its two horns, and is rounded at its rim.
    share = share * np.clip((ring.open_at - ring.opening * u) / 7, 0, 1) * np.clip(10.6 - 10 * radius, 0, 1)
    low, high = ring.heights
    rim = low + (high - low) * np.clip(0.5 - v / 16, 0, 1) + _between(bones.femur + bones.tibia)
    off = 0.35 * min(young, 2.0) + 1.9 - 1.4 * share
    wedge = np.maximum(off - np.minimum(bones.tibia, bones.femur), bones.tibia - 2.3 - (rim - 1.8) * share)
    edges = np.maximum((inner - radius) * 16, (radius - 1.04) * 16)
    ends = np.maximum(ring.opening * u - ring.open_at, 16 * np.clip(radius - 0.9, 0, 1) - 5.4 - shin[2])
    return np.asarray(np.maximum(np.maximum(edges, wedge), ends))


def _between(gap: Field) -> Field:
    """How much higher the rim of a meniscus is where the bones lie farther apart, though still on each other."""
    return np.asarray(np.clip(gap - 6.5, 0, 2.5) * np.clip(0.5 * (12 - gap), 0, 1))


def _within(x: Field, y: Field, *edges: float) -> Field:
    """Depth within a rectangle given by its least and greatest x and y."""
    left, right, back, front = edges
    return np.asarray(np.minimum(np.minimum(x - left, right - x), np.minimum(y - back, front - y)))


def _share(depth: Field) -> Field:
    """Share of the full thickness of cartilage at a depth within its edges, negative outside."""
    return np.asarray(np.clip(depth * 0.35, -1.5, 1))


def _bearing(bones: BoneDistances, young: float) -> tuple[Field, Field]:
    """What cartilage gains where the bones lie far apart, and the most it may have where they lie near."""
    gap = bones.femur + bones.tibia
    near = np.clip(0.5 * (11 + 3 * young - gap), 0, 1)
    return np.clip(0.5 * gap - 2.5, 0, 1.2 + 1.5 * young) * near, 0.42 * np.clip(gap, 2.5, 20)


def _femoral_cartilage(thigh: Place, bones: BoneDistances, articular: float, young: float, cover: float) -> Field:
    """Distance to the cartilage of the femur: articular, and all around what has not ossified yet."""
    x, y, z = thigh
    notch = np.maximum(np.abs(x + 0.5) - 8, y - 1)
    top = 16 + np.clip(y - 4, 0, 20) + cover * np.clip(-24 - y, 0, 20) - z
    depth = np.minimum(np.minimum(_within(x, y, -35.5, 34.5, -52.0, 30.0), notch), top)
    gain, most = _bearing(bones, young)
    full = 0.85 * articular * _share(depth) + gain * np.clip(depth * 0.35, 0, 1)
    return np.asarray(bones.femur - np.minimum(full + young * (1 - np.clip((z - 20) / 6, 0, 1.3)), most))


def _tibial_cartilage(shin: Place, bones: BoneDistances, articular: float, young: float) -> Field:
    """Distance to the cartilage of the tibia: of the two plateaus, and what has not ossified yet."""
    x, y, z = shin
    medial, lateral = _within(x, y, -32.0, -3.5, -38.5, 3.5), _within(x, y, 6.0, 36.0, -41.0, -4.0)
    depth = np.minimum(np.maximum(medial, lateral), 13 - bones.femur)
    gain, most = _bearing(bones, young)
    full = 0.9 * articular * _share(depth) + gain * np.clip(depth * 0.35, 0, 1)
    return np.asarray(bones.tibia - np.minimum(full + young * (1 - np.clip((-9 - z) / 8, 0, 1.3)), most))


def _patellar_cartilage(bones: BoneDistances, articular: float, young: float) -> Field:
    """Distance to the cartilage of the patella: where its way to the femur is short, that is, on its back alone."""
    facing = np.clip((_FACING_MM - bones.femur - bones.patella) / 3, -0.5, 1)
    return np.asarray(bones.patella - min(1.5 * articular + young, _PATELLAR_MM) * facing)
