"""What intervals and threshold rules are worth in the hands of the best readers of virtual knees; no image is made.

The readers are those of ``kneeage.phantom.cohort.ceiling``: (a) knows every latent, sex, height and weight for age,
(b) the plates' latents alone, (c) thickness and openness as measured at image resolution, with sex, height and weight
for age. They stand in for a bundle's networks: intervals and rules are fitted and judged by the code that fits and
judges a bundle's.

Run ``make bench-decisions``; it takes a few minutes on one core and writes ``results/decisions.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import Label, Plane, Sex
from kneeage.core.manifest import AgeStage, BundleManifest, Calibration, SegmentStage, ThresholdPolicy
from kneeage.core.result import ErrorRate
from kneeage.decide.posterior import FloatArray
from kneeage.learn.virtual_bundle import VirtualBundleSettings
from kneeage.phantom.cohort.ceiling import Reader
from kneeage.phantom.cohort.presets import PRESETS
from kneeage.study.ceiling_policy import Simulation
from kneeage.study.conformal import fit_conformal
from kneeage.study.coverage import Coverage, age_name, coverage, expected_range, maturity_name
from kneeage.study.intervals import proportion
from kneeage.study.predicted import Predicted
from kneeage.study.tuning import LIMIT, WINDOW_YEARS, count_errors, rare_chance, tolerated_errors, tune_policy

RESULTS = Path(__file__).parent / "results" / "decisions.md"
PRESET = PRESETS["forensic"]
EDGES = [float(edge) for edge in np.arange(8, 26.5, 0.5)]
READERS = {"a": Reader.LATENTS, "b": Reader.PLATES, "c": Reader.MEASURED}
THRESHOLDS_YEARS = (12, 14, 16, 18)
CALIBRATED_ON, COUNTED_ON, TUNED_ON = (2000, 150), 2000, 5000
# Fresh subjects per sex of the cohorts just below a threshold, subjects that tuning cohorts are drawn from, how often,
# and of how many the shipped bundle's are.
BOUNDARY_SUBJECTS, POOL, REPETITIONS = 500, 40_000, 1000
TUNING_SIZES = (VirtualBundleSettings().tuning_per_group, 600, 1000)


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
    """Say how often fresh cohorts stay under the limit, by the size of the tuning cohort and by rule."""
    yield f"## Is the bound under {LIMIT:.0%} on a fresh cohort of {BOUNDARY_SUBJECTS} per sex?\n"
    yield f"Reader (c); {REPETITIONS:,} tuning cohorts are drawn from {POOL:,} subjects of 10 to 20 years; both sexes"
    yield "of the fresh cohort together. *Ranks*: a limit that no more tuning subjects reach than are tolerated."
    yield "*Tail*: nor would one of a thousand. Limits for below are tuned as the mirror image.\n"
    yield "| tuned on, per sex within two years | rule | 12 | 14 | 16 | 18 | all four | undetermined at 18 |"
    yield "|---|---|---|---|---|---|---|---|"
    pool = Simulation(PRESET, EDGES, 5).read(READERS["c"], POOL, (10, 20))
    groups = {(age, sex): _sides(pool, age, sex) for age in THRESHOLDS_YEARS for sex in Sex}
    for subjects in TUNING_SIZES:
        for name, rule in RULES.items():
            held_by_age = {age: kept([groups[age, sex] for sex in Sex], rule, subjects) for age in THRESHOLDS_YEARS}
            together = np.mean(np.all([held for held, _ in held_by_age.values()], axis=0))
            cells = [f"{np.mean(held):.0%}" for held, _ in held_by_age.values()]
            yield f"| {subjects} | {name} | {' | '.join(cells)} | {together:.0%} | {held_by_age[18][1]:.0%} |"


def _sides(pool: Sequence[Predicted], age_years: float, sex: Sex) -> tuple[FloatArray, FloatArray]:
    """Give the sorted probabilities of being at least an age, up to two years below it and above it."""
    mine = [(each.age_years - age_years, each.distribution.at_least(age_years)) for each in pool if each.sex is sex]
    below, above = (
        np.sort([chance for years, chance in mine if low <= years < low + WINDOW_YEARS]) for low in (-WINDOW_YEARS, 0)
    )
    return below, above


def kept(
    sexes: Sequence[tuple[FloatArray, FloatArray]], rule: Callable[[FloatArray], float], subjects: int
) -> tuple[NDArray[np.bool_], float]:
    """Say of each repetition whether the bound was kept, and how many are undetermined on average."""
    rng, errors, decided = np.random.default_rng(0), np.zeros(REPETITIONS, np.intp), []
    most = max(count for count in range(20) if proportion(count, 2 * BOUNDARY_SUBJECTS).high < LIMIT)
    for below, above in sexes:
        for wrong, right in ((below, above), (1 - above[::-1], 1 - below[::-1])):
            limits = [max(rule(rng.choice(wrong, subjects, replace=False)), 0.5) for _ in range(REPETITIONS)]
            decided.append(1 - np.searchsorted(right, limits, "right").mean() / len(right))
            if wrong is below:
                rates = 1 - np.searchsorted(wrong, limits, "right") / len(wrong)
                errors += rng.binomial(BOUNDARY_SUBJECTS, rates)
    return errors <= most, 1 - float(np.mean(decided))


def _by_rank(chances: FloatArray) -> float:
    """Give the probability that no more subjects than are tolerated are above."""
    return float(np.sort(chances)[-1 - (tolerated_errors(len(chances), LIMIT) or 0)])


def _by_tail(chances: FloatArray) -> float:
    """The same, unless one of a thousand would be above it."""
    return max(_by_rank(chances), rare_chance(chances))


# Rules by which a limit may be tuned; the second is that of a bundle.
RULES: dict[str, Callable[[FloatArray], float]] = {"ranks": _by_rank, "ranks and tail": _by_tail}


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
