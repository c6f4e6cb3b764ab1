"""``kneeage phantom make``: options in, a cohort or one sentence out."""

from __future__ import annotations

import csv
import io
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from kneeage.cli import speak
from kneeage.core import workers
from kneeage.core.anatomy import Plane
from kneeage.core.errors import OutputError, WorkerError
from kneeage.phantom.cohort import make, presets
from kneeage.phantom.cohort.make import CohortRecipe, MadeCohort
from kneeage.phantom.cohort.subject import CORONAL_T1, Imaging
from kneeage.phantom.cohort.write import FileFormat
from kneeage.phantom.scanner.sequence import Weighting
from tests.cli.conftest import Run
from tests.phantom.miniature import SMALL_PRESET


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[CohortRecipe]:
    """Recipes that were asked for; nothing is made."""
    recipes: list[CohortRecipe] = []

    def note(_folder: Path, recipe: CohortRecipe, *_: object) -> MadeCohort:
        recipes.append(recipe)
        return MadeCohort(recipe.subjects, 0)

    monkeypatch.setattr(make, "make_cohort", note)
    return recipes


def test_a_small_cohort_is_made_and_gone_on_with(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(presets.PRESETS, "forensic", SMALL_PRESET)
    command = ("phantom", "make", "-o", tmp_path / "c", "--subjects", "2", "--format", "nifti", "--workers", "1")
    done = run(*command)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'c' / 'subjects.csv'}\n"
    assert "2 of the 6 subjects of small, " in done.stderr
    assert "For demonstration only." in done.stderr
    with (tmp_path / "c" / "subjects.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 2
    assert json.loads((tmp_path / "c" / "cohort.json").read_bytes())["format"] == "nifti"
    assert "2 virtual subjects, 2 of them from an earlier run." in run(*command).stderr
    (labels, *_) = (tmp_path / "c" / "subjects").glob("*/labels.nii.gz")
    labels.write_bytes(b"drawn by hand")
    assert f"edited, damaged or lost since they were made: {labels.parent.name}. To have" in run(*command).stderr
    assert labels.read_bytes() == b"drawn by hand"
    (tmp_path / "c" / "subjects.csv").write_text("mine", encoding="utf-8")
    assert "that table is kept as 'subjects.edited-1.csv', and a new one written." in run(*command).stderr


def test_every_option_reaches_the_recipe(run: Run, asked: list[CohortRecipe], tmp_path: Path) -> None:
    done = run(
        *("phantom", "make", "-o", tmp_path / "c", "--preset", "table1", "--seed", "7", "--format", "nifti"),
        *("--plane", "sagittal", "--sequence", "PD", "--fat-suppressed", "--3d"),
    )
    assert done.exit_code == 0, done.stderr
    (recipe,) = asked
    assert (recipe.preset.name, recipe.subjects, recipe.seed) == ("table1", 1553, 7)
    assert recipe.file_format is FileFormat.NIFTI
    assert recipe.imaging == Imaging(Plane.SAGITTAL, Weighting.PD, fat_suppressed=True, volumetric=True)
    assert "groups" not in done.stderr


def test_the_usual_cohort_is_coronal_t1_dicom(run: Run, asked: list[CohortRecipe], tmp_path: Path) -> None:
    assert run("phantom", "make", "-o", tmp_path / "c", "--subjects", "3").exit_code == 0
    assert (asked[0].preset.name, asked[0].file_format, asked[0].imaging) == ("forensic", FileFormat.DICOM, CORONAL_T1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--preset", "table2"), "--preset takes table1, table1-tight, forensic; found 'table2'"),
        (("--format", "nrrd"), "--format takes dicom, nifti; found 'nrrd'"),
        (("--plane", "axial"), "--plane takes coronal, sagittal; found 'axial'"),
        (("--sequence", "T3"), "--sequence takes T1, PD, T2; found 'T3'"),
        (("--subjects", "0"), "preset 'forensic' has 1 to 1800 subjects; found 0"),
        (("--subjects", "9999"), "has 1 to 1800 subjects; found 9999"),
        (("--subjects", "many"), "Invalid value for '--subjects'"),
        (("--seed", "-1"), "the seed must be a whole number from 0; found -1"),
        (("--workers", "0"), "--workers must be 1 or more; found 0"),
        (("--workers", "2", "--scheduler", "tcp://x:1"), "not both"),
    ],
)
def test_a_wrong_option_ends_with_2_and_makes_nothing(
    options: tuple[str, ...], words: str, run: Run, tmp_path: Path
) -> None:
    done = run("phantom", "make", "-o", tmp_path / "c", *options)
    assert done.exit_code == 2
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_needed(run: Run) -> None:
    assert run("phantom", "make").exit_code == 2


