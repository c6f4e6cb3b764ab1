"""Everything that is said about a subject's age, from the likelihood of each age."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import BundleManifest
from kneeage.core.result import (
    AgeProbability,
    Interval,
    LikelihoodRatio,
    MinimumAge,
    PriorEffect,
    PriorReport,
    SkeletalStages,
    SummaryQuantity,
    ThresholdReport,
)
from kneeage.core.skeletal_stages import Dedouit
from kneeage.decide.conformal import conformal_interval, conformal_warnings
from kneeage.decide.interval import credible_interval, reaches_first_bin
from kneeage.decide.likelihood import local_log_likelihood
from kneeage.decide.minimum_age import MISSING_WARNING, is_graded, minimum_age
from kneeage.decide.policy import Evidence, threshold_reports
from kneeage.decide.posterior import AgeDistribution, FloatArray, posterior
from kneeage.decide.prior import FittedPrior, reference_prior
from kneeage.decide.prior_effect import prior_effects
from kneeage.decide.ratio import AgeWindows, likelihood_ratio

LAST_BIN_WARNING = "the most probable age is the oldest that is considered; the subject may be older"
PRIOR_WARNING = (
    "the prior leaves out nearly all ages that the image supports: the age shown follows from the prior, "
    "not from the image"
)
APART_WARNING = (
    "the most probable age lies outside the first interval: the prior, height or weight that were given moved the "
    "age, and the interval and the decisions rest on the image without them"
)
CLOSED_WARNING = (
    "both plates are closed: the upper end of the interval rests on how fast their scars fade, which is assumed"
)
# A prior that keeps less than this of the posterior under the reference prior contradicts the image. Source: ours.
MIN_SUPPORT = 0.05
FIRST_BIN_WARNING = "the interval reaches the youngest age that is considered; the subject may be younger"
WINDOWS_WARNING = (
    "no likelihood ratio is given for the ages {windows}: the bundle does not know ages in both, or the image speaks "
    "against both"
)


@dataclass(frozen=True)
class Asked:
    """What is known of a subject beside the image, and what is asked.

    Args:
        thresholds_years: Ages asked about.
        sex: The subject's sex; None: not given.
        stages: Stages by plate; a plate that was not graded may be missing.
        windows: Windows of age that the user wants compared.
        image_is_virtual: Whether the image was made by the virtual cohort.
    """

    thresholds_years: Sequence[float]
    sex: Sex | None
    stages: Mapping[str, SkeletalStages] = field(default_factory=dict)
    windows: Sequence[AgeWindows] = ()
    image_is_virtual: bool = False


@dataclass(frozen=True)
class AgeStatement:
    """What is said about a subject's age; the fields are those of the result.

    Args:
        estimated_age_years: Most probable age.
        median_age_years: Median of the posterior under the prior.
        mean_age_years: Its mean.
        interval_years: The conformal interval where there is one, then the credible one.
        minimum_age_years: Youngest reference subject with this finding.
        summary_quantity: Which of these three the summary line names.
        age_distribution: Posterior under the prior.
        class_probabilities: The same by completed years.
        thresholds: Statements about thresholds.
        likelihood_ratios: For the windows that the user named.
        prior: The prior.
        prior_effects: What the answer would be under other priors.
        warnings: What the reader must know.
    """

    estimated_age_years: float
    median_age_years: float
    mean_age_years: float
    interval_years: list[Interval]
    minimum_age_years: MinimumAge | None
    summary_quantity: SummaryQuantity
    age_distribution: list[AgeProbability]
    class_probabilities: dict[str, float]
    thresholds: list[ThresholdReport]
    likelihood_ratios: list[LikelihoodRatio]
    prior: PriorReport
    prior_effects: list[PriorEffect]
    warnings: tuple[str, ...]


def state_age(
    log_likelihood: FloatArray,
    manifest: BundleManifest,
    *,
    prior: FittedPrior,
    asked: Asked,
    basis: FloatArray | None = None,
) -> AgeStatement:
    """Say what is known about a subject's age.

    Args:
        log_likelihood: Log-likelihood of each of the bundle's bins, up to a constant, as the age networks give it;
            shape (bins,).
        manifest: The bundle's manifest.
        prior: The prior that the user chose, on the bundle's bins.
        asked: What is asked, and what is known beside the image.
        basis: The same as calibration subjects are read, that is without height and weight: conformal interval and
            decisions rest on it, since they were fitted on such readings. None: ``log_likelihood`` is of that kind.

    Returns:
        The statement.

    Raises:
        UsageError: The prior allows no age that the bundle was trained on.
    """
    local = local_log_likelihood(log_likelihood, manifest)
    calibrated = local if basis is None else local_log_likelihood(basis, manifest)
    shown, reference = posterior(local, prior), posterior(calibrated, reference_prior(manifest))
    intervals = _intervals(shown, reference, manifest, asked.sex)
    minimum = minimum_age(manifest.references, asked.sex, asked.stages)
    leaves_body_out = basis is not None and not np.array_equal(basis, log_likelihood)
    evidence = Evidence(local, shown, reference, asked.sex, asked.image_is_virtual, leaves_body_out)
    return AgeStatement(
        estimated_age_years=shown.mode_years,
        median_age_years=shown.quantile(0.5),
        mean_age_years=shown.mean_years,
        interval_years=intervals,
        minimum_age_years=minimum,
        summary_quantity=_summary_quantity(intervals[0], minimum),
        age_distribution=shown.probabilities(),
        class_probabilities=shown.class_probabilities(),
        thresholds=threshold_reports(evidence, manifest, asked.thresholds_years),
        likelihood_ratios=[ratio for ratio in _ratios(local, manifest, asked).values() if ratio is not None],
        prior=prior.report(),
        prior_effects=prior_effects(local, manifest, asked.thresholds_years),
        warnings=(
            *prior.warnings,
            *_support_warnings(reference, prior),
            *_edge_warnings(shown, intervals[-1]),
            *_apart_warnings(shown, intervals[0]),
            *_closed_warnings(intervals[0], manifest, asked),
            *conformal_warnings(manifest, reference, asked.sex),
            *_missing_warnings(local, manifest, asked, minimum),
        ),
    )


def _intervals(
    shown: AgeDistribution, reference: AgeDistribution, manifest: BundleManifest, sex: Sex | None
) -> list[Interval]:
    """Give the conformal interval, which no prior of a user moves, and the credible one under the user's prior."""
    credible = credible_interval(shown, calibration_subjects=manifest.calibration.subjects, virtual=manifest.is_virtual)
    conformal = conformal_interval(reference, manifest, sex)
    return [credible] if conformal is None else [conformal, credible]


