"""Logs without a word that came from an image."""

from __future__ import annotations

import json
import logging

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
