"""The metrics of a training in one CSV file, over all its resumes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

METRICS_FILE = "metrics.csv"
_FIRST_COLUMNS = ("step", "epoch")


class MetricsFile(Logger):
    """A table with one row per logged step; a metric that a row does not have is left empty.

    Rows are appended as they come. A metric with a new name adds a column: then the file is written anew.

    Args:
        path: Place of the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._columns: list[str] = []
        self.rows = 0

    @property
    def name(self) -> str:
        """Name of the logger."""
        return self._path.stem

    @property
    def version(self) -> str:
        """There is one file, whatever the number of resumes."""
        return ""

    @property
    def save_dir(self) -> str:
        """Folder of the file."""
        return str(self._path.parent)

    def keep_first(self, rows: int) -> None:
        """Go on after so many rows; later ones were written by steps that are now done again."""
        kept = read_metrics(self._path)[:rows] if rows and self._path.exists() else []
        self._columns = list(kept[0]) if kept else list(_FIRST_COLUMNS)
        self.rows = len(kept)
        self._write(kept)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append a row.

        Args:
            metrics: Numbers by name.
            step: Steps that were done before.
        """
        row = {"step": str(step), **{name: _text(name, value) for name, value in metrics.items()}}
        new = [name for name in row if name not in self._columns]
        if new:
            self._columns += new
            self._write([*read_metrics(self._path), row])
        else:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                file.write(_csv_text([row], self._columns, with_header=False))
        self.rows += 1

    @rank_zero_only
    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Leave the settings to their own file."""

    def _write(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Write the file anew, whole or not at all."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".part")
        temporary.write_text(_csv_text(rows, self._columns), encoding="utf-8", newline="")
        temporary.replace(self._path)


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Read the rows of a metrics file; a last row that a killed run did not finish is left out."""
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    return list(csv.DictReader(io.StringIO(whole)))


def curve(rows: Sequence[Mapping[str, str]], name: str) -> tuple[list[int], list[float]]:
    """Give the steps at which a metric was logged, and its values."""
    points = [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]
    return [step for step, _ in points], [value for _, value in points]


def _text(name: str, value: float) -> str:
    """Write a number with as many digits as tell any two float32 numbers apart."""
    return str(int(value)) if name == "epoch" else f"{float(value):.9g}"


def _csv_text(rows: Sequence[Mapping[str, str]], columns: Sequence[str], *, with_header: bool = True) -> str:
    """Write rows as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="", lineterminator="\n")
    if with_header:
        writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
