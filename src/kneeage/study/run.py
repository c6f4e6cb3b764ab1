"""A whole study: check everything, prepare every subject once, do the folds, write the documents."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kneeage.cohort.folder import Cohort
from kneeage.cohort.split import Split, make_folds
from kneeage.cohort.split_files import write_split
from kneeage.cohort.table import SubjectEntry
from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.core.workers import Runner, in_turn, on_cluster
from kneeage.io.bundle import Bundle, load_bundle
from kneeage.io.output import replace_file, require_free
from kneeage.learn.finished import TRAINING_FILE
from kneeage.learn.prepared_cohort import PreparedCohort, prepare_cohort
from kneeage.learn.presets import save_config
from kneeage.learn.progress import Counting
from kneeage.learn.records import require_tensorboard
from kneeage.learn.virtual_bundle import proved_seeds
from kneeage.study.audit import (
    Traces,
    audit,
    of_fold_segmenter,
    of_foreign_segmenter,
    require_clean,
)
from kneeage.study.best_reader import READERS, BestReader, as_plain, group_ceilings
from kneeage.study.checking import LABELLED, PIXELS, STUDY, CheckJob
from kneeage.study.collect import finished_predictions, write_documents
from kneeage.study.fold import END_TO_END, FoldJob, Say, duration, run_fold
from kneeage.study.people import Excluded, People, in_classes, read_people
from kneeage.study.predictions import Group
from kneeage.study.results import AuditFinding
from kneeage.study.run_folder import (
    AUDIT_FILE,
    CEILINGS_FILE,
    CONFIG_FILE,
    EXCLUDED_FILE,
    LEAKY_WORDS,
    PLAN_FILE,
    PREPARED_FOLDER,
    READERS_FILE,
    SCHEMA_VERSION,
    SPLIT_FILE,
    SUBJECTS_FILE,
    as_json,
    csv_text,
    fold_folder,
    is_done,
    keep_file,
)
from kneeage.study.settings import StudySettings

# Settings that say where and how fast a training runs, and nothing of what comes of it.
_WHERE = ("workers", "progress_bar", "tensorboard", "accelerator", "devices", "nodes", "strategy")
_CHECKED = "checked"
SUBJECT_COLUMNS = ("subject_id", "group", "fold", "site", "sex", "chronological_age_years", "labelled")
READER_COLUMNS = ("group", "subject_id", *(reader.value for reader in READERS))
_MOST_SAID = 5


@dataclass(frozen=True)
class StudyRequest:
    """What is asked for.

    Args:
        internal: Folder of the cohort that is dealt out to the folds.
        external: Folder of the cohort that every model is tested on; it may be the same.
        output: Folder of the study: new, or one that was begun with the same.
        settings: All settings.
        external_subset: Subjects of ``external`` by the subset of its table.
        segmenter: Bundle whose segmenter finds the plates; None: one is trained inside each fold.
        folds: Folds to do now; None: all.
    """

    internal: Path
    external: Path
    output: Path
    settings: StudySettings
    external_subset: str | None = None
    segmenter: Path | None = None
    folds: tuple[int, ...] | None = None


def run_study(
    request: StudyRequest, run: Runner = in_turn, *, scheduler: str | None = None, say: Say, counting: Counting
) -> Path:
    """Do a study, or go on with it.

    Args:
        request: What is asked for.
        run: Prepares subjects.
        scheduler: Dask scheduler whose workers do the folds side by side; None: here, one after the other.
        say: Told what goes on, a line per stage.
        counting: Shows how far a stage is.

    Returns:
        The page of the study.

    Raises:
        UsageError: An option cannot be, or the folder holds a study that was begun otherwise.
        InputRefusedError: The cohorts cannot carry the study; what is wrong is named.
        OutputError: The folder cannot be written.
    """
    job = begin_study(request, run, say=say, counting=counting)
    _prepare(job, run, say, counting)
    if scheduler is None:
        _do_folds(job, request.folds, run, say, counting)
    else:
        _send_folds(job, request.folds, scheduler, say)
    say("writing the documents")
    _write_ceilings(job)
    return _documents(job.run)


def _documents(run: Path) -> Path:
    """Write the documents; where there is too little to make them from, say that the folds are safe."""
    try:
        return write_documents(run)
    except InputRefusedError as error:
        raise InputRefusedError(
            f"the folds are finished and kept, but they are too little for the documents: {error}; do more folds"
        ) from error


def begin_study(request: StudyRequest, run: Runner, *, say: Say, counting: Counting) -> FoldJob:
    """Check everything that can be checked before anything is trained, and write it down.

    Raises:
        UsageError: An option cannot be, or the folder holds a study that was begun otherwise.
        InputRefusedError: The cohorts cannot carry the study; a folder that was begun for it is taken away again.
    """
    settings, folder = request.settings, Path(request.output).absolute()
    bundle = _bundle(request)
    _require_folds(request.folds, settings.deal.folds)
    for each in (settings.training.segmenter, settings.training.age_model, settings.training.end_to_end):
        require_tensorboard(each.fit)
    people = read_people(request.internal, request.external, request.external_subset)
    in_classes(people, settings.deal.folds, settings.edges_years)
    new = not (folder / PLAN_FILE).exists()
    _write_plan(folder, request, people, bundle)
    if settings.leaky:
        say(f"{LEAKY_WORDS}: slices of one subject fall into several folds; the numbers are worth nothing else")
    try:
        checked = _check(people, folder, settings, run, counting)
        job, findings = _deal(folder, settings, people, bundle, checked)
    except InputRefusedError:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    _write_beginning(folder, job.people, job.split, findings, job.labelled)
    _say_who(job.people, job.labelled, say)
    return job


def _deal(
    folder: Path,
    settings: StudySettings,
    people: People,
    bundle: Bundle | None,
    checked: Mapping[Group, PreparedCohort],
) -> tuple[FoldJob, tuple[AuditFinding, ...]]:
    """Deal the subjects that can be read out to the folds, and audit the deal.

    Raises:
        InputRefusedError: Too few are left, the audit found a leak, or labels are missing.
    """
    refused = [Excluded(group, name, why) for group, each in checked.items() for name, why in each.left_out.items()]
    people = in_classes(people.without(refused), settings.deal.folds, settings.edges_years)
    split = make_folds(people.internal.entries, settings.deal.folds, settings.deal.split_seed)
    traces = _traces(people, split, checked)
    findings = audit(traces, slices_dealt=settings.leaky, segmenter=_segmenter_finding(people, traces, bundle))
    require_clean(findings)
    labelled = _labelled(people, checked)
    _require_labels(labelled, split, needed=bundle is None)
    return FoldJob(folder, settings, people, split, labelled, bundle), tuple(findings)


def _bundle(request: StudyRequest) -> Bundle | None:
    """Load the bundle that finds the plates."""
    if request.segmenter is None:
        return None
    if request.settings.training.model == END_TO_END:
        raise UsageError("a U-Net that is trained end to end begins inside each fold; leave --segmenter out")
    if (request.segmenter / TRAINING_FILE).exists():
        raise UsageError(
            f"{request.segmenter.name!r} is the run of a training; a study takes the segmenter of a bundle, or trains "
            "one inside each fold where --segmenter is left out"
        )
    return load_bundle(request.segmenter)


def _require_folds(chosen: Sequence[int] | None, folds: int) -> None:
    """Refuse folds that there are not."""
    wrong = [fold for fold in chosen or () if not 0 <= fold < folds]
    if wrong:
        raise UsageError(f"the study has the folds 0 to {folds - 1}; found {wrong[0]}")


def _write_plan(folder: Path, request: StudyRequest, people: People, bundle: Bundle | None) -> None:
    """Write what the study follows from, or prove that the one in the folder follows from the same."""
    if not (folder / PLAN_FILE).exists():
        require_free(folder)
    plan = {
        "schema_version": SCHEMA_VERSION,
        "counter_example": request.settings.leaky,
        "settings": _lasting(request.settings.as_json()),
        "internal": _cohort_facts(people.internal),
        "external": {**_cohort_facts(people.external), "subset": request.external_subset},
        "segmenter": None if bundle is None else _bundle_facts(bundle),
    }
    keep_file(folder / PLAN_FILE, as_json(plan), "settings or cohorts")
    (folder / CONFIG_FILE).unlink(missing_ok=True)
    save_config(request.settings, folder / CONFIG_FILE)


def _lasting(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave out what only says where a training runs."""
    return {
        key: _lasting(value) if isinstance(value, dict) else value
        for key, value in settings.items()
        if key not in _WHERE
    }


