"""How well a segmenter draws virtual knees: overlap, distance of outlines, agreement of stages with the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kneeage.core.anatomy import PLATE_SITES, PlateSite
from kneeage.core.manifest import Calibration
from kneeage.core.skeletal_stages import DEDOUIT, SCHMELING_KELLINGHAUS, weighted_kappa
from kneeage.learn.judge import graded
from kneeage.learn.virtual_regions import Facts

# Open plates from this thickness on are asked to overlap; of thinner ones one pixel is half of the plate.
THICK_MM = 2.0
# Ages at which the stages are compared, from and below, in years.
STAGED_YEARS = (13.0, 19.0)
_SYSTEMS = {
    "dedouit": [stage.value for stage in DEDOUIT],
    "schmeling_kellinghaus": [stage.value for stage in SCHMELING_KELLINGHAUS],
}


def drawing_numbers(facts: Sequence[Facts], calibration: Calibration) -> dict[str, float]:
    """Judge what was drawn of subjects whose true labels are known.

    Args:
        facts: Of ``kneeage.learn.virtual_regions``, with truth.
        calibration: Of the bundle.

    Returns:
        Named numbers; what nobody was there for is left out.
    """
    numbers = _dice_numbers(facts)
    for site in PLATE_SITES:
        numbers |= _plate_numbers(facts, calibration, site)
    thick = [share for site in PLATE_SITES for share in _thick_overlaps(facts, site)]
    surfaces = [plate["surface_mm"] for plate in _plates(facts) if plate["surface_mm"] is not None]
    numbers |= {
        "dice_thick_open_plates": _mean(thick),
        "surface_distance_open_plates_mm": _mean(surfaces),
        "surface_distance_open_plates_median_mm": float(np.median(surfaces)) if surfaces else float("nan"),
        "open_plates_not_drawn_share": _mean([plate["surface_mm"] is None for plate in _open(facts)]),
    }
    numbers |= _stage_numbers(facts, calibration)
    return {name: value for name, value in numbers.items() if np.isfinite(value)}


def _plates(facts: Sequence[Facts]) -> list[Facts]:
    """List both plates of all subjects."""
    return [known["plates"][site.name] for known in facts for site in PLATE_SITES]


def _open(facts: Sequence[Facts]) -> list[Facts]:
    """List the plates whose true labels show them open, be it in part."""
    return [plate for plate in _plates(facts) if (plate["true"]["openness"] or 0.0) > 0]


def _dice_numbers(facts: Sequence[Facts]) -> dict[str, float]:
    """Dice of each label, and of each bone with its plate, over all voxels of all subjects."""
    names = facts[0]["dice_counts"] if facts else {}
    return {f"dice_{name}": _pooled_dice(facts, name) for name in names}


def _pooled_dice(facts: Sequence[Facts], name: str) -> float:
    """Dice over the voxels of one label of all subjects; not a number where none occurs."""
    both, either = np.sum([known["dice_counts"][name] for known in facts], axis=0)
    return float(both / either) if either else float("nan")


def _thick_overlaps(facts: Sequence[Facts], site: PlateSite) -> list[float]:
    """Dice of the open plate of each subject in whom it is thick."""
    name = site.open_plate.name.lower()
    thick = [known for known in facts if (known["plates"][site.name]["true"]["thickness_mm"] or 0.0) >= THICK_MM]
    return [_pooled_dice([known], name) for known in thick]


def _plate_numbers(facts: Sequence[Facts], calibration: Calibration, site: PlateSite) -> dict[str, float]:
    """Errors of openness and thickness, as they are reported, against the true labels measured with the same ruler."""
    numbers = {}
    reported = [graded(known, calibration)[site.name].model_dump() for known in facts]
    truth = [known["plates"][site.name]["true"] for known in facts]
    for measure in ("openness", "thickness_mm"):
        pairs = [(true[measure], said[measure]) for true, said in zip(truth, reported, strict=True)]
        errors = [abs(true - said) for true, said in pairs if true is not None and said is not None]
        numbers[f"{site.name}_{measure}_mean_absolute_error"] = _mean(errors)
    return numbers


def _stage_numbers(facts: Sequence[Facts], calibration: Calibration) -> dict[str, float]:
    """Weighted kappa of true and reported stages, both plates together, of adolescents."""
    low, high = STAGED_YEARS
    young = [known for known in facts if low <= known["chronological_age_years"] < high]
    return {f"stage_kappa_{system}": _kappa(young, calibration, system) for system in _SYSTEMS}


def _kappa(facts: Sequence[Facts], calibration: Calibration, system: str) -> float:
    """Weighted kappa of one system of stages; not a number of nobody."""
    order = _SYSTEMS[system]
    pairs = [
        (known["true_stages"][name][system], getattr(report.stages, system))
        for known in facts
        for name, report in graded(known, calibration).items()
    ]
    places = [(order.index(true), order.index(said)) for true, said in pairs if said is not None]
    if not places:
        return float("nan")
    first, second = zip(*places, strict=True)
    return weighted_kappa(first, second, len(order))


def _mean(values: Sequence[float]) -> float:
    """Mean; not a number of nothing."""
    return float(np.mean(values)) if values else float("nan")
