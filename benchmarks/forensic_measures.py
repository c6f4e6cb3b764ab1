"""What is measured of a bundle on fresh virtual subjects, in plain values, beside reader (c) on the same subjects."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import BundleManifest, ThresholdPolicy
from kneeage.core.result import ErrorRate
from kneeage.core.skeletal_stages import DEDOUIT
from kneeage.decide.interval import credible_interval
from kneeage.decide.likelihood import local_log_likelihood
from kneeage.decide.posterior import FloatArray
from kneeage.decide.question import DEFAULT_THRESHOLDS_YEARS
from kneeage.decide.ratio import AgeWindows, likelihood_ratio, windows_around
from kneeage.learn.virtual_people import MIXED
from kneeage.learn.virtual_regions import Facts
from kneeage.phantom.scanner.sequence import Weighting
from kneeage.study.coverage import Coverage, age_name, coverage, holds, maturity_name
from kneeage.study.intervals import Proportion, proportion
from kneeage.study.likelihood_ratios import RatioPerformance, ratio_performance
from kneeage.study.predicted import Predicted
from kneeage.study.reliability import calibration_error
from kneeage.study.resampling import bootstrap_ratio

# A group's coverage is judged from this size on.
GROUP_SUBJECTS = 250
# Probabilities between which calibration is judged apart: most subjects lie years away from any one threshold, and
# what is said of them is nearly certain and nearly always true.
OPEN_QUESTION = (0.05, 0.95)
# Quantile of the normal distribution for intervals of 95 %.
_NORMAL_95 = 1.959964
Numbers = dict[str, Any]
Chosen = Callable[[Facts], bool]


@dataclass(frozen=True, eq=False)
class Read:
    """A cohort as a bundle and a best reader read it.

    Args:
        facts: Of those to whom the bundle gives an age.
        log_likelihoods: The bundle's, of each of them, shape (subjects, bins).
        subjects: What the bundle says of them.
        best: What the best reader says of the same.
        everyone: Facts of all, also of those whom the bundle abstains from.
    """

    facts: Sequence[Facts]
    log_likelihoods: FloatArray
    subjects: Sequence[Predicted]
    best: Sequence[Predicted]
    everyone: Sequence[Facts]

    def only(self, chosen: Chosen) -> Read:
        """Keep the subjects who are chosen by their facts."""
        places = [place for place, known in enumerate(self.facts) if chosen(known)]
        return Read(
            facts=[self.facts[place] for place in places],
            log_likelihoods=self.log_likelihoods[places],
            subjects=[self.subjects[place] for place in places],
            best=[self.best[place] for place in places],
            everyone=[known for known in self.everyone if chosen(known)],
        )


def anybody(_: Facts) -> bool:
    """Choose everybody."""
    return True


def is_whole(known: Facts) -> bool:
    """Say whether the whole series was painted: of those with true labels, and of nobody else."""
    return "dice_counts" in known


def is_about_the_sites(known: Facts) -> bool:
    """Say whether only the slices about the plates' sites were painted."""
    return not is_whole(known)


def is_open(known: Facts) -> bool:
    """Say whether a plate of the knee is truly open: not of the last stage."""
    return any(stages["dedouit"] != DEDOUIT[-1].value for stages in known["true_stages"].values())


def has(name: str, value: object) -> Chosen:
    """Choose those with a fact."""
    return lambda known: known[name] == value


def aged(low: float, high: float) -> Chosen:
    """Choose those of an age from and below."""
    return lambda known: low <= known["chronological_age_years"] < high


MAKINGS: dict[str, Chosen] = {"": anybody, "whole series": is_whole, "slices about the sites": is_about_the_sites}
_KINDS: dict[str, Chosen] = {"all": anybody, "open plate": is_open}


def age_errors(read: Read) -> list[Numbers]:
    """Compare errors of the median with those of a best reader, by hospital, openness, and what was painted."""
    rows = []
    hospitals = sorted({known["hospital"] for known in read.facts})
    for (making, made), hospital, (kind, chosen) in product(MAKINGS.items(), hospitals, _KINDS.items()):
        mine = read.only(made).only(has("hospital", hospital)).only(chosen)
        name = ", ".join(part for part in (hospital, kind, making) if part)
        rows += [{"group": name, **_errors(mine)}] if mine.facts else []
    return rows


def _errors(read: Read) -> Numbers:
    """Divide mean absolute errors, paired, and give the median's bias, both with bootstrap intervals over subjects."""
    off, least = _off(read.subjects), np.abs(_off(read.best))
    errors = np.abs(off)
    ratio, bias = bootstrap_ratio(errors, least), bootstrap_ratio(off, np.ones(len(off)))
    return {
        "subjects": len(off),
        "mae_years": float(errors.mean()),
        "best_mae_years": float(least.mean()),
        "ratio": plain(ratio.value),
        "ratio_low": plain(ratio.low),
        "ratio_high": plain(ratio.high),
        "bias_years": plain(bias.value),
        "bias_low": plain(bias.low),
        "bias_high": plain(bias.high),
    }


