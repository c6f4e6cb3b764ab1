"""A cohort on its way to the trainers: the serving code prepares, labels and cuts every subject once.

A folder holds two files per subject: ``ID.npz``, what the trainers read, and ``ID.json``, what came of the subject,
which is written last. So a broken-off run goes on, and a subject is made anew only when its files, its row or the way
it is made have changed. A subject that cannot be used is left out, and its reason is kept.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kneeage import __version__
from kneeage.cohort.folder import Cohort
from kneeage.cohort.label_maps import read_labels
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Plane, Sex
from kneeage.core.errors import InputRefusedError
from kneeage.core.manifest import AgeStage, SegmentStage
from kneeage.core.volume import Volume
from kneeage.core.workers import Runner
from kneeage.infer.abstain import site_reasons
from kneeage.infer.engine import Engine
from kneeage.infer.facts import drawn_plate_facts, subject_facts
from kneeage.infer.region import SitesSeen, age_regions, find_sites
from kneeage.infer.segment import SEGMENT_INPUTS, label_slices
from kneeage.infer.slices import to_slices
from kneeage.io.bundle import Bundle
from kneeage.io.json_object import read_json_object
from kneeage.learn.data import SubjectRegions, SubjectSlices, save_regions, save_slices
from kneeage.learn.measured import truth_beside_measurement
from kneeage.prepare.recipe import DEFAULT, Prepared, Recipe, load_recipe, prepare

LEFT_OUT_FILE = "left_out.csv"
_SECONDS_BETWEEN_LOOKS = 2.0
_PER_SUBJECT = ("subject_id", "sex", "chronological_age_years", "side", "image", "labels")

Facts = dict[str, Any]
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Task:
    """One subject to be made.

    Args:
        entry: Its row.
        key: Hash of all that its result follows from.
    """

    entry: SubjectEntry
    key: str


class Job(Protocol):
    """What is made of each subject."""

    def identity(self) -> dict[str, Any]:
        """All that its result follows from besides the subject, in plain values."""

    def make(self, cohort: Cohort, entry: SubjectEntry, path: Path) -> Facts:
        """Write what the trainers read; give what is to be known of it, in plain values.

        Raises:
            InputRefusedError: The subject cannot be used.
        """


@dataclass(frozen=True)
class SliceJob:
    """Prepared slices with their labels, for the segmenter and for training end to end.

    Args:
        recipe: How images are prepared.
        plane: Plane of the slices.
        labels_needed: Leave out subjects without labels.
    """

    recipe: Recipe = DEFAULT
    plane: Plane = Plane.CORONAL
    labels_needed: bool = True

    def identity(self) -> dict[str, Any]:
        """All that its result follows from besides the subject."""
        return {
            "slices": True,
            "recipe": self.recipe.model_dump(mode="json"),
            "plane": self.plane.value,
            "labels_needed": self.labels_needed,
        }

    def make(self, cohort: Cohort, entry: SubjectEntry, path: Path) -> Facts:
        """Write the slices.

        Raises:
            InputRefusedError: The subject's image or labels cannot be used.
        """
        prepared, labels = _prepared(cohort, entry, self.recipe, self.plane)
        if labels is None and self.labels_needed:
            raise InputRefusedError("it has no labels; label it, or leave it out of this training")
        images = to_slices(np.asarray(prepared.volume.array, np.float32))[:, 0]  # (S, J, I)
        drawn = None if labels is None else to_slices(labels.array)[:, 0].astype(np.uint8)
        save_slices(path, SubjectSlices(images, drawn, *_known(entry)))
        return {"slices": len(images)}


@dataclass(frozen=True)
class RegionJob:
    """Regions around the plates' sites, for the age model, as serving cuts them.

    Args:
        segmenter: The exported segmenter, an ONNX file.
        segment: Its stage.
        age: Stage of the age model: region shape and number of slices.
        recipe: How images are prepared.
        plane: Plane of the slices.
    """

    segmenter: Path
    segment: SegmentStage
    age: AgeStage
    recipe: Recipe = DEFAULT
    plane: Plane = Plane.CORONAL

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> RegionJob:
        """Cut regions as a bundle does."""
        manifest = bundle.manifest
        return cls(
            bundle.folder / manifest.segment.file,
            manifest.segment,
            manifest.age,
            load_recipe(manifest.recipe),
            manifest.plane,
        )

    def identity(self) -> dict[str, Any]:
        """All that its result follows from besides the subject."""
        return {
            "segmenter_sha256": hashlib.sha256(self.segmenter.read_bytes()).hexdigest(),
            "segment": self.segment.model_dump(mode="json", exclude={"file"}),
            "age": self.age.model_dump(mode="json", include={"region_shape", "max_slices", "min_slices"}),
            "recipe": self.recipe.model_dump(mode="json"),
            "plane": self.plane.value,
        }

    def make(self, cohort: Cohort, entry: SubjectEntry, path: Path) -> Facts:
        """Write the regions; where the subject has labels, put truth beside measurement.

        Raises:
            InputRefusedError: The subject's image cannot be used, or a site was not found in it.
        """
        prepared, truth = _prepared(cohort, entry, self.recipe, self.plane)
        found = label_slices(self.segment, _engine(self.segmenter), prepared.volume)
        sites = find_sites(found.labels)
        reasons = site_reasons(sites, self.age)
        if reasons:
            raise InputRefusedError("; ".join(reason.message for reason in reasons))
        regions = age_regions(prepared.volume, found.plate_probability, sites, self.age)
        save_regions(path, SubjectRegions(regions, *_known(entry), _told(entry, found.labels, sites)))
        beside = {} if truth is None else truth_beside_measurement(truth, found.labels, sites)
        return {"slices": len(regions), **beside}


@dataclass(frozen=True)
class PreparedCohort:
    """What came of the subjects of a cohort.

    Args:
        folder: Folder of their files.
        usable: Subjects that the trainers can read, in the cohort's order.
        left_out: Reason of each subject that they cannot read.
        facts: What is to be known of each usable subject.
    """

    folder: Path
    usable: tuple[str, ...]
    left_out: Mapping[str, str] = field(repr=False)
    facts: Mapping[str, Facts] = field(repr=False)

    def files(self, subjects: Iterable[str]) -> list[Path]:
        """List the files of those of the subjects that are usable."""
        usable = set(self.usable)
        return [_data_file(self.folder, subject) for subject in subjects if subject in usable]


def prepare_cohort(cohort: Cohort, job: Job, folder: Path, run: Runner, tell: Tell) -> PreparedCohort:
    """Make of every subject what the trainers read; what is there already is kept.

    Args:
        cohort: The cohort.
        job: What is made.
        folder: Folder of the files; another kind of job needs another folder.
        run: Does the work on the subjects that are missing.
        tell: Told after every subject how many are done, and how many there are.

    Raises:
        WorkerError: A process died.
        OutputError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keys = _keys(cohort, job)
    tasks = [Task(entry, keys[entry.subject_id]) for entry in cohort.entries]
    missing = [task for task in tasks if not _is_done(folder, task)]
    kept = len(tasks) - len(missing)
    tell(kept, len(tasks))
    make = partial(make_subject, replace(cohort, entries=()), job, folder)
    for done, _ in enumerate(run(make, missing), kept + 1):
        tell(done, len(tasks))
    return _outcome(cohort, folder)


