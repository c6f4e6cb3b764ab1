"""How far the two plates of one knee can differ: limits from many knees, and one knee against them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import numpy as np

from kneeage.core.manifest import GrowthLimit
from kneeage.core.result import PlateReport
from kneeage.infer.stages import MEASURED_CONTINUITY, dedouit_place

Measure = Literal["openness", "thickness_mm", "stage"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


def plate_difference(femur: PlateReport, tibia: PlateReport, measure: str) -> float | None:
    """Give femur minus tibia.

    Args:
        femur: The femoral plate, graded.
        tibia: The tibial plate, graded.
        measure: ``openness``, ``thickness_mm`` (where neither plate is bridged) or ``stage`` (places after Dedouit).

    Returns:
        The difference; None where it cannot be told.
    """
    if measure == "stage":
        return _minus(dedouit_place(femur), dedouit_place(tibia))
    if measure == "openness":
        return _minus(femur.openness, tibia.openness)
    return _minus(_unbridged_mm(femur), _unbridged_mm(tibia))


def fit_growth_limits(knees: Sequence[tuple[PlateReport, PlateReport]], quantile: float = 0.9995) -> list[GrowthLimit]:
    """Set limits that the given share of knees keeps, for each measure.

    Args:
        knees: Femoral and tibial plate of each, graded.
        quantile: Share of knees inside, as many beyond either limit.

    Returns:
        A limit for each measure that any knee has.
    """
    tails = ((1 - quantile) / 2, (1 + quantile) / 2)
    limits = []
    for measure in MEASURES:
        found = [difference for knee in knees if (difference := plate_difference(*knee, measure)) is not None]
        if found:
            low, high = (float(value) for value in np.quantile(found, tails))
            limits.append(GrowthLimit(measure=measure, low=low, high=high, quantile=quantile, subjects=len(found)))
    return limits


def missed_limit(
    femur: PlateReport, tibia: PlateReport, limits: Iterable[GrowthLimit]
) -> tuple[GrowthLimit, float] | None:
    """Find the first limit that a knee does not keep, and its difference; None where it keeps all."""
    for limit in limits:
        difference = plate_difference(femur, tibia, limit.measure)
        if difference is not None and not limit.low <= difference <= limit.high:
            return limit, difference
    return None


def _minus(first: float | None, second: float | None) -> float | None:
    """Subtract where both are known."""
    return None if first is None or second is None else float(first - second)


def _unbridged_mm(plate: PlateReport) -> float | None:
    """Thickness of a plate without a bridge."""
    bridged = plate.openness is None or 1 - plate.openness >= MEASURED_CONTINUITY.bridge_seen
    return None if bridged else plate.thickness_mm
