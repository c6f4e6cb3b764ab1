"""The benchmark fails loudly, notes what the networks are given, and divides the right numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import bench_serving
from benchmarks.bench_serving import Floor
from kneeage.infer.engine import Engine


def test_a_failing_command_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="ended with exit code"):
        bench_serving._cold(tmp_path / "nothing", tmp_path / "out")


def test_floor_is_work_over_rate() -> None:
    assert Floor(multiply_adds=3_000, rate=1_500.0).seconds == 2.0


def test_shapes_of_every_run_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "run", lambda _, inputs: inputs["image"])
    with bench_serving._recorded_shapes() as runs:
        Engine.run(Engine.__new__(Engine), {"image": np.zeros((4, 1, 64, 32), dtype=np.float32)})
    assert runs == [{"image": (4, 1, 64, 32)}]


def test_report_names_the_budget_beside_the_measurement() -> None:
    assert bench_serving._table([("warm", "0.61 s", "1 s")])[-1] == "| warm | 0.61 s | 1 s |"


def test_without_real_data_the_series_is_virtual(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def demo(*arguments: str) -> None:
        folder = Path(arguments[-1]) / "dicom"
        folder.mkdir(parents=True)
        (folder / "1.dcm").touch()

    monkeypatch.delenv("KNEEAGE_REALDATA", raising=False)
    monkeypatch.setattr(bench_serving, "_run", demo)
    with bench_serving._series(tmp_path) as (series, name):
        assert series == tmp_path / "demo" / "dicom"
        assert name == "on a virtual series"
