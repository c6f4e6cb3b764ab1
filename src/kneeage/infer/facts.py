"""What the age network is told beside the image: one row of numbers, named by the bundle, the same way in training.

Every value is in its own unit; the network standardises. What is not known is 0, and where a 0 could be a value, a
second number says whether it is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kneeage.core.anatomy import DISTAL_FEMUR, PLATE_SITES, PROXIMAL_TIBIA, Sex
from kneeage.core.errors import BundleError
from kneeage.core.result import PlateReport
from kneeage.core.volume import Volume
from kneeage.infer.engine import FloatArray32
from kneeage.infer.morphometry import measure_plate
from kneeage.infer.region import SitesSeen

# Names of what a network may be told, by what they say; a bundle's ``fact_names`` are some of them in its own order.
FACT_GROUPS: dict[str, tuple[str, ...]] = {
    "sex": ("sex",),
    "height": ("height_cm", "height_known"),
    "weight": ("weight_kg", "weight_known"),
    "sequence": ("sequence_t1", "sequence_pd", "sequence_t2"),
    "plates": ("femur_openness", "femur_thickness_mm", "tibia_openness", "tibia_thickness_mm"),
}
# Value of ``sex``. Source: core/manifest.py, AgeStage.
SEX_VALUE = {Sex.FEMALE: 0.0, Sex.MALE: 1.0}
# Which number says whether another is known.
KNOWN = {"height_cm": "height_known", "weight_kg": "weight_known"}
_PLATES = {DISTAL_FEMUR.name: "femur", PROXIMAL_TIBIA.name: "tibia"}
_NAMES = frozenset(name for names in FACT_GROUPS.values() for name in names)


def subject_facts(
    sex: Sex, *, height_cm: float | None = None, weight_kg: float | None = None, weighting: str | None = None
) -> dict[str, float]:
    """Name what is known of a subject and its series.

    Args:
        sex: The subject's sex.
        height_cm: Height; None: not known.
        weight_kg: Weight; None: not known.
        weighting: T1, PD or T2; None, or any other word: not known.

    Returns:
        A value for each known fact.
    """
    known = {"sex": SEX_VALUE[sex], "height_cm": height_cm, "weight_kg": weight_kg}
    sequence = f"sequence_{(weighting or '').lower()}"
    known |= {name: float(name == sequence) for name in FACT_GROUPS["sequence"]}
    return {name: float(value) for name, value in known.items() if value is not None}


def plate_facts(plates: Mapping[str, PlateReport]) -> dict[str, float]:
    """Name what was measured on the plates' labels; a closed plate has thickness 0.

    Args:
        plates: By the plate's name, as ``measure_plate`` gives them: drawn thickness, not yet calibrated.

    Returns:
        Openness and thickness of each plate that was found.
    """
    facts = {}
    for name, part in _PLATES.items():
        if name in plates and plates[name].found:
            facts[f"{part}_openness"] = float(plates[name].openness or 0.0)
            facts[f"{part}_thickness_mm"] = float(plates[name].thickness_mm or 0.0)
    return facts


def drawn_plate_facts(labels: Volume, sites: SitesSeen) -> dict[str, float]:
    """Measure both plates on labels, and name what was measured, as `plate_facts` does."""
    return plate_facts({site.name: measure_plate(labels, site, sites.of(site)) for site in PLATE_SITES})


def facts_row(names: Sequence[str], known: Mapping[str, float]) -> FloatArray32:
    """Put facts into the order that a network wants.

    Args:
        names: The bundle's ``fact_names``.
        known: A value for each known fact.

    Returns:
        Float32 (1, F).

    Raises:
        BundleError: A name is none that this version knows.
    """
    strange = sorted(set(names) - _NAMES)
    if strange:
        raise BundleError(f"the age network asks for {strange[0]!r}, which this version does not know; update kneeage")
    flags = {flag: float(name in known) for name, flag in KNOWN.items()}
    return np.array([[flags.get(name, known.get(name, 0.0)) for name in names]], dtype=np.float32)
