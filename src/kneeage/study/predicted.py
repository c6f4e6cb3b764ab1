"""What a reader says of subjects whose age is known: the material of calibration, of policies and of their errors.

The reader may be a bundle, or one that was simulated; only its likelihoods enter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from kneeage.core.anatomy import Sex
from kneeage.core.errors import InputRefusedError
from kneeage.core.manifest import BundleManifest
from kneeage.decide.likelihood import reference_distribution
from kneeage.decide.posterior import AgeDistribution, FloatArray


@dataclass(frozen=True)
class Predicted:
    """One subject.

    Args:
        age_years: Chronological age.
        sex: Sex.
        distribution: What the reader says, under the reference prior.
        sex_given: Whether the reader was told the sex.
    """

    age_years: float
    sex: Sex
    distribution: AgeDistribution
    sex_given: bool = True

    @property
    def told_sex(self) -> Sex | None:
        """What the reader was told of the sex."""
        return self.sex if self.sex_given else None

    @cached_property
    def score(self) -> float:
        """Share of the predicted distribution below the true age: the conformity score."""
        return self.distribution.below(self.age_years)


def predicted(
    log_likelihoods: FloatArray,
    ages_years: Sequence[float] | FloatArray,
    sexes: Sequence[Sex],
    manifest: BundleManifest,
    *,
    sex_given: bool = True,
) -> list[Predicted]:
    """Put likelihoods and true ages together.

    Args:
        log_likelihoods: As the age networks give them, shape (subjects, bins).
        ages_years: Chronological ages, one per subject.
        sexes: Sexes, one per subject.
        manifest: The bundle's manifest, for its age bins and its recalibration.
        sex_given: Whether the networks were told the sex.

    Raises:
        InputRefusedError: The lengths differ.
    """
    if not len(log_likelihoods) == len(ages_years) == len(sexes):
        found = f"{len(log_likelihoods)} likelihoods, {len(ages_years)} ages and {len(sexes)} sexes"
        raise InputRefusedError(f"each subject needs a likelihood, an age and a sex; found {found}; give one of each")
    return [
        Predicted(float(age), sex, reference_distribution(likelihood, manifest), sex_given)
        for likelihood, age, sex in zip(log_likelihoods, ages_years, sexes, strict=True)
    ]
