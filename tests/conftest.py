"""Fixtures of the whole suite: real data where it is at hand, and no way out of this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("kneeage", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("kneeage")

_GUARD = Path(__file__).parent / "guard"


@pytest.fixture(scope="session", autouse=True)
def _programs_stay_on_this_machine() -> Iterator[None]:
    """Put the socket guard on the path of every Python program that a test starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(_GUARD), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real MR series; it is no part of the project."""
    folder = os.environ.get("KNEEAGE_REALDATA")
    if not folder:
        pytest.skip("KNEEAGE_REALDATA is not set: no real data at hand")
    if not Path(folder).is_dir():
        pytest.fail(f"KNEEAGE_REALDATA names {folder!r}, which is not a folder")
    return Path(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "small disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small tmpfs cannot be mounted here (needs root and the right to mount)")
    yield place
    subprocess.run(["umount", str(place)], check=True)
