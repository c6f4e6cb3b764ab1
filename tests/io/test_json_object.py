"""JSON objects as files: what is none is None, never an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from kneeage.io.json_object import json_text, read_json_object


def test_what_was_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json_text({"a": [1, 2]}), encoding="utf-8")
    assert read_json_object(tmp_path / "a.json") == {"a": [1, 2]}


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff"])
def test_what_is_no_object_is_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    assert read_json_object(tmp_path / "a.json") is None
