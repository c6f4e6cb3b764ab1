"""How well a segmenter draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kneeage.core.manifest import Calibration
from kneeage.study.drawn_plates import drawing_intervals, drawing_numbers


def subject(age_years: float, thickness_mm: float, overlap: int, stage: str = "III") -> dict[str, Any]:
    report = {"found": True, "openness": 0.5, "thickness_mm": thickness_mm, "area_mm2": 1.0, "volume_mm3": 1.0}
    plate = {
        "true": report,
        "found": report,
        "scar_share": 0.0,
        "surface_mm": 0.2,
        "open_mm3": {"true": 1.0, "drawn": 1.0},
    }
    counts = dict.fromkeys(("distal_femur_physis", "proximal_tibia_physis", "distal_femur_bone"), (overlap, 100))
    stages = {"dedouit": stage, "schmeling_kellinghaus": "3b"}
    return {
        "chronological_age_years": age_years,
        "plates": {"distal_femur": plate, "proximal_tibia": plate},
        "dice_counts": counts,
        "true_stages": {"distal_femur": stages, "proximal_tibia": stages},
    }


def test_thick_plates_are_counted_apart() -> None:
    numbers = drawing_numbers([subject(14, 2.5, 90), subject(17, 1.0, 50)], Calibration())
    assert numbers["dice_thick_open_plates"] == pytest.approx(0.9)
    assert numbers["dice_distal_femur_physis"] == pytest.approx(0.7)
    assert numbers["surface_distance_open_plates_mm"] == pytest.approx(0.2)
    assert numbers["open_plates_not_drawn_share"] == 0
    assert numbers["distal_femur_thickness_mm_mean_absolute_error"] == 0


def test_open_plates_that_are_not_drawn_are_counted_and_outliers_do_not_move_the_median() -> None:
    subjects = [subject(14, 2.5, 90), subject(15, 2.5, 90), subject(16, 2.5, 90)]
    subjects[0]["plates"]["distal_femur"] = subjects[0]["plates"]["distal_femur"] | {"surface_mm": None}
    subjects[1]["plates"]["distal_femur"] = subjects[1]["plates"]["distal_femur"] | {"surface_mm": 5.0}
    numbers = drawing_numbers(subjects, Calibration())
    assert numbers["open_plates_not_drawn_share"] == pytest.approx(1 / 6)
    assert numbers["surface_distance_open_plates_median_mm"] == pytest.approx(0.2)


def test_what_nobody_was_there_for_is_left_out() -> None:
    numbers = drawing_numbers([subject(25, 1.0, 50)], Calibration())
    assert "dice_thick_open_plates" not in numbers
    assert "stage_kappa_dedouit" not in numbers
    assert drawing_intervals([subject(25, 1.0, 50)], Calibration()) == {}
    assert drawing_intervals([], Calibration()) == {}


def closed(drawn_mm3: float, openness: float = 0.0, remnant_mm3: float = 0.0) -> dict[str, Any]:
    """A subject whose femoral plate is truly closed; the tibial one is open."""
    known = subject(20, 1.0, 50)
    true = {"found": True, "openness": 0.0, "thickness_mm": None, "area_mm2": 0.0, "volume_mm3": 0.0}
    plate = {"true": true, "found": true | {"openness": openness}, "scar_share": 1.0, "surface_mm": None}
    plate["open_mm3"] = {"true": remnant_mm3, "drawn": drawn_mm3}
    return known | {"plates": known["plates"] | {"distal_femur": plate}}


def test_open_plate_that_is_drawn_in_closed_ones_is_counted_also_where_nothing_measures_it() -> None:
    subjects = [closed(0.0), closed(40.0), closed(200.0, openness=0.1), closed(0.0), closed(5.0, remnant_mm3=3.0)]
    numbers = drawing_numbers(subjects, Calibration())
    assert numbers["closed_plates_drawn_open_share"] == pytest.approx(2 / 4)
    assert numbers["closed_plates_drawn_open_mm3"] == pytest.approx(120)
    assert numbers["closed_plates_measured_open_share"] == pytest.approx(1 / 4)


def test_of_facts_without_volumes_nothing_is_said_of_closed_plates() -> None:
    known = closed(5.0)
    del known["plates"]["distal_femur"]["open_mm3"]
    assert "closed_plates_drawn_open_share" not in drawing_numbers([known], Calibration())


def test_intervals_hold_the_numbers_and_both_plates_of_a_subject_are_one_draw() -> None:
    stages = ("III", "IV", "V", "II") * 10
    subjects = [subject(13 + place % 6, 2.5, 60 + place, stage) for place, stage in enumerate(stages)]
    for known in subjects[::3]:
        known["plates"]["distal_femur"]["found"]["openness"] = 1.0
    numbers, found = drawing_numbers(subjects, Calibration()), drawing_intervals(subjects, Calibration())
    assert set(found) == {
        *("dice_distal_femur_physis", "dice_proximal_tibia_physis", "dice_distal_femur_bone"),
        *("dice_thick_open_plates", "stage_kappa_dedouit"),
    }
    for name, each in found.items():
        assert each.value == pytest.approx(numbers[name])
        assert each.low < each.value < each.high
    # Overlaps of both plates are alike, so that two plates are worth no more than one: SD of the mean of 40.
    spread = np.std([(60 + place) / 100 for place in range(40)]) / np.sqrt(40)
    assert found["dice_thick_open_plates"].standard_error == pytest.approx(spread, rel=0.1)
