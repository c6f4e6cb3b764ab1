"""What is hostile is refused, or stays inert."""

from __future__ import annotations

from pathlib import Path

import pytest

from kneeage.core.errors import UsageError
from kneeage.service.case_files import CaseFiles
from kneeage.web.security import COOKIE
from kneeage.web.settings import WebSettings, is_loopback
from tests.web.support import PASSWORD, Door, code, settings_of, zipped

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def guarded(tmp_path: Path, block_bundle: Path) -> Door:
    """A server that asks for a login."""
    (tmp_path / "data").mkdir()
    door = Door(settings_of(tmp_path / "data", block_bundle, login=True))
    door.client.app.state.office.accounts.set_password("ann", PASSWORD)  # type: ignore[attr-defined]
    return door


def log_in(door: Door, password: str = PASSWORD, name: str = "ann") -> object:
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
    assert log_in(guarded).status_code == 200  # type: ignore[attr-defined]
    guarded.take_token()
    assert guarded.client.get("/api/session").json()["user"] == "ann"
    guarded.open()
    cookie = guarded.client.cookies[COOKIE]
    assert guarded.client.delete("/api/session").status_code == 204
    guarded.client.cookies.set(COOKIE, cookie)
    assert code(guarded.client.get("/api/examinations")) == (401, "login")
    assert [line["action"] for line in _audit_of(guarded)] == ["logged in", "examination opened"]


def test_a_forged_cookie_opens_nothing(guarded: Door) -> None:
    log_in(guarded)
    good = guarded.client.cookies[COOKIE]
    for forged in (good[:-2] + "aa", "x" + good, "", "a.b.c", good[::-1]):
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
    assert int(answer.headers["retry-after"]) > 0  # type: ignore[attr-defined]


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


def _audit_of(door: Door) -> list[dict[str, str]]:
    from kneeage.service.audit import lines
    from kneeage.service.tables import reading

    with reading(door.client.app.state.office.register.journal.engine) as connection:  # type: ignore[attr-defined]
        found, _ = lines(connection, None, 10, 0)
    return [{"action": line.action} for line in reversed(found)]
