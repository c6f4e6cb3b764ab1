"""Ablations of the `default` age model: one thing changed at a time, judged on validation subjects of one hospital.

``make ablations`` prepares the regions of virtual subjects once, does each training in a process of its own, and writes
``benchmarks/results/ablations.csv`` and the tables of ``docs/ablations.md`` and ``docs/study.md``. A run that was
broken off goes on: what is prepared and trained is kept in the work folder, and a training that was killed resumes. No
external subject is made.

All rows take the same number of steps; the last checkpoint is judged, so that no subject chose what it is judged by.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import kneeage
from benchmarks.ablation_regions import Cut, Subjects, files_of, make_regions
from benchmarks.ablation_rows import T1, WATCHED, Training, reference_of, settings_of, trainings
from benchmarks.ablation_table import CHANCE, merged, read_lines, write_lines, write_tables
from kneeage.core.errors import InputRefusedError, KneeAgeError
from kneeage.core.machine import available_cores
from kneeage.io.bundle import SHIPPED_BUNDLE, load_bundle
from kneeage.io.lock import only_run
from kneeage.learn.age_model import AgeModel, load_age_model, train_age_model
from kneeage.learn.data import ValidationRegions, load_regions
from kneeage.learn.fit import LAST_CHECKPOINT
from kneeage.learn.metrics_file import METRICS_FILE, curve, read_metrics
from kneeage.phantom.cohort.presets import PRESETS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "ablations.csv"
PAGES = (ROOT / "docs" / "ablations.md", ROOT / "docs" / "study.md")
PLAN_FILE, REGIONS, RUNS, DONE = "plan.json", "regions", "runs", "done"
# Completed years that answers are compared in.
_YEARS = np.arange(8, 27)
_LEAST_PROBABILITY = 1e-6
_LAST_LOSSES = 10
_MOST_SEEDS = 9
# Mean of each measure over subjects, by the name of its column.
_MEASURES = ("nll", "mean_error_years", "exact_year", "within_one_year")

FloatArray = NDArray[np.float64]
Judged = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Plan:
    """All that the rows have in common.

    Args:
        subjects: Who is learnt from and who is judged.
        steps: Steps of each training.
        bundle: Bundle whose segmenter finds the plates.
        planes_per_slice: Planes painted through each slice.
        threads: Threads of torch.
    """

    subjects: Subjects
    steps: int
    bundle: Path
    planes_per_slice: int
    threads: int

    def facts(self) -> dict[str, Any]:
        """Say in plain values what the numbers follow from, besides the row."""
        manifest = load_bundle(self.bundle).manifest
        segmenter = f"{manifest.name} {manifest.version}"
        return {**asdict(self.subjects), "steps": self.steps, "segmenter": segmenter, "planes": self.planes_per_slice}

    def key(self) -> str:
        """Tell numbers of one plan from those of another."""
        facts = json.dumps([self.facts(), kneeage.__version__], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:12]

    def cut(self, work: Path) -> Cut:
        """Say how the subjects are cut."""
        return Cut(work / REGIONS, self.bundle, self.subjects.world, self.planes_per_slice)


def main() -> None:
    """Do the rows that are asked for, and write what is there."""
    options = _options()
    work = options.work.absolute()
    subjects = Subjects(options.world, options.training, options.validation)
    plan = Plan(subjects, options.steps, options.segmenter.absolute(), options.planes, options.threads)
    try:
        if options.train is not None:
            train_row(work, plan, _training(options.train))
            return
        wanted = list(trainings(options.rows, options.seeds))
        _begin(work, plan)
        with only_run(work / PLAN_FILE, "ablations"):
            do_rows(work, plan, wanted, options.workers)
            write_results(work, plan, options.results, options.pages)
    except KneeAgeError as error:
        sys.exit(f"ablations: {error}")


def do_rows(work: Path, plan: Plan, wanted: Sequence[Training], workers: int) -> None:
    """Prepare what the wanted trainings read, and do those that are not done, each in a process of its own."""
    weightings = {training.row.weighting for training in wanted}
    with _counting("Preparing subjects") as progress:
        bar = progress.add_task("Preparing subjects", total=None)
        make_regions(
            plan.cut(work),
            plan.subjects.members(),
            weightings,
            workers,
            lambda done, total: progress.update(bar, completed=done, total=total),
        )
    missing = [training for training in wanted if not _done_file(work, training).exists()]
    console = Console(stderr=True)
    for number, training in enumerate(missing, 1):
        console.print(f"{number} of {len(missing)}: {training.row.words}, seed {training.seed}", highlight=False)
        subprocess.run(_command(work, plan, training), check=True, cwd=ROOT)


def train_row(work: Path, plan: Plan, training: Training) -> None:
    """Do one training, judge it, write what came of it; where it was broken off it goes on, and is not timed."""
    torch.set_num_threads(plan.threads)
    started = time.monotonic()
    learnt, judged = _files(work, plan, training)
    run = work / RUNS / training.name
    whole = not (run / LAST_CHECKPOINT).exists()
    train_age_model(learnt, judged[:WATCHED], settings_of(training, plan.steps), run)
    minutes = (time.monotonic() - started) / 60
    answers = judge(load_age_model(run / LAST_CHECKPOINT), judged)
    _, losses = curve(read_metrics(run / METRICS_FILE), "train_main_loss")
    outcome = {
        "training": len(learnt),
        "validation": len(judged),
        "minutes": round(minutes, 2) if whole else "",
        "last_training_loss": fmean(losses[-_LAST_LOSSES:]),
        "subjects": answers,
    }
    place = _done_file(work, training)
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_suffix(".part")
    temporary.write_text(json.dumps(outcome) + "\n", encoding="utf-8")
    temporary.replace(place)


def judge(model: AgeModel, files: list[Path]) -> Judged:
    """Measure what a model says of each subject."""
    edges = np.asarray(model.settings.age_edges_years, dtype=np.float64)
    found = {}
    subjects = ValidationRegions(files, model.fact_input.names)
    for number, path in enumerate(files):
        regions, facts, age_years = subjects[number]
        with torch.inference_mode():
            logits = model.subject_logits(regions, facts[None])
        probabilities = logits.double().softmax(1).numpy()[0]
        found[path.stem] = measures(probabilities, edges, float(age_years))
    return found


def measures(probabilities: FloatArray, edges_years: FloatArray, age_years: float) -> dict[str, float]:
    """Measure one answer.

    Args:
        probabilities: Of the age bins, shape (bins,).
        edges_years: Their edges, shape (bins + 1,); no bin holds parts of two completed years.
        age_years: The true age.

    Returns:
        Negative log-likelihood of the completed year, error of the mean age, and whether the most probable completed
        year is the true one, or at most a year away from it.
    """
    year_of_bin = np.floor(edges_years[:-1] + 1e-9).astype(int)
    by_year = np.array([probabilities[year_of_bin == year].sum() for year in _YEARS])
    true_year, answer = int(age_years), int(_YEARS[by_year.argmax()])
    mean_years = float(probabilities @ (edges_years[1:] + edges_years[:-1]) / 2)
    likelihood = float(by_year[true_year - _YEARS[0]])
    return {
        "nll": -float(np.log(max(likelihood, _LEAST_PROBABILITY))),
        "mean_error_years": abs(mean_years - age_years),
        "exact_year": float(answer == true_year),
        "within_one_year": float(abs(answer - true_year) <= 1),
    }


def write_results(work: Path, plan: Plan, results: Path, pages: Iterable[Path]) -> None:
    """Write the CSV file and the tables from all trainings that are done."""
    done = [training for training in trainings(None, seeds=_MOST_SEEDS) if _done_file(work, training).exists()]
    lines = [line_of(work, plan, training) for training in done]
    chance = [_chance_line(work, plan)] if any(training.row.weighting == T1 for training in done) else []
    whole = merged(read_lines(results), [*chance, *lines], plan.key())
    write_lines(results, whole)
    for page in pages:
        write_tables(page, whole)


def line_of(work: Path, plan: Plan, training: Training) -> dict[str, str]:
    """Write one training as a line of the CSV file."""
    outcome = _outcome(work, training)
    row = training.row
    reference = Training(reference_of(row), training.seed)
    compared = _compared(outcome, _outcome(work, reference)) if _done_file(work, reference).exists() else {}
    return {
        **_common(plan),
        "group": row.group,
        "row": row.name,
        "changes": " ".join(row.changes),
        "weighting": row.weighting,
        "seed": str(training.seed),
        **{name: str(outcome[name]) for name in ("training", "validation", "minutes")},
        "last_training_loss": f"{outcome['last_training_loss']:.4f}",
        **_means(outcome["subjects"]),
        **({} if reference == training else compared),
        **{name: "" for name in ("nll_minus_reference", "standard_error") if reference == training or not compared},
    }


def _compared(outcome: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, str]:
    """Compare the likelihoods of the same subjects: mean difference, and its standard error."""
    own, other = outcome["subjects"], reference["subjects"]
    differences = [own[subject]["nll"] - other[subject]["nll"] for subject in own if subject in other]
    error = stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
    return {"nll_minus_reference": f"{fmean(differences):.4f}", "standard_error": f"{error:.4f}"}


def _chance_line(work: Path, plan: Plan) -> dict[str, str]:
    """Measure the answer that is always the ages of the training subjects, by completed year."""
    learnt, judged = (files_of(plan.cut(work), T1, members) for members in plan.subjects.groups())
    ages = [load_regions(path).age_years for path in learnt]
    edges = np.append(_YEARS, _YEARS[-1] + 1).astype(np.float64)
    shares = np.histogram(ages, edges)[0] / len(ages)
    answers = {path.stem: measures(shares, edges, load_regions(path).age_years) for path in judged}
    counts = {"training": str(len(learnt)), "validation": str(len(judged))}
    empty = dict.fromkeys(("minutes", "nll_minus_reference", "standard_error", "last_training_loss"), "")
    return {**_common(plan), "group": "default", "row": CHANCE, "seed": "", **counts, **empty, **_means(answers)}


def _common(plan: Plan) -> dict[str, str]:
    """Write what all lines have in common."""
    facts = plan.facts()
    return {
        "world": facts["world"],
        "steps": str(plan.steps),
        "threads": str(plan.threads),
        "segmenter": facts["segmenter"],
        "kneeage": kneeage.__version__,
        "torch": torch.__version__,
        "plan": plan.key(),
    }


def _means(subjects: Judged) -> dict[str, str]:
    """Average each measure over subjects."""
    return {name: f"{fmean(own[name] for own in subjects.values()):.4f}" for name in _MEASURES}


def _files(work: Path, plan: Plan, training: Training) -> tuple[list[Path], list[Path]]:
    """Give the files to learn from, and those that are judged."""
    weighting = training.row.weighting
    learnt, judged = (files_of(plan.cut(work), weighting, members) for members in plan.subjects.groups())
    if not learnt or not judged:
        raise InputRefusedError(f"the plates of no subject were found in {weighting} images; make more subjects")
    return learnt, judged


def _begin(work: Path, plan: Plan) -> None:
    """Make the work folder, or prove that it is of this plan."""
    place, facts = work / PLAN_FILE, plan.facts()
    if not place.exists():
        work.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    if json.loads(place.read_text(encoding="utf-8")) != facts:
        raise InputRefusedError(f"{str(work)!r} holds ablations of another size; name another --work, or remove it")


def _command(work: Path, plan: Plan, training: Training) -> list[str]:
    """Say how a process does one training."""
    subjects = plan.subjects
    size = [f"--world={subjects.world}", f"--training={subjects.training}", f"--validation={subjects.validation}"]
    size += [f"--steps={plan.steps}", f"--planes={plan.planes_per_slice}", f"--threads={plan.threads}"]
    places = [f"--work={work}", f"--segmenter={plan.bundle}"]
    return [sys.executable, "-m", "benchmarks.ablations", f"--train={training.name}", *size, *places]


def _training(name: str) -> Training:
    """Read the name of a training."""
    row, _, seed = name.rpartition("-")
    (first, *_) = trainings([row], seeds=1)
    return Training(first.row, int(seed))


def _outcome(work: Path, training: Training) -> dict[str, Any]:
    """Read what came of a training."""
    outcome: dict[str, Any] = json.loads(_done_file(work, training).read_bytes())
    return outcome


def _done_file(work: Path, training: Training) -> Path:
    """Where it is written what came of a training; last of all."""
    return work / DONE / f"{training.name}.json"


def _counting(words: str) -> Progress:
    """Show a bar on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=bool(words))


def _options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablations", description=__doc__)
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="rows to do now; all if not given")
    parser.add_argument("--world", default="table1-tight", choices=sorted(PRESETS), help="preset of the virtual cohort")
    parser.add_argument("--training", type=int, default=400, help="subjects to learn from")
    parser.add_argument("--validation", type=int, default=150, help="subjects that are judged")
    parser.add_argument("--steps", type=int, default=350, help="steps of each training")
    parser.add_argument("--seeds", type=int, default=1, help="least number of seeds of each row")
    parser.add_argument("--planes", type=int, default=5, help="planes painted through each slice; odd")
    parser.add_argument(
        "--segmenter", type=Path, default=SHIPPED_BUNDLE, help="bundle whose segmenter finds the plates"
    )
    parser.add_argument("--threads", type=int, default=available_cores(), help="threads of torch")
    parser.add_argument("--workers", type=int, default=available_cores(), help="processes that paint")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "ablations", help="folder of what is kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="CSV file that is written")
    parser.add_argument("--pages", type=Path, nargs="+", default=PAGES, help="pages whose tables are written")
    parser.add_argument("--train", metavar="ROW-SEED", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
