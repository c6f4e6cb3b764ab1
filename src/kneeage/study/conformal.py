"""Fit conformal intervals on subjects that the networks were not trained on.

The conformity score is the share of the predicted distribution below the true age, so that the intervals are narrow
where the image tells much and wide where it tells little. crepes fits the system, Mondrian by sex and predicted
maturity; serving counts in the stored scores (`kneeage.decide.conformal`).

Source: Vovk et al. 2020, Computationally efficient versions of conformal predictive distributions, and Chernozhukov
et al. 2021, doi:10.1073/pnas.2107794118 (the score); Bostroem 2022, crepes, PMLR 179:24-41.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import BundleManifest, Conformal, ConformalGroup
from kneeage.decide.conformal import MIN_SUBJECTS
from kneeage.decide.interval import dies_down
from kneeage.decide.posterior import FloatArray
from kneeage.study.predicted import Predicted

# A sex is parted by predicted maturity into so many bands at most, each of so many subjects at least. Source: ours; the
# size at which the coverage of groups is judged.
MAX_BANDS, BAND_SUBJECTS = 3, 250


@dataclass(frozen=True)
class _Cell:
    """Subjects whose scores go together, and whom they speak for."""

    sexes: list[Sex]
    sex_given: bool
    open_upwards: bool
    low_years: float
    high_years: float
    members: list[Predicted]
    merged: bool = False


def fit_conformal(subjects: Sequence[Predicted], manifest: BundleManifest, *, source: str) -> Conformal:
    """Fit conformal intervals.

    Args:
        subjects: Calibration subjects; none may have trained the networks. Those predicted without their sex serve
            for questions without one, and are left out of the others.
        manifest: The bundle's manifest, for its sexes and ages.
        source: Where the subjects come from, in words.

    Returns:
        The groups. A sex with too few subjects has the scores of both sexes together; where these too are too few,
        there is no group, and the interval served is the model's own, which is said.
    """
    cells = [cell for is_open in (False, True) for cell in _cells(subjects, manifest, is_open=is_open)]
    scores = _sorted_scores(cells)
    groups = [_group(cell, each) for cell, each in zip(cells, scores, strict=True)]
    return Conformal(groups=groups, subjects=sum(subject.sex_given for subject in subjects), source=source)


def _cells(subjects: Sequence[Predicted], manifest: BundleManifest, *, is_open: bool) -> list[_Cell]:
    """Part the subjects whose prediction has an end upwards, or has none."""
    ours = [subject for subject in subjects if dies_down(subject.distribution) != is_open]
    told, untold = ([s for s in ours if s.sex_given is given] for given in (True, False))
    both = list(manifest.sexes)
    own = {sex: _bands([s for s in told if s.sex is sex], manifest, [sex], is_open=is_open) for sex in both}
    cells = [cell for bands in own.values() for cell in bands]
    if not all(own.values()) and len(told) >= MIN_SUBJECTS:
        seen = [sex for sex in both if any(subject.sex is sex for subject in told)]
        cells.append(_Cell(seen, True, is_open, *_ends(manifest), told, merged=True))
    return cells + _bands(untold, manifest, both, is_open=is_open, sex_given=False)


def _bands(
    members: list[Predicted], manifest: BundleManifest, sexes: list[Sex], *, is_open: bool, sex_given: bool = True
) -> list[_Cell]:
    """Part subjects of one kind by predicted maturity, into bands of equal size; none where they are too few."""
    if len(members) < MIN_SUBJECTS:
        return []
    medians = np.array([subject.distribution.quantile(0.5) for subject in members])
    cuts = _cuts(medians, manifest)
    inside = [
        [subject for subject, median in zip(members, medians, strict=True) if low <= median < high]
        for low, high in pairwise(cuts)
    ]
    return [_Cell(sexes, sex_given, is_open, *ends, band) for ends, band in zip(pairwise(cuts), inside, strict=True)]


def _cuts(medians: FloatArray, manifest: BundleManifest) -> list[float]:
    """Give the ends of the bands: as many as leave each enough subjects, where many have the same median too."""
    low, high = _ends(manifest)
    for bands in range(min(MAX_BANDS, max(1, len(medians) // BAND_SUBJECTS)), 1, -1):
        inner = [round(float(cut), 3) for cut in np.quantile(medians, np.arange(1, bands) / bands)]
        cuts = [low, *inner, high]
        if np.histogram(medians, cuts)[0].min() >= MIN_SUBJECTS and all(a < b for a, b in pairwise(cuts)):
            return cuts
    return [low, high]


def _ends(manifest: BundleManifest) -> tuple[float, float]:
    """Give the ends of the bundle's ages."""
    return manifest.age_edges_years[0], manifest.age_edges_years[-1]


def _sorted_scores(cells: list[_Cell]) -> list[list[float]]:
    """Let crepes sort the scores of each cell."""
    # It loads pandas, which nothing else here needs.
    from crepes import ConformalPredictiveSystem

    if not cells:
        return []
    scores = np.array([subject.score for cell in cells for subject in cell.members])
    bins = np.repeat(np.arange(len(cells)), [len(cell.members) for cell in cells])
    fitted = ConformalPredictiveSystem().fit(residuals=scores, bins=bins)
    return [list(map(float, alphas)) for alphas in fitted.binned_alphas[1]]


def _group(cell: _Cell, scores: list[float]) -> ConformalGroup:
    """Write a cell as the bundle stores it."""
    return ConformalGroup(
        sexes=cell.sexes,
        sex_given=cell.sex_given,
        open_upwards=cell.open_upwards,
        low_years=cell.low_years,
        high_years=cell.high_years,
        merged=cell.merged,
        scores=scores,
    )
