"""How far an image lies from the training images: a Mahalanobis distance on the age network's features.

Few features vary much and many hardly: the features are turned to their main directions, and the variance of each is
shrunk towards the mean one, so that directions in which the training images never varied do not decide alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kneeage.core.errors import BundleError
from kneeage.core.manifest import Novelty
from kneeage.core.result import NoveltyReport

FloatArray = NDArray[np.float64]

# Share of each direction's variance that is replaced by the mean variance. Source: ours.
SHRINKAGE = 0.1
# Directions kept, at most. Source: ours; distances are summed over them, so that many weak ones are noise.
DIRECTIONS = 32
# Distances kept to tell a percentile by. Source: ours.
_QUANTILES = 101


class NoveltyScale:
    """A bundle's novelty scale with its arrays at hand.

    Args:
        novelty: What the manifest holds of it.

    Raises:
        BundleError: The arrays do not fit each other.
    """

    def __init__(self, novelty: Novelty) -> None:
        self._novelty = novelty
        self._mean, self._basis, self._precision = (
            np.array(values, dtype=np.float64) for values in (novelty.mean, novelty.basis, novelty.precision)
        )
        if self._basis.shape != (len(self._precision), len(self._mean)):
            raise BundleError(
                f"the bundle's novelty scale has a basis of shape {self._basis.shape} for {len(self._mean)} features; "
                "make the bundle anew"
            )

    def report(self, features: FloatArray) -> NoveltyReport:
        """Say how far an image lies from the training images.

        Args:
            features: Pooled features of the age network, shape (D,).

        Raises:
            BundleError: The network gives another number of features than the scale was fitted on.
        """
        distance = self.distance(features)
        known = self._novelty.quantiles
        percentile = float(np.interp(distance, known, np.linspace(0, 100, len(known))))
        return NoveltyReport(distance=distance, percentile=percentile, limit=self._novelty.limit)

    def distance(self, features: FloatArray) -> float:
        """Give the distance of features, shape (D,), from the training images."""
        if np.shape(features) != np.shape(self._mean):
            raise BundleError(
                f"the age network gives {np.size(features)} features, the bundle's novelty scale has "
                f"{len(self._mean)}; make the bundle anew"
            )
        away = self._basis @ (np.asarray(features, np.float64) - self._mean)
        return float(np.sqrt(max(float(away @ self._precision @ away), 0.0)))


def fit_novelty(training: FloatArray, held_out: FloatArray, *, percentile: float = 99.7) -> Novelty:
    """Fit a novelty scale.

    Args:
        training: Features of the training subjects, shape (n, D).
        held_out: Features of subjects like them that the network was not trained on, shape (m, D): training subjects
            lie nearer than new ones do, so these set the limit.
        percentile: Share of the held-out subjects below the limit, in percent.

    Returns:
        The scale. Its limit is a percentile of the held-out distances, whatever their distribution.
    """
    mean = training.mean(axis=0)
    _, spread, directions = np.linalg.svd(training - mean, full_matrices=False)
    variance = spread**2 / max(len(training) - 1, 1)
    basis, kept = directions[:DIRECTIONS], variance[:DIRECTIONS]
    shrunk = (1 - SHRINKAGE) * kept + SHRINKAGE * kept.mean()
    away = (held_out - mean) @ basis.T
    distances = np.sqrt((away**2 / shrunk).sum(axis=1))
    return Novelty(
        mean=_short(mean),
        basis=[_short(row) for row in basis],
        precision=[_short(row) for row in np.diag(1 / shrunk)],
        limit=float(np.percentile(distances, percentile)),
        percentile=percentile,
        quantiles=np.quantile(distances, np.linspace(0, 1, _QUANTILES)).tolist(),
    )


def _short(values: FloatArray) -> list[float]:
    """Write numbers with six digits: a manifest is a text file."""
    return [float(f"{value:.6g}") for value in values]
