"""What is hostile is refused, or stays inert."""

from __future__ import annotations

import asyncio
import copy
import errno
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from fastapi import Request
from fastapi.testclient import TestClient
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import Engine, select
from sqlalchemy.exc import OperationalError

from kneeage.core.errors import UsageError
from kneeage.service.accounts import SESSION_SECONDS, Accounts
from kneeage.service.addresses import is_loopback
from kneeage.service.audit import lines
from kneeage.service.case_files import CaseFiles
from kneeage.service.tables import USERS, open_engine, reading, sqlite_url
from kneeage.web.security import COOKIE
from kneeage.web.settings import WebSettings
from kneeage.web.upload import require_safe
from tests.io.support import Made, write_series
from tests.web.support import PASSWORD, SMALL, Door, code, settings_of, zipped

SCRIPT = "<script>alert(1)</script>"


class FullDatabaseError(sqlite3.OperationalError):
    """What SQLite raises where it has no room; its code cannot be set otherwise."""

    def __init__(self, code: int) -> None:
        super().__init__("database or disk is full")
        self.sqlite_errorcode = code


@pytest.fixture
def guarded(tmp_path: Path, block_bundle: Path) -> Door:
    """A server that asks for a login."""
    (tmp_path / "data").mkdir()
    door = Door(settings_of(tmp_path / "data", block_bundle, login=True))
    # What a hash costs is the library's own choice; a cheap one does here.
    accounts_of(door)._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    accounts_of(door).set_password("ann", PASSWORD)
    return door


def small(tmp_path: Path, bundle: Path, **limits: int) -> Door:
    """A server with other limits."""
    (tmp_path / "data").mkdir()
    return Door(settings_of(tmp_path / "data", bundle, limits=replace(SMALL, **limits)))


def log_in(door: Door, password: str = PASSWORD, name: str = "ann") -> Any:
    return door.client.post("/api/session", json={"name": name, "password": password})


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "..\\..\\evil", "a\0b", "%2e%2e%2fevil.nii.gz"])
def test_no_path_comes_from_a_file_name(door: Door, knee: bytes, name: str) -> None:
    key = door.open()
    boundary = b"x1x"
    body = (
        b'--x1x\r\nContent-Disposition: form-data; name="files"; filename="'
        + name.encode()
        + b'"\r\n\r\n'
        + knee
        + b"\r\n--x1x--\r\n"
    )
    header = {"content-type": f"multipart/form-data; boundary={boundary.decode()}"}
    answer = door.client.post(f"/api/examinations/{key}/files", content=body, headers=header)
    assert answer.status_code == 200, answer.text
    root = door.settings.data / "examinations"
    (kept,) = [path for path in root.rglob("*") if path.is_file()]
    assert kept.relative_to(root).parts[:2] == (key, "uploads")
    assert set(kept.name.partition(".")[0]) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2f..%2fservice/audit.py", "/static//etc/passwd"],
)
def test_no_path_leads_out_of_the_static_files(door: Door, path: str) -> None:
    assert door.client.get(path).status_code == 404


@pytest.mark.parametrize("name", ["../../../register.sqlite3", "..%2f..%2fregister.sqlite3", "session.key"])
def test_no_path_leads_out_of_the_documents(door: Door, knee: bytes, name: str) -> None:
    key = door.answered(knee)
    assert door.client.get(f"/api/examinations/{key}/runs/1/files/{name}").status_code in (404, 422)


def test_an_examination_is_named_by_digits(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="32 hexadecimal"):
        CaseFiles(tmp_path).uploads("../..")


def test_what_is_kept_is_for_its_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    CaseFiles(data)
    open_engine(sqlite_url(data / "register.sqlite3")).dispose()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (data, *data.iterdir())}
    assert modes["data"] == modes["examinations"] == 0o700
    assert modes["register.sqlite3"] == 0o600


def test_a_zip_bomb_is_refused(door: Door) -> None:
    key = door.open()
    bomb = zipped([("zeros", bytes(80 * 2**20))])
    assert len(bomb) < 2**20
    assert code(door.send(key, ("study.zip", bomb))) == (422, "refused")
    assert door.show(key)["files"] == 0


def test_a_zip_that_leads_outside_is_refused(door: Door, knee: bytes) -> None:
    key = door.open()
    assert code(door.send(key, ("study.zip", zipped([("../knee.nii.gz", knee)])))) == (422, "refused")


