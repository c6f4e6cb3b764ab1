"""Measure a bundle on fresh virtual subjects of the preset ``forensic``, against the best readers of the same ones.

``python -m benchmarks.forensic --bundle BUNDLE --seed N`` makes three cohorts in hospitals A and B: a main test cohort
of uniform ages, T1 as the preset is; cohorts of each sex just below and above every threshold, T1 too; and others of
uniform ages, half PD and half T2. The first ``--segmented`` of the main cohort are whole series with true labels; of
all others only the slices about the plates' sites are painted, as for the cohorts that a bundle is fitted on. It keeps
their regions, and writes ``results/forensic.json`` and ``results/forensic.md``. The seed is drawn after all choices
about the bundle are made. What is there already is not made again, also after a run that was broken off; the sizes can
be grown later.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.forensic_aims import verdicts
from benchmarks.forensic_measures import (
    Numbers,
    Read,
    abstentions,
    age_errors,
    by_weighting,
    calibrations,
    coverages,
    ratios,
    threshold_rows,
)
from benchmarks.forensic_page import page
from benchmarks.forensic_readers import PRESET, read
from kneeage.cli.speak import counting
from kneeage.core.errors import UsageError
from kneeage.core.manifest import ThresholdPolicy
from kneeage.decide.question import DEFAULT_THRESHOLDS_YEARS
from kneeage.io.bundle import Bundle, load_bundle
from kneeage.learn.judge import TOLD, Judged, Told, judge, load_networks
from kneeage.learn.virtual_bundle import WINDOWS_YEARS
from kneeage.learn.virtual_people import Person, boundary_people, uniform_people
from kneeage.learn.virtual_regions import Facts, RegionJob, make_regions, read_facts, require_nobody_else
from kneeage.phantom.cohort.ceiling import Reader
from kneeage.phantom.scanner.sequence import Weighting
from kneeage.study.ceiling_policy import READERS, Simulation
from kneeage.study.drawn_plates import drawing_intervals, drawing_numbers
from kneeage.study.predicted import Predicted, predicted
from kneeage.study.tuning import count_errors, tune_policy

RESULTS = Path(__file__).parent / "results"
# Test seeds begin above every cohort that a bundle is made of.
_FIRST_SEED, _SEEDS_APART = 1_000_000_000, 10_000_000
_BOUNDARY, _OTHERS = 5_000_000, 8_000_000
# Weightings that a bundle is offered for, and that neither the preset nor the paper has. Half each.
OTHER_WEIGHTINGS = {Weighting.PD: 0.5, Weighting.T2: 0.5}
# Simulated subjects that the best readers' rule is tuned on: so many that it is not chance that parts them.
READER_TUNING = 10_000
_BLIND, _BODY = Told(sex=False), Told(body=True)


@dataclass(frozen=True)
class Sizes:
    """How large the measurement is.

    Args:
        seed: Number of the cohorts; another number gives other subjects.
        subjects: Of the main test cohort.
        per_group: Of each sex and window about the thresholds.
        segmented: Of the main test cohort, with true labels and whole series.
        others: Of PD and T2 together.
    """

    seed: int
    subjects: int = 2000
    per_group: int = 500
    segmented: int = 500
    others: int = 500


@dataclass(frozen=True, eq=False)
class Measured:
    """Cohorts as a bundle judges them.

    Args:
        bundle: The bundle.
        work: Folder with the cohorts.
    """

    bundle: Bundle
    work: Path

    def judged(self, cohort: str, told: Told = TOLD) -> Judged:
        """Let the bundle judge a cohort."""
        manifest = self.bundle.manifest
        networks = load_networks(self.bundle.folder, manifest)
        with counting(f"Reading ages, {cohort} cohort") as tell:
            return judge(self.work / cohort, networks, manifest, told, tell)

    def predictions(self, judged: Judged, told: Told = TOLD) -> list[Predicted]:
        """Give what is said of each subject."""
        manifest = self.bundle.manifest
        return predicted(judged.log_likelihoods, judged.ages_years, judged.sexes, manifest, sex_given=told.sex)

    def read(self, cohort: str, told: Told = TOLD, reader: Reader = Reader.MEASURED) -> Read:
        """Let the bundle and a best reader judge a cohort."""
        judged = self.judged(cohort, told)
        return Read(
            facts=judged.facts,
            log_likelihoods=judged.log_likelihoods,
            subjects=self.predictions(judged, told),
            best=read(reader, judged.facts, self.bundle.manifest.age_edges_years),
            everyone=self.facts(cohort),
        )

    def facts(self, cohort: str) -> list[Facts]:
        """Read the facts of a cohort, also of those whom the bundle abstains from."""
        return read_facts(self.work / cohort)


def main() -> None:
    """Make the cohorts, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=None, help="folder; the shipped bundle if not given")
    parser.add_argument("--work", type=Path, default=Path("work/forensic"), help="folder of what is made on the way")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, required=True, help="drawn after all choices are made")
    for name in ("subjects", "per_group", "segmented", "others"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Sizes, name))
    parser.add_argument("--cohorts-only", action="store_true", help="make the subjects, and measure another time")
    options = parser.parse_args()
    sizes = Sizes(options.seed, options.subjects, options.per_group, options.segmented, options.others)
    bundle = load_bundle(options.bundle)
    make_cohorts(options.work, bundle, sizes, options.workers)
    if options.cohorts_only:
        return
    numbers = measure(Measured(bundle, options.work), sizes)
    for suffix, text in (("json", json.dumps(numbers, indent=2) + "\n"), ("md", page(numbers))):
        (options.results / f"forensic.{suffix}").write_text(text, encoding="utf-8")


