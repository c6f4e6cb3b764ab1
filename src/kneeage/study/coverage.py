"""How often intervals hold the true age: overall, by group of sex and predicted maturity, and by true age."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kneeage.core.manifest import BundleManifest, ConformalGroup
from kneeage.core.result import Interval
from kneeage.decide.conformal import ConformalRanks, conformal_interval, find_group
from kneeage.decide.interval import LEVEL, credible_interval
from kneeage.study.intervals import Proportion, proportion
from kneeage.study.predicted import Predicted


@dataclass(frozen=True)
class Coverage:
    """How often the intervals of some subjects hold their age.

    Args:
        name: Who they are.
        inside: Share whose age is inside, with its Wilson interval.
        below_level: Exact probability to find as few inside, or fewer, if each were inside with the level's
            probability (one-sided binomial test).
        below_level_adjusted: The same after Holm's adjustment for the groups that are judged together.
    """

    name: str
    inside: Proportion
    below_level: float
    below_level_adjusted: float


def served_interval(subject: Predicted, manifest: BundleManifest) -> Interval:
    """Give the first interval that a report shows: the conformal one, or the model's own where there is none."""
    conformal = conformal_interval(subject.distribution, manifest, subject.told_sex)
    return conformal or credible_interval(subject.distribution, calibration_subjects=0)


def is_inside(subject: Predicted, manifest: BundleManifest) -> bool:
    """Say whether the served interval holds the true age."""
    return holds(served_interval(subject, manifest), subject.age_years)


def holds(interval: Interval, age_years: float) -> bool:
    """Say whether an interval, which may be open upwards, holds an age."""
    return interval.low <= age_years and (interval.high is None or age_years <= interval.high)


def coverage(
    subjects: Sequence[Predicted], manifest: BundleManifest, key: Callable[[Predicted], str] = lambda _: "all"
) -> list[Coverage]:
    """Count how often the served intervals hold the true age.

    Args:
        subjects: Subjects that nothing was fitted on.
        manifest: The bundle's manifest, calibrated.
        key: Names the group of a subject, such as `maturity_name` or `age_name`.

    Returns:
        One entry per group, by name.

    Source: Holm 1979, Scand J Statist 6:65-70; Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    inside: dict[str, list[bool]] = {}
    for subject in subjects:
        inside.setdefault(key(subject), []).append(is_inside(subject, manifest))
    names = sorted(inside)
    chances = [_below_level(inside[name]) for name in names]
    return [
        Coverage(name, proportion(sum(inside[name]), len(inside[name])), chance, adjusted)
        for name, chance, adjusted in zip(names, chances, holm(chances), strict=True)
    ]


def maturity_name(manifest: BundleManifest) -> Callable[[Predicted], str]:
    """Name the group of sex and predicted maturity whose calibration subjects a subject is compared with."""

    def name(subject: Predicted) -> str:
        """Name one subject's."""
        conformal = manifest.calibration.conformal
        group = None if conformal is None else find_group(conformal, subject.distribution, subject.told_sex)
        sex = "sex not given" if subject.told_sex is None else subject.told_sex.value
        return f"{sex}, {'not calibrated' if group is None else _maturity(group)}"

    return name


def age_name(subject: Predicted) -> str:
    """Name the completed year and the sex of a subject."""
    return f"{subject.sex.value}, {int(subject.age_years):02d}"


def expected_range(subjects: int, *, open_upwards: bool = False, level: float = LEVEL) -> tuple[float, float]:
    """Give the range of long-run coverage that a calibration sample of n subjects leaves open, 95 % of it.

    Args:
        subjects: Calibration subjects in the group, n.
        open_upwards: Whether its intervals have no upper end.
        level: Level of the intervals.

    Returns:
        The 2.5 % and 97.5 % quantiles of Beta(ranks inside, n + 1 - ranks inside).

    Source: Vovk 2012, Conditional validity of inductive conformal predictors, PMLR 25:475-490.
    """
    ranks = ConformalRanks.of(subjects, level, open_upwards=open_upwards)
    inside = ranks.high - ranks.low
    if inside > subjects:
        return 1.0, 1.0
    low, high = stats.beta.ppf([0.025, 0.975], inside, subjects + 1 - inside)
    return float(low), float(high)


def holm(chances: Sequence[float]) -> list[float]:
    """Adjust probabilities of tests that are judged together. Source: Holm 1979, Scand J Statist 6:65-70."""
    order = np.argsort(chances)
    adjusted = np.empty(len(chances))
    scaled = np.array(chances)[order] * np.arange(len(chances), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0) if len(scaled) else scaled
    return [float(value) for value in adjusted]


def _below_level(inside: Sequence[bool]) -> float:
    """Test whether the true share may be the level, or is below it."""
    return float(stats.binomtest(sum(inside), len(inside), LEVEL, alternative="less").pvalue)


def _maturity(group: ConformalGroup) -> str:
    """Name a group's maturity."""
    kind = "open upwards" if group.open_upwards else "ends"
    merged = ", both sexes together" if group.merged else ""
    return f"{kind}, median {group.low_years:g} to {group.high_years:g}{merged}"
