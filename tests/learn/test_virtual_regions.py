"""One virtual subject from paint to regions and facts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.errors import UsageError
from kneeage.core.manifest import AgeStage, Calibration, ThicknessScale
from kneeage.infer.quality import ImageQuality
from kneeage.io.bundle import SHIPPED_BUNDLE
from kneeage.learn.data import load_regions, region_files
from kneeage.learn.judge import graded
from kneeage.learn.stages import age_stage, segment_stage
from kneeage.learn.virtual_people import Person
from kneeage.learn.virtual_regions import RegionJob, make_regions, read_facts, regions_file, require_nobody_else
from kneeage.phantom.cohort.subject import Imaging, plan_series
from kneeage.phantom.scanner.sequence import Weighting

GIRL = Person(
    5, imaging=Imaging(weighting=Weighting.PD, planes_per_slice=1), sex=Sex.FEMALE, chronological_age_years=12.5
)


JOB = RegionJob(SHIPPED_BUNDLE / "segmenter.onnx", segment_stage(), age_stage())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The regions of one girl."""
    place = tmp_path_factory.mktemp("girl")
    make_regions(place, [GIRL], JOB, workers=1)
    return place


def test_facts_hold_who_she_is_and_what_was_measured(folder: Path) -> None:
    (facts,) = read_facts(folder)
    assert (facts["sex"], facts["chronological_age_years"], facts["weighting"]) == ("female", 12.5, "PD")
    assert 130 < facts["height_cm"] < 180
    planned = plan_series(GIRL.seed, GIRL.hospital, GIRL.imaging)
    assert (facts["pixel_mm"], facts["slice_spacing_mm"]) == (planned.pixel_mm, planned.spacing_mm)
    assert facts["field_of_view_mm"] == planned.pixels * planned.pixel_mm
    assert {*facts["latents"]} > {"femur", "tibia", "bone_half_width_mm"}
    assert facts["true_stages"]["distal_femur"]["dedouit"] in ("I", "II", "III")
    assert ImageQuality(**facts["quality"]).sharpness > 0
    femur = facts["plates"]["distal_femur"]
    assert femur["true"]["openness"] > 0.9
    assert 0 <= femur["surface_mm"] < 3
    assert facts["dice_counts"]["distal_femur_bone"][1] > 0


def test_regions_carry_what_the_age_model_is_told(folder: Path) -> None:
    (facts,) = read_facts(folder)
    regions = load_regions(regions_file(folder, GIRL.seed))
    assert regions.regions.shape == (facts["slices"], 3, 160, 160)
    assert regions.facts["height_cm"] == facts["height_cm"]
    assert regions.row(("sex", "sequence_t1", "sequence_pd")).tolist() == [[0, 0, 1]]
    drawn = facts["plates"]["distal_femur"]["found"]
    assert regions.facts["femur_openness"] == drawn["openness"]


def test_what_is_there_is_not_made_again(folder: Path) -> None:
    before, told = regions_file(folder, GIRL.seed).stat().st_mtime_ns, []
    make_regions(folder, [GIRL], JOB, 1, lambda *counts: told.append(counts))
    assert regions_file(folder, GIRL.seed).stat().st_mtime_ns == before
    assert told == [(1, 1)]


def test_a_killed_making_goes_on(folder: Path, tmp_path: Path) -> None:
    """What a kill leaves: regions whose facts are missing, and half of a file under its temporary name."""
    shutil.copytree(folder, tmp_path / "killed")
    place, facts = tmp_path / "killed", tmp_path / "killed" / "facts"
    regions_file(place, GIRL.seed).with_suffix(".npz.part").write_bytes(b"PK")
    (facts / f"{GIRL.seed}.json").rename(facts / f".part.{GIRL.seed}.json")
    (facts / f".part.{GIRL.seed}.json").write_text('{"seed": ')
    assert read_facts(place) == []
    make_regions(place, [GIRL], JOB, workers=1)
    assert read_facts(place) == read_facts(folder)
    again, before = (load_regions(regions_file(each, GIRL.seed)).regions for each in (place, folder))
    assert (again == before).all()
    assert len(region_files(place / "regions")) == 1


def test_regions_of_two_segmenters_do_not_mix(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"other weights")
    for job in (replace(JOB, segmenter=tmp_path / "other.onnx"), replace(JOB, age=replaced_age(max_slices=4))):
        with pytest.raises(UsageError, match="or are of another size; choose another work folder"):
            make_regions(folder, [GIRL], job, workers=1)


def test_facts_of_an_earlier_version_are_refused_before_anything_is_trained_on_them(tmp_path: Path) -> None:
    make_regions(tmp_path, [], JOB, workers=1)
    made_with = tmp_path / "made_with.json"
    earlier = {name: value for name, value in json.loads(made_with.read_text()).items() if name != "facts_form"}
    made_with.write_text(json.dumps(earlier))
    with pytest.raises(UsageError, match="with another segmenter or by another version"):
        make_regions(tmp_path, [], JOB, workers=1)


def test_subjects_that_nobody_asked_for_are_named(folder: Path) -> None:
    require_nobody_else(folder, [GIRL])
    with pytest.raises(UsageError, match="holds 1 subjects that these sizes and seeds do not ask for, such as 5;"):
        require_nobody_else(folder, [replace(GIRL, seed=6)])


def replaced_age(**changes: object) -> AgeStage:
    return age_stage().model_copy(update=changes)


def test_plates_are_graded_with_the_corrected_thickness(folder: Path) -> None:
    (facts,) = read_facts(folder)
    thin = ThicknessScale(slope=0.01, offset_mm=0.0)
    usual, thinned = (
        graded(facts, Calibration(thickness=scales))["distal_femur"] for scales in ({}, {"distal_femur": thin})
    )
    assert thinned.thickness_mm < usual.thickness_mm
    assert None not in (usual.stages.dedouit, thinned.stages.dedouit)
