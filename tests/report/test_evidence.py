"""The tables of what an answer rests on."""

from __future__ import annotations

import pytest

from kneeage.core.result import ErrorRate, Result
from kneeage.report import evidence
from kneeage.report.words import words
from tests.report.rich import counted, rich_result

EN, ZH = words("en"), words("zh")


@pytest.fixture
def rich(estimated: Result) -> Result:
    return rich_result(estimated)


def test_every_limit_has_its_error_rates_with_interval_and_count(rich: Result) -> None:
    table = evidence.error_table(rich, EN)
    assert table is not None
    assert table.headings[1] == "False “at least”, of subjects up to 2 years below"
    assert table.lines[3] == [
        "18 years",
        "0.3 % (0.0–1.6; 2/731)",
        "0.1 % (0.0–1.4; 2/3104)",
        "0.6 % (0.0–1.9; 4/702)",
        "86.8 % (85.8–88.1; 1244/1433)",
        "a 70.5 %, b 82.0 %",
    ]


def test_errors_of_a_virtual_bundle_are_those_of_virtual_subjects(rich: Result) -> None:
    table = evidence.error_table(rich, EN)
    assert table is not None
    assert "(male)" in table.note
    assert table.note.endswith("for living persons these rates are not known.")
    assert rich.bundle is not None
    real = rich.model_copy(update={"bundle": rich.bundle.model_copy(update={"population": "a hospital"})})
    other = evidence.error_table(real, EN)
    assert other is not None
    assert "virtual:" not in other.note


def test_nobody_counted_is_said(rich: Result) -> None:
    nobody = counted(1).model_copy(
        update={"false_adult": ErrorRate(errors=0, subjects=0), "reference_undetermined": {}}
    )
    first = rich.thresholds[0].model_copy(update={"errors": nobody})
    table = evidence.error_table(rich.model_copy(update={"thresholds": [first]}), EN)
    assert table is not None
    assert (table.lines[0][1], table.lines[0][-1]) == ("nobody was counted", "–")


def test_without_counts_priors_and_covariates_there_are_no_tables(estimated: Result) -> None:
    assert evidence.error_table(estimated, EN) is None
    assert evidence.prior_table(estimated, EN) is None
    assert evidence.covariate_table(estimated, EN) is None
    assert evidence.ratio_lines(estimated, EN) == []


def test_ratios_that_the_user_named_are_given(rich: Result) -> None:
    assert evidence.ratio_lines(rich, EN) == [
        "Likelihood ratio for the ages that the user named: 0.310 (ages 18–22 against 14–18)"
    ]


def test_the_answer_under_other_priors(rich: Result) -> None:
    table = evidence.prior_table(rich, ZH)
    assert table is not None
    assert table.headings[3:] == ["年满12周岁", "年满14周岁", "年满16周岁", "年满18周岁"]
    assert table.lines[2][:3] == ["争议年龄（假定）", "16.8岁", "14.4至19.7岁"]


def test_what_each_fact_changed(rich: Result) -> None:
    table = evidence.covariate_table(rich, EN)
    assert table is not None
    assert table.lines == [
        ["Height in cm", "168", "yes", "−0.3 years"],
        ["Weight in kg", "not given", "no; not known", "–"],
        ["Sequence", "T1", "yes", "±0.0 years"],
    ]
