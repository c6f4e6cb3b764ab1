"""How well a segmenter draws."""

from __future__ import annotations

from typing import Any

import pytest

from kneeage.core.manifest import Calibration
from kneeage.study.drawn_plates import drawing_numbers


def subject(age_years: float, thickness_mm: float, overlap: int, stage: str = "III") -> dict[str, Any]:
    report = {"found": True, "openness": 0.5, "thickness_mm": thickness_mm, "area_mm2": 1.0, "volume_mm3": 1.0}
    plate = {"true": report, "found": report, "scar_share": 0.0, "surface_mm": 0.2}
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
