"""From the small files of a study's folder to its documents; neither images nor networks are needed.

The files are ``plan.json``, ``subjects.csv``, ``excluded.csv``, ``audit.json``, ``ceilings.json``, and of every fold
``config.json``, ``metrics.json``, ``curves.csv``, ``predictions.csv`` and ``done.json``. Numbers over slices come from
``metrics.json``, so that a copy without ``slices.csv`` gives the very same documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import kneeage
from kneeage.cohort.summary import GroupSummary, summarize_groups
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Sex
from kneeage.core.errors import InputRefusedError
from kneeage.io.output import replace_file
from kneeage.study.assessment import Assessment, assess
from kneeage.study.best_reader import from_plain
from kneeage.study.documents import PAGE, write_study_documents
from kneeage.study.metrics import Overall, pooled
from kneeage.study.prediction_file import read_predictions
from kneeage.study.predictions import Group, IntArray, Predictions, joined, one_vote
from kneeage.study.reductions import reduction_sentences, used_settings, world_sentence
from kneeage.study.results import (
    AuditFinding,
    AuditOutcome,
    GroupCeiling,
    PlateDice,
    SplitBy,
    StudyResults,
    TrainingLog,
)
from kneeage.study.run_folder import (
    AUDIT_FILE,
    CEILINGS_FILE,
    CURVES_FILE,
    EXCLUDED_FILE,
    FOLD_CONFIG_FILE,
    LEAKY_WORDS,
    METRICS_FILE,
    PLAN_FILE,
    READERS_FILE,
    SUBJECTS_FILE,
    as_json,
    fold_folder,
    is_done,
    predictions_path,
    read_csv,
    read_json,
)
from kneeage.study.settings import StudySettings

STUDY_FILE = "study.json"
_TRAINING, _VALIDATION, _EXTERNAL = "training", "validation", "external"
_POPULATION_NOT_STATED = "not stated"


def write_documents(run: Path, folder: Path | None = None) -> Path:
    """Write the documents of the folds that are finished.

    Args:
        run: Folder of the study, or a copy of its small files.
        folder: Where they go; into the study's own folder if not given.

    Returns:
        The page.

    Raises:
        InputRefusedError: No fold is finished, or a file is not there.
        OutputError: The documents cannot be written.
    """
    results, place = study_results(run), run if folder is None else folder
    write_study_documents(place, results)
    facts = {
        "name": results.name,
        "counter_example": results.split_by is SplitBy.SLICE,
        "preset": results.preset,
        "folds": results.folds,
        "folds_missing": list(results.missing_folds),
        "software": dict(results.software),
    }
    replace_file(place / STUDY_FILE, as_json(facts))
    return place / PAGE


def read_settings(run: Path) -> StudySettings:
    """Read the settings that a study follows from.

    Raises:
        InputRefusedError: The folder holds no study.
    """
    return StudySettings.from_json(_plan(run)["settings"])


def _plan(run: Path) -> dict[str, Any]:
    """Read what a study follows from."""
    if not (run / PLAN_FILE).exists():
        raise InputRefusedError(f"{str(run)!r} holds no study: it has no {PLAN_FILE}; do one with 'kneeage study run'")
    plan: dict[str, Any] = read_json(run / PLAN_FILE)
    return plan


def study_results(run: Path) -> StudyResults:
    """Collect what a study came to.

    Args:
        run: Folder of the study, or a copy of its small files.

    Raises:
        InputRefusedError: No fold is finished, or a file is not there.
    """
    plan, settings = _plan(run), read_settings(run)
    predictions, done = finished_predictions(run, settings), finished_folds(run, settings)
    logs = tuple(log for fold in done for log in _logs(run, fold))
    metrics = [read_json(fold_folder(run, fold) / METRICS_FILE) for fold in done]
    config = read_json(fold_folder(run, done[0]) / FOLD_CONFIG_FILE)
    return StudyResults(
        name=_name(plan, settings),
        population=_population(plan),
        preset=settings.preset,
        settings=used_settings(plan),
        folds=settings.deal.folds,
        predictions=predictions,
        assessment=_assessment(predictions, metrics),
        groups=_groups(run, leaky=settings.leaky),
        slice_confusions={group: _slice_confusions(metrics, group) for group in Group},
        logs=logs,
        dice=tuple(dice for each in metrics for dice in _dice(each)),
        ceilings=tuple(_ceilings(run, predictions)),
        audit=tuple(_finding(raw) for raw in read_json(run / AUDIT_FILE)),
        split_by=settings.deal.split_by,
        world=world_sentence(plan),
        reductions=tuple(reduction_sentences(plan, logs)),
        methods=tuple(_methods(run, plan, settings, metrics)),
        software={**config["software"], "kneeage, documents": kneeage.__version__},
    )


def finished_predictions(run: Path, settings: StudySettings) -> Predictions:
    """Read the predictions of all finished folds, by subject.

    Raises:
        InputRefusedError: No fold is finished, or a file is not there.
    """
    places = [fold_folder(run, fold) for fold in finished_folds(run, settings)]
    paths = [predictions_path(place, leaky=settings.leaky, by_slice=False) for place in places]
    return joined([read_predictions(path) for path in paths])


def _assessment(predictions: Predictions, metrics: Sequence[dict[str, Any]]) -> Assessment:
    """Assess the subjects, and put the numbers over slices beside them."""
    found = assess(predictions)
    internal, external = (
        replace(own, slices=_over_slices(metrics, group))
        for group, own in ((Group.INTERNAL, found.internal), (Group.EXTERNAL, found.external))
    )
    return replace(found, internal=internal, external=external)


def _over_slices(metrics: Sequence[dict[str, Any]], group: Group) -> Overall:
    """Put the folds' numbers over slices together."""
    parts = [Overall(**each["groups"][group.value]["slices"]) for each in metrics]
    return pooled(parts, list(_slice_confusions(metrics, group).values()))


