"""The fixed rule that turns a posterior into a decision about an age threshold.

Decisions rest on the posterior under the training ages, never on the prior that a user chose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kneeage.core.manifest import BundleManifest, ThresholdPolicy
from kneeage.core.result import ThresholdDecision, ThresholdReport
from kneeage.decide.posterior import AgeDistribution, FloatArray, likelihood_ratio

VIRTUAL_REASON = "the bundle was trained on a virtual cohort and says nothing about a real subject"
_BASIS = "posterior under the training ages"
# A probability is printed with four decimals, and never as 0 or 1.
_SMALLEST_PRINTED = 0.0001


@dataclass(frozen=True, eq=False)
class Evidence:
    """What threshold statements rest on.

    Args:
        log_likelihood: Log-likelihood of each of the bundle's bins, shape (bins,).
        shown: Posterior under the user's prior: the probability that is printed.
        trained: Posterior under the training ages: the one that decides.
        image_is_virtual: Whether the image was made by the virtual cohort.
    """

    log_likelihood: FloatArray
    shown: AgeDistribution
    trained: AgeDistribution
    image_is_virtual: bool


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
    return ThresholdReport(
        age_years=age_years,
        probability_at_least=evidence.shown.at_least(age_years),
        likelihood_ratio=likelihood_ratio(evidence.log_likelihood, manifest.age_edges_years, age_years),
        decision=decision,
        decision_reason=reason,
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
    return _by_probability(evidence.trained.at_least(age_years), manifest.policy)


def _by_probability(probability: float, policy: ThresholdPolicy) -> tuple[ThresholdDecision, str]:
    """Apply the policy's limits to the probability of having completed the threshold."""
    kind = "limits fitted on held-out subjects" if policy.calibrated else "limits not calibrated"
    found = f"{_BASIS}: probability {_printed(probability)}"
    if probability >= policy.at_least_probability:
        return ThresholdDecision.AT_LEAST, f"{found}, at least {policy.at_least_probability:g} ({kind})"
    if probability <= policy.below_probability:
        return ThresholdDecision.BELOW, f"{found}, at most {policy.below_probability:g} ({kind})"
    return (
        ThresholdDecision.UNDETERMINED,
        f"{found}, between {policy.below_probability:g} and {policy.at_least_probability:g} ({kind})",
    )


def _printed(probability: float) -> str:
    """Write a probability; one that is nearly 0 or 1 is never written as sure."""
    if probability < _SMALLEST_PRINTED:
        return f"<{_SMALLEST_PRINTED:g}"
    return f">{1 - _SMALLEST_PRINTED:g}" if probability > 1 - _SMALLEST_PRINTED else f"{probability:.4f}"
