"""What intervals and threshold rules are worth in the hands of the best readers of virtual knees; no image is made.

The readers are those of ``kneeage.phantom.cohort.ceiling``: (a) knows every latent, sex, height and weight for age,
(b) the plates' latents alone, (c) thickness and openness as measured at image resolution, with sex, height and weight
for age. They stand in for a bundle's networks: intervals and rules are fitted and judged by the code that fits and
judges a bundle's.

Run ``make bench-decisions``; it takes a few minutes on one core and writes ``results/decisions.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kneeage.core.anatomy import Label, Plane, Sex
from kneeage.core.manifest import AgeStage, BundleManifest, Calibration, SegmentStage, ThresholdPolicy
from kneeage.core.result import ErrorRate
from kneeage.phantom.cohort.ceiling import Reader
from kneeage.phantom.cohort.presets import PRESETS
from kneeage.study.ceiling_policy import Simulation
from kneeage.study.conformal import fit_conformal
from kneeage.study.coverage import Coverage, age_name, coverage, expected_range, maturity_name
from kneeage.study.intervals import proportion
from kneeage.study.predicted import Predicted
from kneeage.study.tuning import LIMIT, count_errors, tolerated_errors, tune_policy

RESULTS = Path(__file__).parent / "results" / "decisions.md"
PRESET = PRESETS["forensic"]
EDGES = [float(edge) for edge in np.arange(8, 26.5, 0.5)]
READERS = {"a": Reader.LATENTS, "b": Reader.PLATES, "c": Reader.MEASURED}
THRESHOLDS_YEARS = (12, 14, 16, 18)
CALIBRATED_ON, COUNTED_ON, TUNED_ON = (2000, 150), 2000, 5000
# Fresh subjects per sex of the cohorts just below a threshold, and how often their draw is repeated.
BOUNDARY_SUBJECTS, REPETITIONS = 500, 20_000


def main() -> None:
    """Simulate and write the page."""
    RESULTS.write_text("\n".join(_page()) + "\n", encoding="utf-8")


def _page() -> Iterator[str]:
    """Write the page line by line."""
    yield "# Intervals and threshold rules of the best readers\n"
    yield "Written by `make bench-decisions`. No image, no network: what follows is the best that is possible on"
    yield "virtual knees of the preset `forensic`, under the same fitting and counting that a bundle goes through.\n"
    yield from _intervals()
    yield from _rules()
    yield from _shares()


def _intervals() -> Iterator[str]:
    """Judge conformal intervals of reader (c)."""
    counted = Simulation(PRESET, EDGES, 2).read(READERS["c"], COUNTED_ON, (8, 26))
    yield f"## Coverage of 95 % intervals, reader (c), {COUNTED_ON} fresh subjects\n"
    for subjects in CALIBRATED_ON:
        bundle = _calibrated(Simulation(PRESET, EDGES, 1).read(READERS["c"], subjects, (8, 26)))
        yield f"Fitted on {subjects} subjects, ages even from 8 to 26 years:\n"
        yield from _coverage_table([*coverage(counted, bundle), *coverage(counted, bundle, maturity_name(bundle))])
        if subjects == CALIBRATED_ON[0]:
            yield "The same by true age (no interval can hold its level at every age):\n"
            yield from _by_age(coverage(counted, bundle, age_name))
    low, high = expected_range(250)
    yield f"A group of 250 calibration subjects leaves a long-run coverage of {low:.1%} to {high:.1%} open (95 %).\n"


def _coverage_table(rows: Sequence[Coverage]) -> Iterator[str]:
    """Write coverage by group."""
    yield "| group | subjects | inside | 95 % interval | chance of as few at 95 % (Holm) |\n|---|---|---|---|---|"
    for row in rows:
        share, low, high = row.inside.value, row.inside.low, row.inside.high
        chance = f"{row.below_level_adjusted:.2f}"
        yield f"| {row.name} | {row.inside.total} | {share:.1%} | {low:.1%} to {high:.1%} | {chance} |"
    yield ""


def _by_age(rows: Sequence[Coverage]) -> Iterator[str]:
    """Write coverage by completed year, females beside males."""
    shares = {row.name: f"{row.inside.value:.0%}" for row in rows}
    years = range(8, 26)
    yield "| | " + " | ".join(map(str, years)) + " |\n|---|" + "---|" * len(years)
    for sex in Sex:
        yield f"| {sex.value} | " + " | ".join(shares[f"{sex.value}, {year:02d}"] for year in years) + " |"
    yield ""


def _rules() -> Iterator[str]:
    """Tune and count the rule for each reader."""
    yield f"## The threshold rule, tuned on {TUNED_ON} subjects of 10 to 20 years, counted on as many others\n"
    yield "False adult: of subjects up to two years below; false minor: up to two years above; undetermined: both.\n"
    yield "| reader | threshold | sex | false adult | false minor | undetermined |\n|---|---|---|---|---|---|"
    for letter, reader in READERS.items():
        tuned, fresh = (Simulation(PRESET, EDGES, seed).read(reader, TUNED_ON, (10, 20)) for seed in (3, 4))
        yield from _rule_rows(letter, count_errors(tune_policy(tuned, THRESHOLDS_YEARS), fresh))
    yield ""


def _rule_rows(letter: str, policy: ThresholdPolicy) -> Iterator[str]:
    """Write one reader's errors."""
    for rule in policy.rules:
        errors = rule.errors
        if errors is None or rule.sex is None:
            continue
        cells = [_rate(each) for each in (errors.false_adult, errors.false_minor, errors.undetermined)]
        yield f"| {letter} | {rule.age_years:g} | {rule.sex.value} | " + " | ".join(cells) + " |"


