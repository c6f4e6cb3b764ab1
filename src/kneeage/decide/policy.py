"""The fixed rule that turns a distribution into a decision about an age threshold.

Decisions rest on the posterior under the reference prior, never on the prior that a user chose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import BundleManifest, ThresholdPolicy
from kneeage.core.result import ThresholdDecision, ThresholdReport
from kneeage.decide.posterior import AgeDistribution, FloatArray
from kneeage.decide.ratio import likelihood_ratio, windows_around

VIRTUAL_REASON = "the bundle was trained on a virtual cohort and says nothing about a real subject"
UNTUNED_REASON = (
    "no threshold rule was tuned for this bundle; it decides nothing until it is recalibrated on local subjects"
)
NO_RULE_REASON = "the rule was tuned for other age limits, or not for subjects whose sex is {sex}"
_BASIS = "posterior under the reference prior"
# The same, of a subject whose height or weight was told: limits were fitted on readings without them.
_BASIS_WITHOUT_BODY = f"{_BASIS}, read without height and weight"
# A probability is printed with four decimals, and never as 0 or 1.
_SMALLEST_PRINTED = 0.0001


@dataclass(frozen=True, eq=False)
class Evidence:
    """What threshold statements rest on.

    Args:
        log_likelihood: Local log-likelihood of each of the bundle's bins, shape (bins,).
        shown: Posterior under the user's prior: the probability that is printed.
        reference: Posterior under the reference prior: the one that decides.
        sex: The subject's sex; None: not given.
        image_is_virtual: Whether the image was made by the virtual cohort.
        leaves_body_out: Whether ``reference`` was read without the height or weight that ``shown`` rests on.
    """

    log_likelihood: FloatArray
    shown: AgeDistribution
    reference: AgeDistribution
    sex: Sex | None
    image_is_virtual: bool
    leaves_body_out: bool = False


@dataclass(frozen=True)
class Limits:
    """From which probabilities on something is said.

    Args:
        at_least: From here on: at least; None: never.
        below: Down to here: below; None: never.
        calibrated: Whether they were tuned on held-out subjects.
    """

    at_least: float | None
    below: float | None
    calibrated: bool

    def decide(self, probability: float) -> ThresholdDecision:
        """Decide by the probability of being at least the threshold's age."""
        if self.at_least is not None and probability >= self.at_least:
            return ThresholdDecision.AT_LEAST
        if self.below is not None and probability <= self.below:
            return ThresholdDecision.BELOW
        return ThresholdDecision.UNDETERMINED


def limits_for(policy: ThresholdPolicy, age_years: float, sex: Sex | None) -> Limits | None:
    """Give the limits of a policy for one threshold and sex; None where it has rules, but none for these."""
    if not policy.rules:
        return Limits(policy.at_least_probability, policy.below_probability, policy.calibrated)
    rule = policy.rule(age_years, sex)
    return None if rule is None else Limits(rule.at_least_probability, rule.below_probability, calibrated=True)


def threshold_reports(
    evidence: Evidence, manifest: BundleManifest, thresholds_years: Sequence[float]
) -> list[ThresholdReport]:
    """State what is known about each threshold.

    Args:
        evidence: Likelihood and posteriors.
        manifest: The bundle's manifest, with its policy.
        thresholds_years: Ages asked about.

    Returns:
        One statement per threshold, in the order given.
    """
    return [_report(evidence, manifest, float(age)) for age in thresholds_years]


def _report(evidence: Evidence, manifest: BundleManifest, age_years: float) -> ThresholdReport:
    """State what is known about one threshold."""
    decision, reason = _decision(evidence, manifest, age_years)
    rule = None if reason == VIRTUAL_REASON else manifest.policy.rule(age_years, evidence.sex)
    return ThresholdReport(
        age_years=age_years,
        probability_at_least=evidence.shown.at_least(age_years),
        likelihood_ratio=likelihood_ratio(evidence.log_likelihood, manifest.age_edges_years, windows_around(age_years)),
        decision=decision,
        decision_reason=reason,
        errors=None if rule is None else rule.errors,
    )


def _decision(evidence: Evidence, manifest: BundleManifest, age_years: float) -> tuple[ThresholdDecision, str]:
    """Decide about one threshold, and say why."""
    if manifest.is_virtual and not evidence.image_is_virtual:
        return ThresholdDecision.UNDETERMINED, VIRTUAL_REASON
    edges = manifest.age_edges_years
    if not edges[0] < age_years < edges[-1]:
        return (
            ThresholdDecision.UNDETERMINED,
            f"the bundle knows only subjects of {edges[0]:g} to {edges[-1]:g} years and cannot tell ages around "
            f"{age_years:g} apart",
        )
    if manifest.policy.decides_nothing:
        return ThresholdDecision.UNDETERMINED, UNTUNED_REASON
    limits = limits_for(manifest.policy, age_years, evidence.sex)
    if limits is None:
        sex = "not given" if evidence.sex is None else evidence.sex.value
        return ThresholdDecision.UNDETERMINED, NO_RULE_REASON.format(sex=sex)
    basis = _BASIS_WITHOUT_BODY if evidence.leaves_body_out else _BASIS
    return _by_probability(evidence.reference.at_least(age_years), limits, basis)


def _by_probability(probability: float, limits: Limits, basis: str = _BASIS) -> tuple[ThresholdDecision, str]:
    """Apply limits to the probability of having completed the threshold, and say which, and what it rests on."""
    decision = limits.decide(probability)
    return decision, f"{basis}: probability {_printed(probability)}, {_compared(decision, limits)}"


def _compared(decision: ThresholdDecision, limits: Limits) -> str:
    """Say how a probability lies to the limits that decided."""
    kind = "limits fitted on held-out subjects" if limits.calibrated else "limits not calibrated"
    if decision is ThresholdDecision.UNDETERMINED and None in (limits.at_least, limits.below):
        return "and too few subjects were there to fit both limits on"
    high = _limit(1.0 if limits.at_least is None else limits.at_least, up=True)
    low = _limit(0.0 if limits.below is None else limits.below, up=False)
    said = {
        ThresholdDecision.AT_LEAST: f"at least {high}",
        ThresholdDecision.BELOW: f"at most {low}",
        ThresholdDecision.UNDETERMINED: f"between {low} and {high}",
    }
    return f"{said[decision]} ({kind})"


def _limit(limit: float, *, up: bool) -> str:
    """Write a limit with at most six decimals, rounded to the side where it decides less."""
    rounded = (math.ceil if up else math.floor)(round(limit * 1e6, 3)) / 1e6
    return f"{rounded:.6f}".rstrip("0").rstrip(".")


def _printed(probability: float) -> str:
    """Write a probability; one that is nearly 0 or 1 is never written as sure."""
    if probability < _SMALLEST_PRINTED:
        return f"<{_SMALLEST_PRINTED:g}"
    return f">{1 - _SMALLEST_PRINTED:g}" if probability > 1 - _SMALLEST_PRINTED else f"{probability:.4f}"
