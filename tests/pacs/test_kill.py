"""Campaigns: kill -9 at random moments, many associations at once, hostile peers; small here, in full under `slow`."""

from __future__ import annotations

import contextlib
import copy
import random
import socket
import struct
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from kneeage.service.audit import Line, lines
from kneeage.service.case_files import CaseFiles
from kneeage.service.queue import Queue
from kneeage.service.register import CaseState, Register
from kneeage.service.spool import Spool
from kneeage.service.studies import StudyState, study_key
from kneeage.service.tables import reading
from tests.pacs.fakes import MODALITIES
from tests.pacs.node import record_place
from tests.pacs.raw import claiming, encoded, raw, raw_store
from tests.pacs.support import (
    PATIENCE,
    NodeProcess,
    Orthanc,
    all_done_uids,
    association,
    make_study,
    running_node,
    send,
    start_node,
    states,
    study_uid,
    wait_for,
)
from tests.ports import HOST, free_port

RESULTS = sorted(MODALITIES)


def make_studies(folder: Path, prefix: str, count: int) -> dict[str, list[Path]]:
    """Some studies by name."""
    return {f"{prefix} {n}": make_study(folder / f"{prefix}-{n}", f"{prefix} {n}") for n in range(count)}


def send_until_taken(port: int, paths: list[Path]) -> None:
    """Send a study as an archive does: again, until every image was taken."""

    def is_taken() -> bool:
        return send(port, paths) == [0] * len(paths)

    wait_for(is_taken)


def all_done(spool: Path, names: list[str]) -> bool:
    return all_done_uids(spool, [study_uid(name) for name in names])


def require_one_result_set(orthanc: Orthanc, names: list[str]) -> None:
    """The archive has every result exactly once: it keeps one object per UID, so another set would show."""
    assert {name: orthanc.modalities(study_uid(name)) for name in names} == dict.fromkeys(names, RESULTS)


def require_on_record(spool: Path, data: Path, names: list[str]) -> None:
    """Every study is in the audit log, whole and once, and in the list of the workstation with its documents."""
    register = Register(record_place(data).recorder(Queue(spool / "queue.sqlite3"), Spool(spool)).journal)
    wait_for(lambda: len(lines_of(register, "results sent")) == len(names))
    for action in ("examination opened", "files received", "estimate done", "results sent"):
        assert sorted(line.facts["study"] for line in lines_of(register, action)) == sorted(
            study_key(study_uid(name)) for name in names
        )
    cases, total = register.search("", CaseState.DONE, 100, 0)
    assert total == len(names)
    assert {len(register.case(case.id).runs) for case in cases} == {1}
    files = CaseFiles(data)
    assert all(files.find(case.id, 1, "result.json") for case in cases)


def lines_of(register: Register, action: str) -> list[Line]:
    """Lines of the audit log, which is whole."""
    register.journal.verify()
    with reading(register.journal.engine) as connection:
        return [line for line in lines(connection, None, 10_000, 0)[0] if line.action == action]


def kill_campaign(orthanc: Orthanc, tmp_path: Path, *, studies: int, kills: int, seconds: float) -> None:
    """Kill a node again and again while studies come in."""
    made = make_studies(tmp_path, f"kill {kills}", studies)
    chance = random.Random(kills)
    data = tmp_path / "data"
    options = ("--send-to", orthanc.dicom, "--seconds", str(seconds), "--quiet", "5", "--data", str(data))
    node = start_node(tmp_path / "spool", free_port(), *options)
    try:
        with ThreadPoolExecutor(4) as pool:
            senders = [pool.submit(send_until_taken, node.port, paths) for paths in made.values()]
            for number in range(kills):
                time.sleep(chance.uniform(0.0, 3.0))
                node.kill(whole_group=number % 2 == 0)
                node = start_node(node.spool, node.port, *options)
            for sender in senders:
                sender.result()
        wait_for(lambda: all_done(node.spool, list(made)))
        require_one_result_set(orthanc, list(made))
        require_on_record(node.spool, data, list(made))
    finally:
        node.stop()


def test_killed_again_and_again(orthanc: Orthanc, tmp_path: Path) -> None:
    kill_campaign(orthanc, tmp_path, studies=3, kills=2, seconds=0.2)


@pytest.mark.slow
def test_killed_20_times_during_20_studies(orthanc: Orthanc, tmp_path: Path) -> None:
    kill_campaign(orthanc, tmp_path, studies=20, kills=20, seconds=0.5)


