"""The whole route on knees of blocks, with networks that see them exactly."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from kneeage.core.anatomy import Label, Plane, Sex, Side
from kneeage.core.errors import (
    AmbiguousSeriesError,
    BundleError,
    GeometryError,
    InputRefusedError,
    OutputError,
    UndecodableError,
    UsageError,
    WrongPlaneError,
)
from kneeage.core.manifest import BundleManifest, Calibration, Conformal, ConformalGroup
from kneeage.core.result import Outcome, ReasonCode, Result, ThresholdDecision
from kneeage.core.volume import Volume
from kneeage.decide.policy import VIRTUAL_REASON
from kneeage.decide.question import Question
from kneeage.io.bundle import Bundle, load_bundle, write_bundle
from kneeage.io.nifti import read_nifti, write_image
from kneeage.io.series import LoadedSeries
from kneeage.io.write import DicomHeader, write_dicom_series
from kneeage.pipeline import (
    FAT_WARNING,
    SEX_WARNING,
    VIRTUAL_WARNING,
    Examination,
    Examiner,
    estimate,
    refused,
    segment_file,
    write_documents,
)
from kneeage.report.words import words
from tests.infer.knees import (
    BONE_COLUMNS,
    age_model,
    as_image,
    block_knee,
    edited,
    manifest,
    pooled_age_model,
    segment_model,
    without,
)

ALL = slice(None)


def make_bundle(folder: Path, **changes: object) -> Bundle:
    made: BundleManifest = manifest(**changes)
    models = {
        "segment.onnx": segment_model(),
        "age.onnx": age_model(made.age_edges_years, oldest=22, years_per_open=80),
    }
    write_bundle(folder, made, models, "# Blocks\n")
    return load_bundle(folder)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "blocks")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> LoadedSeries:
    """A knee that went through a file."""
    path = tmp_path_factory.mktemp("images") / "knee.nii.gz"
    write_image(path, as_image(block_knee()))
    return read_nifti(path)


def series_of(template: LoadedSeries, labels: Volume, **header: object) -> LoadedSeries:
    """A series whose grey values are labels."""
    changed = dataclasses.replace(template.header, **header)  # type: ignore[arg-type]
    return dataclasses.replace(template, volume=as_image(labels), header=changed)


def examined(
    bundle: Bundle, template: LoadedSeries, labels: Volume, *, sex: str | None = "male", **header: object
) -> Examination:
    return Examiner(bundle, threads=1).examine(series_of(template, labels, **header), Question(sex=sex))


def reason_codes(result: Result) -> list[ReasonCode]:
    return [reason.code for reason in result.reasons]


# Estimated.


def test_an_open_knee(bundle: Bundle, template: LoadedSeries) -> None:
    found = examined(bundle, template, block_knee()).result
    assert found.outcome is Outcome.ESTIMATED
    assert found.reasons == []
    assert {name: plate.openness for name, plate in found.plates.items()} == {"distal_femur": 1, "proximal_tibia": 1}
    assert found.plates["distal_femur"].thickness_mm == pytest.approx(2)
    # 36 columns x 4 rows of open plate in a region of 48 x 48: 23 - 80 / 16 = 18 years.
    assert found.estimated_age_years in (17.5, 18.5)
    assert found.minimum_age_years is None


def test_a_closed_knee_is_a_finding_and_gets_an_estimate(bundle: Bundle, template: LoadedSeries) -> None:
    found = examined(bundle, template, block_knee(open_columns=0)).result
    assert found.outcome is Outcome.ESTIMATED
    assert all(plate.found and plate.openness == 0 and plate.thickness_mm is None for plate in found.plates.values())
    assert found.estimated_age_years in (22.5, 23.5)


def test_the_whole_result_is_filled(bundle: Bundle, template: LoadedSeries) -> None:
    found = examined(bundle, template, block_knee()).result
    assert found.series is not None
    assert found.series.plane is Plane.CORONAL
    assert found.series.pixel_sha256 == template.pixel_sha256
    assert found.quality is not None
    assert (found.quality.slices, found.quality.slices_over_femoral_site) == (9, 9)
    assert found.bundle is not None
    assert found.bundle.sha256 == bundle.sha256
    assert found.software is not None
    assert found.subject.sex is Sex.MALE
    assert [each.age_years for each in found.thresholds] == [12, 14, 16, 18]
    assert sum(each.probability for each in found.age_distribution) == pytest.approx(1)
    assert Result.model_validate_json(found.model_dump_json()) == found


def test_sex_moves_the_answer_and_an_unknown_sex_widens_it(bundle: Bundle, template: LoadedSeries) -> None:
    male, female, unknown = (examined(bundle, template, block_knee(), sex=sex) for sex in ("male", "female", None))
    ages = [each.result.estimated_age_years or 0 for each in (female, male)]
    assert ages[1] - ages[0] == pytest.approx(1)
    assert SEX_WARNING in unknown.result.warnings
    assert SEX_WARNING not in male.result.warnings


def test_the_labels_lie_on_the_source_grid(bundle: Bundle, template: LoadedSeries) -> None:
    knee = block_knee().reoriented("RAS")
    found = examined(bundle, template, knee)
    assert found.labels is not None
    np.testing.assert_array_equal(found.labels.array, knee.array)
    np.testing.assert_array_equal(found.labels.affine, knee.affine)
    np.testing.assert_array_equal(found.image.array, knee.array)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SRA", "IAL"])
def test_the_orientation_of_the_grid_changes_no_answer(bundle: Bundle, template: LoadedSeries, codes: str) -> None:
    straight, turned = (examined(bundle, template, knee) for knee in (block_knee(), block_knee().reoriented(codes)))
    assert straight.result.age_distribution == turned.result.age_distribution
    assert straight.result.plates == turned.result.plates


def test_one_examiner_answers_twice_alike(bundle: Bundle, template: LoadedSeries) -> None:
    examiner = Examiner(bundle, threads=1)
    first, second = (examiner.examine(template, Question(sex="male")).result for _ in range(2))
    assert first.age_distribution == second.age_distribution


# Warnings and decisions.


def test_a_virtual_bundle_warns_and_decides_nothing_on_a_real_image(bundle: Bundle, template: LoadedSeries) -> None:
    found = examined(bundle, template, block_knee(), virtual=False).result
    assert found.warnings[0] == VIRTUAL_WARNING
    assert {each.decision for each in found.thresholds} == {ThresholdDecision.UNDETERMINED}
    assert {each.decision_reason for each in found.thresholds} == {VIRTUAL_REASON}


def test_a_virtual_bundle_warns_and_decides_on_a_virtual_image(bundle: Bundle, template: LoadedSeries) -> None:
    found = examined(bundle, template, block_knee(), virtual=True).result
    assert found.warnings[0] == VIRTUAL_WARNING
    assert found.thresholds[0].decision is ThresholdDecision.AT_LEAST


def test_a_bundle_from_real_subjects_does_not_carry_the_warning(tmp_path: Path, template: LoadedSeries) -> None:
    real = make_bundle(tmp_path / "real", population="Han, Jiaodong peninsula")
    found = examined(real, template, block_knee(open_columns=0)).result
    assert VIRTUAL_WARNING not in found.warnings
    assert found.thresholds[-1].decision is ThresholdDecision.AT_LEAST


@pytest.mark.parametrize(
    ("stated", "contradicted"), [(Side.LEFT, True), (Side.RIGHT, False), (Side.UNKNOWN, False)], ids=str
)
def test_the_fibula_confirms_or_contradicts_the_side(
    bundle: Bundle, template: LoadedSeries, stated: Side, contradicted: bool
) -> None:
    found = examined(bundle, template, block_knee(), side=stated).result
    assert found.quality is not None
    assert found.quality.side_from_fibula is Side.RIGHT
    assert any("the header says left, but the fibula lies as in a right knee" in text for text in found.warnings) is (
        contradicted
    )


def test_a_left_knee_is_confirmed_too(bundle: Bundle, template: LoadedSeries) -> None:
    right = block_knee()
    left = Volume(right.array, np.diag([-1.0, 1, 1, 1]) @ right.affine)
    mirrored, straight = examined(bundle, template, left, side=Side.LEFT), examined(bundle, template, right)
    assert mirrored.result.quality is not None
    assert mirrored.result.quality.side_from_fibula is Side.LEFT
    assert not any("fibula" in text for text in mirrored.result.warnings)
    assert mirrored.result.age_distribution == straight.result.age_distribution


def test_a_left_knee_needs_no_stated_side(bundle: Bundle, template: LoadedSeries) -> None:
    knee = block_knee(open_columns=12)
    left = Volume(np.flip(knee.array, 1), knee.affine)
    series = series_of(template, left, side=Side.UNKNOWN)
    prepared, found = Examiner(bundle, threads=1)._labelled(series)
    assert prepared.volume.orientation == found.labels.orientation == "RIP"
    stated, untold = (examined(bundle, template, left, side=side).result for side in (Side.LEFT, Side.UNKNOWN))
    assert stated.age_distribution == untold.age_distribution
    assert stated.plates == untold.plates


def test_no_fibula_says_nothing(bundle: Bundle, template: LoadedSeries) -> None:
    found = examined(bundle, template, without(block_knee(), Label.PROXIMAL_FIBULA), side=Side.LEFT).result
    assert found.quality is not None
    assert found.quality.side_from_fibula is Side.UNKNOWN
    assert not any("fibula" in text for text in found.warnings)


def test_another_contrast_is_warned_about(bundle: Bundle, template: LoadedSeries) -> None:
    found = examined(bundle, template, block_knee(), weighting="T2", fat_suppressed=True).result
    assert any("looks T2-weighted" in text for text in found.warnings)
    assert FAT_WARNING in found.warnings


def test_an_open_plate_drawn_where_none_is_measured_is_warned_about(bundle: Bundle, template: LoadedSeries) -> None:
    closed = block_knee(open_columns=0)
    condyle = edited(closed, (BONE_COLUMNS, slice(4, 31), 0), Label.BACKGROUND)
    stray = edited(condyle, (BONE_COLUMNS, slice(29, 31), 0), Label.DISTAL_FEMUR_PHYSIS)
    said, unsaid = (examined(bundle, template, labels).result.warnings for labels in (stray, closed))
    assert any("open plate of the distal femur is drawn outside its site" in text for text in said)
    assert not any("outside its site" in text for text in unsaid)


def test_a_prior_beyond_the_bundle_is_cut_and_said(bundle: Bundle, template: LoadedSeries) -> None:
    question = Question(sex="male", prior="uniform:0-20")
    found = Examiner(bundle, threads=1).examine(template, question).result
    assert found.prior is not None
    assert (found.prior.low_years, found.prior.high_years) == (8, 20)
    assert any("covers 0 to 20 years" in text for text in found.warnings)


# Abstained.


@pytest.mark.parametrize(
    ("knee", "codes"),
    [
        (without(block_knee(), 1, 3, 4), [ReasonCode.BONE_NOT_SEEN]),
        (without(block_knee(), *range(1, 12)), [ReasonCode.BONE_NOT_SEEN] * 2),
        (without(block_knee(), Label.DISTAL_FEMUR_EPIPHYSIS), [ReasonCode.PLATE_SITE_NOT_SEEN]),
        (edited(block_knee(), (ALL, slice(0, 45), slice(0, 7)), 0), [ReasonCode.TOO_FEW_SLICES]),
    ],
    ids=["bone", "no bone", "site", "slices"],
)
def test_it_abstains_where_too_little_is_seen(
    bundle: Bundle, template: LoadedSeries, knee: Volume, codes: list[ReasonCode]
) -> None:
    found = examined(bundle, template, knee)
    assert found.result.outcome is Outcome.ABSTAINED
    assert reason_codes(found.result) == codes
    assert found.result.estimated_age_years is None
    assert found.result.age_distribution == []
    assert found.result.thresholds == []
    assert found.result.warnings[0] == VIRTUAL_WARNING
    assert found.labels is not None


@pytest.mark.parametrize("plane", [Plane.SAGITTAL, Plane.AXIAL])
def test_it_abstains_on_another_plane(tmp_path: Path, template: LoadedSeries, plane: Plane) -> None:
    other = make_bundle(tmp_path / "other", plane=plane)
    found = examined(other, template, block_knee())
    assert found.result.outcome is Outcome.ABSTAINED
    assert reason_codes(found.result) == [ReasonCode.WRONG_PLANE]
    assert found.labels is None
    assert found.result.quality is None


@pytest.mark.parametrize("sex", ["female", None])
def test_it_abstains_on_a_sex_that_the_bundle_does_not_cover(
    tmp_path: Path, template: LoadedSeries, sex: str | None
) -> None:
    males = make_bundle(tmp_path / "males", sexes=[Sex.MALE])
    found = examined(males, template, block_knee(), sex=sex)
    assert reason_codes(found.result) == [ReasonCode.SEX_NOT_COVERED]
    assert found.result.plates["distal_femur"].openness == 1
    assert found.result.estimated_age_years is None


def test_a_near_isotropic_volume_fits_any_plane(bundle: Bundle, template: LoadedSeries) -> None:
    thick = block_knee()
    thin = Volume(np.repeat(thick.array, 4, axis=3), thick.affine @ np.diag([1, 1, 0.25, 1]))
    found = examined(bundle, template, thin).result
    assert found.outcome is Outcome.ESTIMATED
    assert found.quality is not None
    assert found.quality.slices == 36


# A bundle that pools the slices itself, with limits on everything.

POOLED = {
    "files": ["age.onnx"],
    "region_shape": (48, 48),
    "max_slices": 5,
    "min_slices": 3,
    "slice_pooling": "in_graph",
    "fact_names": ["sex", "height_known"],
}


def pooled_bundle(folder: Path, **changes: object) -> Bundle:
    made = manifest(age=POOLED, **changes)
    age = pooled_age_model(made.age_edges_years, facts=2, oldest=20, years_per_open=80.0, years_per_fact=2.0)
    write_bundle(folder, made, {"segment.onnx": segment_model(), "age.onnx": age}, "# Blocks\n")
    return load_bundle(folder)


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return pooled_bundle(tmp_path_factory.mktemp("bundles") / "pooled")


def test_plates_have_stages(bundle: Bundle, template: LoadedSeries) -> None:
    for open_columns, stages in ((36, ("II", "2c")), (18, ("IV", "3b")), (0, ("V", "5"))):
        plates = examined(bundle, template, block_knee(open_columns=open_columns)).result.plates
        assert {(p.stages.dedouit, p.stages.schmeling_kellinghaus) for p in plates.values()} == {stages}


def test_facts_beside_the_image_are_used_and_said(pooled: Bundle, template: LoadedSeries) -> None:
    question = Question(sex="male", height_cm=170.0)
    found = Examiner(pooled, threads=1).examine(series_of(template, block_knee()), question).result
    without_height = examined(pooled, template, block_knee()).result
    assert found.estimated_age_years == (without_height.estimated_age_years or 0) + 2
    height, weight, sequence = found.covariates
    assert (height.value, height.used, height.changed_years) == (170, True, 2)
    assert (weight.used, sequence.used) == (False, False)


def test_a_body_that_no_training_subject_had_is_warned_of_and_not_refused(
    tmp_path: Path, template: LoadedSeries
) -> None:
    bodies = {"height_cm": (115, 193), "weight_kg": (19, 116), "body_mass_index": (12, 36.5)}
    examiner = Examiner(pooled_bundle(tmp_path / "pooled", body_range=bodies), threads=1)
    strange, usual = (
        examiner.examine(series_of(template, block_knee()), Question(sex="male", height_cm=height, weight_kg=60)).result
        for height in (75.0, 170.0)
    )
    assert strange.outcome is Outcome.ESTIMATED
    warned = [text.partition(" lies outside")[0] for text in strange.warnings if text not in usual.warnings]
    assert warned == ["the height of 75 cm", "the body mass index of 106.7 kg/m²"]
    assert not any("training subjects" in text for text in usual.warnings)
    assert (strange.subject.height_cm, strange.subject.weight_kg) == (75, 60)


def test_height_moves_the_distribution_but_not_what_was_calibrated_without_it(
    tmp_path: Path, template: LoadedSeries
) -> None:
    scores = [(rank + 0.5) / 399 for rank in range(399)]
    groups = [
        ConformalGroup(sexes=[Sex.MALE], open_upwards=is_open, low_years=8, high_years=26, scores=scores)
        for is_open in (True, False)
    ]
    conformal = Conformal(groups=groups, subjects=798, source="fresh cohort")
    bundle = pooled_bundle(tmp_path / "pooled", calibration=Calibration(subjects=798, conformal=conformal))
    told, untold = (
        Examiner(bundle, threads=1).examine(series_of(template, block_knee()), question).result
        for question in (Question(sex="male", height_cm=170.0), Question(sex="male"))
    )
    assert told.age_distribution != untold.age_distribution
    assert told.thresholds[0].probability_at_least != untold.thresholds[0].probability_at_least
    assert told.interval_years[0] == untold.interval_years[0]
    assert told.interval_years[0].method.startswith("conformal")
    assert told.interval_years[1] != untold.interval_years[1]
    assert [each.decision for each in told.thresholds] == [each.decision for each in untold.thresholds]


def test_where_the_age_came_from(pooled: Bundle, template: LoadedSeries) -> None:
    series = series_of(template, block_knee())
    shown = Examiner(pooled, threads=1).examine(series, Question(sex="male"), explain=True).explanation
    assert shown is not None
    assert shown.moved.shape == series.volume.shape
    assert examined(pooled, template, block_knee()).explanation is None


def test_an_explanation_is_drawn_beside_the_report(pooled: Bundle, nifti: Path, tmp_path: Path) -> None:
    examination = estimate(nifti, bundle=pooled, sex="male", threads=1, explain=True)
    write_documents(examination, tmp_path / "out")
    assert (tmp_path / "out" / "explanation.png").read_bytes().startswith(b"\x89PNG")


def test_no_explanation_without_an_estimate(pooled: Bundle, template: LoadedSeries) -> None:
    series = series_of(template, without(block_knee(), 1, 3, 4))
    assert Examiner(pooled, threads=1).examine(series, Question(sex="male"), explain=True).explanation is None


# A novelty scale of plain distances over the three features of the pooled network.
SCALE = {"basis": np.eye(3).tolist(), "precision": np.eye(3).tolist(), "percentile": 99, "quantiles": [0, 99]}


@pytest.mark.parametrize(
    ("limits", "header", "code"),
    [
        ({"sequences": ["T1"]}, {"weighting": "PD"}, ReasonCode.WRONG_SEQUENCE),
        ({"sequences": ["T1"]}, {"weighting": "T1", "fat_suppressed": True}, ReasonCode.WRONG_SEQUENCE),
        ({"field_of_view_mm": (120, 200)}, {}, ReasonCode.FIELD_OF_VIEW),
        ({"slice_spacing_mm": (1, 3)}, {}, ReasonCode.FIELD_OF_VIEW),
        ({}, {"side": Side.LEFT}, ReasonCode.SIDE_CONTRADICTION),
        ({"quality_limits": {"lowest": {"sharpness": 2}, "percentile": 99, "subjects": 9}}, {}, ReasonCode.BLURRED),
        ({"quality_limits": {"highest": {"ripple_rows": -1}, "percentile": 99, "subjects": 9}}, {}, ReasonCode.MOTION),
        ({"quality_limits": {"highest": {"void_share": -1}, "percentile": 99, "subjects": 9}}, {}, ReasonCode.METAL),
        (
            {"novelty": {**SCALE, "mean": [9, 9, 9], "limit": 1}},
            {},
            ReasonCode.UNLIKE_TRAINING,
        ),
        (
            {"growth_limits": [{"measure": "openness", "low": 0.5, "high": 1, "quantile": 0.9, "subjects": 9}]},
            {},
            ReasonCode.PLATES_DISAGREE,
        ),
    ],
)
def test_each_limit_of_a_bundle_has_its_reason(
    tmp_path: Path, template: LoadedSeries, limits: dict[str, object], header: dict[str, object], code: ReasonCode
) -> None:
    strict = pooled_bundle(tmp_path / "strict", **limits)
    found = examined(strict, template, block_knee(), **header).result
    assert found.outcome is Outcome.ABSTAINED
    assert {*reason_codes(found)} == {code}
    assert found.estimated_age_years is None
    assert found.plates["distal_femur"].found


def test_limits_on_grey_values_do_not_judge_a_contrast_that_the_bundle_does_not_cover(
    tmp_path: Path, template: LoadedSeries
) -> None:
    strict = pooled_bundle(
        tmp_path / "strict",
        sequences=["T1"],
        quality_limits={
            "highest": {"ripple_rows": -1, "void_share": -1},
            "lowest": {"sharpness": 2},
            "percentile": 99,
            "subjects": 9,
        },
        novelty={**SCALE, "mean": [9, 9, 9], "limit": 1},
        growth_limits=[{"measure": "openness", "low": 0.5, "high": 1, "quantile": 0.9, "subjects": 9}],
    )
    grey = {ReasonCode.MOTION, ReasonCode.METAL, ReasonCode.BLURRED, ReasonCode.UNLIKE_TRAINING}
    known, foreign = (
        examined(strict, template, block_knee(), weighting="T1", fat_suppressed=suppressed).result
        for suppressed in (False, True)
    )
    assert {*reason_codes(known)} == {*grey, ReasonCode.PLATES_DISAGREE}
    assert reason_codes(foreign) == [ReasonCode.WRONG_SEQUENCE, ReasonCode.PLATES_DISAGREE]
    assert known.quality is not None
    assert foreign.quality is not None
    assert None not in (known.quality.motion, known.quality.novelty)
    assert (foreign.quality.motion, foreign.quality.novelty) == (None, None)
    assert foreign.quality.sharpness == known.quality.sharpness


def test_a_knee_within_all_limits_is_estimated(tmp_path: Path, template: LoadedSeries) -> None:
    limits = {"lowest": {"sharpness": 0}, "highest": {"void_share": 1, "ripple_rows": 99}}
    wide = pooled_bundle(
        tmp_path / "wide",
        sequences=["T1"],
        field_of_view_mm=(50, 100),
        quality_limits={**limits, "percentile": 99, "subjects": 9},
        novelty={**SCALE, "mean": [2, 0, 0], "limit": 50},
        growth_limits=[{"measure": "stage", "low": -1, "high": 1, "quantile": 0.9, "subjects": 9}],
    )
    found = examined(wide, template, block_knee(), weighting="T1").result
    assert found.outcome is Outcome.ESTIMATED
    assert found.quality is not None
    assert found.quality.novelty is not None
    assert found.quality.novelty.distance < found.quality.novelty.limit
    assert found.quality.motion is not None
    assert found.quality.metal_share is not None


# Refused, and wrong usage.


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputRefusedError("x"), ReasonCode.INPUT_REFUSED),
        (GeometryError("x"), ReasonCode.GEOMETRY),
        (UndecodableError("x"), ReasonCode.UNDECODABLE),
        (AmbiguousSeriesError("x"), ReasonCode.AMBIGUOUS_SERIES),
    ],
    ids=lambda value: getattr(value, "value", type(value).__name__),
)
def test_a_refusal_becomes_a_result(error: InputRefusedError, code: ReasonCode) -> None:
    found = refused(error, Question(sex="female"))
    assert found.outcome is Outcome.REFUSED
    assert [(reason.code, reason.message) for reason in found.reasons] == [(code, "x")]
    assert found.subject.sex is Sex.FEMALE
    assert refused(error).subject.sex is None


def test_an_input_that_is_no_image_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputRefusedError):
        estimate(tmp_path, bundle=bundle, sex="male")


@pytest.mark.parametrize("option", [{"sex": "other"}, {"prior": "uniform:40-60"}, {"thresholds": (-1,)}])
def test_wrong_usage_is_said_before_anything_is_read(bundle: Bundle, option: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        estimate("nowhere", bundle=bundle, **option)  # type: ignore[arg-type]


def test_a_missing_bundle_is_loud(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no model bundle"):
        estimate(tmp_path, bundle=tmp_path / "none")


def test_a_bundle_whose_network_has_other_inputs_is_loud(tmp_path: Path, template: LoadedSeries) -> None:
    models = {"segment.onnx": segment_model(), "age.onnx": segment_model()}
    write_bundle(tmp_path / "wrong", manifest(), models, "# Wrong\n")
    with pytest.raises(BundleError, match=r"network 'age.onnx' must have the inputs"):
        examined(load_bundle(tmp_path / "wrong"), template, block_knee())


# From file to documents.


@pytest.fixture
def nifti(tmp_path: Path) -> Path:
    path = tmp_path / "knee.nii.gz"
    write_image(path, as_image(block_knee()))
    return path


def test_from_a_file(bundle: Bundle, nifti: Path) -> None:
    by_folder = estimate(nifti, bundle=bundle.folder, sex="male", threads=1)
    by_bundle = estimate(str(nifti), bundle=bundle, sex="male", threads=1)
    assert by_folder.result.outcome is Outcome.ESTIMATED
    assert by_folder.result.age_distribution == by_bundle.result.age_distribution


def test_what_a_header_says_about_the_subject_changes_no_answer(bundle: Bundle, tmp_path: Path) -> None:
    image = as_image(block_knee())
    header = DicomHeader(uid_seed="blocks", side=Side.RIGHT, description="T1 TSE COR KNEE")
    files = write_dicom_series(tmp_path / "dicom", image, header=header)
    before = estimate(tmp_path / "dicom", bundle=bundle, sex="male", threads=1).result
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.PatientAge, dataset.PatientBirthDate, dataset.PatientSex = "009Y", "20160101", "F"
        dataset.PatientSize, dataset.PatientWeight = 1.31, 28
        dataset.save_as(file)
    after = estimate(tmp_path / "dicom", bundle=bundle, sex="male", threads=1).result
    assert before.outcome is Outcome.ESTIMATED
    assert _without_time(before) == _without_time(after)


def _without_time(result: Result) -> Result:
    assert result.software is not None
    return result.model_copy(update={"software": None})


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_documents(bundle: Bundle, nifti: Path, tmp_path: Path, lang: str) -> None:
    examination = estimate(nifti, bundle=bundle, sex="male", threads=1)
    write_documents(examination, tmp_path / "out", lang)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "labels.nii.gz",
        "preview.png",
        "report.html",
        "result.json",
    ]
    written = Result.model_validate(json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8")))
    assert written == examination.result
    labels = nib.load(tmp_path / "out" / "labels.nii.gz")
    assert labels.get_data_dtype() == np.uint8
    np.testing.assert_allclose(labels.affine, nib.load(nifti).affine)
    np.testing.assert_array_equal(np.asarray(labels.dataobj), np.rint(nib.load(nifti).get_fdata()))
    assert (tmp_path / "out" / "preview.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_an_abstention_has_documents_too(tmp_path: Path, nifti: Path) -> None:
    sagittal = make_bundle(tmp_path / "sagittal", plane=Plane.SAGITTAL)
    found = estimate(nifti, series=nifti.name, bundle=sagittal, sex="male", threads=1)
    write_documents(found, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["preview.png", "report.html", "result.json"]


def test_documents_never_overwrite(bundle: Bundle, template: LoadedSeries, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept.txt").write_text("kept")
    with pytest.raises(OutputError):
        write_documents(examined(bundle, template, block_knee()), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["kept.txt"]


def test_another_language_leaves_no_folder(bundle: Bundle, template: LoadedSeries, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_documents(examined(bundle, template, block_knee()), tmp_path / "out", "xx")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("slices", [9, 1])
def test_a_file_is_labelled(bundle: Bundle, tmp_path: Path, slices: int) -> None:
    knee = block_knee()
    knee = Volume(knee.array[..., :slices], knee.affine)
    write_image(tmp_path / "knee.nii", as_image(knee))
    found = segment_file(tmp_path / "knee.nii", tmp_path / "labels.nii.gz", bundle=bundle, threads=1)
    np.testing.assert_array_equal(found.array, knee.array)
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "labels.nii.gz").dataobj), knee.array[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["knee.nii", "labels.nii.gz"]


def test_labels_are_nifti(bundle: Bundle, nifti: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"labels are written as .nii or .nii.gz; found 'labels.png'"):
        segment_file(nifti, tmp_path / "labels.png", bundle=bundle)


def test_labels_never_overwrite(bundle: Bundle, nifti: Path) -> None:
    before = nifti.read_bytes()
    with pytest.raises(OutputError, match="exists; name another file"):
        segment_file(nifti, nifti, bundle=bundle)
    assert nifti.read_bytes() == before


def test_labels_of_another_plane_are_refused(tmp_path: Path, nifti: Path) -> None:
    sagittal = make_bundle(tmp_path / "sagittal", plane=Plane.SAGITTAL)
    with pytest.raises(WrongPlaneError, match="none is sagittal; give one that is"):
        segment_file(nifti, tmp_path / "labels.nii.gz", bundle=sagittal)
    with pytest.raises(GeometryError, match="the slices are coronal; sagittal slices are needed"):
        segment_file(nifti, tmp_path / "labels.nii.gz", series=nifti.name, bundle=sagittal)
    assert not (tmp_path / "labels.nii.gz").exists()


def test_a_stray_label_never_reaches_the_answer(bundle: Bundle, template: LoadedSeries) -> None:
    stray = edited(block_knee(), (slice(56, 62), slice(8, 20), slice(2, 5)), Label.DISTAL_FEMUR_PHYSIS)
    stray = edited(stray, (BONE_COLUMNS, slice(46, 48), 4), Label.PROXIMAL_TIBIA_PHYSIS)
    assert examined(bundle, template, stray).result.plates == examined(bundle, template, block_knee()).result.plates


def test_labels_of_a_virtual_bundle_say_so(bundle: Bundle, nifti: Path, tmp_path: Path) -> None:
    segment_file(nifti, tmp_path / "labels.nii.gz", bundle=bundle)
    note = nib.load(tmp_path / "labels.nii.gz").header["descrip"].item().decode()
    assert note == VIRTUAL_WARNING


def test_a_pdf_lies_beside_the_page_when_it_is_asked_for(
    bundle: Bundle, nifti: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kneeage.report.pdf.require_pdf", lambda _lang: None)
    monkeypatch.setattr("kneeage.report.pdf.pdf_bytes", lambda page: b"%PDF-" + page[:15].encode())
    write_documents(estimate(nifti, bundle=bundle, sex="male", threads=1), tmp_path / "out", pdf=True)
    assert (tmp_path / "out" / "report.pdf").read_bytes() == b"%PDF-<!DOCTYPE html>"


def test_what_the_bundle_covers_stands_in_the_report(bundle: Bundle, nifti: Path, tmp_path: Path) -> None:
    write_documents(estimate(nifti, bundle=bundle, sex="male", threads=1), tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Reference population" in page
    low, high = bundle.manifest.age_range_years
    assert f"{low:g} to {high:g} years" in page
    assert words("en").listing([words("en")(f"sex.{sex.value}") for sex in bundle.manifest.sexes]) in page
