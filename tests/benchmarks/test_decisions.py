"""The page about the best readers' intervals and rules."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import decisions


def test_nobody_is_undetermined_where_both_sides_lie_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "REPETITIONS", 3)
    minors, adults = np.full(50, 0.01), np.full(50, 0.99)
    for above, share in ((adults, 0.0), (np.where(np.arange(50) < 25, 0.4, adults), 0.25)):
        kept, undetermined = decisions.kept([(minors, np.sort(above))], decisions.RULES["ranks"], 40)
        assert kept.all()
        assert undetermined == pytest.approx(share)


def test_the_page_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"CALIBRATED_ON": (450, 150), "COUNTED_ON": 400, "TUNED_ON": 200, "POOL": 2000, "REPETITIONS": 20}
    sizes |= {"TUNING_SIZES": (100, 150)}
    for name, value in sizes.items():
        monkeypatch.setattr(decisions, name, value)
    monkeypatch.setattr(decisions, "RESULTS", tmp_path / "page.md")
    decisions.main()
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert len(re.findall(r"(?m)^\| [abc] \| \d\d \| (fe)?male \|", page)) == 3 * 4 * 2
    assert re.search(r"(?m)^\| all \| 400 \| 9\d\.\d% \|", page)
    assert re.search(r"(?m)^\| 150 \| ranks and tail( \| \d+%){6} \|$", page)
    assert "nan" not in page
