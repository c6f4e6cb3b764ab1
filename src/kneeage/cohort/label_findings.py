"""What may be wrong with a label map, in words and as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby


class FindingKind(str, Enum):
    """What may be wrong with labels."""

    UNREADABLE = "unreadable"
    CHANNELS = "channels"
    OTHER_GRID = "other_grid"
    NOT_WHOLE = "not_whole"
    UNKNOWN_VALUE = "unknown_value"
    EMPTY = "empty"
    EMPTY_SLICE = "empty_slice"
    MISSING_IN_SLICE = "missing_in_slice"
    UPSIDE_DOWN = "upside_down"
    WRONG_SIDE = "wrong_side_of_joint"
    OTHER_BONE = "touches_other_bone"
    AWAY_FROM_BONE = "away_from_bone"
    ISLAND = "island"
    SEPARATE_PIECE = "separate_piece"


class Severity(str, Enum):
    """Whether a finding must be mended."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class LabelFinding:
    """One thing that is wrong with a label map.

    Args:
        kind: What is wrong.
        severity: Whether it must be mended.
        words: What was found and what to do.
        label: Name of the label or of the bone; None where it is about no single one.
        slices: Where, counted from 1; empty where it is about the whole.
        subject_id: Whose labels; None where nobody is named.
    """

    kind: FindingKind
    severity: Severity
    words: str
    label: str | None = None
    slices: tuple[int, ...] = ()
    subject_id: str | None = None

    @property
    def is_error(self) -> bool:
        """Whether it must be mended."""
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        """Say whose labels, where, which label and what."""
        places = (self.subject_id, slice_words(self.slices), self.label)
        return ": ".join([", ".join(place for place in places if place), self.words]).removeprefix(": ")


def slice_words(slices: Sequence[int]) -> str:
    """Write slice numbers, such as ``"slices 3, 5-7"``; nothing for none."""
    if not slices:
        return ""
    runs = [[number for _, number in run] for _, run in groupby(enumerate(slices), lambda pair: pair[1] - pair[0])]
    words = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
    return f"slice {words}" if len(slices) == 1 else f"slices {words}"
