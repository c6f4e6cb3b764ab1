"""Reference subjects by stage of both plates: what minimum ages are read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import ReferenceRow, References
from kneeage.decide.minimum_age import QUANTILE


@dataclass(frozen=True)
class Graded:
    """A reference subject.

    Args:
        age_years: Chronological age.
        sex: Sex.
        distal_femur: Stage of the femoral plate.
        proximal_tibia: Stage of the tibial plate.
    """

    age_years: float
    sex: Sex
    distal_femur: str
    proximal_tibia: str


def fit_references(
    subjects: Sequence[Graded],
    *,
    system: Literal["dedouit", "schmeling_kellinghaus"],
    population: str,
    ages_years: tuple[float, float],
) -> References:
    """Find the youngest subject and the 1 % quantile of each finding.

    Args:
        subjects: Reference subjects, graded on images as the subjects will be that are compared with them.
        system: What the stages are.
        population: Who the subjects are.
        ages_years: Youngest and oldest age that was examined.

    Returns:
        One row per finding that occurs; the quantile is left out where it would rest on less than one subject.
    """
    findings = sorted({(s.sex.value, s.distal_femur, s.proximal_tibia) for s in subjects})
    rows = [_row(subjects, Sex(sex), femur, tibia) for sex, femur, tibia in findings]
    return References(
        system=system, population=population, low_years=ages_years[0], high_years=ages_years[1], rows=rows
    )


def _row(subjects: Sequence[Graded], sex: Sex, femur: str, tibia: str) -> ReferenceRow:
    """Describe one finding."""
    finding = (sex, femur, tibia)
    ages = [s.age_years for s in subjects if (s.sex, s.distal_femur, s.proximal_tibia) == finding]
    enough = len(ages) * QUANTILE >= 1
    return ReferenceRow(
        sex=sex,
        distal_femur=femur,
        proximal_tibia=tibia,
        n=len(ages),
        youngest_years=min(ages),
        quantile_years=float(np.quantile(ages, QUANTILE, method="inverted_cdf")) if enough else None,
    )
