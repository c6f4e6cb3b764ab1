"""The OpenAPI document tells the truth: nothing undeclared is answered, and the server never fails."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.web.support import Door, knee_bytes, make_bundle, settings_of

schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")
core_checks = pytest.importorskip("schemathesis.checks")
CHECKS = [
    core_checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Door:
    folder = tmp_path_factory.mktemp("served")
    (folder / "data").mkdir()
    door = Door(settings_of(folder / "data", make_bundle(folder / "blocks")))
    door.answered(knee_bytes(folder))
    return door


def test_every_answer_is_declared(served: Door) -> None:
    app = served.client.app
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app, headers={"Host": "127.0.0.1"})
    # Events go on without an end.
    found = [one.ok() for one in schema.exclude(path_regex="/events$").get_all_operations()]
    assert len(found) >= 20
    for operation in found:
        check(served, operation)


def check(served: Door, operation: Any) -> None:
    """Ask a route for a few things that its schema allows, and for what it does not."""
    key = served.client.get("/api/examinations").json()["items"][-1]["id"]
    headers = {"X-CSRF-Token": served.take_token(), "Host": "127.0.0.1"}

    @settings(max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy())
    def ask(case: Any) -> None:
        if operation.path.startswith("/api/examinations/{key}"):
            case.path_parameters["key"] = key
        answer = case.call(headers=headers, cookies=dict(served.client.cookies))
        case.validate_response(answer, checks=CHECKS)

    ask()
