"""One virtual subject from paint to regions and facts."""

from __future__ import annotations

from pathlib import Path

import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import Calibration, ThicknessScale
from kneeage.infer.quality import ImageQuality
from kneeage.io.bundle import SHIPPED_BUNDLE
from kneeage.learn.data import load_regions
from kneeage.learn.judge import graded
from kneeage.learn.stages import age_stage, segment_stage
from kneeage.learn.virtual_people import Person
from kneeage.learn.virtual_regions import RegionJob, make_regions, read_facts, regions_file
from kneeage.phantom.cohort.subject import Imaging
from kneeage.phantom.scanner.sequence import Weighting

GIRL = Person(
    5, imaging=Imaging(weighting=Weighting.PD, planes_per_slice=1), sex=Sex.FEMALE, chronological_age_years=12.5
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The regions of one girl."""
    place = tmp_path_factory.mktemp("girl")
    job = RegionJob(SHIPPED_BUNDLE / "segmenter.onnx", segment_stage(), age_stage())
    make_regions(place, [GIRL], job, workers=1, note="a girl")
    return place


def test_facts_hold_who_she_is_and_what_was_measured(folder: Path) -> None:
    (facts,) = read_facts(folder)
    assert (facts["sex"], facts["chronological_age_years"], facts["weighting"]) == ("female", 12.5, "PD")
    assert 130 < facts["height_cm"] < 180
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
    before = regions_file(folder, GIRL.seed).stat().st_mtime_ns
    make_regions(folder, [GIRL], RegionJob(Path("nowhere"), segment_stage(), age_stage()), workers=1, note="again")
    assert regions_file(folder, GIRL.seed).stat().st_mtime_ns == before


def test_plates_are_graded_with_the_corrected_thickness(folder: Path) -> None:
    (facts,) = read_facts(folder)
    thin = ThicknessScale(slope=0.01, offset_mm=0.0)
    usual, thinned = (
        graded(facts, Calibration(thickness=scales))["distal_femur"] for scales in ({}, {"distal_femur": thin})
    )
    assert thinned.thickness_mm < usual.thickness_mm
    assert None not in (usual.stages.dedouit, thinned.stages.dedouit)
