"""``kneeage train``: a cohort in, a run and a checkpoint out."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from kneeage.cohort.folder import read_cohort
from kneeage.cohort.split import make_folds
from kneeage.cohort.split_files import write_split
from kneeage.core import workers
from kneeage.core.errors import OutputError
from kneeage.core.manifest import AgeStage
from kneeage.core.workers import in_turn
from kneeage.io.lock import only_run
from kneeage.learn import train_cohort
from tests.cli.conftest import Run
from tests.learn.cohorts import draw_the_truth, make_six

FIT = (
    *("fit.max_steps=2", "fit.steps_per_epoch=1", "fit.batch_size=2"),
    *("fit.precision=32-true", "fit.accelerator=cpu"),
)
SEGMENTER = (*FIT, "widths=[8,8,8]", "size=64", "validation_slices=2")
AGE = (*FIT, "width=0.125", "slices_per_subject=1")
LEFT_BEHIND = {
    *("training.json", "split.csv", "split.json", "left_out.csv", "prepared"),
    *("settings.json", "metrics.csv", "curves.png", "last.ckpt", "best.ckpt", "finished.json"),
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_six(tmp_path_factory.mktemp("cohort") / "six")


@pytest.fixture
def train(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, preparing subjects in this process."""
    monkeypatch.setattr(workers, "on_cores", lambda work, items, workers: in_turn(work, items))  # noqa: ARG005
    return lambda *arguments: run("train", *arguments)


@pytest.fixture
def truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segmenter that draws the truth, and an age model that takes any number of slices."""
    draw_the_truth(monkeypatch)
    age = AgeStage(file="age.onnx", region_shape=(64, 64), max_slices=4, min_slices=1)
    monkeypatch.setattr(train_cohort, "age_stage", lambda: age)


@pytest.fixture(scope="module")
def segmenter(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a segmenter."""
    place = tmp_path_factory.mktemp("runs") / "segmenter"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "on_cores", lambda work, items, workers: in_turn(work, items))  # noqa: ARG005
        from typer.testing import CliRunner

        from kneeage.cli.app import app

        done = CliRunner().invoke(app, ["train", "segmenter", str(cohort), "-o", str(place), *SEGMENTER])
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{place / 'best.ckpt'}\n"
    assert "2 subjects to learn from, 1 to validate on, 0 left out." in done.stderr
    return place


def test_segmenter_leaves_a_whole_run(segmenter: Path) -> None:
    assert {path.name for path in segmenter.iterdir()} == LEFT_BEHIND
    settings = json.loads((segmenter / "settings.json").read_text())
    assert (settings["size"], settings["fit"]["max_steps"]) == (64, 2)


def test_a_finished_run_is_not_trained_again(train: Run, cohort: Path, segmenter: Path) -> None:
    before = (segmenter / "metrics.csv").read_text()
    done = train("segmenter", cohort, "-o", segmenter, *SEGMENTER)
    assert (done.exit_code, (segmenter / "metrics.csv").read_text()) == (0, before)