def test_a_zip_comes_alone(door: Door, knee: bytes) -> None:
    key = door.open()
    content = zipped([("knee.nii.gz", knee)])
    assert code(door.send(key, ("study.zip", content), ("knee.nii.gz", knee))) == (422, "refused")
    assert door.send(key, ("study.zip", content)).status_code == 200
    assert door.send(key, ("knee.nii.gz", knee)).status_code == 409
    late, unnamed = door.open(), door.open()
    assert door.send(late, ("knee.nii.gz", knee)).status_code == 200
    assert code(door.send(late, ("study.zip", content))) == (409, "state")
    assert door.send(unnamed, ("study", content)).status_code == 200
    assert code(door.send(unnamed, ("knee.nii.gz", knee))) == (409, "state")
    door.ask(key)
    door.work()
    assert door.show(key)["state"] == "done"


def test_uploads_end_at_their_limits(door: Door) -> None:
    key = door.open()
    assert code(door.send(key, ("big", bytes(2**20 + 1)))) == (413, "too_large")
    assert code(door.send(key, *((f"{n}", b"%d" % n) for n in range(11)))) == (413, "too_large")
    for start in (0, 10):
        assert door.send(key, *((f"{n}", b"%d" % n) for n in range(start, start + 10))).status_code == 200
    assert code(door.send(key, ("one more", b"more"))) == (413, "too_large")
    assert door.show(key)["files"] == 20


def test_all_files_together_end_at_their_limit(door: Door) -> None:
    key = door.open()
    for number in range(2):
        assert door.send(key, (f"{number}", bytes([number]) * 2**20)).status_code == 200
    assert code(door.send(key, ("one byte more", b"x"))) == (413, "too_large")
    assert door.show(key)["bytes"] == 2**21


def test_requests_at_once_get_no_further_than_requests_in_turn(
    door: Door, monkeypatch: pytest.MonkeyPatch, knee: bytes
) -> None:
    together = threading.Barrier(3)

    def look(folder: Path, sizes: dict[str, int]) -> bool:
        """Wait until all have come so far."""
        together.wait(400)
        return require_safe(folder, sizes)

    monkeypatch.setattr("kneeage.web.examinations.require_safe", look)
    key, other = door.open(), door.open()
    zips = [(f"{number}.zip", zipped([(f"{number}.nii.gz", knee)])) for number in range(3)]
    parts = [(f"{number}", bytes([number]) * 2**20) for number in range(3)]
    with door.client, ThreadPoolExecutor(3) as pool:
        sent = list(pool.map(lambda part: door.send(key, part).status_code, parts))
        packed = list(pool.map(lambda part: door.send(other, part).status_code, zips))
    assert sorted(sent) == [200, 200, 413]
    assert sorted(packed) == [200, 409, 409]
    assert (door.show(key)["bytes"], door.show(other)["files"]) == (2**21, 1)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), FullDatabaseError(13)])
