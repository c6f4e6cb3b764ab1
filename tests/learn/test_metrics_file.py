"""The metrics file: rows, new columns, what a resume drops."""

from __future__ import annotations

from pathlib import Path

import pytest

from kneeage.learn.metrics_file import MetricsFile, curve, read_metrics


@pytest.fixture
def file(tmp_path: Path) -> MetricsFile:
    metrics = MetricsFile(tmp_path / "run" / "metrics.csv")
    metrics.keep_first(0)
    metrics.log_metrics({"epoch": 0, "loss": 0.1}, 9)
    metrics.log_metrics({"epoch": 0, "dice": 1 / 3}, 9)
    metrics.log_metrics({"epoch": 1, "loss": 0.05}, 19)
    return metrics


def _text(file: MetricsFile) -> str:
    return (Path(file.save_dir) / "metrics.csv").read_text()


def test_a_new_metric_adds_a_column(file: MetricsFile) -> None:
    assert _text(file) == "step,epoch,loss,dice\n9,0,0.1,\n9,0,,0.333333333\n19,1,0.05,\n"


def test_curve_leaves_empty_cells_out(file: MetricsFile) -> None:
    rows = read_metrics(Path(file.save_dir) / "metrics.csv")
    assert curve(rows, "loss") == ([9, 19], [0.1, 0.05])
    assert curve(rows, "nothing") == ([], [])


def test_a_resume_keeps_the_rows_of_its_checkpoint(file: MetricsFile) -> None:
    again = MetricsFile(Path(file.save_dir) / "metrics.csv")
    again.keep_first(2)
    again.log_metrics({"epoch": 1, "loss": 0.05}, 19)
    assert _text(again) == _text(file)
    assert again.rows == 3


def test_a_new_start_empties_the_file(file: MetricsFile) -> None:
    file.keep_first(0)
    assert (_text(file), file.rows) == ("step,epoch\n", 0)


def test_half_a_row_is_no_row(file: MetricsFile) -> None:
    path = Path(file.save_dir) / "metrics.csv"
    path.write_text(path.read_text() + "29,1,0.0")
    assert [row["step"] for row in read_metrics(path)] == ["9", "9", "19"]
