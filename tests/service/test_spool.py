"""Files that are there in full or not at all, and go when their time is over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kneeage.core.errors import OutputError
from kneeage.service.spool import Spool


def test_what_was_broken_off_is_swept_away(spool: Spool) -> None:
    left = spool.incoming / "left"
    left.write_bytes(b"half")
    (spool.folder / "work" / "left").mkdir()
    spool.sweep(3600)
    assert left.exists()
    os.utime(left, (0, 0))
    spool.sweep(3600)
    assert not left.exists()
    assert (spool.folder / "work" / "left").exists()


def test_a_study_is_removed_with_what_a_dead_worker_left(spool: Spool) -> None:
    places = ("images/KEY", "results/KEY-1", "results/.ab.part.KEY-1", "work/KEY-x", "images/OTHER", "results/OTHER-1")
    for place in places:
        (spool.folder / place).mkdir(parents=True)
        (spool.folder / place / "one.dcm").touch()
    spool.remove("KEY")
    assert {path.parent.name for path in spool.folder.rglob("one.dcm")} == {"OTHER", "OTHER-1"}


def test_what_cannot_be_removed_is_said(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    (spool.folder / "images" / "KEY").mkdir()
    monkeypatch.setattr("kneeage.service.spool.shutil.rmtree", lambda *_, **_options: None)
    with pytest.raises(OutputError, match="files of the study KEY cannot be removed"):
        spool.remove("KEY")


def test_only_the_owner_may_look_into_a_spool(spool: Spool) -> None:
    assert {oct(path.stat().st_mode & 0o777) for path in (spool.folder, spool.incoming)} == {"0o700"}


def test_a_spool_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        Spool(tmp_path / "file")
