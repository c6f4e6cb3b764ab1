"""Reasons for giving no age."""

from __future__ import annotations

import dataclasses

import pytest

from kneeage.core.anatomy import Label, Plane, Sex, Side
from kneeage.core.manifest import GrowthLimit, Novelty, QualityLimits
from kneeage.core.result import NoveltyReport, PlateReport, ReasonCode
from kneeage.core.volume import Volume
from kneeage.infer.abstain import (
    grid_reasons,
    novelty_reason,
    plane_reason,
    plates_reason,
    quality_reasons,
    sequence_reason,
    sex_reason,
    side_reason,
    site_reasons,
)
from kneeage.infer.fibula import FibulaEvidence
from kneeage.infer.quality import ImageQuality
from kneeage.infer.region import find_sites
from kneeage.infer.stages import skeletal_stages
from kneeage.report.words import words
from tests.infer.knees import block_knee, edited, manifest, without

MANIFEST = manifest()
ALL = slice(None)


def codes(knee: Volume) -> list[ReasonCode]:
    return [reason.code for reason in site_reasons(find_sites(knee), MANIFEST.age)]


@pytest.mark.parametrize("found", [None, Plane.CORONAL])
def test_the_plane_fits(found: Plane | None) -> None:
    assert plane_reason(found, MANIFEST) is None


def test_the_plane_does_not_fit() -> None:
    reason = plane_reason(Plane.SAGITTAL, MANIFEST)
    assert reason is not None
    assert reason.code is ReasonCode.WRONG_PLANE
    assert reason.message == "the slices are sagittal; the bundle blocks answers on coronal slices"


@pytest.mark.parametrize("sex", [None, Sex.MALE, Sex.FEMALE])
def test_a_bundle_for_both_sexes_covers_all(sex: Sex | None) -> None:
    assert sex_reason(sex, MANIFEST) is None


def test_a_bundle_for_one_sex_covers_that_sex_alone() -> None:
    only = manifest(sexes=[Sex.MALE])
    assert sex_reason(Sex.MALE, only) is None
    for sex, said in ((Sex.FEMALE, "the subject is female"), (None, "the sex was not given")):
        reason = sex_reason(sex, only)
        assert reason is not None
        assert reason.code is ReasonCode.SEX_NOT_COVERED
        assert reason.message.startswith(f"{said}; the bundle blocks was trained on male subjects only")


@pytest.mark.parametrize("open_columns", [36, 0])
def test_a_whole_knee_has_no_reason(open_columns: int) -> None:
    assert codes(block_knee(open_columns=open_columns)) == []


def test_both_bones_missing_are_two_reasons() -> None:
    assert codes(without(block_knee(), *range(1, 7))) == [ReasonCode.BONE_NOT_SEEN] * 2


def test_a_site_missing() -> None:
    knee = without(block_knee(), Label.PROXIMAL_TIBIA_EPIPHYSIS)
    reasons = site_reasons(find_sites(knee), MANIFEST.age)
    assert [reason.code for reason in reasons] == [ReasonCode.PLATE_SITE_NOT_SEEN]
    assert "the proximal tibia was seen, but not the site" in reasons[0].message


def test_too_few_common_slices() -> None:
    knee = edited(block_knee(), (ALL, slice(0, 45), slice(0, 4)), 0)
    knee = edited(knee, (ALL, slice(52, 96), slice(6, 9)), 0)
    reasons = site_reasons(find_sites(knee), MANIFEST.age)
    assert [reason.code for reason in reasons] == [ReasonCode.TOO_FEW_SLICES]
    assert reasons[0].message == "2 slices show both growth plates' sites; at least 3 are needed"


@pytest.mark.parametrize(
    ("weighting", "fat_suppressed", "said"),
    [
        ("T1", False, None),
        ("T1", None, None),
        (None, None, None),
        (None, False, None),
        ("PD", False, "the series is PD; the bundle blocks was trained on T1, PD fat-suppressed only"),
        ("PD", True, None),
        ("T1", True, "the series is T1 fat-suppressed;"),
        (None, True, "the series is unknown weighting fat-suppressed;"),
    ],
)
def test_the_sequence(weighting: str | None, fat_suppressed: bool | None, said: str | None) -> None:
    covers = manifest(sequences=["T1", "PD fat-suppressed"])
    reason = sequence_reason(weighting, fat_suppressed, covers)
    assert (reason is None) is (said is None)
    if reason is not None and said is not None:
        assert reason.code is ReasonCode.WRONG_SEQUENCE
        assert reason.message.startswith(said)


def test_without_sequences_none_is_judged() -> None:
    assert sequence_reason("T2", True, MANIFEST) is None


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"field_of_view_mm": (60, 100)}, []),
        ({"field_of_view_mm": (64.2, 95.9)}, []),
        ({"field_of_view_mm": (70, 100)}, ["the width is 64 mm"]),
        ({"field_of_view_mm": (60, 90)}, ["the height is 96 mm"]),
        ({"pixel_mm": (0.2, 0.7)}, ["the pixel is 1 mm"]),
        ({"slice_spacing_mm": (0.7, 3.0)}, ["the distance of slices is 4 mm"]),
    ],
)
@pytest.mark.parametrize("codes", ["LIP", "RAS"])
def test_the_grid(limits: dict[str, object], said: list[str], codes: str) -> None:
    reasons = grid_reasons(block_knee().reoriented(codes), manifest(**limits))
    assert [reason.message.split(";")[0] for reason in reasons] == said
    assert {reason.code for reason in reasons} <= {ReasonCode.FIELD_OF_VIEW}


