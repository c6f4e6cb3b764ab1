"""Many at once, and a worker that is killed: nothing is lost or done twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.web.support import SMALL, Door, settings_of


def test_fifty_clients_finish_or_are_told_to_come_again(tmp_path: Path, block_bundle: Path, knee: bytes) -> None:
    (tmp_path / "data").mkdir()
    door = Door(settings_of(tmp_path / "data", block_bundle, limits=replace(SMALL, waiting=40, uploads=50)))

    def visit(number: int) -> tuple[str, int]:
        key = door.open(str(number))
        while (sent := door.send(key, (f"{number}.nii.gz", knee))).status_code == 429:
            assert int(sent.headers["retry-after"]) > 0
        assert sent.status_code == 200, sent.text
        return key, door.ask(key).status_code

    with door.client, ThreadPoolExecutor(50) as pool:
        visits = list(pool.map(visit, range(50)))
    assert sorted(status for _, status in visits) == [202] * 40 + [429] * 10
    assert len({key for key, _ in visits}) == 50
    assert {door.show(key)["state"] for key, status in visits if status == 202} == {"queued"}
    assert {door.show(key)["files"] for key, _ in visits} == {1}
    assert door.client.get("/api/audit/verify").json() | {"head": ""} == {
        "whole": True,
        "lines": 140,
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
    again.work()
    assert {again.show(key)["state"] for key in keys} == {"done"}
    assert killed._try(task) == "lost to another worker"
    actions = [line["action"] for line in again.audit()]
    assert actions.count("estimate done") == 3


def test_documents_that_are_there_are_not_made_again(door: Door, knee: bytes) -> None:
    key = door.open()
    door.send(key, ("knee.nii.gz", knee))
    door.ask(key)
    killed = door.new_desk("killed")
    task = killed.queue.claim("killed", -1)
    assert task is not None
    lost = door.desk.queue.claim("other", 60)
    assert lost is not None
    door.desk._ended(lost)
    made = (door.desk._place(lost) / "result.json").stat().st_mtime_ns
    door.desk.queue.bury("other", "it was killed after it wrote")
    door.work()
    assert door.show(key)["state"] == "done"
    assert (door.desk._place(lost) / "result.json").stat().st_mtime_ns == made


def test_what_a_killed_server_left_is_swept(door: Door, knee: bytes) -> None:
    key = door.open()
    door.send(key, ("knee.nii.gz", knee))
    office = door.client.app.state.office  # type: ignore[attr-defined]
    uploads = office.files.uploads(key)
    (uploads / "orphan").write_bytes(b"half")
    (uploads.parent / "incoming-x").mkdir()
    office.files.sweep(office.register.known_files())
    assert [path.name for path in uploads.parent.iterdir()] == ["uploads"]
    assert len(list(uploads.iterdir())) == 1
