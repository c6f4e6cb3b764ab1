"""Train every candidate of the forensic age model on the same regions, and compare them on the same subjects.

``python -m benchmarks.forensic_ablations --work WORK`` takes the cohorts that ``kneeage bundle make --work WORK``
made: it trains on ``training``, chooses checkpoints on ``validation``, and compares on a cohort of its own, of which
nobody serves for anything else. It writes ``results/forensic-ablations.md``. A candidate that is there is not trained
again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.forensic_readers import read
from kneeage.cli.speak import counting
from kneeage.infer.facts import KNOWN
from kneeage.learn.age_model import AgeModel, load_age_model, train_age_model
from kneeage.learn.age_targets import true_bins
from kneeage.learn.data import SubjectRegions, load_regions, region_files
from kneeage.learn.folds import deal_folds
from kneeage.learn.packing import age_shares
from kneeage.learn.presets import overridden, preset
from kneeage.learn.settings import AgeModelSettings
from kneeage.learn.virtual_bundle import VirtualBundleSettings, region_job
from kneeage.learn.virtual_people import MIXED, uniform_people
from kneeage.learn.virtual_regions import make_regions, read_facts, regions_file
from kneeage.phantom.cohort.ceiling import Reader

RESULTS = Path(__file__).parent / "results" / "forensic-ablations.md"
FloatArray = NDArray[np.float64]
# What each candidate changes of the preset ``forensic``; the first is the simplest, the others add one thing each.
CANDIDATES: dict[str, list[str]] = {
    "cross-entropy": ["target=classes", "head=linear", "facts=[]"],
    "soft labels": ["head=linear", "facts=[]"],
    "ordinal (CORN)": ["target=corn", "head=linear", "facts=[]"],
    "mean-variance": ["target=mean_variance", "head=linear", "facts=[]"],
    "soft, hidden layer": ["facts=[]"],
    "soft, hidden layer, attention": ["facts=[]", "pooling=attention"],
    "plates alone, no image": ["facts=[plates]", "backbone=none"],
    "image and plates": ["facts=[plates]"],
    "image, plates, sequence, height, weight": [],
}
ENSEMBLE, FOLDS = "five folds of the last", 5
# What each candidate is compared with: the simpler one that it adds something to, or stands in place of.
SIMPLER = {
    "soft labels": "cross-entropy",
    "ordinal (CORN)": "soft labels",
    "mean-variance": "soft labels",
    "soft, hidden layer": "soft labels",
    "soft, hidden layer, attention": "soft, hidden layer",
    "plates alone, no image": "soft, hidden layer",
    "image and plates": "soft, hidden layer",
    "image, plates, sequence, height, weight": "image and plates",
    ENSEMBLE: "image, plates, sequence, height, weight",
}
# Subjects that candidates are compared on, and the seed of the first; no cohort of a bundle comes near.
SUBJECTS, _FIRST_SEED = 600, 35_000_000
_RESAMPLES = 2000


def main() -> None:
    """Train, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="work folder of kneeage bundle make")
    parser.add_argument("--only", nargs="*", default=[*CANDIDATES, ENSEMBLE], help="names of candidates")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("changes", nargs="*", help="key=value for every candidate, such as fit.max_steps=2000")
    options = parser.parse_args()
    make_selection(options.work)
    settings = overridden(preset("forensic").age_model, options.changes)
    rows = {name: _candidate(name, settings, options.work) for name in options.only}
    options.results.write_text(page(rows, options.work, settings), encoding="utf-8")


def make_selection(work: Path) -> None:
    """Make the subjects that candidates are compared on, where they are missing."""
    settings = VirtualBundleSettings()
    job = replace(region_job(work, settings), with_truth=False)
    with counting("Making the subjects that candidates are compared on") as tell:
        make_regions(work / "selection", uniform_people(_FIRST_SEED, SUBJECTS, MIXED), job, settings.workers, tell)


def _candidate(name: str, settings: AgeModelSettings, work: Path) -> tuple[list[Path], float]:
    """Train one candidate: its checkpoints, and the seconds it took, also where it was there already."""
    own = overridden(settings, CANDIDATES.get(name, []))
    run = work / "forensic-ablations" / name.replace(" ", "-").replace(",", "")
    begun, clock = time.monotonic(), run / "seconds.json"
    training, validation = (region_files(work / cohort / "regions") for cohort in ("training", "validation"))
    parts = deal_folds(training, FOLDS, own.fit.seed) if name == ENSEMBLE else [(training, validation)]
    checkpoints = [
        train_age_model(learned, chosen, own, run / str(place)) for place, (learned, chosen) in enumerate(parts)
    ]
    spent = json.loads(clock.read_text()) if clock.exists() else time.monotonic() - begun
    clock.write_text(json.dumps(spent))
    return checkpoints, float(spent)


