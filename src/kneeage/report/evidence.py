"""The tables of what an answer rests on: error rates, likelihood ratios, priors and facts beside the image."""

from __future__ import annotations

from dataclasses import dataclass

from kneeage.core.result import (
    CovariateReport,
    ErrorRate,
    LikelihoodRatio,
    PriorEffect,
    Result,
    ThresholdErrors,
)
from kneeage.report.summary import age_range, is_virtual
from kneeage.report.words import Words

# Beyond these a likelihood ratio is shown as a bound: the tails of a learned distribution carry no more than that.
_RATIO_SHOWN = (0.001, 1000.0)


@dataclass(frozen=True)
class Table:
    """A table: its column headings, its lines (the first cell names the line), and what must be said below."""

    headings: list[str]
    lines: list[list[str]]
    note: str = ""


def error_table(result: Result, say: Words) -> Table | None:
    """Give the error rates of the rule for every age limit; None where none was counted."""
    counted = [(threshold.age_years, threshold.errors) for threshold in result.thresholds]
    lines = [_error_line(age, errors, say) for age, errors in counted if errors is not None]
    first = next((errors for _, errors in counted if errors is not None), None)
    if first is None:
        return None
    return Table(_error_headings(first, say), lines, _error_note(result, first, say))


def ratio_lines(result: Result, say: Words) -> list[str]:
    """Give the likelihood ratios for the age windows that the user named."""
    return [
        say("ratios.line", ratio=ratio_text(ratio, say), ages=ratio_ages(ratio, say))
        for ratio in result.likelihood_ratios
    ]


def prior_table(result: Result, say: Words) -> Table | None:
    """Give what the answer would be under other priors; None where that is not known."""
    effects = result.prior_effects
    if not effects:
        return None
    keys = ("name", "age", "interval")
    limits = [say("prior.at_least", age=age) for age in effects[0].thresholds]
    headings = [say(f"prior_effect.{key}") for key in keys]
    return Table([*headings, *limits], [_prior_line(effect, say) for effect in effects])


def covariate_table(result: Result, say: Words) -> Table | None:
    """Give the facts beside the image, and what each changed; None where no age was estimated."""
    if not result.covariates:
        return None
    keys = ("name", "value", "used", "changed")
    return Table([say(f"covariates.{key}") for key in keys], [_covariate_line(one, say) for one in result.covariates])


def ratio_text(ratio: LikelihoodRatio | None, say: Words) -> str:
    """Write a likelihood ratio with two or three figures, as a bound beyond a thousand."""
    if ratio is None:
        return say("thresholds.ratio_missing")
    low, high = _RATIO_SHOWN
    if ratio.value is None or ratio.value > high:
        return say("thresholds.more_than", number=say.number(high, 0))
    if ratio.value < low:
        return say("thresholds.less_than", number=say.number(low, 3))
    return say.number(ratio.value, 0 if ratio.value >= 100 else 1 if ratio.value >= 1 else 3)


def ratio_ages(ratio: LikelihoodRatio | None, say: Words) -> str:
    """Name the two age windows of a likelihood ratio."""
    if ratio is None:
        return ""
    windows = {"above": ratio.ages_above, "below": ratio.ages_below}
    return say("thresholds.ratio_ages", **{name: f"{low:g}–{high:g}" for name, (low, high) in windows.items()})


def _error_headings(errors: ThresholdErrors, say: Words) -> list[str]:
    """Give the headings of the table of errors."""
    keys = ("age", "false_adult", "false_adult_all", "false_minor", "undetermined", "readers")
    return [say(f"errors.{key}", window=f"{errors.window_years:g}") for key in keys]


def _error_line(age_years: float, errors: ThresholdErrors, say: Words) -> list[str]:
    """Write the error rates for one age limit."""
    rates = (errors.false_adult, errors.false_adult_all_minors, errors.false_minor, errors.undetermined)
    readers = [f"{name} {_share(rate, say)}" for name, rate in errors.reference_undetermined.items()]
    limit = say("unit.limit", number=f"{age_years:g}")
    return [limit, *(_rate(rate, say) for rate in rates), say("format.comma").join(readers) or "–"]


def _error_note(result: Result, errors: ThresholdErrors, say: Words) -> str:
    """Say whom the errors were counted on, and what that means for a living person."""
    who = say("errors.either_sex") if errors.sex is None else say(f"sex.{errors.sex.value}")
    note = say("errors.note", who=who, limit=say.percent(errors.limit, 1))
    return say("format.sentence_gap").join([note, say("errors.virtual")] if is_virtual(result) else [note])


def _rate(rate: ErrorRate, say: Words) -> str:
    """Write an error rate with its interval and its count."""
    low, high = (say.number(100 * bound, 1) for bound in (rate.low, rate.high))
    if rate.share is None:
        return say("errors.nobody")
    return say("errors.rate", share=_share(rate, say), low=low, high=high, errors=rate.errors, subjects=rate.subjects)


def _share(rate: ErrorRate, say: Words) -> str:
    """Write the share alone."""
    return "–" if rate.share is None else say.percent(rate.share, 1)


def _prior_line(effect: PriorEffect, say: Words) -> list[str]:
    """Write what the answer would be under one prior."""
    shares = [say.probability(share) for share in effect.thresholds.values()]
    age = say.years(effect.most_probable_age_years)
    return [say.phrase(effect.prior), age, age_range(effect.interval, say), *shares]


def _covariate_line(covariate: CovariateReport, say: Words) -> list[str]:
    """Write one fact beside the image."""
    value = covariate.value
    shown = say("value.not_given") if value is None else value if isinstance(value, str) else f"{value:g}"
    used = say("value.yes" if covariate.used else "value.no")
    note = f"{used}{say('format.semicolon')}{say.phrase(covariate.note)}" if covariate.note else used
    return [say(f"covariate.{covariate.name}"), shown, note, _change(covariate.changed_years, say)]


def _change(years: float | None, say: Words) -> str:
    """Write by how much an age moved, with its sign."""
    if years is None:
        return "–"
    number = say.number(abs(years))
    sign = "±" if float(number) == 0 else "+" if years > 0 else "−"
    return say("unit.years", number=f"{sign}{number}")
