"""The ablations, in miniature: rows, regions, resume, table."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ablation_regions, ablations
from benchmarks.ablation_regions import Cut, Subjects, Task, make_regions, make_task
from benchmarks.ablation_rows import FIRST_SEED, ROWS, T1, Row, Training, reference_of, settings_of, trainings
from benchmarks.ablation_table import NOT_MEASURED, merged, parts, read_lines, table, write_tables
from benchmarks.ablations import PAGES, RESULTS, Plan, measures, train_row, write_results
from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.core.workers import in_turn
from kneeage.io.bundle import SHIPPED_BUNDLE
from kneeage.learn.presets import preset
from kneeage.phantom.cohort.presets import Subset
from tests.learn.sources import write_regions
from tools.marked_page import filled

BEGIN, END = "<!-- begin ablations default -->", "<!-- end ablations default -->"
SIZE = "<!-- begin ablations size -->\n<!-- end ablations size -->"
NARROW = ("width=0.125", "slices_per_subject=1", "fit.batch_size=2", "fit.precision=32-true", "fit.channels_last=false")
FIRST = Row("default", "default", "as it is", NARROW)
SECOND = Row("masked", "default", "masked", (*NARROW, "inputs=masked"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_changes_what_it_says_and_nothing_else(row: Row) -> None:
    training = Training(row, FIRST_SEED)
    settings, usual = settings_of(training, 100), settings_of(Training(ROWS[0], FIRST_SEED), 100)
    assert (settings.fit.max_steps, settings.fit.steps_per_epoch, settings.fit.seed) == (100, 50, FIRST_SEED)
    assert (settings == usual) == (not row.changes)
    assert reference_of(row) in ROWS
    assert ablations._training(training.name) == training


def test_the_first_row_is_the_default_preset() -> None:
    usual, own = preset("default").age_model, settings_of(Training(ROWS[0], FIRST_SEED), 100)
    length = {name: getattr(usual.fit, name) for name in ("max_steps", "steps_per_epoch", "progress_bar")}
    assert replace(own, fit=replace(own.fit, **length)) == usual


def test_rows_can_be_chosen() -> None:
    assert [training.name for training in trainings(["raw", "t2"], seeds=1)] == [
        f"raw-{FIRST_SEED}",
        f"t2-{FIRST_SEED}",
    ]
    assert len(list(trainings(["default"], seeds=1))) == 2
    with pytest.raises(UsageError, match="there is no row 'row'; take some of default, masked"):
        list(trainings(["row"], seeds=1))


def test_nobody_is_both_learnt_from_and_judged_and_nobody_is_external() -> None:
    learnt, judged = Subjects("table1", 40, 15).groups()
    assert (len(learnt), len(judged)) == (40, 15)
    assert not {member.seed for member in learnt} & {member.seed for member in judged}
    everybody = [*learnt, *judged]
    assert {member.stratum.hospital.name for member in everybody} == {"A"}
    assert Subset.EXTERNAL not in {member.stratum.subset for member in everybody}
    ages = [member.chronological_age_years for member in judged]
    assert max(ages) - min(ages) > 6


def test_regions_are_cut_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Task] = []

    def note(cut: Cut, task: Task) -> None:
        made.append(task)
        place = ablation_regions._place(cut, task.weighting, task.member, ".json")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("{}")

    monkeypatch.setattr(ablation_regions, "make_task", note)
    monkeypatch.setattr(ablation_regions, "on_cores", lambda work, items, _: in_turn(work, items))
    cut, members, told = Cut(tmp_path, SHIPPED_BUNDLE, "table1"), Subjects("table1", 2, 1).members(), []
    for weightings in ({"T1"}, {"T1", "PD"}):
        make_regions(cut, members, weightings, 1, lambda *counts: told.append(counts))
    assert [task.weighting.value for task in made] == ["T1"] * 3 + ["PD"] * 3
    assert (told[0], told[-1]) == ((0, 3), (6, 6))


def test_a_subject_is_taken_through_the_serving_code(tmp_path: Path) -> None:
    cut, members = Cut(tmp_path, SHIPPED_BUNDLE, "table1", planes_per_slice=1), Subjects("table1", 2, 1).members()
    make_task(cut, Task(members[0], ablation_regions.Weighting.T1))
    (path,) = ablation_regions.files_of(cut, T1, members)
    with np.load(path) as arrays:
        assert arrays["regions"].shape[1:] == (3, 160, 160)
        assert float(arrays["age_years"]) == members[0].chronological_age_years


def test_measures_of_an_answer() -> None:
    edges = np.arange(10, 20.0)
    found = measures(np.array([0.1, 0.6, 0.3, 0, 0, 0, 0, 0, 0]), edges, 12.5)
    assert found["nll"] == pytest.approx(-np.log(0.3))
    assert found["mean_error_years"] == pytest.approx(12.5 - (0.1 * 10.5 + 0.6 * 11.5 + 0.3 * 12.5))
    assert (found["exact_year"], found["within_one_year"]) == (0, 1)
    halves = measures(np.array([0.1, 0.1, 0.2, 0.15, 0.4, 0.05]), np.arange(10, 13.1, 0.5), 11.1)
    assert halves["nll"] == pytest.approx(-np.log(0.35))
    assert (halves["exact_year"], halves["within_one_year"]) == (0, 1)


@pytest.fixture
def plan() -> Plan:
    return Plan(Subjects("table1", 3, 2), 2, SHIPPED_BUNDLE, 1, 1)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Five tiny subjects, three to learn from and two to judge."""
    found = sorted(write_regions(tmp_path / "given", subjects=5).glob("*.npz"))
    monkeypatch.setattr(
        ablations, "files_of", lambda _cut, _kind, members: found[:3] if len(members) == 3 else found[3:]
    )
    return found