def page(rows: dict[str, tuple[list[Path], float]], work: Path, settings: AgeModelSettings) -> str:
    """Write the table: errors under the reference prior, each paired with those of a simpler candidate."""
    facts = [known for known in read_facts(work / "selection") if known["slices"]]
    files = [regions_file(work / "selection", known["seed"]) for known in facts]
    ages = np.array([known["chronological_age_years"] for known in facts])
    best = read(Reader.MEASURED, facts, settings.age_edges_years)
    least = np.array([abs(each.distribution.quantile(0.5) - each.age_years) for each in best])
    shares = age_shares((load_regions(path).age_years for path in _learned(work)), settings.age_edges_years)
    judged = {name: judge(checkpoints, files, ages, shares) for name, (checkpoints, _) in rows.items()}
    lines = [
        f"| {name} | {errors.mean():.3f} | {errors.mean() / least.mean():.3f} | {losses.mean():.3f} | "
        f"{_compared(name, judged)} | {rows[name][1] / 60:.0f} |"
        for name, (errors, losses) in judged.items()
    ]
    head = (
        f"# Candidates of the forensic age model\n\n{len(facts)} subjects that nothing else was done with; trained "
        f"on {len(_learned(work))} for {settings.fit.max_steps} steps each. Differences (MAE in years, NLL of the bin) "
        "are paired by subject, with bootstrap 95 % intervals over subjects; they do not hold the luck of a training's "
        "seed. The ratio is to the best reader (c), who sees sex, height and weight for age, and the plates as "
        "measured on true labels.\n\n"
        "| candidate | MAE, years | ratio to (c) | NLL | compared with | MAE less | NLL less | minutes |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(lines) + "\n"


def _learned(work: Path) -> list[Path]:
    """List the subjects that candidates learn from."""
    return region_files(work / "training" / "regions")


def _compared(name: str, judged: Mapping[str, tuple[FloatArray, FloatArray]]) -> str:
    """Write how much less a candidate's MAE and NLL are than the simpler one's."""
    simpler = SIMPLER.get(name, "")
    if simpler not in judged:
        return f"{simpler} | | "
    differences = (own - other for own, other in zip(judged[name], judged[simpler], strict=True))
    return " | ".join([simpler, *map(_difference, differences)])


def judge(
    checkpoints: Sequence[Path], files: Sequence[Path], ages: FloatArray, shares: Sequence[float]
) -> tuple[FloatArray, FloatArray]:
    """Give each subject's error of the median and negative log-likelihood of the true bin, models averaged.

    Args:
        checkpoints: The models.
        files: Regions of the subjects.
        ages: Their chronological ages, shape (n,).
        shares: Of the training subjects in each bin; what is judged is the posterior under the reference prior.
    """
    models = [load_age_model(checkpoint) for checkpoint in checkpoints]
    edges = torch.tensor(models[0].settings.age_edges_years)
    trained = np.mean([np.stack(list(_masses(model, files))) for model in models], axis=0)
    masses = trained / np.array(shares) * np.diff(edges.double().numpy())
    masses /= masses.sum(axis=1, keepdims=True)
    medians = np.array([_median(row, edges.double().numpy()) for row in masses])
    bins = true_bins(torch.tensor(ages, dtype=torch.float32), edges).numpy()
    return np.abs(medians - ages), -np.log(masses[np.arange(len(bins)), bins])


def _masses(model: AgeModel, files: Sequence[Path]) -> Iterator[FloatArray]:
    """Probabilities of the bins under the training ages, subject by subject."""
    for file in files:
        subject = _without_body(load_regions(file))
        facts = torch.from_numpy(subject.row(model.fact_input.names))
        with torch.inference_mode():
            logits = model.subject_logits(torch.from_numpy(subject.regions.astype(np.float32)), facts)
        yield logits[0].double().exp().numpy()


def _without_body(subject: SubjectRegions) -> SubjectRegions:
    """Withhold height and weight, as where they are not known."""
    return replace(subject, facts={name: fact for name, fact in subject.facts.items() if name not in KNOWN})


def _median(masses: FloatArray, edges_years: FloatArray) -> float:
    """Age below which half of the probability lies."""
    return float(np.interp(0.5, np.concatenate([[0.0], np.cumsum(masses)]), edges_years))


def _difference(values: FloatArray) -> str:
    """Write a mean difference with its interval."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(_RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
