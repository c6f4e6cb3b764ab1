"""``kneeage phantom sheet``: the picture in a new file, its name on stdout."""

from __future__ import annotations

from pathlib import Path

import pytest

from kneeage.phantom.cohort import sheet
from tests.cli.conftest import Run


def test_the_sheet_is_written(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sheet, "contact_sheet", lambda seed, _tell: b"png %d" % seed)
    done = run("phantom", "sheet", "-o", tmp_path / "sheet.png", "--seed", "7")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'sheet.png'}\n")
    assert (tmp_path / "sheet.png").read_bytes() == b"png 7"


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sheet.png").write_bytes(b"mine")
    assert run("phantom", "sheet", "-o", tmp_path / "sheet.png").exit_code == 1
    assert (tmp_path / "sheet.png").read_bytes() == b"mine"
