"""Logs without a word that came from an image."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from kneeage.core.errors import InputRefusedError
from kneeage.service.logs import LOGGER, JsonLines, log, log_failure


def test_logs_are_json_without_the_words_of_errors() -> None:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(JsonLines().format(record))

    LOGGER.addHandler(keep := Keep())
    LOGGER.setLevel(logging.INFO)
    log("study taken", study="abc", images=3)
    try:
        raise InputRefusedError("Nobody^Known")
    except InputRefusedError as error:
        log_failure("failed", error)
    LOGGER.removeHandler(keep)
    first, second = map(json.loads, lines)
    assert (first["event"], first["level"], first["study"], first["images"]) == ("study taken", "info", "abc", 3)
    assert (second["level"], second["kind"]) == ("error", "InputRefusedError")
    assert second["place"].startswith("test_logs.py:")
    assert "Nobody" not in lines[1]


LIBRARIES = """
import asyncio, logging
from kneeage.service.logs import write_logs

write_logs()
write_logs()

async def fail():
    raise ValueError("Nobody^Known")

async def forget():
    task = asyncio.create_task(fail())
    await asyncio.sleep(0)

asyncio.run(forget())
try:
    raise ValueError("Nobody^Known")
except ValueError:
    logging.getLogger("uvicorn.error").exception("Nobody^Known")
logging.getLogger("a.library").warning("about %s", "Nobody^Known")
"""


def test_libraries_say_that_they_failed_and_where_and_nothing_else() -> None:
    done = subprocess.run([sys.executable, "-c", LIBRARIES], capture_output=True, text=True, timeout=400, check=True)
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(one["library"], one["level"], one.get("kind")) for one in said] == [
        ("asyncio", "error", "ValueError"),
        ("uvicorn.error", "error", "ValueError"),
        ("a.library", "warning", None),
    ]
    assert all(one["place"] for one in said)
    assert "Nobody" not in done.stderr


def test_errors_of_the_database_hold_no_values(tmp_path: Path) -> None:
    tables = pytest.importorskip("kneeage.service.tables", reason="needs the extra 'web'")
    engine = tables.open_engine(tables.sqlite_url(tmp_path / "register.sqlite3"))
    with tables.writing(engine) as connection, pytest.raises(Exception, match="no such table") as raised:
        connection.execute(tables.text("INSERT INTO no_such_table VALUES (:a)"), {"a": "Nobody^Known"})
    assert "Nobody" not in str(raised.value)
