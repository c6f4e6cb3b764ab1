"""One fold of a study: train on the other folds' subjects, ask about its own and about the external group, write.

The last checkpoint of each training is taken, not the best: a checkpoint that the tested subjects chose would have
learned from them. They are watched while the training goes on, and nothing follows from it.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeVar

from kneeage import __version__
from kneeage.cohort.split import Split
from kneeage.core.anatomy import PLATE_SITES
from kneeage.core.errors import InputRefusedError
from kneeage.core.workers import Runner, in_turn
from kneeage.io.bundle import Bundle
from kneeage.io.lock import only_run
from kneeage.io.output import replace_file
from kneeage.learn.age_model import train_age_model
from kneeage.learn.data import LabelledSlices
from kneeage.learn.end_to_end import train_end_to_end
from kneeage.learn.export import export_segmenter
from kneeage.learn.fit import LAST_CHECKPOINT
from kneeage.learn.metrics_file import METRICS_FILE as TRAINING_LOG_FILE
from kneeage.learn.metrics_file import read_metrics
from kneeage.learn.predict import Answering, SubjectAnswer, age_model_answers, end_to_end_answers, plate_dice_counts
from kneeage.learn.prepared_cohort import PreparedCohort, RegionJob, SliceJob, Tell, prepare_cohort
from kneeage.learn.progress import Counting, uncounted, untold
from kneeage.learn.segmenter import train_segmenter
from kneeage.learn.stages import age_stage, segment_stage
from kneeage.study.classes import class_probabilities, class_shares
from kneeage.study.metrics import confusion, overall
from kneeage.study.people import People
from kneeage.study.prediction_file import write_predictions
from kneeage.study.predictions import NO_SLICE, FloatArray, Group, PredictionRow, Predictions, subject_level
from kneeage.study.run_folder import (
    CURVES_FILE,
    DONE_FILE,
    FOLD_CONFIG_FILE,
    METRICS_FILE,
    PREPARED_FOLDER,
    as_json,
    csv_text,
    fold_folder,
    is_done,
    predictions_path,
)
from kneeage.study.settings import RECIPES, StudySettings
from kneeage.study.slicewise import dealt_files

_Thing = TypeVar("_Thing")
SEGMENTER, AGE_MODEL, END_TO_END = "segmenter", "age_model", "end_to_end"
_SEGMENTER_FILE, _REGIONS, _SLICES, _DEALT = "segmenter.onnx", "regions", "slices", "dealt"
# Rows of a log of training, and as many of validation, that are kept with the results.
MOST_ROWS = 250

Say = Callable[[str], None]
Prepared = Mapping[Group, PreparedCohort]


@dataclass(frozen=True)
class FoldJob:
    """All that a fold follows from; it travels to other processes.

    Args:
        run: Folder of the study.
        settings: Settings of the study.
        people: Both groups.
        split: Who is tested in which fold.
        labelled: Subjects with labels.
        bundle: Its segmenter finds the plates; None: one is trained inside the fold.
    """

    run: Path
    settings: StudySettings
    people: People = field(repr=False)
    split: Split = field(repr=False)
    labelled: frozenset[str] = field(repr=False)
    bundle: Bundle | None = None

    def slice_job(self) -> SliceJob:
        """Say how slices are prepared."""
        deal = self.settings.deal
        return SliceJob(RECIPES[deal.recipe], deal.plane, labels_needed=False)

    def prepare(self, kind: str, job: SliceJob | RegionJob, place: Path, run: Runner, tell: Tell) -> Prepared:
        """Prepare both groups; what is there is kept."""
        return {
            group: prepare_cohort(self.people.cohort(group), job, place / kind / group.value, run, tell)
            for group in Group
        }

    def prepare_once(self, run: Runner, tell: Tell) -> Prepared:
        """Prepare what all folds read: a bundle's regions, else slices."""
        place = self.run / PREPARED_FOLDER
        if self.bundle is not None:
            return self.prepare(_REGIONS, RegionJob.of_bundle(self.bundle), place, run, tell)
        return self.prepare(_SLICES, self.slice_job(), place, run, tell)


