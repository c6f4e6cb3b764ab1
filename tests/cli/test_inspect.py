"""``kneeage inspect``: every series with its rank and reasons, for people and for programs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from kneeage.core.anatomy import Plane, Side
from kneeage.core.errors import InputRefusedError
from kneeage.io import read
from kneeage.io.bundle import write_bundle
from kneeage.io.series import Candidate, SeriesHeader
from kneeage.io.wanted import Wanted
from tests.cli.conftest import Run
from tests.infer.knees import age_model, manifest, segment_model
from tests.io.support import SAGITTAL, T2, Made, write_series


def candidate(key: str, rank: int | None, *reasons: str) -> Candidate:
    header = SeriesHeader(
        source_format="dicom",
        series_uid=key,
        study_uid="1.2",
        description="[T1] COR",
        plane=Plane.CORONAL,
        weighting="T1",
        weighting_reason="",
        fat_suppressed=None,
        side=Side.LEFT,
        side_source="Laterality",
        shape=(512, 512, 24),
        spacing_mm=(0.3125, 0.3125, 3.8),
        field_strength_tesla=3.0,
        manufacturer=None,
        virtual=False,
        texts={"study description": "Doe^Jane"},
    )
    return Candidate(key=key, header=header, suitable=rank is not None, score=1.0, rank=rank, reasons=reasons)


@pytest.fixture
def two_series(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = candidate("1.2." + "3" * 60, 1, "knee", "coronal"), candidate("1.2.4", None, "localizer")
    found = read.Survey(candidates, foreign=3, unreadable=("b.dcm is cut short",))
    monkeypatch.setattr(read, "survey", lambda _path, _wanted: found)


@pytest.mark.usefixtures("two_series")
def test_the_table_fits_80_columns(run: Run) -> None:
    done = run("inspect", "folder")
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    for needed in ("[T1] COR, left, 512 x 512 x 24 voxels", " suitable: knee; coronal", "unsuitable: localizer"):
        assert needed in done.stdout
    assert "--series 1.2." + "3" * 60 in done.stdout
    counted, needed, unreadable = done.stderr.splitlines()
    assert counted == "2 series, 1 suitable; 3 other files."
    assert re.fullmatch(
        r"The bundle virtual-knee \S+ needs a coronal knee, .*-weighted, without fat suppression\.", needed
    )
    assert unreadable == "Cannot be read: b.dcm is cut short"


def test_labels_are_named_and_not_offered(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    one = candidate("labels.nii.gz", None, "label map, not grey values")
    labels = replace(one, header=replace(one.header, label_map=True))
    monkeypatch.setattr(read, "survey", lambda _path, _wanted: read.Survey((labels,), foreign=0, unreadable=()))
    shown = run("inspect", "folder").stdout
    assert "labels.nii.gz" in shown
    assert "--series" not in shown


@pytest.mark.usefixtures("two_series")
def test_json_holds_every_series_and_no_free_text_of_the_header(run: Run) -> None:
    done = run("inspect", "folder", "--json")
    found = json.loads(done.stdout)
    assert [(one["rank"], one["suitable"]) for one in found] == [(1, True), (None, False)]
    assert found[0]["header"]["plane"] == "coronal"
    assert "Doe" not in done.stdout


def test_a_refusal_ends_with_3(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path, _wanted: Wanted) -> list[Candidate]:
        raise InputRefusedError("the folder is empty")

    monkeypatch.setattr(read, "survey", refuse)
    assert run("inspect", "folder").exit_code == 3


def test_series_are_ranked_for_the_bundle_that_is_named(run: Run, tmp_path: Path) -> None:
    bundle = tmp_path / "sagittal"
    made = manifest(plane=Plane.SAGITTAL)
    write_bundle(
        bundle, made, {"segment.onnx": segment_model(), "age.onnx": age_model(made.age_edges_years)}, "# Blocks\n"
    )
    write_series(tmp_path / "knee" / "coronal", Made(uid="1.2.1").but(**T2))
    write_series(tmp_path / "knee" / "sagittal", Made(uid="1.2.2", orientation=SAGITTAL))
    shipped = run("inspect", tmp_path / "knee", "--json").stdout
    other = run("inspect", tmp_path / "knee", "--json", "--bundle", bundle).stdout
    assert [(one["key"], one["suitable"]) for one in json.loads(shipped)] == [("1.2.1", True), ("1.2.2", False)]
    assert [(one["key"], one["suitable"]) for one in json.loads(other)] == [("1.2.2", True), ("1.2.1", False)]


def test_a_folder_without_any_series_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    done = run("inspect", tmp_path)
    assert done.exit_code == 3
    assert "no DICOM or NIfTI series among 1 files" in done.stderr
    assert not done.stdout
