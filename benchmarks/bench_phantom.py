"""Measure the virtual cohort: one subject on one core, stage by stage, and a sample of a cohort on two.

Run it with ``make bench-phantom``; it writes ``benchmarks/results/phantom.md``.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import scipy

import kneeage
from kneeage.core.anatomy import Sex, Side
from kneeage.core.machine import available_cores
from kneeage.core.workers import on_cores
from kneeage.phantom.anatomy import knee as anatomy
from kneeage.phantom.anatomy.lattice import Lattice
from kneeage.phantom.cohort import subject as cohort
from kneeage.phantom.cohort.make import CohortRecipe, make_cohort, make_member
from kneeage.phantom.cohort.presets import PRESETS, Member, roster
from kneeage.phantom.cohort.subject import CORONAL_T1, HOSPITAL_A, plan_series, virtual_subject
from kneeage.phantom.cohort.write import FileFormat, write_subject

REPORT = Path(__file__).parent / "results" / "phantom.md"
# Source: the budgets of docs/architecture.md; the cohort's is that of the whole preset on two cores.
SUBJECT_BUDGET_SECONDS, COHORT_BUDGET_MINUTES = 2.0, 30.0
PIXELS, SLICES = 320, 24
AGE_YEARS = 14.5
STAGES = ("fields", "paint", "render", "write", "rest")
# The reference: so many float32 multiply-adds of two images of one slice, what the generator mostly does.
REFERENCE_OPERATIONS = 1000


@dataclass(frozen=True)
class SubjectTimes:
    """Seconds that one subject took: on the clock, of the processor, and of the processor by stage."""

    wall: float
    processor: float
    stages: dict[str, float]


@dataclass(frozen=True)
class Sample:
    """A part of a preset that was made: how many subjects, in how many seconds, by how many processes.

    ``megapixels`` are those of one subject of the sample, ``megapixels_of_all`` those of one of the whole preset.
    """

    subjects: int
    seconds: float
    workers: int
    megapixels: float
    megapixels_of_all: float

    @property
    def seconds_per_subject(self) -> float:
        """Seconds from one finished subject to the next."""
        return self.seconds / self.subjects


class Stopwatch:
    """Processor seconds by stage; the time of a stage inside another one counts for the inner one alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give the function with its time noted under a stage."""

        def run(*arguments: Any, **options: Any) -> Any:
            self._inner.append(0.0)
            start = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                passed = time.process_time() - start
                self.seconds[stage] += passed - self._inner.pop()
                self._inner[-1] += passed

        return run


def main() -> None:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="repeats of one subject (default: 7)")
    parser.add_argument("--subjects", type=int, default=40, help="subjects of the mix and the sample (default: 40)")
    parser.add_argument("--workers", type=int, default=2, help="processes of the sample (default: 2)")
    parser.add_argument("--output", type=Path, default=REPORT, help="Markdown file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        times, mix, reference = _measured_apart(Path(scratch), options.runs, options.subjects)
        sample = _make_sample(Path(scratch), options.subjects, options.workers)
    text = report(times, mix, reference, sample)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def report(times: list[SubjectTimes], mix: list[float], reference: float, sample: Sample) -> str:
    """Lay the measurements out as Markdown.

    Args:
        times: One subject, again and again.
        mix: Processor seconds of subjects as the hospitals' protocols give them, measured in the same process.
        reference: Seconds of the reference, measured in the same process.
        sample: The part of a preset.
    """
    return "\n".join([*_heading(len(times)), *_subject_table(times, mix, reference), *_sample_words(sample), ""])


def reference_seconds(repeats: int = 5) -> float:
    """Time the reference, the best of some repeats."""
    first, second = np.random.default_rng(0).random((2, PIXELS, PIXELS), dtype=np.float32)
    return min(_seconds(partial(_multiply_add, first, second)) for _ in range(repeats))


def subject_times(folder: Path) -> SubjectTimes:
    """Make and write one subject, and time it.

    Args:
        folder: A folder to write into; it is made.
    """
    folder.mkdir()
    watch = Stopwatch()
    start, processor = time.perf_counter(), time.process_time()
    with _watched(watch):
        subject = virtual_subject(
            1, chronological_age_years=AGE_YEARS, sex=Sex.MALE, side=Side.LEFT, hospital=_full_size()
        )
        watch.timed("write", write_subject)(folder, subject, FileFormat.DICOM)
    wall, processor = time.perf_counter() - start, time.process_time() - processor
    watch.seconds["rest"] = processor - sum(watch.seconds.values())
    return SubjectTimes(wall, processor, dict(watch.seconds))


def _full_size() -> cohort.Hospital:
    """Hospital A with every series at the size of the budget."""
    return replace(HOSPITAL_A, coronal=replace(HOSPITAL_A.coronal, pixels=(PIXELS,), slices=(SLICES, SLICES)))


@contextmanager
def _watched(watch: Stopwatch) -> Iterator[None]:
    """Time the stages of making a subject."""

    class TimedLattice(Lattice):
        at_pixels = watch.timed("fields", Lattice.at_pixels)

    with ExitStack() as stack:
        for target, name, stage in (
            (anatomy.Knee, "_fields", "fields"),
            (anatomy.Knee, "slab", "paint"),
            (cohort, "render", "render"),
        ):
            stack.enter_context(patch.object(target, name, watch.timed(stage, getattr(target, name))))
        stack.enter_context(patch.object(anatomy, "Lattice", TimedLattice))
        yield


def _measured_apart(scratch: Path, runs: int, subjects: int) -> tuple[list[SubjectTimes], list[float], float]:
    """Measure one subject, and the mix, in a process of its own that keeps to one thread."""
    noted = scratch / "times.json"
    list(on_cores(partial(_note_times, noted, scratch, subjects), [runs], 1))
    found = json.loads(noted.read_bytes())
    return [SubjectTimes(**times) for times in found["times"]], found["mix"], found["reference"]


def _note_times(noted: Path, scratch: Path, subjects: int, runs: int) -> None:
    """Time a subject again and again, after once that does not count, then the mix, and note it."""
    times = [subject_times(scratch / f"subject-{number}") for number in range(runs + 1)][1:]
    recipe = _recipe(subjects)
    mix = [_processor_seconds(partial(make_member, scratch / "mix", recipe, member)) for member in _members(recipe)]
    found = {"reference": reference_seconds(), "times": [vars(one) for one in times], "mix": mix}
    noted.write_text(json.dumps(found), encoding="utf-8")


def _recipe(subjects: int) -> CohortRecipe:
    """A part of ``table1``."""
    return CohortRecipe(PRESETS["table1"], subjects, seed=1)


def _members(recipe: CohortRecipe) -> list[Member]:
    """Who is in a cohort."""
    return roster(recipe.preset, recipe.subjects, recipe.seed)


def _make_sample(scratch: Path, subjects: int, workers: int) -> Sample:
    """Make a part of ``table1`` as the command line does."""
    recipe, whole = _recipe(subjects), _recipe(PRESETS["table1"].subjects)
    run = partial(on_cores, workers=workers)
    seconds = _seconds(lambda: make_cohort(scratch / "sample", recipe, run, lambda *_: None))
    return Sample(subjects, seconds, workers, _megapixels(_members(recipe)), _megapixels(_members(whole)))


def _megapixels(members: list[Member]) -> float:
    """Millions of pixels that a subject's series has, on the mean."""
    plans = [plan_series(member.seed, member.stratum.hospital, CORONAL_T1) for member in members]
    return float(np.mean([plan.slices * plan.pixels**2 for plan in plans])) / 1e6


