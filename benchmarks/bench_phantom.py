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
from kneeage.infer.engine import available_cores
from kneeage.phantom.anatomy import knee as anatomy
from kneeage.phantom.anatomy.lattice import Lattice
from kneeage.phantom.cohort import subject as cohort
from kneeage.phantom.cohort.make import CohortRecipe, make_cohort
from kneeage.phantom.cohort.presets import PRESETS
from kneeage.phantom.cohort.subject import HOSPITAL_A, virtual_subject
from kneeage.phantom.cohort.workers import on_cores
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
    """A part of a preset that was made: how many subjects, in how many seconds, by how many processes."""

    subjects: int
    seconds: float
    workers: int

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
    parser.add_argument("--subjects", type=int, default=40, help="subjects of the sample (default: 40)")
    parser.add_argument("--workers", type=int, default=2, help="processes of the sample (default: 2)")
    parser.add_argument("--output", type=Path, default=REPORT, help="Markdown file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        times, reference = _measured_apart(Path(scratch), options.runs)
        sample = _make_sample(Path(scratch), options.subjects, options.workers)
    text = report(times, reference, sample)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def report(times: list[SubjectTimes], reference: float, sample: Sample) -> str:
    """Lay the measurements out as Markdown.

    Args:
        times: One subject, again and again.
        reference: Seconds of the reference, measured in the same process.
        sample: The part of a preset.
    """
    return "\n".join([*_heading(len(times)), *_subject_table(times, reference), *_sample_words(sample), ""])


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


def _measured_apart(scratch: Path, runs: int) -> tuple[list[SubjectTimes], float]:
    """Measure one subject in a process of its own that keeps to one thread."""
    noted = scratch / "times.json"
    list(on_cores(partial(_note_times, noted, scratch), [runs], 1))
    found = json.loads(noted.read_bytes())
    return [SubjectTimes(**times) for times in found["times"]], found["reference"]


def _note_times(noted: Path, scratch: Path, runs: int) -> None:
    """Time a subject again and again, after once that does not count, and note it."""
    times = [subject_times(scratch / f"subject-{number}") for number in range(runs + 1)][1:]
    found = {"reference": reference_seconds(), "times": [vars(one) for one in times]}
    noted.write_text(json.dumps(found), encoding="utf-8")


def _make_sample(scratch: Path, subjects: int, workers: int) -> Sample:
    """Make a part of ``table1`` as the command line does."""
    recipe = CohortRecipe(PRESETS["table1"], subjects, seed=1)
    run = partial(on_cores, workers=workers)
    seconds = _seconds(lambda: make_cohort(scratch / "sample", recipe, run, lambda *_: None))
    return Sample(subjects, seconds, workers)


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


def _subject_table(times: list[SubjectTimes], reference: float) -> list[str]:
    """Lay out one subject's time."""
    wall, processor = (median(getattr(one, kind) for one in times) for kind in ("wall", "processor"))
    stages = {stage: median(one.stages.get(stage, 0.0) for one in times) for stage in STAGES}
    return [
        "| what | seconds | at most |",
        "|---|---|---|",
        f"| one subject, made and written | {wall:.2f} | {SUBJECT_BUDGET_SECONDS:g} |",
        f"| processor time of it | {processor:.2f} | |",
        *(f"| – {stage} | {seconds:.2f} | |" for stage, seconds in stages.items()),
        f"| reference | {reference:.3f} | |",
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
        f"(at most {COHORT_BUDGET_MINUTES:g}).",
    ]


def _multiply_add(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> None:
    """Do the work of the reference."""
    total = np.zeros_like(first)
    for _ in range(REFERENCE_OPERATIONS):
        total += first * second


def _seconds(action: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
