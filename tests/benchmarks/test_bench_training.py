"""The benchmark of the training times what it says, in miniature."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import bench_training
from benchmarks.bench_training import Times, our_seconds, plain_seconds, report
from kneeage.cohort.folder import read_cohort
from kneeage.core.manifest import AgeStage
from kneeage.learn.settings import AgeModelSettings, FitSettings
from tests.learn.cohorts import make_six

SETTINGS = AgeModelSettings(fit=FitSettings(batch_size=2, precision="32-true"), width=0.125, slices_per_subject=1)


def test_both_loops_learn_from_the_same_subjects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    age = AgeStage(file="age.onnx", region_shape=(64, 64), max_slices=4, min_slices=1)
    monkeypatch.setattr(bench_training, "age_stage", lambda: age)
    cohort = read_cohort(make_six(tmp_path / "cohort"))
    files = bench_training._cached(cohort, tmp_path / "prepared")
    usable = tuple(entry for entry in cohort.entries if entry.subject_id in {file.stem for file in files})
    assert len(usable) >= 2
    images, plain = plain_seconds(replace(cohort, entries=usable), SETTINGS, 3)
    assert 0 < images < plain
    assert our_seconds(files, SETTINGS, 2, tmp_path / "run") > 0
    assert len(bench_training._variants(files, SETTINGS, 1)) == 4
    monkeypatch.setattr(bench_training, "NETWORKS", ("googlenet",))
    assert bench_training._networks(files, SETTINGS, 1)["googlenet"] > 0


@pytest.mark.parametrize(
    ("plain", "verdict"), [(6.0, "**3.0 times the plain loop** (at least 2: met)"), (3.0, "missed")]
)
def test_report_says_whether_the_target_is_met(plain: float, verdict: str) -> None:
    text = report(
        Times(2.0, plain, 1.0, {"float32": 1.5}, {"resnet18": 1.0}), AgeModelSettings(), subjects=32, threads=2
    )
    assert verdict in text
    assert f"| plain loop, all in all | {plain:.2f} | {16 / plain:.1f} |" in text
    assert "| network alone, one slice: resnet18 | 1.00 | 16.0 |" in text
