"""Everything around the bones of the virtual knee: skin, fat, muscles, vessels, capsule, ligaments, cartilage.

Knee coordinates (see ``kneeage.phantom.anatomy``). Source: placed by eye on coronal T1 knees (``assumed``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kneeage.phantom.bones import Field
from kneeage.phantom.tissue import Tissue

Tissues = NDArray[np.uint8]


@dataclass(frozen=True)
class SoftTissue:
    """The individual soft tissue of one knee, lengths in mm.

    Args:
        fat_lateral: Thickness of the subcutaneous fat on the lateral side.
        fat_medial: The same on the medial side.
        leg_half_width: Half the width of the leg at the joint.
        muscle_bulk: Factor on the cross-section of every muscle.
        muscle_shifts: Lateral and anterior shift of each muscle, shape (muscles, 2).
        capsule: Thickness of capsule and synovium behind the condyles.
        cap: Thickness of the dark cap (cortex, capsule, tendon) on top of the posterior condyles.
        heads: How far the heads of the gastrocnemius reach from the condyles they spring from; 0 in lean knees.
        effusion: Thickness of fluid in front of the femur.
        joint_gap: Distance from the condyles to the tibial plateau.
    """

    fat_lateral: float
    fat_medial: float
    leg_half_width: float
    muscle_bulk: float
    muscle_shifts: Field
    capsule: float
    cap: float
    heads: float
    effusion: float
    joint_gap: float

    @staticmethod
    def draw(rng: np.random.Generator) -> SoftTissue:
        """Draw the soft tissue of one knee."""
        return SoftTissue(
            fat_lateral=rng.uniform(3, 18),
            fat_medial=rng.uniform(3, 14),
            leg_half_width=rng.uniform(41, 58),
            muscle_bulk=rng.uniform(0.75, 1.4),
            muscle_shifts=rng.normal(0, 3.0, (11, 2)).astype(np.float32),
            capsule=rng.uniform(0.8, 3.5),
            cap=rng.uniform(0.5, 5.0),
            heads=rng.uniform(-4, 18),
            effusion=max(0.0, rng.normal(0.0, 2.0)),
            joint_gap=rng.uniform(6.0, 9.0),
        )


@dataclass(frozen=True)
class BoneDistances:
    """Signed distances to the bones about the joint, arrays of one shape, in mm."""

    femur: Field
    tibia: Field
    patella: Field


def leg_distance(x: Field, y: Field, z: Field, soft: SoftTissue) -> Field:
    """Signed distance to the skin: an ellipse that is widest in the thigh and follows the patella in front."""
    half = soft.leg_half_width + np.clip(z / 90, -0.5, 1.2) * 12 + 4 * np.cos((z + 60) / 38)
    front = 46 + np.clip(z / 60, -0.8, 1) * 6
    depth = (front + 72) / 2
    ratio = (np.abs(x / half) ** 2.2 + np.abs((y - front + depth) / depth) ** 2.2) ** np.float32(1 / 2.2)
    return np.asarray((ratio - 1) * half, dtype=np.float32)


def paint_soft_tissue(x: Field, y: Field, z: Field, leg: Field, soft: SoftTissue) -> Tissues:
    """Paint skin, fat, muscles with their fascia, vessels and tendons; ``leg`` is the distance to the skin."""
    fat = np.where(x > 0, soft.fat_lateral, soft.fat_medial) * (0.75 + 0.25 * np.cos((z - 10) / 30))
    tissue = np.full(x.shape, Tissue.AIR, np.uint8)
    tissue[leg < 0] = Tissue.SKIN
    tissue[leg < -1.6] = Tissue.SUBCUTANEOUS_FAT
    deep = leg < -1.6 - fat
    tissue[deep] = Tissue.FASCIA
    tissue[leg < -2.5 - fat] = Tissue.DEEP_FAT
    for muscle, tone in _muscles(x, y, z, soft):
        tissue[deep & (muscle < 1.0)] = Tissue.FASCIA
        tissue[deep & (muscle < 0.93)] = tone
    septa = np.abs(np.sin((x * 0.8 + y * 0.55 + 3 * np.sin(z / 23)) / 2.9)) < 0.055
    tissue[deep & septa & (tissue == Tissue.MUSCLE)] = Tissue.DEEP_FAT
    for vessel in _vessels(x, y, z):
        tissue[deep & (vessel < 1)] = Tissue.VESSEL
    return tissue


def paint_joint(
    tissue: Tissues, place: tuple[Field, Field, Field], bones: BoneDistances, soft: SoftTissue, cartilage_mm: float
) -> None:
    """Paint capsule, fluid, Hoffa's fat, tendons, ligaments, menisci and cartilage between the bones."""
    x, y, z = place
    femur, tibia, patella = bones.femur, bones.tibia, bones.patella
    behind = (y < -15) & (z > 17)
    tissue[behind & (femur < soft.heads) & (np.abs(x) > 5)] = Tissue.CALF_MUSCLE
    tissue[(femur < soft.capsule) & (z < 46) & (y < -6)] = Tissue.CAPSULE
    tissue[behind & (femur < soft.cap) & (z > 26)] = Tissue.TENDON
    tissue[(femur < soft.effusion + 1.2) & (z > 6) & (z < 60) & (y > 10)] = Tissue.FLUID
    between = (femur < 5.5) & (tibia < 6) & (y < 14)
    tissue[between] = np.where(np.abs(x[between]) < 9, Tissue.DEEP_FAT, Tissue.CAPSULE)
    hoffa = ((x / 27) ** 2 + ((y - 22) / 17) ** 2 + ((z + 2) / 23) ** 2) < 1
    tissue[hoffa] = Tissue.HOFFA_FAT
    tissue[(np.abs(x - 2) < 13) & (np.abs(y - 36 + np.clip(-z, 0, 40) * 0.45) < 2.6) & (z < 14) & (z > -44)] = (
        Tissue.LIGAMENT
    )
    tissue[(np.abs(x - 2) < 17) & (np.abs(y - 33) < 3.0) & (z > 46) & (z < 95)] = Tissue.LIGAMENT
    _paint_ligaments(tissue, x, y, z, femur, tibia)
    meniscus = (np.abs(np.abs(x) - 27) < 8.5) & (z < np.abs(np.abs(x) - 19) * 0.33 - 1) & (z > -soft.joint_gap - 1)
    tissue[meniscus & (tibia < 6) & (femur < 7) & (y < 6) & (y > -42)] = Tissue.MENISCUS
    tissue[(femur < cartilage_mm) & (z < 30) & ((z < 14) | (y > 8) | (y < -24))] = Tissue.CARTILAGE
    tissue[(tibia < cartilage_mm) & (z > -13) & (np.abs(np.abs(x) - 19) < 13)] = Tissue.CARTILAGE
    tissue[(patella < cartilage_mm) & (y < 36)] = Tissue.CARTILAGE


