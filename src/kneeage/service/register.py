"""The register: examinations, their files and runs, where each stands, and every change in the audit log."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, desc, func, insert, or_, select, update

from kneeage.service.audit import Journal, Pen
from kneeage.service.cases import (
    AT_WORK,
    CHOSEN_BUNDLE,
    WAITING,
    BusyError,
    Case,
    CaseState,
    Documents,
    Order,
    Run,
    RunKind,
    RunState,
    StateError,
    UnknownCaseError,
)
from kneeage.service.tables import EXAMINATIONS, FILES, RUNS, SETTINGS, reading
from kneeage.service.troubles import Trouble


class Register:
    """Examinations and runs; any number of processes may share it.

    Args:
        journal: Writes changes and the lines that tell about them.
        most_waiting: Runs that may wait; more are turned away.
        clock: Gives the time in seconds since 1970.
    """

    def __init__(self, journal: Journal, most_waiting: int = 200, clock: Callable[[], float] = time.time) -> None:
        self.journal = journal
        self._most_waiting = most_waiting
        self._clock = clock

    def create(self, who: str, reference: str) -> Case:
        """Open an examination."""
        key, now = secrets.token_hex(16), self._clock()
        with self.journal.writing() as pen:
            values = {"id": key, "reference": reference, "state": CaseState.DRAFT.value, "created_by": who, "notes": []}
            pen.connection.execute(insert(EXAMINATIONS).values(**values, created_at=now, changed_at=now))
            pen.note(who, "examination opened", key)
        return self.case(key)

    def add_files(
        self, key: str, who: str, sizes: Mapping[str, int], take: Callable[[Mapping[str, int]], None]
    ) -> tuple[int, int]:
        """Take files into an examination.

        Args:
            key: The examination.
            who: The user.
            sizes: Bytes of each file by its name, which is the SHA-256 of its bytes with an ending.
            take: Given the bytes of the files that are there by their names, refuses the new ones or puts them in their
                place; called before all of it is committed, while nobody else adds any.

        Returns:
            Number and bytes of its files.

        Raises:
            StateError: No file may come any more.
        """
        with self.journal.writing() as pen:
            require_state(_state(pen.connection, key), (CaseState.DRAFT,), "files are taken until work begins")
            query = select(FILES.c.name, FILES.c.bytes).where(FILES.c.examination == key)
            known = {row.name: row.bytes for row in pen.connection.execute(query)}
            take(known)
            rows = [{"examination": key, "name": n, "bytes": b} for n, b in sizes.items() if n not in known]
            if rows:
                pen.connection.execute(insert(FILES), rows)
            self._touch(pen.connection, key)
            pen.note(who, "files received", key, sha256=sorted(n.partition(".")[0] for n in sizes))
            return _size(pen.connection, key)

    def order(self, key: str, who: str, order: Order, place: Callable[[int], object] | None = None) -> int | None:
        """Put work on an examination into the line.

        Args:
            key: The examination.
            who: The user.
            order: The work.
            place: Given the number of the run, puts what it needs in its place, before all of it is committed.

        Returns:
            Number of the run; None for an inspection.

        Raises:
            StateError: It is at work, has no files, or was purged.
            BusyError: Too many runs wait.
        """
        with self.journal.writing() as pen:
            self._require_orderable(pen.connection, key, order)
            number = None if order.kind is RunKind.INSPECT else next_number(pen.connection, key)
            if place is not None and number is not None:
                place(number)
            pen.connection.execute(insert(RUNS).values(**queued(key, who, order, number, self._clock())))
            state = CaseState.INSPECTING if number is None else CaseState.QUEUED
            self._touch(pen.connection, key, state=state.value, reason_code=None, reason_message=None)
            sha256 = None if order.bundle is None else order.bundle["sha256"]
            told = {"run": number, "bundle_sha256": sha256, **(order.facts or {})}
            pen.note(who, f"{order.kind.value} ordered", key, **told)
        return number

    def cancel(self, key: str, who: str) -> Case:
        """End the work on an examination: at once where it waits, at its next step where it runs.

        Raises:
            StateError: Nothing is at work, or a PACS node is.
        """
        with self.journal.writing() as pen:
            require_state(_state(pen.connection, key), AT_WORK, "nothing is at work here")
            if not is_ordered(pen.connection, key):
                raise StateError("a PACS node works on the examination; it cannot be cancelled here")
            where = (RUNS.c.examination == key, RUNS.c.kind != RunKind.DOCUMENTS.value)
            waiting = update(RUNS).where(*where, RUNS.c.state == RunState.QUEUED.value)
            ended = {"state": RunState.CANCELLED.value, "finished_at": self._clock()}
            is_waiting = pen.connection.execute(waiting.values(**ended)).rowcount > 0
            running = update(RUNS).where(*where, RUNS.c.state == RunState.RUNNING.value)
            pen.connection.execute(running.values(cancel=True))
            self._touch(pen.connection, key, **(without_work(pen.connection, key) if is_waiting else {}))
            pen.note(who, "cancelled", key)
        return self.case(key)

    def purge(self, key: str, who: str, remove: Callable[[], None]) -> Case:
        """Remove images, masks and documents; what happened stays on record.

        Args:
            key: The examination.
            who: The user.
            remove: Removes the files; called when the register says that they are gone.

        Raises:
            StateError: It is at work, purged, or its documents are being written.
        """
        with self.journal.writing() as pen:
            state = _state(pen.connection, key)
            _require_at_rest(state)
            if is_writing_documents(pen.connection, key):
                raise StateError("the documents of the examination are being written; ask again in a moment")
            forget_contents(pen, key, self._clock())
            pen.note(who, "purged", key)
        remove()
        return self.case(key)

    def note(self, who: str, action: str, examination: str | None = None, **facts: Any) -> None:
        """Write a line about what changed nothing in the register, such as a download."""
        with self.journal.writing() as pen:
            pen.note(who, action, examination, **facts)

    def case(self, key: str) -> Case:
        """Give an examination with all its runs.

        Raises:
            UnknownCaseError: There is none.
        """
        with reading(self.journal.engine) as connection:
            row = connection.execute(select(EXAMINATIONS).where(EXAMINATIONS.c.id == key)).mappings().one_or_none()
            if row is None:
                raise UnknownCaseError("there is no such examination")
            return _case(row, _size(connection, key), _runs(connection, key))

    def search(self, words: str, state: CaseState | None, limit: int, offset: int) -> tuple[list[Case], int]:
        """Give examinations with their newest run, the newest first, and how many fit."""
        like = f"%{_escaped(words)}%"
        columns = (EXAMINATIONS.c.reference, EXAMINATIONS.c.id)
        where = [or_(*(column.ilike(like, escape="\\") for column in columns))] if words else []
        where += [] if state is None else [EXAMINATIONS.c.state == state.value]
        query = select(EXAMINATIONS).where(*where).order_by(desc(EXAMINATIONS.c.created_at), EXAMINATIONS.c.id)
        with reading(self.journal.engine) as connection:
            total = connection.execute(select(func.count()).select_from(EXAMINATIONS).where(*where)).scalar_one()
            rows = connection.execute(query.limit(limit).offset(offset)).mappings().all()
            return [_short(connection, row) for row in rows], int(total)

    def changed_since(self, moment: float) -> list[Case]:
        """Give examinations that changed since a moment, with their newest run."""
        query = select(EXAMINATIONS).where(EXAMINATIONS.c.changed_at >= moment).order_by(EXAMINATIONS.c.changed_at)
        with reading(self.journal.engine) as connection:
            return [_short(connection, row) for row in connection.execute(query).mappings().all()]

    def older_than(self, moment: float) -> list[str]:
        """Give examinations that nothing happened to since a moment, and that can be purged."""
        keep = [state.value for state in (*AT_WORK, CaseState.PURGED)]
        where = (EXAMINATIONS.c.changed_at < moment, EXAMINATIONS.c.state.not_in(keep))
        with reading(self.journal.engine) as connection:
            return list(connection.execute(select(EXAMINATIONS.c.id).where(*where)).scalars())

    def known_files(self) -> dict[str, set[str] | None]:
        """Give the names of the files of each examination; None where it was purged."""
        found: dict[str, set[str] | None] = {}
        query = select(EXAMINATIONS.c.id, EXAMINATIONS.c.state, FILES.c.name).outerjoin(FILES)
        with reading(self.journal.engine) as connection:
            for key, state, name in connection.execute(query):
                names = found.setdefault(key, None if state == CaseState.PURGED.value else set())
                if names is not None and name is not None:
                    names.add(name)
        return found

    def corrections(self) -> dict[str, set[int]]:
        """Give the numbers of the corrections of each examination that has any."""
        found: dict[str, set[int]] = {}
        query = select(RUNS.c.examination, RUNS.c.number).where(RUNS.c.kind == RunKind.CORRECTION.value)
        with reading(self.journal.engine) as connection:
            for key, number in connection.execute(query):
                found.setdefault(key, set()).add(number)
        return found

    def setting(self, name: str) -> Any:
        """Give a setting; None where it was never set."""
        with reading(self.journal.engine) as connection:
            query = select(SETTINGS.c.value).where(SETTINGS.c.name == name)
            return connection.execute(query).scalar_one_or_none()

    def choose_bundle(self, who: str, bundle: Mapping[str, Any]) -> None:
        """Note which bundle answers from now on."""
        with self.journal.writing() as pen:
            pen.connection.execute(SETTINGS.delete().where(SETTINGS.c.name == CHOSEN_BUNDLE))
            pen.connection.execute(insert(SETTINGS).values(name=CHOSEN_BUNDLE, value=bundle["id"]))
            pen.note(who, "bundle chosen", None, bundle_sha256=bundle["sha256"])

    def _require_orderable(self, connection: Connection, key: str, order: Order) -> None:
        """Refuse work that cannot be done now."""
        state = _state(connection, key)
        _require_at_rest(state)
        if _size(connection, key)[0] == 0:
            raise StateError("the examination has no files; send them first")
        where = (RUNS.c.state.in_(WAITING), RUNS.c.kind != RunKind.DOCUMENTS.value)
        query = select(func.count()).select_from(RUNS).where(*where)
        if int(connection.execute(query).scalar_one()) >= self._most_waiting:
            raise BusyError(f"{self._most_waiting} examinations wait already; ask again in a minute")
        done = (RUNS.c.examination == key, RUNS.c.state == RunState.DONE.value, RUNS.c.number.is_not(None))
        if order.kind is RunKind.INSPECT and connection.execute(select(RUNS.c.id).where(*done)).first() is not None:
            raise StateError("the examination was read already")

    def _touch(self, connection: Connection, key: str, **values: Any) -> None:
        """Change an examination, and note when."""
        touch(connection, key, self._clock(), **values)


def _require_at_rest(state: CaseState) -> None:
    """Refuse what cannot be done with an examination that is at work or was purged."""
    allowed = tuple(set(CaseState) - {*AT_WORK, CaseState.PURGED})
    require_state(state, allowed, "it is at work, or its images were removed")


def queued(key: str, who: str, order: Order, number: int | None, now: float) -> dict[str, Any]:
    """Give the row of a run that waits in the line."""
    return {
        "examination": key,
        "kind": order.kind.value,
        "number": number,
        "base": order.base,
        "state": RunState.QUEUED.value,
        "stage": "queued",
        "progress": 0.0,
        "created_at": now,
        "created_by": who,
        "question": dict(order.question),
        "bundle": None if order.bundle is None else dict(order.bundle),
        "files": [],
    }


def touch(connection: Connection, key: str, now: float, **values: Any) -> None:
    """Change an examination, and note when."""
    connection.execute(update(EXAMINATIONS).where(EXAMINATIONS.c.id == key).values(changed_at=now, **values))


def without_work(connection: Connection, key: str) -> dict[str, Any]:
    """Say where an examination stands whose work was cancelled: where its newest answer left it, if it has one."""
    where = (RUNS.c.examination == key, RUNS.c.outcome.is_not(None))
    query = select(RUNS.c.state, RUNS.c.reason_code, RUNS.c.reason_message).where(*where).order_by(desc(RUNS.c.number))
    row = connection.execute(query.limit(1)).mappings().first()
    none = {"state": CaseState.CANCELLED.value, "reason_code": None, "reason_message": None}
    return none if row is None else dict(row)


def forget_contents(pen: Pen, key: str, now: float) -> None:
    """Purge an examination in the register: reference, series, questions and names of files go, the rest stays.

    Documents that nobody has begun to write are taken out of the line.
    """
    where = (RUNS.c.examination == key, RUNS.c.kind == RunKind.DOCUMENTS.value, RUNS.c.state == RunState.QUEUED.value)
    pen.connection.execute(update(RUNS).where(*where).values(state=RunState.CANCELLED.value))
    gone: dict[str, Any] = {"state": CaseState.PURGED.value, "series": None, "notes": [], "reference": ""}
    touch(pen.connection, key, now, **gone, reason_message=None)
    blank: dict[str, Any] = {"question": {}, "files": [], "reason_message": None}
    pen.connection.execute(update(RUNS).where(RUNS.c.examination == key).values(**blank))
    pen.has_forgotten = True


def is_ordered(connection: Connection, key: str) -> bool:
    """Say whether work on an examination, other than its documents, is in the workstation's line or was begun."""
    where = (RUNS.c.examination == key, RUNS.c.kind != RunKind.DOCUMENTS.value, RUNS.c.state.in_(WAITING))
    return connection.execute(select(RUNS.c.id).where(*where).limit(1)).first() is not None


