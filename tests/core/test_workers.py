"""Work on many items: everything is done once, errors surface, no process stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from kneeage.core.errors import OutputError, UsageError, WorkerError
from kneeage.core.workers import in_turn, on_cluster, on_cores

# A parent that is killed while its worker is at work; the worker writes its process id.
PARENT = """
import sys
from functools import partial
from pathlib import Path
from kneeage.core.workers import on_cores
from tests.core.test_workers import note_and_sleep

if __name__ == "__main__":
    list(on_cores(partial(note_and_sleep, Path(sys.argv[1])), [1], 1))
"""


def note(folder: Path, item: int) -> None:
    with (folder / str(item)).open("x", encoding="ascii") as file:
        file.write(os.environ["OMP_NUM_THREADS"])


def refuse(item: int) -> None:
    if item == 2:
        raise OutputError("the disk is full: item 2")


def die(_item: int) -> None:
    os._exit(9)


def note_and_sleep(path: Path, _item: int) -> None:
    path.with_suffix(".new").write_text(str(os.getpid()), encoding="ascii")
    path.with_suffix(".new").rename(path)
    time.sleep(60)


def test_every_item_is_done_once_on_one_thread_each(tmp_path: Path) -> None:
    before = dict(os.environ)
    assert list(on_cores(partial(note, tmp_path), range(5), 2)) == [None] * 5
    assert {path.name: path.read_text(encoding="ascii") for path in tmp_path.iterdir()} == dict.fromkeys("01234", "1")
    assert dict(os.environ) == before


def test_no_more_processes_are_asked_for_than_the_system_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("kneeage.core.workers.possible_processes", lambda wanted: asked.append(wanted) or 1)
    assert list(on_cores(partial(note, tmp_path), range(2), 99)) == [None] * 2
    assert asked == [99]


def test_nothing_to_do_is_done_at_once() -> None:
    assert list(on_cores(refuse, [], 4)) == []


def test_an_error_surfaces_as_it_is() -> None:
    with pytest.raises(OutputError, match="the disk is full: item 2"):
        list(on_cores(refuse, [1, 2, 3], 1))


def test_a_worker_that_dies_is_said() -> None:
    with pytest.raises(WorkerError, match="a worker process died"):
        list(on_cores(die, [1, 2], 1))


@pytest.mark.skipif(sys.platform == "win32", reason="processes are looked up the POSIX way")
def test_a_worker_ends_with_a_killed_parent(tmp_path: Path) -> None:
    script, noted = tmp_path / "parent.py", tmp_path / "pid"
    script.write_text(PARENT, encoding="utf-8")
    root = Path(__file__).resolve().parents[2]
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen([sys.executable, script, noted], env=os.environ | {"PYTHONPATH": paths})
    _wait_until(noted.exists)
    worker = int(noted.read_text(encoding="ascii"))
    process.kill()
    process.wait()
    _wait_until(lambda: not _runs(worker))


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'kneeage\[cluster\]'"):
        list(on_cluster(refuse, [1], "tcp://127.0.0.1:1"))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere at all"])
def test_a_scheduler_that_does_not_answer_is_said(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    monkeypatch.setattr("kneeage.core.workers._CONNECT_SECONDS", 0.5)
    with pytest.raises(UsageError, match="no dask scheduler answers"):
        list(on_cluster(refuse, [1], address))


def test_a_cluster_does_every_item_and_gives_errors_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = {"n_workers": 1, "processes": False, "dashboard_address": None, "host": "127.0.0.1"}
    with distributed.LocalCluster(**options, protocol="tcp://") as cluster:
        assert list(on_cluster(partial(note, tmp_path), range(3), cluster.scheduler_address)) == [None] * 3
        with pytest.raises(OutputError, match="item 2"):
            list(on_cluster(refuse, [1, 2], cluster.scheduler_address))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]


def _wait_until(condition: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Say whether a process is there and no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z")


def test_work_is_done_in_turn() -> None:
    done: list[int] = []
    assert list(in_turn(done.append, [1, 2])) == [None, None]
    assert done == [1, 2]
