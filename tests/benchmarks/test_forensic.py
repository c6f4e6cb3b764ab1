"""Numbers of the measurement on fresh virtual subjects."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.forensic import age_errors, calibration_error
from kneeage.core.anatomy import Sex
from kneeage.decide.posterior import AgeDistribution
from kneeage.study.predicted import Predicted

EDGES = tuple(float(age) for age in range(8, 27))


def said(age_years: float, median_years: float) -> Predicted:
    """A subject of whom one completed year is said; the median is its middle."""
    masses = tuple(float(low <= median_years < low + 1) for low in EDGES[:-1])
    return Predicted(age_years, Sex.MALE, AgeDistribution(EDGES, masses))


def fact(hospital: str, stage: str) -> dict[str, Any]:
    return {"hospital": hospital, "true_stages": {site: {"dedouit": stage} for site in ("femur", "tibia")}}


def test_errors_are_divided_by_the_best_reader_s_in_each_hospital_and_where_a_plate_is_open() -> None:
    facts = [fact("A", "III"), fact("A", "V"), fact("B", "V")]
    subjects = [said(14.5, 16.5), said(20.5, 24.5), said(20.5, 21.5)]
    best = [said(14.5, 15.5), said(20.5, 22.5), said(20.5, 24.5)]
    found = {row["group"]: row for row in age_errors(subjects, best, facts)}
    assert {name: row["subjects"] for name, row in found.items()} == {"A, all": 2, "A, open plate": 1, "B, all": 1}
    assert found["A, all"]["mae_years"] == pytest.approx(3)
    assert found["A, all"]["best_mae_years"] == pytest.approx(1.5)
    assert found["A, all"]["ratio"] == pytest.approx(2)
    assert found["B, all"]["ratio"] == pytest.approx(0.25)
    assert found["A, open plate"]["ratio_low"] <= 2 <= found["A, open plate"]["ratio_high"]


def test_a_reader_that_is_too_sure_has_a_calibration_error_that_perfect_ones_do_not_have() -> None:
    def sure(age_years: float, chance: float) -> Predicted:
        masses = tuple(1 - chance if low == 8 else chance if low == 18 else 0.0 for low in EDGES[:-1])
        return Predicted(age_years, Sex.MALE, AgeDistribution(EDGES, masses))

    ages = [10.0, 20.0] * 50
    good, bad = (calibration_error([sure(age, chance) for age in ages]) for chance in (0.5, 0.9))
    assert good["error"] == pytest.approx(0, abs=1e-9)
    assert good["p"] > 0.9
    assert bad["error"] == pytest.approx(0.4)
    assert bad["p"] == pytest.approx(1 / 2001)
    assert bad["perfect_mean"] < bad["perfect_95"] < 0.4