def wait_for_cohort(cohort: Cohort, job: Job, folder: Path) -> PreparedCohort:
    """Wait until another process has prepared every subject."""
    keys = _keys(cohort, job)
    while not all(_is_done(folder, Task(entry, keys[entry.subject_id])) for entry in cohort.entries):
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return _outcome(cohort, folder)


def make_subject(cohort: Cohort, job: Job, folder: Path, task: Task) -> None:
    """Make what the trainers read of one subject, and note what came of it.

    Args:
        cohort: The cohort; its table is not looked into.
        job: What is made.
        folder: Folder of the files.
        task: The subject.
    """
    subject = task.entry.subject_id
    data, note = _data_file(folder, subject), _note_file(folder, subject)
    data.unlink(missing_ok=True)
    outcome: Facts = {"key": task.key}
    try:
        outcome["facts"] = job.make(cohort, task.entry, data)
    except InputRefusedError as error:
        outcome["left_out"] = str(error).removeprefix(f"subject {subject!r}: ")
    temporary = note.with_suffix(".part")
    temporary.write_text(json.dumps(outcome) + "\n", encoding="utf-8")
    temporary.replace(note)


def write_left_out(prepared: Iterable[PreparedCohort], path: Path) -> None:
    """Write a table of the subjects that were left out; one that is there is replaced.

    Args:
        prepared: What came of cohorts.
        path: CSV file with the columns ``subject_id`` and ``reason``.
    """
    buffer = io.StringIO()
    rows = [row for each in prepared for row in each.left_out.items()]
    csv.writer(buffer, lineterminator="\n").writerows([("subject_id", "reason"), *rows])
    temporary = path.with_suffix(".part")
    temporary.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    temporary.replace(path)


