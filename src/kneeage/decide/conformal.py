"""Conformal intervals: their coverage among similar subjects is that of the calibration subjects, by counting.

The score of a calibration subject is the share of its predicted distribution that lies below its true age. For a new
subject of the same group every rank of its own score among theirs is equally likely; so the ages whose score lies
between two of theirs hold the true age as often as the ranks say. Predictions are under the reference prior, in every
group by sex and predicted maturity. Where the prediction has no end upwards the interval has none either, and all of
the error is on its lower side.
"""

from __future__ import annotations

from dataclasses import dataclass

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import BundleManifest, Conformal, ConformalGroup
from kneeage.core.result import Interval
from kneeage.decide.interval import LEVEL, credible_interval, dies_down
from kneeage.decide.posterior import AgeDistribution

# A group of fewer calibration subjects is merged or gives no interval. Source: ours; the coverage that an interval has
# in the long run varies between calibration samples with SD sqrt(0.05 * 0.95 / n) (Vovk 2012), 2.2 % at this size.
MIN_SUBJECTS = 100
UNCALIBRATED_WARNING = (
    "too few calibration subjects are like this one: the interval is the model's own and its coverage was not measured"
)
MERGED_WARNING = (
    "few calibration subjects are like this one: the interval was fitted on a wider group and is widened for it"
)
# Guards floor() against rounding, such as of 40 * 0.025.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ConformalRanks:
    """Which of n sorted scores bound an interval; ranks count from 1.

    Args:
        low: Rank of the lower bound; 0: there is none.
        high: Rank of the upper bound; n + 1: there is none.
    """

    low: int
    high: int

    @staticmethod
    def of(subjects: int, level: float, *, open_upwards: bool) -> ConformalRanks:
        """Give the ranks for a number of calibration subjects.

        Args:
            subjects: Number of scores, n.
            level: Least probability that the true age is inside.
            open_upwards: Whether there is no upper bound.

        Returns:
            Ranks k and n + 1 - k with k = floor((n + 1) (1 - level) / 2), or k = floor((n + 1) (1 - level)) and no
            upper bound.

        Source: Vovk et al. 2022, Algorithmic Learning in a Random World, 2nd edition, chapters 2 and 7.
        """
        tail = (1 - level) if open_upwards else (1 - level) / 2
        rank = int((subjects + 1) * tail + _ROUNDING)
        return ConformalRanks(rank, subjects + 1 if open_upwards else subjects + 1 - rank)


def find_group(conformal: Conformal, distribution: AgeDistribution, sex: Sex | None) -> ConformalGroup | None:
    """Find the calibration subjects that are like a subject; own groups come before merged ones.

    Args:
        conformal: The bundle's calibration subjects.
        distribution: The subject's predicted distribution under the reference prior.
        sex: The subject's sex; None: not given.
    """
    is_open, median = not dies_down(distribution), distribution.quantile(0.5)
    groups = sorted(conformal.groups, key=lambda group: group.merged)
    return next((group for group in groups if _holds(group, sex, median, is_open=is_open)), None)


def conformal_interval(
    distribution: AgeDistribution, manifest: BundleManifest, sex: Sex | None, *, level: float = LEVEL
) -> Interval | None:
    """Give the conformal interval of a subject.

    Args:
        distribution: Its predicted distribution under the reference prior.
        manifest: The bundle's manifest.
        sex: Its sex; None: not given.
        level: Least probability that the true age of a similar subject is inside.

    Returns:
        None where the bundle has no calibration subjects like this one.
    """
    conformal = manifest.calibration.conformal
    group = None if conformal is None else find_group(conformal, distribution, sex)
    if group is None:
        return None
    found = _interval(distribution, group, level, virtual=manifest.is_virtual)
    return _widened(found, distribution, level) if group.merged else found


def conformal_warnings(manifest: BundleManifest, distribution: AgeDistribution, sex: Sex | None) -> list[str]:
    """Say where too few calibration subjects were like this one."""
    conformal = manifest.calibration.conformal
    if conformal is None:
        return []
    group = find_group(conformal, distribution, sex)
    if group is None:
        return [UNCALIBRATED_WARNING]
    return [MERGED_WARNING] if group.merged else []


def _holds(group: ConformalGroup, sex: Sex | None, median: float, *, is_open: bool) -> bool:
    """Say whether a subject belongs to a group."""
    if group.open_upwards != is_open or group.sex_given != (sex is not None):
        return False
    return (sex is None or sex in group.sexes) and group.low_years <= median < group.high_years


def _interval(distribution: AgeDistribution, group: ConformalGroup, level: float, *, virtual: bool) -> Interval:
    """Turn the scores at the ranks into ages."""
    ranks = ConformalRanks.of(group.subjects, level, open_upwards=group.open_upwards)
    edges = distribution.edges_years
    low = edges[0] if ranks.low < 1 else distribution.quantile(group.scores[ranks.low - 1])
    high = edges[-1] if ranks.high > group.subjects else distribution.quantile(group.scores[ranks.high - 1])
    return Interval(
        level=level, low=low, high=None if high >= edges[-2] else high, method=_method(group, virtual=virtual)
    )


def _widened(found: Interval, distribution: AgeDistribution, level: float) -> Interval:
    """Widen an interval to hold the credible one: a wider group promises nothing for this one."""
    own = credible_interval(distribution, calibration_subjects=0, level=level)
    high = None if found.high is None or own.high is None else max(found.high, own.high)
    return found.model_copy(update={"low": min(found.low, own.low), "high": high})


def _method(group: ConformalGroup, *, virtual: bool) -> str:
    """Name how the interval was made."""
    who = f"{group.subjects} {'virtual ' if virtual else ''}calibration subjects"
    like = "of a wider group" if group.merged else "of like sex and maturity"
    side = "lower end only, " if group.open_upwards else ""
    return f"conformal, {side}fitted on {who} {like}; holds on average over such subjects, not for one person"
