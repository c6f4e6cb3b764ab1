"""The result holds what its schema says and nothing else."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from kneeage.core.result import (
    SCHEMA_VERSION,
    AgeProbability,
    Interval,
    LikelihoodRatio,
    Outcome,
    PlateReport,
    Result,
    ThresholdDecision,
    ThresholdReport,
)


@pytest.fixture
def result() -> Result:
    """An estimate that is open upwards."""
    return Result(
        outcome=Outcome.ESTIMATED,
        estimated_age_years=17.25,
        interval_years=[Interval(level=0.95, low=15.5, high=None, method="highest density")],
        plates={"distal_femur": PlateReport(found=True, openness=0.0)},
        thresholds=[
            ThresholdReport(
                age_years=18,
                probability_at_least=0.4,
                likelihood_ratio=LikelihoodRatio(value=None, ages_below=(16, 18), ages_above=(18, 20)),
                decision=ThresholdDecision.UNDETERMINED,
                decision_reason="the bundle is virtual",
            )
        ],
    )


def test_result_survives_json(result: Result) -> None:
    assert Result.model_validate_json(result.model_dump_json()) == result


def test_every_key_is_written_even_when_empty() -> None:
    written = json.loads(Result(outcome=Outcome.REFUSED).model_dump_json())
    assert set(written) == set(Result.model_fields)
    assert written["estimated_age_years"] is None
    assert written["schema_version"] == SCHEMA_VERSION


def test_interval_open_upwards_is_null(result: Result) -> None:
    assert json.loads(result.model_dump_json())["interval_years"][0]["high"] is None


def test_closed_plate_is_a_finding(result: Result) -> None:
    assert result.plates["distal_femur"].found
    assert result.plates["distal_femur"].thickness_mm is None


def test_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Result.model_validate({"outcome": "estimated", "age": 15})


def test_outcome_is_one_of_three() -> None:
    with pytest.raises(ValidationError, match="'estimated', 'abstained' or 'refused'"):
        Result.model_validate({"outcome": "guessed"})


@pytest.mark.parametrize("probability", [-0.01, 1.01])
def test_probability_lies_between_0_and_1(probability: float) -> None:
    with pytest.raises(ValidationError, match="probability"):
        AgeProbability(age_years=14, probability=probability)


def test_result_cannot_be_changed(result: Result) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        result.estimated_age_years = 19.0
