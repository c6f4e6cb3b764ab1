"""The tissues that a virtual slice is painted with."""

from __future__ import annotations

from enum import IntEnum


class Tissue(IntEnum):
    """Tissue value of one painted point (uint8)."""

    AIR = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    DEEP_FAT = 3
    MUSCLE = 4
    CALF_MUSCLE = 5
    FASCIA = 6
    LIGAMENT = 7
    CRUCIATE = 8
    VESSEL = 9
    FLUID = 10
    CAPSULE = 11
    CARTILAGE = 12
    MENISCUS = 13
    HOFFA_FAT = 14
    CORTEX = 15
    FEMUR_EPIPHYSIS = 16
    FEMUR_METAPHYSIS = 17
    TIBIA_EPIPHYSIS = 18
    TIBIA_METAPHYSIS = 19
    FIBULA = 20
    PATELLA = 21
    LESION = 22
    TENDON = 23
    NERVE = 24
    EPIPHYSEAL_CARTILAGE = 25
    BONE_ISLAND = 26
    CYST = 27
    OEDEMA = 28
    METAL = 29


MARROW = (
    Tissue.FEMUR_EPIPHYSIS,
    Tissue.FEMUR_METAPHYSIS,
    Tissue.TIBIA_EPIPHYSIS,
    Tissue.TIBIA_METAPHYSIS,
    Tissue.FIBULA,
    Tissue.PATELLA,
)