LIMITS = QualityLimits(
    highest={"ghosts_in_air": 0.2, "ripple_rows": 0.03, "void_share": 0.01},
    lowest={"sharpness": 0.5},
    percentile=99.8,
    subjects=500,
)
GOOD = ImageQuality(ghosts_in_air=0.1, ripple_rows=0.02, ripple_columns=9.0, sharpness=0.6, void_share=0.0)


@pytest.mark.parametrize(
    ("measure", "value", "code"),
    [
        ("ghosts_in_air", 0.3, ReasonCode.MOTION),
        ("ripple_rows", 0.04, ReasonCode.MOTION),
        ("void_share", 0.02, ReasonCode.METAL),
        ("sharpness", 0.4, ReasonCode.BLURRED),
    ],
)
def test_each_fault_has_its_reason(measure: str, value: float, code: ReasonCode) -> None:
    poor = dataclasses.replace(GOOD, **{measure: value})
    (reason,) = quality_reasons(poor, manifest(quality_limits=LIMITS))
    assert reason.code is code
    assert "99.8 % of clean images stay" in reason.message
    assert f"{value:.3g}" in reason.message


def test_clean_images_have_no_reason_and_without_limits_none_is_judged() -> None:
    assert quality_reasons(GOOD, manifest(quality_limits=LIMITS)) == []
    assert quality_reasons(dataclasses.replace(GOOD, sharpness=0.0), MANIFEST) == []


@pytest.mark.parametrize(("distance", "strange"), [(4.9, False), (5.1, True)])
def test_an_image_unlike_the_training_images(distance: float, strange: bool) -> None:
    one = {"mean": [0.0], "basis": [[1.0]], "precision": [[1.0]], "quantiles": [0.0, 6.0]}
    bundle = manifest(novelty=Novelty(**one, limit=5.0, percentile=99.5))
    reason = novelty_reason(NoveltyReport(distance=distance, percentile=50, limit=5.0), bundle)
    assert (reason is not None) is strange
    if reason is not None:
        assert reason.code is ReasonCode.UNLIKE_TRAINING
        assert "(distance 5.1; 99.5 % of such images lie within 5)" in reason.message
    assert novelty_reason(None, bundle) is None


def plate(openness: float, thickness_mm: float | None) -> PlateReport:
    stages = skeletal_stages(openness, thickness_mm, 0.0)
    return PlateReport(found=True, openness=openness, thickness_mm=thickness_mm, stages=stages)


@pytest.mark.parametrize(
    ("femur", "tibia", "said"),
    [
        (plate(1, 2.0), plate(1, 2.1), None),
        (plate(1, 3.5), plate(1, 1.0), "thickness in mm by +2.5"),
        (plate(1, 2.0), plate(0.5, 0.2), None),
        (plate(0.9, 1.0), plate(0, None), "openness by +0.9"),
        (plate(0, None), plate(1, 2.5), "stages of Dedouit by +4"),
        (PlateReport(found=False), plate(1, 2.0), None),
    ],
)
def test_plates_that_growth_does_not_allow_together(femur: PlateReport, tibia: PlateReport, said: str | None) -> None:
    bounds = {"openness": (-1, 0.6), "thickness_mm": (-1.6, 1.6), "stage": (-2, 2)}
    limits = [
        GrowthLimit(measure=name, low=low, high=high, quantile=0.998, subjects=9)
        for name, (low, high) in bounds.items()
    ]
    reason = plates_reason({"distal_femur": femur, "proximal_tibia": tibia}, manifest(growth_limits=limits))
    assert (reason is None) is (said is None)
    if reason is not None and said is not None:
        assert reason.code is ReasonCode.PLATES_DISAGREE
        assert f"differ in {said}; 99.8 % of reference knees" in reason.message


STRONG = FibulaEvidence(Side.RIGHT, 30.0, 4000.0)


@pytest.mark.parametrize(
    ("stated", "seen", "contradicted"),
    [
        (Side.LEFT, STRONG, True),
        (Side.RIGHT, STRONG, False),
        (Side.UNKNOWN, STRONG, False),
        (Side.LEFT, FibulaEvidence(Side.RIGHT, 12.0, 4000.0), False),
        (Side.LEFT, FibulaEvidence(Side.RIGHT, 30.0, 400.0), False),
        (Side.LEFT, FibulaEvidence(Side.UNKNOWN, 0.0, 0.0), False),
    ],
)
def test_only_a_clear_fibula_contradicts_a_header(stated: Side, seen: FibulaEvidence, contradicted: bool) -> None:
    reason = side_reason(stated, seen)
    assert (reason is not None) is contradicted
    if reason is not None:
        assert reason.code is ReasonCode.SIDE_CONTRADICTION
        assert reason.message == "the header says left, but the fibula lies 30 mm to the side where a right knee has it"


def test_every_reason_is_known_in_chinese() -> None:
    covers = manifest(sequences=["T1"], pixel_mm=(0.2, 0.7), quality_limits=LIMITS)
    poor = ImageQuality(ghosts_in_air=1, ripple_rows=1, ripple_columns=1, sharpness=0, void_share=1)
    reasons = [
        sequence_reason("PD", True, covers),
        side_reason(Side.LEFT, STRONG),
        *grid_reasons(block_knee(), covers),
        *quality_reasons(poor, covers),
    ]
    assert len(reasons) == 6
    for reason in reasons:
        assert reason is not None
        assert "\u4e00" <= words("zh").phrase(reason.message)[0] <= "\u9fff"
