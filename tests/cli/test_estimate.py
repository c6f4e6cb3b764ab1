"""``kneeage estimate``: options, streams and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.errors import BundleError, GeometryError, OutputError
from kneeage.core.result import Outcome
from kneeage.pipeline import VIRTUAL_WARNING
from kneeage.report.dicom import extra
from tests.cli.conftest import Pipeline, Run


def test_words_go_to_stderr_and_nothing_to_stdout(run: Run, stand_in: Pipeline, tmp_path: Path) -> None:
    done = run("estimate", "knee", "-o", tmp_path / "out")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "Most probable age 16.5 years; the model puts 95 % probability on 14.9 to 18.1 years." in done.stderr
    assert str(tmp_path / "out" / "report.html") in done.stderr.replace("\n", "")
    assert stand_in.asked["path"] == Path("knee")


def test_warnings_are_said_with_the_answer(run: Run, stand_in: Pipeline, tmp_path: Path) -> None:
    stand_in.warnings = (VIRTUAL_WARNING, "the subject may be younger")
    lines = run("estimate", "knee", "-o", tmp_path / "out").stderr.splitlines()
    assert "Warning: the subject may be younger" in lines
    assert not [line for line in lines if VIRTUAL_WARNING in line]


@pytest.mark.usefixtures("stand_in")
def test_json_goes_to_stdout(run: Run, tmp_path: Path) -> None:
    done = run("-q", "estimate", "knee", "-o", tmp_path / "out", "--json")
    assert json.loads(done.stdout)["estimated_age_years"] == 16.5
    assert done.stderr == ""


def test_options_reach_the_pipeline(run: Run, stand_in: Pipeline, tmp_path: Path) -> None:
    options = (
        "--sex male --height-cm 170.5 --weight-kg 60 --series 1.2 --thresholds 14,18 --ratio-ages 14-18:18-22 "
        "--prior uniform:10-20 --claimed-age 15 --lang zh --explain --bundle b"
    )
    told = {"question": "Q?", "legal-basis": "§", "consent": "the guardian", "examiner": "the institute"}
    words = [word for name, text in told.items() for word in (f"--{name}", text)]
    run("estimate", "knee", "-o", tmp_path / "out", *options.split(), *words)
    assert stand_in.asked == {
        "path": Path("knee"),
        "series": "1.2",
        "bundle": Path("b"),
        "explain": True,
        "sex": Sex.MALE,
        "height_cm": 170.5,
        "weight_kg": 60.0,
        "thresholds": (14.0, 18.0),
        "ratio_ages": "14-18:18-22",
        "prior": "uniform:10-20",
        "question": "Q?",
        "legal_basis": "§",
        "consent": "the guardian",
        "examiner": "the institute",
        "claimed_age_years": 15.0,
        "lang": "zh",
        "dicom": None,
        "pdf": False,
    }


@pytest.mark.parametrize(("option", "how"), [("--dicom", "binary"), ("--dicom-labelmap", "labelmap")])
def test_dicom_objects_are_written_when_asked_for(
    run: Run, stand_in: Pipeline, tmp_path: Path, option: str, how: str
) -> None:
    pytest.importorskip("highdicom")
    done = run("estimate", "knee", "-o", tmp_path / "out", option)
    assert stand_in.asked["dicom"] == how
    assert str(tmp_path / "out" / "dicom") in done.stderr.replace("\n", "")


def test_dicom_objects_without_their_extra_are_refused_before_any_work(
    run: Run, stand_in: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda _name: None)
    done = run("estimate", "knee", "-o", tmp_path / "out", "--dicom")
    assert done.exit_code == 2
    assert "pip install 'kneeage[dicom]'" in done.stderr
    assert not stand_in.asked


def test_an_abstention_writes_its_folder_and_ends_with_4(run: Run, stand_in: Pipeline, tmp_path: Path) -> None:
    stand_in.outcome = Outcome.ABSTAINED
    done = run("estimate", "knee", "-o", tmp_path / "out", "--json")
    assert done.exit_code == 4
    assert json.loads(done.stdout)["outcome"] == "abstained"
    assert "A bone was not seen: the distal femur was not seen" in done.stderr
    assert (tmp_path / "out" / "report.html").exists()


def test_a_refusal_is_one_sentence_and_no_folder(run: Run, stand_in: Pipeline, tmp_path: Path) -> None:
    stand_in.error = GeometryError("slice 3 is missing; send the complete series")
    done = run("estimate", "knee", "-o", tmp_path / "out")
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr == "kneeage: slice 3 is missing; send the complete series\n"
    assert not (tmp_path / "out").exists()


def test_a_refusal_is_json_where_json_was_asked_for(run: Run, stand_in: Pipeline, tmp_path: Path) -> None:
    stand_in.error = GeometryError("slice 3 is missing")
    done = run("estimate", "knee", "-o", tmp_path / "out", "--json", "--question", "Q?")
    found = json.loads(done.stdout)
    assert done.exit_code == 3
    assert (found["outcome"], found["reasons"][0]["code"]) == ("refused", "geometry")
    assert found["subject"]["question"] == "Q?"


@pytest.mark.parametrize(
    ("error", "code"),
    [(BundleError("the bundle was altered"), 1), (OutputError("the disk is full"), 1), (MemoryError(), 1)],
)
def test_failures_that_are_not_the_inputs_end_with_1(
    run: Run, stand_in: Pipeline, tmp_path: Path, error: Exception, code: int
) -> None:
    stand_in.error = error
    done = run("estimate", "knee", "-o", tmp_path / "out")
    assert (done.exit_code, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("kneeage: ")


def test_an_unexpected_error_does_not_repeat_its_text(run: Run, stand_in: Pipeline, tmp_path: Path) -> None:
    stand_in.error = RuntimeError("PatientName Doe^Jane")
    done = run("estimate", "knee", "-o", tmp_path / "out")
    assert "unexpected failure (RuntimeError)" in done.stderr
    assert "Doe" not in done.stderr


def test_a_traceback_comes_only_when_asked_for(run: Run, stand_in: Pipeline, tmp_path: Path) -> None:
    stand_in.error = RuntimeError("boom")
    assert "Traceback" in run("-vv", "estimate", "knee", "-o", tmp_path / "out").stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--thresholds", "12,old"), "give numbers parted by commas"),
        (("--sex", "boy"), "kneeage: --sex takes male, female; found 'boy'"),
        (("--claimed-age", "young"), "valid number"),
        (("--lang", "fr"), "en or zh; found 'fr'"),
    ],
)
def test_wrong_values_end_with_2(
    run: Run, stand_in: Pipeline, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    done = run("estimate", "knee", "-o", tmp_path / "out", *options)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())
    assert not stand_in.asked


def test_a_taken_output_is_said_before_any_work(run: Run, stand_in: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    done = run("estimate", "knee", "-o", tmp_path)
    assert done.exit_code == 1
    assert not stand_in.asked
    assert (tmp_path / "mine.txt").exists()


def test_quiet_says_nothing_but_errors(run: Run, stand_in: Pipeline, tmp_path: Path) -> None:
    assert run("-q", "estimate", "knee", "-o", tmp_path / "a").stderr == ""
    stand_in.error = GeometryError("refused")
    assert run("-q", "estimate", "knee", "-o", tmp_path / "b").stderr == "kneeage: refused\n"


@pytest.mark.usefixtures("stand_in")
def test_a_path_in_brackets_is_printed_as_it_is(run: Run, tmp_path: Path) -> None:
    done = run("estimate", "knee", "-o", tmp_path / "[red]膝")
    assert "[red]膝" in done.stderr
