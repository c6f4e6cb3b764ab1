"""Fit a bundle to a local sample: location and scale of the age axis, conformal scores, threshold rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from kneeage.core.anatomy import Sex
from kneeage.core.errors import InputRefusedError
from kneeage.core.manifest import BundleManifest, ThresholdPolicy
from kneeage.decide.posterior import FloatArray
from kneeage.decide.question import DEFAULT_THRESHOLDS_YEARS
from kneeage.study.conformal import fit_conformal
from kneeage.study.coverage import is_inside, served_interval
from kneeage.study.predicted import Predicted, predicted
from kneeage.study.tuning import count_errors, together, tune_policy

# Fewer subjects than this are refused. Source: ours; four fifths of them, which the cross-validation fits on, leave
# more than conformal intervals need (`kneeage.decide.conformal.MIN_SUBJECTS`).
MIN_LOCAL_SUBJECTS = 150
FOLDS = 5
# What is looked for. Source: ours; sequences and populations move the age of closure by 0.5 to 2 years.
_LOCATIONS_YEARS, _LOG_SCALES = (-3.0, 3.0), (np.log(1 / 4), np.log(4.0))
# Location and log scale where the search begins.
_FIRST_TRIES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.5]])
# A likelihood of 0 would make one subject decide the whole fit.
_LEAST_LOG_LIKELIHOOD = -30.0
_SEED = 0


@dataclass(frozen=True)
class LocalSubject:
    """A subject of the local sample.

    Args:
        subject_id: Name within the cohort.
        sex: Sex.
        age_years: Chronological age.
        log_likelihood: As the parent bundle serves it, up to a constant, shape (bins,).
    """

    subject_id: str
    sex: Sex
    age_years: float
    log_likelihood: FloatArray


@dataclass(frozen=True)
class Fold:
    """A fifth of the local sample, and the bundle fitted to the other four.

    Args:
        fitted: Its manifest.
        judged: What it says of the fifth.
    """

    fitted: BundleManifest
    judged: tuple[Predicted, ...]


def fit_local(parent: BundleManifest, subjects: Sequence[LocalSubject]) -> BundleManifest:
    """Fit location, scale, conformal scores and the threshold rule.

    Args:
        parent: The bundle that the likelihoods come from.
        subjects: The local sample; none of them trained the networks.

    Returns:
        The parent's manifest with the local calibration. A threshold limit that the sample is too small to tune is
        withdrawn, not kept: it was tuned on another population.
    """
    location, scale = fit_location_scale(parent, subjects)
    old = parent.calibration
    # The likelihoods are the parent's as it serves them: what it was moved by before is in them.
    moved = {"location_years": location, "scale": scale, "conformal": None, "subjects": len(subjects)}
    local = _with_calibration(parent, moved)
    known = _predicted(local, subjects)
    conformal = fit_conformal(known, local, source="local sample")
    thresholds = sorted({rule.age_years for rule in parent.policy.rules}) or DEFAULT_THRESHOLDS_YEARS
    composed = {
        "location_years": old.location_years + location,
        "scale": old.scale * scale,
        "conformal": conformal,
    }
    policy = tune_policy(known, thresholds, limit=parent.policy.limit)
    return _with_calibration(local, composed).model_copy(update={"policy": policy})


def fit_location_scale(manifest: BundleManifest, subjects: Sequence[LocalSubject]) -> tuple[float, float]:
    """Find the location in years and the scale under which the true ages are most likely.

    Returns:
        Location and scale; see `kneeage.decide.likelihood.local_log_likelihood`.
    """
    edges = np.asarray(manifest.age_edges_years)
    likelihoods = np.maximum([subject.log_likelihood for subject in subjects], _LEAST_LOG_LIKELIHOOD)
    bins = np.clip(np.searchsorted(edges, [s.age_years for s in subjects], side="right") - 1, 0, len(edges) - 2)

    def loss(at: FloatArray) -> float:
        """Mean negative log of the density at the true ages."""
        return -_log_score(likelihoods, bins, edges, location_years=float(at[0]), scale=float(np.exp(at[1])))

    found = optimize.minimize(
        loss,
        np.zeros(2),
        method="Nelder-Mead",
        bounds=[_LOCATIONS_YEARS, _LOG_SCALES],
        options={"initial_simplex": _FIRST_TRIES, "xatol": 1e-3, "fatol": 1e-6},
    )
    return float(found.x[0]), float(np.exp(found.x[1]))


def local_numbers(manifest: BundleManifest, subjects: Sequence[Predicted]) -> dict[str, float]:
    """Say how well a bundle does on subjects.

    Args:
        manifest: The bundle's manifest.
        subjects: With what the bundle says of them.

    Returns:
        Named numbers; ages in years, shares from 0 to 1.
    """
    ages = np.array([subject.age_years for subject in subjects])
    medians = np.array([subject.distribution.quantile(0.5) for subject in subjects])
    widths = [i.high - i.low for i in (served_interval(each, manifest) for each in subjects) if i.high is not None]
    adults = np.array([subject.distribution.at_least(18.0) for subject in subjects])
    return {
        "mean_error_years": float(np.mean(medians - ages)),
        "mean_absolute_error_years": float(np.mean(np.abs(medians - ages))),
        "interval_95_coverage": float(np.mean([is_inside(subject, manifest) for subject in subjects])),
        "interval_95_mean_width_years": float(np.mean(widths)) if widths else float("nan"),
        "brier_score_at_18": float(np.mean((adults - (ages >= 18.0)) ** 2)),
    }


def cross_validated(parent: BundleManifest, subjects: Sequence[LocalSubject]) -> list[Fold]:
    """Recalibrate five times on four fifths of a sample, and judge the fifth that had no part in it.

    Args:
        parent: The bundle.
        subjects: The local sample.
    """
    places = np.random.default_rng(_SEED).permutation(len(subjects)) % FOLDS
    return [_fold(parent, subjects, places == fold) for fold in range(FOLDS)]


def before_and_after(
    parent: BundleManifest, subjects: Sequence[LocalSubject], folds: Sequence[Fold]
) -> tuple[dict[str, float], dict[str, float]]:
    """Compare a bundle with itself recalibrated, on subjects that the recalibration of their turn did not see.

    Args:
        parent: The bundle.
        subjects: The local sample.
        folds: Of `cross_validated`.

    Returns:
        The parent's numbers, and the cross-validated ones.
    """
    before = local_numbers(parent, _predicted(_as_served(parent), subjects))
    parts = [local_numbers(fold.fitted, fold.judged) for fold in folds]
    shares = np.array([len(fold.judged) for fold in folds]) / len(subjects)
    after = {name: float(np.dot(shares, [part[name] for part in parts])) for name in before}
    return before, after


def with_errors(policy: ThresholdPolicy, folds: Sequence[Fold]) -> ThresholdPolicy:
    """Give a rule the errors that it makes when it is tuned on four fifths of a sample and counted on the other.

    Args:
        policy: The rule, tuned on the whole sample.
        folds: Of `cross_validated`. A limit that four fifths are too few to tune leaves its fifth undetermined.
    """
    counted = [count_errors(fold.fitted.policy, fold.judged) for fold in folds]
    rules = []
    for rule in policy.rules:
        own = [found.rule(rule.age_years, rule.sex) for found in counted]
        errors = [each.errors for each in own if each is not None and each.errors is not None]
        rules.append(rule.model_copy(update={"errors": together(errors) if errors else None}))
    return policy.model_copy(update={"rules": rules})


def require_enough(subjects: Sequence[LocalSubject], examined: int) -> None:
    """Refuse a sample that is too small.

    Raises:
        InputRefusedError: It is.
    """
    if len(subjects) < MIN_LOCAL_SUBJECTS:
        raise InputRefusedError(
            f"{len(subjects)} of {examined} subjects have an answer from this bundle; recalibration needs at least "
            f"{MIN_LOCAL_SUBJECTS}; add subjects, or use the bundle as it is"
        )


def _fold(parent: BundleManifest, subjects: Sequence[LocalSubject], held_out: NDArray[np.bool_]) -> Fold:
    """Fit on the others and judge one fold."""
    others = [subject for subject, out in zip(subjects, held_out, strict=True) if not out]
    own = [subject for subject, out in zip(subjects, held_out, strict=True) if out]
    served = _as_served(parent)
    fitted = fit_local(served, others)
    return Fold(fitted, tuple(_predicted(fitted, own)))


def _as_served(parent: BundleManifest) -> BundleManifest:
    """Give the manifest for likelihoods that hold the parent's own location and scale already."""
    return _with_calibration(parent, {"location_years": 0.0, "scale": 1.0})


