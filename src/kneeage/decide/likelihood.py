"""The likelihood that every statement rests on: the network's, moved and widened to a local population."""

from __future__ import annotations

import numpy as np

from kneeage.core.manifest import BundleManifest
from kneeage.decide.posterior import AgeDistribution, FloatArray, posterior
from kneeage.decide.prior import reference_prior


def local_log_likelihood(log_likelihood: FloatArray, manifest: BundleManifest) -> FloatArray:
    """Move and widen a likelihood as the bundle was recalibrated; the same for a bundle that was not.

    With location d and scale s the local log-likelihood of age a is that of age a - d, divided by s. Beyond the ends of
    the grid the outermost bin goes on.

    Args:
        log_likelihood: Log-likelihood of each of the bundle's bins, shape (bins,).
        manifest: The bundle's manifest.

    Returns:
        Shape (bins,).

    Source: ours; location and scale of the age axis, as in recalibration of a linear predictor (Steyerberg 2019,
    Clinical Prediction Models, 2nd edition, chapter 20).
    """
    calibration = manifest.calibration
    edges = np.asarray(manifest.age_edges_years)
    return relocated(log_likelihood, edges, location_years=calibration.location_years, scale=calibration.scale)


def relocated(
    log_likelihood: FloatArray, edges_years: FloatArray, *, location_years: float, scale: float
) -> FloatArray:
    """Move a likelihood along the age axis and widen it; see `local_log_likelihood`."""
    if location_years == 0.0:
        return np.asarray(log_likelihood / scale)
    centres = (edges_years[:-1] + edges_years[1:]) / 2
    with np.errstate(invalid="ignore"):  # between two ages that the bundle knows nothing about
        moved = np.interp(centres - location_years, centres, log_likelihood) / scale
    return np.where(np.isnan(moved), -np.inf, moved)


def reference_distribution(log_likelihood: FloatArray, manifest: BundleManifest) -> AgeDistribution:
    """Give the distribution that decisions and conformal intervals rest on: no prior of a user enters.

    Args:
        log_likelihood: As the age networks give it, shape (bins,).
        manifest: The bundle's manifest.

    Returns:
        The posterior under the reference prior, recalibrated where the bundle was.
    """
    return posterior(local_log_likelihood(log_likelihood, manifest), reference_prior(manifest))
