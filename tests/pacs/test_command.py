"""The real command, in a process of its own, with the arguments that Docker starts it with."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from kneeage.service.studies import StudyState
from tests.pacs.support import PATIENCE, ROOT, make_study, states, storescu, study_uid, wait_for
from tests.ports import HOST, free_port

PROGRAM = [sys.executable, "-c", "from kneeage.cli import main; main()"]


def arguments(folder: Path, port: int, metrics: int) -> list[str]:
    """Those of the file for Docker, on the loopback, in a folder."""
    text = (ROOT / "docker" / "compose.yml").read_text(encoding="utf-8")
    given: list[str] = yaml.safe_load(text)["services"]["kneeage"]["command"]
    here = {
        "--spool": folder / "spool",
        "--data": folder / "data",
        "--host": HOST,
        "--port": port,
        "--metrics": f"{HOST}:{metrics}",
        "--send-to": f"dicom://ORTHANC@{HOST}:{free_port()}",
    }
    parts = [one.partition("=") for one in given]
    assert {name for name, equals, _ in parts if equals} == {*here, "--allow"}
    return [f"{name}={here.get(name, value)}" if equals else name for name, equals, value in parts]


@contextmanager
def running(given: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command while the block lasts, from when it listens."""
    with log.open("w") as stderr, subprocess.Popen([*PROGRAM, *given], stderr=stderr) as process:
        try:
            wait_for(lambda: "Listening on port" in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            process.kill()


def test_it_takes_a_study_and_ends_when_it_is_told(tmp_path: Path) -> None:
    pytest.importorskip("weasyprint")
    port, metrics = free_port(), free_port()
    images = make_study(tmp_path / "images", "by command")
    with running(arguments(tmp_path, port, metrics), tmp_path / "log") as process:
        storescu(port, "KNEEAGE", images[0].parent, calling="ORTHANC")
        assert states(tmp_path / "spool") == {study_uid("by command"): StudyState.RECEIVED}
        with urllib.request.urlopen(f"http://{HOST}:{metrics}/metrics", timeout=PATIENCE) as answer:
            assert 'kneeage_instances_received_total{arrival="new"} 3.0' in answer.read().decode()
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert '"event": "stopping"' in (tmp_path / "log").read_text()
    assert (tmp_path / "data" / "register.sqlite3").is_file()
