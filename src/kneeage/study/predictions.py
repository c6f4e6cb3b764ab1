"""The prediction table: what the models of a study said of each subject, or of each slice, beside the truth.

One row per model and subject (subject-level) or per model and slice (slice-level). Every model belongs to a fold:
its internal rows are the fold it did not learn from, its external rows are the external cohort, which all models see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import Sex
from kneeage.core.errors import InputRefusedError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
TextArray = NDArray[np.str_]

# Fold of a row that averages the models of all folds, and slice index of a row that speaks for a whole subject.
ALL_FOLDS = -1
NO_SLICE = -1
# Probabilities are written with six decimals, so that the sum of a hundred classes may be off by half of this.
SUM_TOLERANCE = 1e-4
# Source: ours; older subjects are in no cohort of this project, and a slip of the pen often is.
OLDEST_YEARS = 120.0


class Group(str, Enum):
    """Which cohort a subject belongs to."""

    INTERNAL = "internal"
    EXTERNAL = "external"


class PredictionError(InputRefusedError):
    """A prediction table contradicts itself, or a value in it cannot be."""


@dataclass(frozen=True)
class PredictionRow:
    """One statement of one model, checked on its own.

    Args:
        subject_id: Name of the subject; not empty.
        fold: Number of the model, 0 or more, or ``ALL_FOLDS``.
        group: Internal or external.
        site: Where the subject was imaged; not empty.
        sex: Sex.
        chronological_age_years: Decimal age, from 0 to ``OLDEST_YEARS``.
        probability: Of each class, in order; from 0 to 1, with the sum 1.
        slice_index: Number of the slice, 0 or more, or ``NO_SLICE`` where the row speaks for the subject.

    Raises:
        PredictionError: A value cannot be.
    """

    subject_id: str
    fold: int
    group: Group
    site: str
    sex: Sex
    chronological_age_years: float
    probability: tuple[float, ...]
    slice_index: int = NO_SLICE

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("subject_id", "site"):
            _require(bool(getattr(self, name).strip()), name, "is empty; every subject needs one")
        _require(self.fold >= ALL_FOLDS, "fold", f"must be 0 or more; found {self.fold}")
        _require(self.slice_index >= NO_SLICE, "slice_index", f"must be 0 or more; found {self.slice_index}")
        age = self.chronological_age_years
        _require(0 <= age <= OLDEST_YEARS, "chronological_age_years", f"must be 0 to {OLDEST_YEARS:g}; found {age:g}")
        wrong = [value for value in self.probability if not 0 <= value <= 1]
        _require(not wrong, "probability", f"must be 0 to 1; found {wrong[0] if wrong else ''}")
        total = math.fsum(self.probability)
        _require(abs(total - 1) <= SUM_TOLERANCE, "probability", f"must have the sum 1; found {total:g}")

    @property
    def age_class(self) -> int:
        """Completed years."""
        return math.floor(self.chronological_age_years)


@dataclass(frozen=True, eq=False)
class Predictions:
    """A prediction table, column by column. ``Predictions.of`` makes a checked one.

    Args:
        classes: The c age classes, consecutive completed years; class 14 is [14, 15).
        subject_id: Shape (n,).
        slice_index: Shape (n,); ``NO_SLICE`` throughout in a subject-level table.
        fold: Shape (n,); ``ALL_FOLDS`` where the models of all folds are averaged.
        group: Shape (n,): values of ``Group``.
        site: Shape (n,).
        sex: Shape (n,): values of ``Sex``.
        chronological_age_years: Shape (n,).
        probability: Shape (n, c).
    """

    classes: tuple[int, ...]
    subject_id: TextArray
    slice_index: IntArray
    fold: IntArray
    group: TextArray
    site: TextArray
    sex: TextArray
    chronological_age_years: FloatArray
    probability: FloatArray

    @staticmethod
    def of(
        classes: Sequence[int], rows: Sequence[PredictionRow], name: Callable[[int], str] = "row {}".format
    ) -> Predictions:
        """Make a table from rows, and check them against each other.

        Args:
            classes: Completed years of the classes.
            rows: The rows; each has as many probabilities as there are classes.
            name: What a row, given by its place from 0 on, is called in an error.

        Raises:
            PredictionError: There is no row; classes are not consecutive; a subject's age is in no class; two rows say
                the same of the same subject, fold and slice; a subject has two ages, sexes, sites or groups; rows of
                slices and of subjects are mixed.
        """
        if len(classes) < 2 or list(classes) != list(range(classes[0], classes[0] + len(classes))):
            raise PredictionError(f"the classes must be two or more consecutive years; found {list(classes)}")
        if not rows:
            raise PredictionError("there are no predictions; a table needs one row at least")
        _check_rows(tuple(classes), rows, name)
        return Predictions(
            tuple(classes),
            np.array([row.subject_id for row in rows], dtype=np.str_),
            np.array([row.slice_index for row in rows], dtype=np.intp),
            np.array([row.fold for row in rows], dtype=np.intp),
            np.array([row.group.value for row in rows], dtype=np.str_),
            np.array([row.site for row in rows], dtype=np.str_),
            np.array([row.sex.value for row in rows], dtype=np.str_),
            np.array([row.chronological_age_years for row in rows], dtype=np.float64),
            np.array([row.probability for row in rows], dtype=np.float64),
        )

    def __len__(self) -> int:
        return len(self.subject_id)

    @property
    def by_slice(self) -> bool:
        """Whether the rows speak of slices."""
        return bool(len(self) and self.slice_index[0] != NO_SLICE)

    @cached_property
    def true_class(self) -> IntArray:
        """Place of each row's true class in ``classes``, shape (n,)."""
        return np.floor(self.chronological_age_years).astype(np.intp) - self.classes[0]

    @cached_property
    def called_class(self) -> IntArray:
        """Place of each row's most probable class in ``classes``, shape (n,); the younger one of two that are equal."""
        return np.asarray(self.probability.argmax(axis=1), dtype=np.intp)

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """The folds, in order."""
        return tuple(int(fold) for fold in np.unique(self.fold))

    @cached_property
    def subjects(self) -> int:
        """How many subjects there are."""
        return len(np.unique(self.subject_id))

    def take(self, rows: NDArray[np.bool_] | IntArray) -> Predictions:
        """Give some of the rows.

        Args:
            rows: A mask of shape (n,), or places of rows.
        """
        columns = {each.name: getattr(self, each.name)[rows] for each in fields(self) if each.name != "classes"}
        return replace(self, **columns)

    def of_group(self, group: Group) -> Predictions:
        """Give the rows of one group."""
        return self.take(self.group == group.value)

    def of_fold(self, fold: int) -> Predictions:
        """Give the rows of one fold's model."""
        return self.take(self.fold == fold)

    def sites(self) -> dict[str, Predictions]:
        """Give the rows of each site, in the order of their names."""
        return {str(site): self.take(self.site == site) for site in np.unique(self.site)}


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Put checked tables below each other, such as those of the folds.

    Args:
        parts: One table or more, of the same subjects' cohort.

    Raises:
        PredictionError: They have different classes, or rows of slices and of subjects.
    """
    if len({(part.classes, part.by_slice) for part in parts}) != 1:
        raise PredictionError(
            "tables that are joined must have the same classes, and all rows of slices or of subjects"
        )
    names = [each.name for each in fields(Predictions) if each.name != "classes"]
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return replace(parts[0], **columns)


def subject_level(predictions: Predictions) -> Predictions:
    """Average the probabilities of a subject's slices, model by model.

    Args:
        predictions: Slice-level, or subject-level already.

    Returns:
        One row per model and subject.
    """
    return _averaged(predictions, predictions.fold)


def one_vote(predictions: Predictions) -> Predictions:
    """Give every subject one vote: average the probabilities of its slices, then those of the models.

    Args:
        predictions: With any number of models per subject, such as five of an external one.

    Returns:
        One row per subject, with the fold ``ALL_FOLDS``.
    """
    per_model = subject_level(predictions)
    return _averaged(per_model, np.full(len(per_model), ALL_FOLDS))


def _averaged(predictions: Predictions, fold: IntArray) -> Predictions:
    """Average the rows that share subject and fold; the rest of a row is the subject's."""
    _, subject = np.unique(predictions.subject_id, return_inverse=True)
    keys = np.stack([fold, subject.ravel()], axis=1)
    _, first, owner, count = np.unique(keys, axis=0, return_index=True, return_inverse=True, return_counts=True)
    total = np.zeros((len(first), len(predictions.classes)))
    np.add.at(total, owner.ravel(), predictions.probability)
    kept = predictions.take(first)
    no_slice = np.full(len(first), NO_SLICE)
    return replace(kept, fold=fold[first], slice_index=no_slice, probability=total / count[:, None])


