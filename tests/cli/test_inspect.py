"""``kneeage inspect``: every series with its rank and reasons, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kneeage.core.anatomy import Plane, Side
from kneeage.core.errors import InputRefusedError
from kneeage.io import read
from kneeage.io.series import Candidate, SeriesHeader
from tests.cli.conftest import Run


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
    monkeypatch.setattr(read, "survey", lambda _path: found)


@pytest.mark.usefixtures("two_series")
def test_the_table_fits_80_columns(run: Run) -> None:
    done = run("inspect", "folder")
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    for needed in ("[T1] COR, left, 512 x 512 x 24 voxels", " suitable: knee; coronal", "unsuitable: localizer"):
        assert needed in done.stdout
    assert "--series 1.2." + "3" * 60 in done.stdout
    assert done.stderr == "2 series, 1 suitable; 3 other files.\nCannot be read: b.dcm is cut short\n"


def test_labels_are_named_and_not_offered(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    one = candidate("labels.nii.gz", None, "label map, not grey values")
    labels = replace(one, header=replace(one.header, label_map=True))
    monkeypatch.setattr(read, "survey", lambda _path: read.Survey((labels,), foreign=0, unreadable=()))
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
    def refuse(_path: Path) -> list[Candidate]:
        raise InputRefusedError("the folder is empty")

    monkeypatch.setattr(read, "survey", refuse)
    assert run("inspect", "folder").exit_code == 3


def test_a_folder_without_any_series_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    done = run("inspect", tmp_path)
    assert done.exit_code == 3
    assert "no DICOM or NIfTI series among 1 files" in done.stderr
    assert not done.stdout
