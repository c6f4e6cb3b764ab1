"""The benchmark of the virtual cohort times what it says, in miniature."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from benchmarks import bench_phantom
from benchmarks.bench_phantom import STAGES, Sample, Stopwatch, SubjectTimes, reference_seconds, report, subject_times
from kneeage.phantom.cohort.subject import CORONAL_T1, HOSPITAL_A, plan_series
from tests.phantom.miniature import coarse


def test_an_inner_stage_does_not_count_for_the_outer_one() -> None:
    watch = Stopwatch()
    inner = watch.timed("inner", lambda: _work(0.04))
    watch.timed("outer", lambda: (_work(0.01), inner()))()
    assert watch.seconds["inner"] == pytest.approx(0.04, abs=0.01)
    assert watch.seconds["outer"] == pytest.approx(0.01, abs=0.01)


def test_the_stages_of_a_subject_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_phantom, "HOSPITAL_A", coarse(HOSPITAL_A))
    monkeypatch.setattr(bench_phantom, "PIXELS", 48)
    monkeypatch.setattr(bench_phantom, "SLICES", 2)
    times = subject_times(tmp_path / "subject")
    assert set(times.stages) == set(STAGES)
    assert min(times.stages.values()) > 0
    assert sum(times.stages.values()) == pytest.approx(times.processor)
    assert (tmp_path / "subject" / "labels.nii.gz").exists()


def test_the_reference_takes_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_phantom, "REFERENCE_OPERATIONS", 3)
    assert reference_seconds(repeats=2) > 0


def test_the_report_names_budgets_and_extrapolates() -> None:
    times = [SubjectTimes(1.5, 1.4, dict.fromkeys(STAGES, 0.3))] * 3
    sample = Sample(subjects=10, seconds=10.0, workers=2, megapixels=2.0, megapixels_of_all=2.5)
    text = report(times, [1.4, 2.8], 0.05, sample)
    assert "| one subject, made and written | 1.50 | 2 |" in text
    assert "a subject costs 28 of them" in text
    assert "| mean of 2 subjects of `table1`, processor time | 2.10 | |" in text
    assert "cost 1.50 times as much as the one of 320 x 320, in the same process (1.40 to 2.80 s)" in text
    assert "has 2.00 million pixels, one of all 1,553 has 2.50, and the one above 2.46" in text
    assert "1.00 s per subject, so that all 1,553 take 26 minutes (at most 30)" in text


def test_the_mix_is_measured_beside_the_subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(bench_phantom, "subject_times", lambda _: SubjectTimes(1.0, 1.0, {}))
    monkeypatch.setattr(bench_phantom, "make_member", lambda _place, _recipe, member: made.append(member.subject_id))
    monkeypatch.setattr(bench_phantom, "REFERENCE_OPERATIONS", 3)
    bench_phantom._note_times(tmp_path / "times.json", tmp_path, 4, 2)
    found = json.loads((tmp_path / "times.json").read_bytes())
    assert len(found["times"]) == 2
    assert len(found["mix"]) == len(set(made)) == 4


def test_pixels_are_those_of_the_plans() -> None:
    members = bench_phantom._members(bench_phantom._recipe(3))
    plans = [plan_series(member.seed, member.stratum.hospital, CORONAL_T1) for member in members]
    expected = sum(plan.slices * plan.pixels**2 for plan in plans) / 3e6
    assert bench_phantom._megapixels(members) == pytest.approx(expected)


def _work(seconds: float) -> None:
    """Keep the processor busy."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
