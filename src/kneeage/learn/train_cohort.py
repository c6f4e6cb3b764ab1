"""A segmenter or an age model from a cohort's folder: split, preparation, training; what is there already is kept.

```
RUN/  training.json (what is learnt from what)  split.csv, split.json  left_out.csv  prepared/ (cache)
      settings.json  metrics.csv  curves.png  last.ckpt  best.ckpt  finished.json
```
Of several processes that train together, the first prepares, and the others wait for it. It also keeps other runs
away from the folder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kneeage import __version__
from kneeage.cohort.folder import Cohort
from kneeage.cohort.split import Group, Split, make_eight_to_two, require_same_subjects
from kneeage.cohort.split_files import read_split, write_split
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Plane
from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.core.workers import Runner
from kneeage.io.bundle import MANIFEST_FILE, load_bundle
from kneeage.io.lock import only_run
from kneeage.io.output import require_free, whole_file
from kneeage.learn.age_model import train_age_model
from kneeage.learn.data import LabelledSlices
from kneeage.learn.end_to_end import train_end_to_end
from kneeage.learn.export import export_segmenter
from kneeage.learn.finished import (
    FINISHED_FILE,
    SPLIT_FILE,
    TRAINING_FILE,
    checkpoint_steps,
    note_finished,
    sha256_of,
)
from kneeage.learn.fit import BEST_CHECKPOINT
from kneeage.learn.prepared_cohort import (
    LEFT_OUT_FILE,
    Job,
    PreparedCohort,
    RegionJob,
    SliceJob,
    Tell,
    prepare_cohort,
    wait_for_cohort,
    write_left_out,
)
from kneeage.learn.processes import is_first_process, require_processes
from kneeage.learn.records import require_tensorboard
from kneeage.learn.segmenter import load_segmenter, train_segmenter
from kneeage.learn.settings import AgeModelSettings, EndToEndSettings, SegmenterSettings
from kneeage.learn.stages import SEGMENTER_FILE, age_stage, segment_stage

PREPARED_FOLDER = "prepared"
_SECONDS_BETWEEN_LOOKS = 1.0
_RUN = "a finished run of 'kneeage train segmenter'"

AnySettings = SegmenterSettings | AgeModelSettings | EndToEndSettings


@dataclass(frozen=True)
class CohortTraining:
    """What is learnt from what, and where.

    Args:
        cohort: The cohort.
        run: Folder of the run; one that was broken off goes on.
        settings: What is trained: their type says it.
        segmenter: A bundle, or the run of a segmenter; needed by the models that estimate age.
        split: File of a split; None: 8:2, drawn by the seed of the settings.
    """

    cohort: Cohort
    run: Path
    settings: AnySettings
    segmenter: Path | None = None
    split: Path | None = None


@dataclass(frozen=True)
class Material:
    """What a training reads.

    Args:
        prepared: What came of the subjects.
        training: Files of those to learn from.
        validation: Files of those that choose the checkpoint.
        preparation: How it was prepared, in plain values; see `Job.identity`.
    """

    prepared: PreparedCohort
    training: list[Path]
    validation: list[Path]
    preparation: Mapping[str, Any] = field(default_factory=dict, repr=False)


@contextmanager
def own_run(training: CohortTraining) -> Iterator[Split]:
    """Begin a run, or go on with it; no other run has its folder while the block lasts.

    Args:
        training: What is learnt from what.

    Yields:
        Who learns and who validates.

    Raises:
        UsageError: The settings do not fit the processes or what is installed, no segmenter was given, or the folder
            holds another run.
        InputRefusedError: The split does not fit the cohort.
        OutputError: The folder cannot be written, or another run has it.
    """
    require_processes(training.settings.fit)
    require_tensorboard(training.settings.fit)
    _require_segmenter(training)
    split = _begin(training)
    if not is_first_process():
        yield split
        return
    with only_run(training.run / TRAINING_FILE, "a training"):
        yield split


def prepare_material(training: CohortTraining, split: Split, runner: Runner, tell: Tell) -> Material:
    """Prepare what the trainers read, in a run of one's own.

    Args:
        training: What is learnt from what.
        split: Who learns and who validates, of `own_run`.
        runner: Prepares subjects; see `prepare_cohort`.
        tell: Told how many subjects are prepared.

    Raises:
        InputRefusedError: No subject of a group can be used.
        OutputError: The folder cannot be written.
    """
    wanted = {*split.members(Group.TRAINING), *split.members(Group.VALIDATION)}
    entries = tuple(entry for entry in training.cohort.entries if entry.subject_id in wanted)
    cohort, folder = replace(training.cohort, entries=entries), training.run / PREPARED_FOLDER
    job = _job(training)
    if is_first_process():
        prepared = prepare_cohort(cohort, job, folder, runner, tell)
        write_left_out([prepared], training.run / LEFT_OUT_FILE)
    else:
        prepared = wait_for_cohort(cohort, job, folder)
    files = {group: prepared.files(split.members(group)) for group in (Group.TRAINING, Group.VALIDATION)}
    for group, found in files.items():
        if not found:
            raise InputRefusedError(
                f"no subject of the group {group.value} can be used; {training.run / LEFT_OUT_FILE} says why of each"
            )
    return Material(prepared, files[Group.TRAINING], files[Group.VALIDATION], job.identity())


def train(training: CohortTraining, material: Material) -> Path:
    """Train on what was prepared, or go on; that the training came to its end is written down last.

    Returns:
        The best checkpoint.

    Raises:
        UsageError: The folder holds a run with other settings.
        OutputError: A file cannot be written.
    """
    if is_first_process():
        (training.run / FINISHED_FILE).unlink(missing_ok=True)
    checkpoint = _trained(training, material)
    if is_first_process():
        note_finished(training.run, checkpoint, material.preparation, checkpoint_steps(checkpoint))
    return checkpoint


def _trained(training: CohortTraining, material: Material) -> Path:
    """Train, or go on; give the best checkpoint."""
    settings, run = training.settings, training.run
    match settings:
        case SegmenterSettings():
            sources = LabelledSlices(material.training), LabelledSlices(material.validation)
            return train_segmenter(*sources, settings, run)
        case AgeModelSettings():
            return train_age_model(material.training, material.validation, settings, run)
        case EndToEndSettings():
            before = _checkpoint(training)
            return train_end_to_end(material.training, material.validation, before, settings, run)


def region_job(segmenter: Path, plane: Plane, exported: Path) -> RegionJob:
    """Cut regions with a trained segmenter.

    Args:
        segmenter: A bundle, or the run of a segmenter.
        plane: Plane of the slices, where the segmenter is none of a bundle.
        exported: Where the network of a run is exported to, if it is not there.

    Raises:
        BundleError: The bundle is not whole.
    """
    if (segmenter / MANIFEST_FILE).exists():
        return RegionJob.of_bundle(load_bundle(segmenter))
    checkpoint = segmenter / BEST_CHECKPOINT
    if is_first_process() and not exported.exists():
        with whole_file(exported) as temporary:
            # Not as float16, so that it can be proved later that it answers as the checkpoint does.
            temporary.write_bytes(export_segmenter(checkpoint, "float32"))
    _wait_for(exported)
    levels = len(load_segmenter(checkpoint).settings.widths)
    return RegionJob(exported, segment_stage(2 ** (levels - 1)), age_stage(), plane=plane)


def plane_of_cohort(entries: Iterable[SubjectEntry]) -> Plane:
    """Give the plane that the table states; coronal where it states none.

    Raises:
        InputRefusedError: The table states several.
    """
    planes = {entry.extra["plane"].casefold() for entry in entries if entry.extra.get("plane")}
    if len(planes) > 1:
        raise InputRefusedError(f"the table states the planes {', '.join(sorted(planes))}; train on one of them")
    return Plane(planes.pop()) if planes else Plane.CORONAL


def _job(training: CohortTraining) -> Job:
    """Say what is made of each subject."""
    plane = plane_of_cohort(training.cohort.entries)
    if not isinstance(training.settings, AgeModelSettings):
        return SliceJob(plane=plane)
    if training.segmenter is None:
        raise UsageError("the age model needs --segmenter")
    return region_job(training.segmenter, plane, training.run / SEGMENTER_FILE)


def _require_segmenter(training: CohortTraining) -> None:
    """Check, before anything is written, that the segmenter is what the network needs."""
    if isinstance(training.settings, EndToEndSettings):
        _checkpoint(training)
    elif isinstance(training.settings, AgeModelSettings):
        _folder_with(
            (MANIFEST_FILE, BEST_CHECKPOINT), training, f"the age model needs --segmenter: a bundle, or {_RUN}"
        )


def _checkpoint(training: CohortTraining) -> Path:
    """Give the checkpoint of the U-Net that is trained further."""
    folder = _folder_with((BEST_CHECKPOINT,), training, f"training end to end needs --segmenter: {_RUN}")
    return folder / BEST_CHECKPOINT


def _folder_with(names: Sequence[str], training: CohortTraining, needed: str) -> Path:
    """Give the segmenter's folder, which must hold one of these files; else say what is needed and what was found."""
    place = training.segmenter
    if place is None:
        raise UsageError(f"{needed}; none was given")
    if not any((place / name).exists() for name in names):
        raise UsageError(f"{needed}; {str(place)!r} {'is no such folder' if place.exists() else 'is not there'}")
    return place