def is_writing_documents(connection: Connection, key: str) -> bool:
    """Say whether a worker of the workstation is writing documents of an examination."""
    where = (RUNS.c.examination == key, RUNS.c.kind == RunKind.DOCUMENTS.value, RUNS.c.state == RunState.RUNNING.value)
    return connection.execute(select(RUNS.c.id).where(*where).limit(1)).first() is not None


def require_state(found: CaseState, wanted: Sequence[CaseState], words: str) -> None:
    """Refuse what is not possible where an examination stands.

    Raises:
        StateError: It stands elsewhere.
    """
    if found not in wanted:
        raise StateError(f"the examination is {found.value}: {words}")


def _state(connection: Connection, key: str) -> CaseState:
    """Give the state of an examination, which stays as it is until the transaction ends."""
    query = select(EXAMINATIONS.c.state).where(EXAMINATIONS.c.id == key)
    found = connection.execute(query).scalar_one_or_none()
    if found is None:
        raise UnknownCaseError("there is no such examination")
    return CaseState(found)


def _size(connection: Connection, key: str) -> tuple[int, int]:
    """Give number and bytes of the files of an examination."""
    query = select(func.count(), func.coalesce(func.sum(FILES.c.bytes), 0)).where(FILES.c.examination == key)
    count, size_bytes = connection.execute(query).one()
    return int(count), int(size_bytes)


