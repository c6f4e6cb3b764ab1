"""Everything that is said about a subject's age, from the likelihood of each age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kneeage.core.manifest import BundleManifest
from kneeage.core.result import AgeProbability, Interval, PriorReport, ThresholdReport
from kneeage.decide.interval import credible_interval, reaches_first_bin
from kneeage.decide.policy import Evidence, threshold_reports
from kneeage.decide.posterior import AgeDistribution, FloatArray, posterior
from kneeage.decide.prior import FittedPrior, training_prior

LAST_BIN_WARNING = "the most probable age is the oldest that is considered; the subject may be older"
PRIOR_WARNING = (
    "the prior leaves out nearly all ages that the image supports: the age shown follows from the prior, "
    "not from the image"
)
# A prior that keeps less than this of the posterior under the training ages contradicts the image. Source: ours.
MIN_SUPPORT = 0.05
FIRST_BIN_WARNING = "the interval reaches the youngest age that is considered; the subject may be younger"


@dataclass(frozen=True)
class AgeStatement:
    """What is said about a subject's age; the fields are those of the result.

    Args:
        estimated_age_years: Most probable age.
        interval_years: Credible intervals.
        age_distribution: Posterior under the prior.
        class_probabilities: The same by completed years.
        thresholds: Statements about thresholds.
        prior: The prior.
        warnings: What the reader must know.
    """

    estimated_age_years: float
    interval_years: list[Interval]
    age_distribution: list[AgeProbability]
    class_probabilities: dict[str, float]
    thresholds: list[ThresholdReport]
    prior: PriorReport
    warnings: tuple[str, ...]


def state_age(
    log_likelihood: FloatArray,
    manifest: BundleManifest,
    *,
    prior: FittedPrior,
    thresholds_years: Sequence[float],
    image_is_virtual: bool,
) -> AgeStatement:
    """Say what is known about a subject's age.

    Args:
        log_likelihood: Log-likelihood of each of the bundle's bins, up to a constant, shape (bins,).
        manifest: The bundle's manifest.
        prior: The prior that the user chose, on the bundle's bins.
        thresholds_years: Ages asked about.
        image_is_virtual: Whether the image was made by the virtual cohort.

    Returns:
        The statement.

    Raises:
        UsageError: The prior allows no age that the bundle was trained on.
    """
    shown = posterior(log_likelihood, prior)
    trained = posterior(log_likelihood, training_prior(manifest))
    interval = credible_interval(shown, calibration_subjects=manifest.calibration.subjects, virtual=manifest.is_virtual)
    return AgeStatement(
        estimated_age_years=shown.mode_years,
        interval_years=[interval],
        age_distribution=shown.probabilities(),
        class_probabilities=shown.class_probabilities(),
        thresholds=threshold_reports(
            Evidence(log_likelihood, shown, trained, image_is_virtual), manifest, thresholds_years
        ),
        prior=PriorReport(name=prior.name, low_years=prior.edges_years[0], high_years=prior.edges_years[-1]),
        warnings=(*prior.warnings, *_support_warnings(trained, prior), *_edge_warnings(shown, interval)),
    )


def _support_warnings(trained: AgeDistribution, prior: FittedPrior) -> list[str]:
    """Say when the prior and the image contradict each other."""
    support = trained.below(prior.edges_years[-1]) - trained.below(prior.edges_years[0])
    return [PRIOR_WARNING] if support < MIN_SUPPORT else []


def _edge_warnings(shown: AgeDistribution, interval: Interval) -> list[str]:
    """Say where the answer leans on an end of the ages that are considered."""
    warnings = [LAST_BIN_WARNING] if shown.mode_is_last else []
    return [*warnings, FIRST_BIN_WARNING] if reaches_first_bin(shown, interval) else warnings
