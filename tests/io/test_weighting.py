from __future__ import annotations

from typing import Any

import pytest

from kneeage.io.instance import Acquisition
from kneeage.io.weighting import judge_fat_suppression, judge_weighting


def _made(sequence: str, tr: float | None, te: float | None, **more: Any) -> Acquisition:
    return Acquisition(sequence=tuple(sequence.split("/")), repetition_time_ms=tr, echo_time_ms=te, **more)


@pytest.mark.parametrize(
    ("acquisition", "weighting"),
    [
        (_made("SE", 581, 20), "T1"),
        (_made("SE", 1000, 12), "T1"),
        (_made("", 600, 15), "T1"),
        (_made("SE", 600, 60), None),
        (_made("SE", 1350, 20), None),
        (_made("SE", 2450, 6.3), "PD"),
        (_made("SE", 3000, 45), "PD"),
        (_made("SE", 3223, 100), "T2"),
        (_made("SE", None, 15), None),
        (_made("SE", 600, None), None),
        (_made("EP", 3000, 30), "T2"),
        (_made("SE/IR", 4000, 30, inversion_time_ms=180), "T2"),
        (_made("SE/IR", 2500, 12, inversion_time_ms=850), "T1"),
        (_made("SE/IR", 9000, 100, inversion_time_ms=2500), "T2"),
        (_made("GR", 10, 4, flip_angle_degrees=15), "T1"),
        (_made("GR", 10, 4, flip_angle_degrees=4), "PD"),
        (_made("GR", 500, 25, flip_angle_degrees=30), "T2"),
        (_made("GR", 10, 4), None),
        (_made("GR", 18, 6, flip_angle_degrees=25, variant=("SS",)), "T2"),
        (_made("GR", 8, 3, flip_angle_degrees=20, variant=("SS", "SP")), "T1"),
        (_made("GRADIENT", None, None, contrast="T1"), "T1"),
        (_made("SPIN", 600, 15, contrast="T1"), "T1"),
        (_made("SPIN", 600, 15, contrast="T2"), None),
        (_made("SPIN", 600, 15, contrast="UNKNOWN"), "T1"),
    ],
)
def test_weighting(acquisition: Acquisition, weighting: str | None) -> None:
    assert judge_weighting(acquisition)[0] == weighting


def test_the_reason_holds_the_numbers() -> None:
    assert judge_weighting(_made("SE", 581, 20))[1] == "spin echo, TR 581 ms, TE 20 ms"
    assert "but the acquisition contrast is T2" in judge_weighting(_made("SPIN", 600, 15, contrast="T2"))[1]


@pytest.mark.parametrize(
    ("acquisition", "texts", "expected"),
    [
        (_made("SE", 600, 15), (), None),
        (_made("SE", 600, 15, options=()), (), False),
        (_made("SE", 600, 15, options=("PFP",)), ("t1_tse_cor",), False),
        (_made("SE", 600, 15, options=("FS",)), (), True),
        (_made("SE", 600, 15, options=("FAST_GEMS",)), (), False),
        (_made("SE", 600, 15, suppression=("FAT",)), (), True),
        (_made("SE", 600, 15, suppression=("NONE",)), (), False),
        (_made("SE", 600, 15, suppression=("NONE", "WATER")), (), True),
        (_made("SE", 600, 15), ("t1_tse_fs_cor",), True),
        (_made("SE", 600, 15), ("T1 SPAIR",), True),
        (_made("SE", 600, 15), ("T1 压脂",), True),
        (_made("SE", 600, 15), ("offset",), None),
        (_made("SE", 600, 15, image_type=("DERIVED", "PRIMARY", "WATER")), (), True),
        (_made("SE/IR", 4000, 30, inversion_time_ms=180), (), True),
    ],
)
def test_fat_suppression(acquisition: Acquisition, texts: tuple[str, ...], expected: bool | None) -> None:
    assert judge_fat_suppression(acquisition, texts) is expected


@pytest.mark.parametrize(("repetition_ms", "echo_ms"), [(-5.0, 15.0), (0.0, 15.0), (600.0, -1.0)])
def test_impossible_times_name_no_weighting(repetition_ms: float, echo_ms: float) -> None:
    made = Acquisition(sequence=("SE",), repetition_time_ms=repetition_ms, echo_time_ms=echo_ms)
    assert judge_weighting(made) == (None, "TR or TE is impossible")
