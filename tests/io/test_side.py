from __future__ import annotations

import pytest

from kneeage.core.anatomy import Side
from kneeage.io.side import judge_side, side_in_text


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("MR KNEE LEFT", Side.LEFT),
        ("t1_tse_cor_right", Side.RIGHT),
        ("L Knee COR T1", Side.LEFT),
        ("Knee_R_cor", Side.RIGHT),
        ("RT KNEE", Side.RIGHT),
        ("左膝关节 冠状位", Side.LEFT),
        ("右膝MRI", Side.RIGHT),
        ("left膝", Side.LEFT),
        ("IRM du genou gauche", Side.LEFT),
        ("Genou droit", Side.RIGHT),
        ("genou G", Side.LEFT),
        ("GENOU DT", Side.RIGHT),
        ("Knie links", Side.LEFT),
        ("MRT rechtes Kniegelenk", Side.RIGHT),
        ("Knie re. nativ", Side.RIGHT),
        ("Li Knie", Side.LEFT),
        ("both knees", Side.UNKNOWN),
        ("双膝关节", Side.UNKNOWN),
        ("Knie beidseits", Side.UNKNOWN),
        ("left and right", Side.UNKNOWN),
        ("T1W_aTSE SENSE", None),
        ("cor R>L phase", None),
        ("COR T1 KNEE R>L", None),
        ("膝R>L", None),
        ("T1 KNEE_L/R", None),
        ("left knee R>>L", Side.LEFT),
        ("ACL knee", None),
        ("knee repeat", None),
        ("copyright", None),
        ("Dr. Knee", None),
        ("", None),
    ],
)
def test_words(text: str, side: Side | None) -> None:
    assert side_in_text(text) is side


@pytest.mark.parametrize("code", ["L", "7771000", "G-A101"])
def test_codes(code: str) -> None:
    assert judge_side({"Laterality": code}, {}) == (Side.LEFT, "Laterality")


def test_unpaired_says_nothing() -> None:
    assert judge_side({"FrameLaterality": "U"}, {"protocol name": "cor"}) == (Side.UNKNOWN, "not stated")


def test_agreement_names_all_sources() -> None:
    side = judge_side({"Laterality": "R"}, {"series description": "knee right"})
    assert side == (Side.RIGHT, "Laterality, series description")


def test_a_conflict_is_unknown_and_said() -> None:
    side, source = judge_side({"Laterality": "R"}, {"series description": "Knie links"})
    assert side is Side.UNKNOWN
    assert source == "conflict: Laterality says right, series description says left"


def test_both_is_unknown_and_said() -> None:
    assert judge_side({"Laterality": "B"}, {}) == (Side.UNKNOWN, "Laterality says both sides")


def test_a_study_of_both_knees_has_series_of_one() -> None:
    texts = {"series description": "left knee", "study description": "MR both knees"}
    assert judge_side({}, texts) == (Side.LEFT, "series description")


def test_a_study_of_the_other_knee_is_a_conflict() -> None:
    texts = {"series description": "left knee", "study description": "MR right knee"}
    assert judge_side({}, texts)[0] is Side.UNKNOWN