def _off(subjects: Sequence[Predicted]) -> FloatArray:
    """Median less age, in years."""
    return np.array([subject.distribution.quantile(0.5) - subject.age_years for subject in subjects])


def by_weighting(test: Read, others: Read, manifest: BundleManifest) -> Numbers:
    """Compare the weightings that a bundle is offered for, all painted alike: slices about the sites.

    Returns:
        ``rows`` by weighting, and ``mix``: coverage of the mix that intervals were fitted on, where all were measured.
    """
    reads = {
        weighting: (test if weighting is Weighting.T1 else others)
        .only(is_about_the_sites)
        .only(has("weighting", weighting.value))
        for weighting in MIXED
    }
    rows = [
        {"weighting": weighting.value, **_weighting_row(read, manifest)}
        for weighting, read in reads.items()
        if read.facts
    ]
    inside = {Weighting(row["weighting"]): row["coverage"] for row in rows}
    return {"rows": rows, "mix": mixed_coverage(inside) if len(inside) == len(MIXED) else None}


def _weighting_row(read: Read, manifest: BundleManifest) -> Numbers:
    """Measure one weighting."""
    ajar = read.only(is_open)
    (inside,) = coverage(read.subjects, manifest)
    return {
        "all": _errors(read),
        "open": _errors(ajar) if ajar.facts else None,
        "coverage": share(inside.inside),
        "abstained": abstained(read),
    }


def mixed_coverage(inside: Mapping[Weighting, Numbers]) -> Numbers:
    """Weigh coverages by the shares of the mix, with a normal interval of the stratified estimate.

    Source: Cochran 1977, Sampling Techniques, 3rd edition, sections 5.3 and 5.6.
    """
    value = sum(part * inside[weighting]["share"] for weighting, part in MIXED.items())
    variances = {
        weighting: each["share"] * (1 - each["share"]) / each["subjects"] for weighting, each in inside.items()
    }
    half = _NORMAL_95 * math.sqrt(sum(part**2 * variances[weighting] for weighting, part in MIXED.items()))
    return {"share": value, "low": value - half, "high": min(1.0, value + half)}


def coverages(read: Read, manifest: BundleManifest) -> Numbers:
    """Count coverage of all, of groups of sex and predicted maturity, and by true age beside the best reader's."""
    subjects, name = read.subjects, maturity_name(manifest)
    (everybody,) = coverage(subjects, manifest)
    sizes = Counter(map(name, subjects))
    # Groups that are judged are adjusted for each other alone.
    judged, rest = (
        coverage([each for each in subjects if (sizes[name(each)] >= GROUP_SUBJECTS) is large], manifest, name)
        for large in (True, False)
    )
    by_making = {making: read.only(made).subjects for making, made in MAKINGS.items() if making}
    return {
        "all": _coverage_row(everybody),
        "makings": [
            {**_coverage_row(coverage(mine, manifest)[0]), "name": making} for making, mine in by_making.items() if mine
        ],
        "groups": [_coverage_row(each) for each in (*judged, *rest)],
        "by_age": [
            {**_coverage_row(each), "best_reader": _credible_coverage(read.best, each.name)}
            for each in coverage(subjects, manifest, age_name)
        ],
    }


def _coverage_row(found: Coverage) -> Numbers:
    """Write a coverage in plain values; small groups are not judged."""
    inside = found.inside
    judged = inside.total >= GROUP_SUBJECTS
    return {"name": found.name, **share(inside), "p_holm": found.below_level_adjusted, "judged": judged}


def _credible_coverage(best: Sequence[Predicted], name: str) -> float:
    """Coverage of a best reader's credible intervals in one group of true age, open upwards where a bundle's are."""
    mine = [each for each in best if age_name(each) == name]
    inside = [holds(credible_interval(each.distribution, calibration_subjects=0), each.age_years) for each in mine]
    return float(np.mean(inside))


def calibrations(subjects: Sequence[Predicted]) -> list[Numbers]:
    """Compare the calibration errors at each threshold with those of perfectly calibrated readers of the same n.

    Of all subjects, and of those whom the bundle leaves in question. These are chosen by what is said, never by the
    true age: that would make a perfect reader look biased.
    """
    rows = []
    low, high = OPEN_QUESTION
    for age in DEFAULT_THRESHOLDS_YEARS:
        said = np.clip([subject.distribution.at_least(age) for subject in subjects], 0.0, 1.0)
        true = np.array([subject.age_years >= age for subject in subjects])
        groups = {"all": said >= 0, f"{low:g} < P < {high:g}": (said > low) & (said < high)}
        rows += [
            {"age_years": age, "who": who, **vars(calibration_error(said[mine], true[mine]))}
            for who, mine in groups.items()
            if mine.any()
        ]
    return rows


def threshold_rows(policies: Mapping[str, ThresholdPolicy]) -> list[Numbers]:
    """Write the errors of readers' rules at each threshold: of each sex, where none was told, and of both together."""
    return [
        {"reader": reader, **row}
        for age in DEFAULT_THRESHOLDS_YEARS
        for reader, policy in policies.items()
        for row in _rule_rows(policy, age)
    ]