@dataclass(frozen=True)
class _Material:
    """What a fold's last model is trained and tested on, and what is known of its segmenter.

    Args:
        learned: Files to learn from.
        tested: Files of the fold's own subjects.
        external: Files of the external group.
        left_out: Reason of each subject that there is no file of.
        dice: Voxels that decide the Dice of each plate, by group, subject and plate.
    """

    learned: list[Path]
    tested: list[Path]
    external: list[Path]
    left_out: Mapping[Group, Mapping[str, str]]
    dice: Mapping[Group, Mapping[str, Mapping[str, tuple[int, int]]]]


def run_fold(
    job: FoldJob,
    fold: int,
    run: Runner | None = None,
    say: Say = lambda _: None,
    counting: Counting = uncounted,
) -> None:
    """Do one fold, or go on with it; one that is finished is left as it is.

    Args:
        job: The study.
        fold: Number of the fold.
        run: Prepares subjects in the fold; in this process if not given.
        say: Told what is done.
        counting: Shows how far a stage is that trains nothing.

    Raises:
        InputRefusedError: Nobody is left to learn from or to be tested.
        OutputError: Another run has the fold, or a file cannot be written.
    """
    place = fold_folder(job.run, fold)
    if is_done(place):
        say(f"fold {fold}: finished before")
        return
    replace_file(place / FOLD_CONFIG_FILE, as_json(_config(job, fold)))
    with only_run(place / FOLD_CONFIG_FILE, "the fold"):
        started = time.monotonic()
        aloud = Aloud(lambda words: say(f"fold {fold}: {words}"), counting)
        material, checkpoint, answering = _trained(job, fold, run or in_turn, aloud)
        say(f"fold {fold}: predicting {len(material.tested)} internal and {len(material.external)} external subjects")
        with counting(f"Predicting, fold {fold}") as tell:
            answers = _answers(material, checkpoint, answering, tell)
        _write(job, fold, material, answers, started)
        say(f"fold {fold}: finished in {duration(time.monotonic() - started)}")


@dataclass(frozen=True)
class Aloud:
    """Who is told what goes on in a fold.

    Args:
        say: Told every stage.
        counting: Shows how far a stage is.
    """

    say: Say
    counting: Counting


def _trained(job: FoldJob, fold: int, run: Runner, aloud: Aloud) -> tuple[_Material, Path, Answering]:
    """Train what a fold needs; give its material, the model and how it is asked."""
    training = job.settings.training
    place = fold_folder(job.run, fold)
    if training.model == END_TO_END:
        slices = job.prepare_once(run, untold)
        segmenter = _segmenter(job, fold, slices, aloud.say)
        with aloud.counting(f"Comparing plates, fold {fold}") as tell:
            dice = _unet_dice(job, fold, slices, segmenter, tell)
        material = _material(job, fold, slices, dice=dice)
        learned = _labelled(job, material.learned)
        aloud.say(f"training end to end on {len(learned)} subjects")
        train_end_to_end(learned, material.tested, segmenter, training.end_to_end, place / END_TO_END)
        return material, place / END_TO_END / LAST_CHECKPOINT, end_to_end_answers
    regions = job.prepare_once(run, untold) if job.bundle is not None else _own_regions(job, fold, run, aloud)
    material = _material(job, fold, regions, dice=_region_dice(job, fold, regions))
    aloud.say(f"training the age model on {len(material.learned)} subjects")
    train_age_model(material.learned, material.tested, training.age_model, place / AGE_MODEL)
    return material, place / AGE_MODEL / LAST_CHECKPOINT, age_model_answers


