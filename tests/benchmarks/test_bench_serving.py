"""The benchmark fails loudly, notes what the networks are given, and divides the right numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import bench_serving
from benchmarks.bench_serving import Floor
from kneeage.infer.age import POOLED_INPUTS, POOLED_OUTPUTS
from kneeage.infer.engine import Engine
from tests.infer.knees import pooled_age_model, segment_model


def test_a_failing_command_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="ended with exit code"):
        bench_serving._cold(tmp_path / "nothing", tmp_path / "out")


def test_floor_is_work_over_rate() -> None:
    assert Floor(multiply_adds=3_000, rate=1_500.0).seconds == 2.0


def test_shapes_of_every_run_are_noted_of_every_kind_of_network() -> None:
    edges = [float(age) for age in range(8, 27)]
    engines = [
        Engine(segment_model(), name="segment.onnx", inputs=("image",), threads=1),
        Engine(pooled_age_model(edges), name="age.onnx", inputs=POOLED_INPUTS, outputs=POOLED_OUTPUTS, threads=1),
    ]
    image, facts = np.zeros((4, 3, 64, 32), dtype=np.float32), np.zeros((1, 1), dtype=np.float32)
    with bench_serving._recorded_shapes() as runs:
        engines[0].run({"image": image[:, :1]})
        engines[1].answer({"image": image, "facts": facts}, POOLED_OUTPUTS)
    assert runs == [
        ("segment.onnx", {"image": (4, 1, 64, 32)}),
        ("age.onnx", {"image": (4, 3, 64, 32), "facts": (1, 1)}),
    ]


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