def people(sizes: Sizes) -> dict[str, list[Person]]:
    """List who is in each cohort, by its folder."""
    first = _FIRST_SEED + sizes.seed * _SEEDS_APART
    return {
        "test": uniform_people(first, sizes.subjects),
        "boundary": boundary_people(first + _BOUNDARY, sizes.per_group, WINDOWS_YEARS),
        "others": uniform_people(first + _OTHERS, sizes.others, OTHER_WEIGHTINGS),
    }


def make_cohorts(work: Path, bundle: Bundle, sizes: Sizes, workers: int) -> None:
    """Make the subjects that are missing."""
    stage, cohorts = bundle.manifest.segment, people(sizes)
    usual = RegionJob(bundle.folder / stage.file, stage, bundle.manifest.age, with_truth=False)
    whole = RegionJob(usual.segmenter, stage, usual.age, whole_series=True)
    for cohort, everybody in cohorts.items():
        require_nobody_else(work / cohort, everybody)
    segmented = cohorts["test"][: sizes.segmented]
    parts = (
        ("test", "test cohort, whole series", segmented, whole),
        ("test", "test cohort", cohorts["test"][sizes.segmented :], usual),
        ("others", "cohort of PD and T2", cohorts["others"], usual),
        ("boundary", "cohorts about the thresholds", cohorts["boundary"], usual),
    )
    for cohort, words, part, job in parts:
        with counting(f"Making the {words}") as tell:
            make_regions(work / cohort, part, job, workers, tell)
    _require_truth(work / "test", {person.seed for person in segmented})


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
    test, others, boundary = (measured.read(cohort) for cohort in ("test", "others", "boundary"))
    numbers = {
        "bundle": f"{manifest.name} {manifest.version}",
        "bundle_sha256": measured.bundle.sha256,
        "sizes": vars(sizes),
        "abstained": abstentions(test, boundary),
        "age": age_errors(test),
        "age_with_body": _with_body(measured),
        "weightings": by_weighting(test, others, manifest),
        "coverage": coverages(test, manifest),
        "calibration": calibrations(test.subjects),
        "thresholds": _thresholds(measured, boundary, sizes),
        "ratios": ratios(boundary, manifest),
        "drawing": _drawing(measured),
    }
    return numbers | {"verdicts": verdicts(numbers)}


def _with_body(measured: Measured) -> list[Numbers]:
    """Compare ages where height and weight in cm and kg are told, with the reader who is told them too."""
    if "height_cm" not in measured.bundle.manifest.age.fact_names:
        return []
    return age_errors(measured.read("test", _BODY, Reader.MEASURED_AND_BODY))


def _thresholds(measured: Measured, boundary: Read, sizes: Sizes) -> list[Numbers]:
    """Count the rule's errors in the cohorts about the thresholds, beside the best readers'."""
    policy = measured.bundle.manifest.policy
    if not policy.rules:
        return []
    blind = measured.predictions(measured.judged("boundary", _BLIND), _BLIND)
    counted = {"bundle": count_errors(policy, [*boundary.subjects, *blind])}
    return threshold_rows(counted | _best_policies(measured, sizes))


def _best_policies(measured: Measured, sizes: Sizes) -> dict[str, ThresholdPolicy]:
    """Tune the best readers' rule on simulated subjects, and count its errors on those whom the bundle was asked about.

    Returns:
        By the readers' letters.
    """
    edges, facts = measured.bundle.manifest.age_edges_years, measured.facts("boundary")
    simulation = Simulation(PRESET, edges, sizes.seed)
    ages = (WINDOWS_YEARS[0][0], WINDOWS_YEARS[-1][1])
    return {
        letter: count_errors(
            tune_policy(simulation.read(reader, READER_TUNING, ages), DEFAULT_THRESHOLDS_YEARS),
            read(reader, facts, edges),
        )
        for letter, reader in READERS.items()
    }


def _drawing(measured: Measured) -> Numbers:
    """Judge what was drawn of the whole series, also of those whom the bundle abstains from."""
    drawn = [known for known in measured.facts("test") if "dice_counts" in known]
    calibration = measured.bundle.manifest.calibration
    return {
        "subjects": len(drawn),
        "numbers": drawing_numbers(drawn, calibration),
        "intervals": {name: [each.low, each.high] for name, each in drawing_intervals(drawn, calibration).items()},
    }


if __name__ == "__main__":
    main()
