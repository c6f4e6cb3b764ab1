"""The worker of the workstation: takes a run, reads or estimates, keeps the documents, and says so in the register.

Documents are kept before the run is called done. A worker that takes over a run whose documents are there finishes it
from them, so nothing is done twice.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kneeage.core.anatomy import Sex
from kneeage.core.errors import (
    AmbiguousSeriesError,
    BundleError,
    GeometryError,
    InputRefusedError,
    KneeAgeError,
    OutputError,
    UndecodableError,
    UsageError,
)
from kneeage.core.result import Outcome, Result
from kneeage.core.volume import Volume
from kneeage.decide.question import Question
from kneeage.io.nifti import read_values, write_image
from kneeage.io.output import whole_folder
from kneeage.io.ranking import is_tie
from kneeage.io.read import load, survey
from kneeage.io.series import Candidate
from kneeage.pipeline import Examination, Examiner, refused, write_documents
from kneeage.service.audit import Journal
from kneeage.service.case_files import CaseFiles
from kneeage.service.logs import log, log_failure
from kneeage.service.migrate import migrate
from kneeage.service.queue import LeaseLostError
from kneeage.service.register import RunKind, RunState, Trouble
from kneeage.service.run_queue import CancelledError, RunEnd, RunQueue, Task
from kneeage.service.shelf import Shelf
from kneeage.service.tables import open_engine
from kneeage.service.worker import renewed

RESULT, IMAGE, EXPLANATION = "result.json", "image.nii.gz", "explanation.nii.gz"

_CODES: dict[type[KneeAgeError], str] = {
    GeometryError: "geometry",
    UndecodableError: "undecodable",
    AmbiguousSeriesError: "ambiguous_series",
    InputRefusedError: "input_refused",
    UsageError: "invalid",
    BundleError: "bundle",
    OutputError: "output",
}
_HEADER = ("description", "weighting", "fat_suppressed", "field_strength_tesla", "manufacturer", "virtual", "files")
_QUESTION = (
    "height_cm",
    "weight_kg",
    "thresholds",
    "question",
    "legal_basis",
    "consent",
    "claimed_age_years",
    "examiner",
)


@dataclass(frozen=True)
class DeskPlan:
    """What a worker of the workstation is made from; all of it can be pickled.

    Args:
        folder: Folder of the examinations.
        url: URL of the register.
        bundles: Folders of bundles.
        threads: Threads of each network; None: every core.
        lease_seconds: A worker that is not heard of for this long has lost its run.
        poll_seconds: Pause where nothing waits.
    """

    folder: Path
    url: str
    bundles: tuple[Path, ...]
    threads: int | None = None
    lease_seconds: float = 60.0
    poll_seconds: float = 0.1

    def worker(self, name: str) -> Desk:
        """Make a worker in this process."""
        return Desk(name, self)

    def journal(self) -> Journal:
        """Open the register, and bring it to this version's schema."""
        engine = open_engine(self.url)
        migrate(engine)
        return Journal(engine, CaseFiles(self.folder).head)