def parallel_campaign(orthanc: Orthanc, tmp_path: Path, studies: int) -> None:
    """Several associations at once, each with study after study."""
    made = make_studies(tmp_path, f"parallel {studies}", studies)
    options = ("--quiet", "5", "--send-to", orthanc.web)
    with running_node(tmp_path / "spool", *options) as node, ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda paths: send(node.port, paths), made.values()))
        assert statuses == [[0, 0, 0]] * studies
        wait_for(lambda: all_done(node.spool, list(made)))
    require_one_result_set(orthanc, list(made))


def test_4_associations_in_parallel(orthanc: Orthanc, tmp_path: Path) -> None:
    parallel_campaign(orthanc, tmp_path, 6)


@pytest.mark.slow
def test_20_studies_in_4_associations(orthanc: Orthanc, tmp_path: Path) -> None:
    parallel_campaign(orthanc, tmp_path, 20)


def resident_mib(node: NodeProcess) -> float:
    """Memory of a node."""
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def hostile_round(port: int, image: Dataset) -> None:
    """One peer of each kind."""
    silent = socket.create_connection((HOST, port), timeout=PATIENCE)
    for data in (
        b"GET / HTTP/1.1\r\n\r\n" * 100,
        bytes(random.Random(0).randrange(256) for _ in range(10_000)),
        struct.pack(">BBL", 1, 0, 2**31) + bytes(2**20),
        struct.pack(">BBL", 4, 0, 2**31 - 1) + bytes(2**20),
        struct.pack(">BBL", 1, 0, 300) + bytes(300),
        struct.pack(">BBL", 7, 0, 4) + bytes(4),
    ):
        with socket.create_connection((HOST, port), timeout=PATIENCE) as peer:
            # The node waits longer than this for who said nothing that it understands.
            peer.settimeout(1)
            try:
                peer.sendall(data)
                while peer.recv(4096):
                    pass
            except OSError:
                continue
    with association(port, called="ELSEWHERE") as link:
        assert not link.is_established
    hostile_objects(port, image)
    silent.close()


def hostile_objects(port: int, image: Dataset) -> None:
    """Objects that are not taken, each with its status; while many are sent, the node may have no room for one more."""
    bare = copy.deepcopy(image)
    del bare.PixelData
    for sent, statuses in (
        (raw(bare, encoded(bare)), {0xA900}),
        (claiming(image, 2**31 - 2), {0xC000}),
        (raw(image, bytes(range(256)) * 2**12), {0xA900, 0xC000}),
    ):
        with contextlib.suppress(RuntimeError, IndexError):
            assert raw_store(port, sent) in statuses


def answers(node: NodeProcess) -> bool:
    """Whether a node answers C-ECHO."""
    with association(node.port) as link:
        return bool(link.is_established and link.send_c_echo().Status == 0)


def hostile_campaign(node: NodeProcess, image: Dataset, rounds: int) -> None:
    """Memory stays flat, and the node answers at the end."""
    for _ in range(2):
        hostile_round(node.port, image)
    before = resident_mib(node)
    for _ in range(rounds):
        hostile_round(node.port, image)
    assert resident_mib(node) - before < 30
    wait_for(lambda: answers(node))


def test_hostile_peers_cost_no_memory(tmp_path: Path) -> None:
    image = dcmread(make_study(tmp_path / "images", "hostile", 1)[0])
    with running_node(tmp_path / "spool") as node:
        hostile_campaign(node, image, 3)


@pytest.mark.slow
def test_hostile_peers_for_long(tmp_path: Path) -> None:
    image = dcmread(make_study(tmp_path / "images", "hostile for long", 1)[0])
    with running_node(tmp_path / "spool") as node:
        threads = [threading.Thread(target=hostile_round, args=(node.port, image)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        hostile_campaign(node, image, 60)


def test_a_study_that_kills_its_worker_does_not_stop_the_others(tmp_path: Path) -> None:
    made = make_studies(tmp_path, "deadly", 2)
    deadly, well = (study_uid(name) for name in made)
    with running_node(tmp_path / "spool", "--dies-on", deadly) as node:
        assert [send(node.port, paths) for paths in made.values()] == [[0, 0, 0]] * 2
        wait_for(lambda: states(node.spool).get(well) is StudyState.DONE)
    assert Counter(states(node.spool).values())[StudyState.DONE] == 1
