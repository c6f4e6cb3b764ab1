"""Studies, nodes and archives for tests, all on the loopback."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE
from pynetdicom.association import Association

from kneeage.io.write import deterministic_uid
from kneeage.pacs.contexts import received_contexts
from kneeage.pacs.send import with_own_answers
from kneeage.service.queue import Queue
from kneeage.service.studies import StudyState
from tests.io.support import Made, write_series
from tests.ports import HOST, free_port

ROOT = Path(__file__).resolve().parents[2]
# Seconds after which a test gives up what should take a few: other work may have the machine meanwhile.
PATIENCE = 600.0


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait until a condition holds, and give its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def study_uid(name: str) -> str:
    """The UID of the study of a name."""
    return str(deterministic_uid(name, "study"))


def make_study(folder: Path, name: str, slices: int = 3, **extra: Any) -> list[Path]:
    """A small MR study."""
    made = Made(slices=slices, uid=str(deterministic_uid(name, "series")), study=study_uid(name), shape=(6, 8))
    series = made.but(
        **{"PatientID": f"subject {name}", "FrameOfReferenceUID": deterministic_uid(name, "frame"), **extra}
    )
    return write_series(folder, series)


@contextlib.contextmanager
def association(
    port: int, *, ae_title: str = "TESTER", called: str = "KNEEAGE", **options: Any
) -> Iterator[Association]:
    """An association with a node, accepted or not."""
    entity = AE(ae_title)
    entity.requested_contexts = received_contexts()
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = PATIENCE
    link = with_own_answers(entity.associate(HOST, port, ae_title=called, **options))
    try:
        yield link
    finally:
        if link.is_established:
            link.release()


def send(port: int, paths: list[Path]) -> list[int]:
    """Send files in one association; give the statuses, or fewer where the association ended."""
    statuses: list[int] = []
    # The library raises where the association ended between two objects.
    with association(port) as link, contextlib.suppress(RuntimeError):
        for path in paths:
            statuses.append(store(link, dcmread(path)).get("Status", -1))  # noqa: PERF401 (what came before counts)
    return statuses


def dcmtk(name: str) -> str:
    """Find a program of dcmtk; pynetdicom puts others of the same names beside Python."""
    beside = Path(sys.executable).parent
    places = [place for place in os.get_exec_path() if Path(place).resolve() != beside.resolve()]
    program = shutil.which(name, path=os.pathsep.join(places))
    if program is None:
        pytest.skip(f"{name} is not installed (Debian and Ubuntu: apt-get install dcmtk)")
    return program


def storescu(port: int, called: str, folder: Path, calling: str = "STORESCU") -> None:
    """Push a folder with dcmtk."""
    command = [dcmtk("storescu"), "-aet", calling, "-aec", called, HOST, str(port), "+sd", "+r", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr


def store(link: Association, dataset: Dataset) -> Dataset:
    """Send one object."""
    return link.send_c_store(dataset)


@dataclass
class NodeProcess:
    """A node that can be killed."""

    process: subprocess.Popen[str]
    spool: Path
    port: int

    def kill(self, *, whole_group: bool) -> None:
        """Kill -9 the node, or the node and its workers."""
        if whole_group:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()

    def start_again(self, *options: str) -> None:
        """Start it again after it was killed."""
        self.process = start_node(self.spool, self.port, *options).process

    def stop(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def start_node(spool: Path, port: int, *options: str) -> NodeProcess:
    """Start a node and wait until it listens."""
    arguments = [sys.executable, "-m", "tests.pacs.node", str(spool), str(port), *options]
    log = (spool.parent / f"{spool.name}.log").open("a")
    process = subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
    )
    log.close()
    assert process.stdout is not None
    assert process.stdout.readline().strip() == str(port), (spool.parent / f"{spool.name}.log").read_text()[-2000:]
    return NodeProcess(process, spool, port)


@contextlib.contextmanager
def running_node(spool: Path, *options: str) -> Iterator[NodeProcess]:
    """A node while the block lasts."""
    node = start_node(spool, free_port(), *options)
    try:
        yield node
    finally:
        node.stop()


def states(spool: Path) -> dict[str, StudyState]:
    """Where the studies of a spool stand."""
    queue = Queue(spool / "queue.sqlite3")
    try:
        return {entry.study_uid: entry.state for entry in queue.entries()}
    finally:
        queue.close()


def all_done_uids(spool: Path, uids: list[str]) -> bool:
    """Whether studies are done; one that is parked never will be."""
    found = states(spool)
    assert StudyState.PARKED not in found.values()
    return all(found.get(uid) is StudyState.DONE for uid in uids)


@dataclass
class Orthanc:
    """A real archive."""

    dicom_port: int
    http_port: int
    move_port: int

    @property
    def dicom(self) -> str:
        return f"dicom://ORTHANC@{HOST}:{self.dicom_port}"

    @property
    def web(self) -> str:
        return f"http://{HOST}:{self.http_port}/dicom-web"

    def get(self, path: str) -> Any:
        """Ask its own interface."""
        with urllib.request.urlopen(f"http://{HOST}:{self.http_port}{path}", timeout=PATIENCE) as answer:
            return json.load(answer)

    def look_up(self, uid: str, level: str) -> list[str]:
        """Own names of what has a UID at a level, such as Study."""
        request = urllib.request.Request(f"http://{HOST}:{self.http_port}/tools/lookup", uid.encode(), method="POST")
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return [one["ID"] for one in json.load(answer) if one["Type"] == level]

    def modalities(self, uid: str) -> list[str]:
        """Modalities of the objects of a study, as DICOMweb finds them."""
        found = self.get(f"/dicom-web/instances?StudyInstanceUID={uid}&includefield=00080060&limit=1000")
        return sorted(one["00080060"]["Value"][0] for one in found)


@contextlib.contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """The archive of Debian's package, with its DICOMweb plugin, empty."""
    program = shutil.which("Orthanc")
    plugin = next(Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb.so*"), None)
    if program is None or plugin is None:
        pytest.skip("Orthanc is not installed (Debian and Ubuntu: apt-get install orthanc orthanc-dicomweb)")
    archive = Orthanc(free_port(), free_port(), free_port())
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(plugin)],
        "HttpPort": archive.http_port,
        "DicomPort": archive.dicom_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalities": {"kneeage": ["KNEEAGE", HOST, archive.move_port]},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder)
    try:
        wait_for(lambda: _answers(archive))
        yield archive
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _answers(archive: Orthanc) -> bool:
    """Whether the archive answers on both ports."""
    try:
        archive.get("/dicom-web/studies")
        with socket.create_connection((HOST, archive.dicom_port), timeout=1):
            return True
    except OSError:
        return False
