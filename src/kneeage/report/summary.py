"""The sentences that a reader sees first: what was found, or why nothing is said."""

from __future__ import annotations

import math

from kneeage.core.manifest import VIRTUAL_POPULATION
from kneeage.core.result import Interval, Outcome, Reason, Result, SummaryQuantity, ThresholdDecision
from kneeage.report.ageplot import shown_interval
from kneeage.report.words import Words


def is_virtual(result: Result) -> bool:
    """Say whether a result comes from a bundle that was trained on computer-generated subjects."""
    return result.bundle is not None and result.bundle.population == VIRTUAL_POPULATION


def summary(result: Result, say: Words) -> str:
    """Say in plain words what an examination found."""
    if result.outcome is not Outcome.ESTIMATED or result.estimated_age_years is None:
        return say("summary.refused" if result.outcome is Outcome.REFUSED else "summary.abstained")
    sentences = [
        _age_sentence(result, result.estimated_age_years, say),
        *_threshold_sentences(result, say),
        *_uncounted(result, say),
    ]
    return _joined(say, [say("summary.demonstration"), *sentences] if _is_beside_the_person(result) else sentences)


def virtual_sentences(result: Result, say: Words) -> list[str]:
    """Say that the bundle is a demonstration, and what that means for this image; empty for other bundles."""
    if not is_virtual(result):
        return []
    if result.series is None:
        return [say("virtual.sentence")]
    return [say("virtual.sentence"), say("virtual.image" if result.series.virtual else "virtual.real_image")]


def reason_lines(result: Result, say: Words) -> list[tuple[str, str, str]]:
    """Give, for each reason of an abstention or refusal, its name, its words and what can be done."""
    return [_reason_line(reason, say) for reason in result.reasons]


def age_range(interval: Interval, say: Words) -> str:
    """Write an age interval; it is rounded outwards, so that it never looks narrower than it is."""
    low = say.number(outward(interval.low, -1))
    if interval.high is None:
        return say("unit.years_open", low=low)
    return say("unit.years_range", low=low, high=say.number(outward(interval.high, +1)))


def is_conformal(interval: Interval) -> bool:
    """Say whether an interval rests on calibration subjects, and not on the distribution that is shown."""
    return interval.method.startswith("conformal")


def outward(value: float, direction: int, digits: int = 1) -> float:
    """Round a bound, such as an age in years, to so many decimals, down for direction -1 and up for +1."""
    one = float(10**digits)
    steps = round(one * value, 6)
    return (math.floor(steps) if direction < 0 else math.ceil(steps)) / one


def _is_beside_the_person(result: Result) -> bool:
    """Say whether a virtual bundle was asked about an image that is not marked as virtual."""
    return is_virtual(result) and result.series is not None and not result.series.virtual


def _age_sentence(result: Result, age_years: float, say: Words) -> str:
    """Name the age that the summary gives: the most probable one, the minimum age, or the interval's lower end."""
    interval, minimum = shown_interval(result), result.minimum_age_years
    if interval is None:
        return say("summary.estimated_bare", age=say.years(age_years))
    if result.summary_quantity is SummaryQuantity.MINIMUM_AGE and minimum is not None:
        return say("summary.minimum_age", age=say.years(outward(minimum.value_years, -1)), n=minimum.n)
    level = say.level(interval.level)
    if result.summary_quantity is SummaryQuantity.INTERVAL_LOWER_END:
        return say("summary.lower_end", age=say.years(outward(interval.low, -1)), level=level)
    return say(
        _interval_key(interval, age_years), age=say.years(age_years), level=level, range=age_range(interval, say)
    )


def _interval_key(interval: Interval, age_years: float) -> str:
    """Name the sentence that joins an age and an interval; the two may rest on different readings."""
    if not is_conformal(interval):
        return "summary.estimated"
    is_inside = interval.low <= age_years <= (math.inf if interval.high is None else interval.high)
    return "summary.conformal" if is_inside else "summary.apart"


def _threshold_sentences(result: Result, say: Words) -> list[str]:
    """Say the strongest decisions: the highest age reached, the lowest not reached, and what stays open."""
    ages = {
        decision: sorted(t.age_years for t in result.thresholds if t.decision is decision)
        for decision in ThresholdDecision
    }
    reached = ages[ThresholdDecision.AT_LEAST][-1:]
    named = (
        ("summary.at_least_beyond" if _is_beyond_the_stages(result, reached) else "summary.at_least", reached),
        ("summary.below", ages[ThresholdDecision.BELOW][:1]),
        ("summary.undetermined", ages[ThresholdDecision.UNDETERMINED]),
    )
    return [say(key, ages=_ages(found, say)) for key, found in named if found]


def _is_beyond_the_stages(result: Result, reached: list[float]) -> bool:
    """Say whether a minimum age is named, and decided to be passed by more than the stages alone bear out."""
    minimum = result.minimum_age_years
    is_named = result.summary_quantity is SummaryQuantity.MINIMUM_AGE and minimum is not None
    return is_named and minimum is not None and any(age > minimum.value_years for age in reached)


def _uncounted(result: Result, say: Words) -> list[str]:
    """Say where a decision was taken whose errors nobody counted."""
    decided = [t for t in result.thresholds if t.decision is not ThresholdDecision.UNDETERMINED]
    return [say("summary.uncounted")] if any(t.errors is None for t in decided) else []


def _ages(ages_years: list[float], say: Words) -> str:
    """List age limits with their unit written once."""
    return say("unit.limit", number=say.listing([f"{age:g}" for age in ages_years]))


def _reason_line(reason: Reason, say: Words) -> tuple[str, str, str]:
    """Word one reason."""
    code = reason.code.value
    return say(f"reason.{code}"), say.phrase(reason.message), say(f"advice.{code}")


def _joined(say: Words, sentences: list[str]) -> str:
    """Put sentences after one another as the language does."""
    return say("format.sentence_gap").join(sentences)