def _require(fulfilled: bool, column: str, words: str) -> None:
    """Refuse a value."""
    if not fulfilled:
        raise PredictionError(f"{column} {words}")


def _check_rows(classes: tuple[int, ...], rows: Sequence[PredictionRow], name: Callable[[int], str]) -> None:
    """Check rows against the classes and each other; name the first that does not fit."""
    seen: dict[tuple[str, int, int], int] = {}
    known: dict[str, int] = {}
    for place, row in enumerate(rows):
        first = known.setdefault(row.subject_id, place)
        twin = seen.setdefault((row.subject_id, row.fold, row.slice_index), place)
        faults = (*_misfits(classes, row, rows[0]), *_contradictions(row, rows[first], name(first)))
        if twin != place:
            faults = (*faults, f"subject_id, fold and slice_index are those of {name(twin)}; keep one of the two")
        if faults:
            raise PredictionError(f"{name(place)}: {faults[0]}")


def _misfits(classes: tuple[int, ...], row: PredictionRow, first: PredictionRow) -> Iterator[str]:
    """Say what does not fit into the table."""
    if len(row.probability) != len(classes):
        yield f"probability must have {len(classes)} values, one per class; found {len(row.probability)}"
    if row.age_class not in classes:
        yield f"chronological_age_years {row.chronological_age_years:g} is in none of the classes {_span(classes)}"
    if (row.slice_index == NO_SLICE) != (first.slice_index == NO_SLICE):
        yield "slice_index must be given in all rows (slices) or in none (subjects)"


def _contradictions(row: PredictionRow, earlier: PredictionRow, name: str) -> Iterator[str]:
    """Say what another row says otherwise of the same subject."""
    for column in ("group", "site", "sex", "chronological_age_years"):
        if getattr(row, column) != getattr(earlier, column):
            yield f"{column} differs from {name}, which has the same subject_id; a subject has one"


def _span(classes: tuple[int, ...]) -> str:
    """Write the classes."""
    return f"{classes[0]} to {classes[-1]}"
