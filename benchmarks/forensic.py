"""Measure a bundle on fresh virtual subjects of the preset ``forensic``, against the best readers of the same ones.

``python -m benchmarks.forensic --bundle BUNDLE --seed N`` makes a test cohort of uniform ages in hospitals A and B, and
cohorts of each sex just below and above every threshold, keeps their regions, and writes ``results/forensic.json`` and
``results/forensic.md``. The seed is drawn after all choices about the bundle are made. What is there already is not
made again, also after a run that was broken off; the sizes can be grown later.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.forensic_readers import PRESET, read
from kneeage.cli.speak import counting
from kneeage.core.errors import UsageError
from kneeage.core.manifest import BundleManifest, ThresholdPolicy
from kneeage.core.result import ErrorRate
from kneeage.core.skeletal_stages import DEDOUIT
from kneeage.decide.interval import credible_interval
from kneeage.decide.question import DEFAULT_THRESHOLDS_YEARS
from kneeage.io.bundle import Bundle, load_bundle
from kneeage.learn.judge import Judged, Told, judge, load_networks
from kneeage.learn.virtual_bundle import WINDOWS_YEARS
from kneeage.learn.virtual_people import boundary_people, uniform_people
from kneeage.learn.virtual_regions import Facts, RegionJob, make_regions, read_facts, require_nobody_else
from kneeage.phantom.cohort.ceiling import Reader
from kneeage.phantom.growth.law import FloatArray
from kneeage.study.ceiling_policy import READERS, Simulation
from kneeage.study.coverage import Coverage, age_name, coverage, holds, maturity_name
from kneeage.study.drawn_plates import drawing_numbers
from kneeage.study.intervals import proportion
from kneeage.study.predicted import Predicted, predicted
from kneeage.study.reliability import reliability
from kneeage.study.tuning import count_errors, tune_policy

RESULTS = Path(__file__).parent / "results"
# Test seeds begin above every cohort that a bundle is made of.
_FIRST_SEED, _SEEDS_APART = 1_000_000_000, 10_000_000
_BOUNDARY = 5_000_000
ADULT_YEARS = 18.0
# Simulated subjects that the best readers' rule is tuned on: so many that it is not chance that parts them.
_READER_TUNING = 10_000
# A group is judged from this size on, and an error of calibration by so many simulated perfect readers.
GROUP_SUBJECTS, SIMULATED = 250, 2000
_RESAMPLES = 2000
# What a bundle has to reach, set before any seed is drawn. Printed beside what it reaches.
AIMS = (
    "Error of the median over that of reader (c), paired, on all and on those with an open plate: at most 1.05 at "
    "hospital A and 1.15 at hospital B.",
    "95 % intervals hold 95 +/- 1.5 % of all, and no group of sex and predicted maturity is significantly below 95 %.",
    "Expected calibration error of P(at least 18): at most 0.02, or not significantly above that of perfectly "
    "calibrated readers.",
    "False adults two years below each threshold, both sexes together: upper Wilson bound under 1 %.",
    "Dice of plates of 2 mm and thicker at least 0.90, of bones at least 0.97; outlines of open plates at most 0.3 mm "
    "apart, mean over plates of the slices in which both draw the plate (median, and the share not drawn at all, stand "
    "beside it); weighted kappa of stages at least 0.85 from 13 to 19 years.",
)
Numbers = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How large the measurement is.

    Args:
        seed: Number of the cohort; another number gives other subjects.
        subjects: Of the test cohort.
        per_group: Of each sex and window about the thresholds.
        segmented: Of the test cohort, with true labels and whole series.
    """

    seed: int
    subjects: int = 2000
    per_group: int = 500
    segmented: int = 500


