"""The tables of the report."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kneeage.core.manifest import BundleManifest, ThresholdPolicy, ThresholdRule
from kneeage.core.result import (
    Interval,
    LikelihoodRatio,
    MinimumAge,
    PlateReport,
    PriorReport,
    PriorRow,
    Reason,
    ReasonCode,
    Result,
    ThresholdErrors,
)
from kneeage.decide.prior import table_sha256
from kneeage.io.bundle import load_bundle
from kneeage.report import evidence, sections
from kneeage.report.words import words
from tests.report.rich import counted, rich_result

EN = words("en")


def ratio(value: float | None) -> LikelihoodRatio:
    return LikelihoodRatio(value=value, ages_below=(16, 18), ages_above=(18, 20))


def ruled(errors: ThresholdErrors | None) -> BundleManifest:
    """The bundle that ships, with a tuned rule."""
    rule = ThresholdRule(age_years=18, sex=None, at_least_probability=0.99, below_probability=0.01, errors=errors)
    return load_bundle().manifest.model_copy(update={"policy": ThresholdPolicy(rules=[rule])})


def error_remark(result: Result, bundle: BundleManifest) -> str:
    """What is said about error rates where none stand beside the decisions."""
    return {row.label: row.value for row in sections.model_rows(result, bundle, EN)}["Error rates"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00001, "less than 0.001"),
        (0.25, "0.250"),
        (2.44, "2.4"),
        (431.7, "432"),
        (1e9, "more than 1,000"),
        (None, "more than 1,000"),
    ],
)
def test_a_likelihood_ratio_is_written(value: float | None, text: str) -> None:
    assert evidence.ratio_text(ratio(value), EN) == text


def test_a_missing_likelihood_ratio_is_said() -> None:
    assert evidence.ratio_text(None, EN) == "not given"


def test_threshold_rows_name_the_age_windows(estimated: Result) -> None:
    row = sections.threshold_rows(estimated, EN)[3]
    assert (row.age, row.probability, row.ratio_ages) == ("18 years", "11.0 %", "ages 18–20 against 16–18")
    assert row.decision == "Undetermined"


@pytest.mark.parametrize(("low", "high"), [(18, 26), (20, 26), (8, 18), (8, 12)])
def test_a_probability_that_the_prior_alone_decides_is_not_shown_as_a_finding(
    changed: Callable[..., Result], low: float, high: float
) -> None:
    result = changed(prior=PriorReport(name="p", low_years=low, high_years=high))
    assert sections.threshold_rows(result, EN)[3].probability == "fixed by the prior, not by the image"


def test_a_virtual_bundle_has_no_known_error_rates(changed: Callable[..., Result]) -> None:
    bundle = changed().bundle
    assert bundle is not None
    real = changed(bundle=bundle.model_copy(update={"population": "a hospital"}))
    assert error_remark(changed(), ruled(counted(900))).startswith("not known for living persons")
    assert error_remark(real, ruled(counted(900))).startswith("not part of this report")


@pytest.mark.parametrize(
    "bundle", [load_bundle().manifest.model_copy(update={"policy": ThresholdPolicy()}), ruled(None)]
)
def test_errors_that_nobody_counted_stand_nowhere(estimated: Result, bundle: BundleManifest) -> None:
    assert error_remark(estimated, bundle).startswith("not known: nobody has counted")


def test_a_uniform_prior_is_worded_in_chinese(estimated: Result) -> None:
    assert sections.prior_rows(estimated, words("zh"))[0].value == "8至26岁均匀分布（uniform:8-26）"


@pytest.mark.parametrize(
    ("lang", "label", "told"),
    [
        ("en", "Its table of ages and weights (3 rows)", "10: 0; 14.5: 4; 18: 0.25"),
        ("zh", "其年龄与权重表（3行）", "10岁：0；14.5岁：4；18岁：0.25"),
    ],
)
def test_a_prior_from_a_table_is_printed_with_its_rows(
    changed: Callable[..., Result], lang: str, label: str, told: str
) -> None:
    rows = [PriorRow(age_years=age, weight=weight) for age, weight in ((10, 0), (14.5, 4), (18, 0.25))]
    result = changed(prior=PriorReport(name="p.csv", low_years=10, high_years=18, rows=rows))
    row = sections.prior_rows(result, words(lang))[-1]
    assert (row.label, row.value) == (label, told)


def test_a_long_prior_is_printed_as_a_hash_and_a_flat_one_by_its_name(changed: Callable[..., Result]) -> None:
    rows = [PriorRow(age_years=age, weight=age % 3) for age in range(8, 26)]
    row = sections.prior_rows(changed(prior=PriorReport(name="p", low_years=8, high_years=25, rows=rows)), EN)[-1]
    assert row.label == "Its table of ages and weights (18 rows)"
    assert row.value == table_sha256((each.age_years, each.weight) for each in rows)
    flat = PriorReport(name="p", low_years=8, high_years=26, rows=[rows[0], rows[3]])
    assert flat.rows[0].weight == flat.rows[1].weight
    assert len(sections.prior_rows(changed(prior=flat), EN)) == 2


def test_a_reason_that_all_decisions_share_is_given_once(estimated: Result) -> None:
    assert sections.common_reason(estimated, EN).startswith("the bundle was trained on a virtual cohort")


def test_reasons_that_differ_are_not_merged(changed: Callable[..., Result]) -> None:
    first, *rest = changed().thresholds
    result = changed(thresholds=[first.model_copy(update={"decision_reason": "other"}), *rest])
    assert sections.common_reason(result, EN) == ""


def test_the_minimum_age_is_said_to_be_missing(estimated: Result) -> None:
    assert sections.age_rows(estimated, EN)[-1].value == "not given by this bundle"


def test_the_minimum_age_comes_with_its_definition(changed: Callable[..., Result]) -> None:
    minimum = MinimumAge(
        value_years=15.57, definition="youngest of the stage", n=120, quantile=0.01, quantile_years=15.98
    )
    row = sections.age_rows(changed(minimum_age_years=minimum), EN)[-1]
    assert row.value == "15.5 years"
    assert row.note == "youngest of the stage; 120 reference subjects; age below which 1 % of them lie: 15.9 years"


@pytest.mark.parametrize(
    ("lang", "note"),
    [
        ("en", "stage; 12 reference subjects; 1 % quantile: not given"),
        ("zh", "stage；参照受试者12名；1%分位数：未提供"),
    ],
)
def test_a_minimum_age_without_quantile_says_so(changed: Callable[..., Result], lang: str, note: str) -> None:
    minimum = MinimumAge(value_years=15.5, definition="stage", n=12, quantile=0.01)
    assert sections.age_rows(changed(minimum_age_years=minimum), words(lang))[-1].note == note


@pytest.mark.parametrize(
    ("lang", "label", "value"),
    [("en", "Motion, share of the limit", "13 %"), ("zh", "运动伪影（占限值的比例）", "13%")],
)
def test_motion_is_told_as_a_share_of_its_limit(estimated: Result, lang: str, label: str, value: str) -> None:
    assert estimated.quality is not None
    moving = estimated.model_copy(update={"quality": estimated.quality.model_copy(update={"motion": 0.125})})
    rows = {row.label: row.value for row in sections.quality_rows(moving, words(lang))}
    assert rows[label] == value


def test_a_most_probable_age_of_closed_plates_comes_with_a_caution(changed: Callable[..., Result]) -> None:
    result = changed()
    closed = {name: plate.model_copy(update={"openness": 0.0}) for name, plate in result.plates.items()}
    assert sections.age_rows(result, EN)[0].note == ""
    assert "little meaning" in sections.age_rows(changed(plates=closed), EN)[0].note


def test_an_interval_is_called_what_it_rests_on(changed: Callable[..., Result]) -> None:
    kinds = ("conformal, fitted on 300 subjects", "central credible interval of the posterior")
    intervals = [Interval(level=0.95, low=13.9, high=19.3, method=method) for method in kinds]
    labels = [row.label for row in sections.age_rows(changed(interval_years=intervals), EN)[1:3]]
    assert labels == ["Interval, 95 % coverage", "Interval, 95 % of the distribution shown"]


def test_a_closed_plate_is_a_finding(estimated: Result) -> None:
    heading, femur, tibia = sections.plate_table(estimated, EN)
    assert len(heading) == len(femur) == len(tibia)
    assert femur[:6] == ["Distal femur", "yes", "not graded", "not graded", "50 %", "2.4 mm"]
    assert tibia[4:6] == ["0 % (none seen open)", "–"]


def test_no_plates_no_table(abstained: Result) -> None:
    assert sections.plate_table(abstained, EN) == []


def test_a_plate_that_was_not_found_is_said(changed: Callable[..., Result]) -> None:
    table = sections.plate_table(changed(plates={"distal_femur": PlateReport(found=False)}), EN)
    assert (table[1][:2], table[1][4]) == (["Distal femur", "no"], "–")


def test_age_classes_are_written_with_signs(estimated: Result) -> None:
    names = [name for name, _ in sections.class_rows(estimated, EN)]
    assert (names[0], names[-1]) == ("< 10", "≥ 19")


def test_what_was_not_given_is_said(changed: Callable[..., Result]) -> None:
    from kneeage.core.result import SubjectReport

    assert {row.value for row in sections.subject_rows(changed(subject=SubjectReport()), EN)} == {"not given"}


def test_without_series_quality_and_prior_there_are_no_rows(changed: Callable[..., Result]) -> None:
    bare = changed(series=None, quality=None, prior=None, bundle=None, software=None)
    assert sections.series_rows(bare, EN) == sections.quality_rows(bare, EN) == sections.prior_rows(bare, EN) == []
    assert len(sections.model_rows(bare, None, EN)) == 1


def test_the_scanner_is_named_as_far_as_known(changed: Callable[..., Result]) -> None:
    series = changed().series
    assert series is not None
    silent = series.model_copy(update={"manufacturer": None, "field_strength_tesla": None})
    values = {row.label: row.value for row in sections.series_rows(changed(series=silent), EN)}
    assert values["Scanner"] == "not known"


def test_short_facts_stand_side_by_side_and_long_ones_alone() -> None:
    short, long = sections.Row("a", "b"), sections.Row("a", "b" * 60)
    code, noted = sections.Row("a", "b", code=True), sections.Row("a", "b", note="c")
    assert sections.fact_lines([short, short, short, long, short, code, noted]) == [
        [short, short],
        [short],
        [long],
        [short],
        [code],
        [noted],
    ]


def test_chinese_characters_are_twice_as_wide() -> None:
    assert sections.Row("岁" * 20, "a" * 10).is_narrow
    assert not sections.Row("岁" * 20, "a" * 11).is_narrow


def test_the_verdict_on_quality_names_what_speaks_against_the_image(estimated: Result, abstained: Result) -> None:
    said = [
        {row.label: row.value for row in sections.quality_rows(one, EN)}["Verdict"] for one in (estimated, abstained)
    ]
    assert said[0].startswith("sufficient")
    assert said[1] == "not sufficient: The site of a growth plate was not seen"


def test_a_sex_that_is_not_covered_says_nothing_about_the_image(abstained: Result) -> None:
    reason = Reason(code=ReasonCode.SEX_NOT_COVERED, message="m")
    rows = sections.quality_rows(abstained.model_copy(update={"reasons": [reason]}), EN)
    assert rows[0].value.startswith("sufficient")


def test_every_stage_is_defined_once(estimated: Result) -> None:
    words_ = sections.stage_definitions(rich_result(estimated), EN)
    assert len(words_) == 4
    assert words_[0] == "Dedouit IV: discontinuous plate, partly closed"
    assert sections.stage_definitions(estimated, EN) == []


def test_the_summary_s_quantity_is_named(estimated: Result) -> None:
    assert sections.age_rows(rich_result(estimated), EN)[-1].value == "the most probable age with its interval"


def test_counted_errors_take_the_place_of_the_remark_that_there_are_none(estimated: Result) -> None:
    assert "Error rates" not in {row.label for row in sections.model_rows(rich_result(estimated), None, EN)}
