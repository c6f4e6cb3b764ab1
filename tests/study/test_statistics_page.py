"""What the page about statistics shows is what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kneeage.study import resampling
from kneeage.study.prediction_file import write_predictions
from tests.cli.conftest import Run, run
from tests.study.tables import study

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "statistics.md").read_text(encoding="utf-8")

__all__ = ["run"]


def test_the_command_prints_what_the_page_shows(run: Run) -> None:
    command, shown = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)[:2]
    lines = [line.rstrip() for line in run(*command.split()[1:]).stdout.splitlines()]
    assert [line for line in shown.splitlines() if line not in lines] == []


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_predictions(tmp_path / "predictions.csv", study(90, 18))
    names: dict[str, object] = {}
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    quicker = example.replace("Resampling(", "Resampling(replicates=20, ")
    exec(compile(quicker, "statistics.md", "exec"), names)
    assert "".join(names["panels"]) == "ABCDEFGHIJ"  # type: ignore[arg-type]
    assert json.loads((tmp_path / "assessment.json").read_text(encoding="utf-8"))["external"]["subjects"] == 18


def test_the_page_has_the_margin_and_replicates_of_the_code() -> None:
    assert f"The margin is {resampling.MARGIN * 100:g} points" in PAGE
    assert f"{resampling.REPLICATES:,} replicates" in PAGE
