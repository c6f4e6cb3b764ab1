"""The bundle that ships, through the whole way: virtual knees of known age, and the real series where it is at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.core.anatomy import DISTAL_FEMUR, PROXIMAL_TIBIA, Label, PlateSite, Sex, Side
from kneeage.core.errors import InputRefusedError
from kneeage.core.result import Outcome, ReasonCode, ThresholdDecision
from kneeage.core.volume import Volume
from kneeage.decide.question import Question
from kneeage.infer.age import AgeFacts, age_inputs, age_outputs, read_age
from kneeage.infer.engine import Engine
from kneeage.infer.explain import effect_of_covering
from kneeage.infer.region import age_regions
from kneeage.infer.seen import Seen
from kneeage.io.bundle import SHIPPED_BUNDLE, load_bundle
from kneeage.io.nifti import read_nifti, write_image
from kneeage.io.write import DicomHeader, write_dicom_series
from kneeage.phantom.cohort.subject import HOSPITAL_A, VirtualSubject, virtual_subject
from kneeage.pipeline import SEX_WARNING, Examination, Examiner, estimate, refused, segment_file, write_documents

BONES = {
    "femur": (Label.DISTAL_FEMUR_EPIPHYSIS, Label.DISTAL_FEMUR_METAPHYSIS),
    "tibia": (Label.PROXIMAL_TIBIA_EPIPHYSIS, Label.PROXIMAL_TIBIA_METAPHYSIS),
    "femoral_physis": (Label.DISTAL_FEMUR_PHYSIS,),
    "tibial_physis": (Label.PROXIMAL_TIBIA_PHYSIS,),
}
MAX_BUNDLE_BYTES = 30_000_000
# Few ages, so that subjects are shared; this one's series is whole, the others' lack what lies far from the plates.
WHOLE_YEARS = 15.0


@cache
def subject_aged(age_years: float, side: Side = Side.RIGHT) -> VirtualSubject:
    # A knee that was cut without much tilt: in others, of young children above all, too few slices show both plates.
    return virtual_subject(
        72,
        chronological_age_years=age_years,
        sex=Sex.MALE,
        side=side,
        hospital=HOSPITAL_A,
        about_the_sites=age_years != WHOLE_YEARS,
    )


def as_nifti(volume: Volume, path: Path) -> Path:
    write_image(path, volume, virtual=True)
    return path


def centroids(labels: Volume) -> dict[str, NDArray[np.float64]]:
    found = {name: np.argwhere(np.isin(labels.array[0], values)) for name, values in BONES.items()}
    return {name: labels.world(index).mean(axis=0) for name, index in found.items()}


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float(2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second)))


def test_the_bundle_is_whole_small_and_says_that_it_is_virtual() -> None:
    bundle = load_bundle()
    card = (bundle.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert bundle.manifest.is_virtual
    assert "not for forensic use" in card
    assert bundle.manifest.held_out
    for name, value in bundle.manifest.held_out.items():
        assert any(f"| {said} | {value:g} |" in card for said in (name, name.replace("_", " ")))
    assert sum(file.stat().st_size for file in SHIPPED_BUNDLE.iterdir()) < MAX_BUNDLE_BYTES


@dataclass(frozen=True)
class Examined:
    """A virtual subject and what was found of it."""

    subject: VirtualSubject
    examination: Examination


@pytest.fixture(scope="module")
def examined_at(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Examined]:
    """Examine the male knee of an age, once."""

    @cache
    def examine(age_years: float) -> Examined:
        subject = subject_aged(age_years)
        path = as_nifti(subject.volume, tmp_path_factory.mktemp("virtual") / "knee.nii.gz")
        return Examined(subject, estimate(path, sex="male"))

    return examine


@pytest.fixture(params=[10.0, WHOLE_YEARS, 24.0])
def examined(request: pytest.FixtureRequest, examined_at: Callable[[float], Examined]) -> Examined:
    return examined_at(request.param)


def test_virtual_knees_are_estimated_near_their_age(examined: Examined) -> None:
    result = examined.examination.result
    assert result.outcome is Outcome.ESTIMATED
    # One of twenty intervals may miss the age, but not by far.
    interval, age_years = result.interval_years[0], examined.subject.chronological_age_years
    assert interval.low <= age_years + 0.5
    assert interval.high is None or age_years - 0.5 <= interval.high
    assert sum(bin_.probability for bin_ in result.age_distribution) == pytest.approx(1)
    assert any("not for forensic use" in warning for warning in result.warnings)


def test_virtual_bones_are_labelled(examined: Examined) -> None:
    labels = examined.examination.labels
    assert labels is not None
    for site in (DISTAL_FEMUR, PROXIMAL_TIBIA):
        truth, found = (np.isin(array, site.bone) for array in (examined.subject.labels.array, labels.array))
        assert dice(truth, found) > 0.9


@pytest.mark.parametrize("site", [DISTAL_FEMUR, PROXIMAL_TIBIA], ids=lambda site: site.name)
def test_open_plates_are_open_and_closed_ones_closed(examined: Examined, site: PlateSite) -> None:
    plate = examined.examination.result.plates[site.name]
    age_years = examined.subject.chronological_age_years
    assert plate.found
    assert plate.openness is not None
    assert plate.openness > 0.8 if age_years < 13 else True
    assert plate.openness < 0.15 if age_years > 20 else True


def test_age_rises_with_the_knee(examined_at: Callable[[float], Examined]) -> None:
    ages = []
    for age_years in (10.0, 13.0, WHOLE_YEARS, 24.0):
        estimated = examined_at(age_years).examination.result.estimated_age_years
        assert estimated is not None
        ages.append(estimated)
    assert ages == sorted(ages)
    assert ages[-1] - ages[0] > 6


def reader(examiner: Examiner, facts: AgeFacts) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Give what reads the likelihood of each age off regions, as the pipeline does."""
    manifest, stage = examiner.manifest, examiner.manifest.age
    networks = [
        Engine(examiner.bundle.model_bytes(file), name=file, inputs=age_inputs(stage), outputs=age_outputs(stage))
        for file in stage.files
    ]
    return lambda stack: read_age(networks, stack, facts, manifest).log_likelihood