@dataclass(frozen=True, eq=False)
class Measured:
    """Cohorts as a bundle judges them.

    Args:
        bundle: The bundle.
        work: Folder with the cohorts.
    """

    bundle: Bundle
    work: Path

    def judged(self, cohort: str, told: Told | None = None) -> Judged:
        """Let the bundle judge a cohort."""
        manifest = self.bundle.manifest
        networks = load_networks(self.bundle.folder, manifest)
        with counting(f"Reading ages, {cohort} cohort") as tell:
            return judge(self.work / cohort, networks, manifest, told or Told(), tell)

    def predictions(self, judged: Judged, told: Told | None = None) -> list[Predicted]:
        """Give what is said of each subject."""
        sex_given = (told or Told()).sex
        return predicted(
            judged.log_likelihoods, judged.ages_years, judged.sexes, self.bundle.manifest, sex_given=sex_given
        )


def main() -> None:
    """Make the cohorts, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=None, help="folder; the shipped bundle if not given")
    parser.add_argument("--work", type=Path, default=Path("work/forensic"), help="folder of what is made on the way")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, required=True, help="drawn after all choices are made")
    for name in ("subjects", "per_group", "segmented"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Sizes, name))
    parser.add_argument("--cohorts-only", action="store_true", help="make the subjects, and measure another time")
    options = parser.parse_args()
    sizes = Sizes(options.seed, options.subjects, options.per_group, options.segmented)
    bundle = load_bundle(options.bundle)
    make_cohorts(options.work, bundle, sizes, options.workers)
    if options.cohorts_only:
        return
    numbers = measure(Measured(bundle, options.work), sizes)
    for suffix, text in (("json", json.dumps(numbers, indent=2) + "\n"), ("md", page(numbers))):
        (options.results / f"forensic.{suffix}").write_text(text, encoding="utf-8")


def make_cohorts(work: Path, bundle: Bundle, sizes: Sizes, workers: int) -> None:
    """Make the subjects that are missing."""
    first = _FIRST_SEED + sizes.seed * _SEEDS_APART
    stage = bundle.manifest.segment
    people = uniform_people(first, sizes.subjects)
    usual = RegionJob(bundle.folder / stage.file, stage, bundle.manifest.age, with_truth=False)
    whole = RegionJob(usual.segmenter, stage, usual.age, whole_series=True)
    boundary = boundary_people(first + _BOUNDARY, sizes.per_group, WINDOWS_YEARS)
    require_nobody_else(work / "test", people)
    require_nobody_else(work / "boundary", boundary)
    parts = (
        ("test", "test cohort, whole series", people[: sizes.segmented], whole),
        ("test", "test cohort", people[sizes.segmented :], usual),
        ("boundary", "cohorts about the thresholds", boundary, usual),
    )
    for cohort, words, part, job in parts:
        with counting(f"Making the {words}") as tell:
            make_regions(work / cohort, part, job, workers, tell)
    _require_truth(work / "test", {person.seed for person in people[: sizes.segmented]})


def _require_truth(cohort: Path, seeds: set[int]) -> None:
    """Check that those who are to be compared with their true labels were made with them.

    Raises:
        UsageError: Some were made without, when fewer were asked for.
    """
    without = [known for known in read_facts(cohort) if known["seed"] in seeds and "dice_counts" not in known]
    if without:
        raise UsageError(
            f"{len(without)} subjects of {str(cohort)!r} were made without their true labels, when --segmented was "
            "smaller; give the earlier value, or another work folder"
        )


def measure(measured: Measured, sizes: Sizes) -> Numbers:
    """Measure everything that is asked of a bundle."""
    manifest = measured.bundle.manifest
    everyone = read_facts(measured.work / "test")
    judged = measured.judged("test")
    subjects, facts = measured.predictions(judged), list(judged.facts)
    best = read(Reader.MEASURED, facts, manifest.age_edges_years)
    drawn = [known for known in everyone if "dice_counts" in known]
    return {
        "bundle": f"{manifest.name} {manifest.version}",
        "bundle_sha256": measured.bundle.sha256,
        "sizes": vars(sizes),
        "abstained": {"errors": judged.abstained, "subjects": len(everyone)},
        "age": age_errors(subjects, best, facts),
        "age_with_body": _with_body(measured, facts),
        "coverage": _coverages(subjects, best, manifest),
        "calibration_at_18": calibration_error(subjects),
        "thresholds": _thresholds(measured, sizes),
        "drawing": {"subjects": len(drawn), **drawing_numbers(drawn, manifest.calibration)},
    }


def age_errors(subjects: Sequence[Predicted], best: Sequence[Predicted], facts: Sequence[Facts]) -> list[Numbers]:
    """Compare errors of the median with those of a best reader on the same subjects, by hospital and openness."""
    errors, least = _errors(subjects), _errors(best)
    hospitals = np.array([known["hospital"] for known in facts])
    is_open = np.array([_any_open(known) for known in facts])
    groups = {
        f"{name}, {kind}": (hospitals == name) & chosen
        for name in sorted(set(hospitals))
        for kind, chosen in (("all", is_open | True), ("open plate", is_open))
    }
    return [{"group": name, **_ratio(errors[mine], least[mine])} for name, mine in groups.items() if mine.any()]


def _with_body(measured: Measured, facts: Sequence[Facts]) -> list[Numbers]:
    """Compare the same where height and weight in cm and kg are told, with the reader who is told them too."""
    told = Told(body=True)
    if "height_cm" not in measured.bundle.manifest.age.fact_names:
        return []
    subjects = measured.predictions(measured.judged("test", told), told)
    best = read(Reader.MEASURED_AND_BODY, facts, measured.bundle.manifest.age_edges_years)
    return age_errors(subjects, best, facts)


def _any_open(known: Facts) -> bool:
    """Say whether a plate of the knee is truly open: not of the last stage."""
    return any(stages["dedouit"] != DEDOUIT[-1].value for stages in known["true_stages"].values())


def _errors(subjects: Sequence[Predicted]) -> FloatArray:
    """Distance of each age from the median, in years."""
    return np.array([abs(subject.distribution.quantile(0.5) - subject.age_years) for subject in subjects])


def _ratio(errors: FloatArray, least: FloatArray) -> Numbers:
    """Divide mean errors, paired, with a bootstrap interval over subjects."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(errors), size=(_RESAMPLES, len(errors)))
    ratios = errors[drawn].mean(axis=1) / least[drawn].mean(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    mean, best = float(errors.mean()), float(least.mean())
    return {
        "subjects": len(errors),
        "mae_years": mean,
        "best_mae_years": best,
        "ratio": mean / best,
        "ratio_low": float(low),
        "ratio_high": float(high),
    }


def _coverages(subjects: Sequence[Predicted], best: Sequence[Predicted], manifest: BundleManifest) -> Numbers:
    """Count coverage of all, of groups of sex and predicted maturity, and by true age beside the best reader's."""
    (everybody,) = coverage(subjects, manifest)
    name = maturity_name(manifest)
    sizes = Counter(map(name, subjects))
    # Groups that are judged are adjusted for each other alone.
    judged, rest = (
        coverage([each for each in subjects if (sizes[name(each)] >= GROUP_SUBJECTS) is large], manifest, name)
        for large in (True, False)
    )
    groups = [*judged, *rest]
    return {
        "all": _plain(everybody),
        "groups": [_plain(each) for each in groups],
        "by_age": [
            {**_plain(each), "best_reader": _credible_coverage(best, each.name)}
            for each in coverage(subjects, manifest, age_name)
        ],
    }


def _plain(found: Coverage) -> Numbers:
    """Write a coverage in plain values; small groups are not judged."""
    inside = found.inside
    return {
        "name": found.name,
        "subjects": inside.total,
        "share": inside.value,
        "low": inside.low,
        "high": inside.high,
        "p_holm": found.below_level_adjusted,
        "judged": inside.total >= GROUP_SUBJECTS,
    }


def _credible_coverage(best: Sequence[Predicted], name: str) -> float:
    """Coverage of a best reader's credible intervals in one group of true age, open upwards where a bundle's are."""
    mine = [each for each in best if age_name(each) == name]
    inside = [holds(credible_interval(each.distribution, calibration_subjects=0), each.age_years) for each in mine]
    return float(np.mean(inside))


def calibration_error(subjects: Sequence[Predicted], age_years: float = ADULT_YEARS) -> Numbers:
    """Compare the expected calibration error at a threshold with that of perfectly calibrated readers of the same n."""
    said = np.clip([subject.distribution.at_least(age_years) for subject in subjects], 0.0, 1.0)
    true = np.array([subject.age_years >= age_years for subject in subjects])
    found = reliability(said, true).expected_calibration_error
    rng = np.random.default_rng(0)
    perfect = [reliability(said, rng.random(len(said)) < said).expected_calibration_error for _ in range(SIMULATED)]
    return {
        "subjects": len(subjects),
        "error": found,
        "perfect_mean": float(np.mean(perfect)),
        "perfect_95": float(np.quantile(perfect, 0.95)),
        "p": float((1 + np.sum(np.array(perfect) >= found)) / (1 + SIMULATED)),
    }


def _thresholds(measured: Measured, sizes: Sizes) -> Numbers:
    """Count the rule's errors in the cohorts about the thresholds, by sex and over both, beside the best readers'."""
    manifest = measured.bundle.manifest
    if not manifest.policy.rules:
        return {"rows": []}
    subjects, abstained = [], 0
    for told in (Told(), Told(sex=False)):
        judged = measured.judged("boundary", told)
        subjects += measured.predictions(judged, told)
        abstained = judged.abstained if told.sex else abstained
    policies = {"bundle": count_errors(manifest.policy, subjects)} | _best_policies(measured, sizes)
    rows = [
        {"reader": reader, **row}
        for age in DEFAULT_THRESHOLDS_YEARS
        for reader, policy in policies.items()
        for row in _rows(policy, age)
    ]
    return {"abstained": abstained, "subjects": len(read_facts(measured.work / "boundary")), "rows": rows}


def _best_policies(measured: Measured, sizes: Sizes) -> dict[str, ThresholdPolicy]:
    """Tune the best readers' rule on simulated subjects, and count its errors on those whom the bundle was asked about.

    Returns:
        By the readers' letters.
    """
    edges, facts = measured.bundle.manifest.age_edges_years, read_facts(measured.work / "boundary")
    simulation = Simulation(PRESET, edges, sizes.seed)
    ages = (WINDOWS_YEARS[0][0], WINDOWS_YEARS[-1][1])
    return {
        letter: count_errors(
            tune_policy(simulation.read(reader, _READER_TUNING, ages), DEFAULT_THRESHOLDS_YEARS),
            read(reader, facts, edges),
        )
        for letter, reader in READERS.items()
    }


def _rows(policy: ThresholdPolicy, age_years: float) -> list[Numbers]:
    """Write the errors at one threshold: of each sex, where none was told, and of both sexes together."""
    counted = [(rule.sex, rule.errors) for rule in policy.rules if rule.age_years == age_years and rule.errors]
    kinds = ("false_adult", "false_minor", "undetermined")
    rows = [
        {"age_years": age_years, "sex": "not told" if sex is None else sex.value}
        | {kind: getattr(errors, kind).model_dump() for kind in kinds}
        for sex, errors in counted
    ]
    told = [errors for sex, errors in counted if sex is not None]
    both = {kind: _together([getattr(errors, kind) for errors in told]) for kind in kinds}
    return [*rows, {"age_years": age_years, "sex": "both", **both}]


def _together(rates: Sequence[ErrorRate]) -> Numbers:
    """Add up what was counted in both sexes."""
    found = proportion(sum(rate.errors for rate in rates), sum(rate.subjects for rate in rates))
    return {"errors": found.count, "subjects": found.total, "share": found.value, "low": found.low, "high": found.high}


def page(numbers: Numbers) -> str:
    """Write the page of results."""
    sizes = numbers["sizes"]
    parts: list[tuple[str, Callable[[Numbers], str]]] = [
        ("Age", _age_part),
        ("Intervals", _coverage_part),
        ("P(at least 18)", _calibration_part),
        ("Thresholds", _threshold_part),
        ("Drawing", _drawing_part),
    ]
    head = (
        f"# A bundle on fresh virtual subjects\n\n{numbers['bundle']}, cohort {sizes['seed']}: {sizes['subjects']} "
        f"subjects of 8 to 26 years in hospitals A and B, and {sizes['per_group']} of each sex and window of two years "
        f"about the thresholds; abstained from {numbers['abstained']['errors']} of "
        f"{numbers['abstained']['subjects']}. `python -m benchmarks.forensic {_options(sizes)}` makes it again.\n"
    )
    aims = "\n## Aims, set before the seed was drawn\n" + "".join(f"- {aim}\n" for aim in AIMS)
    return head + aims + "".join(f"\n## {title}\n{part(numbers)}\n" for title, part in parts)


def _options(sizes: Numbers) -> str:
    """Write sizes as options."""
    return " ".join(f"--{name.replace('_', '-')} {size}" for name, size in sizes.items())


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _age_part(numbers: Numbers) -> str:
    """Write errors beside those of the best reader."""
    head = ("told", "group", "n", "MAE, years", "best reader (c)", "ratio", "95 % interval")
    rows = [
        (
            told,
            row["group"],
            row["subjects"],
            f"{row['mae_years']:.3f}",
            f"{row['best_mae_years']:.3f}",
            f"{row['ratio']:.3f}",
            f"{row['ratio_low']:.3f} to {row['ratio_high']:.3f}",
        )
        for told, key in (("sex", "age"), ("sex, height, weight", "age_with_body"))
        for row in numbers[key]
    ]
    return _table(head, rows)


def _coverage_part(numbers: Numbers) -> str:
    """Write coverage overall, by group and by true age."""
    found = numbers["coverage"]
    head = ("who", "n", "inside", "Wilson 95 %", "p below 95 % (Holm)", "best reader's credible intervals")
    rows = [
        (
            row["name"],
            row["subjects"],
            f"{row['share']:.1%}",
            f"{row['low']:.1%} to {row['high']:.1%}",
            f"{row['p_holm']:.3f}" if row["judged"] else "too few",
            f"{row['best_reader']:.1%}" if "best_reader" in row else "",
        )
        for row in (found["all"], *found["groups"], *found["by_age"])
    ]
    return _table(head, rows)


def _calibration_part(numbers: Numbers) -> str:
    """Write the calibration error."""
    found = numbers["calibration_at_18"]
    return (
        f"Expected calibration error {found['error']:.4f} on {found['subjects']} subjects; perfectly calibrated "
        f"readers of as many show {found['perfect_mean']:.4f} on average, 95 % of them at most "
        f"{found['perfect_95']:.4f} (p = {found['p']:.3f})."
    )


def _threshold_part(numbers: Numbers) -> str:
    """Write the rule's errors, and those of the best readers on the same subjects."""
    found = numbers["thresholds"]
    if not found["rows"]:
        return "The bundle has no tuned rule."
    head = ("threshold", "reader", "sex", "false adult, two years below", "false minor", "undetermined")
    kinds = ("false_adult", "false_minor", "undetermined")
    rows = [
        (f"{row['age_years']:g}", row["reader"], row["sex"], *(_said(row[kind]) for kind in kinds))
        for row in found["rows"]
    ]
    words = (
        f"The bundle abstained from {found['abstained']} of {found['subjects']}, who are not among its subjects. "
        f"Readers (a) and (b) are tuned on {_READER_TUNING:,} simulated subjects and counted on these.\n\n"
    )
    return words + _table(head, rows)


def _said(rate: Numbers) -> str:
    """Write a rate with its Wilson interval."""
    if not rate["subjects"]:
        return ""
    return f"{rate['share']:.2%} ({rate['errors']}/{rate['subjects']}; to {rate['high']:.2%})"


def _drawing_part(numbers: Numbers) -> str:
    """Write how well the plates are drawn."""
    rows = [(name.replace("_", " "), f"{value:.4g}") for name, value in numbers["drawing"].items()]
    return _table(("measure", "value"), rows)


if __name__ == "__main__":
    main()
