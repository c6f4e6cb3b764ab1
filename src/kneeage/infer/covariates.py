"""Which facts beside the image entered an estimate, and what they changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from kneeage.core.manifest import BundleManifest
from kneeage.core.result import CovariateReport
from kneeage.infer.age import AgeFacts
from kneeage.infer.facts import FACT_GROUPS

Name = Literal["height_cm", "weight_kg", "sequence"]
# Covariates of the result: their field in `AgeFacts`, and their group of facts.
_COVARIATES = (
    ("height_cm", "height_cm", "height"),
    ("weight_kg", "weight_kg", "weight"),
    ("sequence", "weighting", "sequence"),
)
NOT_KNOWN, NOT_TAKEN = "not known", "the bundle does not use it"
SHOWN_ALONE = "moves the age distribution, not the conformal interval and the decisions"

# What is said of each measure of a body that no training subject had.
BODY_WARNINGS = {
    "height_cm": (
        "the height of {found} cm lies outside that of the training subjects ({low} to {high} cm): "
        "an age shown with it is not to be relied on"
    ),
    "weight_kg": (
        "the weight of {found} kg lies outside that of the training subjects ({low} to {high} kg): "
        "an age shown with it is not to be relied on"
    ),
    "body_mass_index": (
        "the body mass index of {found} kg/m² lies outside that of the training subjects ({low} to {high} kg/m²): "
        "an age shown with this height and weight is not to be relied on"
    ),
}


def body_warnings(height_cm: float | None, weight_kg: float | None, manifest: BundleManifest) -> list[str]:
    """Say which given measures of a body no training subject had; none where that was not recorded."""
    covered = manifest.body_range
    if covered is None:
        return []
    return [
        _outside(name, value, *getattr(covered, name)) for name, value in covered.outside(height_cm, weight_kg).items()
    ]


def covariate_reports(
    facts: AgeFacts, names: Sequence[str], age_years: Callable[[AgeFacts], float]
) -> list[CovariateReport]:
    """Say of each optional fact whether it was used, and by how much it moved the most probable age.

    Args:
        facts: What is known beside the image.
        names: The bundle's ``fact_names``.
        age_years: Gives the most probable age under the prior, for given facts.
    """
    used = [name for name, field, group in _COVARIATES if _is_used(facts, names, field, group)]
    whole = age_years(facts) if used else 0.0
    return [
        CovariateReport(
            name=name,
            value=getattr(facts, field),
            used=name in used,
            changed_years=whole - age_years(_without(facts, field)) if name in used else None,
            note=_note(facts, names, field, group),
        )
        for name, field, group in _COVARIATES
    ]


def _outside(name: str, found: float, low: float, high: float) -> str:
    """Say that one measure of a body lies outside."""
    return BODY_WARNINGS[name].format(found=f"{found:.4g}", low=f"{low:.4g}", high=f"{high:.4g}")


def _without(facts: AgeFacts, name: str) -> AgeFacts:
    """Take one fact away."""
    missing: dict[str, Any] = {name: None}
    return replace(facts, **missing)


def _is_used(facts: AgeFacts, names: Sequence[str], field: str, group: str) -> bool:
    """Say whether a fact is known and asked for."""
    return getattr(facts, field) is not None and bool({*FACT_GROUPS[group]} & {*names})


def _note(facts: AgeFacts, names: Sequence[str], field: str, group: str) -> str:
    """Say why a fact was not used, or what it does not move."""
    if not {*FACT_GROUPS[group]} & {*names}:
        return NOT_TAKEN
    if getattr(facts, field) is None:
        return NOT_KNOWN
    return "" if getattr(facts.as_calibrated, field) is not None else SHOWN_ALONE
