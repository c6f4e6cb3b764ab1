"""Measure serving: the start of the command line, a cold estimate, a warm one, and the arithmetic floor beside them.

The series is a real one where ``KNEEAGE_REALDATA`` names a folder that holds it, else a virtual one.
Run it with ``make bench``; it writes ``benchmarks/results/serving.md``.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np
import onnxruntime

import kneeage
from benchmarks.floor import Shape, matrix_rate, multiply_adds
from kneeage.core.anatomy import Sex
from kneeage.core.machine import available_cores
from kneeage.infer.engine import Engine, FloatArray32
from kneeage.io.bundle import load_bundle

REPORT = Path(__file__).parent / "results" / "serving.md"
REAL_SERIES = "knee_t1_coronal_philips"
KIBI_PER_GIBI = 1024**2
# Source: the budgets of docs/architecture.md.
BUDGETS = {"help": "0.3 s", "cold": "3 s", "memory": "1 GiB", "warm": "1 s"}


@dataclass(frozen=True)
class Run:
    """One finished program: its wall time in seconds and its peak resident memory in GiB."""

    seconds: float
    peak_gibibytes: float


@dataclass(frozen=True)
class Floor:
    """The arithmetic of one estimate: multiply-adds of both networks, and this machine's rate per second."""

    multiply_adds: int
    rate: float

    @property
    def seconds(self) -> float:
        """The time below which this arithmetic cannot be done here."""
        return self.multiply_adds / self.rate


def main() -> None:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="repeats of each measurement (default: 5)")
    parser.add_argument("--output", type=Path, default=REPORT, help="Markdown file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, _series(Path(scratch)) as (series, name):
        text = _report(series, name, options.runs, Path(scratch))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def _report(series: Path, name: str, runs: int, scratch: Path) -> str:
    """Measure everything and lay it out as Markdown."""
    # Fresh processes first, while this one is small: Linux counts a parent's memory into the peak of its child.
    helps = [_run("--help") for _ in range(runs)]
    colds = [_cold(series, scratch / f"cold-{number}") for number in range(runs)]
    warms = _warm(series, runs)
    floor = _floor(series)
    rows = [
        ("`kneeage --help`", f"{_median_seconds(helps):.2f} s", BUDGETS["help"]),
        ("`kneeage estimate`, cold, with all documents", f"{_median_seconds(colds):.2f} s", BUDGETS["cold"]),
        ("the same, peak memory", f"{max(run.peak_gibibytes for run in colds):.2f} GiB", BUDGETS["memory"]),
        ("`kneeage.estimate`, warm, without documents", f"{median(warms):.2f} s", BUDGETS["warm"]),
        ("arithmetic floor of both networks", f"{floor.seconds:.2f} s", ""),
    ]
    return "\n".join([*_heading(name, runs), *_table(rows), *_footer(floor), ""])


def _heading(name: str, runs: int) -> list[str]:
    """Say what was measured, where and how."""
    return [
        "# Serving",
        "",
        f"`make bench`: medians of {runs} runs (memory: the largest), {name}.",
        f"kneeage {kneeage.__version__}, Python {platform.python_version()}, numpy {np.__version__}, "
        f"ONNX Runtime {onnxruntime.__version__}, {platform.machine()}, {available_cores()} cores.",
        "",
    ]


def _table(rows: list[tuple[str, str, str]]) -> list[str]:
    """Lay out the measurements beside their budgets."""
    return [
        "| what | measured | at most |",
        "|---|---|---|",
        *(f"| {what} | {value} | {budget} |" for what, value, budget in rows),
    ]


def _footer(floor: Floor) -> list[str]:
    """Explain the arithmetic floor."""
    return [
        "",
        f"The floor is {floor.multiply_adds / 1e9:.1f} thousand million multiply-adds, counted from the ONNX files for "
        f"the shapes that one estimate runs, over the {floor.rate / 1e9:.0f} thousand million per second "
        "that a large float32 matrix product reaches here.",
    ]


@contextmanager
def _series(scratch: Path) -> Iterator[tuple[Path, str]]:
    """Give the series to read and what to call it: a real one at hand, else a virtual one."""
    real = Path(os.environ.get("KNEEAGE_REALDATA", "/nowhere")) / REAL_SERIES
    if real.is_dir():
        yield real, "on a real coronal T1 series of 24 slices of 512 x 512"
        return
    demo = scratch / "demo"
    _run("demo", "-o", str(demo))
    yield next(demo.rglob("*.dcm")).parent, "on a virtual series"


def _run(*arguments: str) -> Run:
    """Run the command line in a fresh process and wait for it with its own resource use."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("kneeage"), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"kneeage {' '.join(arguments)} ended with exit code {process.returncode}")
    return Run(seconds, usage.ru_maxrss / KIBI_PER_GIBI)


def _cold(series: Path, output: Path) -> Run:
    """Estimate in a fresh process, with all documents."""
    return _run("estimate", str(series), "-o", str(output), "--sex", "male")


def _median_seconds(runs: list[Run]) -> float:
    """Give the median wall time."""
    return median(run.seconds for run in runs)


def _warm(series: Path, runs: int) -> list[float]:
    """Time estimates in this process after a first one that is not counted."""
    estimate = partial(kneeage.estimate, series, sex=Sex.MALE)
    estimate()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        estimate()
        times.append(time.perf_counter() - start)
    return times


def _floor(series: Path) -> Floor:
    """Count the multiply-adds of one estimate from the shapes that the engine is given."""
    bundle = load_bundle()
    with _recorded_shapes() as runs:
        kneeage.estimate(series, sex=Sex.MALE)
    total = sum(multiply_adds(bundle.model_bytes(file), shapes) for file, shapes in runs)
    return Floor(total, matrix_rate())


@contextmanager
def _recorded_shapes() -> Iterator[list[tuple[str, dict[str, Shape]]]]:
    """Note the file and the input shapes of every run of a network."""
    recorded: list[tuple[str, dict[str, Shape]]] = []
    original = Engine.answer

    def answer(self: Engine, inputs: Mapping[str, FloatArray32], outputs: tuple[str, ...]) -> list[FloatArray32]:
        recorded.append((self.name, {name: array.shape for name, array in inputs.items()}))
        return original(self, inputs, outputs)

    with patch.object(Engine, "answer", answer):
        yield recorded


if __name__ == "__main__":
    main()
