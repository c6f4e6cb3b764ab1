"""The picture of a training."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from kneeage.core.errors import UsageError
from kneeage.learn.curves import draw_curves, moving_average, panels_of
from kneeage.learn.metrics_file import read_metrics

METRICS = """\
step,epoch,learning_rate,train_loss,validation_nll,validation_within_one_year,never
9,0,0.001,2.0,,,
9,0,,,1.9,0.5,
19,1,0.0005,1.5,,,
"""


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.csv"
    path.write_text(METRICS)
    return path


def test_losses_other_metrics_and_the_rate_have_panels_of_their_own(metrics: Path) -> None:
    panels = panels_of(read_metrics(metrics))
    assert panels == [["train_loss", "validation_nll"], ["validation_within_one_year"], ["learning_rate"]]


def test_picture_is_drawn_and_drawn_anew(metrics: Path, tmp_path: Path) -> None:
    for _ in range(2):
        draw_curves(metrics, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"
        assert picture.height > picture.width


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,epoch\n")
    draw_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_moving_average_needs_a_long_curve() -> None:
    assert moving_average([1.0, 3.0]) == [1.0, 3.0]
    assert moving_average([float(n) for n in range(80)])[:3] == [0.0, 0.5, 1.5]


def test_without_matplotlib_it_says_what_to_install(
    metrics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"pip install 'kneeage\[train\]'"):
        draw_curves(metrics, tmp_path / "curves.png")
