"""From regions around the plates to the likelihood of each age bin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import Sex
from kneeage.core.errors import BundleError
from kneeage.core.manifest import BundleManifest
from kneeage.decide.prior import training_prior
from kneeage.infer.engine import FloatArray32, Network

AGE_INPUTS = ("image", "sex")
# Value of the network's ``sex`` input. Source: core/manifest.py, AgeStage.
SEX_VALUE = {Sex.FEMALE: 0.0, Sex.MALE: 1.0}

FloatArray = NDArray[np.float64]


def age_log_likelihood(
    network: Network, regions: FloatArray32, sex: Sex | None, manifest: BundleManifest
) -> FloatArray:
    """Give the log-likelihood of each age bin, up to a constant.

    The network's softmax is a posterior under its training ages; dividing by the share of training subjects in each
    bin leaves the likelihood. A bin without training subjects has none (minus infinity).

    Args:
        network: The age network.
        regions: Float32 (S, 3, rows, columns), one per slice through the sites.
        sex: The subject's sex; None: the mean over the sexes of the bundle, each as credible as the other.
        manifest: The bundle's manifest.

    Returns:
        Float64 (bins,).

    Raises:
        BundleError: The network answers with another number of bins than the manifest says.
    """
    sexes = list(manifest.sexes) if sex is None else [sex]
    log_posterior = np.logaddexp.reduce([_log_posterior(network, regions, each, manifest) for each in sexes], axis=0)
    shares = np.array(training_prior(manifest).masses)
    log_shares = np.log(np.where(shares > 0, shares, 1.0))
    return np.where(shares > 0, log_posterior - log_shares, -np.inf)


def _log_posterior(network: Network, regions: FloatArray32, sex: Sex, manifest: BundleManifest) -> FloatArray:
    """Give the log-probability of each bin under the training ages, pooled over slices; shape (bins,)."""
    sexes = np.full((len(regions), 1), SEX_VALUE[sex], dtype=np.float32)
    logits = network.run({"image": regions, "sex": sexes})
    bins = len(manifest.age_edges_years) - 1
    if logits.shape != (len(regions), bins):
        raise BundleError(
            f"the age network must answer with {bins} bins for each of {len(regions)} slices; it answered with the "
            f"shape {logits.shape}; make the bundle anew"
        )
    pooled = logits.astype(np.float64).mean(axis=0) / manifest.calibration.temperature
    return np.asarray(pooled - np.logaddexp.reduce(pooled))