def _segmenter(job: FoldJob, fold: int, slices: Prepared, say: Say) -> Path:
    """Train the fold's segmenter on the labels of what the fold learns from; give its checkpoint."""
    internal = slices[Group.INTERNAL]
    learned = _labelled(job, internal.files(job.split.learnt_in(fold)))
    watched = _labelled(job, internal.files(job.split.tested_in(fold))) or learned
    if not learned:
        raise InputRefusedError(f"fold {fold} has no labelled subject to train a segmenter on; label some, or give one")
    say(f"training the segmenter on {len(learned)} labelled subjects")
    place = fold_folder(job.run, fold) / SEGMENTER
    train_segmenter(LabelledSlices(learned), LabelledSlices(watched), job.settings.training.segmenter, place)
    return place / LAST_CHECKPOINT


def _own_regions(job: FoldJob, fold: int, run: Runner, aloud: Aloud) -> Prepared:
    """Cut regions with a segmenter that is trained inside the fold."""
    place, deal = fold_folder(job.run, fold), job.settings.deal
    exported = place / _SEGMENTER_FILE
    checkpoint = _segmenter(job, fold, job.prepare_once(run, untold), aloud.say)
    if not exported.exists():
        temporary = exported.with_suffix(".part")
        temporary.write_bytes(export_segmenter(checkpoint))
        temporary.replace(exported)
    levels = len(job.settings.training.segmenter.widths)
    cutting = RegionJob(exported, segment_stage(2 ** (levels - 1)), age_stage(), RECIPES[deal.recipe], deal.plane)
    aloud.say("cutting regions")
    with aloud.counting(f"Cutting regions, fold {fold}") as tell:
        return job.prepare(_REGIONS, cutting, place, run, tell)


def _material(job: FoldJob, fold: int, prepared: Prepared, *, dice: Mapping[Group, Any]) -> _Material:
    """Share prepared subjects out, and check that there is somebody of every kind."""
    internal, external = prepared[Group.INTERNAL], prepared[Group.EXTERNAL]
    if job.settings.leaky:
        learned, tested = _dealt(job, fold, internal)
    else:
        learned, tested = (internal.files(of(fold)) for of in (job.split.learnt_in, job.split.tested_in))
    everybody = external.files(external.usable)
    for files, words in ((learned, "to learn from"), (tested, "to be tested on"), (everybody, "of the external group")):
        if not files:
            reasons = sorted({*internal.left_out.values(), *external.left_out.values()})[:3]
            raise InputRefusedError(f"fold {fold} has no subject left {words}; left out: {'; '.join(reasons)}")
    left_out = {Group.INTERNAL: internal.left_out, Group.EXTERNAL: external.left_out}
    return _Material(learned, tested, everybody, left_out, dice)


def _dealt(job: FoldJob, fold: int, internal: PreparedCohort) -> tuple[list[Path], list[Path]]:
    """Deal slices out instead of subjects."""
    deal = job.settings.deal
    return dealt_files(
        internal.files(internal.usable),
        fold_folder(job.run, fold) / _DEALT,
        regions=job.settings.training.model == AGE_MODEL,
        fold=fold,
        folds=deal.folds,
        seed=deal.split_seed,
    )


def _answers(material: _Material, checkpoint: Path, ask: Answering, tell: Tell) -> dict[Group, list[SubjectAnswer]]:
    """Ask the model about both groups."""
    files = {Group.INTERNAL: material.tested, Group.EXTERNAL: material.external}
    step = _steps(tell, sum(len(own) for own in files.values()))
    return {group: [step(answer) for answer in ask(checkpoint, own)] for group, own in files.items()}


def _steps(tell: Tell, total: int) -> Callable[[_Thing], _Thing]:
    """Give what hands a thing on, and tells how many it handed on."""
    numbers = itertools.count(1)

    def step(thing: _Thing) -> _Thing:
        tell(next(numbers), total)
        return thing

    return step


