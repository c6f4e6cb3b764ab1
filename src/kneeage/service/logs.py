"""Structured logs: one JSON object per line on stderr, without a word that came from an image or a peer's message.

What goes in are names of events, keys of studies, counts, times, and the kind and place of an unforeseen error; never
its text, which may quote an attribute.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
import warnings
from datetime import UTC, datetime
from pathlib import Path

LOGGER = logging.getLogger("kneeage.service")

_FACTS = "facts"


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level, event and facts."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps({**line, **getattr(record, _FACTS, {})}, ensure_ascii=False)


def write_logs(level: int = logging.INFO) -> None:
    """Send the events of the service to stderr.

    Args:
        level: The least level that is written.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(level)
    LOGGER.propagate = False
    # Python's own last resort writes what no handler takes, with its words and traceback.
    logging.lastResort = _HeldBack(logging.WARNING)
    # Warnings of libraries, and tracebacks of threads, quote what they stumbled over.
    warnings.simplefilter("ignore")
    threading.excepthook = _log_thread


class _HeldBack(logging.Handler):
    """Writes that a library complained, and where; its words quote requests, statements and what they carried."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write name, kind and place."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            log_failure("a library failed", error, library=record.name)
        else:
            place = f"{Path(record.pathname).name}:{record.lineno}"
            log("a library complained", record.levelno, library=record.name, place=place)


def _log_thread(failed: threading.ExceptHookArgs) -> None:
    """Log what ended a thread."""
    if failed.exc_value is not None:
        log_failure("a thread ended", failed.exc_value)


def log(event: str, level: int = logging.INFO, **facts: str | float | None) -> None:
    """Log an event.

    Args:
        event: What happened, in words of ours.
        level: How grave it is.
        **facts: Numbers, keys of studies, names of states and kinds.
    """
    LOGGER.log(level, event, extra={_FACTS: facts})


def log_failure(event: str, error: BaseException, **facts: str | float | None) -> None:
    """Log an unforeseen error by its kind and place; its text is held back."""
    frames = traceback.extract_tb(error.__traceback__)
    place = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-4:]))
    log(event, logging.ERROR, kind=type(error).__name__, place=place, **facts)