def _summary_quantity(interval: Interval, minimum: MinimumAge | None) -> SummaryQuantity:
    """Choose what the summary line names: where the age has no end upwards, the most probable one means nothing."""
    if interval.high is not None:
        return SummaryQuantity.MOST_PROBABLE_AGE
    return SummaryQuantity.INTERVAL_LOWER_END if minimum is None else SummaryQuantity.MINIMUM_AGE


def _ratios(local: FloatArray, manifest: BundleManifest, asked: Asked) -> dict[AgeWindows, LikelihoodRatio | None]:
    """Compare the windows that the user named."""
    return {windows: likelihood_ratio(local, manifest.age_edges_years, windows) for windows in asked.windows}


def _support_warnings(reference: AgeDistribution, prior: FittedPrior) -> list[str]:
    """Say when the prior and the image contradict each other."""
    support = reference.below(prior.edges_years[-1]) - reference.below(prior.edges_years[0])
    return [PRIOR_WARNING] if support < MIN_SUPPORT else []


def _edge_warnings(shown: AgeDistribution, credible: Interval) -> list[str]:
    """Say where the answer leans on an end of the ages that are considered."""
    warnings = [LAST_BIN_WARNING] if shown.mode_is_last else []
    return [*warnings, FIRST_BIN_WARNING] if reaches_first_bin(shown, credible) else warnings


def _apart_warnings(shown: AgeDistribution, interval: Interval) -> list[str]:
    """Say when the age shown and the interval that the summary names contradict each other."""
    is_apart = not interval.low <= shown.mode_years <= (math.inf if interval.high is None else interval.high)
    return [APART_WARNING] if is_apart else []


def _closed_warnings(interval: Interval, manifest: BundleManifest, asked: Asked) -> list[str]:
    """Say what an upper end of the age means where both plates are closed: how scars fade is the virtual law's."""
    graded = [stages.dedouit for stages in asked.stages.values()]
    is_closed = len(graded) > 0 and set(graded) == {Dedouit.V.value}
    return [CLOSED_WARNING] if is_closed and interval.high is not None and manifest.is_virtual else []


def _missing_warnings(
    local: FloatArray, manifest: BundleManifest, asked: Asked, minimum: MinimumAge | None
) -> list[str]:
    """Say what was asked, but could not be given."""
    warnings = [
        WINDOWS_WARNING.format(windows=windows)
        for windows, ratio in _ratios(local, manifest, asked).items()
        if ratio is None
    ]
    missing = minimum is None and is_graded(manifest.references, asked.stages)
    return [*warnings, MISSING_WARNING] if missing else warnings
