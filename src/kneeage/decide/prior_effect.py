"""What the answer would be under other priors: the reader sees how far it rests on the image."""

from __future__ import annotations

from collections.abc import Sequence

from kneeage.core.errors import UsageError
from kneeage.core.manifest import BundleManifest
from kneeage.core.result import PriorEffect
from kneeage.decide.interval import credible_interval
from kneeage.decide.posterior import FloatArray, posterior
from kneeage.decide.prior import Prior, fit_prior, uniform_prior
from kneeage.decide.ratio import WINDOW_YEARS

# Persons whose age is in dispute: none below 10, most between 16 and 19, ever fewer up to 25 years. Assumed: no source
# gives the ages of those who are examined; it stands for a prior that has a shape, not for a population.
PLAUSIBLE = Prior("disputed ages (assumed)", (10.0, 16.0, 19.0, 25.0), (0.0, 1.0, 1.0, 0.0))


def three_priors(manifest: BundleManifest, thresholds_years: Sequence[float]) -> list[Prior]:
    """Give the priors that are compared.

    Args:
        manifest: The bundle's manifest.
        thresholds_years: Ages asked about.

    Returns:
        Uniform over the bundle's ages; uniform over the ages around the question, from two years below the lowest
        threshold to two years above the highest (with one threshold its odds are the likelihood ratio); and one that
        has a shape. Without thresholds there is no question, and two priors are left.
    """
    whole = uniform_prior(manifest.age_edges_years[0], manifest.age_edges_years[-1])
    if not thresholds_years:
        return [whole, PLAUSIBLE]
    low, high = min(thresholds_years) - WINDOW_YEARS, max(thresholds_years) + WINDOW_YEARS
    return [whole, uniform_prior(max(low, 0.0), high), PLAUSIBLE]


def prior_effects(
    log_likelihood: FloatArray, manifest: BundleManifest, thresholds_years: Sequence[float]
) -> list[PriorEffect]:
    """Say what the answer would be under each of three priors.

    Args:
        log_likelihood: Local log-likelihood of each of the bundle's bins, shape (bins,).
        manifest: The bundle's manifest.
        thresholds_years: Ages asked about.

    Returns:
        One entry per prior; a prior that shares no age with the bundle is left out.
    """
    effects = (
        _effect(log_likelihood, manifest, prior, thresholds_years) for prior in three_priors(manifest, thresholds_years)
    )
    return [effect for effect in effects if effect is not None]


def _effect(
    log_likelihood: FloatArray, manifest: BundleManifest, prior: Prior, thresholds_years: Sequence[float]
) -> PriorEffect | None:
    """Say what the answer would be under one prior; None where it shares no age with the bundle."""
    try:
        answer = posterior(log_likelihood, fit_prior(prior, manifest.age_edges_years))
    except UsageError:
        return None
    subjects = manifest.calibration.subjects
    return PriorEffect(
        prior=prior.name,
        most_probable_age_years=answer.mode_years,
        interval=credible_interval(answer, calibration_subjects=subjects, virtual=manifest.is_virtual),
        thresholds={f"{age:g}": answer.at_least(age) for age in thresholds_years},
    )