@dataclass(frozen=True, eq=False)
class Desk:
    """A worker.

    Args:
        name: A name that no other worker has, nor had.
        plan: What it is made from.
    """

    name: str
    plan: DeskPlan
    _examiners: dict[str, Examiner] = field(default_factory=dict)

    @cached_property
    def queue(self) -> RunQueue:
        """The line of runs."""
        return RunQueue(self.plan.journal())

    @cached_property
    def files(self) -> CaseFiles:
        """The files of examinations."""
        return CaseFiles(self.plan.folder)

    @cached_property
    def shelf(self) -> Shelf:
        """The bundles."""
        return Shelf(self.plan.bundles)

    def run(self, is_stopped: Callable[[], bool]) -> None:
        """Work until told to stop."""
        self._examiner(self.shelf.first.id).load_networks()
        while not is_stopped():
            if not (self.queue.waits() and self.work_once()):
                time.sleep(self.plan.poll_seconds)

    def give_back(self) -> None:
        """Put what it holds back in the line."""
        self.queue.give_back(self.name)

    def work_once(self) -> bool:
        """Do the run that has waited longest; say whether there was one."""
        lease = self.plan.lease_seconds
        task = self.queue.claim(self.name, lease)
        if task is None:
            return False
        start = time.monotonic()
        with renewed(lambda: self.queue.renew(task, lease), lease):
            end = self._try(task)
        log(f"{task.kind.value} {end}", examination=task.examination, seconds=round(time.monotonic() - start, 2))
        return True

    def _try(self, task: Task) -> str:
        """Do a run; whatever happens, say in the register what became of it."""
        try:
            end = self._ended(task)
            self.queue.finish(task, end)
        except LeaseLostError:
            return "lost to another worker"
        return end.state.value

    def _ended(self, task: Task) -> RunEnd:
        """Do a run, and turn what goes wrong into an end."""
        try:
            return self._inspect(task) if task.kind is RunKind.INSPECT else self._estimate(task)
        except LeaseLostError:
            raise
        except CancelledError:
            return RunEnd(RunState.CANCELLED)
        except InputRefusedError as error:
            return self._refused(task, error)
        except KneeAgeError as error:
            return RunEnd(RunState.FAILED, reason=trouble(error))
        except Exception as error:  # noqa: BLE001 (one run's failure must not end the worker)
            log_failure("unforeseen failure", error, examination=task.examination)
            words = f"unforeseen failure ({type(error).__name__}); the log has its place"
            return RunEnd(RunState.FAILED, reason=Trouble("unforeseen", words))

    def _inspect(self, task: Task) -> RunEnd:
        """List the series of an examination."""
        self.queue.step(task, "reading", 0.0)
        found = survey(self.files.source(task.examination))
        if not found.candidates:
            words = next(iter(found.unreadable), f"no DICOM or NIfTI series among {found.foreign} files")
            raise InputRefusedError(words)
        series = candidates(list(found.candidates))
        return RunEnd(RunState.DONE, case={"series": series, "notes": list(found.unreadable)[:100]})

    def _estimate(self, task: Task) -> RunEnd:
        """Estimate, unless the documents are there already."""
        place = self._place(task)
        if not place.exists():
            self.queue.step(task, "reading", 0.0)
            series = load(self.files.source(task.examination), task.question.get("series"))
            examination = self._examiner((task.bundle or {}).get("id", "")).examine(
                series,
                question_of(task.question, self.files.folder),
                explain=bool(task.question.get("explain")),
                labels=self._corrected(task, series.volume),
                progress=lambda stage, share: self.queue.step(task, stage, share),
            )
            self.queue.step(task, "writing", 0.9)
            with whole_folder(place) as whole:
                write_all(examination, whole, str(task.question.get("lang", "en")))
        return self._end_of(task, place, RunState.DONE)

    def _refused(self, task: Task, error: InputRefusedError) -> RunEnd:
        """Turn a refusal into an end; a refused run has a result too."""
        if task.kind is RunKind.INSPECT:
            return RunEnd(RunState.REFUSED, reason=trouble(error))
        place = self._place(task)
        with whole_folder(place) as whole:
            result = refused(error, question_of(task.question, self.files.folder))
            (whole / RESULT).write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return self._end_of(task, place, RunState.REFUSED)

    def _end_of(self, task: Task, place: Path, done: RunState) -> RunEnd:
        """Make the end of a run of its documents."""
        content = (place / RESULT).read_bytes()
        result = Result.model_validate_json(content)
        state = RunState.REFUSED if result.outcome is Outcome.REFUSED else done
        reason = next((Trouble(one.code.value, one.message) for one in result.reasons), None)
        pixels = None if result.series is None else result.series.pixel_sha256
        given = self.files.correction(task.examination, task.number or 0)
        facts = {"result_sha256": hashlib.sha256(content).hexdigest(), "pixel_sha256": pixels}
        if given.exists():
            facts["labels_sha256"] = hashlib.sha256(given.read_bytes()).hexdigest()
        files = sorted(path.name for path in place.rglob("*") if path.is_file())
        return RunEnd(state, result.outcome.value, result.estimated_age_years, reason, files, facts=facts)

    def _corrected(self, task: Task, image: Volume) -> Volume | None:
        """Read the labels that a run was given."""
        if task.kind is not RunKind.CORRECTION or task.number is None:
            return None
        values = read_values(self.files.correction(task.examination, task.number))
        return image.with_array(np.asarray(values.array, np.uint8))

    def _place(self, task: Task) -> Path:
        """Folder of the documents of a run."""
        return self.files.results(task.examination, task.number or 0)

    def _examiner(self, wanted: str) -> Examiner:
        """Give a bundle with its networks loaded; only the last one that was used is kept."""
        if wanted not in self._examiners:
            shelved = self.shelf.find(wanted)
            if shelved is None or shelved.bundle is None:
                raise BundleError("the bundle is no longer there, or cannot be used; choose another one")
            self._examiners.clear()
            self._examiners[wanted] = Examiner(shelved.bundle, self.plan.threads)
        return self._examiners[wanted]


