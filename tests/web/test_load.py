"""Many at once, and a worker that is killed: nothing is lost or done twice."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from kneeage.service.lease import MOST_DEATHS
from kneeage.service.run_queue import RunQueue
from tests.web.support import SMALL, Door, settings_of


def test_fifty_clients_finish_or_are_told_to_come_again(tmp_path: Path, block_bundle: Path, knee: bytes) -> None:
    (tmp_path / "data").mkdir()
    door = Door(settings_of(tmp_path / "data", block_bundle, limits=replace(SMALL, waiting=12, uploads=2)))
    turned_away: list[int] = []

    def visit(number: int) -> tuple[str, int]:
        key = door.open(str(number))
        while (sent := door.send(key, (f"{number}.nii.gz", knee))).status_code == 429:
            turned_away.append(int(sent.headers["retry-after"]))
            time.sleep(0.05)
        assert sent.status_code == 200, sent.text
        return key, door.ask(key).status_code

    with door.client, ThreadPoolExecutor(50) as pool:
        visits = list(pool.map(visit, range(50)))
    assert turned_away
    assert min(turned_away) > 0
    assert sorted(status for _, status in visits) == [202] * 12 + [429] * 38
    assert len({key for key, _ in visits}) == 50
    assert {door.show(key)["files"] for key, _ in visits} == {1}
    accepted = [key for key, status in visits if status == 202]
    assert {door.show(key)["state"] for key in accepted} == {"queued"}
    for _ in accepted:
        assert door.desk.work_once()
    assert {door.show(key)["latest"]["outcome"] for key in accepted} == {"estimated"}
    assert door.client.get("/api/audit/verify").json() | {"head": ""} == {
        "whole": True,
        "lines": 50 + 50 + 12 + 12,
        "problem": None,
        "head": "",
    }


def test_what_a_killed_worker_held_is_done_once(door: Door, knee: bytes) -> None:
    keys = [door.open(str(number)) for number in range(3)]
    for key in keys:
        door.send(key, ("knee.nii.gz", knee))
        assert door.ask(key).status_code == 202
    killed = door.new_desk("killed", lease_seconds=-1)
    task = killed.queue.claim("killed", -1)
    assert task is not None
    assert task.examination == keys[0]
    again = Door(door.settings)
    again.desk = again.new_desk("second")
    for _ in keys:
        assert again.desk.work_once()
    assert {again.show(key)["state"] for key in keys} == {"done"}
    assert killed._try(task) == "lost to another worker"
    actions = [line["action"] for line in again.audit()]
    assert actions.count("estimate done") == 3


def asked(door: Door, knee: bytes) -> str:
    """An examination whose question waits."""
    key = door.open()
    door.send(key, ("knee.nii.gz", knee))
    door.ask(key)
    return key


def test_a_run_that_too_many_workers_died_on_is_ended(door: Door, knee: bytes) -> None:
    key, queue = asked(door, knee), door.desk.queue
    for number in range(MOST_DEATHS):
        assert queue.claim(f"worker {number}", 60) is not None
        queue.bury(f"worker {number}", "it crashed")
    found = door.show(key)
    assert (found["state"], found["reason"]["code"]) == ("failed", "worker_died")
    assert not door.desk.work_once()


def test_a_run_that_nobody_wants_ends_with_its_worker(door: Door, knee: bytes) -> None:
    key, queue = asked(door, knee), door.desk.queue
    assert queue.claim("worker", 60) is not None
    assert door.client.post(f"/api/examinations/{key}/cancel").json()["state"] == "running"
    queue.bury("worker", "it crashed")
    assert door.show(key)["state"] == "cancelled"


def test_a_run_that_takes_too_long_is_overdue(door: Door, knee: bytes) -> None:
    asked(door, knee)
    now = [time.time()]
    queue = RunQueue(door.client.app.state.office.register.journal, lambda: now[0])  # type: ignore[attr-defined]
    assert queue.claim("worker", 60) is not None
    assert not queue.is_overdue("worker", 600)
    now[0] += 601
    assert queue.is_overdue("worker", 600)
    assert not queue.is_overdue("another", 600)


def test_an_answer_that_is_there_is_not_given_again(door: Door, knee: bytes) -> None:
    key = asked(door, knee)
    killed = door.new_desk("killed")
    task = killed.queue.claim("killed", -1)
    assert task is not None
    lost = door.desk.queue.claim("other", 60)
    assert lost is not None
    door.desk._ended(lost)
    made = (door.desk._place(lost) / "result.json").stat().st_mtime_ns
    door.desk.queue.bury("other", "it was killed after it wrote")
    assert door.desk.work_once()
    assert door.show(key)["state"] == "done"
    assert (door.desk._place(lost) / "result.json").stat().st_mtime_ns == made


def test_documents_are_made_after_a_kill_and_only_once(door: Door, knee: bytes) -> None:
    key = door.answered(knee)
    answer = door.client.get(f"/api/examinations/{key}/runs/1/result").text
    killed = door.desk.queue.claim("killed", -1)
    assert killed is not None
    second = door.new_desk("second")
    assert second.work_once()
    assert door.show(key)["latest"]["documents"]["state"] == "done"
    assert door.client.get(f"/api/examinations/{key}/runs/1/result").text == answer
    assert not second.work_once()
    assert door.desk._try(killed) == "lost to another worker"
    assert [line["action"] for line in door.audit()].count("documents done") == 1


def test_documents_that_are_there_are_not_made_again(door: Door, knee: bytes) -> None:
    key = door.answered(knee)
    task = door.desk.queue.claim("other", 60)
    assert task is not None
    door.desk._ended(task)
    (made,) = (door.settings.data / "examinations" / key).glob("documents-1")
    before = (made / "report.html").stat().st_mtime_ns
    door.desk.queue.bury("other", "it was killed after it wrote")
    assert door.desk.work_once()
    assert (made / "report.html").stat().st_mtime_ns == before
    assert "report.html" in door.show(key)["latest"]["files"]


def test_what_a_killed_server_left_is_swept(door: Door, knee: bytes) -> None:
    key = door.open()
    door.send(key, ("knee.nii.gz", knee))
    office = door.client.app.state.office  # type: ignore[attr-defined]
    uploads = office.files.uploads(key)
    (uploads / "orphan").write_bytes(b"half")
    (uploads.parent / "incoming-x").mkdir()
    purged = door.open()
    assert door.client.post(f"/api/examinations/{purged}/purge").status_code == 200
    for name in (purged, "0" * 32):
        (uploads.parents[1] / name / "documents-1").mkdir(parents=True)
    half = uploads.parent / ".0.part.correction-1.nii.gz"
    for left in (half, office.files.correction(key, 1)):
        left.write_bytes(b"of an order that was broken off")
    office.files.sweep(office.register.known_files(), office.register.corrections())
    assert [path.name for path in uploads.parent.iterdir()] == ["uploads"]
    assert len(list(uploads.iterdir())) == 1
    assert {path.name for path in uploads.parents[1].iterdir()} == {key, "0" * 32}, "of an unknown register"
