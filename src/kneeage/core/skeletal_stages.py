"""Skeletal stages of a growth plate: Dedouit, and Schmeling with the substages of Kellinghaus.

One definition for what is measured on images and for the truth of virtual subjects.

Source: the definitions are recalled from Dedouit 2012, Schmeling 2004 and Kellinghaus 2010. Dedouit parts stages II
and III at 1.5 mm of thickness; I and II are parted by look, which is put into mm here. Kellinghaus parts 2a, 2b and 2c
by how far the ossified epiphysis reaches over the metaphysis' width: at the knee more than two thirds from school age
on, so subjects of 6 years and older have 2c at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]

# A thicker plate counts as multilaminar (stage I). Source: ours, the thickness at which the growth law puts Han males'
# transitions from I to II (femur 13.6 y, tibia 12.7 y; derived from Deng 2025).
MULTILAMINAR_MM = 2.3
# A thinner continuous plate is stage III. Source: Dedouit 2012, recalled.
THIN_MM = 1.5


@dataclass(frozen=True)
class Continuity:
    """Which shares of a plate are too small to be seen.

    Args:
        bridge_seen: A plate counts as bridged from this bridged share on.
        remnant_seen: A plate counts as closed from this bridged share on.
    """

    bridge_seen: float
    remnant_seen: float


# Of the true bridged share: what is less shows on no slice. Source: assumed.
TRUE_CONTINUITY = Continuity(bridge_seen=0.02, remnant_seen=0.98)


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


def dedouit_index(
    thickness_mm: FloatArray, bridged: FloatArray, continuity: Continuity = TRUE_CONTINUITY
) -> NDArray[np.intp]:
    """Grade many plates after Dedouit.

    I: continuous and multilaminar (thicker than 2.3 mm); II: continuous, thicker than 1.5 mm; III: continuous, thinner;
    IV: discontinuous; V: closed.

    Args:
        thickness_mm: Thickness of the open part, shape (n,); anything where a plate is closed.
        bridged: Share of the plate that has closed, 0 to 1, shape (n,).
        continuity: Which shares are too small to be seen.

    Returns:
        Places in ``DEDOUIT``, shape (n,).
    """
    continuous = np.where(thickness_mm >= MULTILAMINAR_MM, 0, np.where(thickness_mm >= THIN_MM, 1, 2))
    partly = np.where(bridged < continuity.remnant_seen, 3, 4)
    return np.asarray(np.where(bridged < continuity.bridge_seen, continuous, partly))


def schmeling_kellinghaus_index(
    bridged: FloatArray, scar_visible: NDArray[np.bool_], continuity: Continuity = TRUE_CONTINUITY
) -> NDArray[np.intp]:
    """Grade many plates after Schmeling and Kellinghaus.

    2c: not fused; 3a, 3b, 3c: fused over up to one, two, three thirds; 4: fused, with a scar; 5: the scar is too faint
    to be seen, and not labelled.

    Args:
        bridged: Share of the plate that has closed, 0 to 1, shape (n,).
        scar_visible: Whether its closed part shows as a scar, shape (n,).
        continuity: Which shares are too small to be seen.

    Returns:
        Places in ``SCHMELING_KELLINGHAUS``, shape (n,).
    """
    fused_third = _STAGE_3A + np.minimum((bridged * 3).astype(int), 2)
    closed = np.where(scar_visible, _STAGE_4, _STAGE_5)
    partly = np.where(bridged < continuity.remnant_seen, fused_third, closed)
    return np.asarray(np.where(bridged < continuity.bridge_seen, _STAGE_2C, partly))


def weighted_kappa(first: Sequence[int], second: Sequence[int], stages: int, *, power: int = 2) -> float:
    """Measure the agreement of two gradings of the same plates beyond chance.

    Source: Cohen J, Psychol Bull 1968;70:213-220, doi:10.1037/h0026256.

    Args:
        first: Places of stages, from 0, shape (n,).
        second: The other grading's.
        stages: How many stages there are.
        power: 1: a disagreement counts by the number of stages between (linear); 2: by its square (quadratic).

    Returns:
        At most 1 (full agreement); 0: no better than chance; not a number where all plates have one stage.
    """
    seen = np.zeros((stages, stages))
    np.add.at(seen, (np.asarray(first), np.asarray(second)), 1.0)
    weight = np.abs(np.subtract.outer(np.arange(stages), np.arange(stages))).astype(float) ** power
    by_chance = np.outer(seen.sum(axis=1), seen.sum(axis=0)) / max(seen.sum(), 1.0)
    expected = float((weight * by_chance).sum())
    return 1.0 - float((weight * seen).sum()) / expected if expected else float("nan")
