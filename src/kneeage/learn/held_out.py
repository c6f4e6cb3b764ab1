"""What a bundle is worth on held-out virtual subjects, and the model card that says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from kneeage.core.anatomy import PLATE_SITES, Label, PlateSite, Sex
from kneeage.core.manifest import BundleManifest, Calibration, ThresholdPolicy
from kneeage.core.result import PlateReport
from kneeage.decide.interval import LEVEL, credible_interval
from kneeage.decide.posterior import AgeDistribution, posterior
from kneeage.decide.prior import fit_prior, training_prior, uniform_prior
from kneeage.infer.age import age_log_likelihood
from kneeage.infer.engine import Network
from kneeage.infer.morphometry import calibrated
from kneeage.learn.data import load_regions

FloatArray = NDArray[np.float64]
_ADULT_YEARS = 18.0


def held_out_numbers(
    manifest: BundleManifest, network: Network, regions: Path, facts: Sequence[dict[str, Any]]
) -> dict[str, float]:
    """Judge a bundle on subjects that nothing was chosen on.

    Args:
        manifest: The bundle's manifest, calibrated.
        network: Its age network.
        regions: Folder with the subjects' regions, ``SEED.npz``; subjects without a file were abstained from.
        facts: Their facts (see ``kneeage.learn.virtual_regions``).

    Returns:
        Named numbers; ages in years, shares from 0 to 1. A number for which there was nobody to measure is left out.
    """
    judged = [fact for fact in facts if fact["slices"]]
    ages = np.array([fact["chronological_age_years"] for fact in judged])
    likelihoods = [_log_likelihood(manifest, network, regions / f"{fact['seed']}.npz") for fact in judged]
    flat = fit_prior(uniform_prior(*manifest.age_range_years), manifest.age_edges_years)
    trained = training_prior(manifest)
    adult = np.array([posterior(each, trained).at_least(_ADULT_YEARS) for each in likelihoods])
    numbers = {"subjects": float(len(facts)), "abstained_share": 1 - len(judged) / len(facts)}
    numbers |= _age_numbers(ages, [posterior(each, flat) for each in likelihoods])
    numbers |= _decision_numbers(ages, adult, manifest.policy)
    numbers |= _plate_numbers(facts, manifest.calibration) | _dice_numbers(facts)
    return {name: round(value, 4) for name, value in numbers.items() if np.isfinite(value)}


def model_card(manifest: BundleManifest) -> str:
    """Write the model card of a virtual bundle from its manifest."""
    rows = "\n".join(f"| {name} | {value:g} |" for name, value in manifest.held_out.items())
    low, high = manifest.age_range_years
    return _CARD.format(
        name=manifest.name,
        version=manifest.version,
        licence=manifest.licence,
        low=low,
        high=high,
        bins=len(manifest.age_edges_years) - 1,
        temperature=manifest.calibration.temperature,
        calibration_subjects=manifest.calibration.subjects,
        rows=rows,
        split=manifest.training_split_sha256,
        thickness=_thickness_lines(manifest.calibration),
        training="\n".join(f"- {name.replace('_', ' ')}: {count}" for name, count in manifest.training.items()),
        made_with=", ".join(f"{name} {version}" for name, version in manifest.made_with.items()),
    )


def _thickness_lines(calibration: Calibration) -> str:
    """List the thickness scales."""
    scales = [f"- {name}: {s.slope:.2f} x drawn {s.offset_mm:+.2f} mm" for name, s in calibration.thickness.items()]
    return "\n".join(scales) or "- none was fitted"


def _log_likelihood(manifest: BundleManifest, network: Network, path: Path) -> FloatArray:
    """Log-likelihood of each age bin for one subject, as it is served; shape (bins,)."""
    subject = load_regions(path)
    sex = Sex.MALE if subject.sex else Sex.FEMALE
    return age_log_likelihood(network, subject.regions.astype(np.float32), sex, manifest)


def _age_numbers(ages: FloatArray, answers: list[AgeDistribution]) -> dict[str, float]:
    """Errors of the most probable age, hits by completed year, and coverage of the intervals as they are printed."""
    modes = np.array([answer.mode_years for answer in answers])
    medians = np.array([answer.quantile(0.5) for answer in answers])
    intervals = [credible_interval(answer, calibration_subjects=0, level=LEVEL) for answer in answers]
    lows = np.array([interval.low for interval in intervals])
    highs = np.array([np.inf if interval.high is None else interval.high for interval in intervals])
    years_off = np.abs(np.floor(modes) - np.floor(ages))
    return {
        "mean_absolute_error_of_mode_years": _mean(np.abs(modes - ages)),
        "mean_absolute_error_of_median_years": _mean(np.abs(medians - ages)),
        "mean_absolute_error_of_median_under_18_years": _mean(np.abs(medians - ages)[ages < _ADULT_YEARS]),
        "exact_year_accuracy": _mean(years_off == 0),
        "within_one_year_accuracy": _mean(years_off <= 1),
        "interval_95_coverage": _mean((lows <= ages) & (ages <= highs)),
        "interval_95_open_upwards_share": _mean(np.isinf(highs)),
    }


def _decision_numbers(ages: FloatArray, adult: FloatArray, policy: ThresholdPolicy) -> dict[str, float]:
    """Errors at 18 years under the fixed rule, which rests on the training ages, with how many they were counted on.

    Args:
        ages: Chronological ages, shape (subjects,).
        adult: Probability of being at least 18 under the training ages, shape (subjects,).
        policy: The rule.
    """
    minors, adults = ages < _ADULT_YEARS, ages >= _ADULT_YEARS
    called_adult, called_minor = adult >= policy.at_least_probability, adult <= policy.below_probability
    return {
        "minors": float(minors.sum()),
        "adults": float(adults.sum()),
        "false_adult_share_of_minors": _mean(called_adult[minors]),
        "false_adult_share_of_minors_upper_limit": _upper_limit(called_adult[minors]),
        "false_minor_share_of_adults": _mean(called_minor[adults]),
        "false_minor_share_of_adults_upper_limit": _upper_limit(called_minor[adults]),
        "undetermined_at_18_share": _mean(~called_adult & ~called_minor),
    }


def _mean(values: NDArray[np.bool_] | FloatArray) -> float:
    """Mean; not a number where there is nothing to average."""
    return float(np.mean(values)) if values.size else float("nan")


def _upper_limit(hits: NDArray[np.bool_]) -> float:
    """Upper end of the exact two-sided 95 % interval of a share; not a number where nobody was counted.

    Source: Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404.
    """
    count, total = int(np.count_nonzero(hits)), hits.size
    if total == 0:
        return float("nan")
    return 1.0 if count == total else float(beta.ppf(1 - (1 - LEVEL) / 2, count + 1, total - count))


def _plate_numbers(facts: Sequence[dict[str, Any]], calibration: Calibration) -> dict[str, float]:
    """Errors of openness and thickness, as they are reported, against the true labels measured with the same ruler."""
    numbers = {}
    for site in PLATE_SITES:
        pairs = [(fact["plates"][site.name]["true"], _reported(fact, calibration, site)) for fact in facts]
        for measure in ("openness", "thickness_mm"):
            both = [(t[measure], f[measure]) for t, f in pairs if t[measure] is not None and f[measure] is not None]
            errors = np.abs(np.subtract(*np.array(both, dtype=np.float64).reshape(-1, 2).T))
            numbers[f"{site.name}_{measure}_mean_absolute_error"] = _mean(errors)
    return numbers


def _reported(fact: dict[str, Any], calibration: Calibration, site: PlateSite) -> dict[str, Any]:
    """What a report would say of a plate."""
    found = PlateReport.model_validate(fact["plates"][site.name]["found"])
    return calibrated(found, calibration, site).model_dump()


def _dice_numbers(facts: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Dice of each label over all voxels of all subjects; labels that never occur are left out."""
    numbers = {}
    for label in list(Label)[1:]:
        both, either = np.sum([fact["dice_counts"][label.name.lower()] for fact in facts], axis=0)
        if either:
            numbers[f"dice_{label.name.lower()}"] = float(both / either)
    return numbers


