"""The benchmark of the workstation measures a real server with a real browser, and its report is whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import bench_web


@pytest.mark.slow
def test_pages_and_a_crowd_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = tmp_path / "results" / "web.md"
    monkeypatch.setattr(sys, "argv", ["bench_web", "--runs", "1", "--clients", "2", "--output", str(wanted)])
    bench_web.main()
    text = wanted.read_text(encoding="utf-8")
    assert "a virtual study of 27 DICOM files" in text
    assert "| examinations answered | 2 of 2 |" in text
    assert "| estimates on record (one each) | 2 |" in text
