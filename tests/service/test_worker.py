"""One worker: the order of its steps, and what becomes of a study when a step fails."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kneeage.core.errors import OutputError
from kneeage.service.lease import MOST_DEATHS
from kneeage.service.logs import LOGGER, JsonLines
from kneeage.service.queue import Queue
from kneeage.service.spool import Spool
from kneeage.service.studies import StudyState, study_key
from kneeage.service.worker import MOST_TRIES, DeliveryError, Worker
from tests.pacs.fakes import MODALITIES, FakeExaminer
from tests.pacs.support import study_uid, wait_for
from tests.service.support import NAME, RHYTHM, Archive, state


def lease_end(queue: Queue) -> float:
    """Until when the only study is its worker's."""
    with queue._database.transaction() as db:
        return float(db.execute("SELECT lease_until FROM studies").fetchone()[0])


def test_a_study_is_examined_and_its_results_sent_once(worker: Worker, queue: Queue, archive: Archive) -> None:
    assert worker.work_once()
    assert not worker.work_once()
    assert state(queue) == (StudyState.DONE, None)
    assert list(archive.stored.values()) == [1] * len(MODALITIES)


def test_without_a_destination_results_stay_in_the_spool(worker: Worker, queue: Queue, spool: Spool) -> None:
    replace(worker, destination=None).work_once()
    assert state(queue)[0] is StudyState.DONE
    assert len(list((spool.folder / "results").rglob("*.dcm"))) == len(MODALITIES)


def test_what_was_sent_before_a_failure_is_not_sent_again(worker: Worker, queue: Queue, archive: Archive) -> None:
    archive.fails, archive.fails_after = [DeliveryError("the archive is away")], 2
    examined: list[Path] = []
    counting = replace(worker, examine=lambda a, b: (examined.append(a), FakeExaminer()(a, b))[0])
    counting.work_once()
    assert state(queue) == (StudyState.STABLE, "the archive is away")
    assert len(archive.stored) == 2
    counting.work_once()
    assert state(queue) == (StudyState.DONE, None)
    assert list(archive.stored.values()) == [1] * len(MODALITIES)
    assert len(examined) == 1


@pytest.mark.parametrize("error", [DeliveryError("away"), OutputError("the disk is full")])
def test_what_may_pass_is_tried_again_and_parked_at_last(worker: Worker, queue: Queue, error: Exception) -> None:
    def fail(_images: Path, _documents: Path) -> None:
        raise error

    failing = replace(worker, examine=fail)
    for _ in range(MOST_TRIES):
        assert failing.work_once()
    assert state(queue) == (StudyState.PARKED, str(error))


def test_a_refusal_is_parked_with_its_reason(worker: Worker, queue: Queue) -> None:
    replace(worker, examine=FakeExaminer(refuses=True)).work_once()
    assert state(queue) == (StudyState.PARKED, "nothing to be seen here")


def test_an_unforeseen_failure_is_parked_without_its_words(
    worker: Worker, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_images: Path, _documents: Path) -> None:
        raise ValueError("Nobody^Known was born in 2001")

    LOGGER.propagate = True
    with caplog.at_level(logging.INFO):
        replace(worker, examine=fail).work_once()
    assert state(queue) == (StudyState.PARKED, "unforeseen failure (ValueError); the log has its place")
    assert "Nobody" not in "".join(JsonLines().format(record) for record in caplog.records)


def test_a_study_that_changes_while_it_is_examined_is_not_sent(
    worker: Worker, queue: Queue, archive: Archive, tmp_path: Path
) -> None:
    def examine(images: Path, documents: Path) -> None:
        FakeExaminer()(images, documents)
        late = tmp_path / "late"
        late.write_bytes(b"late")
        queue.add(study_uid(NAME), "9.9", sha256="9", file=late)

    replace(worker, examine=examine).work_once()
    assert state(queue)[0] is StudyState.RECEIVED
    assert archive.stored == {}


def test_a_worker_that_lost_its_study_leaves_it_alone(worker: Worker, queue: Queue) -> None:
    def examine(images: Path, documents: Path) -> None:
        FakeExaminer()(images, documents)
        queue.give_back("w")
        assert queue.claim("other", 60) is not None

    replace(worker, examine=examine).work_once()
    assert state(queue)[0] is StudyState.RUNNING


def test_a_worker_that_lost_a_study_which_was_removed_leaves_nothing(
    worker: Worker, queue: Queue, spool: Spool
) -> None:
    def examine(images: Path, documents: Path) -> None:
        FakeExaminer()(images, documents)
        for number in range(MOST_DEATHS):
            queue.bury("w" if number == 0 else f"other {number}", "it seems dead")
            queue.claim(f"other {number + 1}", 60)
        queue.remove(None, spool.remove)

    replace(worker, examine=examine).work_once()
    assert state(queue)[0] is StudyState.REMOVED
    assert not list(spool.folder.rglob("*.dcm"))


def test_a_lease_is_kept_during_long_work(worker: Worker, queue: Queue) -> None:
    def examine(images: Path, documents: Path) -> None:
        FakeExaminer()(images, documents)
        before = lease_end(queue)
        wait_for(lambda: lease_end(queue) > before)

    replace(worker, examine=examine, rhythm=replace(RHYTHM, lease=0.3)).work_once()
    assert state(queue)[0] is StudyState.DONE


def test_images_that_are_gone_park_the_study(worker: Worker, queue: Queue, spool: Spool) -> None:
    spool.forget(study_key(study_uid(NAME)))
    worker.work_once()
    assert state(queue) == (
        StudyState.PARKED,
        "an image of the study is no longer in the spool; send the study again",
    )


def test_images_and_results_go_after_a_while(worker: Worker, spool: Spool, queue: Queue) -> None:
    worker.work_once()
    replace(worker, rhythm=replace(RHYTHM, keep=1000)).forget()
    assert list(spool.folder.rglob("*.dcm"))
    time.sleep(0.01)
    replace(worker, rhythm=replace(RHYTHM, keep=0)).forget()
    assert not list(spool.folder.rglob("*.dcm"))
    assert state(queue)[0] is StudyState.DONE


def test_a_worker_runs_until_it_is_told_to_stop(worker: Worker, queue: Queue) -> None:
    worker.run(lambda: state(queue)[0] is StudyState.DONE)
    assert state(queue)[0] is StudyState.DONE