@pytest.fixture
def page(tmp_path: Path) -> Path:
    place = tmp_path / "page.md"
    place.write_text(f"# Title\n{SIZE}\n{BEGIN}\nold\n{END}\nend\n", encoding="utf-8")
    return place


@pytest.mark.usefixtures("files")
def test_trainings_become_lines_and_a_table(
    plan: Plan, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ablations, sys.modules[Training.__module__], sys.modules[table.__module__]):
        monkeypatch.setattr(module, "ROWS", (FIRST, SECOND), raising=False)
    for row in (FIRST, SECOND):
        train_row(tmp_path / "work", plan, Training(row, FIRST_SEED))
    write_results(tmp_path / "work", plan, tmp_path / "a.csv", [page])
    chance, first, second = read_lines(tmp_path / "a.csv")
    assert [line["row"] for line in (chance, first, second)] == ["chance", "default", "masked"]
    assert (first["training"], first["validation"], first["steps"], first["nll_minus_reference"]) == ("3", "2", "2", "")
    difference = float(second["nll"]) - float(first["nll"])
    assert float(second["nll_minus_reference"]) == pytest.approx(difference, abs=2e-4)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Title\n<!-- begin ablations size -->\nMeasured on `table1`: 3 subjects")
    assert text.endswith(f"{END}\nend\n")
    assert f"| masked | 1 | {float(second['nll']):.3f} | {difference:+.3f} ±" in text
    assert first["minutes"]
    train_row(tmp_path / "work", plan, Training(FIRST, FIRST_SEED))
    assert ablations._outcome(tmp_path / "work", Training(FIRST, FIRST_SEED))["minutes"] == ""


@pytest.mark.slow
def test_every_row_trains(plan: Plan, files: list[Path], tmp_path: Path) -> None:
    """One step of two slices each; the sequences differ in their files alone."""
    few = ("fit.batch_size=2", "slices_per_subject=1", "fit.accelerator=cpu")
    for row in ROWS:
        training = Training(replace(row, changes=(*row.changes, *few)), FIRST_SEED)
        train_row(tmp_path, replace(plan, steps=1), training)
        assert ablations._outcome(tmp_path, training)["subjects"].keys() == {path.stem for path in files[3:]}, row.name


def test_finished_trainings_are_not_done_again(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(ablations, "make_regions", lambda *_: None)
    monkeypatch.setattr(ablations.subprocess, "run", lambda command, **_: asked.append(command))
    work = tmp_path / "work"
    wanted = [Training(ROWS[0], FIRST_SEED), Training(ROWS[1], FIRST_SEED)]
    (work / "done").mkdir(parents=True)
    (work / "done" / f"default-{FIRST_SEED}.json").write_text("{}")
    ablations.do_rows(work, plan, wanted, 1)
    (command,) = asked
    assert f"--train=masked-{FIRST_SEED}" in command
    monkeypatch.setattr(sys, "argv", ["ablations", *command[3:]])
    read = ablations._options()
    assert (read.training, read.validation, read.steps, read.planes, read.threads) == (3, 2, 2, 1, 1)
    assert (read.work, read.segmenter) == (work, SHIPPED_BUNDLE)


def test_a_work_folder_of_another_size_is_refused(plan: Plan, tmp_path: Path) -> None:
    ablations._begin(tmp_path / "work", plan)
    ablations._begin(tmp_path / "work", plan)
    with pytest.raises(InputRefusedError, match="holds ablations of another size"):
        ablations._begin(tmp_path / "work", replace(plan, steps=3))
    assert json.loads((tmp_path / "work" / "plan.json").read_text())["steps"] == 2


def test_lines_of_the_same_plan_are_kept() -> None:
    old = [{"row": "raw", "seed": "1", "plan": "a", "nll": "1"}, {"row": "default", "seed": "1", "plan": "b"}]
    new = [{"row": "masked", "seed": "1", "plan": "a"}, {"row": "chance", "seed": "", "plan": "a"}]
    assert [line["row"] for line in merged(old, new, "a")] == ["chance", "masked", "raw"]
    assert merged(old, [{**old[0], "nll": "2"}], "a")[0]["nll"] == "2"


def test_rows_without_a_training_say_so(page: Path) -> None:
    write_tables(page, [])
    counted = sum(row.group == "default" for row in ROWS) + 1
    assert page.read_text(encoding="utf-8").count(NOT_MEASURED) == counted
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(InputRefusedError, match="none of the parts ablations size"):
        write_tables(page, [])


def test_the_pages_hold_what_was_measured() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    for name in parts([]):
        assert any(f"<!-- begin {name} -->" in text for text in texts), name
    for page, text in zip(PAGES, texts, strict=True):
        write = {name: part for name, part in parts(read_lines(RESULTS)).items() if f"<!-- begin {name} -->" in text}
        assert filled(text, write) == text, f"{page.name}: run `make ablations`"


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """`train_row` sets the threads of this process."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
