"""How far two plates of one knee differ."""

from __future__ import annotations

import pytest

from kneeage.core.result import PlateReport
from kneeage.infer.growth_limits import fit_growth_limits, missed_limit, plate_difference
from kneeage.infer.stages import skeletal_stages


def plate(openness: float, thickness_mm: float | None) -> PlateReport:
    stages = skeletal_stages(openness, thickness_mm, 0.0)
    return PlateReport(found=True, openness=openness, thickness_mm=thickness_mm, stages=stages)


NOTHING = PlateReport(found=False)


@pytest.mark.parametrize(
    ("measure", "femur", "tibia", "wanted"),
    [
        ("openness", plate(0.5, 1.0), plate(0.75, 1.0), -0.25),
        ("stage", plate(0, None), plate(1, 3.0), 4.0),
        ("thickness_mm", plate(1, 3.0), plate(0.97, 2.0), 1.0),
        ("thickness_mm", plate(1, 3.0), plate(0.9, 2.0), None),
        ("thickness_mm", plate(1, 3.0), plate(0, None), None),
        ("openness", NOTHING, plate(1, 2.0), None),
        ("stage", plate(1, 2.0), NOTHING, None),
    ],
)
def test_differences(measure: str, femur: PlateReport, tibia: PlateReport, wanted: float | None) -> None:
    found = plate_difference(femur, tibia, measure)
    assert found == (None if wanted is None else pytest.approx(wanted))


def test_limits_hold_the_knees_they_were_set_on_but_the_last() -> None:
    knees = [(plate(1, 1.6 + n / 1000), plate(1, 1.6)) for n in range(1001)]
    limits = {limit.measure: limit for limit in fit_growth_limits(knees, quantile=0.9)}
    assert limits["thickness_mm"].low == pytest.approx(0.05)
    assert limits["thickness_mm"].high == pytest.approx(0.95)
    assert limits["thickness_mm"].subjects == 1001
    assert (limits["openness"].low, limits["openness"].high) == (0, 0)
    assert missed_limit(*knees[500], limits.values()) is None
    missed = missed_limit(*knees[1000], limits.values())
    assert missed is not None
    assert missed[0].measure == "thickness_mm"
    assert missed[1] == pytest.approx(1.0)


def test_what_no_knee_has_gets_no_limit() -> None:
    limits = fit_growth_limits([(plate(0, None), plate(0, None))])
    assert {limit.measure for limit in limits} == {"openness", "stage"}
