"""True skeletal stages of a plate, from its latents; the definitions are those of ``kneeage.core.skeletal_stages``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kneeage.core.skeletal_stages import (
    DEDOUIT,
    SCHMELING_KELLINGHAUS,
    TRUE_CONTINUITY,
    Dedouit,
    FloatArray,
    SchmelingKellinghaus,
    dedouit_index,
)
from kneeage.core.skeletal_stages import schmeling_kellinghaus_index as _graded
from kneeage.phantom.growth.latents import VISIBLE_SCAR, PlateLatents

__all__ = [
    "DEDOUIT",
    "SCHMELING_KELLINGHAUS",
    "TRUE_CONTINUITY",
    "Dedouit",
    "SchmelingKellinghaus",
    "dedouit",
    "dedouit_index",
    "schmeling_kellinghaus",
    "schmeling_kellinghaus_index",
]


def dedouit(plate: PlateLatents) -> Dedouit:
    """Grade a plate after Dedouit."""
    return DEDOUIT[int(dedouit_index(np.array(plate.thickness_mm), np.array(plate.bridged)))]


def schmeling_kellinghaus(plate: PlateLatents) -> SchmelingKellinghaus:
    """Grade a plate after Schmeling and Kellinghaus."""
    return SCHMELING_KELLINGHAUS[int(schmeling_kellinghaus_index(np.array(plate.bridged), np.array(plate.scar)))]


def schmeling_kellinghaus_index(bridged: FloatArray, scar: FloatArray) -> NDArray[np.intp]:
    """Grade many plates after Schmeling and Kellinghaus by the strength of their scars, 0 to 1, shape (n,)."""
    return _graded(bridged, np.asarray(scar >= VISIBLE_SCAR))
