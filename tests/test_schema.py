"""The published schema is the one the code has, and results fit it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from kneeage.core.result import Outcome, Reason, ReasonCode, Result
from tools import write_schema


@pytest.fixture
def schema() -> dict[str, Any]:
    return json.loads(write_schema.SCHEMA_FILE.read_text(encoding="utf-8"))


def test_docs_hold_the_schema_of_the_code() -> None:
    assert write_schema.is_current(), "run `make schema`"


def test_schema_is_valid_itself(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


def test_refused_result_fits(schema: dict[str, Any]) -> None:
    reason = Reason(code=ReasonCode.GEOMETRY, message="slice 7 is missing")
    result = Result(outcome=Outcome.REFUSED, reasons=[reason])
    jsonschema.validate(json.loads(result.model_dump_json()), schema)


def test_unknown_key_does_not_fit(schema: dict[str, Any]) -> None:
    written = json.loads(Result(outcome=Outcome.ABSTAINED).model_dump_json()) | {"age": 15}
    with pytest.raises(jsonschema.ValidationError, match="'age' was unexpected"):
        jsonschema.validate(written, schema)


def test_missing_key_does_not_fit(schema: dict[str, Any]) -> None:
    written = json.loads(Result(outcome=Outcome.ABSTAINED).model_dump_json())
    del written["warnings"]
    with pytest.raises(jsonschema.ValidationError, match="'warnings' is a required property"):
        jsonschema.validate(written, schema)