def _cohort_facts(cohort: Cohort) -> dict[str, Any]:
    """Say which cohort it is; not where it lies."""
    return {"name": cohort.folder.name, "manifest": dict(cohort.manifest)}


def _bundle_facts(bundle: Bundle) -> dict[str, Any]:
    """Say which bundle it is."""
    manifest = bundle.manifest
    return {"name": manifest.name, "version": manifest.version, "sha256": bundle.sha256}


def _check(
    people: People, folder: Path, settings: StudySettings, run: Runner, counting: Counting
) -> dict[Group, PreparedCohort]:
    """Read every subject's files once."""
    place, job = folder / PREPARED_FOLDER / _CHECKED, CheckJob(settings.deal.plane)
    checked = {}
    for group in Group:
        with counting(f"Checking {group.value} subjects") as tell:
            checked[group] = prepare_cohort(people.cohort(group), job, place / group.value, run, tell)
    return checked


def _traces(people: People, split: Split, checked: Mapping[Group, PreparedCohort]) -> list[Traces]:
    """Collect what tells that two subjects are one."""
    return [
        Traces(entry.subject_id, group, _fold(split, group, entry), facts[PIXELS], facts[STUDY])
        for group, entry, facts in _each(people, checked)
    ]


def _each(
    people: People, checked: Mapping[Group, PreparedCohort]
) -> Iterator[tuple[Group, SubjectEntry, Mapping[str, Any]]]:
    """Go through the subjects of both groups with what was found out about them."""
    for group in Group:
        for entry in people.cohort(group).entries:
            yield group, entry, checked[group].facts[entry.subject_id]


