"""The audit log tells when a line was altered or is missing, on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra 'web'")

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import SQLAlchemyError

from kneeage.core.errors import OutputError, UsageError
from kneeage.service import migrations
from kneeage.service.audit import AuditError, Head, Journal, parse_head, read_head, write_head
from kneeage.service.cases import Order, RunKind
from kneeage.service.migrate import migrate, open_journal
from kneeage.service.register import Register
from kneeage.service.run_queue import RunEnd, RunQueue, RunState
from kneeage.service.tables import METADATA, open_engine, sqlite_url, writing
from tests.service.postgres import running_server


@pytest.fixture(scope="module")
def server() -> Iterator[str | None]:
    with running_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    if request.param == "sqlite":
        url = sqlite_url(tmp_path / "register.sqlite3")
    else:
        found = request.getfixturevalue("server")
        if found is None:
            pytest.skip("needs a PostgreSQL server (Debian: postgresql) and psycopg")
        url = found
    engine = open_engine(url)
    migrate(engine)
    yield Journal(engine, tmp_path / "audit.head")
    if request.param == "postgresql":
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    engine.dispose()


def unlocked(journal: Journal, statement: str) -> None:
    """Do what the database refuses, as somebody who owns it can."""
    is_sqlite = journal.engine.dialect.name == "sqlite"
    drops = ["audit_is_never_updated", "audit_is_never_deleted"] if is_sqlite else ["audit_is_append_only ON audit"]
    with writing(journal.engine) as connection:
        for name in drops:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql(statement)


@pytest.fixture
def written(journal: Journal) -> Journal:
    for number in range(4):
        with journal.writing() as pen:
            pen.note("ann", "did", None, number=number)
    return journal


def test_a_whole_log_gives_its_head(written: Journal) -> None:
    head = written.verify()
    assert head.number == 4
    assert written.verify(parse_head(str(head))) == head


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE audit SET who = 'bob' WHERE number = 2", "line 2 .* altered"),
        ("UPDATE audit SET facts = '{}' WHERE number = 4", "line 4 .* altered"),
        ("DELETE FROM audit WHERE number = 2", "line 2 .* missing"),
        ("DELETE FROM audit WHERE number = 1", "line 1 .* missing"),
        ("DELETE FROM audit WHERE number = 4", "lines are missing"),
        ("DELETE FROM audit", "lines are missing"),
    ],
)
def test_what_was_tampered_with_is_found(written: Journal, statement: str, words: str) -> None:
    unlocked(written, statement)
    with pytest.raises(AuditError, match=words):
        written.verify()


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit SET who = x'00ff' WHERE number = 2", "UPDATE settings SET value = 'none' WHERE name = 'audit_head'"],
)
def test_what_cannot_be_read_any_more_is_a_finding(tmp_path: Path, statement: str) -> None:
    journal = open_journal(sqlite_url(tmp_path / "register.sqlite3"), tmp_path / "audit.head")
    for number in range(3):
        with journal.writing() as pen:
            pen.note("ann", "did", None, number=number)
    unlocked(journal, statement)
    with pytest.raises(AuditError, match="cannot be read"):
        journal.verify()


def test_nothing_is_changed_where_the_noted_head_is_damaged(written: Journal) -> None:
    written.head.write_text("", encoding="ascii")
    with pytest.raises(AuditError, match=r"'audit\.head' holds no head"), written.writing() as pen:
        pen.note("ann", "did", None, number=5)
    written.head.unlink()
    assert written.verify().number == 4


def test_a_change_stays_where_its_head_cannot_be_noted(
    written: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OutputError("no room")

    with monkeypatch.context() as full:
        full.setattr("kneeage.service.audit.write_head", fail)
        with written.writing() as pen:
            pen.note("ann", "did", None, number=5)
    assert "no room" in caplog.text
    assert (written.verify().number, read_head(written.head).number) == (5, 4)


def test_a_cut_that_hides_itself_in_the_database_is_found_by_the_noted_head(written: Journal) -> None:
    with written.engine.connect() as connection:
        third = connection.exec_driver_sql("SELECT hash FROM audit WHERE number = 3").scalar_one()
    unlocked(written, "DELETE FROM audit WHERE number = 4")
    with writing(written.engine) as connection:
        connection.exec_driver_sql(f"UPDATE settings SET value = '\"3:{third}\"' WHERE name = 'audit_head'")
    with pytest.raises(AuditError, match="noted line 4 is missing"):
        written.verify()


AGAIN = "SELECT number, time, 'bob', action, examination, facts, previous, hash FROM audit WHERE number = 2"


def refused(journal: Journal, statement: str) -> None:
    """Do what must not be possible."""
    with pytest.raises(SQLAlchemyError, match="append-only"), writing(journal.engine) as connection:
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize("statement", ["UPDATE audit SET who = 'bob'", "DELETE FROM audit"])
def test_the_database_refuses_to_alter_the_log(written: Journal, statement: str) -> None:
    refused(written, statement)


def test_the_database_refuses_to_replace_a_line(written: Journal) -> None:
    if written.engine.dialect.name == "sqlite":
        refused(written, f"INSERT OR REPLACE INTO audit {AGAIN}")
        refused(written, f"REPLACE INTO audit {AGAIN}")
    refused(written, f"INSERT INTO audit {AGAIN} ON CONFLICT (number) DO UPDATE SET who = 'bob'")
    written.verify()


def test_a_register_of_an_earlier_version_is_guarded_too(tmp_path: Path) -> None:
    engine = open_engine(sqlite_url(tmp_path / "register.sqlite3"))
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    journal = Journal(engine, tmp_path / "audit.head")
    for _ in range(2):
        with journal.writing() as pen:
            pen.note("ann", "did")
    migrate(engine)
    refused(journal, f"INSERT OR REPLACE INTO audit {AGAIN}")
    assert journal.verify().number == 2


def test_a_run_goes_through_the_register(journal: Journal) -> None:
    register, queue = Register(journal), RunQueue(journal)
    key = register.create("ann", "a reference").id
    register.add_files(key, "ann", {"00": 5}, lambda _known: None)
    bundle = {"id": "0" * 16, "name": "b", "version": "1", "population": "virtual", "sha256": "0" * 64}
    assert register.order(key, "ann", Order(RunKind.ESTIMATE, {"lang": "en"}, bundle)) == 1
    task = queue.claim("w", 60)
    assert task is not None
    queue.step(task, "segmenting", 0.5)
    queue.finish(task, RunEnd(RunState.DONE, "estimated", 17.5, files=["result.json"]))
    (found,), total = register.search("REF", None, 10, 0)
    assert (total, found.state.value, found.runs[0].estimated_age_years) == (1, "done", 17.5)
    papers = queue.claim("w", 60)
    assert papers is not None
    assert (papers.kind, papers.base, papers.bundle) == (RunKind.DOCUMENTS, 1, bundle)
    queue.finish(papers, RunEnd(RunState.DONE, files=["report.html"]))
    assert not queue.waits()
    run = register.case(key).run(1)
    assert run.files == ["result.json", "report.html"]
    assert run.documents is not None
    assert run.documents.state is RunState.DONE
    journal.verify()


def test_a_change_that_fails_leaves_no_line(journal: Journal) -> None:
    def fail() -> None:
        with journal.writing() as pen:
            pen.note("ann", "did")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert journal.verify().number == 0


def test_the_migrations_make_the_tables_of_the_code(journal: Journal) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with journal.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_a_newer_register_is_refused(journal: Journal) -> None:
    with writing(journal.engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(OutputError, match="9999"):
        migrate(journal.engine)


def test_other_databases_are_refused() -> None:
    with pytest.raises(UsageError, match="SQLite or PostgreSQL"):
        open_engine("mysql://localhost/a")
    with pytest.raises(UsageError, match="register's URL"):
        open_engine("nonsense")


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError, match=r"kneeage\[web,postgresql\]"):
        open_engine("postgresql://localhost/a")


def test_a_database_that_does_not_answer_is_said_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="needs the extra 'postgresql'")
    with pytest.raises(OutputError, match="does not answer") as raised:
        open_engine(f"postgresql://ann:geheim@/a?host={tmp_path}")
    assert "geheim" not in str(raised.value)


def write_lines(url: str, head: Path, who: str, count: int) -> None:
    """Be one of several processes that write."""
    journal = open_journal(url, head)
    for number in range(count):
        with journal.writing() as pen:
            pen.note(who, "did", None, number=number)


def test_two_processes_write_one_chain(journal: Journal) -> None:
    url = journal.engine.url.render_as_string(hide_password=False).replace("postgresql+psycopg", "postgresql")
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_lines, args=(url, journal.head, who, 40)) for who in ("node", "server")]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        journal.verify()
    assert [writer.exitcode for writer in writers] == [0, 0]
    head = journal.verify()
    assert head.number == 80
    assert read_head(journal.head) == head


def test_processes_that_open_a_new_register_at_once_make_it_once(tmp_path: Path) -> None:
    url, head = sqlite_url(tmp_path / "register.sqlite3"), tmp_path / "audit.head"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_lines, args=(url, head, f"process {n}", 1)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert open_journal(url, head).verify().number == 4


def test_an_older_head_never_takes_the_place_of_a_newer_one(written: Journal) -> None:
    head = read_head(written.head)
    write_head(written.head, Head(2, "0" * 64))
    assert read_head(written.head) == head
