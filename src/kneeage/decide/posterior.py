"""The posterior distribution of age, and what is read off it.

Within a bin every age is equally likely: probabilities between edges are interpolated linearly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kneeage.core.errors import UsageError
from kneeage.core.result import AgeProbability
from kneeage.decide.prior import FittedPrior

FloatArray = NDArray[np.float64]
# Completed years reported one by one; below and above are pooled. Source: ours.
FIRST_CLASS_YEARS, LAST_CLASS_YEARS = 10, 18


@dataclass(frozen=True)
class AgeDistribution:
    """A distribution of age over bins.

    Args:
        edges_years: Edges of the bins, rising.
        masses: Probability of each bin, summing to 1.
    """

    edges_years: tuple[float, ...]
    masses: tuple[float, ...]

    def below(self, age_years: float) -> float:
        """Give the probability of being younger than an age."""
        cumulative = np.concatenate([[0.0], np.cumsum(self.masses)])
        return float(np.clip(np.interp(age_years, self.edges_years, cumulative), 0.0, 1.0))

    def at_least(self, age_years: float) -> float:
        """Give the probability of having completed an age."""
        return 1.0 - self.below(age_years)

    def quantile(self, share: float) -> float:
        """Give the age in years below which a share of the distribution lies."""
        cumulative = np.cumsum(self.masses)
        wanted = min(max(share, 0.0), 1.0) * cumulative[-1]
        index = int(np.searchsorted(cumulative, wanted, side="left"))
        index += int(np.argmax(np.array(self.masses[index:]) > 0))  # an empty bin holds no quantile
        low, high = self.edges_years[index : index + 2]
        inside = 1 - (cumulative[index] - wanted) / self.masses[index]
        return float(low + min(max(inside, 0.0), 1.0) * (high - low))

    @property
    def mean_years(self) -> float:
        """Mean age."""
        edges = np.array(self.edges_years)
        return float(np.dot(self.masses, (edges[:-1] + edges[1:]) / 2))

    @property
    def mode_years(self) -> float:
        """Most probable age: the centre of the densest bin, the middle one where several are equally dense."""
        density = np.array(self.masses) / np.diff(self.edges_years)
        best = np.flatnonzero(density >= density.max() * (1 - 1e-9))
        index = int(best[len(best) // 2])
        return (self.edges_years[index] + self.edges_years[index + 1]) / 2

    @property
    def mode_is_last(self) -> bool:
        """Whether the most probable age lies in the last bin, beyond which nothing is known."""
        return self.mode_years > self.edges_years[-2]

    def probabilities(self) -> list[AgeProbability]:
        """List the probability of each bin."""
        return [
            AgeProbability(age_years=low, probability=min(mass, 1.0))
            for low, mass in zip(self.edges_years, self.masses, strict=False)
        ]

    def class_probabilities(self) -> dict[str, float]:
        """Give the probability of each completed year from 10 to 18, and of less and of more."""
        years = range(FIRST_CLASS_YEARS, LAST_CLASS_YEARS + 1)
        single = {str(year): max(self.below(year + 1) - self.below(year), 0.0) for year in years}
        return {
            f"<{FIRST_CLASS_YEARS}": self.below(FIRST_CLASS_YEARS),
            **single,
            f">={LAST_CLASS_YEARS + 1}": self.at_least(LAST_CLASS_YEARS + 1),
        }


def posterior(log_likelihood: FloatArray, prior: FittedPrior) -> AgeDistribution:
    """Join likelihood and prior.

    Args:
        log_likelihood: Log-likelihood of each of the bundle's bins, up to a constant; minus infinity where the bundle
            knows nothing. Shape (bins,).
        prior: Prior on the same bins.

    Returns:
        The posterior on the prior's bins.

    Raises:
        UsageError: The prior lies only on ages of which the bundle knows nothing.
    """
    own = log_likelihood[prior.first_bin : prior.first_bin + len(prior.masses)]
    masses = np.array(prior.masses)
    known = np.isfinite(own) & (masses > 0)
    if not known.any():
        raise UsageError(
            f"the bundle was trained on no subject of the ages that the prior {prior.name!r} allows; give a wider prior"
        )
    weights = np.where(known, masses * np.exp(np.where(known, own, -np.inf) - own[known].max()), 0.0)
    return AgeDistribution(prior.edges_years, tuple(map(float, weights / weights.sum())))