def _slice_confusions(metrics: Sequence[dict[str, Any]], group: Group) -> dict[int, IntArray]:
    """Give the folds' confusion matrices of slices."""
    return {
        each["fold"]: np.array(each["groups"][group.value]["confusion_of_slices"], dtype=np.intp) for each in metrics
    }


def finished_folds(run: Path, settings: StudySettings) -> list[int]:
    """List the finished folds.

    Raises:
        InputRefusedError: There is none.
    """
    done = [fold for fold in range(settings.deal.folds) if is_done(fold_folder(run, fold))]
    if not done:
        raise InputRefusedError(f"no fold of {run.name!r} is finished; do one with 'kneeage study run ... --folds 0'")
    return done


def _name(plan: dict[str, Any], settings: StudySettings) -> str:
    """Give the study a heading."""
    name = f"{plan['internal']['name']}, preset {settings.preset}"
    return f"{LEAKY_WORDS}: {name}" if settings.leaky else name


def _population(plan: dict[str, Any]) -> str:
    """Say who the subjects are; only where both groups are virtual the study is."""
    both = [str(plan[group.value]["manifest"].get("population", _POPULATION_NOT_STATED)) for group in Group]
    return both[0] if both[0] == both[1] else " and ".join(both)


def _groups(run: Path, *, leaky: bool) -> tuple[GroupSummary, ...]:
    """Count subjects as Table 1 does: the first fold's training and validation group, and the external one.

    Where slices were dealt out, a subject is in no group of a fold, and the internal ones are counted together.
    """
    rows = read_csv(run / SUBJECTS_FILE)
    entries = [_entry(row) for row in rows]
    places = {f"{row['group']} {row['subject_id']}": row["group"] if leaky else _column(row) for row in rows}
    found = [group for group in summarize_groups(entries, places) if group.name in places.values()]
    return tuple(sorted(found, key=lambda group: group.name == _EXTERNAL))


def _entry(row: dict[str, str]) -> SubjectEntry:
    """Read what Table 1 needs of a subject."""
    return SubjectEntry(
        subject_id=f"{row['group']} {row['subject_id']}",
        sex=Sex(row["sex"]),
        chronological_age_years=float(row["chronological_age_years"]),
        site=row["site"],
        side=None,
        image="",
    )


