"""The worker of the workstation: takes a run, reads or estimates, keeps what comes of it, and says so in the register.

An answer is kept before its run is called done, and its documents before they are called made. A worker that takes over
work whose files are there finishes it from them, so nothing is done twice. Documents are made of the examination that
gave the answer where the same worker makes them; another one examines again, and keeps the result that was published.
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
from kneeage.core.errors import BundleError, InputRefusedError, KneeAgeError, OutputError
from kneeage.core.result import RESULT_FILE, Outcome
from kneeage.core.volume import Volume
from kneeage.decide.prior import Prior, table_prior, table_sha256
from kneeage.decide.question import Question
from kneeage.io.nifti import read_values
from kneeage.io.output import whole_folder
from kneeage.io.ranking import is_tie
from kneeage.io.read import load, survey
from kneeage.io.series import Candidate
from kneeage.io.wanted import T1_KNEE, Wanted
from kneeage.pipeline import Examination, Examiner, Progress, refused
from kneeage.service.answers import digests, told
from kneeage.service.audit import Journal
from kneeage.service.case_files import CaseFiles
from kneeage.service.cases import CHOSEN_BUNDLE, CaseState, RunKind, RunState
from kneeage.service.documents import published, write_answer, write_papers, write_result
from kneeage.service.lease import LeaseLostError, renewed
from kneeage.service.logs import log, log_failure
from kneeage.service.migrate import open_journal
from kneeage.service.register import Register
from kneeage.service.run_queue import CancelledError, RunEnd, RunQueue, Task
from kneeage.service.shelf import Shelf
from kneeage.service.troubles import Trouble, trouble, unforeseen

# Series of an examination that may be chosen from: a knee study has about ten. Our own choice.
MOST_CANDIDATES = 200
_MOST_NOTES = 100
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
        return open_journal(self.url, CaseFiles(self.folder).head)


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
    _answered: dict[tuple[str, int], Examination] = field(default_factory=dict)

    @cached_property
    def journal(self) -> Journal:
        """The register's changes."""
        return self.plan.journal()

    @cached_property
    def queue(self) -> RunQueue:
        """The line of runs."""
        return RunQueue(self.journal)

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
        self.warm_up()
        while not is_stopped():
            if not (self.queue.waits() and self.work_once()):
                time.sleep(self.plan.poll_seconds)

    def warm_up(self) -> None:
        """Load the networks that will most likely be asked for, so that no request waits for them."""
        chosen = self.shelf.usable(Register(self.journal).setting(CHOSEN_BUNDLE))
        self._examiner(chosen.id).load_networks()

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
            self._clear_up(task)
            return "lost to another worker"
        return end.state.value

    def _ended(self, task: Task) -> RunEnd:
        """Do a run, and turn what goes wrong into an end."""
        try:
            return self._work(task)
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
            return RunEnd(RunState.FAILED, reason=unforeseen(error))

    def _work(self, task: Task) -> RunEnd:
        """Do what a run is for."""
        if task.kind is RunKind.INSPECT:
            return self._inspect(task)
        return self._write_papers(task) if task.kind is RunKind.DOCUMENTS else self._estimate(task)

    def _inspect(self, task: Task) -> RunEnd:
        """List the series of an examination, ranked for a bundle."""
        self.queue.step(task, "reading", 0.0)
        found = survey(self.files.source(task.examination), self._wanted(task))
        if not found.candidates:
            words = next(iter(found.unreadable), f"no DICOM or NIfTI series among {found.foreign} files")
            raise InputRefusedError(words)
        series, notes = candidates(list(found.candidates)), list(found.unreadable)[:_MOST_NOTES]
        if len(found.candidates) > len(series):
            notes.insert(0, f"{len(found.candidates) - len(series)} more series, ranked after these, are not listed")
        return RunEnd(RunState.DONE, case={"series": series, "notes": notes})

    def _wanted(self, task: Task) -> Wanted:
        """Say what the bundle of an inspection covers; where it is gone, the first one that can be used."""
        bundle = self.shelf.usable(_bundle_of(task)).bundle
        return T1_KNEE if bundle is None else Wanted.by(bundle.manifest)

    def _estimate(self, task: Task) -> RunEnd:
        """Estimate, unless the answer is there already."""
        place, number = self._place(task), task.number or 0
        if not place.exists():
            self.queue.step(task, "reading", 0.0)
            examination = self._examine(task, number, lambda stage, share: self.queue.step(task, stage, share))
            with whole_folder(place) as whole:
                write_answer(examination, whole)
            self._answered.clear()
            self._answered[task.examination, number] = examination
        return self._end_of(task, place, RunState.DONE)

    def _write_papers(self, task: Task) -> RunEnd:
        """Make the documents of an answer, unless they are there already."""
        number, missing = task.base or 0, None
        place = self.files.documents(task.examination, number)
        if not place.exists():
            examination = self._explained(task, self._remembered(task, number))
            self.queue.step(task, "writing", 0.5)
            with whole_folder(place) as whole:
                missing = write_papers(examination, whole, str(task.question.get("lang", "en")))
        made = digests(place)
        reason = None if missing is None else Trouble("partly", missing)
        return RunEnd(RunState.DONE, reason=reason, files=list(made), facts={"sha256": made})

    def _remembered(self, task: Task, number: int) -> Examination:
        """Give the examination whose answer was published; it is examined again where another worker gave it."""
        found = self._answered.pop((task.examination, number), None)
        if found is not None:
            return found
        self.queue.step(task, "reading", 0.0)
        again = self._examine(task, number, lambda _stage, _share: self.queue.step(task, "reading", 0.1))
        return published(again, self.files.results(task.examination, number))

    def _explained(self, task: Task, examination: Examination) -> Examination:
        """Find out where the age came from, where that is asked for."""
        if not task.question.get("explain"):
            return examination
        self.queue.step(task, "explaining", 0.2)
        return self._examiner(_bundle_of(task)).explained(examination)

    def _examine(self, task: Task, number: int, progress: Progress) -> Examination:
        """Read and answer."""
        examiner = self._examiner(_bundle_of(task))
        series = load(self.files.source(task.examination), task.question.get("series"), examiner.wanted)
        return examiner.examine(
            series,
            question_of(task.question),
            labels=self._corrected(task, number, series.volume),
            progress=progress,
        )

    def _refused(self, task: Task, error: InputRefusedError) -> RunEnd:
        """Turn a refusal into an end; a refused run has a result too."""
        if task.kind is RunKind.INSPECT:
            return RunEnd(RunState.REFUSED, reason=trouble(error))
        if task.kind is RunKind.DOCUMENTS:
            return RunEnd(RunState.FAILED, reason=trouble(error))
        place = self._place(task)
        with whole_folder(place) as whole:
            write_result(refused(error, question_of(task.question)), whole)
        return self._end_of(task, place, RunState.REFUSED)

    def _end_of(self, task: Task, place: Path, done: RunState) -> RunEnd:
        """Make the end of a run of its answer."""
        answer = told(place)
        state = RunState.REFUSED if answer.outcome == Outcome.REFUSED.value else done
        given = self._given(task, task.number or 0)
        facts = {"result_sha256": answer.files[RESULT_FILE], "pixel_sha256": answer.pixel_sha256}
        if given is not None and given.exists():
            facts["labels_sha256"] = hashlib.sha256(given.read_bytes()).hexdigest()
        age, files = answer.estimated_age_years, list(answer.files)
        return RunEnd(state, answer.outcome, age, answer.reason, files, facts=facts)

    def _corrected(self, task: Task, number: int, image: Volume) -> Volume | None:
        """Read the labels that a run was given; None where it was given none.

        Raises:
            OutputError: They are gone.
        """
        given = self._given(task, number)
        if given is None:
            return None
        if not given.exists():
            raise OutputError("the corrected labels are no longer in the folder of the server; correct them again")
        return image.with_array(np.asarray(read_values(given).array, np.uint8))

    def _given(self, task: Task, number: int) -> Path | None:
        """Find the labels of a correction.

        The register says whether the run is one: labels may lie there because an order was broken off before it was
        committed, and its number went to another run.
        """
        kind = Register(self.journal).case(task.examination).run(number).kind
        return self.files.correction(task.examination, number) if kind is RunKind.CORRECTION else None

    def _clear_up(self, task: Task) -> None:
        """Remove what was written after the examination had been purged, once its lease had ended."""
        if Register(self.journal).case(task.examination).state is CaseState.PURGED:
            self.files.remove(task.examination)

    def _place(self, task: Task) -> Path:
        """Folder of the answer of a run."""
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


def candidates(found: list[Candidate]) -> list[dict[str, Any]]:
    """Describe the first series for the series picker; free texts of the header but the description are left out."""
    is_open, listed = is_tie(found), found[:MOST_CANDIDATES]
    return [_candidate(one, is_chosen=one.rank == 1 and one.suitable and not is_open) for one in listed]


def question_of(asked: dict[str, Any]) -> Question:
    """Make the question of a run's JSON, as the register has it."""
    sex = asked.get("sex")
    plain = {name: asked[name] for name in _QUESTION if asked.get(name) is not None}
    return Question(sex=None if sex is None else Sex(sex), prior=_prior(asked), **plain)


def _bundle_of(task: Task) -> str:
    """Give the identifier of the bundle that answers."""
    return str((task.bundle or {}).get("id", ""))


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


def _prior(asked: dict[str, Any]) -> str | Prior | None:
    """Give the prior as a question takes it; a table is called by the hash of what it holds."""
    table = asked.get("prior_table")
    if not table:
        return asked.get("prior")
    rows = [(row["age_years"], row["weight"]) for row in table]
    return table_prior(f"prior-{table_sha256(rows)[:16]}", [age for age, _ in rows], [weight for _, weight in rows])
