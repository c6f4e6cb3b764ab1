"""What a bundle is worth on held-out virtual subjects: the numbers of its model card."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kneeage.core.manifest import BundleManifest
from kneeage.decide.posterior import FloatArray
from kneeage.learn.judge import Judged
from kneeage.learn.virtual_regions import Facts
from kneeage.study.coverage import coverage, served_interval
from kneeage.study.drawn_plates import drawing_numbers
from kneeage.study.predicted import Predicted, predicted

ADULT_YEARS = 18.0


def held_out_numbers(manifest: BundleManifest, judged: Judged, facts: Sequence[Facts]) -> dict[str, float]:
    """Judge a bundle on subjects that nothing was chosen or fitted on.

    Args:
        manifest: The bundle's manifest, calibrated.
        judged: What its networks say of the subjects.
        facts: Of all subjects, those without an answer too, with truth.

    Returns:
        Named numbers; ages in years, shares from 0 to 1. A number for which there was nobody to measure is left out.
    """
    subjects = predicted(judged.log_likelihoods, judged.ages_years, judged.sexes, manifest)
    numbers = {"subjects": float(len(facts)), "abstained_share": judged.abstained / len(facts)}
    numbers |= age_numbers(subjects) | _interval_numbers(subjects, manifest)
    numbers |= drawing_numbers(facts, manifest.calibration)
    return {name: round(value, 4) for name, value in numbers.items() if np.isfinite(value)}


def age_numbers(subjects: Sequence[Predicted]) -> dict[str, float]:
    """Errors of the most probable age and of the median, and hits by completed year, under the reference prior."""
    ages = np.array([subject.age_years for subject in subjects])
    modes = np.array([subject.distribution.mode_years for subject in subjects])
    medians = np.array([subject.distribution.quantile(0.5) for subject in subjects])
    years_off = np.abs(np.floor(modes) - np.floor(ages))
    return {
        "mean_absolute_error_of_mode_years": _mean(np.abs(modes - ages)),
        "mean_absolute_error_of_median_years": _mean(np.abs(medians - ages)),
        "mean_absolute_error_of_median_under_18_years": _mean(np.abs(medians - ages)[ages < ADULT_YEARS]),
        "exact_year_accuracy": _mean(years_off == 0),
        "within_one_year_accuracy": _mean(years_off <= 1),
    }


def _interval_numbers(subjects: Sequence[Predicted], manifest: BundleManifest) -> dict[str, float]:
    """Coverage of the intervals as they are served, and how many have no upper end."""
    (everybody,) = coverage(subjects, manifest)
    open_upwards = [served_interval(subject, manifest).high is None for subject in subjects]
    return {
        "interval_95_coverage": everybody.inside.value,
        "interval_95_coverage_low": everybody.inside.low,
        "interval_95_coverage_high": everybody.inside.high,
        "interval_95_open_upwards_share": _mean(np.array(open_upwards)),
    }


def _mean(values: NDArray[np.bool_] | FloatArray) -> float:
    """Mean; not a number where there is nothing to average."""
    return float(np.mean(values)) if values.size else float("nan")
