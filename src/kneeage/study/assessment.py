"""All that a study says of its models beside the paper's tables: which rows every number is taken from.

- *slices*: a row per model and slice. Only point values: slices of a subject are no sample of subjects.
- *models*: a row per model and subject. What one model is worth; intervals draw subjects, with all their models.
  The two groups are compared on these rows, since an internal subject has one model's vote.
- *votes*: a row per subject. Probabilities of an external subject are averaged over the models, which makes the
  external group look better than any of the models is. Numbers at legal ages and calibration are of votes.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

from kneeage.study.metrics import (
    Overall,
    accuracy,
    confusion,
    macro_recall,
    mean_absolute_error_years,
    overall,
    root_mean_square_error_years,
    within_one_year,
)
from kneeage.study.predictions import Group, Predictions, one_vote, subject_level
from kneeage.study.reliability import Reliability, class_reliability, threshold_reliability
from kneeage.study.resampling import (
    RESAMPLING,
    Bootstrapped,
    Equivalence,
    Metric,
    Resampling,
    bootstrap,
    bootstrap_difference,
    equivalence,
)
from kneeage.study.thresholds import THRESHOLDS_YEARS, ThresholdNumbers, threshold_numbers

METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "macro_recall": macro_recall,
    "within_one_year": within_one_year,
    "mean_absolute_error_years": mean_absolute_error_years,
    "root_mean_square_error_years": root_mean_square_error_years,
}


@dataclass(frozen=True)
class GroupAssessment:
    """The numbers of one group.

    Args:
        subjects: How many subjects.
        slices: Over slices; None where the table has none.
        models: Over models and subjects.
        votes: Over subjects.
        intervals_of_models: By the names of ``METRICS``, over subjects, of the rows of models.
        intervals_of_votes: The same of votes.
        confusion_of_votes: Shape (c, c): counts; rows are true classes.
        thresholds: Of votes, at the legal ages that the classes reach.
        calibration: Of votes: the most probable class.
        calibration_at_thresholds: Of votes: the probability to be past each legal age.
        votes_by_site: Of votes.
    """

    subjects: int
    slices: Overall | None
    models: Overall
    votes: Overall
    intervals_of_models: dict[str, Bootstrapped]
    intervals_of_votes: dict[str, Bootstrapped]
    confusion_of_votes: list[list[int]]
    thresholds: tuple[ThresholdNumbers, ...]
    calibration: Reliability
    calibration_at_thresholds: dict[int, Reliability]
    votes_by_site: dict[str, Overall]


@dataclass(frozen=True)
class Assessment:
    """The numbers of a study.

    Args:
        classes: Age classes, completed years.
        internal: The internal group.
        external: The external group.
        external_less_internal: By the names of ``METRICS``, of the rows of models.
        equivalence: Whether macro recall of the rows of models differs by less than the margin.
    """

    classes: tuple[int, ...]
    internal: GroupAssessment
    external: GroupAssessment
    external_less_internal: dict[str, Bootstrapped]
    equivalence: Equivalence


def assess(predictions: Predictions, resampling: Resampling = RESAMPLING) -> Assessment:
    """Find the numbers of a study.

    Args:
        predictions: Of both groups and all folds, slice-level or subject-level.
        resampling: How intervals are found.
    """
    internal, external = (predictions.of_group(group) for group in (Group.INTERNAL, Group.EXTERNAL))
    models = subject_level(external), subject_level(internal)
    differences = {name: bootstrap_difference(*models, metric, resampling) for name, metric in METRICS.items()}
    return Assessment(
        classes=predictions.classes,
        internal=assess_group(internal, resampling),
        external=assess_group(external, resampling),
        external_less_internal=differences,
        equivalence=equivalence(*models, macro_recall, resampling=resampling),
    )


def assess_group(predictions: Predictions, resampling: Resampling = RESAMPLING) -> GroupAssessment:
    """Find the numbers of one group.

    Args:
        predictions: Of this group, slice-level or subject-level.
        resampling: How intervals are found.
    """
    models, votes = subject_level(predictions), one_vote(predictions)
    legal_ages = [age for age in THRESHOLDS_YEARS if votes.classes[0] < age <= votes.classes[-1]]
    return GroupAssessment(
        subjects=len(votes),
        slices=overall(predictions) if predictions.by_slice else None,
        models=overall(models),
        votes=overall(votes),
        intervals_of_models=_intervals(models, resampling),
        intervals_of_votes=_intervals(votes, resampling),
        confusion_of_votes=confusion(votes).tolist(),
        thresholds=tuple(threshold_numbers(votes, age) for age in legal_ages),
        calibration=class_reliability(votes),
        calibration_at_thresholds={age: threshold_reliability(votes, age) for age in legal_ages},
        votes_by_site={site: overall(rows) for site, rows in votes.sites().items()},
    )


def as_json(assessment: Assessment | GroupAssessment) -> str:
    """Write the numbers as JSON; what is not defined is null."""
    return json.dumps(_without_nan(asdict(assessment)), indent=2)


def _intervals(predictions: Predictions, resampling: Resampling) -> dict[str, Bootstrapped]:
    """Give every metric with its interval."""
    return {name: bootstrap(predictions, metric, resampling) for name, metric in METRICS.items()}


def _without_nan(value: object) -> object:
    """Put None in the place of NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
