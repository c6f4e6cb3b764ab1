"""Minimum age in the forensic sense: the youngest reference subject with the same finding.

It is a quantity of its own: neither the most probable age nor the lower end of an interval. It hangs on how many
reference subjects there are and from which age on they were taken, so that both are given with it.
"""

from __future__ import annotations

from collections.abc import Mapping

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import ReferenceRow, References
from kneeage.core.result import MinimumAge, SkeletalStages

FEMUR, TIBIA = "distal_femur", "proximal_tibia"
# Fewer reference subjects with a finding than this give no minimum age: the youngest of few is too old. Source: ours;
# of 30 the youngest lies below the 10 % quantile with 96 % probability.
MIN_SUBJECTS = 30
# What the quantile in ``ReferenceRow`` is.
QUANTILE = 0.01
# A youngest subject this near to where the reference begins says where it begins. Source: ours.
_EDGE_YEARS = 0.5
_SYSTEMS = {"dedouit": "Dedouit", "schmeling_kellinghaus": "Schmeling-Kellinghaus"}

MISSING_WARNING = "no minimum age is given: too few reference subjects have this finding"


def minimum_age(
    references: References | None, sex: Sex | None, stages: Mapping[str, SkeletalStages]
) -> MinimumAge | None:
    """Look up the youngest reference subject with the same stage of both plates.

    Args:
        references: The bundle's reference subjects.
        sex: The subject's sex; None: the sex whose youngest subject is the younger one.
        stages: Stages by plate (``"distal_femur"``, ``"proximal_tibia"``).

    Returns:
        None where the bundle has no reference, a plate was not graded, or too few reference subjects have this finding:
        without a sex, too few of either sex that has it.

    Source: Schmeling et al. 2016, doi:10.3238/arztebl.2016.0044 (minimum-age concept).
    """
    finding = None if references is None else _finding(references, stages)
    if references is None or finding is None:
        return None
    rows = [
        row for row in references.rows if (row.distal_femur, row.proximal_tibia) == finding and sex in (None, row.sex)
    ]
    if not rows or min(row.n for row in rows) < MIN_SUBJECTS:
        return None
    row = min(rows, key=lambda row: row.youngest_years)
    return MinimumAge(
        value_years=row.youngest_years,
        quantile_years=row.quantile_years,
        quantile=QUANTILE,
        n=row.n,
        definition=_definition(references, row, was_chosen=sex is None),
    )


def is_graded(references: References | None, stages: Mapping[str, SkeletalStages]) -> bool:
    """Say whether there is a reference and both plates were graded by its stages."""
    return references is not None and _finding(references, stages) is not None


def _finding(references: References, stages: Mapping[str, SkeletalStages]) -> tuple[str, str] | None:
    """Give the stage of femur and tibia; None where one was not graded."""
    femur, tibia = (getattr(stages.get(plate, SkeletalStages()), references.system) for plate in (FEMUR, TIBIA))
    return None if femur is None or tibia is None else (femur, tibia)


def _definition(references: References, row: ReferenceRow, *, was_chosen: bool) -> str:
    """Say in words whom the minimum age comes from."""
    who = f"{row.sex.value} as the younger of both sexes" if was_chosen else row.sex.value
    text = (
        f"youngest reference subject ({references.population}, {who}, {references.low_years:g} to "
        f"{references.high_years:g} years) with {_SYSTEMS[references.system]} stage {row.distal_femur} of the distal "
        f"femur and {row.proximal_tibia} of the proximal tibia"
    )
    at_edge = row.youngest_years < references.low_years + _EDGE_YEARS
    return f"{text}; younger subjects were not examined" if at_edge else text
