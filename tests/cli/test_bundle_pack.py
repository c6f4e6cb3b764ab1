"""``kneeage bundle pack``: from a training to an answer, as a user would."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kneeage.core import workers
from kneeage.core.workers import in_turn
from kneeage.io.bundle import SHIPPED_BUNDLE
from kneeage.phantom.cohort.presets import Subset
from kneeage.pipeline import UNCALIBRATED_WARNING
from kneeage.study.local_fit import MIN_LOCAL_SUBJECTS
from tests.cli.conftest import Run
from tests.study.miniature import make_small_cohort, preset

FIT = (
    *("fit.max_steps=2", "fit.steps_per_epoch=1", "fit.batch_size=2", "width=0.125", "slices_per_subject=1"),
    *("fit.precision=32-true", "fit.accelerator=cpu"),
)


@dataclass(frozen=True)
class Place:
    """Where everything lies."""

    cohort: Path
    age: Path
    bundle: Path

    @property
    def image(self) -> Path:
        """An image of the cohort."""
        return next((self.cohort / "subjects").glob("*/image.nii.gz"))


@pytest.fixture
def place(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Six boys of 12 and 16 years, and an age model trained behind the shipped bundle's segmenter."""
    monkeypatch.setattr(workers, "on_cores", lambda work, items, workers: in_turn(work, items))  # noqa: ARG005
    six = preset(3, 0, range(12, 17, 4))
    boys = replace(six, strata=tuple(stratum for stratum in six.strata if stratum.subset is Subset.TRAINING))
    cohort, age = make_small_cohort(tmp_path / "cohort", boys), tmp_path / "age"
    done = run("train", "age", cohort, "-o", age, "--segmenter", SHIPPED_BUNDLE, *FIT)
    assert done.exit_code == 0, done.stderr
    return Place(cohort, age, tmp_path / "bundle")


def test_from_a_training_to_an_answer(run: Run, place: Place, tmp_path: Path) -> None:
    command = ("bundle", "pack", place.cohort, "--segmenter", SHIPPED_BUNDLE, "--age", place.age, "-o", place.bundle)
    done = run(*command, "--name", "boys", "--version", "0.1", "--licence", "CC-BY-4.0")
    assert (done.exit_code, done.stdout) == (0, f"{place.bundle}\n"), done.stderr
    assert "age.onnx answers in ONNX Runtime as in torch" in done.stderr
    assert "Made boys 0.1. It is not calibrated" in done.stderr

    assert run("bundle", "verify", place.bundle).exit_code == 0
    shown = run("bundle", "show", place.bundle).stdout
    assert "CC-BY-4.0" in shown
    assert "held-out" not in shown

    asked = ("estimate", place.image, "--bundle", place.bundle, "-o")
    answered = run(*asked, tmp_path / "answer", "--sex", "male", "--thresholds", "14,17")
    assert answered.exit_code == 0, answered.stderr
    result = json.loads((tmp_path / "answer" / "result.json").read_text())
    assert [threshold["decision"] for threshold in result["thresholds"]] == ["undetermined"] * 2
    assert result["thresholds"][0]["decision_reason"].startswith("no threshold rule was tuned")
    assert "knows only subjects of 12" in result["thresholds"][1]["decision_reason"]  # the oldest boy is 16
    assert result["interval_years"][0]["method"].endswith("uncalibrated")
    assert result["minimum_age_years"] is None
    assert UNCALIBRATED_WARNING in result["warnings"]
    assert run(*asked, tmp_path / "unasked", "--sex", "female").exit_code == 4

    assert run(*command).exit_code == 1  # the folder is there
    small = run("bundle", "recalibrate", place.bundle, place.cohort, "-o", tmp_path / "local")
    assert small.exit_code == 3
    assert f"6 of 6 subjects have an answer from this bundle; recalibration needs at least {MIN_LOCAL_SUBJECTS}" in (
        " ".join(small.stderr.split())
    )


def test_packing_without_the_training_extra_says_how_to_get_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kneeage.study.pack", None)
    done = run("bundle", "pack", tmp_path, "--segmenter", tmp_path, "--age", tmp_path, "-o", tmp_path / "new")
    assert done.exit_code == 2
    assert "pip install 'kneeage[train]'" in done.stderr


def test_a_folder_that_is_no_run_is_refused(run: Run, tmp_path: Path) -> None:
    done = run("bundle", "pack", tmp_path, "--segmenter", tmp_path, "--age", tmp_path, "-o", tmp_path / "new")
    assert (done.exit_code, (tmp_path / "new").exists()) == (3, False)
    assert "holds no run of 'kneeage train'" in done.stderr


def test_an_age_run_must_be_given(run: Run, tmp_path: Path) -> None:
    assert run("bundle", "pack", tmp_path, "--segmenter", tmp_path, "-o", tmp_path / "new").exit_code == 2
