"""How well a segmenter draws virtual knees: overlap, distance of outlines, agreement of stages with the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from kneeage.core.anatomy import PLATE_SITES, PlateSite
from kneeage.core.manifest import Calibration
from kneeage.core.skeletal_stages import DEDOUIT, SCHMELING_KELLINGHAUS, weighted_kappa
from kneeage.learn.judge import graded
from kneeage.learn.virtual_regions import Facts
from kneeage.study.predictions import FloatArray, IntArray
from kneeage.study.resampling import RESAMPLING, Bootstrapped, Resampling, bootstrap_places, bootstrap_ratio

# Open plates from this thickness on are asked to overlap; of thinner ones one pixel is half of the plate.
THICK_MM = 2.0
# Ages at which the stages are compared, from and below, in years.
STAGED_YEARS = (13.0, 19.0)
_SYSTEMS = {
    "dedouit": [stage.value for stage in DEDOUIT],
    "schmeling_kellinghaus": [stage.value for stage in SCHMELING_KELLINGHAUS],
}
# Two values of each subject, whose sums are divided.
_Parts = tuple[FloatArray, FloatArray]


def drawing_numbers(facts: Sequence[Facts], calibration: Calibration) -> dict[str, float]:
    """Judge what was drawn of subjects whose true labels are known.

    Args:
        facts: Of ``kneeage.learn.virtual_regions``, with truth.
        calibration: Of the bundle.

    Returns:
        Named numbers; what nobody was there for is left out.
    """
    numbers = {name: _divided(parts) for name, parts in _shares(facts).items()}
    for site in PLATE_SITES:
        numbers |= _plate_numbers(facts, calibration, site)
    surfaces = [plate["surface_mm"] for plate in _plates(facts) if plate["surface_mm"] is not None]
    numbers["surface_distance_open_plates_median_mm"] = float(np.median(surfaces)) if surfaces else float("nan")
    numbers |= {f"stage_kappa_{system}": _kappa(_stages(facts, calibration, system), system) for system in _SYSTEMS}
    return {name: value for name, value in numbers.items() if np.isfinite(value)}


def drawing_intervals(
    facts: Sequence[Facts], calibration: Calibration, resampling: Resampling = RESAMPLING
) -> dict[str, Bootstrapped]:
    """Give the overlaps, distances, shares and kappas of `drawing_numbers` with their intervals over subjects.

    Args:
        facts: As there; both plates of a subject are drawn together.
        calibration: Of the bundle.
        resampling: How it is done.

    Returns:
        By the same names; what nobody was there for is left out, and so is what no draw moves: a share of none or all.
    """
    found = {name: bootstrap_ratio(*parts, resampling) for name, parts in _shares(facts).items() if len(parts[0])}
    for system in _SYSTEMS:
        stages = _stages(facts, calibration, system)
        if stages:
            metric = partial(_kappa_of, stages, system)
            found[f"stage_kappa_{system}"] = bootstrap_places(len(stages), metric, resampling)
    return {name: each for name, each in found.items() if each.low < each.high}


def _plates(facts: Sequence[Facts]) -> list[Facts]:
    """List both plates of all subjects."""
    return [known["plates"][site.name] for known in facts for site in PLATE_SITES]


def _shares(facts: Sequence[Facts]) -> dict[str, _Parts]:
    """List the numbers that are one sum over subjects divided by another: both of each subject, by name.

    Dice of each label, and of each bone with its plate, is over all voxels; that of thick plates is a mean over plates.
    """
    names = facts[0]["dice_counts"] if facts else {}
    found = {f"dice_{name}": _columns([known["dice_counts"][name] for known in facts]) for name in names}
    means: dict[str, Callable[[Facts, PlateSite], float | None]] = {
        "dice_thick_open_plates": _thick_overlap,
        "surface_distance_open_plates_mm": _surface,
        "open_plates_not_drawn_share": _open_not_drawn,
        "closed_plates_drawn_open_share": _closed_drawn,
        "closed_plates_drawn_open_mm3": _closed_drawn_mm3,
        "closed_plates_measured_open_share": _closed_measured,
    }
    return found | {name: _columns([_sum(known, each) for known in facts]) for name, each in means.items()}


def _columns(pairs: Sequence[tuple[float, float]]) -> _Parts:
    """Part pairs, one per subject, into two arrays."""
    first, second = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return first, second


def _sum(known: Facts, value: Callable[[Facts, PlateSite], float | None]) -> tuple[float, float]:
    """Sum a value over a subject's plates that have one, and count these."""
    values = [each for site in PLATE_SITES if (each := value(known, site)) is not None]
    return sum(values), len(values)


