"""What a finished training leaves for those who use it: ``finished.json``, written last, and read with the run.

```
RUN/finished.json   network, population, who was used, how images were prepared, which checkpoint, which versions
```
"""

from __future__ import annotations

import csv
import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch

from kneeage import __version__
from kneeage.cohort.split import Group, Split
from kneeage.cohort.split_files import read_split
from kneeage.core.errors import InputRefusedError
from kneeage.io.json_object import read_json_object
from kneeage.io.output import replace_file
from kneeage.learn.metrics_file import METRICS_FILE, read_metrics
from kneeage.learn.prepared_cohort import LEFT_OUT_FILE
from kneeage.learn.settings import SETTINGS_FILE

FINISHED_FILE, TRAINING_FILE, SPLIT_FILE = "finished.json", "training.json", "split.csv"
SEGMENTER, AGE_MODEL, END_TO_END = "Segmenter", "AgeModel", "EndToEnd"


@dataclass(frozen=True)
class FinishedRun:
    """A training that came to its end.

    Args:
        folder: Folder of the run.
        facts: What ``training.json`` says: network, population, segmenter.
        end: What ``finished.json`` says: preparation, checkpoint, steps, versions.
        split: Who learned and who validated.
        left_out: Subjects of the split that could not be used.
    """

    folder: Path
    facts: Mapping[str, Any] = field(repr=False)
    end: Mapping[str, Any] = field(repr=False)
    split: Split = field(repr=False)
    left_out: frozenset[str] = field(repr=False)

    @property
    def network(self) -> str:
        """What was trained: `SEGMENTER`, `AGE_MODEL` or `END_TO_END`."""
        return str(self.facts["network"])

    @property
    def population(self) -> str:
        """Whom the subjects stand for, as their cohort says."""
        return str(self.facts["population"])

    @property
    def preparation(self) -> Mapping[str, Any]:
        """How images were prepared; see `kneeage.learn.prepared_cohort.Job.identity`."""
        found: Mapping[str, Any] = self.end["preparation"]
        return found

    @property
    def checkpoint(self) -> Path:
        """The network that validated best."""
        return self.folder / str(self.end["checkpoint"])

    def used(self, group: Group) -> tuple[str, ...]:
        """Give the subjects of a group that were really used, sorted."""
        return tuple(subject for subject in self.split.members(group) if subject not in self.left_out)

    def settings(self) -> dict[str, Any]:
        """Give every setting, as ``settings.json`` has them.

        Raises:
            InputRefusedError: The file is not there.
        """
        found = read_json_object(self.folder / SETTINGS_FILE)
        if found is None:
            raise InputRefusedError(f"{str(self.folder)!r} has no sound {SETTINGS_FILE}; copy the run again")
        return found

    def best_validation(self, monitor: str, *, largest: bool) -> dict[str, float]:
        """Give the validation that chose the checkpoint, by name of the metric; the first of several equal ones.

        Args:
            monitor: Name of the metric that chose.
            largest: Whether the largest value is the best one.
        """
        rows = [row for row in read_metrics(self.folder / METRICS_FILE) if row.get(monitor)]
        best = (max if largest else min)(rows, key=lambda row: float(row[monitor]), default={})
        return {name: float(text) for name, text in best.items() if text and name not in ("epoch", "learning_rate")}


def note_finished(run: Path, checkpoint: Path, preparation: Mapping[str, Any], steps: int) -> None:
    """Write down that a training came to its end.

    Args:
        run: Folder of the run.
        checkpoint: The network that validated best.
        preparation: How images were prepared.
        steps: Step of the checkpoint.

    Raises:
        OutputError: The file cannot be written.
    """
    end = {
        "checkpoint": checkpoint.name,
        "checkpoint_sha256": sha256_of(checkpoint),
        "steps": steps,
        "preparation": dict(preparation),
        "software": software(),
    }
    replace_file(run / FINISHED_FILE, json.dumps(end, indent=2) + "\n")


def software() -> dict[str, str]:
    """Name the versions of what trains."""
    return {
        "kneeage": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
    }


def read_finished(run: Path) -> FinishedRun:
    """Read a run of ``kneeage train`` that came to its end.

    Raises:
        InputRefusedError: The folder holds no such run, or the run is not finished, or was altered since.
    """
    facts, end = (read_json_object(run / name) for name in (TRAINING_FILE, FINISHED_FILE))
    if facts is None:
        raise InputRefusedError(
            f"{str(run)!r} holds no run of 'kneeage train' (no sound {TRAINING_FILE}); give the folder of one"
        )
    if end is None:
        raise InputRefusedError(
            f"the training in {str(run)!r} is not finished (no sound {FINISHED_FILE}); run its command again"
        )
    found = FinishedRun(run, facts, end, read_split(run / SPLIT_FILE), _left_out(run / LEFT_OUT_FILE))
    _require_same_checkpoint(found)
    return found


def sha256_of(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checkpoint_steps(checkpoint: Path) -> int:
    """Say after how many steps a checkpoint was written."""
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])


def _left_out(path: Path) -> frozenset[str]:
    """Read who was left out."""
    try:
        rows: Sequence[Mapping[str, str]] = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise InputRefusedError(f"{str(path)!r} cannot be read ({error.strerror}); run the training again") from error
    return frozenset(row["subject_id"] for row in rows)


def _require_same_checkpoint(found: FinishedRun) -> None:
    """Check that the best checkpoint is still the one that the training ended with."""
    try:
        same = sha256_of(found.checkpoint) == found.end["checkpoint_sha256"]
    except OSError:
        same = False
    if not same:
        raise InputRefusedError(
            f"{found.checkpoint.name} of {str(found.folder)!r} is not the one that the training ended with; run its "
            "command again, or copy the run again"
        )