def _begin(training: CohortTraining) -> Split:
    """Write down what is learnt from what, or prove that the folder's run is the same."""
    facts, place = _facts(training), training.run / TRAINING_FILE
    if is_first_process() and not place.exists():
        split = _given_split(training)
        require_free(training.run)
        write_split(training.run / SPLIT_FILE, split)
        with whole_file(place) as temporary:
            temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    _wait_for(place)
    begun = json.loads(place.read_text(encoding="utf-8"))
    different = [name for name in facts if name != "kneeage" and begun.get(name) != facts[name]]
    if different:
        raise UsageError(
            f"{str(training.run)!r} holds a run with another {different[0].replace('_', ' ')}; "
            "choose another folder, or go on with the same"
        )
    kept = read_split(training.run / SPLIT_FILE)
    require_same_subjects(kept, training.cohort.entries)
    return kept


def _given_split(training: CohortTraining) -> Split:
    """Read the split that is given, or make one."""
    entries = training.cohort.entries
    if training.split is None:
        return make_eight_to_two(entries, training.settings.fit.seed)
    split = read_split(training.split)
    require_same_subjects(split, entries)
    if not split.members(Group.VALIDATION):
        raise InputRefusedError(f"{training.split.name!r} has no validation group; make an 8:2 split, not folds")
    return split


def _facts(training: CohortTraining) -> dict[str, Any]:
    """Say in plain values what a run is; two runs of the same facts can go on from each other."""
    segmenter = training.segmenter
    return {
        "kneeage": __version__,
        "network": type(training.settings).__name__.removesuffix("Settings"),
        "population": training.cohort.population,
        "subjects": len(training.cohort.entries),
        "split": None if training.split is None else read_split(training.split).sha256,
        "segmenter": None if segmenter is None else segmenter.name,
        "segmenter_sha256": None if segmenter is None else segmenter_sha256(segmenter),
    }


def segmenter_sha256(segmenter: Path) -> str:
    """Hash the network of a segmenter: the ONNX file of a bundle, or the best checkpoint of a run.

    Raises:
        BundleError: The bundle is not whole.
    """
    if (segmenter / MANIFEST_FILE).exists():
        bundle = load_bundle(segmenter)
        return sha256_of(bundle.folder / bundle.manifest.segment.file)
    return sha256_of(segmenter / BEST_CHECKPOINT)


def _wait_for(place: Path) -> None:
    """Wait until the first process has written a file; the first never waits."""
    while not place.exists():
        time.sleep(_SECONDS_BETWEEN_LOOKS)