def test_covering_the_plates_changes_the_answer_and_covering_muscle_does_not(tmp_path: Path) -> None:
    examiner = Examiner(load_bundle())
    series = read_nifti(as_nifti(subject_aged(13.0).volume, tmp_path / "knee.nii.gz"))
    prepared = examiner.prepare(series)
    seen = Seen.of(examiner.segment(prepared), prepared, examiner.manifest)
    regions, edges = seen.regions(), np.array(examiner.manifest.age_edges_years)
    labels = prepared.volume.with_array(seen.segmentation.labels.array.astype(np.float32))
    shown = age_regions(labels, seen.segmentation.plate_probability, seen.sites, examiner.manifest.age)[:, 0]
    plates = ndimage.binary_dilation(np.isin(shown, (1, 2)), np.ones((1, 7, 7)))
    far = np.stack([ndimage.distance_transform_edt(one == 0) > 15 for one in shown])
    read = reader(examiner, AgeFacts(sex=Sex.MALE, plates=seen.drawn_plates))
    by_plates, by_muscle = (
        effect_of_covering(read, regions.stack, (edges[:-1] + edges[1:]) / 2, mask)[0] for mask in (plates, far)
    )
    assert by_plates > 0.2
    assert by_muscle < by_plates / 2


@pytest.mark.parametrize("codes", ["RAS", "PSL", "SRP"])
@pytest.mark.parametrize("side", [Side.RIGHT, Side.LEFT])
def test_world_positions_hold_in_every_orientation(codes: str, side: Side, tmp_path: Path) -> None:
    subject = subject_aged(13.0, side)
    path = as_nifti(subject.volume.reoriented(codes), tmp_path / "turned.nii.gz")
    found = estimate(path, sex="male").labels
    assert found is not None
    truth = centroids(subject.labels)
    for name, centre in centroids(found).items():
        np.testing.assert_allclose(centre, truth[name], atol=2.5, err_msg=name)


def test_dicom_and_nifti_give_one_answer_and_headers_change_nothing(tmp_path: Path) -> None:
    subject = subject_aged(14.0)
    whole = subject.volume.with_array(np.round(subject.volume.array))
    header = DicomHeader(uid_seed="one answer", side=Side.RIGHT, manufacturer="kneeage virtual cohort")
    files = write_dicom_series(tmp_path / "plain", whole, header=header)
    (tmp_path / "altered").mkdir()
    for file in files:
        instance = pydicom.dcmread(file)
        instance.PatientAge, instance.PatientBirthDate = "007Y", "19200101"
        instance.PatientSize, instance.PatientWeight, instance.PatientSex = 2.4, 250, "F"
        instance.save_as(tmp_path / "altered" / file.name)
    nifti = as_nifti(whole, tmp_path / "same.nii.gz")
    plain, altered, same = (
        estimate(path, sex="male").result for path in (tmp_path / "plain", tmp_path / "altered", nifti)
    )
    assert (altered.plates, altered.age_distribution) == (plain.plates, plain.age_distribution)
    # A NIfTI of a right knee states no side, but a right knee is not mirrored either: the same picture goes in. Its
    # affine is float32, so spacing and what follows from it differ in the last digits.
    for name, plate in plain.plates.items():
        assert same.plates[name].openness == pytest.approx(plate.openness, abs=1e-6)
        assert same.plates[name].thickness_mm == pytest.approx(plate.thickness_mm, rel=1e-4)
    # The model is told the sequence, which a NIfTI file does not state.
    silent = read_nifti(nifti)
    told = replace(silent, header=replace(silent.header, weighting="T1"))
    answer = Examiner(load_bundle()).examine(told, Question(sex="male")).result
    found, first = ([b.probability for b in result.age_distribution] for result in (answer, plain))
    np.testing.assert_allclose(found, first, atol=1e-4)


