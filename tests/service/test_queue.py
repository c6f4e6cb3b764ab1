"""Where studies stand, and that none is lost or done twice."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kneeage.core.errors import OutputError, UsageError
from kneeage.service.database import _STUDIES, Database
from kneeage.service.events import Event, Happening
from kneeage.service.lease import MOST_DEATHS, LeaseLostError
from kneeage.service.queue import Queue
from kneeage.service.studies import Arrival, Entry, InWorkError, Job, StudyState, study_key
from kneeage.service.troubles import Trouble

STUDY = "1.2.3"
NO_KNEE = Trouble("input_refused", "no knee")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(b"image")
    return path


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> Queue:
    return Queue(tmp_path / "queue.sqlite3", clock)


def add(queue: Queue, file: Path, instance: str = "1", content: str = "a", study: str = STUDY) -> Arrival:
    return queue.add(study, instance, sha256=content, file=file)


def claim(queue: Queue, file: Path, worker: str = "w") -> Job:
    """A study that a worker holds."""
    add(queue, file)
    queue.settle(0)
    job = queue.claim(worker, 60)
    assert job is not None
    return job


def entry(queue: Queue) -> Entry:
    (only,) = queue.entries()
    return only


def state(queue: Queue) -> StudyState:
    return entry(queue).state


def happened(queue: Queue) -> list[Event]:
    """Everything that happened, in its order."""
    found: list[Event] = []
    while (event := queue.event_after(found[-1].number if found else 0)) is not None:
        found.append(event)
    return found


def test_an_image_opens_a_study(queue: Queue, file: Path) -> None:
    assert add(queue, file) is Arrival.NEW
    assert (state(queue), queue.size(STUDY)) == (StudyState.RECEIVED, (1, 5))


def test_a_study_is_stable_only_when_nothing_came_for_a_while(queue: Queue, clock: Clock, file: Path) -> None:
    add(queue, file)
    clock.now += 9
    add(queue, file, "2")
    clock.now += 9
    assert queue.settle(10) == 0
    clock.now += 1
    assert queue.settle(10) == 1
    assert state(queue) is StudyState.STABLE


def test_an_image_that_is_sent_again_keeps_its_study_waiting(queue: Queue, clock: Clock, file: Path) -> None:
    add(queue, file)
    clock.now += 9
    assert add(queue, file) is Arrival.KNOWN
    clock.now += 9
    assert queue.settle(10) == 0


def test_a_study_that_came_partly_before_the_door_closed_waits_from_its_opening(
    queue: Queue, clock: Clock, file: Path
) -> None:
    add(queue, file)
    clock.now += 100
    queue.wait_again()
    assert queue.settle(10) == 0


def test_a_worker_takes_the_study_that_waited_longest(queue: Queue, clock: Clock, file: Path) -> None:
    for study in ("1.1", "1.2"):
        add(queue, file, study=study)
        queue.settle(0)
        clock.now += 1
    jobs = [queue.claim(name, 60) for name in ("a", "b", "c")]
    assert [job and job.study_uid for job in jobs] == ["1.1", "1.2", None]


def test_two_workers_never_have_one_study(queue: Queue, tmp_path: Path, file: Path) -> None:
    for number in range(20):
        add(queue, file, study=f"1.{number}")
    queue.settle(0)
    taken: list[str] = []

    def work(name: str) -> None:
        own = Queue(tmp_path / "queue.sqlite3", queue._clock)
        while (job := own.claim(name, 60)) is not None:
            taken.append(job.study_uid)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(f"1.{number}" for number in range(20))


def test_what_is_done_is_not_done_again_when_it_is_sent_again(queue: Queue, clock: Clock, file: Path) -> None:
    assert queue.finish(claim(queue, file)) is StudyState.DONE
    assert add(queue, file) is Arrival.KNOWN
    clock.now += 100
    assert (queue.settle(0), state(queue)) == (0, StudyState.DONE)


def test_a_new_image_makes_a_study_that_was_done_wait_again(queue: Queue, file: Path) -> None:
    job = claim(queue, file)
    queue.finish(job)
    assert add(queue, file, "2") is Arrival.NEW
    queue.settle(0)
    again = queue.claim("w2", 60)
    assert again is not None
    assert again.input_hash != job.input_hash


def test_an_image_that_changed_makes_its_study_wait_again(queue: Queue, file: Path) -> None:
    queue.finish(claim(queue, file))
    assert add(queue, file, content="b") is Arrival.CHANGED
    assert state(queue) is StudyState.RECEIVED


def test_images_that_come_while_it_runs_are_not_lost(queue: Queue, file: Path) -> None:
    job = claim(queue, file)
    assert queue.is_current(job)
    add(queue, file, "2")
    assert state(queue) is StudyState.RUNNING
    assert not queue.is_current(job)
    assert queue.finish(job) is StudyState.RECEIVED


def test_a_worker_that_sees_a_change_gives_the_study_back(queue: Queue, file: Path) -> None:
    job = claim(queue, file)
    add(queue, file, "2")
    queue.restart(job)
    assert state(queue) is StudyState.RECEIVED


def give_back(queue: Queue, _: Job) -> None:
    queue.give_back("w")


def bury(queue: Queue, _: Job) -> None:
    queue.bury("w", "it died")


def postpone(queue: Queue, job: Job) -> None:
    queue.postpone(job, "the archive is away", 60)


def park(queue: Queue, job: Job) -> None:
    assert queue.park(job, NO_KNEE) is StudyState.RECEIVED


@pytest.mark.parametrize("leave", [give_back, bury, postpone, park, Queue.restart])
def test_however_a_worker_leaves_a_study_whose_images_changed_it_waits_until_it_is_stable(
    queue: Queue, clock: Clock, file: Path, leave: Callable[[Queue, Job], None]
) -> None:
    job = claim(queue, file)
    clock.now += 10
    add(queue, file, "2")
    leave(queue, job)
    assert state(queue) is StudyState.RECEIVED
    queue.settle(5)
    assert queue.claim("w2", 60) is None
    clock.now += 5
    queue.settle(5)
    again = queue.claim("w2", 60)
    assert again is not None
    expected = [("received", job), ("started", job), ("replaced", job), ("received", again), ("started", again)]
    assert [(one.what.value, one.input_hash) for one in happened(queue)] == [(a, b.input_hash) for a, b in expected]


def test_a_study_that_was_done_is_not_replaced_by_other_images(queue: Queue, file: Path) -> None:
    queue.finish(claim(queue, file))
    queue.forget_images(-1, lambda _: None)
    add(queue, file)
    queue.settle(0)
    add(queue, file, "2")
    assert [one.what.value for one in happened(queue)] == ["received", "started", "forgotten", "received again"]


def test_a_lease_that_ends_returns_the_study(queue: Queue, clock: Clock, file: Path) -> None:
    job = claim(queue, file)
    clock.now += 61
    again = queue.claim("w2", 60)
    assert again is not None
    assert (again.key, again.input_hash) == (job.key, job.input_hash)


def test_a_lease_that_is_renewed_holds(queue: Queue, clock: Clock, file: Path) -> None:
    job = claim(queue, file)
    for _ in range(5):
        clock.now += 50
        queue.renew(job, 60)
        assert queue.claim("w2", 60) is None


def test_who_lost_a_study_can_say_nothing_about_it(queue: Queue, clock: Clock, file: Path) -> None:
    job = claim(queue, file)
    clock.now += 61
    assert queue.claim("w2", 60) is not None
    for say in (
        lambda: queue.renew(job, 60),
        lambda: queue.note_objects(job, ["1"]),
        lambda: queue.finish(job),
        lambda: queue.restart(job),
        lambda: queue.postpone(job, "late", 1),
        lambda: queue.park(job, NO_KNEE),
    ):
        with pytest.raises(LeaseLostError, match="no longer this worker's"):
            say()
    assert state(queue) is StudyState.RUNNING


def test_objects_that_are_confirmed_are_not_sent_again(queue: Queue, clock: Clock, file: Path) -> None:
    job = claim(queue, file)
    assert queue.note_objects(job, ["2", "1", "3"]) == ["1", "2", "3"]
    queue.confirm(job, "2")
    clock.now += 61
    again = queue.claim("w2", 60)
    assert again is not None
    assert queue.note_objects(again, ["1", "2", "3"]) == ["1", "3"]


def test_a_study_that_waits_is_tried_again_later(queue: Queue, clock: Clock, file: Path) -> None:
    queue.postpone(claim(queue, file), "the archive is away", 30)
    assert entry(queue).reason == "the archive is away"
    assert queue.claim("w", 60) is None
    clock.now += 30
    job = queue.claim("w", 60)
    assert job is not None
    assert job.tries == 1


def test_a_study_that_is_parked_stays_so_until_it_is_retried(queue: Queue, clock: Clock, file: Path) -> None:
    queue.park(claim(queue, file), NO_KNEE)
    assert add(queue, file) is Arrival.KNOWN
    clock.now += 100
    queue.settle(0)
    assert queue.claim("w", 60) is None
    assert entry(queue).reason == "no knee"
    assert queue.retry() == 1
    assert queue.claim("w", 60) is not None


def test_a_missing_image_brings_a_parked_study_back(queue: Queue, file: Path) -> None:
    queue.park(claim(queue, file), NO_KNEE)
    add(queue, file, "2")
    assert (state(queue), entry(queue).reason) == (StudyState.RECEIVED, None)


@pytest.mark.parametrize("name", [STUDY, study_key(STUDY)])
def test_one_study_is_retried_by_key_or_uid(queue: Queue, file: Path, name: str) -> None:
    queue.park(claim(queue, file), NO_KNEE)
    assert queue.retry(name) == 1


def test_a_study_that_is_not_parked_cannot_be_retried(queue: Queue, file: Path) -> None:
    add(queue, file)
    with pytest.raises(UsageError, match="no parked study has that name"):
        queue.retry(STUDY)


def test_a_study_that_workers_die_on_goes_to_the_end_of_the_line_and_is_parked_at_last(
    queue: Queue, clock: Clock, file: Path
) -> None:
    claim(queue, file, "w0")
    add(queue, file, study="1.9")
    queue.settle(0)
    clock.now += 1
    queue.bury("w0", "it crashed")
    other = queue.claim("w", 60)
    assert other is not None
    assert other.study_uid == "1.9"
    queue.finish(other)
    for number in range(1, MOST_DEATHS):
        assert queue.claim(f"w{number}", 60) is not None
        queue.bury(f"w{number}", "it crashed")
    (parked,) = queue.entries(StudyState.PARKED)
    assert parked.reason == f"{MOST_DEATHS} workers died on this study, the last because it crashed"


def test_a_worker_that_is_told_to_stop_counts_as_no_death(queue: Queue, file: Path) -> None:
    claim(queue, file, "w0")
    queue.give_back("w0")
    for number in range(1, MOST_DEATHS + 2):
        assert queue.claim(f"w{number}", 60) is not None
        queue.give_back(f"w{number}")
    assert state(queue) is StudyState.STABLE


def test_a_worker_that_is_told_to_stop_leaves_the_reason_why_the_study_waits(queue: Queue, file: Path) -> None:
    queue.postpone(claim(queue, file), "the archive is away", 0)
    assert queue.claim("w2", 60) is not None
    queue.give_back("w2")
    assert (state(queue), entry(queue).reason) == (StudyState.STABLE, "the archive is away")


def test_a_worker_is_overdue_after_the_limit(queue: Queue, clock: Clock, file: Path) -> None:
    claim(queue, file, "w")
    assert not queue.is_overdue("w", 10)
    clock.now += 11
    assert queue.is_overdue("w", 10)
    assert not queue.is_overdue("other", 10)


def test_images_are_forgotten_but_not_that_they_were_done(queue: Queue, clock: Clock, file: Path) -> None:
    queue.finish(claim(queue, file))
    removed: list[str] = []
    queue.forget_images(10, removed.append)
    assert removed == []
    clock.now += 11
    queue.forget_images(10, removed.append)
    assert (removed, queue.size(STUDY)) == ([study_key(STUDY)], (0, 0))
    assert add(queue, file) is Arrival.NEW
    queue.settle(0)
    assert queue.claim("w2", 60) is None
    assert state(queue) is StudyState.DONE


def finish_some(queue: Queue, file: Path, studies: tuple[str, ...]) -> None:
    """Studies that are done."""
    for study in studies:
        add(queue, file, study=study)
        queue.settle(0)
        job = queue.claim("w", 60)
        assert job is not None
        queue.finish(job)


def test_others_can_write_while_images_are_forgotten(queue: Queue, clock: Clock, file: Path, tmp_path: Path) -> None:
    finish_some(queue, file, ("1.1", "1.2", "1.3"))
    clock.now += 11
    left = []

    def remove(_: str) -> None:
        with contextlib.closing(sqlite3.connect(tmp_path / "queue.sqlite3")) as other:
            left.append(other.execute("SELECT COUNT(*) FROM instances").fetchone()[0])

    queue.forget_images(10, remove)
    assert left == [3, 2, 1]


def test_a_study_that_is_sent_again_meanwhile_is_not_forgotten(queue: Queue, clock: Clock, file: Path) -> None:
    finish_some(queue, file, ("1.1", "1.2"))
    clock.now += 11
    removed: list[str] = []

    def remove(key: str) -> None:
        removed.append(key)
        queue._database._connection.execute("UPDATE studies SET state = 'received' WHERE key <> ?", (key,))

    queue.forget_images(10, remove)
    assert len(removed) == 1


@pytest.mark.parametrize("name", [STUDY, study_key(STUDY), None])
def test_a_parked_study_is_removed_with_its_images_and_remembered(queue: Queue, file: Path, name: str | None) -> None:
    queue.park(claim(queue, file), NO_KNEE)
    removed: list[str] = []
    assert queue.remove(name, removed.append) == 1
    assert (removed, queue.size(STUDY), state(queue)) == ([study_key(STUDY)], (0, 0), StudyState.REMOVED)
    assert [one.what.value for one in happened(queue)] == ["received", "started", "parked", "removed"]


def test_a_study_that_is_done_is_removed_when_it_is_named(queue: Queue, file: Path) -> None:
    queue.finish(claim(queue, file))
    assert queue.remove(None, lambda _: None) == 0
    assert queue.remove(STUDY, lambda _: None) == 1


def test_a_removed_study_that_is_sent_again_is_a_new_one(queue: Queue, file: Path) -> None:
    job = claim(queue, file)
    queue.note_answer(job, {})
    queue.park(job, NO_KNEE)
    queue.remove(None, lambda _: None)
    again = claim(queue, file, "w2")
    queue.note_answer(again, {})
    queue.note_answer(again, {})
    assert [one.what.value for one in happened(queue)].count("answered") == 2


def test_what_is_in_work_is_not_removed(queue: Queue, file: Path) -> None:
    add(queue, file)
    for words in ("is received", "is stable", "is running"):
        with pytest.raises(InWorkError, match=words):
            queue.remove(STUDY, lambda _: pytest.fail("a file was removed"))
        queue.settle(0) or queue.claim("w", 60)
    assert queue.remove(None, lambda _: pytest.fail("a file was removed")) == 0


def test_what_is_not_there_is_not_removed(queue: Queue, file: Path) -> None:
    with pytest.raises(UsageError, match="no study has that name"):
        queue.remove(STUDY, lambda _: None)
    queue.park(claim(queue, file), NO_KNEE)
    queue.remove(STUDY, lambda _: None)
    with pytest.raises(UsageError, match="it was removed before"):
        queue.remove(STUDY, lambda _: None)


def test_a_removal_that_fails_changes_nothing(queue: Queue, file: Path) -> None:
    queue.park(claim(queue, file), NO_KNEE)

    def fail(_: str) -> None:
        raise PermissionError("not yours")

    with pytest.raises(PermissionError, match="not yours"):
        queue.remove(STUDY, fail)
    assert (state(queue), queue.size(STUDY)[0]) == (StudyState.PARKED, 1)


def first_version(path: Path, state: str, input_hash: str | None) -> Queue:
    """Open a queue that the version before the log made, with one study of one image."""
    old = sqlite3.connect(path, isolation_level=None)
    for statement in filter(str.strip, _STUDIES.split(";")):
        old.execute(statement)
    old.execute("PRAGMA user_version = 1")
    row = (study_key(STUDY), STUDY, state, 0.0, 0.0, input_hash, "w", 0.0)
    columns = "key, study_uid, state, changed_at, since, input_hash, worker, lease_until"
    old.execute(f"INSERT INTO studies ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    old.execute("INSERT INTO instances VALUES (?, '1', 'a', 5)", (study_key(STUDY),))
    old.close()
    return Queue(path)


def test_a_queue_of_the_first_version_is_brought_to_this_one(tmp_path: Path, file: Path) -> None:
    queue = first_version(tmp_path / "old", "parked", "f" * 64)
    assert queue.remove(STUDY, lambda _: None) == 1
    assert [(one.what.value, one.input_hash) for one in happened(queue)] == [("removed", "f" * 64)]
    assert add(queue, file) is Arrival.NEW
    assert queue.id != Queue(tmp_path / "other").id


@pytest.mark.parametrize("where", ["received", "stable", "running", "parked"])
def test_images_that_the_first_version_received_are_put_on_record_when_they_are_examined(
    tmp_path: Path, queue: Queue, file: Path, where: str
) -> None:
    same = claim(queue, file).input_hash
    old = first_version(tmp_path / "old", where, None if where in ("received", "stable") else same)
    old.settle(0)
    old.retry()
    assert old.claim("w2", 60) is not None
    found = [(one.what.value, one.input_hash) for one in happened(old) if one.what is not Happening.RETRIED]
    assert found == [("received", same), ("started", same)]
    assert next(one.facts for one in happened(old) if one.what is Happening.RECEIVED) == {"files": {"a": 5}}


def test_an_image_whose_file_is_gone_is_not_noted(queue: Queue, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        add(queue, tmp_path / "gone")
    assert queue.entries() == []


def test_everything_is_counted(queue: Queue, file: Path) -> None:
    job = claim(queue, file)
    add(queue, file)
    queue.note_objects(job, ["1"])
    queue.confirm(job, "1")
    queue.finish(job)
    queue.count("associations", "accepted")
    assert queue.counters() == {
        ("associations", "accepted"): 1,
        ("instances_received", "known"): 1,
        ("instances_received", "new"): 1,
        ("objects_sent", ""): 1,
        ("studies_ended", "done"): 1,
    }
    assert queue.counts()[StudyState.DONE] == 1


def test_what_is_known_outlives_the_process(queue: Queue, tmp_path: Path, file: Path) -> None:
    claim(queue, file)
    queue.close()
    assert state(Queue(tmp_path / "queue.sqlite3")) is StudyState.RUNNING


def test_a_key_tells_nothing() -> None:
    assert STUDY not in study_key(STUDY)
    assert len(study_key(STUDY)) == 16


def test_a_queue_of_another_version_is_refused(tmp_path: Path) -> None:
    with Database(tmp_path / "q").transaction() as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(OutputError, match="has version 99; this program knows versions up to 2"):
        Queue(tmp_path / "q")


def test_a_file_that_is_no_queue_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q").write_bytes(b"something else" * 1000)
    with pytest.raises(OutputError, match="cannot be opened"):
        Queue(tmp_path / "q")


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "q")
    with contextlib.suppress(ZeroDivisionError), database.transaction() as db:
        db.execute("INSERT INTO counters VALUES ('a', 'b', 1)")
        _ = 1 / 0
    with database.transaction() as db:
        assert db.execute("SELECT * FROM counters").fetchall() == []
