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
from kneeage.decide.prior import FittedPrior, Prior, fit_prior, parse_prior, uniform_prior
from kneeage.decide.ratio import AgeWindows, parse_windows

# Ages at which criminal responsibility widens, and majority. Source: Criminal Law of the PRC, article 17 (12, 14 and
# 16 years; as amended 2020), and Civil Code of the PRC, article 17 (18 years).
DEFAULT_THRESHOLDS_YEARS = (12.0, 14.0, 16.0, 18.0)
# What heights and weights of persons from infancy on can be. Source: ours; the ranges of cohort tables.
HEIGHT_CM, WEIGHT_KG = (70.0, 240.0), (8.0, 250.0)
# No person is older. Source: ours.
OLDEST_YEARS = 120.0


class QuestionOptions(TypedDict, total=False):
    """What may be asked about a subject; see `Question`."""

    sex: Sex | str | None
    height_cm: float | None
    weight_kg: float | None
    thresholds: Sequence[float]
    ratio_ages: str | None
    prior: str | None
    question: str | None
    legal_basis: str | None
    consent: str | None
    claimed_age_years: float | None
    examiner: str | None


@dataclass(frozen=True)
class Question:
    """What is asked about a subject, and what the user says about it. Nothing of it is read from a header.

    Args:
        sex: ``"male"`` or ``"female"``; None: not known.
        height_cm: Height; None: not known.
        weight_kg: Weight; None: not known.
        thresholds: Ages in years to make a statement about.
        ratio_ages: Windows of age to compare by a likelihood ratio, beside those around each threshold, such as
            ``"14-18:18-22"``; see `parse_windows`.
        prior: ``"uniform:LOW-HIGH"``, a CSV file of ages and weights, or a prior; None: uniform over the bundle's ages.
        question: The examiner's question, copied to the report.
        legal_basis: Its legal basis, copied to the report.
        consent: Who consented to the examination, and how, copied to the report.
        claimed_age_years: Age that the subject claims, copied to the report; it never enters the estimate.
        examiner: Who answers for the examination, copied to the report.

    Raises:
        UsageError: A value is not one of these.
    """

    sex: Sex | str | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    thresholds: Sequence[float] = DEFAULT_THRESHOLDS_YEARS
    ratio_ages: str | None = None
    prior: str | Prior | None = None
    question: str | None = None
    legal_basis: str | None = None
    consent: str | None = None
    claimed_age_years: float | None = None
    examiner: str | None = None

    def __post_init__(self) -> None:
        if self.sex is not None and self.sex not in set(Sex):
            raise UsageError(f"sex is male or female, or not given; found {self.sex!r}")
        for threshold in self.thresholds:
            _require_age("a threshold", threshold)
        if self.claimed_age_years is not None:
            _require_age("the claimed age", self.claimed_age_years)
        if len(set(self.thresholds)) < len(self.thresholds):
            raise UsageError(f"each threshold is given once; found {list(self.thresholds)}")
        _require_within("height", self.height_cm, HEIGHT_CM, "cm")
        _require_within("weight", self.weight_kg, WEIGHT_KG, "kg")
        _ = self.windows

    @property
    def known_sex(self) -> Sex | None:
        """The sex as a coded value."""
        return None if self.sex is None else Sex(self.sex)

    @property
    def windows(self) -> tuple[AgeWindows, ...]:
        """The windows of age to compare."""
        return parse_windows(self.ratio_ages) if self.ratio_ages else ()

    def prior_for(self, manifest: BundleManifest) -> FittedPrior:
        """Put the prior on a bundle's age bins."""
        prior = self.prior or uniform_prior(*manifest.age_range_years)
        return fit_prior(prior if isinstance(prior, Prior) else parse_prior(prior), manifest.age_edges_years)

    def report(self) -> SubjectReport:
        """Give what the result repeats of the question."""
        return SubjectReport(
            sex=self.known_sex,
            height_cm=self.height_cm,
            weight_kg=self.weight_kg,
            question=self.question,
            legal_basis=self.legal_basis,
            consent=self.consent,
            claimed_age_years=self.claimed_age_years,
            examiner=self.examiner,
        )


def _require_age(name: str, age_years: float) -> None:
    """Refuse what is no age of a person."""
    if not (math.isfinite(age_years) and 0 < age_years <= OLDEST_YEARS):
        raise UsageError(f"{name} is in years, above 0 and up to {OLDEST_YEARS:g}; found {age_years:g}")


def _require_within(name: str, value: float | None, span: tuple[float, float], unit: str) -> None:
    """Refuse what no person has."""
    if value is not None and not span[0] <= value <= span[1]:
        raise UsageError(f"the {name} is {span[0]:g} to {span[1]:g} {unit}, or not given; found {value:g}")