def _with_calibration(manifest: BundleManifest, changes: Mapping[str, object]) -> BundleManifest:
    """Change some of the calibration."""
    return manifest.model_copy(update={"calibration": manifest.calibration.model_copy(update=changes)})


def _predicted(manifest: BundleManifest, subjects: Sequence[LocalSubject]) -> list[Predicted]:
    """Say what a bundle answers, from the likelihoods that it gave."""
    likelihoods = np.array([subject.log_likelihood for subject in subjects])
    return predicted(likelihoods, [s.age_years for s in subjects], [s.sex for s in subjects], manifest)


def _log_score(
    likelihoods: FloatArray, bins: NDArray[np.intp], edges: FloatArray, *, location_years: float, scale: float
) -> float:
    """Mean log-density at the true bins under the reference prior, for likelihoods of shape (n, bins)."""
    centres = (edges[:-1] + edges[1:]) / 2
    # The move is linear: what it makes of each bin alone makes up what it makes of any likelihood.
    move = np.array([np.interp(centres - location_years, centres, unit) for unit in np.eye(len(centres))])
    moved = likelihoods @ move / scale
    total = np.logaddexp.reduce(moved + np.log(np.diff(edges)), axis=1)
    return float(np.mean(moved[np.arange(len(bins)), bins] - total))
