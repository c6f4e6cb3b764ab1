"""True skeletal stages of a plate, from its latents: Dedouit, and Schmeling with Kellinghaus.

Source: the definitions are recalled from Dedouit 2012, Schmeling 2004 and Kellinghaus 2010. Dedouit parts stages II
and III at 1.5 mm of thickness; I and II are parted by look, which is put into mm here. Kellinghaus parts 2a, 2b and 2c
by how far the ossified epiphysis reaches over the metaphysis' width: at the knee more than two thirds from school age
on, so the subjects of this cohort, 6 years and older, have 2c at least.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kneeage.phantom.growth.latents import VISIBLE_SCAR, PlateLatents

FloatArray = NDArray[np.floating[Any]]

# A thicker plate counts as multilaminar (stage I). Source: ours, the thickness at which the growth law puts Han males'
# transitions from I to II (femur 13.6 y, tibia 12.7 y; derived from Deng 2025).
MULTILAMINAR_MM = 2.3
# A thinner continuous plate is stage III. Source: Dedouit 2012, recalled.
THIN_MM = 1.5
# A plate counts as bridged from this share on, and as closed from the other; what is less shows on no slice.
# Source: assumed.
BRIDGE_SEEN, REMNANT_SEEN = 0.02, 0.98


class Dedouit(str, Enum):
    """Stages of Dedouit."""

    I = "I"  # noqa: E741 (the stage's name)
    II = "II"
    III = "III"
    IV = "IV"
    V = "V"


class SchmelingKellinghaus(str, Enum):
    """Stages of Schmeling with the substages of Kellinghaus."""

    S2A = "2a"
    S2B = "2b"
    S2C = "2c"
    S3A = "3a"
    S3B = "3b"
    S3C = "3c"
    S4 = "4"
    S5 = "5"


DEDOUIT = tuple(Dedouit)
SCHMELING_KELLINGHAUS = tuple(SchmelingKellinghaus)
_STAGE_2C, _STAGE_3A, _, _, _STAGE_4, _STAGE_5 = range(2, 8)


def dedouit(plate: PlateLatents) -> Dedouit:
    """Grade a plate after Dedouit.

    I: continuous and multilaminar (thicker than 2.3 mm); II: continuous, thicker than 1.5 mm; III: continuous, thinner;
    IV: discontinuous; V: closed.
    """
    return DEDOUIT[int(dedouit_index(np.array(plate.thickness_mm), np.array(plate.bridged)))]


def schmeling_kellinghaus(plate: PlateLatents) -> SchmelingKellinghaus:
    """Grade a plate after Schmeling and Kellinghaus.

    2c: not fused; 3a, 3b, 3c: fused over up to one, two, three thirds; 4: fused, with a scar; 5: the scar
    is too faint to be seen, and not labelled.
    """
    return SCHMELING_KELLINGHAUS[int(schmeling_kellinghaus_index(np.array(plate.bridged), np.array(plate.scar)))]


def dedouit_index(thickness_mm: FloatArray, bridged: FloatArray) -> NDArray[np.intp]:
    """Grade many plates after Dedouit; places in ``DEDOUIT``."""
    continuous = np.where(thickness_mm >= MULTILAMINAR_MM, 0, np.where(thickness_mm >= THIN_MM, 1, 2))
    return np.asarray(np.where(bridged < BRIDGE_SEEN, continuous, np.where(bridged < REMNANT_SEEN, 3, 4)))


def schmeling_kellinghaus_index(bridged: FloatArray, scar: FloatArray) -> NDArray[np.intp]:
    """Grade many plates after Schmeling and Kellinghaus; places in ``SCHMELING_KELLINGHAUS``."""
    fused_third = _STAGE_3A + np.minimum((bridged * 3).astype(int), 2)
    closed = np.where(scar >= VISIBLE_SCAR, _STAGE_4, _STAGE_5)
    return np.asarray(np.where(bridged < BRIDGE_SEEN, _STAGE_2C, np.where(bridged < REMNANT_SEEN, fused_third, closed)))
