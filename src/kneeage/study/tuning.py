"""Tune the threshold rule, and count its errors on subjects that it was not tuned on.

A minor who is called adult is the error to avoid. What counts is the error among those who are nearly adult, up to two
years below the threshold, in each sex: among all minors it is always small, since most are far from the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import ThresholdPolicy, ThresholdRule
from kneeage.core.result import ErrorRate, ThresholdDecision, ThresholdErrors
from kneeage.decide.policy import Limits
from kneeage.decide.posterior import FloatArray
from kneeage.study.intervals import proportion
from kneeage.study.predicted import Predicted

# What the upper 95 % Wilson bound of either error stays under. Source: ours; the smallest that 381 subjects can show.
LIMIT = 0.01
# The bound is tuned to this share of the limit where there are subjects enough. Source: ours, by simulation
# (docs/decision.md): a bound tuned to the limit itself is over it on every second fresh cohort.
TUNED_SHARE = 1 / 3
# Ranks alone need 1,000 subjects to keep the bound on 19 of 20 fresh cohorts; fewer do where a limit is also at least
# what so many of similar subjects reach, read off the tail of so many of the tuning subjects. Source: ours, by
# simulation (docs/decision.md).
RARE_SHARE, TAIL_SHARE = 1 / 1000, 1 / 10
# Probabilities nearer to 0 and 1 count as this near. Source: ours; log-odds end somewhere.
_NEAREST = 1e-9
WINDOW_YEARS = 2.0
# A decision is never taken against the more probable side.
_EVEN = 0.5


def tune_policy(
    subjects: Sequence[Predicted], thresholds_years: Sequence[float], *, limit: float = LIMIT
) -> ThresholdPolicy:
    """Tune the rule for each threshold and sex, and for questions without a sex where such predictions are given.

    Args:
        subjects: Subjects that the networks were not trained on, of ages around the thresholds.
        thresholds_years: Ages that will be asked about.
        limit: What the upper 95 % Wilson bound of the false-adult rate, among subjects up to two years below the
            threshold, and of the false-minor rate, among those up to two years above, stays under.

    Returns:
        The policy; a limit that too few subjects were there to tune is None, and then nothing is said.
    """
    told = [sex for sex in (*Sex, None) if any(subject.told_sex == sex for subject in subjects)]
    rules = [
        _rule([subject for subject in subjects if subject.told_sex == sex], float(age), sex, limit)
        for age in thresholds_years
        for sex in told
    ]
    return ThresholdPolicy(calibrated=True, limit=limit, window_years=WINDOW_YEARS, rules=rules)


def count_errors(
    policy: ThresholdPolicy,
    subjects: Sequence[Predicted],
    readers: Mapping[str, ThresholdPolicy] | None = None,
) -> ThresholdPolicy:
    """Count what a tuned rule does to subjects that it was not tuned on.

    Args:
        policy: The rule.
        subjects: Fresh subjects: a test cohort, together with cohorts just below each threshold.
        readers: Counted policies of the best readers, by their letter.

    Returns:
        The same rule with its errors.
    """
    rules = [
        rule.model_copy(update={"errors": _errors(rule, policy, subjects, readers or {})}) for rule in policy.rules
    ]
    return policy.model_copy(update={"rules": rules})


def tolerated_errors(subjects: int, limit: float) -> int | None:
    """Say how many errors among n tuning subjects are tolerated.

    Args:
        subjects: Number of subjects, n.
        limit: What the upper Wilson bound stays under.

    Returns:
        The most errors whose bound is within the tuned share of the limit; else 0 where no error is within the limit
        itself; else None: n is too small to show anything.

    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    errors = -1
    while errors < subjects and proportion(errors + 1, subjects).high <= TUNED_SHARE * limit:
        errors += 1
    if errors >= 0:
        return errors
    return 0 if proportion(0, subjects).high <= limit else None


def error_rate(wrong: Sequence[bool]) -> ErrorRate:
    """Give the share of subjects with its Wilson interval."""
    return _rate(sum(wrong), len(wrong))


def together(counted: Sequence[ThresholdErrors]) -> ThresholdErrors:
    """Add up errors that were counted on parts of a sample, of one threshold and sex."""
    rates = {
        name: _rate(
            sum(getattr(each, name).errors for each in counted), sum(getattr(each, name).subjects for each in counted)
        )
        for name in ("false_adult", "false_adult_all_minors", "false_minor", "undetermined")
    }
    return counted[0].model_copy(update={**rates, "reference_undetermined": {}})


def _rate(errors: int, subjects: int) -> ErrorRate:
    """Give a share with its Wilson interval."""
    found = proportion(errors, subjects)
    share = found.value if found.total else None
    return ErrorRate(errors=found.count, subjects=found.total, share=share, low=found.low, high=found.high)