def next_number(connection: Connection, key: str) -> int:
    """Give the number of the next run."""
    query = select(func.coalesce(func.max(RUNS.c.number), 0)).where(RUNS.c.examination == key)
    return int(connection.execute(query).scalar_one()) + 1


def _runs(connection: Connection, key: str) -> list[Run]:
    """Give the numbered runs of an examination, oldest first."""
    query = select(RUNS).where(RUNS.c.examination == key).order_by(RUNS.c.number, RUNS.c.id)
    rows = connection.execute(query).mappings().all()
    made = {row["base"]: _documents(row) for row in rows if row["kind"] == RunKind.DOCUMENTS.value}
    return [_run(row, made.get(row["number"])) for row in rows if row["number"] is not None]


def _short(connection: Connection, row: RowMapping) -> Case:
    """Make an examination with its newest run, and before it the one that the newest answer is of, if any is."""
    runs = _runs(connection, row["id"])
    answered = [run for run in runs[:-1] if run.outcome is not None]
    return _case(row, _size(connection, row["id"]), [*answered[-1:], *runs[-1:]])


def _case(row: RowMapping, size: tuple[int, int], runs: list[Run]) -> Case:
    """Make an examination of its row."""
    plain = ("id", "reference", "created_at", "changed_at", "created_by", "series", "notes")
    values = {name: row[name] for name in plain}
    state = CaseState(row["state"])
    return Case(**values, state=state, files=size[0], bytes=size[1], reason=_trouble(row), runs=runs)


def _run(row: RowMapping, documents: Documents | None) -> Run:
    """Make a run of its row."""
    made = ("kind", "state", "reason", "documents")
    values = {name: row[name] for name in Run.__dataclass_fields__ if name not in made}
    kind, state = RunKind(row["kind"]), RunState(row["state"])
    return Run(**values, kind=kind, state=state, reason=_trouble(row), documents=documents)


def _documents(row: RowMapping) -> Documents:
    """Make of its row how far the documents of a run are."""
    return Documents(RunState(row["state"]), row["stage"], row["progress"], _trouble(row))


def _trouble(row: RowMapping) -> Trouble | None:
    """Give the reason in a row."""
    return None if row["reason_code"] is None else Trouble(row["reason_code"], row["reason_message"] or "")


def _escaped(words: str) -> str:
    """Take the meaning from the signs that LIKE knows."""
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