def _write(
    job: FoldJob, fold: int, material: _Material, answers: Mapping[Group, Sequence[SubjectAnswer]], started: float
) -> None:
    """Write what came of the fold; what says that it is finished comes last."""
    place, leaky = fold_folder(job.run, fold), job.settings.leaky
    slices, pooled = (_predictions(job, fold, answers, pooled=pooled) for pooled in (False, True))
    write_predictions(predictions_path(place, leaky=leaky, by_slice=True), slices)
    write_predictions(predictions_path(place, leaky=leaky, by_slice=False), subject_level(slices))
    replace_file(place / CURVES_FILE, _curves(place))
    numbers = {group.value: _numbers(slices, pooled, group) for group in Group}
    facts = {
        "fold": fold,
        "counter_example": leaky,
        "learned_from": len(material.learned),
        "groups": numbers,
        "dice": [row for group in Group for row in _dice_rows(group, material.dice[group])],
        "left_out": {group.value: _own_left_out(job, fold, group, material) for group in Group},
    }
    replace_file(place / METRICS_FILE, as_json(facts))
    for folder in (_REGIONS, _DEALT):
        shutil.rmtree(place / folder, ignore_errors=True)
    replace_file(
        place / DONE_FILE, as_json({"fold": fold, "seconds_of_last_run": round(time.monotonic() - started, 1)})
    )


def _predictions(
    job: FoldJob, fold: int, answers: Mapping[Group, Sequence[SubjectAnswer]], *, pooled: bool
) -> Predictions:
    """Put answers into a table: a row per slice, or a row per subject as the model itself pools its slices."""
    classes = job.people.classes
    shares = class_shares(job.settings.edges_years, classes)
    rows = [
        row
        for group, own in answers.items()
        for answer in own
        for row in _rows(job, fold, group, answer, shares, pooled=pooled)
    ]
    return Predictions.of(classes, rows)


def _rows(
    job: FoldJob, fold: int, group: Group, answer: SubjectAnswer, shares: FloatArray, *, pooled: bool
) -> Iterator[PredictionRow]:
    """Give the rows of one subject."""
    entry = job.people.entry(group, answer.subject_id)
    logits, numbers = (answer.pooled[None], (NO_SLICE,)) if pooled else (answer.logits, answer.slices)
    for number, probability in zip(numbers, class_probabilities(logits, shares), strict=True):
        yield PredictionRow(
            subject_id=entry.subject_id,
            fold=fold,
            group=group,
            site=entry.site,
            sex=entry.sex,
            chronological_age_years=entry.chronological_age_years,
            probability=tuple(float(value) for value in probability),
            slice_index=number,
        )


def _numbers(slices: Predictions, pooled: Predictions, group: Group) -> dict[str, Any]:
    """Measure one group: over slices, over subjects (mean of slices), and over subjects as the model pools them."""
    by_slice, by_subject = slices.of_group(group), subject_level(slices.of_group(group))
    return {
        "slices": asdict(overall(by_slice)),
        "subjects": asdict(overall(by_subject)),
        "subjects_as_the_model_pools": asdict(overall(pooled.of_group(group))),
        "confusion_of_slices": confusion(by_slice).tolist(),
        "confusion_of_subjects": confusion(by_subject).tolist(),
    }


def _region_dice(job: FoldJob, fold: int, regions: Prepared) -> dict[Group, dict[str, Any]]:
    """Give the voxels that decide the Dice of each plate, of labelled subjects that are tested."""
    tested = {Group.INTERNAL: set(job.split.tested_in(fold)), Group.EXTERNAL: set(regions[Group.EXTERNAL].usable)}
    return {
        group: {
            subject: _per_plate(facts["dice_counts"])
            for subject, facts in prepared.facts.items()
            if subject in tested[group] and "dice_counts" in facts
        }
        for group, prepared in regions.items()
    }


def _unet_dice(job: FoldJob, fold: int, slices: Prepared, segmenter: Path, tell: Tell) -> dict[Group, dict[str, Any]]:
    """Do the same with the U-Net as it is before it is trained end to end."""
    internal, external = slices[Group.INTERNAL], slices[Group.EXTERNAL]
    files = {
        Group.INTERNAL: _labelled(job, internal.files(job.split.tested_in(fold))),
        Group.EXTERNAL: _labelled(job, external.files(external.usable)),
    }
    step = _steps(tell, sum(len(own) for own in files.values()))
    return {
        group: {path.stem: _per_plate(step(plate_dice_counts(segmenter, path))) for path in own}
        for group, own in files.items()
    }


