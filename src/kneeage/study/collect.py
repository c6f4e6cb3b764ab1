"""From the small files of a study's folder to its documents; neither images nor networks are needed.

The files are ``plan.json``, ``subjects.csv``, ``excluded.csv``, ``audit.json``, ``ceilings.json``, and of every fold
``config.json``, ``metrics.json``, ``curves.csv``, ``predictions.csv``, ``done.json`` and, where it was kept,
``slices.csv``. Without it the numbers over slices are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import kneeage
from kneeage.cohort.summary import GroupSummary, summarize_groups
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Sex
from kneeage.core.errors import InputRefusedError
from kneeage.study.assessment import assess
from kneeage.study.best_reader import from_plain
from kneeage.study.documents import PAGE, write_study_documents
from kneeage.study.prediction_file import read_predictions
from kneeage.study.predictions import Group, Predictions, joined
from kneeage.study.results import AuditFinding, AuditOutcome, GroupCeiling, PlateDice, StudyResults, TrainingLog
from kneeage.study.run_folder import (
    AUDIT_FILE,
    CEILINGS_FILE,
    CURVES_FILE,
    EXCLUDED_FILE,
    FOLD_CONFIG_FILE,
    LEAKY_WORDS,
    METRICS_FILE,
    PLAN_FILE,
    SUBJECTS_FILE,
    as_json,
    fold_folder,
    is_done,
    predictions_path,
    read_csv,
    read_json,
    replace_file,
)
from kneeage.study.settings import StudySettings

STUDY_FILE = "study.json"
_TRAINING, _VALIDATION, _EXTERNAL = "training", "validation", "external"
_POPULATION_NOT_STATED = "not stated"


def write_documents(run: Path) -> Path:
    """Write the documents of the folds that are finished.

    Args:
        run: Folder of the study.

    Returns:
        The page.

    Raises:
        InputRefusedError: No fold is finished, or a file is not there.
        OutputError: The documents cannot be written.
    """
    results = study_results(run)
    write_study_documents(run, results)
    facts = {
        "name": results.name,
        "counter_example": results.split_by.value == "slice",
        "preset": results.preset,
        "folds": results.folds,
        "folds_missing": list(results.missing_folds),
        "software": dict(results.software),
    }
    replace_file(run / STUDY_FILE, as_json(facts))
    return run / PAGE


def study_results(run: Path) -> StudyResults:
    """Collect what a study came to.

    Args:
        run: Folder of the study, or a copy of its small files.

    Raises:
        InputRefusedError: No fold is finished, or a file is not there.
    """
    plan = read_json(run / PLAN_FILE)
    settings = StudySettings.from_json(plan["settings"])
    predictions, done = finished_predictions(run, settings), _done(run, settings)
    metrics = [read_json(fold_folder(run, fold) / METRICS_FILE) for fold in done]
    config = read_json(fold_folder(run, done[0]) / FOLD_CONFIG_FILE)
    return StudyResults(
        name=_name(plan, settings),
        population=_population(plan),
        preset=settings.preset,
        settings=plan["settings"],
        folds=settings.deal.folds,
        predictions=predictions,
        assessment=assess(predictions),
        groups=_groups(run),
        logs=tuple(log for fold in done for log in _logs(run, fold)),
        dice=tuple(dice for each in metrics for dice in _dice(each)),
        ceilings=tuple(_ceilings(run)),
        audit=tuple(_finding(raw) for raw in read_json(run / AUDIT_FILE)),
        split_by=settings.deal.split_by,
        methods=tuple(_methods(run, plan, settings, metrics)),
        software={**config["software"], "kneeage, documents": kneeage.__version__},
    )


def finished_predictions(run: Path, settings: StudySettings) -> Predictions:
    """Read the predictions of all finished folds: by slice where every fold kept them, else by subject.

    Raises:
        InputRefusedError: No fold is finished, or a file is not there.
    """
    places = [fold_folder(run, fold) for fold in _done(run, settings)]
    by_slice = all(predictions_path(place, leaky=settings.leaky, by_slice=True).exists() for place in places)
    paths = [predictions_path(place, leaky=settings.leaky, by_slice=by_slice) for place in places]
    return joined([read_predictions(path) for path in paths])


def _done(run: Path, settings: StudySettings) -> list[int]:
    """List the finished folds."""
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


def _groups(run: Path) -> tuple[GroupSummary, ...]:
    """Count subjects as Table 1 does: the first fold's training and validation group, and the external one."""
    rows = read_csv(run / SUBJECTS_FILE)
    entries = [_entry(row) for row in rows]
    places = {f"{row['group']} {row['subject_id']}": _column(row) for row in rows}
    return tuple(group for group in summarize_groups(entries, places) if group.name in places.values())


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


def _ceilings(run: Path) -> Iterator[GroupCeiling]:
    """Read the ceilings; there are none where the cohort is not virtual."""
    if (run / CEILINGS_FILE).exists():
        for raw in read_json(run / CEILINGS_FILE):
            yield GroupCeiling(Group(raw.pop("group")), from_plain(raw))


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
