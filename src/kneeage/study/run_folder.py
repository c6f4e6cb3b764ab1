"""Where a study's files lie, and how they are written: whole, and never in contradiction to what is there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.io.output import replace_file

PLAN_FILE, CONFIG_FILE, AUDIT_FILE = "plan.json", "config.yaml", "audit.json"
CEILINGS_FILE, READERS_FILE = "ceilings.json", "best_readers.csv"
SUBJECTS_FILE, EXCLUDED_FILE = "subjects.csv", "excluded.csv"
SPLIT_FILE, SPLIT_FACTS_FILE = "split.csv", "split.json"
PREPARED_FOLDER = "prepared"
FOLD_CONFIG_FILE, METRICS_FILE, CURVES_FILE, DONE_FILE = "config.json", "metrics.json", "curves.csv", "done.json"
PREDICTIONS_FILE, SLICES_FILE = "predictions.csv", "slices.csv"
# What stands before the name of every prediction file of the counter-example.
LEAKY_PREFIX = "LEAKY_COUNTER_EXAMPLE_"
LEAKY_WORDS = "LEAKY COUNTER-EXAMPLE"
SCHEMA_VERSION = "1.0"


def fold_folder(run: Path, fold: int) -> Path:
    """Say where the files of a fold lie."""
    return run / f"fold_{fold}"


def predictions_path(place: Path, *, leaky: bool, by_slice: bool) -> Path:
    """Say where the predictions of a fold lie.

    Args:
        place: Folder of the fold.
        leaky: Whether the study is the counter-example; its files say so.
        by_slice: Rows of slices rather than of subjects.
    """
    return place / ((LEAKY_PREFIX if leaky else "") + (SLICES_FILE if by_slice else PREDICTIONS_FILE))


def is_done(place: Path) -> bool:
    """Say whether a fold is finished: its last file is there."""
    return (place / DONE_FILE).exists()


def as_json(value: Any) -> str:
    """Write plain values."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def read_json(path: Path) -> Any:
    """Read plain values.

    Raises:
        InputRefusedError: The file is not there, or is no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputRefusedError(
            f"{str(path)!r} cannot be read ({type(error).__name__}); run the study again"
        ) from error


def csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str:
    """Write rows as CSV; a key that a row does not have is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read rows that `csv_text` wrote.

    Raises:
        InputRefusedError: The file is not there.
    """
    try:
        return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    except OSError as error:
        raise InputRefusedError(f"{str(path)!r} cannot be read ({error.strerror}); run the study again") from error


def keep_file(path: Path, text: str, words: str) -> None:
    """Write a file of a study that is begun, or prove that the study there was begun with the very same.

    Args:
        path: The file.
        text: What it holds.
        words: What must not change, such as "the subjects".

    Raises:
        UsageError: The file that is there says otherwise.
        OutputError: It cannot be written.
    """
    if not path.exists():
        replace_file(path, text)
    elif path.read_text(encoding="utf-8") != text:
        raise UsageError(
            f"the run in {str(path.parent)!r} was begun with other {words} ({path.name} differs: "
            f"{_first_difference(path.read_text(encoding='utf-8'), text)}); take them back, or choose another folder"
        )


def _first_difference(found: str, wanted: str) -> str:
    """Show the first line that differs."""
    old, new = found.splitlines(), wanted.splitlines()
    pairs = zip([*old, *[""] * len(new)], [*new, *[""] * len(old)], strict=False)
    first = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
    return f"{first[0].strip()!r} there, {first[1].strip()!r} now"