def _per_plate(counts: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, int]]:
    """Take open plate and scar together: the paper labels both as one."""
    per_plate = {}
    for site in PLATE_SITES:
        parts = [counts[label.name.lower()] for label in (site.open_plate, site.scar)]
        per_plate[site.name] = (sum(part[0] for part in parts), sum(part[1] for part in parts))
    return per_plate


def _dice_rows(group: Group, counts: Mapping[str, Mapping[str, tuple[int, int]]]) -> Iterator[dict[str, Any]]:
    """Summarise the Dice of each plate over subjects."""
    for site in PLATE_SITES:
        pairs = [own[site.name] for own in counts.values()]
        values = [both / either for both, either in pairs if either]
        if values:
            yield {
                "group": group.value,
                "plate": site.name.replace("_", " "),
                "subjects": len(values),
                "mean": fmean(values),
                "sd": stdev(values) if len(values) > 1 else 0.0,
            }


def _own_left_out(job: FoldJob, fold: int, group: Group, material: _Material) -> dict[str, str]:
    """List who should have been tested and was not, with the reasons."""
    tested = set(job.split.tested_in(fold))
    out = material.left_out[group]
    return {subject: why for subject, why in out.items() if group is Group.EXTERNAL or subject in tested}


def _curves(place: Path) -> str:
    """Put the logs of the fold's trainings below each other, each thinned to what a picture can show."""
    rows = [
        {"stage": stage, **row}
        for stage in (SEGMENTER, AGE_MODEL, END_TO_END)
        if (place / stage / TRAINING_LOG_FILE).exists()
        for row in thinned(read_metrics(place / stage / TRAINING_LOG_FILE))
    ]
    return csv_text(list(dict.fromkeys(key for row in rows for key in row)), rows)


def thinned(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Average neighbouring rows of a training log, so that training and validation have at most `MOST_ROWS` each.

    Args:
        rows: As a CSV reader gives them; an empty cell was not measured.

    Returns:
        Rows in the order of their steps, which are the last of the rows that were averaged.
    """
    kinds: dict[bool, list[Mapping[str, str]]] = {}
    for row in rows:
        kinds.setdefault(bool(row.get("learning_rate")), []).append(row)
    averaged = [_mean_row(part) for own in kinds.values() for part in _parts(own)]
    return sorted(averaged, key=lambda row: int(row["step"]))


def _parts(rows: Sequence[Mapping[str, str]]) -> Iterator[Sequence[Mapping[str, str]]]:
    """Part rows into at most `MOST_ROWS` runs."""
    length = -(-len(rows) // MOST_ROWS)
    yield from (rows[start : start + length] for start in range(0, len(rows), length))


def _mean_row(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Average the numbers of rows; what none of them has stays out."""
    names = dict.fromkeys(name for row in rows for name, cell in row.items() if cell)
    means = {name: fmean(float(row[name]) for row in rows if row.get(name)) for name in names}
    whole = {name: rows[-1][name] for name in ("step", "epoch") if rows[-1].get(name)}
    return {**{name: f"{mean:.6g}" for name, mean in means.items()}, **whole}


def _config(job: FoldJob, fold: int) -> dict[str, Any]:
    """Say what the fold follows from."""
    return {
        "fold": fold,
        "counter_example": job.settings.leaky,
        "settings": job.settings.as_json(),
        "split_sha256": job.split.sha256,
        "segmenter_bundle_sha256": None if job.bundle is None else job.bundle.sha256,
        "software": {"kneeage": __version__},
    }


def _labelled(job: FoldJob, files: Sequence[Path]) -> list[Path]:
    """Keep the files of labelled subjects; a file is named after its subject."""
    return [path for path in files if path.stem in job.labelled]


def duration(seconds: float) -> str:
    """Write a time."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
