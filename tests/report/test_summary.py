"""What a reader sees first."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kneeage.core.result import Interval, MinimumAge, Outcome, Result, SummaryQuantity, ThresholdDecision
from kneeage.report.summary import outward, reason_lines, summary, virtual_sentences
from kneeage.report.words import words
from tests.report.rich import rich_result

EN, ZH = words("en"), words("zh")


def test_an_estimate_is_said_in_plain_words(estimated: Result) -> None:
    assert summary(estimated, EN) == (
        "Demonstration, not a statement about this person: "
        "Most probable age 16.5 years; the model puts 95 % probability on 13.9 to 19.4 years. "
        "Undetermined whether at least 12, 14, 16 and 18 years old."
    )
    assert "16.5岁" in summary(estimated, ZH)


def test_only_the_strongest_decisions_are_said(changed: Callable[..., Result]) -> None:
    result = changed()
    kinds = (
        ThresholdDecision.AT_LEAST,
        ThresholdDecision.AT_LEAST,
        ThresholdDecision.UNDETERMINED,
        ThresholdDecision.BELOW,
    )
    decided = [t.model_copy(update={"decision": kind}) for t, kind in zip(result.thresholds, kinds, strict=True)]
    said = summary(changed(thresholds=decided), EN)
    assert said.endswith(
        "At least 14 years. Below 18 years. Undetermined whether at least 16 years old. "
        "How often such decisions are wrong was not counted."
    )


def test_decisions_whose_errors_were_counted_are_said_alone(changed: Callable[..., Result]) -> None:
    counted = next(t for t in rich_result(changed()).thresholds if t.errors is not None)
    decided = counted.model_copy(update={"decision": ThresholdDecision.BELOW})
    said = summary(changed(thresholds=[decided]), EN)
    assert "Below" in said
    assert "was not counted" not in said


def test_a_limit_above_the_minimum_age_is_said_to_rest_on_more_than_the_stages(changed: Callable[..., Result]) -> None:
    reached = [changed().thresholds[-1].model_copy(update={"decision": ThresholdDecision.AT_LEAST})]
    minimum = MinimumAge(value_years=16.18, definition="d", n=240)
    closed = {
        "interval_years": [Interval(level=0.95, low=17.25, high=None, method="m")],
        "minimum_age_years": minimum,
        "summary_quantity": SummaryQuantity.MINIMUM_AGE,
        "thresholds": reached,
    }
    assert "not on the stages alone: at least 18 years." in summary(changed(**closed), EN)
    older = minimum.model_copy(update={"value_years": 18.4})
    assert "At least 18 years." in summary(changed(**{**closed, "minimum_age_years": older}), EN)


def test_an_open_interval_has_no_upper_end(changed: Callable[..., Result]) -> None:
    result = changed(interval_years=[Interval(level=0.95, low=17.25, high=None, method="m")])
    assert "17.2 years or more, open upwards" in summary(result, EN)


def test_a_conformal_interval_is_not_called_a_probability(changed: Callable[..., Result]) -> None:
    conformal = Interval(level=0.95, low=13.92, high=19.31, method="conformal, fitted on 300 subjects")
    said = summary(changed(interval_years=[conformal], thresholds=[], bundle=None), EN)
    assert said == (
        "Most probable age 16.5 years; interval 13.9 to 19.4 years "
        "(95 % of comparable subjects have their true age in theirs)."
    )


def test_an_age_and_an_interval_that_rest_on_different_readings_are_not_joined(changed: Callable[..., Result]) -> None:
    conformal = Interval(level=0.95, low=17.92, high=19.31, method="conformal, fitted on 300 subjects")
    said = summary(changed(interval_years=[conformal], thresholds=[], bundle=None), EN)
    assert said.startswith("Most probable age 16.5 years with the prior, height and weight that were given; without")


def test_the_summary_names_the_quantity_that_it_gives(changed: Callable[..., Result]) -> None:
    minimum = MinimumAge(value_years=16.18, definition="d", n=240)
    closed = {
        "interval_years": [Interval(level=0.95, low=17.25, high=None, method="m")],
        "minimum_age_years": minimum,
        "thresholds": [],
        "bundle": None,
    }
    said = {kind: summary(changed(**closed, summary_quantity=kind), EN) for kind in SummaryQuantity}
    assert said[SummaryQuantity.MINIMUM_AGE].startswith("Minimum age 16.1 years: the youngest of 240 reference")
    assert said[SummaryQuantity.INTERVAL_LOWER_END].startswith("Lower end of the 95 % interval 17.2 years;")
    assert said[SummaryQuantity.MOST_PROBABLE_AGE].startswith("Most probable age 16.5 years;")
    without = changed(**{**closed, "minimum_age_years": None}, summary_quantity=SummaryQuantity.MINIMUM_AGE)
    assert summary(without, EN).startswith("Most probable age")


def test_an_estimate_without_interval_is_said(changed: Callable[..., Result]) -> None:
    bare = changed(interval_years=[], thresholds=[], bundle=None)
    assert summary(bare, EN) == "Most probable age 16.5 years."


def test_on_a_virtual_image_the_demonstration_speaks_of_its_subject(changed: Callable[..., Result]) -> None:
    series = changed().series
    assert series is not None
    assert summary(changed(series=series.model_copy(update={"virtual": True})), EN).startswith("Most probable age")


def test_age_limits_are_full_years_in_chinese(estimated: Result) -> None:
    assert summary(estimated, ZH).endswith("无法判断是否年满12、14、16和18周岁。")


@pytest.mark.parametrize(("outcome", "word"), [(Outcome.ABSTAINED, "abstained"), (Outcome.REFUSED, "refused")])
def test_no_age_is_said_as_such(abstained: Result, outcome: Outcome, word: str) -> None:
    said = summary(abstained.model_copy(update={"outcome": outcome}), EN)
    assert said.startswith("No age is given.")
    assert word in said


@pytest.mark.parametrize(("direction", "age"), [(-1, 17.9), (1, 18.0)])
def test_interval_ends_are_rounded_outwards(direction: int, age: float) -> None:
    assert outward(17.96, direction) == age


def test_other_bounds_are_rounded_outwards_too() -> None:
    assert (outward(0.1234, -1, 2), outward(0.1234, 1, 2)) == (0.12, 0.13)


def test_an_exact_tenth_is_not_rounded() -> None:
    assert outward(17.9, -1) == outward(17.9, 1) == 17.9


def test_a_virtual_bundle_is_named_on_a_scanner_image(estimated: Result) -> None:
    first, second = virtual_sentences(estimated, EN)
    assert first == "Trained on a virtual cohort, demonstration only, not for forensic use."
    assert "nothing about this person" in second


def test_a_bundle_of_real_subjects_needs_no_such_sentence(changed: Callable[..., Result]) -> None:
    bundle = changed().bundle
    assert bundle is not None
    assert virtual_sentences(changed(bundle=bundle.model_copy(update={"population": "a hospital"})), EN) == []


def test_a_reason_comes_with_advice_in_both_languages(abstained: Result) -> None:
    name, message, advice = reason_lines(abstained, ZH)[0]
    assert name == "某一骺板部位未显示"
    assert message.startswith("可见胫骨近端")
    assert advice.startswith("请核对")