def test_sex_not_given_is_answered_with_a_mixture(examined_at: Callable[[float], Examined], tmp_path: Path) -> None:
    path = as_nifti(subject_aged(13.0).volume, tmp_path / "knee.nii.gz")
    male = examined_at(13.0).examination.result
    female, unknown = (estimate(path, sex=sex).result for sex in ("female", None))
    at_least_14 = [result.thresholds[1].probability_at_least for result in (male, female, unknown)]
    assert min(at_least_14[:2]) - 1e-6 <= at_least_14[2] <= max(at_least_14[:2]) + 1e-6
    assert SEX_WARNING in unknown.warnings
    assert SEX_WARNING not in male.warnings


def test_one_slice_is_labelled_on_its_own_grid(tmp_path: Path) -> None:
    subject = subject_aged(13.0)
    middle = subject.volume.shape[2] // 2
    affine = subject.volume.affine.copy()
    affine[:3, 3] = subject.volume.world((0, 0, middle))
    path = as_nifti(Volume(subject.volume.array[..., middle : middle + 1], affine), tmp_path / "slice.nii.gz")
    segment_file(path, tmp_path / "labels.nii.gz")
    labels = np.asarray(nibabel.load(tmp_path / "labels.nii.gz").dataobj)  # type: ignore[attr-defined]
    truth = subject.labels.array[0, :, :, middle]
    for site in (DISTAL_FEMUR, PROXIMAL_TIBIA):
        assert dice(np.isin(truth, site.bone), np.isin(labels[:, :, 0], site.bone)) > 0.9


def test_no_command_writes_outside_its_output(tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("home", "temporary", "here")}
    for place in places.values():
        place.mkdir()
    environment = os.environ | {
        "HOME": str(places["home"]),
        "TMPDIR": str(places["temporary"]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        environment.pop(name, None)
    for arguments in (("demo", "-o", "demo"), ("inspect", "demo/dicom"), ("segment", "demo/dicom", "-o", "l.nii.gz")):
        command = [str(Path(sys.executable).with_name("kneeage")), *arguments]
        subprocess.run(command, cwd=places["here"], env=environment, check=True, capture_output=True, timeout=120)
    assert sorted(path.name for path in places["here"].iterdir()) == ["demo", "l.nii.gz"]
    assert not list(places["home"].iterdir())
    assert not list(places["temporary"].iterdir())


@pytest.fixture(scope="module")
def real_t1(realdata: Path) -> Examination:
    return estimate(realdata / "knee_t1_coronal_philips", sex="male")


def test_the_real_closed_knee_is_called_closed_and_not_a_child(real_t1: Examination) -> None:
    result = real_t1.result
    assert result.outcome is Outcome.ESTIMATED
    assert result.series is not None
    assert result.series.weighting == "T1"
    for site in (DISTAL_FEMUR, PROXIMAL_TIBIA):
        plate = result.plates[site.name]
        assert plate.found
        assert plate.openness is not None
        assert plate.openness <= 0.1
    assert result.estimated_age_years is not None
    assert result.estimated_age_years >= 16
    assert {t.age_years: t.probability_at_least for t in result.thresholds}[18] > 0.9
    assert result.interval_years[0].high is None
    assert result.interval_years[0].low > 16


@pytest.mark.parametrize("folder", ["knee_t2_sagittal_philips", "knee_multiecho_sagittal_ge"])
def test_real_sagittal_series_get_no_age(realdata: Path, folder: str) -> None:
    try:
        result = estimate(realdata / folder, sex="male").result
    except InputRefusedError as error:
        result = refused(error)
    assert result.outcome is not Outcome.ESTIMATED
    assert {reason.code for reason in result.reasons} & {ReasonCode.WRONG_PLANE, ReasonCode.AMBIGUOUS_SERIES}


def test_on_a_real_knee_the_virtual_bundle_decides_nothing(real_t1: Examination) -> None:
    thresholds = real_t1.result.thresholds
    assert [t.age_years for t in thresholds] == [12, 14, 16, 18]
    assert {t.decision for t in thresholds} == {ThresholdDecision.UNDETERMINED}
    assert all("virtual" in t.decision_reason for t in thresholds)


def test_documents_of_the_real_knee_hold_no_identity(real_t1: Examination, realdata: Path, tmp_path: Path) -> None:
    write_documents(real_t1, tmp_path / "out", "zh")
    instance = pydicom.dcmread(next((realdata / "knee_t1_coronal_philips").iterdir()), stop_before_pixels=True)
    private = {str(instance.get(name, "")) for name in ("PatientName", "PatientID")} - {""}
    text = "".join((tmp_path / "out" / name).read_text(encoding="utf-8") for name in ("result.json", "report.html"))
    assert not [word for word in private if len(word) > 3 and word in text]