def _shares() -> Iterator[str]:
    """Say how often fresh cohorts stay under the limit, by how many subjects the rule was tuned on."""
    yield f"## Is the bound under {LIMIT:.0%} on a fresh cohort of {BOUNDARY_SUBJECTS} per sex?\n"
    yield "By the ranks of exchangeable subjects alone, for any reader; both sexes of the fresh cohort together.\n"
    yield "| tuned on, per sex within two years | tolerated | bound under the limit |\n|---|---|---|"
    rng = np.random.default_rng(0)
    most = max(errors for errors in range(20) if proportion(errors, 2 * BOUNDARY_SUBJECTS).high < LIMIT)
    for subjects in (400, 500, 1000, 1500, 2000):
        tolerated = tolerated_errors(subjects, LIMIT) or 0
        rates = rng.beta(tolerated + 1, subjects - tolerated, (REPETITIONS, len(Sex)))
        errors = rng.binomial(BOUNDARY_SUBJECTS, rates).sum(axis=1)
        yield f"| {subjects} | {tolerated} | {np.mean(errors <= most):.1%} of cohorts |"


def _rate(rate: ErrorRate) -> str:
    """Write a rate with the upper end of its interval."""
    return f"{rate.errors}/{rate.subjects}, {rate.share or 0:.1%} (at most {rate.high:.1%})"


def _calibrated(subjects: Sequence[Predicted]) -> BundleManifest:
    """Make a manifest that holds nothing but intervals."""
    bare = BundleManifest(
        name="simulated",
        version="0",
        population="simulated",
        licence="none",
        plane=Plane.CORONAL,
        sexes=list(Sex),
        age_range_years=(EDGES[0], EDGES[-1]),
        age_edges_years=EDGES,
        labels={label.name.lower(): int(label) for label in Label},
        recipe={},
        segment=SegmentStage(file="none.onnx", label_values=[0, 1]),
        age=AgeStage(files=["none.onnx"], region_shape=(1, 1), max_slices=1, min_slices=1),
        training_split_sha256="0" * 64,
    )
    conformal = fit_conformal(subjects, bare, source="simulated")
    return bare.model_copy(update={"calibration": Calibration(conformal=conformal)})


if __name__ == "__main__":
    main()