@pytest.mark.parametrize("error", [OutputError("the disk is full: 'c'"), WorkerError("a worker process died")])
def test_a_failure_ends_with_1_and_one_sentence(
    error: Exception, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(make, "make_cohort", fail)
    done = run("phantom", "make", "-o", tmp_path / "c", "--subjects", "1")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [f"kneeage: {error}"]


def test_another_folder_s_work_is_not_touched(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work", encoding="utf-8")
    done = run("phantom", "make", "-o", tmp_path, "--subjects", "1")
    assert done.exit_code == 1
    assert "is a folder that is not empty" in done.stderr


def test_a_scheduler_is_given_the_work(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses: list[str] = []

    def on_cluster(_work: object, jobs: list[object], scheduler: str) -> Iterator[None]:
        addresses.append(scheduler)
        assert len(jobs) == 2
        raise WorkerError("as far as this test goes")
        yield

    monkeypatch.setattr(workers, "on_cluster", on_cluster)
    monkeypatch.setitem(presets.PRESETS, "forensic", SMALL_PRESET)
    run("phantom", "make", "-o", tmp_path / "c", "--subjects", "2", "--scheduler", "tcp://head:8786")
    assert addresses == ["tcp://head:8786"]


def test_without_the_extra_a_scheduler_is_refused_with_the_remedy(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = run("phantom", "make", "-o", tmp_path / "c", "--subjects", "1", "--scheduler", "tcp://head:8786")
    assert done.exit_code == 2
    assert "pip install 'kneeage[cluster]'" in done.stderr


def test_help_names_the_commands(run: Run) -> None:
    shown = run("phantom", "--help").stdout
    assert [name for name in ("make", "ceiling", "sheet") if name not in shown] == []


@pytest.mark.usefixtures("asked")
def test_a_part_is_said_to_be_in_proportion_only_where_it_can_be(run: Run, tmp_path: Path) -> None:
    few = run("phantom", "make", "-o", tmp_path / "c", "--subjects", "4").stderr
    assert "4 of the 1800 subjects of forensic, fewer than its 108 groups" in few
    assert "in the proportions" not in few
    many = run("phantom", "make", "-o", tmp_path / "c", "--subjects", "108").stderr
    assert "108 of the 1800 subjects of forensic, in the proportions of its 108 groups" in many


def test_who_breaks_off_is_answered_at_once_and_told_how_to_go_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[str] = []
    monkeypatch.setattr(speak, "tell", answers.append)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored

    def broken_off(folder: Path, *_: object) -> MadeCohort:
        (folder / "subjects" / "V1").mkdir(parents=True)
        (folder / "subjects" / ".ab.part.V2").mkdir()
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            assert answers == ["Stopping; what is done is kept, and the same command goes on."]
        raise AssertionError

    monkeypatch.setattr(make, "make_cohort", broken_off)
    done = run("phantom", "make", "-o", tmp_path / "c", "--subjects", "5")
    assert done.exit_code == 130
    assert "1 of 5 made.\n" in done.stderr
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def test_an_interrupt_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with speak.stopping("Stopping."):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_terminal_shows_how_many_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, color_system=None, width=100)
    monkeypatch.setattr(speak, "_console", lambda **_: terminal)
    now = [0.0]
    monkeypatch.setattr(speak.time, "monotonic", lambda: now[0])
    with speak.counting("Making virtual subjects") as count:
        count(2, 6)
        for done, now[0] in ((3, 299.0), (4, 300.0)):
            count(done, 6)
    assert "Making virtual subjects" in shown.getvalue()
    assert "4/6 about 5 min left" in shown.getvalue()


def test_a_pipe_shows_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with speak.counting("Making virtual subjects") as count:
        count(2, 3)
    assert capsys.readouterr() == ("", "")
