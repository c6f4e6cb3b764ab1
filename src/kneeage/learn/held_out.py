"""What a bundle is worth on held-out virtual subjects, and the model card that says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import PLATE_SITES, Label, Sex
from kneeage.core.manifest import BundleManifest
from kneeage.decide.posterior import AgeDistribution
from kneeage.infer.age import age_log_likelihood
from kneeage.infer.engine import Network
from kneeage.learn.data import load_regions

FloatArray = NDArray[np.float64]
_ADULT_YEARS = 18.0
_COVERAGE = 0.95


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
        Named numbers; ages in years, shares from 0 to 1.
    """
    judged = [fact for fact in facts if fact["slices"]]
    ages = np.array([fact["chronological_age_years"] for fact in judged])
    answers = [_distribution(manifest, network, regions / f"{fact['seed']}.npz") for fact in judged]
    numbers = {"subjects": float(len(facts)), "abstained_share": 1 - len(judged) / len(facts)}
    numbers |= _age_numbers(ages, answers, manifest)
    numbers |= _plate_numbers(facts) | _dice_numbers(facts)
    return {name: round(value, 4) for name, value in numbers.items()}


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
        made_with=", ".join(f"{name} {version}" for name, version in manifest.made_with.items()),
    )


def _distribution(manifest: BundleManifest, network: Network, path: Path) -> AgeDistribution:
    """Posterior of one subject under a uniform prior."""
    subject = load_regions(path)
    sex = Sex.MALE if subject.sex else Sex.FEMALE
    log_likelihood = age_log_likelihood(network, subject.regions.astype(np.float32), sex, manifest)
    log_posterior = log_likelihood + np.log(np.diff(manifest.age_edges_years))
    masses = np.exp(log_posterior - np.logaddexp.reduce(log_posterior))
    return AgeDistribution(tuple(manifest.age_edges_years), tuple(float(mass) for mass in masses))


def _age_numbers(ages: FloatArray, answers: list[AgeDistribution], manifest: BundleManifest) -> dict[str, float]:
    """Errors of the most probable age, hits by completed year, coverage, and errors at 18 years."""
    modes = np.array([answer.mode_years for answer in answers])
    medians = np.array([answer.quantile(0.5) for answer in answers])
    tails = [answer.below(age) for answer, age in zip(answers, ages, strict=True)]
    inside = np.abs(np.array(tails) - 0.5) <= _COVERAGE / 2
    adult = np.array([answer.at_least(_ADULT_YEARS) for answer in answers])
    minors, adults = ages < _ADULT_YEARS, ages >= _ADULT_YEARS
    policy = manifest.policy
    return {
        "mean_absolute_error_of_mode_years": float(np.abs(modes - ages).mean()),
        "mean_absolute_error_of_median_years": float(np.abs(medians - ages).mean()),
        "mean_absolute_error_of_median_under_18_years": float(np.abs(medians - ages)[minors].mean()),
        "exact_year_accuracy": float((np.floor(modes) == np.floor(ages)).mean()),
        "within_one_year_accuracy": float((np.abs(np.floor(modes) - np.floor(ages)) <= 1).mean()),
        "interval_95_coverage": float(inside.mean()),
        "false_adult_share_of_minors": float((adult[minors] >= policy.at_least_probability).mean()),
        "false_minor_share_of_adults": float((adult[adults] <= policy.below_probability).mean()),
        "undetermined_at_18_share": float(
            ((adult < policy.at_least_probability) & (adult > policy.below_probability)).mean()
        ),
    }


def _plate_numbers(facts: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Errors of openness and thickness against the true labels measured with the same ruler."""
    numbers = {}
    for site in PLATE_SITES:
        pairs = [(fact["plates"][site.name]["true"], fact["plates"][site.name]["found"]) for fact in facts]
        for measure in ("openness", "thickness_mm"):
            both = [(t[measure], f[measure]) for t, f in pairs if t[measure] is not None and f[measure] is not None]
            errors = np.abs(np.subtract(*np.array(both, dtype=np.float64).reshape(-1, 2).T))
            numbers[f"{site.name}_{measure}_mean_absolute_error"] = float(errors.mean())
    return numbers


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
`kneeage.phantom.growth`). A real population differs from it in ways that nobody has measured.

## Numbers on held-out virtual subjects
Whole series, seeds that no choice was made on; `kneeage bundle make` prints and stores the same table. Shares run from
0 to 1, ages and errors are in years, lengths in mm. Ages are posterior modes or medians under a uniform prior.

| measure | value |
|---|---|
{rows}

## Calibration
Temperature {temperature:.3f}, fitted on {calibration_subjects} virtual subjects that also chose the age model's
checkpoint. Intervals are credible intervals of the model, not intervals with guaranteed coverage. The threshold rule
is not calibrated; on any image that is not itself virtual every threshold decision is withheld.

## Failure cases to expect
- Sagittal and axial series (abstained from), fat-suppressed, PD and T2 series, metal, motion, fractures, dysplasia.
- Real texture and fat that the virtual scanner does not know: parts of muscle or fat labelled as bone or plate.
- Ages of closed knees: above about 19 years the image holds almost no information, and the distribution is wide.
- Slices far from the plates, and the tuberosity's plate, which this version does not draw.

## Must not be used for
Any statement about a living person's age, alone or with other methods; clinical diagnosis; training labels without
review.

## Provenance
Licence {licence}. Made by `kneeage bundle make` from seeds alone with {made_with}. SHA-256 over the sorted training
and validation subject ids: `{split}`.
"""
