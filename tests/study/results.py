"""A small study to make documents of."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from kneeage.cohort.summary import GroupSummary
from kneeage.phantom.cohort.ceiling import Ceiling, Estimate, Reader
from kneeage.study.assessment import assess
from kneeage.study.metrics import fold_confusions
from kneeage.study.predictions import Group, IntArray, Predictions
from kneeage.study.resampling import Resampling
from kneeage.study.results import (
    VIRTUAL,
    AuditFinding,
    AuditOutcome,
    GroupCeiling,
    PlateDice,
    StudyResults,
    TrainingLog,
)
from tests.study import tables

FOLDS = 2


def small(*, folds: int = FOLDS, **changed: object) -> StudyResults:
    """A study of two folds with everything that there may be, but for what is changed.

    Args:
        folds: How many were planned; two are done.
        changed: Other values of ``StudyResults``.
    """
    return replace(_small(), folds=folds, **changed)


def of_predictions(predictions: Predictions, **changed: object) -> StudyResults:
    """The same study with other predictions, assessed."""
    assessment = assess(predictions, Resampling(replicates=20))
    own = {
        "slice_confusions": _slice_confusions(predictions),
        "ceilings": tuple(_ceiling(group, predictions) for group in Group),
    }
    return small(predictions=predictions, assessment=assessment, **own | changed)


@cache
def _small() -> StudyResults:
    predictions = tables.study(internal=54, external=27, folds=FOLDS, slices=2)
    return StudyResults(
        name="A small study",
        population=VIRTUAL,
        preset="default",
        settings={"seed": 1, "age_model": {"inputs": "masked", "fit": _FIT, "age_edges_years": list(range(8, 27))}},
        folds=FOLDS,
        predictions=predictions,
        assessment=assess(predictions, Resampling(replicates=20)),
        groups=tuple(_group(name, 27) for name in ("training", "validation", "external")),
        logs=tuple(TrainingLog(fold, "age model", _log()) for fold in range(FOLDS)),
        dice=tuple(PlateDice(fold, Group.INTERNAL, "distal femur", 27, 0.875, 0.05) for fold in range(FOLDS)),
        slice_confusions=_slice_confusions(predictions),
        ceilings=tuple(_ceiling(group, predictions) for group in Group),
        audit=(AuditFinding("one subject in two groups", AuditOutcome.CLEAN, "81 subjects"),),
        world="Seven times tighter than biology.",
        software={"kneeage": "1.2.3"},
    )


_FIT = {"learning_rate": 0.001, "batch_size": 8, "epochs": 200, "schedule": "exponential", "last_rate": 0.0003}


def _group(name: str, subjects: int) -> GroupSummary:
    years = dict.fromkeys(tables.CLASSES, subjects // len(tables.CLASSES))
    return GroupSummary(name, subjects, years, {"male": subjects, "female": 0}, 14.5, 2.6)


def _log() -> list[dict[str, str]]:
    """Rows of a metrics file; validated every second step."""
    return [
        {
            "step": str(step),
            "learning_rate": "0.001",
            "train_loss": str(2 - step / 10),
            "validation_mae": "1",
            "validation_nll": str(2 - step / 20) if step % 2 else "",
        }
        for step in range(10)
    ]


def _slice_confusions(predictions: Predictions) -> dict[Group, dict[int, IntArray]]:
    return {group: fold_confusions(predictions, group) for group in Group} if predictions.by_slice else {}


def _ceiling(group: Group, predictions: Predictions) -> GroupCeiling:
    half = Estimate(0.5, 0.01, 1000)
    ceiling = Ceiling(Reader.MEASURED, 1000, half, half, Estimate(0.9, 0.01, 1000), half, half, ())
    told = {str(row): 14 for row in predictions.of_group(group).subject_id}
    return GroupCeiling(group, ceiling, told, dict.fromkeys(tables.CLASSES, 0.5))