def _heading(runs: int) -> list[str]:
    """Say what was measured, where and how."""
    return [
        "# Virtual cohort",
        "",
        f"`make bench-phantom`: medians of {runs} runs of one subject of {SLICES} slices of {PIXELS} x {PIXELS} "
        f"(coronal T1, hospital A, {AGE_YEARS} years) with labels, written as DICOM, one process, one thread.",
        f"kneeage {kneeage.__version__}, Python {platform.python_version()}, numpy {np.__version__}, "
        f"scipy {scipy.__version__}, {platform.machine()}, {available_cores()} cores.",
        "",
    ]


def _subject_table(times: list[SubjectTimes], mix: list[float], reference: float) -> list[str]:
    """Lay out one subject's time, and that of the mix beside it."""
    wall, processor = (median(getattr(one, kind) for one in times) for kind in ("wall", "processor"))
    stages = {stage: median(one.stages.get(stage, 0.0) for one in times) for stage in STAGES}
    return [
        "| what | seconds | at most |",
        "|---|---|---|",
        f"| one subject, made and written | {wall:.2f} | {SUBJECT_BUDGET_SECONDS:g} |",
        f"| processor time of it | {processor:.2f} | |",
        *(f"| – {stage} | {seconds:.2f} | |" for stage, seconds in stages.items()),
        f"| mean of {len(mix)} subjects of `table1`, processor time | {np.mean(mix):.2f} | |",
        f"| reference | {reference:.3f} | |",
        "",
        f"As the hospitals' protocols give them, subjects of `table1` cost {np.mean(mix) / processor:.2f} times as "
        f"much as the one of {PIXELS} x {PIXELS}, in the same process ({min(mix):.2f} to {max(mix):.2f} s).",
        "",
        f"The reference is {REFERENCE_OPERATIONS} float32 multiply-adds of two {PIXELS} x {PIXELS} images in numpy, "
        f"in the same process: a subject costs {processor / reference:.0f} of them. `fields`: smooth fields on the "
        "lattice and their way to the pixels; `paint`: tissue, plates, labels and texture; `render`: the scanner.",
        "",
    ]


def _sample_words(sample: Sample) -> list[str]:
    """Say how fast a cohort is made."""
    whole = PRESETS["table1"].subjects
    minutes = whole * sample.seconds_per_subject / 60
    return [
        f"{sample.subjects} subjects of `table1` on {sample.workers} processes took {sample.seconds:.0f} s, start "
        f"included: {sample.seconds_per_subject:.2f} s per subject, so that all {whole:,} take {minutes:.0f} minutes "
        f"(at most {COHORT_BUDGET_MINUTES:g}). A series of the sample has {sample.megapixels:.2f} million pixels, one "
        f"of all {whole:,} has {sample.megapixels_of_all:.2f}, and the one above {SLICES * PIXELS**2 / 1e6:.2f}.",
    ]


def _multiply_add(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> None:
    """Do the work of the reference."""
    total = np.zeros_like(first)
    for _ in range(REFERENCE_OPERATIONS):
        total += first * second


def _processor_seconds(action: Callable[[], object]) -> float:
    """Time one call by the processor's clock."""
    start = time.process_time()
    action()
    return time.process_time() - start


def _seconds(action: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
