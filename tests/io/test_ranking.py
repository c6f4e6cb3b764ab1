from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kneeage.core.anatomy import Plane, Side
from kneeage.core.errors import GeometryError
from kneeage.io.instance import Acquisition
from kneeage.io.nifti import UNKNOWN_NIFTI
from kneeage.io.ranking import is_tie, judge, rank
from kneeage.io.series import SeriesHeader

GOOD = SeriesHeader(
    source_format="dicom",
    series_uid="1",
    study_uid="1",
    description="cor t1",
    plane=Plane.CORONAL,
    weighting="T1",
    weighting_reason="spin echo",
    fat_suppressed=False,
    side=Side.UNKNOWN,
    side_source="not stated",
    shape=(512, 512, 24),
    spacing_mm=(0.3, 0.3, 3.8),
    field_strength_tesla=3.0,
    manufacturer="Maker",
    virtual=False,
    body_parts=("KNEE",),
)
NIFTI = replace(UNKNOWN_NIFTI, plane=Plane.CORONAL, shape=(512, 512, 24), spacing_mm=(0.3, 0.3, 3.8))


def _type(*types: str) -> dict[str, Any]:
    return {"acquisition": Acquisition(image_type=types)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"body_parts": ("HEAD",)}, "body part HEAD, not a knee"),
        ({"weighting": "T2"}, "T2-weighted, not T1"),
        ({"weighting": "PD"}, "PD-weighted, not T1"),
        ({"weighting": None}, "weighting unclear"),
        ({"plane": Plane.AXIAL}, "axial: the slices run along the growth plates"),
        ({"plane": None}, "plane not stated"),
        ({"fat_suppressed": True}, "fat suppressed"),
        ({"texts": {"series description": "survey"}}, "localizer"),
        ({"texts": {"protocol name": "knee_localizer"}}, "localizer"),
        ({"texts": {"protocol name": "三平面定位像"}}, "localizer"),
        ({"sibling_stacks": 3, "shape": (256, 256, 5)}, "localizer"),
        (_type("ORIGINAL", "PRIMARY", "LOCALIZER"), "localizer"),
        ({"label_map": True}, "label map, not grey values"),
        (_type("DERIVED", "PRIMARY", "T2 MAP"), "derived image"),
        (_type("ORIGINAL", "PRIMARY", "P"), "derived image"),
    ],
)
def test_unsuitable_series_say_why(change: dict[str, Any], reason: str) -> None:
    found = judge("k", replace(GOOD, **change), None)
    assert not found.suitable
    assert any(reason in said for said in found.reasons)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"plane": Plane.SAGITTAL}, "sagittal"),
        ({"body_parts": ()}, "body part not stated"),
        ({"body_parts": ("EXTREMITY",)}, "body part not stated"),
        ({"body_parts": ("HEAD",), "texts": {"protocol name": "Knie cor"}}, "called a knee, but the body part is HEAD"),
        ({"fat_suppressed": None}, "coronal"),
        ({"shape": (512, 512, 8)}, "8 slices only"),
        ({"shape": (512, 512, 1)}, "1 slice only"),
        (_type("DERIVED", "PRIMARY", "M"), "derived image"),
        ({"acquisition": Acquisition(contrast_agent=True)}, "after a contrast agent"),
    ],
)
def test_weaker_series_are_suitable_but_score_less(change: dict[str, Any], reason: str) -> None:
    found = judge("k", replace(GOOD, **change), None)
    assert found.suitable
    assert found.score < judge("k", GOOD, None).score
    assert reason in found.reasons


@pytest.mark.parametrize("word", ["膝关节", "genou gauche", "Knie", "KNEE"])
def test_a_knee_may_be_named_by_words(word: str) -> None:
    assert "knee" in judge("k", replace(GOOD, body_parts=(), texts={"study description": word}), None).reasons


def test_an_isotropic_volume_can_be_cut_in_any_plane() -> None:
    header = replace(GOOD, plane=Plane.AXIAL, shape=(256, 256, 160), spacing_mm=(0.6, 0.6, 0.7))
    assert judge("k", header, None).suitable


def test_nifti_is_suitable_below_a_known_t1() -> None:
    found = judge("k", NIFTI, None)
    assert found.suitable
    assert found.score < judge("k", replace(GOOD, plane=Plane.SAGITTAL), None).score


def test_a_problem_rules_a_series_out() -> None:
    found = judge("k", GOOD, GeometryError("a slice is missing"))
    assert not found.suitable
    assert found.reasons[0] == "cannot be read: a slice is missing"


def test_ranks_and_ties() -> None:
    good, same = judge("b", GOOD, None), judge("a", GOOD, None)
    weaker, bad = judge("c", replace(GOOD, plane=Plane.SAGITTAL), None), judge("d", replace(GOOD, weighting="T2"), None)
    ranked = rank([bad, weaker, good, same])
    assert [(one.key, one.rank) for one in ranked] == [("a", 1), ("b", 1), ("c", 3), ("d", None)]
    assert is_tie(ranked)
    assert not is_tie(rank([weaker, good, bad]))
    assert rank([]) == []
