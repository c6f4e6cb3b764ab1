"""The permanent label integers, their names, colours and SNOMED CT codes.

The integers are a contract: they are append-only and never change their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum


class Label(IntEnum):
    """Label values of every mask that the project reads or writes (uint8)."""

    BACKGROUND = 0
    DISTAL_FEMUR_PHYSIS = 1
    PROXIMAL_TIBIA_PHYSIS = 2
    DISTAL_FEMUR_EPIPHYSIS = 3
    DISTAL_FEMUR_METAPHYSIS = 4
    PROXIMAL_TIBIA_EPIPHYSIS = 5
    PROXIMAL_TIBIA_METAPHYSIS = 6
    PROXIMAL_FIBULA = 7
    PATELLA = 8
    DISTAL_FEMUR_PHYSEAL_SCAR = 9
    PROXIMAL_TIBIA_PHYSEAL_SCAR = 10
    TIBIAL_TUBEROSITY_PHYSIS = 11


class Plane(str, Enum):
    """Acquisition plane of a stack of slices."""

    CORONAL = "coronal"
    SAGITTAL = "sagittal"
    AXIAL = "axial"


class Side(str, Enum):
    """Body side of the knee; unknown is said, never guessed."""

    LEFT = "left"
    RIGHT = "right"
    UNKNOWN = "unknown"


class Sex(str, Enum):
    """Sex of the subject, given by the user, never read from a header."""

    MALE = "male"
    FEMALE = "female"


@dataclass(frozen=True)
class PlateSite:
    """The labels around one growth plate.

    The *site* is the interface of epiphysis and metaphysis, whether the plate is open or closed.
    """

    name: str
    open_plate: Label
    scar: Label
    epiphysis: Label
    metaphysis: Label

    @property
    def bone(self) -> tuple[Label, ...]:
        """All labels that make up the bone with its plate."""
        return (self.open_plate, self.scar, self.epiphysis, self.metaphysis)


DISTAL_FEMUR = PlateSite(
    name="distal_femur",
    open_plate=Label.DISTAL_FEMUR_PHYSIS,
    scar=Label.DISTAL_FEMUR_PHYSEAL_SCAR,
    epiphysis=Label.DISTAL_FEMUR_EPIPHYSIS,
    metaphysis=Label.DISTAL_FEMUR_METAPHYSIS,
)
PROXIMAL_TIBIA = PlateSite(
    name="proximal_tibia",
    open_plate=Label.PROXIMAL_TIBIA_PHYSIS,
    scar=Label.PROXIMAL_TIBIA_PHYSEAL_SCAR,
    epiphysis=Label.PROXIMAL_TIBIA_EPIPHYSIS,
    metaphysis=Label.PROXIMAL_TIBIA_METAPHYSIS,
)
PLATE_SITES = (DISTAL_FEMUR, PROXIMAL_TIBIA)

# Colours from the Okabe-Ito palette (distinguishable with colour-blindness), plates in the warm hues.
# Source: Okabe M, Ito K, Color Universal Design, 2008.
LABEL_COLOURS: dict[Label, tuple[int, int, int]] = {
    Label.BACKGROUND: (0, 0, 0),
    Label.DISTAL_FEMUR_PHYSIS: (230, 159, 0),
    Label.PROXIMAL_TIBIA_PHYSIS: (213, 94, 0),
    Label.DISTAL_FEMUR_EPIPHYSIS: (86, 180, 233),
    Label.DISTAL_FEMUR_METAPHYSIS: (0, 114, 178),
    Label.PROXIMAL_TIBIA_EPIPHYSIS: (0, 200, 150),
    Label.PROXIMAL_TIBIA_METAPHYSIS: (0, 130, 95),
    Label.PROXIMAL_FIBULA: (204, 121, 167),
    Label.PATELLA: (150, 110, 190),
    Label.DISTAL_FEMUR_PHYSEAL_SCAR: (240, 228, 66),
    Label.PROXIMAL_TIBIA_PHYSEAL_SCAR: (200, 190, 40),
    Label.TIBIAL_TUBEROSITY_PHYSIS: (255, 120, 120),
}

# SNOMED CT codes of the bone each label lies in; the part of the bone is told by the label's name.
# Source: DICOM PS3.16 (2024), code values as carried by pydicom.sr.codedict (SCT).
LABEL_SNOMED: dict[Label, tuple[str, str]] = {
    Label.DISTAL_FEMUR_PHYSIS: ("310652005", "Distal Femur"),
    Label.PROXIMAL_TIBIA_PHYSIS: ("12611008", "Tibia"),
    Label.DISTAL_FEMUR_EPIPHYSIS: ("310652005", "Distal Femur"),
    Label.DISTAL_FEMUR_METAPHYSIS: ("310652005", "Distal Femur"),
    Label.PROXIMAL_TIBIA_EPIPHYSIS: ("12611008", "Tibia"),
    Label.PROXIMAL_TIBIA_METAPHYSIS: ("12611008", "Tibia"),
    Label.PROXIMAL_FIBULA: ("87342007", "Fibula"),
    Label.PATELLA: ("64234005", "Patella"),
    Label.DISTAL_FEMUR_PHYSEAL_SCAR: ("310652005", "Distal Femur"),
    Label.PROXIMAL_TIBIA_PHYSEAL_SCAR: ("12611008", "Tibia"),
    Label.TIBIAL_TUBEROSITY_PHYSIS: ("12611008", "Tibia"),
}
