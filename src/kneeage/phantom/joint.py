"""Fields of what lies at the joint: cartilage, menisci, fluid, capsule and ligaments on the bones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeage.phantom import strand_tables as tables
from kneeage.phantom import strands
from kneeage.phantom.bones import BoneDistances, Field, Place
from kneeage.phantom.implicit import blend, squared
from kneeage.phantom.leg import Leg
from kneeage.phantom.soft_shape import SoftTissue

# Thickness of articular cartilage; what is thicker is unossified epiphysis. Source: ``assumed`` from adult knees.
ARTICULAR_MM = 2.2


def joint_fields(
    thigh: Place, shin: Place, leg: Leg, bones: BoneDistances, soft: SoftTissue, cartilage_mm: float
) -> dict[str, Field]:
    """Fields of what lies at the joint.

    Args:
        thigh: Points in the femur's frame, in reference mm.
        shin: The same points in the tibia's frame.
        leg: The same points in coordinates that bend with the leg.
        bones: Distances to the bones.
        soft: The individual soft tissue.
        cartilage_mm: Thickness of articular and unossified epiphyseal cartilage, in reference mm.

    Returns:
        Distances in reference mm.
    """
    joint, shell = _Joint.at(shin, bones), blend(bones.femur, bones.tibia, 7.0)
    anterior, posterior = leg.distance("anterior cruciate ligament"), _posterior_cruciate(leg)
    capsule = shell - soft.capsule * _near_joint(leg.place[2])
    return {
        "tendon": np.minimum(_tendons(leg, shell), posterior),
        "cruciate": anterior,
        "capsule": np.minimum(capsule, np.minimum(anterior, posterior) - soft.synovium),
        "origin": _origin(thigh, bones, soft),
        "fluid": _fluid(leg.place, joint, bones, soft),
        "meniscus": _meniscus(joint, soft),
        "cartilage": np.minimum(_cartilage(thigh, joint, bones, cartilage_mm), _bearing(joint, bones, soft)),
    }


@dataclass(frozen=True, eq=False)
class _Joint:
    """The space between femur and tibia.

    Args:
        radius: Distance from the middle of the nearer compartment, in its radii.
        inward: Distance from the middle of the nearer compartment towards the other.
        height: Height in the tibia's frame.
        above: Distance to the tibia.
        reach: The greater of the distances to the two bones.
    """

    radius: Field
    inward: Field
    height: Field
    above: Field
    reach: Field

    @staticmethod
    def at(shin: Place, bones: BoneDistances) -> _Joint:
        """Measure the space at points in the tibia's frame."""
        x, y, z = shin
        side = np.abs(x) - 19
        radius = np.sqrt((side / 18) ** 2 + ((y + 19) / 21) ** 2 + 1e-3)
        return _Joint(radius, -side, z, bones.tibia, np.maximum(bones.femur, bones.tibia))

    def film(self, radius: float) -> Field:
        """Distance to the space where the bones bear on each other, out to a share of the compartments' radius."""
        return np.asarray(np.maximum(self.reach - 11, (self.radius - radius) * 16))


def _tendons(leg: Leg, shell: Field) -> Field:
    """Distance to the nearest tendon or collateral ligament."""
    front = leg.nearest(tables.FRONT) + _fibres(leg.place)
    return np.minimum(front, np.minimum(leg.nearest(tables.TENDONS), _medial_collateral(leg.place, shell)))


def _posterior_cruciate(leg: Leg) -> Field:
    """Distance to the posterior cruciate ligament, which runs from the front to the back."""
    x, y, z = leg.place
    name = "posterior cruciate ligament"
    return strands.distance_to(tables.STRANDS[name], leg.soft.sections[name], (x, z), strands.levels_of(y))


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
    ragged = 0.8 + 0.25 * np.sin(0.8 * x + 0.5 * z + 3 * np.sin(0.21 * x + 0.25 * y + soft.phases[0]))
    reach = soft.origin * ragged * (1 - across * across) - 0.3 * np.clip(-28 - y, 0, None)
    return np.asarray(bones.femur - reach + 0.6 * np.clip(26 - z, 0, None) + 0.8 * np.clip(y + 16, 0, None))


def _fluid(place: Place, joint: _Joint, bones: BoneDistances, soft: SoftTissue) -> Field:
    """Distance to the fluid: film between the bones, suprapatellar recess, effusion around the front of the femur."""
    x, y, z = place
    film = np.minimum(joint.film(0.9), bones.femur + bones.patella - 7)
    off = np.abs(bones.femur - 5.0 - 0.06 * np.clip(z - 20, 0, None)) - soft.recess - soft.effusion * 0.5
    extent = 10 * ((x / 22) ** 2 + ((z - 40) / 26) ** 2 - 1)
    sheet = np.maximum(off, np.maximum(extent, 8 - y))
    gutter = bones.femur - soft.effusion * (1.3 - ((z - 20) / 26) ** 2 - ((y - 6) / 20) ** 2)
    return np.minimum(np.minimum(film, sheet), gutter)


def _meniscus(joint: _Joint, soft: SoftTissue) -> Field:
    """Distance to the two menisci: rings between the bones, open to the middle of the joint."""
    inner, outer = soft.meniscus, 1.04
    wedge = joint.above - 1.8 - 6.0 * (joint.radius - inner) * (1 / (outer - inner))
    ring = np.maximum(inner - joint.radius, joint.radius - outer) * 16
    return np.asarray(np.maximum(np.maximum(ring, wedge), np.maximum(joint.reach - 8, joint.inward - 9)))


def _bearing(joint: _Joint, bones: BoneDistances, soft: SoftTissue) -> Field:
    """Distance to the cartilage that fills the space within the menisci, but for a film in its middle."""
    return np.maximum(joint.film(soft.meniscus), 0.4 - 0.5 * np.abs(bones.femur - bones.tibia))


def _cartilage(thigh: Place, joint: _Joint, bones: BoneDistances, cartilage_mm: float) -> Field:
    """Distance to the cartilage of femur, tibia and patella: articular, and all around what has not ossified yet."""
    x, y, z = thigh
    articular = min(cartilage_mm, ARTICULAR_MM)
    young = cartilage_mm - articular
    rim = np.clip((np.abs(x) - 28) / 9, 0, 1)
    notch = np.clip((9 - np.abs(x)) / 4, 0, 1) * np.clip((4 - y) / 4, 0, 1)
    top = np.clip((z - 16 - np.clip(np.abs(y + 10) - 14, 0, 20)) / 8, 0, 1)
    inner = 1.1 - 1.4 * np.clip((joint.radius - 0.7) / 0.35, 0, 1)
    femur = articular * (1 - 1.3 * np.maximum(np.maximum(rim, notch), top)) + young * (
        1 - np.clip((z - 20) / 6, 0, 1.3)
    )
    tibia = articular * inner + young * (1 - np.clip((-9 - joint.height) / 8, 0, 1.3))
    patella = articular * 1.3 * np.clip((14 - bones.femur) / 6, 0, 1) + young
    return np.asarray(np.minimum(np.minimum(bones.femur - femur, bones.tibia - tibia), bones.patella - patella))