def _rule_rows(policy: ThresholdPolicy, age_years: float) -> list[Numbers]:
    """Write the errors at one threshold."""
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
    return share(proportion(sum(rate.errors for rate in rates), sum(rate.subjects for rate in rates)))


def ratios(boundary: Read, manifest: BundleManifest) -> list[Numbers]:
    """Judge likelihood ratios of the two windows about each threshold, and those of the best reader.

    They are made by the code that serves; what a bundle does not give is counted.
    """
    edges = manifest.age_edges_years
    readers: dict[str, list[FloatArray]] = {
        "bundle": [local_log_likelihood(row, manifest) for row in boundary.log_likelihoods],
        "c": [_log_likelihood(each) for each in boundary.best],
    }
    ages = [subject.age_years for subject in boundary.subjects]
    return [
        {"age_years": age, "reader": reader, **_ratio_row(ages, likelihoods, edges, windows_around(age))}
        for age in DEFAULT_THRESHOLDS_YEARS
        for reader, likelihoods in readers.items()
    ]


def _log_likelihood(subject: Predicted) -> FloatArray:
    """Give a reader's likelihood of each bin, up to a constant: under the reference prior it is the density."""
    density = np.array(subject.distribution.masses) / np.diff(subject.distribution.edges_years)
    # No age is quite impossible by the law; what became 0 by rounding is the smallest number instead.
    return np.asarray(np.log(np.maximum(density, np.finfo(np.float64).tiny)), dtype=np.float64)


def _ratio_row(
    ages: Sequence[float], likelihoods: Sequence[FloatArray], edges_years: Sequence[float], windows: AgeWindows
) -> Numbers:
    """Judge the ratios of one threshold."""
    younger, older = (
        _given([each for age, each in zip(ages, likelihoods, strict=True) if low <= age < high], edges_years, windows)
        for low, high in (windows.below, windows.above)
    )
    return {
        "not_given": share(proportion(sum(map(_missing, (younger, older))), len(younger) + len(older))),
        **_plain_performance(ratio_performance(_known(younger), _known(older))),
    }


def _given(likelihoods: Sequence[FloatArray], edges_years: Sequence[float], windows: AgeWindows) -> list[float | None]:
    """Give each ratio as it is served: None where none is; infinite where the lower window has no probability."""
    found = [likelihood_ratio(each, edges_years, windows) for each in likelihoods]
    return [None if each is None else math.inf if each.value is None else each.value for each in found]


def _known(side: Sequence[float | None]) -> FloatArray:
    """Keep the ratios that are given."""
    return np.array([ratio for ratio in side if ratio is not None], dtype=np.float64)


def _missing(side: Sequence[float | None]) -> int:
    """Count the ratios that are not given."""
    return sum(ratio is None for ratio in side)


def _plain_performance(found: RatioPerformance) -> Numbers:
    """Write it in plain values."""
    names = ("younger_misled", "younger_misled_strongly", "older_misled", "older_misled_strongly")
    return {
        "cost": plain(found.cost.value),
        "cost_low": plain(found.cost.low),
        "cost_high": plain(found.cost.high),
        "least_cost": plain(found.least_cost),
        **{name: share(getattr(found, name)) for name in names},
    }


def abstentions(test: Read, boundary: Read) -> list[Numbers]:
    """Count whom the bundle gives no age, by what is known of them."""
    rows = [("main cohort, all", test)]
    hospitals = sorted({known["hospital"] for known in test.everyone})
    rows += [(f"main cohort, hospital {each}", test.only(has("hospital", each))) for each in hospitals]
    rows += [(f"main cohort, {sex.value}", test.only(has("sex", sex.value))) for sex in Sex]
    rows += [(f"main cohort, {making}", test.only(made)) for making, made in MAKINGS.items() if making]
    for age in DEFAULT_THRESHOLDS_YEARS:
        windows = windows_around(age)
        below, above = boundary.only(aged(*windows.below)), boundary.only(aged(*windows.above))
        rows.append((f"two years below {age:g}", below))
        rows += [(f"two years below {age:g}, {sex.value}", below.only(has("sex", sex.value))) for sex in Sex]
        rows.append((f"two years above {age:g}", above))
    return [{"group": name, **abstained(read)} for name, read in rows if read.everyone]


def abstained(read: Read) -> Numbers:
    """Count whom the bundle gives no age."""
    return share(proportion(len(read.everyone) - len(read.facts), len(read.everyone)))


def share(found: Proportion) -> Numbers:
    """Write a share in plain values."""
    return {
        "errors": found.count,
        "subjects": found.total,
        "share": plain(found.value),
        "low": found.low,
        "high": found.high,
    }


def plain(value: float) -> float | None:
    """Write a number; None where there is none, since JSON knows neither NaN nor infinity."""
    return float(value) if math.isfinite(value) else None
