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
from kneeage.service.cases import CaseState
from kneeage.service.queue import Queue
from kneeage.service.register import Register
from kneeage.service.spool import Spool
from kneeage.service.studies import StudyState, study_key
from kneeage.service.tables import reading
from tests.pacs.deaths import STEPS
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
    """The archive has every result exactly once: each examination has UIDs of its own, so a second one would show."""
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


def taken(spool: Path) -> int:
    """How often a worker took a study, as the node's log has it."""
    return (spool.parent / f"{spool.name}.log").read_text().count("study taken")


def wait_until_taken(node: NodeProcess, before: int, names: list[str]) -> None:
    """Wait until a worker takes one more study, or none is left."""
    wait_for(lambda: taken(node.spool) > before or all_done(node.spool, names))


def kill_again_and_again(node: NodeProcess, options: tuple[str, ...], names: list[str], late: int) -> None:
    """Kill a node at random moments, then each time after a worker took a study, and start it again.

    Most of the late kills meet a study that is being worked on, or the campaign proves nothing.
    """
    chance, before, hits = random.Random(late), 0, 0
    for number in range(late + late // 2):
        is_late = number >= late // 2
        if is_late:
            wait_until_taken(node, before, names)
        time.sleep(chance.uniform(0.0, 1.5 if is_late else 3.0))
        hits += is_late and StudyState.RUNNING in states(node.spool).values()
        node.kill(whole_group=number % 2 == 0)
        before = taken(node.spool)
        node.start_again(*options)
    assert hits > late / 2


def kill_campaign(orthanc: Orthanc, tmp_path: Path, *, studies: int, late: int) -> None:
    """Kill a node again and again while studies come in, and while they are examined and sent."""
    made = make_studies(tmp_path, f"kill {late}", studies)
    data = tmp_path / "data"
    options = ("--send-to", orthanc.dicom, "--seconds", "1", "--quiet", "5", "--data", str(data), "--fresh-uids")
    node = start_node(tmp_path / "spool", free_port(), *options)
    try:
        with ThreadPoolExecutor(4) as pool:
            senders = [pool.submit(send_until_taken, node.port, paths) for paths in made.values()]
            kill_again_and_again(node, options, list(made), late)
            for sender in senders:
                sender.result()
        wait_for(lambda: all_done(node.spool, list(made)))
        require_one_result_set(orthanc, list(made))
        require_on_record(node.spool, data, list(made))
    finally:
        node.stop()


def test_killed_again_and_again(orthanc: Orthanc, tmp_path: Path) -> None:
    kill_campaign(orthanc, tmp_path, studies=3, late=2)


@pytest.mark.slow
def test_killed_30_times_during_20_studies(orthanc: Orthanc, tmp_path: Path) -> None:
    kill_campaign(orthanc, tmp_path, studies=20, late=20)


def came_to_its_end(node: NodeProcess, names: list[str]) -> bool:
    """Wait until the studies are done or the node died; say whether they are done."""
    wait_for(lambda: node.process.poll() is not None or all_done(node.spool, names))
    return all_done(node.spool, names)


def die_at_every_step(orthanc: Orthanc, tmp_path: Path, *more: str) -> None:
    """One study for each step; its worker dies there, and whoever takes the study over ends it."""
    made = make_studies(tmp_path, "died with its node" if more else "died", len(STEPS))
    marks, data = tmp_path / "marks", tmp_path / "data"
    marks.mkdir()
    deaths = [f"--death={step}={study_uid(name)}" for step, name in zip(STEPS, made, strict=True)]
    deaths += ["--deaths", str(marks), *more]
    options = ("--quiet", "0", "--send-to", orthanc.dicom, "--data", str(data), "--fresh-uids", *deaths)
    node = start_node(tmp_path / "spool", free_port(), "--quiet", str(PATIENCE), "--data", str(data))
    try:
        for paths in made.values():
            send_until_taken(node.port, paths)
        node.kill(whole_group=True)
        node.start_again(*options)
        while not came_to_its_end(node, list(made)):
            node.start_again(*options)
        assert sorted(mark.name.partition("-")[0] for mark in marks.iterdir()) == sorted(STEPS)
        require_one_result_set(orthanc, list(made))
        require_on_record(node.spool, data, list(made))
    finally:
        node.stop()


def test_a_worker_may_die_at_every_step(orthanc: Orthanc, tmp_path: Path) -> None:
    die_at_every_step(orthanc, tmp_path)


@pytest.mark.slow
def test_a_node_may_die_at_every_step(orthanc: Orthanc, tmp_path: Path) -> None:
    die_at_every_step(orthanc, tmp_path, "--whole-node")


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
