"""The whole way through the API, with the register on a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tests.service.postgres import running_server
from tests.web.support import PASSWORD, Door, code, settings_of


@pytest.fixture
def door(tmp_path: Path, block_bundle: Path) -> Iterator[Door]:
    """A server that asks for a login; ann is logged in."""
    (tmp_path / "data").mkdir()
    with running_server() as url:
        if url is None:
            pytest.skip("needs a PostgreSQL server (Debian: postgresql) and psycopg")
        door = Door(settings_of(tmp_path / "data", block_bundle, url=url, login=True))
        office = door.client.app.state.office  # type: ignore[attr-defined]
        office.accounts._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        office.accounts.set_password("ann", PASSWORD)
        assert door.client.post("/api/session", json={"name": "ann", "password": PASSWORD}).status_code == 200
        door.take_token()
        yield door
        door.desk.journal.engine.dispose()
        office.register.journal.engine.dispose()


def test_from_an_upload_to_a_purge(door: Door, knee: bytes) -> None:
    key = door.open("a 100% reference")
    assert door.send(key, ("knee.nii.gz", knee)).json() == {"files": 1, "bytes": len(knee)}
    assert door.client.post(f"/api/examinations/{key}/inspect").status_code == 202
    door.work()
    assert door.show(key)["state"] == "ready"
    assert door.ask(key).status_code == 202
    door.work()
    labels = door.client.get(f"/api/examinations/{key}/runs/1/files/labels.nii.gz").content
    path = f"/api/examinations/{key}/corrections?base=1"
    assert door.client.post(path, content=labels).status_code == 202
    assert door.client.post(f"/api/examinations/{key}/cancel").status_code == 200
    assert door.client.post(path, content=labels).status_code == 202
    door.work()
    found = door.show(key)
    assert [run["state"] for run in found["runs"]] == ["done", "cancelled", "done"]
    assert found["latest"]["documents"]["state"] == "done"
    assert door.client.get(f"/api/examinations/{key}/compare?a=1&b=3").json()["change"]["estimated_age_years"] == 0
    assert door.client.get(f"/api/examinations/{key}/runs/3/files/all.zip").content.startswith(b"PK")
    (listed,) = door.client.get("/api/examinations", params={"search": "0% REF", "state": "done"}).json()["items"]
    assert listed["id"] == key
    assert door.client.post(f"/api/examinations/{key}/purge").json()["state"] == "purged"
    assert door.client.get("/api/audit/verify").json()["whole"] is True
    assert {line["who"] for line in door.audit()} == {"ann", "operator", "system"}


def test_accounts_and_sessions(door: Door) -> None:
    office = door.client.app.state.office  # type: ignore[attr-defined]
    assert door.client.get("/api/session").json()["user"] == "ann"
    assert door.client.delete("/api/session").status_code == 204
    assert code(door.client.get("/api/examinations")) == (401, "login")
    door.take_token()
    assert code(door.client.post("/api/session", json={"name": "ann", "password": "wrong"})) == (401, "login")
    assert door.client.post("/api/session", json={"name": "ann", "password": PASSWORD}).status_code == 200
    office.accounts.remove("ann")
    assert code(door.client.get("/api/examinations")) == (401, "login")
    office.register.journal.verify()


def test_what_no_database_can_look_up_is_not_there(door: Door) -> None:
    for path in ("/examinations/%00", "/examinations/%00/correct", "/examinations/%ff"):
        assert door.client.get(path).status_code == 404
    door.take_token()
    assert code(door.client.get("/api/examinations", params={"search": "\0"})) == (422, "invalid")
    assert code(door.client.get("/api/examinations/%00")) == (422, "invalid")
