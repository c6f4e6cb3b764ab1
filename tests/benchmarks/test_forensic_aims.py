"""Whether an aim is reached follows from the numbers alone, by a rule that was there before them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from benchmarks.forensic_aims import AIMS, verdicts


def ratio(value: float) -> dict[str, float]:
    return {"ratio": value, "ratio_low": value - 0.1, "ratio_high": value + 0.1}


def false_adults(age_years: float, errors: int, high: float, reader: str = "bundle", sex: str = "both") -> Any:
    found = {"errors": errors, "subjects": 1000, "share": errors / 1000, "low": 0.0, "high": high}
    return {"age_years": age_years, "reader": reader, "sex": sex, "false_adult": found}


GOOD: dict[str, Any] = {
    "age": [{"group": f"{hospital}, {kind}", **ratio(1.05)} for hospital in "AB" for kind in ("all", "open plate")],
    "coverage": {
        "all": {"share": 0.936, "low": 0.92, "high": 0.95},
        "groups": [
            {"name": "male, ends", "share": 0.93, "p_holm": 0.06, "judged": True},
            {"name": "few", "share": 0.5, "p_holm": 0.0, "judged": False},
        ],
    },
    "calibration": [
        {"age_years": 18, "who": "all", "error": 0.019, "p_value": 0.001, "perfect_95": 0.01},
        {"age_years": 18, "who": "0.05 < P < 0.95", "error": 0.5, "p_value": 0.001, "perfect_95": 0.01},
    ],
    "thresholds": [false_adults(age, 2, 0.008) for age in (12, 14, 16, 18)]
    + [false_adults(18, 40, 0.05, reader="a"), false_adults(18, 20, 0.03, sex="male")],
    "drawing": {
        "numbers": {
            "dice_thick_open_plates": 0.9,
            "dice_distal_femur_bone": 0.98,
            "dice_proximal_tibia_bone": 0.97,
            "surface_distance_open_plates_mm": 0.3,
            "stage_kappa_dedouit": 0.85,
            "stage_kappa_schmeling_kellinghaus": 0.9,
        },
        "intervals": {"dice_thick_open_plates": [0.85, 0.95]},
    },
}


def missed(numbers: dict[str, Any]) -> list[tuple[int, str]]:
    return [(row["aim"], row["what"]) for row in verdicts(numbers) if not row["reached"]]


def test_all_is_reached_where_the_points_are_however_wide_the_intervals() -> None:
    assert missed(GOOD) == []
    rows = verdicts(GOOD)
    assert {row["aim"] for row in rows} == set(range(1, len(AIMS) + 1))
    assert "0.8500 to 0.9500" in {row["interval"] for row in rows}


def test_a_number_is_not_rounded_into_its_aim() -> None:
    numbers = deepcopy(GOOD)
    numbers["drawing"]["numbers"]["dice_thick_open_plates"] = 0.89996
    assert missed(numbers) == [(5, "dice thick open plates")]


@pytest.mark.parametrize(("group", "value", "fails"), [("A, all", 1.06, True), ("B, all", 1.06, False)])
def test_each_hospital_has_its_own_limit(group: str, value: float, *, fails: bool) -> None:
    numbers = deepcopy(GOOD)
    numbers["age"] = [row | ratio(value) if row["group"] == group else row for row in numbers["age"]]
    assert missed(numbers) == ([(1, f"ratio of errors, {group}")] if fails else [])


def test_false_adults_are_judged_by_the_upper_bound_over_both_sexes() -> None:
    numbers = deepcopy(GOOD)
    numbers["thresholds"][3] = false_adults(18, 5, 0.0117)
    assert missed(numbers) == [(4, "false adults at 18, upper bound")]


def test_coverage_is_missed_on_either_side_and_by_one_large_group() -> None:
    for share in (0.934, 0.966):
        numbers = deepcopy(GOOD)
        numbers["coverage"]["all"]["share"] = share
        assert missed(numbers) == [(2, "share of ages inside, all")]
    numbers = deepcopy(GOOD)
    numbers["coverage"]["groups"][0]["p_holm"] = 0.04
    assert missed(numbers) == [(2, "least p of 1 groups (Holm)")]


def test_a_calibration_error_may_be_one_of_chance() -> None:
    numbers = deepcopy(GOOD)
    numbers["calibration"][0] |= {"error": 0.03, "p_value": 0.2}
    assert missed(numbers) == []
    numbers["calibration"][0]["p_value"] = 0.04
    assert [aim for aim, _ in missed(numbers)] == [3]


def test_what_could_not_be_measured_is_not_reached() -> None:
    numbers = deepcopy(GOOD) | {"thresholds": [], "age": GOOD["age"][:3]}
    del numbers["drawing"]["numbers"]["stage_kappa_dedouit"]
    found = [row for row in verdicts(numbers) if not row["reached"]]
    assert [row["aim"] for row in found] == [1, 4, 4, 4, 4, 5]
    assert {row["found"] for row in found} == {None}