def _fold(split: Split, group: Group, entry: SubjectEntry) -> int | None:
    """Say in which fold a subject is tested."""
    return split.places[entry.subject_id].fold if group is Group.INTERNAL else None


def _segmenter_finding(people: People, traces: Sequence[Traces], bundle: Bundle | None) -> AuditFinding:
    """Say whether the segmenter learned from subjects of the study."""
    if bundle is None:
        return of_fold_segmenter()
    virtual = [each for each in traces if people.cohort(each.group).is_virtual]
    seeds = [_seed(people.entry(each.group, each.subject_id)) for each in virtual]
    return of_foreign_segmenter(virtual, seeds, proved_seeds(bundle.manifest))


def _seed(entry: SubjectEntry) -> int | None:
    """Give the seed of a virtual subject, where the table says it."""
    text = entry.extra.get("seed", "")
    return int(text) if text.isdecimal() else None


def _labelled(people: People, checked: Mapping[Group, PreparedCohort]) -> frozenset[str]:
    """Give the subjects that have labels."""
    return frozenset(entry.subject_id for _, entry, facts in _each(people, checked) if facts[LABELLED])


def _require_labels(labelled: frozenset[str], split: Split, *, needed: bool) -> None:
    """Refuse folds in which nobody can teach a segmenter."""
    without = [fold for fold in range(split.folds) if not labelled.intersection(split.learnt_in(fold))]
    if needed and without:
        raise InputRefusedError(
            f"fold {without[0]} has no labelled subject to train a segmenter on ({len(labelled)} of the study's "
            "subjects have labels); label some ('kneeage labels export'), or give a bundle with --segmenter"
        )


def _write_beginning(
    folder: Path, people: People, split: Split, findings: Iterable[AuditFinding], labelled: frozenset[str]
) -> None:
    """Write who is in the study and in which fold, who is not, and what the audit found."""
    rows = [_subject_row(split, group, entry, labelled) for group in Group for entry in people.cohort(group).entries]
    keep_file(folder / SUBJECTS_FILE, csv_text(SUBJECT_COLUMNS, rows), "subjects")
    if not (folder / SPLIT_FILE).exists():
        write_split(folder / SPLIT_FILE, split)
    excluded = [{**asdict(each), "group": each.group.value} for each in people.excluded]
    replace_file(folder / EXCLUDED_FILE, csv_text(("group", "subject_id", "reason"), excluded))
    replace_file(folder / AUDIT_FILE, as_json([asdict(each) for each in findings]))