def write_all(examination: Examination, folder: Path, lang: str) -> None:
    """Write the documents of an examination, and what the viewer shows.

    DICOM objects are left out where the source or this machine allows none.

    Args:
        examination: What to write about.
        folder: Empty folder.
        lang: Language of the report.
    """
    try:
        write_documents(examination, folder, lang, "binary")
    except (UsageError, InputRefusedError):
        write_documents(examination, folder, lang)
    series = examination.series
    write_image(folder / IMAGE, series.volume, virtual=series.header.virtual)
    if examination.explanation is not None:
        older = examination.explanation.older_years
        write_image(folder / EXPLANATION, older.with_array(np.nan_to_num(older.array)))


def candidates(found: list[Candidate]) -> list[dict[str, Any]]:
    """Describe series for the series picker; free texts of the header but the description are left out."""
    is_open = is_tie(found)
    return [_candidate(one, is_chosen=one.rank == 1 and one.suitable and not is_open) for one in found]


def question_of(asked: dict[str, Any], folder: Path) -> Question:
    """Make the question of a run's JSON.

    Args:
        asked: As the register has it.
        folder: Where a prior that is given as a table is written to; its name is the hash of its content.
    """
    sex = asked.get("sex")
    plain = {name: asked[name] for name in _QUESTION if asked.get(name) is not None}
    return Question(sex=None if sex is None else Sex(sex), prior=_prior(asked, folder), **plain)


def trouble(error: KneeAgeError) -> Trouble:
    """Say what went wrong."""
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "failed")
    return Trouble(code, str(error))


def _candidate(one: Candidate, *, is_chosen: bool) -> dict[str, Any]:
    """Describe one series."""
    header = one.header
    return {
        **{name: getattr(header, name) for name in _HEADER},
        "key": one.key,
        "rank": one.rank,
        "suitable": one.suitable,
        "score": float(one.score),
        "reasons": list(one.reasons),
        "plane": None if header.plane is None else header.plane.value,
        "side": header.side.value,
        "shape": [int(count) for count in header.shape],
        "spacing_mm": [float(step) for step in header.spacing_mm],
        "source_format": header.source_format,
        "chosen": is_chosen,
    }


def _prior(asked: dict[str, Any], folder: Path) -> str | None:
    """Give the prior as a question takes it; a table is written to a file first."""
    table = asked.get("prior_table")
    if not table:
        return asked.get("prior")
    lines = ["age_years,weight", *(f"{row['age_years']!r},{row['weight']!r}" for row in table)]
    content = "\n".join(lines) + "\n"
    path = folder / f"prior-{hashlib.sha256(content.encode()).hexdigest()[:16]}.csv"
    path.write_text(content, encoding="ascii")
    return str(path)
