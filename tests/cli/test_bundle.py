"""``kneeage bundle show``, ``verify``, ``make``, ``tune`` and ``recalibrate``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kneeage.core.anatomy import Plane, Sex
from kneeage.core.manifest import (
    AgeStage,
    BundleManifest,
    Calibration,
    Lineage,
    SegmentStage,
    ThresholdPolicy,
    ThresholdRule,
)
from kneeage.io.bundle import load_bundle, write_bundle
from kneeage.learn.progress import Counting
from kneeage.learn.virtual_bundle import Part, VirtualBundleSettings
from kneeage.study import recalibrate, virtual_bundle
from kneeage.study.recalibrate import Recalibration
from tests.cli.conftest import Run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    manifest = BundleManifest(
        name="toy",
        version="1.2",
        population="virtual",
        licence="Apache-2.0",
        plane=Plane.CORONAL,
        sexes=[Sex.MALE],
        age_range_years=(8, 26),
        age_edges_years=[8, 17, 26],
        labels={"background": 0},
        recipe={},
        segment=SegmentStage(file="segment.onnx", label_values=[0, 1]),
        age=AgeStage(file="age.onnx", region_shape=(32, 32), max_slices=4, min_slices=1),
        training_split_sha256="00" * 32,
        held_out={"mae_years": 1.25},
    )
    write_bundle(tmp_path / "toy", manifest, {"segment.onnx": b"s", "age.onnx": b"a"}, "# Toy\n")
    return tmp_path / "toy"


def test_show_says_what_a_bundle_is_for(run: Run, folder: Path) -> None:
    done = run("bundle", "show", folder)
    assert done.exit_code == 0
    for needed in (
        "toy 1.2",
        "virtual",
        "demonstration only",
        "8 to 26 years, in 2 bins",
        "held-out subjects",
        "mae_years",
        "1.25",
    ):
        assert needed in done.stdout


def test_show_gives_the_manifest_as_json(run: Run, folder: Path) -> None:
    assert json.loads(run("bundle", "show", folder, "--json").stdout)["name"] == "toy"


def test_verify_gives_the_identity(run: Run, folder: Path) -> None:
    done = run("bundle", "verify", folder)
    assert (done.exit_code, len(done.stdout.strip())) == (0, 64)
    assert "Whole and unaltered: toy 1.2" in done.stderr


@pytest.mark.parametrize("command", ["show", "verify"])
def test_an_altered_bundle_is_a_loud_failure(run: Run, folder: Path, command: str) -> None:
    (folder / "age.onnx").write_bytes(b"b")
    done = run("bundle", command, folder)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "age.onnx" in done.stderr


def test_make_tells_what_was_made_and_its_numbers(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, Path, int]] = []

    def make(output: Path, work: Path, settings: VirtualBundleSettings, counting: Counting) -> BundleManifest:
        asked.append((output, work, settings.age_model.fit.max_steps))
        with counting("Making it") as advance:
            advance(1, 1)
        return load_bundle(folder).manifest

    monkeypatch.setattr(virtual_bundle, "make_virtual_bundle", make)
    done = run("bundle", "make", "-o", tmp_path / "new", "--work", tmp_path / "work", "age_model.fit.max_steps=7")
    assert asked == [(tmp_path / "new", tmp_path / "work", 7)]
    assert done.stdout == "mae_years\t1.25\n"
    assert "Made toy 1.2" in done.stderr
    assert "next: kneeage bundle tune" in done.stderr


def test_make_stops_after_a_part(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Part] = []

    def train(*_: object, until: Part, **__: object) -> None:
        made.append(until)

    monkeypatch.setattr("kneeage.learn.virtual_bundle.train_virtual_networks", train)
    command = ("bundle", "make", "-o", tmp_path / "new", "--work", tmp_path, "--until")
    assert "everything up to the cohorts" in run(*command, "cohorts").stderr
    assert made == [Part.COHORTS]
    assert run(*command, "lunch").exit_code == 2


def test_make_never_replaces_what_is_there(run: Run, folder: Path) -> None:
    assert run("bundle", "make", "-o", folder).exit_code == 1


def test_make_without_the_training_extra_says_how_to_get_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kneeage.learn.virtual_bundle", None)
    done = run("bundle", "make", "-o", tmp_path / "new")
    assert done.exit_code == 2
    assert "pip install 'kneeage[train]'" in done.stderr


def test_tune_tells_how_many_rules_can_decide(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [ThresholdRule(age_years=18, sex=None, at_least_probability=0.9), ThresholdRule(age_years=18, sex=Sex.MALE)]

    def tune(bundle: Path, work: Path, settings: VirtualBundleSettings, counting: Counting) -> BundleManifest:
        assert (bundle, work, settings.tuning_per_group) == (folder, tmp_path, 7)
        with counting("Making it") as advance:
            advance(1, 1)
        return load_bundle(folder).manifest.model_copy(update={"policy": ThresholdPolicy(rules=rules)})

    monkeypatch.setattr("kneeage.study.virtual_rule.tune_virtual_bundle", tune)
    done = run("bundle", "tune", folder, "--work", tmp_path, "tuning_per_group=7")
    assert done.stdout == f"{folder}\n"
    assert "Tuned toy 1.2: 1 of 2 rules" in done.stderr


def test_tune_refuses_the_bundle_of_others(run: Run, folder: Path, tmp_path: Path) -> None:
    before = (folder / "SHA256SUMS").read_bytes()
    done = run("bundle", "tune", folder, "--work", tmp_path / "work")
    assert done.exit_code == 3
    assert "kneeage bundle recalibrate" in done.stderr
    assert (folder / "SHA256SUMS").read_bytes() == before


def test_recalibrate_tells_before_and_after(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def done(
        bundle: Path, cohort: Path, output: Path, *, limit: float | None, advance: Callable[[int, int], None]
    ) -> Recalibration:
        assert (bundle, cohort, output, limit) == (folder, tmp_path / "local", tmp_path / "new", 0.05)
        advance(1, 1)
        manifest = load_bundle(folder).manifest
        lineage = Lineage(
            parent_name="toy",
            parent_version="1.2",
            parent_sha256="0" * 64,
            subjects=180,
            subjects_sha256="0" * 64,
            before={"mean_error_years": -1.25, "interval_95_mean_width_years": 4.5},
            after={"mean_error_years": 0.0625},
        )
        calibration = Calibration(location_years=1.25, scale=2.0)
        changed = {"name": "toy-recalibrated", "lineage": lineage, "calibration": calibration}
        return Recalibration(manifest.model_copy(update=changed), examined=200, left_out=20)

    monkeypatch.setattr(recalibrate, "recalibrate", done)
    found = run("bundle", "recalibrate", folder, tmp_path / "local", "-o", tmp_path / "new", "--limit", 0.05)
    assert found.exit_code == 0
    assert "location +1.25 years, scale 2.00; 20 of 200 subjects had no answer" in found.stderr
    for needed in ("mean error years", "-1.250", "0.062", "cross-validated"):
        assert needed in found.stdout


def test_recalibrate_needs_a_cohort(run: Run, folder: Path, tmp_path: Path) -> None:
    found = run("bundle", "recalibrate", folder, tmp_path / "nothing", "-o", tmp_path / "new")
    assert found.exit_code == 3
    assert "is no cohort" in found.stderr
    assert not (tmp_path / "new").exists()


def test_recalibrate_needs_the_training_extra(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    found = run("bundle", "recalibrate", folder, tmp_path, "-o", tmp_path / "new")
    assert found.exit_code == 2
    assert "pip install 'kneeage[train]'" in found.stderr