def _paint_ligaments(tissue: Tissues, x: Field, y: Field, z: Field, femur: Field, tibia: Field) -> None:
    """Paint the collateral bands, the iliotibial band and the two cruciates."""
    surface = np.minimum(femur, tibia)
    medial = (x < 0) & (surface > 0) & (surface < 3.0) & (y > -22) & (y < 2) & (z > -55) & (z < 26)
    tissue[medial] = Tissue.LIGAMENT
    lateral = (np.hypot(x - 38, y + 30 - np.clip(z, -30, 30) * 0.25) < 2.2) & (z > -26) & (z < 24)
    band = (np.abs(x - 41) < 1.3) & (np.abs(y - 4) < 10) & (z > -25)
    tissue[lateral | band] = Tissue.LIGAMENT
    along = np.clip((z + 10) / 30, 0, 1)
    anterior = np.hypot(x + 2 - along * 10, y + 6 + along * 22)
    posterior = np.hypot(x - 2 + along * 8, y + 34 - along * 22)
    reach = (z > -11) & (z < 22) & (femur > 0) & (tibia > 0)
    tissue[reach & (anterior < 4.6)] = Tissue.CRUCIATE
    tissue[reach & (posterior < 5.2)] = Tissue.LIGAMENT


# Centre (lateral, anterior) and radii of each muscle's cross-section, in mm, with its tissue.
_THIGH = (
    ((-34, 6), (17, 25), Tissue.MUSCLE),
    ((36, 2), (15, 27), Tissue.MUSCLE),
    ((2, 26), (22, 8), Tissue.MUSCLE),
    ((31, -44), (10, 11), Tissue.MUSCLE),
    ((-22, -50), (12, 11), Tissue.MUSCLE),
    ((-42, -40), (7, 9), Tissue.MUSCLE),
)
_CALF = (
    ((-20, -51), (15, 14), Tissue.CALF_MUSCLE),
    ((18, -50), (14, 13), Tissue.CALF_MUSCLE),
    ((2, -44), (23, 11), Tissue.CALF_MUSCLE),
    ((29, -12), (13, 18), Tissue.MUSCLE),
    ((40, -30), (8, 13), Tissue.MUSCLE),
)


def _muscles(x: Field, y: Field, z: Field, soft: SoftTissue) -> list[tuple[Field, Tissue]]:
    """Ellipse functions of the muscles around the knee with the tissue each is painted in."""
    medial = np.clip((z - 18) / 30, 0.02, 1.25) ** 1.2
    high = np.clip((z - 42) / 35, 0.02, 1.2)
    hamstrings = np.clip((z + 30) / 60, 0.05, 1.2)
    gastrocnemius = np.clip((58 - z) / 45, 0.03, 1.3)
    low = np.clip((-z - 12) / 26, 0.02, 1.2)
    sizes = (medial, high, high, hamstrings, hamstrings, hamstrings, gastrocnemius, gastrocnemius, low, low, low)
    return [
        (_tube(x - shift[0], y - shift[1], centre, radii) / (size * soft.muscle_bulk), tissue)
        for (centre, radii, tissue), size, shift in zip(_THIGH + _CALF, sizes, soft.muscle_shifts, strict=True)
    ]


def _vessels(x: Field, y: Field, z: Field) -> list[Field]:
    """Ellipse functions of the popliteal and genicular vessels and the saphenous vein."""
    sway = 3 * np.sin(z / 31)
    return [
        _tube(x, y, (2, -47), (3.6, 3.2)) + 0 * z,
        _tube(x - sway, y, (7, -52), (3.2, 4.0)),
        _tube(x + sway, y, (-46, -30), (1.6, 1.8)),
        _tube(x, z, (-12, 58), (14, 1.2)) + ((y + 26) / 4) ** 2,
        _tube(x, z, (12, 4), (20, 1.1)) + ((y + 44) / 5) ** 2,
    ]


def _tube(x: Field, y: Field, centre: tuple[float, float], radii: tuple[float, float]) -> Field:
    """Ellipse function of a long structure: below 1 inside."""
    return np.asarray(((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2, dtype=np.float32)
