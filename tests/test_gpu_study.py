"""The study's script for a machine with a GPU: it does without SimpleITK and GDCM, and says what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from tests.study.miniature import TINY
from tools import gpu_study

SCRIPT = Path(gpu_study.__file__)
GUARD = Path(__file__).parent / "guard" / "sitecustomize.py"
# Loaded by Python at its start: some packages are as if they were not installed.
BLOCKER = """
from importlib.machinery import PathFinder
exec(compile(open({guard!r}).read(), {guard!r}, "exec"))
found = PathFinder.find_spec

def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in {blocked!r} else found(name, path, target)

PathFinder.find_spec = find_spec
"""
ABSENT = ("SimpleITK", "gdcm", "_gdcm", "torchvision")


def _without(tmp_path: Path, *blocked: str) -> dict[str, str]:
    """The environment of a Python that lacks packages."""
    place = tmp_path / "blocker"
    place.mkdir()
    (place / "sitecustomize.py").write_text(BLOCKER.format(guard=str(GUARD), blocked=blocked), encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}


def test_the_age_model_needs_no_monai(tmp_path: Path) -> None:
    """Cohort in memory, serving code and the age network of the default preset load without what GPU machines lack."""
    code = (
        "import kneeage.phantom.cohort.subject, kneeage.prepare.recipe, kneeage.infer.region, kneeage.infer.segment\n"
        "from kneeage.learn.age_model import AgeModel\n"
        "from kneeage.learn.settings import AgeModelSettings, as_json_object\n"
        "AgeModel(as_json_object(AgeModelSettings(width=0.125)))\n"
    )
    environment = _without(tmp_path, *ABSENT, "monai", "pydicom", "nibabel", "sklearn")
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_is_missing_is_said_before_anything_is_made(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    command = [sys.executable, str(SCRIPT), str(tmp_path / "work"), str(tmp_path / "results"), "--wheels", str(wheels)]
    done = subprocess.run(command, env=_without(tmp_path, "monai"), capture_output=True, text=True)
    assert done.returncode == 1
    assert "this Python has no monai, and pip cannot install them here" in done.stderr
    assert not (tmp_path / "work").exists()


def test_every_world_is_made_once_and_every_fold_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, ...]] = []

    def stand_in(*arguments: str) -> int:
        said.append(arguments)
        if arguments[:2] == ("study", "run"):
            run = Path(arguments[arguments.index("-o") + 1])
            run.mkdir(parents=True, exist_ok=True)
            (run / "report.html").touch()
        return 0

    monkeypatch.setattr(gpu_study, "_kneeage", stand_in)
    places = [str(tmp_path / "work"), str(tmp_path / "results")]
    monkeypatch.setattr(sys, "argv", ["gpu_study", *places, "--folds", "0", "1", "--loaders", "2", "folds=2"])
    gpu_study.main()
    assert [words[:2] for words in said] == 2 * [
        ("phantom", "make"),
        *(2 * [("study", "run"), ("study", "keep")]),
    ]
    fold = said[3]
    assert fold[fold.index("--folds") + 1] == "1"
    assert {"segmenter.fit.workers=2", "age_model.fit.workers=2", "folds=2"} <= set(fold)
    assert (tmp_path / "results" / "machine.json").exists()


def test_a_fold_without_documents_is_no_fault_but_an_unfinished_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_study, "_kneeage", lambda *_: 3)
    names = {"workers": None, "loaders": 0, "segmenter": None, "changes": []}
    options = Namespace(work=tmp_path, results=tmp_path / "results", **names)
    with pytest.raises(SystemExit) as stopped:
        gpu_study.do_fold(options, "table1", "default", 0)
    assert stopped.value.code == 3
    done = tmp_path / "studies" / "table1-default" / "fold_0" / "done.json"
    done.parent.mkdir(parents=True)
    done.touch()
    gpu_study.do_fold(options, "table1", "default", 0)
    gpu_study.keep(options, "table1", "default")
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_miniature_study_from_scratch(tmp_path: Path) -> None:
    """Eighteen subjects, two folds, two steps of each network, without what the commands are said not to need."""
    size = ("--subjects", "18", "--folds", "0", "1", "--worlds", "table1", "--presets", "paper")
    command = [sys.executable, str(SCRIPT), str(tmp_path / "work"), str(tmp_path / "results"), *TINY, *size]
    done = subprocess.run(
        [*command, "--loaders", "0", "--workers", "2"], env=_without(tmp_path, *ABSENT), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    kept = {path.name for path in (tmp_path / "results" / "table1-paper").iterdir()}
    assert {"plan.json", "fold_0", "fold_1"} <= kept
    whole = sum(path.stat().st_size for path in (tmp_path / "results").rglob("*") if path.is_file())
    assert whole < 1_000_000