def test_labels_on_another_grid_are_left_out_by_name(train: Run, cohort: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(cohort, own)
    with (own / "subjects.csv").open(newline="") as file:
        first, second, *_ = [row for row in csv.DictReader(file) if row["subset"] == "training"]
    drawn = nibabel.load(own / first["labels"])
    nibabel.save(nibabel.Nifti1Image(np.asarray(drawn.dataobj)[:-1], drawn.affine), own / first["labels"])
    done = train("segmenter", own, "-o", tmp_path / "run", *SEGMENTER)
    assert done.exit_code == 0, done.stderr
    assert f"Left out {first['subject_id']}: " in done.stderr
    assert f"Left out {second['subject_id']}: " not in done.stderr
    assert "1 left out." in done.stderr


def test_a_second_run_in_the_same_folder_is_refused(train: Run, cohort: Path, segmenter: Path) -> None:
    before = (segmenter / "left_out.csv").stat().st_mtime_ns
    with only_run(segmenter / "training.json"):
        done = train("segmenter", cohort, "-o", segmenter, *SEGMENTER)
    assert done.exit_code == 1
    assert f"another run is making a training in '{segmenter}'; wait until it ends" in done.stderr
    assert (segmenter / "left_out.csv").stat().st_mtime_ns == before


def test_a_run_keeps_its_folder_while_it_trains(
    train: Run, cohort: Path, segmenter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: object) -> Path:
        with pytest.raises(OutputError, match="another run"), only_run(segmenter / "training.json"):
            pass
        return segmenter / "best.ckpt"

    monkeypatch.setattr(train_cohort, "train_segmenter", look)
    assert train("segmenter", cohort, "-o", segmenter, *SEGMENTER).exit_code == 0
    with only_run(segmenter / "training.json"):
        pass


def test_training_writes_nothing_outside_its_folder(cohort: Path, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("home", "temporary", "here")}
    for place in places.values():
        place.mkdir()
    own = {"HOME": str(places["home"]), "TMPDIR": str(places["temporary"]), "PYTHONDONTWRITEBYTECODE": "1"}
    elsewhere = ("MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere} | own
    command = [str(Path(sys.executable).with_name("kneeage")), "train", "segmenter", str(cohort), "-o", "run"]
    done = subprocess.run(
        [*command, "--workers", "1", *SEGMENTER], cwd=places["here"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [path.name for path in places["here"].iterdir()] == ["run"]
    assert not list(places["home"].iterdir())
    assert not list(places["temporary"].iterdir())


@pytest.mark.usefixtures("truth")
def test_age_model_learns_from_what_the_segmenter_found(
    train: Run, cohort: Path, segmenter: Path, tmp_path: Path
) -> None:
    done = train("age", cohort, "-o", tmp_path / "age", "--segmenter", segmenter, *AGE)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'age' / 'best.ckpt'}\n"
    with (tmp_path / "age" / "metrics.csv").open() as file:
        assert "validation_nll" in next(csv.reader(file))


def test_the_paper_s_model_is_trained_end_to_end(train: Run, cohort: Path, segmenter: Path, tmp_path: Path) -> None:
    small = ("fit.epochs=1", "fit.batch_size=2", "fit.precision=32-true", "fit.accelerator=cpu")
    done = train(
        *("age", cohort, "-o", tmp_path / "age", "--preset", "paper", "--segmenter", segmenter),
        *(*small, "width=0.125", "size=64"),
    )
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "age" / "best.ckpt").exists()


def test_a_segmenter_that_finds_nothing_leaves_everybody_out(
    train: Run, cohort: Path, segmenter: Path, tmp_path: Path
) -> None:
    done = train("age", cohort, "-o", tmp_path / "age", "--segmenter", segmenter, *AGE)
    assert done.exit_code == 3
    assert "no subject of the group training can be used; " in done.stderr
    assert f"{tmp_path / 'age' / 'left_out.csv'} says why of each" in done.stderr.replace("\n", " ")
    with (tmp_path / "age" / "left_out.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3


def test_a_split_can_be_given(train: Run, cohort: Path, segmenter: Path, tmp_path: Path) -> None:
    done = train(
        *("segmenter", cohort, "-o", tmp_path / "run", "--split", segmenter / "split.csv", *SEGMENTER, "fit.seed=3")
    )
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "run" / "split.csv").read_text() == (segmenter / "split.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fit.max_step=3",), "the nearest is fit.max_steps"),
        (("fit.batch_size=3", "fit.devices=2"), "choose a multiple"),
        (("--preset", "best"), "--preset takes default, forensic, paper; found 'best'"),
        (("--workers", "0"), "--workers must be 1 or more"),
        (("--workers", "1", "--scheduler", "tcp://x:1"), "not both"),
    ],
)
def test_wrong_usage_makes_no_run(
    train: Run, cohort: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = train("segmenter", cohort, "-o", tmp_path / "run", *arguments)
    assert (done.exit_code, (tmp_path / "run").exists()) == (2, False), done.stderr
    assert said in done.stderr


def test_a_folder_that_is_no_cohort_is_refused(train: Run, tmp_path: Path) -> None:
    done = train("segmenter", tmp_path, "-o", tmp_path / "run")
    assert (done.exit_code, (tmp_path / "run").exists()) == (3, False)


def test_a_folder_that_is_no_segmenter_is_refused(train: Run, cohort: Path, tmp_path: Path) -> None:
    for preset in ("default", "paper"):
        done = train("age", cohort, "-o", tmp_path / preset, "--preset", preset, "--segmenter", tmp_path)
        assert done.exit_code == 2
        assert f"'kneeage train segmenter'; '{tmp_path}' is no such folder\n" in done.stderr
        done = train("age", cohort, "-o", tmp_path / preset, "--preset", preset, "--segmenter", "runs/nothing")
        assert done.exit_code == 2
        assert "needs --segmenter: " in done.stderr
        assert "; 'runs/nothing' is not there\n" in done.stderr
        assert not (tmp_path / preset).exists()


def test_a_split_that_does_not_fit_is_refused(train: Run, cohort: Path, tmp_path: Path) -> None:
    folds = make_folds(read_cohort(cohort).entries, 3, seed=1)
    write_split(tmp_path / "folds.csv", folds)
    for name, said in (("folds.csv", "has no validation group"), ("nothing.csv", "nothing.")):
        done = train("segmenter", cohort, "-o", tmp_path / "run", "--split", tmp_path / name)
        assert (done.exit_code, (tmp_path / "run").exists()) == (3, False)
        assert said in done.stderr


def test_a_run_of_another_kind_is_not_gone_on_with(train: Run, cohort: Path, segmenter: Path) -> None:
    done = train("age", cohort, "-o", segmenter, "--segmenter", segmenter, *AGE)
    assert done.exit_code == 2
    assert "holds a run with another network" in done.stderr


@pytest.mark.slow
def test_torchrun_trains_in_two_processes(cohort: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(cohort, tmp_path / "cohort")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    program = str(Path(sys.executable).with_name("kneeage"))
    torchrun = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--master_addr=127.0.0.1", "--master_port=29517")
    command = [*torchrun, "--no-python", program, "train", "segmenter", str(folder), "-o", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, *command, *SEGMENTER, "fit.devices=2"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == f"{tmp_path / 'run' / 'best.ckpt'}\n"
    assert {path.name for path in (tmp_path / "run").iterdir()} == LEFT_BEHIND