def _divided(parts: _Parts) -> float:
    """Divide the sums; not a number where there is nothing to divide by."""
    part, whole = (float(each.sum()) for each in parts)
    return part / whole if whole else float("nan")


def _thick_overlap(known: Facts, site: PlateSite) -> float | None:
    """Dice of an open plate that is thick."""
    if (known["plates"][site.name]["true"]["thickness_mm"] or 0.0) < THICK_MM:
        return None
    both, either = known["dice_counts"][site.open_plate.name.lower()]
    return float(both / either)


def _surface(known: Facts, site: PlateSite) -> float | None:
    """Distance of the outlines of a plate, where both are drawn."""
    distance: float | None = known["plates"][site.name]["surface_mm"]
    return distance


def _open_not_drawn(known: Facts, site: PlateSite) -> float | None:
    """Whether a plate that the true labels show open, be it in part, is drawn in none of their slices."""
    plate = known["plates"][site.name]
    return float(plate["surface_mm"] is None) if (plate["true"]["openness"] or 0.0) > 0 else None


def _closed(known: Facts, site: PlateSite) -> Facts | None:
    """Give a plate that is truly closed: openness 0, and no remnant beside the columns that are measured."""
    plate: Facts = known["plates"][site.name]
    closed = plate["true"]["openness"] == 0 and "open_mm3" in plate and plate["open_mm3"]["true"] == 0
    return plate if closed else None


def _closed_drawn(known: Facts, site: PlateSite) -> float | None:
    """Whether any open plate is drawn in a closed one, be it a voxel."""
    plate = _closed(known, site)
    return None if plate is None else float(plate["open_mm3"]["drawn"] > 0)


def _closed_drawn_mm3(known: Facts, site: PlateSite) -> float | None:
    """How much open plate is drawn in a closed one, where any is."""
    plate = _closed(known, site)
    return (plate["open_mm3"]["drawn"] or None) if plate else None


def _closed_measured(known: Facts, site: PlateSite) -> float | None:
    """Whether a closed plate is measured as open."""
    plate = _closed(known, site)
    return None if plate is None else float((plate["found"]["openness"] or 0.0) > 0)


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


def _stages(facts: Sequence[Facts], calibration: Calibration, system: str) -> list[list[tuple[int, int]]]:
    """Place the true and the reported stage of both plates of each adolescent in the order of a system of stages."""
    low, high = STAGED_YEARS
    order = _SYSTEMS[system]
    young = [known for known in facts if low <= known["chronological_age_years"] < high]
    graded_pairs = [
        [
            (known["true_stages"][name][system], getattr(report.stages, system))
            for name, report in graded(known, calibration).items()
        ]
        for known in young
    ]
    return [[(order.index(true), order.index(said)) for true, said in pairs if said] for pairs in graded_pairs]


def _kappa(stages: Sequence[Sequence[tuple[int, int]]], system: str) -> float:
    """Weighted kappa of true and reported stages, both plates together; not a number of nobody."""
    pairs = [pair for subject in stages for pair in subject]
    if not pairs:
        return float("nan")
    first, second = zip(*pairs, strict=True)
    return weighted_kappa(first, second, len(_SYSTEMS[system]))


def _kappa_of(stages: Sequence[Sequence[tuple[int, int]]], system: str, drawn: IntArray) -> float:
    """Weighted kappa of drawn subjects."""
    return _kappa([stages[place] for place in drawn], system)


def _mean(values: Sequence[float]) -> float:
    """Mean; not a number of nothing."""
    return float(np.mean(values)) if values else float("nan")
