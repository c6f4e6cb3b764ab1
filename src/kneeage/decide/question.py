"""What is asked about a subject, checked before any image is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from kneeage.core.anatomy import Sex
from kneeage.core.errors import UsageError
from kneeage.core.manifest import BundleManifest
from kneeage.core.result import SubjectReport
from kneeage.decide.prior import FittedPrior, fit_prior, parse_prior, uniform_prior

# Ages at which criminal responsibility widens, and majority. Source: Criminal Law of the PRC, article 17 (12, 14 and
# 16 years; as amended 2020), and Civil Code of the PRC, article 17 (18 years).
DEFAULT_THRESHOLDS_YEARS = (12.0, 14.0, 16.0, 18.0)


class QuestionOptions(TypedDict, total=False):
    """What may be asked about a subject; see `Question`."""

    sex: Sex | str | None
    thresholds: Sequence[float]
    prior: str | None
    question: str | None
    legal_basis: str | None
    claimed_age_years: float | None


@dataclass(frozen=True)
class Question:
    """What is asked about a subject, and what the user says about it. Nothing of it is read from a header.

    Args:
        sex: ``"male"`` or ``"female"``; None: not known.
        thresholds: Ages in years to make a statement about.
        prior: ``"uniform:LOW-HIGH"`` or a CSV file of ages and weights; None: uniform over the bundle's ages.
        question: The examiner's question, copied to the report.
        legal_basis: Its legal basis, copied to the report.
        claimed_age_years: Age that the subject claims, copied to the report; it never enters the estimate.

    Raises:
        UsageError: A value is not one of these.
    """

    sex: Sex | str | None = None
    thresholds: Sequence[float] = DEFAULT_THRESHOLDS_YEARS
    prior: str | None = None
    question: str | None = None
    legal_basis: str | None = None
    claimed_age_years: float | None = None

    def __post_init__(self) -> None:
        if self.sex is not None and self.sex not in set(Sex):
            raise UsageError(f"sex is male or female, or not given; found {self.sex!r}")
        ages = [*self.thresholds, *([] if self.claimed_age_years is None else [self.claimed_age_years])]
        if not all(math.isfinite(age) and age > 0 for age in ages):
            raise UsageError(f"thresholds and the claimed age are years above 0; found {ages}")
        if len(set(self.thresholds)) < len(self.thresholds):
            raise UsageError(f"each threshold is given once; found {list(self.thresholds)}")

    @property
    def known_sex(self) -> Sex | None:
        """The sex as a coded value."""
        return None if self.sex is None else Sex(self.sex)

    def prior_for(self, manifest: BundleManifest) -> FittedPrior:
        """Put the prior on a bundle's age bins."""
        prior = parse_prior(self.prior) if self.prior else uniform_prior(*manifest.age_range_years)
        return fit_prior(prior, manifest.age_edges_years)

    def report(self) -> SubjectReport:
        """Give what the result repeats of the question."""
        return SubjectReport(
            sex=self.known_sex,
            question=self.question,
            legal_basis=self.legal_basis,
            claimed_age_years=self.claimed_age_years,
        )
