"""The OpenAPI document tells the truth: every operation succeeds, answers as declared, and the server never fails.

Each operation has an examination of its own, in a state that lets it succeed, and names what is there. It is asked for
what is known to be right, for what its schema allows, and for what its schema does not allow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, given, settings

from tests.web.support import PASSWORD, SMALL, Door, knee_bytes, make_bundle, settings_of

schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")
core_checks = pytest.importorskip("schemathesis.checks")
CHECKS = [
    core_checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
USER = {"name": "ann", "password": PASSWORD}
# The last one ends the session of all; the one before takes an examination's files away.
LAST = ["POST /api/examinations/{key}/purge", "DELETE /api/session"]
OF_EXAMINATION = "/api/examinations/{key}"
EXAMPLES = 4

Values = dict[str, Any]


@dataclass
class Served:
    """A server with a user, a bundle and a study run, and what the operations on it answered.

    Args:
        door: Its door.
        knee: An image.
        statuses: What each operation answered, by its name.
    """

    door: Door
    knee: bytes
    statuses: dict[str, set[int]] = field(default_factory=dict)

    def log_in(self) -> Values:
        """Log in; give what a request carries."""
        self.door.take_token()
        assert self.door.client.post("/api/session", json=USER).status_code == 200
        return {
            "headers": {"X-CSRF-Token": self.door.take_token(), "Host": "127.0.0.1"},
            "cookies": dict(self.door.client.cookies),
        }

    def first(self, path: str) -> str:
        """Give the identifier of the first thing in a list."""
        return str(self.door.client.get(path).json()["items"][0]["id"])

    def draft(self) -> str:
        """An examination without files."""
        return self.door.open()

    def sent(self) -> str:
        """An examination with a file."""
        key = self.door.open()
        assert self.door.send(key, ("knee.nii.gz", self.knee)).status_code == 200
        return key

    def waiting(self) -> str:
        """An examination whose question waits."""
        key = self.sent()
        assert self.door.ask(key).status_code == 202
        return key

    def answered(self) -> str:
        """An examination with an answer and its documents."""
        key = self.door.answered(self.knee)
        self.door.work()
        return key


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = tmp_path_factory.mktemp("served")
    (folder / "data").mkdir()
    (folder / "studies" / "run").mkdir(parents=True)
    (folder / "studies" / "run" / "report.html").write_text("<!DOCTYPE html>a study", encoding="utf-8")
    asked = {"login": True, "studies": folder / "studies", "limits": replace(SMALL, logins=10_000, many_logins=10_000)}
    door = Door(settings_of(folder / "data", make_bundle(folder / "blocks"), **asked))
    accounts = door.client.app.state.office.accounts  # type: ignore[attr-defined]
    accounts._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    accounts.set_password(USER["name"], USER["password"])
    return Served(door, knee_bytes(folder))


def test_every_operation_succeeds_and_every_answer_is_declared(served: Served) -> None:
    app = served.door.client.app
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app, headers={"Host": "127.0.0.1"})
    # Events go on without an end.
    found = [one.ok() for one in schema.exclude(path_regex="/events$").get_all_operations()]
    assert len(found) >= 20
    for operation in sorted(found, key=lambda one: LAST.index(one.label) if one.label in LAST else -1):
        check(served, operation)
    without = [name for name, seen in served.statuses.items() if not any(200 <= status < 300 for status in seen)]
    assert without == []


def check(served: Served, operation: Any) -> None:
    """Ask an operation for what is right, for what its schema allows, and for what it does not."""
    carried = served.log_in()
    places, right = known(served, operation.label)
    seen = served.statuses.setdefault(operation.label, set())

    def ask(case: Any) -> None:
        answer = case.call(**carried)
        seen.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    ask(operation.Case(path_parameters=places, **right))
    for mode in schemathesis.GenerationMode:
        # Where nothing else can be wrong, the path is.
        is_path_wrong = mode is schemathesis.GenerationMode.NEGATIVE and not (operation.body or operation.query)
        if is_path_wrong and not places:
            continue
        many(operation.as_strategy(mode, path_parameters=None if is_path_wrong else places), ask)


def many(cases: Any, ask: Callable[[Any], None]) -> None:
    """Ask for a few of many cases."""

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(cases)
    def each(case: Any) -> None:
        ask(case)

    each()


def known(served: Served, label: str) -> tuple[Values, Values]:
    """Give names in the path of an operation, and the rest of a request that is right."""
    method, path = label.split()
    places: Values = {}
    if path.startswith(OF_EXAMINATION):
        places["key"] = examination(served, path.removeprefix(OF_EXAMINATION))
    elif path == "/api/bundles/{key}/card":
        places["key"] = served.first("/api/bundles")
    elif path == "/api/studies/{key}/page":
        places["key"] = served.first("/api/studies")
    if "{number}" in path:
        places["number"] = 1
    if "{name}" in path:
        places["name"] = "all.zip"
    return places, contents(served, method, path, places)


def examination(served: Served, rest: str) -> str:
    """An examination that lets an operation on it succeed."""
    return {"/files": served.draft, "/inspect": served.sent, "/cancel": served.waiting}.get(rest, served.answered)()


def contents(served: Served, method: str, path: str, places: Values) -> Values:
    """Give query and body of a request that is right."""
    json: Values = {"media_type": "application/json"}
    if path.endswith("/compare"):
        return {"query": {"a": 1, "b": 1}}
    if path.endswith("/corrections"):
        labels = served.door.client.get(f"/api/examinations/{places['key']}/runs/1/files/labels.nii.gz").content
        return {"query": {"base": 1}, "body": labels, "media_type": "application/octet-stream"}
    if method != "POST" and path != "/api/bundles/chosen":
        return {}
    if path.endswith("/files"):
        return {"body": {"files": [served.knee]}, "media_type": "multipart/form-data"}
    bodies = {
        "/api/session": USER,
        "/api/examinations": {"reference": "a reference"},
        f"{OF_EXAMINATION}/runs": {"sex": "male", "explain": False},
        "/api/bundles/chosen": {"id": served.first("/api/bundles")},
    }
    return {**json, "body": bodies[path]} if path in bodies else {}
