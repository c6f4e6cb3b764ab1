"""Two runs never write one cohort; a dead one holds nobody up."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from kneeage.core.errors import OutputError
from kneeage.io import lock
from kneeage.io.lock import only_run

# Takes the lock, says so, and waits to be killed.
HOLDER = """
import sys, time
from pathlib import Path
from kneeage.io.lock import only_run

with only_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "cohort.json"
    path.write_text("{}", encoding="utf-8")
    return path


def test_a_second_run_is_refused_until_the_first_ends(manifest: Path) -> None:
    with only_run(manifest), pytest.raises(OutputError, match="another run is making the cohort"), only_run(manifest):
        pass
    with only_run(manifest):
        assert manifest.read_text(encoding="utf-8") == "{}"
    assert [path.name for path in manifest.parent.iterdir()] == ["cohort.json"]


def test_another_folder_is_advised_only_where_it_would_do(manifest: Path) -> None:
    with only_run(manifest):
        with pytest.raises(OutputError, match=r"or choose another output folder$"), only_run(manifest, "the fold"):
            pass
        with pytest.raises(OutputError, match=r"run again to go on$"), only_run(manifest, "labels", elsewhere=False):
            pass


def test_a_killed_run_leaves_no_lock(manifest: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, manifest], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    with holder.stdout as said:
        assert said.readline().strip() == b"held"
        with pytest.raises(OutputError, match="another run"), only_run(manifest):
            pass
        holder.kill()
        holder.wait()
    with only_run(manifest):
        pass


def _fail_with(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(lock, "_lock", fail)


def test_a_file_system_without_locks_is_written_to_all_the_same(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_with(errno.ENOLCK, monkeypatch)
    with only_run(manifest):
        pass


def test_any_other_fault_is_said(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail_with(errno.EIO, monkeypatch)
    with pytest.raises(OutputError, match="cannot be locked"), only_run(manifest):
        pass
    with pytest.raises(OutputError, match="cannot be opened for writing"), only_run(manifest.with_name("none.json")):
        pass
