"""Cohorts are reproducible to the byte, go on where they stopped, and hold no half subject."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kneeage.core.errors import OutputError, UsageError
from kneeage.core.workers import on_cores
from kneeage.io.itksnap import label_descriptions
from kneeage.phantom.cohort.make import CohortRecipe, MadeCohort, make_cohort, make_member
from kneeage.phantom.cohort.presets import Member, roster
from kneeage.phantom.cohort.subject import Imaging
from kneeage.phantom.cohort.write import FileFormat
from kneeage.phantom.growth.table import FORENSIC, table_hash
from kneeage.phantom.scanner.sequence import Weighting
from tests.phantom.miniature import SMALL_PRESET, digests, small_recipe

ROOT = Path(__file__).resolve().parents[3]
# Makes a small cohort slowly enough to be killed in the middle.
SLOWLY = """
import sys, time
from functools import partial
from pathlib import Path
from kneeage.phantom.cohort.make import make_cohort
from kneeage.core.workers import on_cores
from tests.phantom.miniature import small_recipe

if __name__ == "__main__":
    make_cohort(Path(sys.argv[1]), small_recipe(6), partial(on_cores, workers=2), lambda *_: time.sleep(0.2))
"""


def here(work: Callable[[Member], None], members: Sequence[Member]) -> Iterator[None]:
    """Do the work in this process."""
    for member in members:
        yield work(member)


def make(folder: Path, recipe: CohortRecipe | None = None, **options: Any) -> MadeCohort:
    return make_cohort(folder, recipe or small_recipe(), **{"run": here, "tell": lambda *_: None, **options})


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "subjects.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "whole"
    make(folder, small_recipe(6))
    return folder


def test_the_folder_explains_itself(whole: Path) -> None:
    manifest = json.loads((whole / "cohort.json").read_bytes())
    assert (manifest["population"], manifest["preset"], manifest["subjects"], manifest["seed"]) == (
        "virtual",
        "small",
        6,
        1,
    )
    assert manifest["growth_table_sha256"] == table_hash(FORENSIC)
    assert set(manifest["software"]) == {"kneeage", "numpy", "scipy"}
    assert "not for forensic use" in (whole / "README.txt").read_text(encoding="utf-8")
    assert (whole / "labels.txt").read_text(encoding="ascii") == label_descriptions()


def test_every_subject_of_the_roster_is_there_with_its_row(whole: Path) -> None:
    members = roster(SMALL_PRESET, 6, 1)
    rows = rows_of(whole)
    assert [row["subject_id"] for row in rows] == [member.subject_id for member in members]
    assert [float(row["chronological_age_years"]) for row in rows] == [m.chronological_age_years for m in members]
    assert {row["subset"] for row in rows} == {"training", "external"}
    for row in rows:
        assert (whole / row["image"]).name == "image.nii.gz"
        assert (whole / row["labels"]).is_file()
    for member in members:
        files = {path.name for path in (whole / "subjects" / member.subject_id).iterdir()}
        assert files == {"image.nii.gz", "labels.nii.gz", "subject.json"}


@pytest.mark.parametrize("file_format", list(FileFormat))
def test_two_runs_give_the_same_bytes(file_format: FileFormat, tmp_path: Path) -> None:
    recipe = small_recipe(2, file_format=file_format)
    make(tmp_path / "first", recipe)
    make(tmp_path / "again", recipe)
    assert digests(tmp_path / "first") == digests(tmp_path / "again")


def test_processes_give_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    make(tmp_path / "processes", small_recipe(6), run=partial(on_cores, workers=2))
    assert digests(tmp_path / "processes") == digests(whole)


def test_another_seed_gives_other_subjects(whole: Path, tmp_path: Path) -> None:
    make(tmp_path / "other", small_recipe(2, seed=2))
    assert not {row["subject_id"] for row in rows_of(tmp_path / "other")} & {
        row["subject_id"] for row in rows_of(whole)
    }


def test_plane_and_contrast_are_those_asked_for(tmp_path: Path) -> None:
    recipe = replace(small_recipe(1), imaging=Imaging(weighting=Weighting.PD, fat_suppressed=True, planes_per_slice=1))
    make(tmp_path / "pd", recipe)
    (row,) = rows_of(tmp_path / "pd")
    assert row["sequence"].startswith("PD")
    assert row["sequence"].endswith("FS")


def test_what_is_finished_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    make(folder)
    times = {path: path.stat().st_mtime_ns for path in (folder / "subjects").rglob("*.nii.gz")}
    told: list[tuple[int, int]] = []
    assert make(folder, tell=lambda *counts: told.append(counts)) == MadeCohort(subjects=3, kept=3)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert told == [(3, 3)]


@pytest.mark.parametrize("change", ["edited", "cut", "gone"])
def test_a_changed_subject_is_named_and_kept(change: str, whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "cohort"))
    name = roster(SMALL_PRESET, 6, 1)[2].subject_id
    labels = folder / "subjects" / name / "labels.nii.gz"
    if change == "gone":
        labels.unlink()
    else:
        labels.write_bytes(labels.read_bytes()[:-5] if change == "cut" else b"somebody's work of a week")
    before = digests(folder)
    assert make(folder, small_recipe(6)) == MadeCohort(subjects=6, kept=6, changed=(name,))
    assert digests(folder) == before


def test_a_subject_that_was_moved_away_is_made_anew(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "cohort"))
    (folder / "subjects" / _first_id()).rename(tmp_path / "moved")
    assert make(folder, small_recipe(6)) == MadeCohort(subjects=6, kept=5)
    assert digests(folder) == digests(whole)


@pytest.mark.parametrize("facts", [None, "{}", "[1"])
def test_a_subject_without_its_facts_is_named_and_nothing_is_made(facts: str | None, tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    place = folder / "subjects" / _first_id()
    make(folder, small_recipe(1))
    (place / "subject.json").unlink()
    if facts is not None:
        (place / "subject.json").write_text(facts, encoding="utf-8")
    before = digests(folder)
    with pytest.raises(OutputError, match=rf"{_first_id()}.* has no sound subject.json, .* move that folder"):
        make(folder, small_recipe(1))
    assert digests(folder) == before


def test_a_subject_that_is_there_is_never_written_again(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "cohort"))
    (folder / "subjects" / _first_id() / "labels.nii.gz").write_bytes(b"drawn by hand")
    before = digests(folder)
    make_member(folder, small_recipe(6), roster(SMALL_PRESET, 6, 1)[0])
    assert digests(folder) == before


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are killed the POSIX way")
def test_a_killed_run_goes_on_and_comes_to_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    (tmp_path / "slowly.py").write_text(SLOWLY, encoding="utf-8")
    command = [sys.executable, tmp_path / "slowly.py", folder]
    process = subprocess.Popen(command, cwd=ROOT, env=_environment(), start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(folder.glob("subjects/V*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    shutil.copytree(whole / "subjects" / _first_id(), folder / "subjects" / ".0.part.left-over")
    assert not (folder / "subjects.csv").exists()
    made = make(folder, small_recipe(6))
    assert 1 <= made.kept < 6
    assert digests(folder) == digests(whole)


def test_an_error_leaves_no_half_subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    folder = tmp_path / "cohort"
    monkeypatch.setattr("kneeage.phantom.cohort.make.subject_row", fail)
    with pytest.raises(OutputError, match="the disk is full"):
        make(folder)
    assert list((folder / "subjects").iterdir()) == []
    monkeypatch.undo()
    assert make(folder).kept == 0


def test_a_full_disk_is_said_from_a_process(small_disk: Path) -> None:
    with pytest.raises(OutputError, match=r"disk is full|No space left"):
        make(small_disk / "cohort", small_recipe(6), run=partial(on_cores, workers=1))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seed": 2}, "seed = 1; this run has 2"),
        ({"subjects": 2}, "subjects = 3; this run has 2"),
        ({"imaging": Imaging()}, "planes_per_slice = 1; this run has 5"),
        ({"imaging": Imaging(volumetric=True, planes_per_slice=1)}, "volumetric = False; this run has True"),
        ({"file_format": FileFormat.DICOM}, "format = 'nifti'; this run has 'dicom'"),
        ({"preset": replace(SMALL_PRESET, growth=FORENSIC.with_value("tempo_sd_years", 0.5))}, "growth_table_sha256"),
    ],
)
def test_another_recipe_is_refused(changed: dict[str, Any], words: str, whole: Path) -> None:
    recipe = replace(small_recipe(6), **changed)
    before = digests(whole)
    with pytest.raises(UsageError, match=words.replace("subjects = 3", "subjects = 6")):
        make(whole, recipe)
    assert digests(whole) == before


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work", encoding="utf-8")
    with pytest.raises(OutputError, match="not empty"):
        make(tmp_path)
    (tmp_path / "cohort.json").write_text("[]", encoding="utf-8")
    with pytest.raises(OutputError, match="no manifest"):
        make(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cohort.json", "thesis.docx"]


def test_a_name_that_no_disk_takes_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        make(tmp_path / ("x" * 300))


def test_an_edited_table_is_kept_beside_a_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    assert make(folder, small_recipe(1)).edited_table is None
    table = folder / "subjects.csv"
    before = table.read_bytes()
    for number in (1, 2):
        table.write_bytes(before + b"my note\n")
        made = make(folder, small_recipe(1))
        assert made == MadeCohort(1, 1, edited_table=folder / f"subjects.edited-{number}.csv")
        assert made.edited_table is not None
        assert made.edited_table.read_bytes() == before + b"my note\n"
        assert table.read_bytes() == before


def test_a_second_run_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "cohort"

    def meanwhile(work: Callable[[Member], None], members: Sequence[Member]) -> Iterator[None]:
        with pytest.raises(OutputError, match="another run is making the cohort"):
            make(folder)
        return here(work, members)

    assert make(folder, run=meanwhile) == MadeCohort(subjects=3, kept=0)


def test_a_3d_cohort_says_so(tmp_path: Path) -> None:
    make(tmp_path / "cohort", replace(small_recipe(1), imaging=Imaging(volumetric=True, planes_per_slice=1)))
    assert json.loads((tmp_path / "cohort" / "cohort.json").read_bytes())["volumetric"] is True
    assert [row["volumetric"] for row in rows_of(tmp_path / "cohort")] == ["1"]


def test_one_member_can_be_made_on_its_own(whole: Path, tmp_path: Path) -> None:
    recipe = small_recipe(6)
    member = roster(recipe.preset, 6, 1)[4]
    make_member(tmp_path, recipe, member)
    place = Path("subjects") / member.subject_id
    assert digests(tmp_path / place) == digests(whole / place)


def _first_id() -> str:
    return roster(SMALL_PRESET, 6, 1)[0].subject_id


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