def test_a_disk_that_fills_up_is_said(door: Door, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error if isinstance(error, OSError) else OperationalError("INSERT", {}, error)

    key = door.open()
    monkeypatch.setattr(CaseFiles, "keep", fail)
    answer = door.send(key, ("a", b"a"))
    assert code(answer) == (429, "busy")
    assert "disk" in answer.json()["error"]["message"]
    assert door.show(key)["files"] == 0
    monkeypatch.undo()
    assert door.send(key, ("a", b"a")).status_code == 200


def test_a_body_of_unknown_length_is_refused(door: Door) -> None:
    assert code(door.client.post("/api/examinations", content=iter([b"{}"]))) == (413, "too_large")


def test_labels_that_are_too_large_are_refused(tmp_path: Path, block_bundle: Path, knee: bytes) -> None:
    door = small(tmp_path, block_bundle, correction_bytes=1000)
    key = door.answered(knee)
    answer = door.client.post(f"/api/examinations/{key}/corrections?base=1", content=bytes(1001))
    assert code(answer) == (413, "too_large")


def test_one_upload_too_many_is_told_to_come_again(tmp_path: Path, block_bundle: Path) -> None:
    door = small(tmp_path, block_bundle, uploads=1)
    key = door.open()
    with door.client.app.state.office.uploads.take():  # type: ignore[attr-defined]
        answer = door.send(key, ("a", b"a"))
    assert code(answer) == (429, "busy")
    assert int(answer.headers["retry-after"]) > 0
    assert door.send(key, ("a", b"a")).status_code == 200


def test_a_full_disk_takes_nothing(tmp_path: Path, block_bundle: Path) -> None:
    door = small(tmp_path, block_bundle, free_bytes=2**62)
    assert code(door.send(door.open(), ("a", b"a"))) == (429, "busy")


def test_one_listener_too_many_is_told_to_come_again(tmp_path: Path, block_bundle: Path) -> None:
    door = small(tmp_path, block_bundle, streams=0)
    assert code(door.client.get("/api/events")) == (429, "busy")
    assert code(door.client.get(f"/api/examinations/{door.open()}/events")) == (429, "busy")


def test_a_form_that_is_cut_short_leaves_nothing(door: Door) -> None:
    key = door.open()
    header = {"content-type": "multipart/form-data; boundary=x1x"}
    body = b'--x1x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nhalf'
    answer = door.client.post(f"/api/examinations/{key}/files", content=body, headers=header)
    assert code(answer) == (422, "invalid")
    long_header = b"--x1x\r\nX: " + b"a" * 10_000 + b"\r\n\r\n"
    answer = door.client.post(f"/api/examinations/{key}/files", content=long_header, headers=header)
    assert code(answer) == (422, "invalid")
    assert not [path for path in (door.settings.data / "examinations").rglob("*") if path.is_file()]


def test_oversized_and_broken_fields_are_refused(door: Door, knee: bytes) -> None:
    assert code(door.client.post("/api/examinations", json={"reference": "a" * 201})) == (422, "invalid")
    assert code(door.client.post("/api/examinations", json={"reference": "a\0"})) == (422, "invalid")
    assert code(door.client.post("/api/examinations", content=b'{"reference": "\\ud800"}')) == (422, "invalid")
    assert code(door.client.post("/api/examinations", content=bytes(2**20 + 1))) == (413, "too_large")
    key = door.open()
    door.send(key, ("knee.nii.gz", knee))
    for bad in ({"thresholds": []}, {"thresholds": [-1]}, {"height_cm": 5}, {"prior": "x"}, {"more": 1}):
        assert code(door.ask(key, **bad)) == (422, "invalid")
    body = b'{"thresholds": [1e400]}'
    assert code(door.client.post(f"/api/examinations/{key}/runs", content=body)) == (422, "invalid")


def test_long_texts_and_very_many_series_of_a_study_are_cut(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kneeage.service.desk.MOST_CANDIDATES", 2)
    key = door.open()
    for number in range(3):
        made = Made(slices=1, uid=f"1.2.{number + 3}", extra={"SeriesDescription": "A" * 60_000})
        (path,) = write_series(tmp_path / str(number), made)
        assert door.send(key, (path.name, path.read_bytes())).status_code == 200
    door.client.post(f"/api/examinations/{key}/inspect")
    door.work()
    found = door.show(key)
    assert [one["description"] for one in found["series"]] == ["A" * 1024] * 2
    assert found["inspect_notes"] == ["1 more series, ranked after these, are not listed"]


def test_a_file_cannot_be_read_as_a_prior(door: Door, knee: bytes) -> None:
    key = door.open()
    door.send(key, ("knee.nii.gz", knee))
    answer = door.ask(key, prior="/etc/passwd")
    assert code(answer) == (422, "invalid")
    assert "passwd" not in answer.text


def test_markup_stays_text(door: Door, knee: bytes) -> None:
    key = door.open(SCRIPT)
    door.send(key, (f"{SCRIPT}.nii.gz", knee))
    door.ask(key, question=SCRIPT, legal_basis=SCRIPT)
    door.work()
    answer = door.client.get(f"/api/examinations/{key}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["reference"] == SCRIPT
    report = door.client.get(f"/api/examinations/{key}/runs/1/files/report.html")
    assert SCRIPT not in report.text
    assert report.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert SCRIPT not in door.client.get(f"/examinations/{key}").text


def test_every_answer_carries_guards(door: Door) -> None:
    for path in ("/", "/api/about", "/nowhere", "/static/none.js"):
        headers = door.client.get(path).headers
        assert "script-src 'self';" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_what_is_not_there_is_said_in_the_shape_that_is_asked_for(door: Door) -> None:
    answer = door.client.get("/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert code(door.client.get("/api/nothing")) == (404, "not_found")
    assert code(door.client.post("/api/nothing"))[0] in (404, 405)


def test_a_foreign_host_name_is_refused(door: Door) -> None:
    assert code(door.client.get("/api/about", headers={"host": "evil.example"})) == (400, "host")
    assert door.client.get("/api/about", headers={"host": "localhost:8700"}).status_code == 200
    assert door.client.get("/api/about", headers={"host": "[::1]:8700"}).status_code == 200


def test_changes_need_the_token_of_their_session(door: Door) -> None:
    for token in (b"", b"0" * 64, b"\xe9"):
        header = {b"X-CSRF-Token": token}
        assert code(door.client.post("/api/examinations", json={}, headers=header)) == (403, "csrf")


def test_without_a_login_there_is_nothing(guarded: Door) -> None:
    for path in ("/api/examinations", "/api/audit", "/api/events", "/api/bundles", "/api/about"):
        assert code(guarded.client.get(path)) == (401, "login")
    assert code(guarded.client.post("/api/examinations", json={})) == (401, "login")
    answer = guarded.client.get("/bundles", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/bundles")


def test_a_login_opens_and_a_logout_closes(guarded: Door) -> None:
    assert log_in(guarded).status_code == 200
    guarded.take_token()
    assert guarded.client.get("/api/session").json()["user"] == "ann"
    guarded.open()
    cookie = guarded.client.cookies[COOKIE]
    assert guarded.client.delete("/api/session").status_code == 204
    guarded.client.cookies.set(COOKIE, cookie)
    assert code(guarded.client.get("/api/examinations")) == (401, "login")
    assert [line["action"] for line in _audit_of(guarded)] == ["password set", "logged in", "examination opened"]


def test_a_user_who_is_removed_is_out_at_once(guarded: Door) -> None:
    log_in(guarded)
    assert guarded.client.get("/api/examinations").status_code == 200
    accounts_of(guarded).remove("ann")
    assert code(guarded.client.get("/api/examinations")) == (401, "login")
    guarded.take_token()
    assert code(log_in(guarded)) == (401, "login")
    with pytest.raises(UsageError, match="no user"):
        accounts_of(guarded).remove("ann")
    assert [line["action"] for line in _audit_of(guarded)][-2:] == ["user removed", "login refused"]


def test_events_end_with_the_session(guarded: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kneeage.web.hub.QUIET_SECONDS", 0.05)
    log_in(guarded)
    told: list[bytes] = []
    office = guarded.client.app.state.office  # type: ignore[attr-defined]
    cookie = f"{COOKIE}={guarded.client.cookies[COOKIE]}".encode()
    request = Request({"type": "http", "headers": [(b"cookie", cookie)]})

    async def listen() -> None:
        async for event in office.hub.events(None, None, lambda: office.sessions.may_read(request)):
            told.append(event)
            if len(told) == 3:
                accounts_of(guarded).remove("ann")

    asyncio.run(asyncio.wait_for(listen(), 120))
    assert told[1:] == [b": quiet\n\n"] * len(told[1:])
    assert len(told) >= 3


def test_another_password_ends_the_sessions_of_the_one_before(guarded: Door) -> None:
    log_in(guarded)
    accounts_of(guarded).set_password("ann", PASSWORD[::-1])
    assert code(guarded.client.get("/api/examinations")) == (401, "login")


def test_passwords_are_kept_as_hashes_alone(guarded: Door) -> None:
    with reading(engine_of(guarded)) as connection:
        (kept,) = connection.execute(select(USERS.c.password_hash)).scalars()
    assert kept.startswith("$argon2id$")
    with pytest.raises(UsageError, match="12 to 256 characters"):
        accounts_of(guarded).set_password("bob", "eleven char")


def test_a_session_ends_by_itself(guarded: Door) -> None:
    now = [0.0]
    accounts = Accounts(guarded.client.app.state.office.register.journal, lambda: now[0])  # type: ignore[attr-defined]
    token = accounts.open_session("ann")
    now[0] = SESSION_SECONDS - 1
    assert accounts.user_of(token) == "ann"
    now[0] = SESSION_SECONDS + 1
    assert accounts.user_of(token) is None


def test_a_forged_cookie_opens_nothing(guarded: Door) -> None:
    log_in(guarded)
    good = guarded.client.cookies[COOKIE]
    signed, _, signature = good.rpartition(".")
    _, token = URLSafeTimedSerializer(b"another key", salt="kneeage-session").loads_unsafe(good)
    other = str(URLSafeTimedSerializer(b"another key", salt="kneeage-session").dumps(token))
    for forged in (f"{signed}.{signature.swapcase()}", other, signed, "x" + good, "", "a.b.c", good[::-1]):
        guarded.client.cookies.clear()
        guarded.client.cookies.set(COOKIE, forged)
        assert code(guarded.client.get("/api/examinations")) == (401, "login")


def test_a_login_gives_another_session(guarded: Door) -> None:
    before = guarded.client.cookies[COOKIE]
    log_in(guarded)
    assert guarded.client.cookies[COOKIE] != before


def test_guessing_passwords_is_slowed_down(guarded: Door) -> None:
    for _ in range(5):
        assert code(log_in(guarded, "wrong wrong wrong")) == (401, "login")
    answer = log_in(guarded)
    assert code(answer) == (429, "busy")
    assert int(answer.headers["retry-after"]) > 0


def from_address(door: Door, address: str) -> Door:
    """The same server, reached from another address."""
    other = copy.copy(door)
    other.client = TestClient(door.client.app, base_url="http://127.0.0.1", client=(address, 1))
    other.take_token()
    return other


def test_guesses_from_elsewhere_keep_nobody_out(guarded: Door) -> None:
    elsewhere = from_address(guarded, "10.0.0.1")
    assert [log_in(elsewhere, "wrong wrong wrong").status_code for _ in range(6)] == [401] * 5 + [429]
    assert log_in(guarded).status_code == 200


def test_guesses_from_very_many_places_are_slowed_down(tmp_path: Path, block_bundle: Path) -> None:
    (tmp_path / "data").mkdir()
    door = Door(settings_of(tmp_path / "data", block_bundle, login=True, limits=replace(SMALL, many_logins=7)))
    found = [log_in(from_address(door, f"10.0.0.{number}"), name="ann").status_code for number in range(8)]
    assert found == [401] * 7 + [429]
    found = [log_in(from_address(door, "10.0.1.1"), name=f"user {number}").status_code for number in range(8)]
    assert found == [401] * 7 + [429]


def test_guesses_at_once_get_no_further_than_guesses_in_turn(guarded: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(5)

    def look(_name: str, _password: str) -> bool:
        """Wait until as many guesses are looked at as may be."""
        together.wait(400)
        return False

    monkeypatch.setattr(accounts_of(guarded), "is_password", look)
    with guarded.client, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: log_in(guarded, "wrong wrong wrong").status_code, range(8)))
    assert sorted(found) == [401] * 5 + [429] * 3


def test_those_who_know_their_password_are_never_slowed_down(guarded: Door) -> None:
    for _ in range(7):
        guarded.take_token()
        assert log_in(guarded).status_code == 200


def test_cookies_are_closed_to_scripts_and_other_sites(door: Door) -> None:
    door.client.cookies.clear()
    header = door.client.get("/").headers["set-cookie"].lower()
    assert "httponly" in header
    assert "samesite=strict" in header


def test_outside_there_is_a_login_and_no_clear_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="in clear"):
        WebSettings(tmp_path, "sqlite://", (), host="0.0.0.0")
    outside = WebSettings(tmp_path, "sqlite://", (), host="0.0.0.0", proxy="https://knees.example.org")
    assert outside.needs_login
    assert outside.is_secure
    assert outside.hosts == {"knees.example.org"}
    assert not is_loopback("knees.example.org")


def accounts_of(door: Door) -> Accounts:
    accounts: Accounts = door.client.app.state.office.accounts  # type: ignore[attr-defined]
    return accounts


def engine_of(door: Door) -> Engine:
    engine: Engine = door.client.app.state.office.register.journal.engine  # type: ignore[attr-defined]
    return engine


def _audit_of(door: Door) -> list[dict[str, str]]:
    with reading(engine_of(door)) as connection:
        found, _ = lines(connection, None, 10, 0)
    return [{"action": line.action} for line in reversed(found)]
