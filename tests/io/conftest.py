"""Fixtures of the room io."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.io.support import write_series


@pytest.fixture
def coronal(tmp_path: Path) -> Path:
    """A folder with one coronal T1 series of 12 slices."""
    folder = tmp_path / "coronal"
    write_series(folder)
    return folder
