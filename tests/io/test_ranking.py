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
from kneeage.io.wanted import T1_KNEE, Wanted

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


CORONAL = Wanted(Plane.CORONAL, ("T1", "PD", "T2"))
DARK_FAT = Wanted(Plane.CORONAL, ("T1", "PD fat-suppressed"))


@pytest.mark.parametrize(
    ("change", "wanted", "reason"),
    [
        ({"plane": Plane.SAGITTAL}, CORONAL, "sagittal; the bundle answers on coronal slices"),
        ({"plane": Plane.AXIAL}, CORONAL, "axial; the bundle answers on coronal slices"),
        ({"weighting": "T2*"}, CORONAL, "T2*-weighted, not T1/PD/T2 (spin echo)"),
        ({"fat_suppressed": True}, CORONAL, "fat suppressed: the marrow is dark"),
        ({"weighting": "PD"}, DARK_FAT, "no fat suppression stated, and the bundle needs it"),
        ({"fat_suppressed": True}, DARK_FAT, "fat suppressed: the marrow is dark"),
    ],
)
def test_what_a_bundle_does_not_cover_is_unsuitable(change: dict[str, Any], wanted: Wanted, reason: str) -> None:
    found = judge("k", replace(GOOD, **change), None, wanted)
    assert not found.suitable
    assert reason in found.reasons


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"weighting": "PD"}, CORONAL),
        ({"weighting": "T2", "fat_suppressed": None}, CORONAL),
        ({"weighting": "PD", "fat_suppressed": True}, DARK_FAT),
    ],
)
def test_what_a_bundle_covers_comes_after_a_t1(change: dict[str, Any], wanted: Wanted) -> None:
    found = judge("k", replace(GOOD, **change), None, wanted)
    assert found.suitable
    assert found.score < judge("k", GOOD, None, wanted).score


@pytest.mark.parametrize(
    "weaker", [{"shape": (512, 512, 1)}, _type("DERIVED", "PRIMARY", "M")], ids=["one slice", "derived"]
)
def test_a_whole_pd_series_comes_before_a_poor_t1(weaker: dict[str, Any]) -> None:
    whole, poor = replace(GOOD, weighting="PD"), replace(GOOD, **weaker)
    assert judge("a", whole, None, CORONAL).score > judge("b", poor, None, CORONAL).score


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (T1_KNEE, "a coronal or sagittal knee, T1-weighted, without fat suppression"),
        (CORONAL, "a coronal knee, T1-, PD- or T2-weighted, without fat suppression"),
        (Wanted(Plane.AXIAL, ("PD fat-suppressed",)), "an axial knee, PD-weighted fat-suppressed"),
        (DARK_FAT, "a coronal knee, T1-weighted or PD-weighted fat-suppressed"),
    ],
)
def test_what_is_needed_is_said_in_words(wanted: Wanted, words: str) -> None:
    assert wanted.words == words


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