def _column(row: dict[str, str]) -> str:
    """Say in which column of Table 1 a subject is counted."""
    if row["group"] == Group.EXTERNAL.value:
        return _EXTERNAL
    return _VALIDATION if row["fold"] == "0" else _TRAINING


def _logs(run: Path, fold: int) -> Iterator[TrainingLog]:
    """Read the logs of a fold's trainings."""
    rows = read_csv(fold_folder(run, fold) / CURVES_FILE)
    for stage in dict.fromkeys(row["stage"] for row in rows):
        own = [{key: cell for key, cell in row.items() if key != "stage"} for row in rows if row["stage"] == stage]
        used = [key for key in own[0] if any(row[key] for row in own)]
        yield TrainingLog(fold, stage.replace("_", " "), [{key: row[key] for key in used} for row in own])


def _dice(metrics: dict[str, Any]) -> Iterator[PlateDice]:
    """Read the Dice of a fold."""
    for row in metrics["dice"]:
        yield PlateDice(fold=metrics["fold"], **{**row, "group": Group(row["group"])})


def _ceilings(run: Path, predictions: Predictions) -> Iterator[GroupCeiling]:
    """Read the ceilings; there are none where the cohort is not virtual, or they were not computed yet."""
    if not (run / CEILINGS_FILE).exists():
        return
    rows = read_csv(run / READERS_FILE)
    for raw in read_json(run / CEILINGS_FILE):
        group, ceiling = Group(raw.pop("group")), from_plain(raw)
        told = {row["subject_id"]: int(row[ceiling.reader.value]) for row in rows if row["group"] == group.value}
        own = predictions.of_group(group)
        # A run that was broken off between a fold and its ceilings has those of fewer subjects; the page says so.
        if set(own.subject_id.tolist()) <= told.keys():
            yield GroupCeiling(group, ceiling, told, _told_by_class(own, told))


def _told_by_class(predictions: Predictions, told: dict[str, int]) -> dict[int, float]:
    """Give the share of each class that a best reader tells."""
    votes = one_vote(predictions)
    years = votes.true_class + votes.classes[0]
    right = np.array([told[str(subject)] for subject in votes.subject_id]) == years
    return {age: float(right[years == age].mean()) for age in votes.classes if (years == age).any()}


def _finding(raw: dict[str, Any]) -> AuditFinding:
    """Read one finding of the audit."""
    return AuditFinding(raw["question"], AuditOutcome(raw["outcome"]), raw["detail"])


def _methods(
    run: Path, plan: dict[str, Any], settings: StudySettings, metrics: Sequence[dict[str, Any]]
) -> Iterator[str]:
    """Say how the study was done."""
    if settings.leaky:
        yield (
            f"{LEAKY_WORDS}: slices, not subjects, were dealt out to the folds, so that every model met the subjects "
            "it is tested on. The internal numbers show how much that inflates them, and are worth nothing else."
        )
    yield "The last checkpoint of each training is tested; no checkpoint was chosen by the subjects it is tested on."
    yield "A subject's probabilities are the mean over its slices, given that its age is in one of the classes."
    bundle = plan["segmenter"]
    if bundle is not None:
        yield f"The plates were found by the segmenter of the bundle {bundle['name']} {bundle['version']}."
    elif settings.training.model == "end_to_end":
        yield "A U-Net was trained on the labels inside each fold, and then further, end to end with the classifier."
    else:
        yield "The segmenter was trained inside each fold, on the labels of those whom the age model learns from."
    yield from _missing(run, metrics)


def _missing(run: Path, metrics: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Say who is missing."""
    excluded = read_csv(run / EXCLUDED_FILE)
    if excluded:
        yield f"{len(excluded)} subjects were left out before the folds were made; {EXCLUDED_FILE} lists the reasons."
    out = sum(len(own) for each in metrics for own in each["left_out"].values())
    if out:
        yield f"{out} predictions are missing, of subjects in whom the plates' sites were not found."
