"""All that a study's documents are made from: what the folds said, and what is known of how they came about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from kneeage.cohort.summary import GroupSummary
from kneeage.core.errors import InputRefusedError
from kneeage.phantom.cohort.ceiling import Ceiling
from kneeage.study.assessment import Assessment
from kneeage.study.predictions import Group, IntArray, Predictions

# Population of a cohort that the project made itself.
VIRTUAL = "virtual"


class SplitBy(str, Enum):
    """What was dealt out to the folds; slices only as a counter-example."""

    SUBJECT = "subject"
    SLICE = "slice"


class AuditOutcome(str, Enum):
    """What a check of the leakage audit found."""

    CLEAN = "nothing found"
    FOUND = "found"
    UNKNOWN = "could not be checked"


@dataclass(frozen=True, eq=False)
class TrainingLog:
    """The metrics file of one training.

    Args:
        fold: Number of the model.
        stage: What was trained, such as ``segmenter`` or ``age model``.
        rows: Its rows as a CSV reader gives them. Of the columns ``step``, ``learning_rate``, ``train_loss`` and the
            first validation loss (``validation_...loss`` or ``validation_...nll``) are read; an empty cell was not
            measured at that step.
    """

    fold: int
    stage: str
    rows: Sequence[Mapping[str, str]]

    def curve(self, name: str) -> tuple[list[int], list[float]]:
        """Give the steps at which a column has a value, and the values."""
        points = [(int(row["step"]), float(row[name])) for row in self.rows if row.get(name)]
        return [step for step, _ in points], [value for _, value in points]

    @property
    def validation_loss(self) -> str | None:
        """Name of the column with the validation loss; None where there is none."""
        names = (name for name in (self.rows[0] if self.rows else {}) if name.startswith("validation_"))
        return next((name for name in names if name.endswith(("loss", "nll"))), None)


@dataclass(frozen=True)
class PlateDice:
    """How well a fold's segmenter drew a plate.

    Args:
        fold: Number of the model.
        group: On whose subjects.
        plate: Such as ``distal femur``.
        subjects: How many of them have true labels.
        mean: Mean Dice over them, 0 to 1.
        sd: Its standard deviation over them.
    """

    fold: int
    group: Group
    plate: str
    subjects: int
    mean: float
    sd: float


@dataclass(frozen=True)
class GroupCeiling:
    """What the best reader of one group does; on a virtual cohort only.

    Args:
        group: Whose subjects; the very same that have predictions.
        ceiling: As ``kneeage.phantom.cohort.ceiling.score`` finds it.
        told: Completed years that this reader calls of every subject.
        exact_year_by_class: Share of those called rightly, by completed years; classes without a subject have none.
    """

    group: Group
    ceiling: Ceiling
    told: Mapping[str, int] = field(repr=False)
    exact_year_by_class: Mapping[int, float]


@dataclass(frozen=True)
class AuditFinding:
    """One check of the leakage audit.

    Args:
        question: What was looked for, such as "one subject in two groups".
        outcome: What was found.
        detail: In how many places, or why it could not be checked.
    """

    question: str
    outcome: AuditOutcome
    detail: str = ""


@dataclass(frozen=True, eq=False)
class StudyResults:
    """A study, whole or with folds still to come.

    Args:
        name: Heading of the page.
        population: Who the subjects are; ``VIRTUAL`` puts a banner on the page.
        preset: Name of the preset.
        settings: The resolved settings, nested.
        folds: How many folds the study shall have; those without predictions are said to be missing.
        predictions: Of the folds that are done, internal and external.
        slice_confusions: Of slices: true against called classes, shape (c, c), by group and fold; empty where nothing
            is known of slices.
        assessment: ``assess`` of the same predictions.
        groups: Columns of Table 1: training and validation subjects of the first fold, external subjects.
        logs: Of every fold and stage of training.
        dice: Of every fold, group and plate.
        ceilings: Of the groups, by any number of readers.
        audit: The leakage audit; empty: it was not done, which the page says.
        split_by: What was dealt out to the folds.
        world: A sentence that must stand beside every claim, such as how much tighter than biology a world is.
        methods: Further sentences on how the study was done.
        reductions: What was done smaller than planned, a sentence each.
        software: Versions, by name.

    Raises:
        InputRefusedError: A group has no predictions, a prediction is of no planned fold, or the assessment is of other
            predictions.
    """

    name: str
    population: str
    preset: str
    settings: Mapping[str, object]
    folds: int
    predictions: Predictions
    assessment: Assessment
    groups: tuple[GroupSummary, ...]
    slice_confusions: Mapping[Group, Mapping[int, IntArray]] = field(default_factory=dict)
    logs: tuple[TrainingLog, ...] = ()
    dice: tuple[PlateDice, ...] = ()
    ceilings: tuple[GroupCeiling, ...] = ()
    audit: tuple[AuditFinding, ...] = ()
    split_by: SplitBy = SplitBy.SUBJECT
    world: str | None = None
    methods: tuple[str, ...] = ()
    reductions: tuple[str, ...] = ()
    software: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the parts belong together."""
        for problem in self._problems():
            raise InputRefusedError(problem)

    @property
    def virtual(self) -> bool:
        """Whether nobody in the study is a real person."""
        return self.population == VIRTUAL

    @property
    def missing_folds(self) -> tuple[int, ...]:
        """The folds that have no predictions yet."""
        return tuple(fold for fold in range(self.folds) if fold not in self.predictions.folds)

    def _problems(self) -> Iterator[str]:
        """Say what does not fit."""
        strangers = sorted(set(self.predictions.folds) - set(range(self.folds)))
        if strangers:
            yield f"predictions must be of folds 0 to {self.folds - 1}; found fold {strangers[0]}"
        for group in Group:
            subjects = self.predictions.of_group(group).subjects
            assessed = getattr(self.assessment, group.value).subjects
            if not subjects:
                yield f"a study needs predictions of both groups; found none of the {group.value} group"
            if subjects != assessed:
                yield f"{assessed} {group.value} subjects were assessed, {subjects} have predictions; assess these"