def _outcome(cohort: Cohort, folder: Path) -> PreparedCohort:
    """Read what came of the subjects."""
    notes = {entry.subject_id: _read_note(folder, entry.subject_id) for entry in cohort.entries}
    facts = {subject: note["facts"] for subject, note in notes.items() if "facts" in note}
    left_out = {subject: note["left_out"] for subject, note in notes.items() if "left_out" in note}
    return PreparedCohort(folder, tuple(facts), left_out, facts)


def _prepared(cohort: Cohort, entry: SubjectEntry, recipe: Recipe, plane: Plane) -> tuple[Prepared, Volume | None]:
    """Read and prepare a subject; its labels, where it has any, come on the prepared grid."""
    series = cohort.series(entry)
    prepared = prepare(series.volume, recipe, plane=plane, side=series.header.side)
    place = cohort.labels_path(entry)
    labels = None if place is None else read_labels(place, series.volume, entry.subject_id)
    return prepared, None if labels is None else prepared.labels_from_source(labels)


def _known(entry: SubjectEntry) -> tuple[int, float, str]:
    """Give sex (0 female, 1 male), chronological age in years and id of a subject."""
    return int(entry.sex is Sex.MALE), entry.chronological_age_years, entry.subject_id


def _told(entry: SubjectEntry, labels: Volume, sites: SitesSeen) -> dict[str, float]:
    """Give what an age model may be told of a subject beside image and sex; the sequence as the table names it."""
    known = subject_facts(
        entry.sex, height_cm=entry.height_cm, weight_kg=entry.weight_kg, weighting=weighting_of(entry.sequence)
    )
    return {name: value for name, value in (known | drawn_plate_facts(labels, sites)).items() if name != "sex"}


def weighting_of(sequence: str | None) -> str | None:
    """Read T1, PD or T2 at the beginning of a sequence's name; None where it begins otherwise."""
    named = (sequence or "").upper()
    return next((each for each in ("T1", "PD", "T2") if named.startswith(each) and not named.startswith("T2*")), None)


@lru_cache(maxsize=2)
def _engine(segmenter: Path) -> Engine:
    """Load the segmenter once per process; each process keeps to one core."""
    return Engine(segmenter.read_bytes(), name=segmenter.name, inputs=SEGMENT_INPUTS, threads=1)


def _keys(cohort: Cohort, job: Job) -> dict[str, str]:
    """Hash what each subject's result follows from: its row, its files, the job, and this program's version."""
    common = json.dumps([__version__, job.identity()], sort_keys=True)
    return {entry.subject_id: _key(cohort, entry, common) for entry in cohort.entries}


def _key(cohort: Cohort, entry: SubjectEntry, common: str) -> str:
    """Hash what one subject's result follows from; files count by name, size and time of change."""
    row = {name: str(value) for name, value in asdict(entry).items() if name in _PER_SUBJECT}
    places = [cohort.folder / entry.image, cohort.labels_path(entry)]
    files = [_stamp(file) for place in places if place is not None for file in _files(place)]
    return hashlib.sha256(json.dumps([common, row, entry.extra.get("plane"), files]).encode()).hexdigest()


def _files(place: Path) -> list[Path]:
    """List the files of an image or of labels; none where it is not there, which is found out when it is read."""
    return sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]


def _stamp(file: Path) -> tuple[str, int, int]:
    """Tell one state of a file from another."""
    try:
        state = file.stat()
    except OSError:
        return file.name, 0, 0
    return file.name, state.st_size, state.st_mtime_ns


def _is_done(folder: Path, task: Task) -> bool:
    """Say whether a subject was made, or left out, from what it is now."""
    note = _read_note(folder, task.entry.subject_id)
    whole = "left_out" in note or _data_file(folder, task.entry.subject_id).exists()
    return whole and note.get("key") == task.key


def _read_note(folder: Path, subject: str) -> Facts:
    """Read what came of a subject; empty where nothing did yet."""
    return read_json_object(_note_file(folder, subject)) or {}


def _data_file(folder: Path, subject: str) -> Path:
    """Where the trainers find a subject."""
    return folder / f"{subject}.npz"


def _note_file(folder: Path, subject: str) -> Path:
    """Where it is noted what came of a subject."""
    return folder / f"{subject}.json"
