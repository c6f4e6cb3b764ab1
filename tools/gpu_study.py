"""The paper's study on a machine with a GPU, from scratch: cohorts, segmenters, folds, small result files.

    python tools/gpu_study.py WORK RESULTS

Everything large stays in WORK; RESULTS gets what a study's pages are made from, about 1 MB each (`kneeage study keep`).
Run it again to go on: subjects, trainings and folds that are finished are not done again.

The machine needs Python 3.11 or later, torch and lightning. What else is missing is installed into that Python: from a
folder of wheels where ``--wheels`` names one, else from the package index. MONAI is needed for the U-Net, pydicom and
nibabel for the readers; SimpleITK and GDCM are not needed, since the cohort is written as NIfTI and prepared without
registration. Without a way to install, the script says what is missing and stops before it has made anything.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# What the commands import, and what pip calls it.
NEEDED = {
    **{name: name for name in ("jinja2", "lightning", "matplotlib", "monai", "nibabel", "numpy", "omegaconf", "onnx")},
    **{
        name: name for name in ("onnxruntime", "pydantic", "pydicom", "rich", "scipy", "torch", "torchmetrics", "typer")
    },
    "PIL": "pillow",
    "sklearn": "scikit-learn",
}
FACTS_FILE = "machine.json"
_STAGES = ("segmenter", "age_model", "end_to_end")
_REFUSED = 3  # exit code of a study that has too few finished folds for its documents
_MOST_LOADERS = 8


def main() -> None:
    """Do what is asked for."""
    options = _options()
    require_modules(options.wheels)
    if options.check:
        return
    started = time.monotonic()
    for world in options.worlds:
        make_cohort(options, world)
        for preset in options.presets:
            for fold in options.folds:
                do_fold(options, world, preset, fold)
                keep(options, world, preset)
                _write_facts(options, time.monotonic() - started)


def require_modules(wheels: Path | None) -> None:
    """Install what is missing, or say what it is and stop."""
    missing = _missing()
    if not missing:
        _say("all packages are there")
        return
    _say(f"missing: {', '.join(missing)}; installing them")
    place = [] if wheels is None else ["--no-index", f"--find-links={wheels}"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", *place, *missing]
    done = subprocess.run(pip, check=False, stdout=sys.stderr)  # noqa: S603
    importlib.invalidate_caches()
    if done.returncode or _missing():
        sys.exit(
            f"gpu_study: this Python has no {', '.join(_missing())}, and pip cannot install them here. Collect wheels "
            f"for Python {platform.python_version()} on {platform.system()} {platform.machine()} where there is a "
            "network (docs/training.md says how), bring the folder, and run again with --wheels FOLDER"
        )


def make_cohort(options: argparse.Namespace, world: str) -> None:
    """Make a virtual cohort, or the rest of it."""
    number = [] if options.subjects is None else ["--subjects", str(options.subjects)]
    place = ["--preset", world, "--seed", str(options.seed), "--format", "nifti", *number, *_workers(options)]
    _require(_kneeage("phantom", "make", "-o", str(_cohort(options, world)), *place))


def do_fold(options: argparse.Namespace, world: str, preset: str, fold: int) -> None:
    """Train and test one fold; one that is finished is left as it is."""
    cohort, run = str(_cohort(options, world)), _run(options, world, preset)
    where = ["--external", cohort, "--preset", preset, "--folds", str(fold), "-o", str(run), *_workers(options)]
    where += [] if options.segmenter is None else ["--segmenter", str(options.segmenter)]
    code = _kneeage("study", "run", cohort, *where, *loaders(options), *options.changes)
    # Documents need more than one fold or so; what the fold came to is kept all the same.
    if code != _REFUSED or not (run / f"fold_{fold}" / "done.json").exists():
        _require(code)


def keep(options: argparse.Namespace, world: str, preset: str) -> None:
    """Copy the small files of a study in place of those of an earlier copy."""
    run, place = _run(options, world, preset), options.results / f"{world}-{preset}"
    if not (run / "report.html").exists():
        _say(f"{run.name}: too few folds for its documents; the small files follow with the next fold")
        return
    shutil.rmtree(place, ignore_errors=True)
    _require(_kneeage("study", "keep", str(run), str(place)))


def loaders(options: argparse.Namespace) -> list[str]:
    """Let processes read the batches where there are cores for it: a GPU waits for nothing else."""
    cores = os.cpu_count() or 1
    number = options.loaders if options.loaders is not None else min(_MOST_LOADERS, cores // 2)
    return [f"{stage}.fit.workers={number}" for stage in _STAGES]


def _missing() -> list[str]:
    """List what pip should install."""
    return sorted(name for module, name in NEEDED.items() if find_spec(module) is None)


def _kneeage(*arguments: str) -> int:
    """Run a command of this source tree; give its exit code."""
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "ORT_DISABLE_TELEMETRY": "1"}
    _say(f"kneeage {' '.join(arguments)}")
    program = [sys.executable, "-c", "from kneeage.cli import main; main()", *arguments]
    return subprocess.run(program, check=False, env=environment, stdout=sys.stderr).returncode  # noqa: S603


def _require(code: int) -> None:
    """Stop where a command failed; it has said why."""
    if code:
        sys.exit(code)


def _workers(options: argparse.Namespace) -> list[str]:
    """Say how many processes make and prepare subjects."""
    return [] if options.workers is None else ["--workers", str(options.workers)]


def _cohort(options: argparse.Namespace, world: str) -> Path:
    """Where a cohort lies."""
    place: Path = options.work / "cohorts" / world
    return place


def _run(options: argparse.Namespace, world: str, preset: str) -> Path:
    """Where a study lies."""
    place: Path = options.work / "studies" / f"{world}-{preset}"
    return place


def _write_facts(options: argparse.Namespace, seconds: float) -> None:
    """Say on what machine it was done, and how long it took since the script was started."""
    facts = {"machine": dict(_machine()), "seconds_of_last_run": round(seconds, 1), "command": sys.argv[1:]}
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / FACTS_FILE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _machine() -> Iterator[tuple[str, Any]]:
    """Name processor, GPU and versions."""
    import torch

    yield "python", platform.python_version()
    yield "processor", platform.machine()
    yield "cores", os.cpu_count()
    yield "gpu", torch.cuda.get_device_name() if torch.cuda.is_available() else None
    for name in ("torch", "lightning", "monai", "numpy"):
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, None


def _say(words: str) -> None:
    """Say what goes on."""
    print(f"gpu_study: {words}", file=sys.stderr, flush=True)


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="gpu_study", description=__doc__, formatter_class=form)
    parser.add_argument("work", type=Path, metavar="WORK", help="folder of cohorts and trainings")
    parser.add_argument("results", type=Path, metavar="RESULTS", help="folder of the small result files")
    parser.add_argument(
        "changes", nargs="*", metavar="KEY=VALUE", help="settings of the study, as of 'kneeage study run'"
    )
    parser.add_argument("--worlds", nargs="+", default=["table1-tight", "table1"], help="presets of virtual cohorts")
    parser.add_argument("--presets", nargs="+", default=["default"], help="presets of training: default, paper")
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(5)), help="folds to do now")
    parser.add_argument("--subjects", type=int, help="subjects of each cohort; the paper's number if not given")
    parser.add_argument("--seed", type=int, default=0, help="what the cohorts follow from")
    parser.add_argument("--workers", type=int, help="processes that make and prepare subjects; one per core")
    parser.add_argument("--loaders", type=int, help="processes that read batches; half the cores, at most 8")
    parser.add_argument(
        "--segmenter", type=Path, help="bundle whose segmenter finds the plates; else each fold trains one"
    )
    parser.add_argument("--wheels", type=Path, help="folder of wheels to install what is missing from")
    parser.add_argument("--check", action="store_true", help="install what is missing, and stop")
    return parser.parse_intermixed_args(arguments)


if __name__ == "__main__":
    main()