def _subject_row(split: Split, group: Group, entry: SubjectEntry, labelled: frozenset[str]) -> dict[str, object]:
    """Write one subject."""
    fold = _fold(split, group, entry)
    return {
        "subject_id": entry.subject_id,
        "group": group.value,
        "fold": "" if fold is None else fold,
        "site": entry.site,
        "sex": entry.sex.value,
        "chronological_age_years": repr(entry.chronological_age_years),
        "labelled": int(entry.subject_id in labelled),
    }


def _say_who(people: People, labelled: frozenset[str], say: Say) -> None:
    """Say who is in the study and who is not."""
    own, other = len(people.internal.entries), len(people.external.entries)
    years = f"{people.classes[0]} to {people.classes[-1]}"
    say(f"{own} internal and {other} external subjects of {years} completed years, {len(labelled)} with labels")
    for each in people.excluded[:_MOST_SAID]:
        say(f"left out: {each.subject_id} ({each.group.value}): {each.reason}")
    if len(people.excluded) > _MOST_SAID:
        say(f"{len(people.excluded) - _MOST_SAID} more were left out; {EXCLUDED_FILE} lists all {len(people.excluded)}")


def _prepare(job: FoldJob, run: Runner, say: Say, counting: Counting) -> None:
    """Prepare what all folds read."""
    with counting("Preparing subjects") as tell:
        prepared = job.prepare_once(run, tell)
    out = {group: each.left_out for group, each in prepared.items() if each.left_out}
    for group, reasons in out.items():
        first = next(iter(reasons.items()))
        say(f"{len(reasons)} {group.value} subjects get no prediction, such as {first[0]}: {first[1]}")


def _to_do(job: FoldJob, chosen: Sequence[int] | None, say: Say) -> list[int]:
    """List the folds that are asked for and not finished; say which are."""
    asked = sorted(set(range(job.settings.deal.folds) if chosen is None else chosen))
    done = [fold for fold in asked if is_done(fold_folder(job.run, fold))]
    for fold in done:
        say(f"fold {fold}: finished before")
    return [fold for fold in asked if fold not in done]


def _do_folds(job: FoldJob, chosen: Sequence[int] | None, run: Runner, say: Say, counting: Counting) -> None:
    """Do the folds here, one after the other."""
    folds, started = _to_do(job, chosen, say), time.monotonic()
    for done, fold in enumerate(folds, 1):
        run_fold(job, fold, run, say, counting)
        if done < len(folds):
            left = (time.monotonic() - started) / done * (len(folds) - done)
            say(f"{done} of {len(folds)} folds done, about {duration(left)} left")


def _send_folds(job: FoldJob, chosen: Sequence[int] | None, scheduler: str, say: Say) -> None:
    """Do the folds on a cluster, side by side."""
    folds = _to_do(job, chosen, say)
    for done, _ in enumerate(on_cluster(partial(run_fold, job), folds, scheduler), 1):
        say(f"{done} of {len(folds)} folds finished on the cluster")


def _write_ceilings(job: FoldJob) -> None:
    """Write how well the best readers would do on the subjects that have predictions, where they are virtual."""
    predictions = finished_predictions(job.run, job.settings)
    found = {
        group: group_ceilings(
            job.people.cohort(group), set(predictions.of_group(group).subject_id.tolist()), job.people.classes
        )
        for group in Group
    }
    rows = [{"group": group.value, **as_plain(each.ceiling)} for group, own in found.items() for each in own]
    replace_file(job.run / READERS_FILE, csv_text(READER_COLUMNS, list(_told_rows(found))))
    replace_file(job.run / CEILINGS_FILE, as_json(rows))


def _told_rows(found: Mapping[Group, Sequence[BestReader]]) -> Iterator[dict[str, object]]:
    """List what the best readers call every subject."""
    for group, own in found.items():
        for subject in own[0].told if own else ():
            told = {each.ceiling.reader.value: each.told[subject] for each in own}
            yield {"group": group.value, "subject_id": subject, **told}