def _rule(subjects: Sequence[Predicted], age_years: float, sex: Sex | None, limit: float) -> ThresholdRule:
    """Tune one rule; without a sex it holds in each, so that the stricter limit counts."""
    below = [_between(subjects, age_years - WINDOW_YEARS, age_years, each) for each in _actual(subjects)]
    above = [_between(subjects, age_years, age_years + WINDOW_YEARS, each) for each in _actual(subjects)]
    highest = [_just_above(_chances(group, age_years), limit) for group in below]
    lowest = [_just_above([1 - chance for chance in _chances(group, age_years)], limit) for group in above]
    return ThresholdRule(
        age_years=age_years,
        sex=sex,
        at_least_probability=_strictest(highest),
        below_probability=None if (strict := _strictest(lowest)) is None else 1 - strict,
        subjects_below=sum(map(len, below)),
        subjects_above=sum(map(len, above)),
    )


def _actual(subjects: Sequence[Predicted]) -> list[Sex]:
    """Give the sexes that the subjects have, told or not."""
    return [sex for sex in Sex if any(subject.sex is sex for subject in subjects)]


def _between(subjects: Sequence[Predicted], low: float, high: float, sex: Sex) -> list[Predicted]:
    """Give the subjects of one sex in an age window."""
    return [subject for subject in subjects if subject.sex is sex and low <= subject.age_years < high]


def _chances(subjects: Sequence[Predicted], age_years: float) -> list[float]:
    """Give the probabilities of being at least an age."""
    return [subject.distribution.at_least(age_years) for subject in subjects]


def rare_chance(chances: Sequence[float] | FloatArray) -> float:
    """Give the probability that one of a thousand similar subjects would reach.

    Between a threshold's minors and adults of a calibrated reader the log-odds x change their density by exp(x), so
    that the upper tail of the minors falls off exponentially, or faster; where it is made of closed knees, which all
    look alike, it ends.

    Args:
        chances: Probabilities of the tuning subjects, 0 to 1.

    Source: Weissman 1978, J. Am. Stat. Assoc. 73:812-815 (a quantile beyond the sample, from its k largest values).
    """
    near = np.clip(np.sort(chances), _NEAREST, 1 - _NEAREST)
    odds = np.log(near / (1 - near))
    count = max(1, round(TAIL_SHARE * len(odds)))
    beyond = float(np.mean(odds[-count:] - odds[-count - 1]))
    rare = odds[-count - 1] + beyond * np.log(count / len(odds) / RARE_SHARE)
    return float(1 / (1 + np.exp(-rare)))


def _just_above(chances: Sequence[float], limit: float) -> float | None:
    """Give a probability that no more than the tolerated number of subjects reach, nor would one of a thousand.

    None: there is no such probability, or too few subjects to tell.
    """
    tolerated = tolerated_errors(len(chances), limit)
    if tolerated is None:
        return None
    largest = sorted(chances, reverse=True)[tolerated]
    return max(float(np.nextafter(largest, 2.0)), rare_chance(chances), _EVEN) if largest < 1 else None


def _strictest(limits: Sequence[float | None]) -> float | None:
    """Give the largest; None where one is missing."""
    known = [limit for limit in limits if limit is not None]
    return max(known) if known and len(known) == len(limits) else None


def _errors(
    rule: ThresholdRule,
    policy: ThresholdPolicy,
    subjects: Sequence[Predicted],
    readers: Mapping[str, ThresholdPolicy],
) -> ThresholdErrors:
    """Count one rule's errors."""
    age, window = rule.age_years, policy.window_years
    limits = Limits(rule.at_least_probability, rule.below_probability, calibrated=True)
    told = [subject for subject in subjects if subject.told_sex == rule.sex]
    said = [(subject.age_years, limits.decide(subject.distribution.at_least(age))) for subject in told]

    def share(decision: ThresholdDecision, within: Callable[[float], bool]) -> ErrorRate:
        """Count a decision among subjects of some ages."""
        return error_rate([each is decision for years, each in said if within(years)])

    return ThresholdErrors(
        sex=rule.sex,
        limit=policy.limit,
        window_years=window,
        false_adult=share(ThresholdDecision.AT_LEAST, lambda years: age - window <= years < age),
        false_adult_all_minors=share(ThresholdDecision.AT_LEAST, lambda years: years < age),
        false_minor=share(ThresholdDecision.BELOW, lambda years: age <= years < age + window),
        undetermined=share(ThresholdDecision.UNDETERMINED, lambda years: age - window <= years < age + window),
        reference_undetermined=_undetermined(readers, age, rule.sex),
    )


def _undetermined(readers: Mapping[str, ThresholdPolicy], age_years: float, sex: Sex | None) -> dict[str, ErrorRate]:
    """Give the undetermined shares of the best readers for one threshold and sex."""
    rules = {name: policy.rule(age_years, sex) for name, policy in readers.items()}
    return {name: rule.errors.undetermined for name, rule in rules.items() if rule is not None and rule.errors}