_CARD = """# Model card: {name} {version}

**Trained on a virtual cohort, demonstration only, not for forensic use.** No image of a living person was used to
train it, and its numbers below say nothing about its error on living persons.

## What it is
Two networks behind one preparation recipe. A U-Net labels every coronal slice of a T1-weighted knee series with bone
and growth-plate labels. A GoogLeNet with batch normalisation looks at the slices through both plates' sites (grey
value, probability of open plate, probability of scar) and at the sex, and gives a distribution over {bins} age bins
from {low:g} to {high:g} years.

## Population
Virtual: computer-generated knees of both sexes, ages uniform from {low:g} to {high:g} years, two virtual hospitals.
How age moves the growth plates there is an assumption with sources, not a measurement (see the growth table in
`kneeage.phantom.growth.table`). A real population differs from it in ways that nobody has measured.

## Training
{training}

## Numbers on held-out virtual subjects
Whole series, seeds that no choice was made on; `kneeage bundle make` prints and stores the same table. Shares run from
0 to 1, ages and errors are in years, lengths in mm.
- Ages, accuracies and intervals are those under a uniform prior, of the subjects that were not abstained from.
  Intervals are counted as they are printed: one that is open upwards holds every higher age.
- Errors at 18 years are those of the fixed threshold rule, under the training ages. Each upper limit is the upper end
  of an exact (Clopper-Pearson) 95 % interval: no error among few subjects does not mean that none happens.
- Errors of openness and thickness are against the same measurement on the true labels, where both have one. Dice is
  over all voxels of all subjects on the grid that the networks see.

| measure | value |
|---|---|
{rows}

## Calibration
Temperature {temperature:.3f}, fitted on {calibration_subjects} virtual subjects that also chose the age model's
checkpoint. Intervals are credible intervals of the model, not intervals with guaranteed coverage. The threshold rule
is not calibrated; on any image that is not itself virtual every threshold decision is withheld.

The segmenter draws open plates thicker than they are. The reported thickness is the drawn one, corrected by a line
that was fitted on the same subjects; the labels are left as drawn:
{thickness}

## Failure cases to expect
- Sagittal and axial series (abstained from), fat-suppressed, PD and T2 series, metal, motion, fractures, dysplasia.
- Real texture and fat that the virtual scanner does not know: parts of muscle or fat labelled as bone or plate.
- Ages of closed knees: above about 19 years the image holds almost no information, and the distribution is wide.
- Slices far from the plates: tops of the posterior condyles drawn as open plate.
- Marrow brighter than fat, as in some adults: parts of the tibia left out.

## Must not be used for
Any statement about a living person's age, alone or with other methods; clinical diagnosis; training labels without
review.

## Provenance
Licence {licence}. Made by the code of `kneeage bundle make` from seeds, without any other data, with {made_with}.
Training again does not give the same weights bit for bit, least of all where it was limited in time. SHA-256
over the sorted training and validation subject ids: `{split}`.
"""
