"""What a PACS node does is on record once each, in the workstation's register and audit log."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra 'web'")

from kneeage.service.audit import Line, lines
from kneeage.service.case_files import CaseFiles
from kneeage.service.cases import Case, CaseState, Order, RunKind, RunState, StateError
from kneeage.service.migrate import open_journal
from kneeage.service.queue import Queue
from kneeage.service.recorder import Recorder, RecordPlace
from kneeage.service.register import Register
from kneeage.service.run_queue import RunQueue
from kneeage.service.spool import Spool
from kneeage.service.studies import study_key
from kneeage.service.tables import reading, sqlite_url
from kneeage.service.worker import MOST_TRIES, DeliveryError, Worker
from tests.pacs.fakes import MODALITIES, FakeExaminer
from tests.pacs.support import study_uid
from tests.service.postgres import running_server
from tests.service.support import NAME, RHYTHM, Archive, receive

ASKED = {
    "question": {"sex": None, "thresholds": [14, 18], "lang": "en"},
    "bundle": {"id": "b" * 16, "name": "knee", "version": "7", "population": "virtual", "sha256": "b" * 64},
}


@pytest.fixture
def place(tmp_path: Path) -> RecordPlace:
    folder = tmp_path / "data"
    folder.mkdir()
    return RecordPlace(folder, sqlite_url(folder / "register.sqlite3"))


@pytest.fixture
def register(place: RecordPlace) -> Register:
    return Register(open_journal(place.url, CaseFiles(place.folder).head))


@pytest.fixture
def recorder(place: RecordPlace, queue: Queue, spool: Spool) -> Recorder:
    return place.recorder(queue, spool)


@pytest.fixture
def asking(worker: Worker) -> Worker:
    return replace(worker, asked=ASKED)


def told(register: Register) -> list[Line]:
    """The audit log, oldest first, after it was verified."""
    register.journal.verify()
    with reading(register.journal.engine) as connection:
        return lines(connection, None, 1000, 0)[0][::-1]


def actions(register: Register) -> list[str]:
    return [line.action for line in told(register)]


def the_case(register: Register) -> Case:
    (case,), _ = register.search("", None, 10, 0)
    return register.case(case.id)


def fact(register: Register, action: str, name: str) -> Any:
    return next(line.facts[name] for line in told(register) if line.action == action)


def test_an_examination_is_on_record_from_its_images_to_the_archive(
    asking: Worker, recorder: Recorder, register: Register
) -> None:
    asking.work_once()
    assert recorder.catch_up() == 4
    expected = ["examination opened", "files received", "estimate started", "estimate done", "results sent"]
    assert actions(register) == expected
    assert {line.who for line in told(register)} == {"pacs"}
    assert fact(register, "estimate started", "bundle") == "knee 7"
    assert fact(register, "results sent", "objects") == len(MODALITIES)
    assert len(fact(register, "files received", "sha256")) == 3
    (hashes,) = {(line.facts["study"], line.facts["input_sha256"]) for line in told(register)}
    assert hashes[0] == study_key(study_uid(NAME))


def test_it_is_listed_by_the_workstation_with_its_answer_and_documents(
    asking: Worker, recorder: Recorder, register: Register, place: RecordPlace
) -> None:
    asking.work_once()
    recorder.catch_up()
    case = the_case(register)
    assert (case.state, case.created_by, case.reference) == (CaseState.DONE, "pacs", study_key(study_uid(NAME)))
    assert (case.files, len(list(CaseFiles(place.folder).uploads(case.id).iterdir()))) == (3, 3)
    (run,) = case.runs
    assert (run.state, run.outcome, run.estimated_age_years) == (RunState.DONE, "estimated", 16.5)
    assert run.question["thresholds"] == [14, 18]
    assert run.documents is not None
    assert run.documents.state is RunState.DONE
    files = CaseFiles(place.folder)
    assert files.find(case.id, 1, "result.json")
    assert set(run.files) == {"result.json", *(f"{one}.dcm" for one in MODALITIES)}
    digests = fact(register, "estimate done", "sha256")
    assert set(digests) == set(run.files)
    assert fact(register, "estimate done", "result_sha256") == digests["result.json"]


def test_the_spool_may_forget_what_the_workstation_keeps(
    asking: Worker, recorder: Recorder, register: Register, place: RecordPlace
) -> None:
    asking.work_once()
    recorder.catch_up()
    replace(asking, rhythm=replace(RHYTHM, keep=-1)).forget()
    recorder.catch_up()
    assert actions(register)[-1] == "removed from the spool"
    case = the_case(register)
    assert case.state is CaseState.DONE
    assert CaseFiles(place.folder).find(case.id, 1, "result.json")


def test_what_is_only_recorded_after_the_spool_forgot_has_no_files_but_every_line(
    asking: Worker, recorder: Recorder, register: Register
) -> None:
    asking.work_once()
    replace(asking, rhythm=replace(RHYTHM, keep=-1)).forget()
    recorder.catch_up()
    assert len(actions(register)) == 6
    case = the_case(register)
    assert (case.state, case.files, case.runs[0].files, case.runs[0].documents) == (CaseState.DONE, 0, [], None)


@pytest.mark.parametrize(
    ("examiner", "state", "code"),
    [
        (FakeExaminer(refuses=True), CaseState.REFUSED, "input_refused"),
        (FakeExaminer(fails=True), CaseState.FAILED, "unforeseen"),
    ],
)
def test_a_study_without_an_answer_is_on_record_with_the_reason(
    asking: Worker, recorder: Recorder, register: Register, examiner: FakeExaminer, state: CaseState, code: str
) -> None:
    replace(asking, examine=examiner).work_once()
    recorder.catch_up()
    assert actions(register)[-2:] == [f"estimate {state.value}", "parked"]
    case = the_case(register)
    assert case.reason is not None
    assert (case.state, case.reason.code, case.runs[0].state.value) == (state, code, state.value)
    assert fact(register, f"estimate {state.value}", "bundle_sha256") == "b" * 64


def test_an_answer_that_no_archive_takes_is_an_answer(
    asking: Worker, queue: Queue, recorder: Recorder, register: Register, archive: Archive
) -> None:
    archive.fails = [DeliveryError("away")] * MOST_TRIES
    for _ in range(MOST_TRIES):
        asking.work_once()
    recorder.catch_up()
    assert actions(register)[1:] == ["files received", "estimate started", "estimate done", "parked"]
    case = the_case(register)
    assert case.reason is not None
    assert (case.state, case.reason.code, len(case.runs)) == (CaseState.DONE, "undeliverable", 1)
    queue.retry()
    asking.work_once()
    recorder.catch_up()
    assert actions(register)[5:] == ["retried", "estimate started", "results sent"]
    assert len(the_case(register).runs) == 1
    assert the_case(register).reason is None


def test_a_study_that_is_retried_waits_again_and_gets_its_answer(
    asking: Worker, queue: Queue, recorder: Recorder, register: Register
) -> None:
    replace(asking, examine=FakeExaminer(refuses=True)).work_once()
    queue.retry()
    recorder.catch_up()
    assert the_case(register).state is CaseState.QUEUED
    assert told(register)[-1].who == "operator"
    asking.work_once()
    recorder.catch_up()
    assert [run.state.value for run in the_case(register).runs] == ["refused", "done"]
    assert the_case(register).state is CaseState.DONE


def test_images_that_come_before_a_worker_dies_are_another_examination(
    asking: Worker, queue: Queue, spool: Spool, recorder: Recorder, register: Register
) -> None:
    queue.settle(0)
    assert queue.claim("deadly", 60, ASKED) is not None
    file = next(spool.folder.rglob("*.dcm"))
    queue.add(study_uid(NAME), "9.9", sha256=file.stem, file=file)
    queue.bury("deadly", "it died")
    asking.work_once()
    recorder.catch_up()
    cases, _ = register.search("", None, 10, 0)
    assert sorted((case.state.value, case.files) for case in cases) == [("cancelled", 3), ("done", 3)]


def test_other_images_are_another_examination(
    asking: Worker, queue: Queue, spool: Spool, recorder: Recorder, register: Register, tmp_path: Path
) -> None:
    queue.settle(0)
    receive(spool, queue, tmp_path / "more", NAME)
    file = next(spool.folder.rglob("*.dcm"))
    queue.add(study_uid(NAME), "9.9", sha256=file.stem, file=file)
    asking.work_once()
    recorder.catch_up()
    cases, total = register.search("", None, 10, 0)
    assert total == 2
    assert sorted(case.state.value for case in cases) == ["cancelled", "done"]
    assert "replaced by other images" in actions(register)


def test_a_study_that_is_sent_again_is_a_line_and_nothing_else(
    asking: Worker, queue: Queue, spool: Spool, recorder: Recorder, register: Register, tmp_path: Path
) -> None:
    asking.work_once()
    replace(asking, rhythm=replace(RHYTHM, keep=-1)).forget()
    receive(spool, queue, tmp_path / "again", NAME)
    asking.work_once()
    recorder.catch_up()
    assert actions(register)[-2:] == ["removed from the spool", "files received"]
    assert (the_case(register).state, len(the_case(register).runs)) == (CaseState.DONE, 1)


def test_what_is_on_record_is_not_written_again(
    asking: Worker, recorder: Recorder, register: Register, place: RecordPlace, queue: Queue, spool: Spool
) -> None:
    asking.work_once()
    assert recorder.catch_up() == 4
    assert recorder.catch_up() == 0
    assert place.recorder(queue, spool).catch_up() == 0
    assert len(actions(register)) == 5


@pytest.mark.parametrize("breaking", ["adopt_uploads", "adopt_results"])
def test_what_was_broken_off_is_written_once(
    asking: Worker, recorder: Recorder, register: Register, monkeypatch: pytest.MonkeyPatch, breaking: str
) -> None:
    asking.work_once()
    original: Callable[..., Any] = getattr(CaseFiles, breaking)

    def broken(*arguments: Any) -> None:
        original(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CaseFiles, breaking, broken)
        with pytest.raises(KeyboardInterrupt):
            recorder.catch_up()
    recorder.catch_up()
    assert len(actions(register)) == 5
    assert len(the_case(register).runs[0].files) == 1 + len(MODALITIES)


def test_a_register_that_is_away_costs_no_study(
    asking: Worker, recorder: Recorder, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking.work_once()

    def away(*_: object) -> None:
        raise OSError("away")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "_write_next", away)
        assert not recorder.try_to_catch_up()
    assert not recorder.try_to_catch_up()
    assert actions(register) == []
    recorder._not_before = 0.0
    assert recorder.try_to_catch_up()
    assert len(actions(register)) == 5


def test_a_study_that_is_removed_is_purged_and_its_lines_stay(
    asking: Worker, queue: Queue, spool: Spool, recorder: Recorder, register: Register, place: RecordPlace
) -> None:
    replace(asking, examine=FakeExaminer(refuses=True)).work_once()
    recorder.catch_up()
    case = the_case(register)
    before = len(actions(register))
    queue.remove(study_key(study_uid(NAME)), spool.remove)
    recorder.catch_up()
    assert actions(register)[before:] == ["removed"]
    assert told(register)[-1].who == "operator"
    assert the_case(register).state is CaseState.PURGED
    assert the_case(register).reference == ""
    assert not CaseFiles(place.folder).uploads(case.id).exists()
    assert not list(spool.folder.rglob("*.dcm"))


def test_words_of_a_removed_study_lie_in_no_file_of_the_register(
    asking: Worker, queue: Queue, spool: Spool, recorder: Recorder, place: RecordPlace
) -> None:
    replace(asking, asked={**ASKED, "question": {"examiner": "Stachelbeere"}}).work_once()
    recorder.catch_up()

    def holding() -> set[str]:
        return {path.name for path in place.folder.glob("register.sqlite3*") if b"Stachelbeere" in path.read_bytes()}

    assert holding()
    queue.remove(study_key(study_uid(NAME)), spool.remove)
    recorder.catch_up()
    assert holding() == set()


def test_a_removed_study_that_is_sent_again_is_examined_again(
    asking: Worker, queue: Queue, spool: Spool, recorder: Recorder, register: Register, tmp_path: Path
) -> None:
    replace(asking, examine=FakeExaminer(refuses=True)).work_once()
    queue.remove(None, spool.remove)
    receive(spool, queue, tmp_path / "again", NAME)
    asking.work_once()
    recorder.catch_up()
    case = the_case(register)
    assert (case.state, case.files) == (CaseState.DONE, 3)
    assert [run.state.value for run in case.runs] == ["refused", "done"]
    assert actions(register)[-3:] == ["estimate started", "estimate done", "results sent"]


def test_what_the_workstation_works_on_is_its_own(
    asking: Worker, queue: Queue, spool: Spool, recorder: Recorder, register: Register, place: RecordPlace
) -> None:
    asking.work_once()
    recorder.catch_up()
    key = the_case(register).id
    register.order(key, "ann", Order(RunKind.ESTIMATE, {"lang": "en"}, ASKED["bundle"]))
    queue.remove(study_key(study_uid(NAME)), spool.remove)
    recorder.catch_up()
    assert fact(register, "removed", "workstation") == "keeps its copy"
    assert the_case(register).state is CaseState.QUEUED
    assert CaseFiles(place.folder).uploads(key).exists()


@pytest.mark.usefixtures("asking")
def test_the_workstation_leaves_the_work_of_the_node_alone(
    queue: Queue, recorder: Recorder, register: Register
) -> None:
    queue.settle(0)
    assert queue.claim("w", 60, ASKED) is not None
    recorder.catch_up()
    key = the_case(register).id
    assert the_case(register).state is CaseState.RUNNING
    runs = RunQueue(register.journal)
    runs.recover()
    assert runs.claim("web", 60) is None
    with pytest.raises(StateError, match="a PACS node works on the examination"):
        register.cancel(key, "ann")
    with pytest.raises(StateError, match="it is at work"):
        register.purge(key, "ann", lambda: None)


def test_no_line_names_the_subject_or_a_uid(asking: Worker, recorder: Recorder, register: Register) -> None:
    asking.work_once()
    recorder.catch_up()
    said = json.dumps([line.facts for line in told(register)])
    assert study_uid(NAME) not in said
    assert f"subject {NAME}" not in said


def test_the_register_may_be_a_postgresql_server(asking: Worker, queue: Queue, spool: Spool, tmp_path: Path) -> None:
    with running_server() as url:
        if url is None:
            pytest.skip("needs a PostgreSQL server (Debian: postgresql) and psycopg")
        asking.work_once()
        (tmp_path / "data").mkdir()
        recorder = RecordPlace(tmp_path / "data", url).recorder(queue, spool)
        assert recorder.catch_up() == 4
        assert len(actions(Register(recorder.journal))) == 5
        recorder.journal.engine.dispose()
