"""The page about the best readers' intervals and rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import decisions


def test_the_page_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CALIBRATED_ON": (450, 150), "COUNTED_ON": 400, "TUNED_ON": 200, "REPETITIONS": 2000}.items():
        monkeypatch.setattr(decisions, name, value)
    monkeypatch.setattr(decisions, "RESULTS", tmp_path / "page.md")
    decisions.main()
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert len(re.findall(r"(?m)^\| [abc] \| \d\d \| (fe)?male \|", page)) == 3 * 4 * 2
    assert re.search(r"(?m)^\| all \| 400 \| 9\d\.\d% \|", page)
    assert re.search(r"(?m)^\| 1000 \| 0 \| 9\d\.\d% of cohorts \|", page)
    assert "nan" not in page
