"""The probability of each age, given what can be seen of one knee: the growth law turned round, on a grid.

Maturity (see ``growth``) stands between age and everything else. The likelihood of each maturity is the product of what
the plates and the other signs say; smoothed by the tempo and moved by sex and weight it is the likelihood of each age.

A plate that is bridging tells its years left exactly; its own deviation alone then blurs maturity, and the posterior
of age is a normal distribution in closed form (``closed_form_age``). All else is computed on the grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from kneeage.phantom.growth.law import (
    Covariates,
    FloatArray,
    GrowthTable,
    Latents,
    body_signs,
    median_closure_years,
    scar_logit,
    thickness_mm,
    tibia_earlier_years,
    to_scale,
)

# A grid step is this share of the narrowest of the law's normal distributions, within these limits in years.
_STEPS_PER_SD, _STEP_LIMITS = 4, (0.02, 0.05)
# How far the grid of maturities reaches beyond the ages, in standard deviations of what lies between them.
_REACH_SD = 4.5
_TINY = 1e-30
# Heights for age between which a likelihood is interpolated: every 0.3 SD, over which bones widen by 0.14 of their SD.
_HEIGHTS = 17


@dataclass(frozen=True, eq=False)
class Ages:
    """The ages that are told apart, and how frequent they are.

    Args:
        first_year: First completed year.
        year_weights: Share of subjects in each completed year, shape (years,); ages are uniform within a year.
        per_year: Grid points in each year.
    """

    first_year: int
    year_weights: FloatArray
    per_year: int

    @property
    def points(self) -> FloatArray:
        """Middle of each grid cell in years, shape (years x per_year,)."""
        count = len(self.year_weights) * self.per_year
        return np.asarray(self.first_year + (np.arange(count) + 0.5) / self.per_year)

    @property
    def prior(self) -> FloatArray:
        """Probability of each grid cell."""
        weights = self.year_weights / np.sum(self.year_weights)
        return np.asarray(np.repeat(weights / self.per_year, self.per_year))


@dataclass(frozen=True, eq=False)
class MaturityGrid:
    """An even grid of maturities in years.

    Args:
        points: Shape (m,).
        step: Distance of neighbours.
    """

    points: FloatArray
    step: float

    @staticmethod
    def around(ages: Ages, table: GrowthTable) -> MaturityGrid:
        """Make a grid that holds every maturity that subjects of these ages may have."""
        step = 1.0 / ages.per_year
        spread = np.hypot(table.tempo_sd_years.value, table.weight_advance_years.value) + step
        low = ages.points[0] - _REACH_SD * spread
        high = ages.points[-1] + _REACH_SD * spread + table.female_earlier_years.value
        return MaturityGrid(np.arange(low, high, step), step)


class PlateEvidence(Protocol):
    """What is known of the plates of many knees, as likelihoods over a plate's own maturity.

    A plate's own maturity is its median closure age less its years left.
    """

    def likelihood(self, plate: str, grid: MaturityGrid) -> FloatArray | None:
        """Likelihood of each own maturity, shape (n, m); None where the plate was not looked at."""


def points_per_year(table: GrowthTable) -> int:
    """Give how many grid points a year needs for a table."""
    narrow = min(table.tempo_sd_years.value, table.own_sd_years.value)
    return round(1 / float(np.clip(narrow / _STEPS_PER_SD, *_STEP_LIMITS)))


@dataclass(frozen=True, eq=False)
class TruePlates:
    """The plates' latents, exactly.

    Args:
        latents: Of n knees.
        table: Constants of the law.
    """

    latents: Latents
    table: GrowthTable

    def likelihood(self, plate: str, grid: MaturityGrid) -> FloatArray:
        """Likelihood of each own maturity; a spike where a bridging plate tells it exactly."""
        years_left = median_closure_years(plate, self.table) - grid.points
        bridged = self.latents[f"{plate}.bridged"][:, None]
        bridging_years = getattr(self.table, plate).bridging_years.value
        still_open = _cells_above(years_left - bridging_years, grid.step) * self._thickness(plate, years_left)
        closed = _cells_above(-years_left, grid.step) * self._scar(plate, years_left)
        exact = _spike(years_left - bridging_years * (1.0 - bridged), grid.step)
        return np.asarray(np.where(bridged <= 0.0, still_open, np.where(bridged >= 1.0, closed, exact)))

    def _thickness(self, plate: str, years_left: FloatArray) -> FloatArray:
        """Density of the thickness."""
        expected = np.log(thickness_mm(plate, years_left, self.table))
        return normal_density(
            np.log(self.latents[f"{plate}.thickness_mm"])[:, None] - expected, self.table.thickness_log_sd.value
        )

    def _scar(self, plate: str, years_left: FloatArray) -> FloatArray:
        """Density of the scar's strength."""
        found = special.logit(self.latents[f"{plate}.scar"])[:, None]
        return normal_density(found - scar_logit(years_left, self.table), self.table.scar_logit_sd.value)


def plates_likelihood(
    evidence: PlateEvidence, grid: MaturityGrid, table: GrowthTable, female: NDArray[np.bool_]
) -> FloatArray:
    """Give the likelihood of each maturity by the plates alone.

    Args:
        evidence: What is known of the plates.
        grid: Maturities, shape (m,).
        table: Constants of the law.
        female: Whether each of the n subjects is taken as female.

    Returns:
        Likelihood, shape (n, m), up to a factor that is the same for both sexes.
    """
    likelihood = _blurred(evidence.likelihood("femur", grid), _own_kernel("femur", grid, table))
    fibula = evidence.likelihood("fibula", grid)
    if fibula is not None:
        likelihood = likelihood * _blurred(fibula, _own_kernel("fibula", grid, table))
    tibia, tuberosity = evidence.likelihood("tibia", grid), evidence.likelihood("tuberosity", grid)
    if tibia is not None:
        if tuberosity is not None:
            tibia = tibia * _blurred(tuberosity, _delay_kernel(grid, table))
        ahead = grid.points + tibia_earlier_years(female, table)[:, None]
        likelihood = likelihood * _at(_blurred(tibia, _own_kernel("tibia", grid, table)), grid, ahead)
    return likelihood


def body_likelihood(latents: Latents, covariates: Covariates, grid: MaturityGrid, table: GrowthTable) -> FloatArray:
    """Give the likelihood of each maturity by the signs beside the plates, up to a factor; shape (n, m)."""
    return _exponential(_body_log_likelihood(latents, covariates, grid, table), axis=1)


def body_likelihood_by_height(
    latents: Latents, female: NDArray[np.bool_], grid: MaturityGrid, table: GrowthTable
) -> FloatArray:
    """Give the same likelihood for several heights for age, because the width of the bones follows height.

    Args:
        latents: Of n knees.
        female: Whether each subject is female, shape (n,).
        grid: Maturities, shape (m,).
        table: Constants of the law.

    Returns:
        Likelihood at each of the heights that ``age_posterior_of_bodies`` knows, up to a factor; shape (k, n, m).
    """
    nought = np.zeros(len(female))
    heights = (Covariates(female, nought + height, nought) for height in _heights(table))
    return _exponential(np.stack([_body_log_likelihood(latents, each, grid, table) for each in heights]), axis=(0, 2))


def age_posterior(
    likelihood: FloatArray, grid: MaturityGrid, ages: Ages, covariates: Covariates, table: GrowthTable
) -> FloatArray:
    """Give the probability of each age for readers who know sex and weight.

    Args:
        likelihood: Of each maturity, shape (n, m).
        grid: The maturities.
        ages: The ages and how frequent they are.
        covariates: Of the n subjects.
        table: Constants of the law.

    Returns:
        Probability of each grid cell of ``ages``, shape (n, a).
    """
    blurred = _blurred(_scaled(likelihood), _normal_kernel(grid, table.tempo_sd_years.value))
    return _normalised(_at(blurred, grid, ages.points[None, :] + covariates.advance_years(table)[:, None]) * ages.prior)


def age_posterior_of_bodies(
    likelihood: FloatArray,
    grid: MaturityGrid,
    ages: Ages,
    *,
    covariates: Covariates,
    density: FloatArray,
    table: GrowthTable,
) -> FloatArray:
    """Give the probability of each age for readers who know sex, height in cm and weight in kg.

    Args:
        likelihood: Of each maturity at each of k heights for age, shape (k, n, m); k is 1 where height does not matter.
        grid: The maturities.
        ages: The ages and how frequent they are.
        covariates: What the n subjects would be for their age at each age, arrays that broadcast to shape (n, a).
        density: Density of the measured height and weight at each age, shape (n, a).
        table: Constants of the law.

    Returns:
        Probability of each grid cell of ``ages``, shape (n, a).
    """
    kernel = _normal_kernel(grid, table.tempo_sd_years.value)
    where = ages.points + covariates.advance_years(table)
    largest = np.maximum(likelihood.max(axis=(0, 2)), _TINY)[:, None]
    at_heights = [_at(_blur(each, kernel), grid, where) for each in likelihood / largest]
    return _normalised(_between_heights(at_heights, covariates.height_score, table) * density * ages.prior)


def age_posterior_blind(
    by_sex: Mapping[bool, FloatArray], grid: MaturityGrid, ages: Ages, female_share: float, table: GrowthTable
) -> FloatArray:
    """Give the probability of each age for readers who know neither sex nor weight, only how many are female.

    Args:
        by_sex: Likelihood of each maturity, shape (n, m), of a male (False) and of a female (True), to one factor.
        grid: The maturities.
        ages: The ages and how frequent they are.
        female_share: Share of subjects who are female.
        table: Constants of the law.

    Returns:
        Probability of each grid cell of ``ages``, shape (n, a).
    """
    kernel = _normal_kernel(grid, np.hypot(table.tempo_sd_years.value, table.weight_advance_years.value))
    largest = np.maximum(by_sex[False], by_sex[True]).max(axis=1, keepdims=True)
    mixed = np.zeros(1)
    for female, share in ((False, 1.0 - female_share), (True, female_share)):
        ahead = ages.points + table.female_earlier_years.value * female
        blurred = _blur(by_sex[female] / np.maximum(largest, _TINY), kernel)
        mixed = mixed + share * _at(blurred, grid, np.broadcast_to(ahead, (len(blurred), len(ahead))))
    return _normalised(mixed * ages.prior)


def closed_form_age(years_left: FloatArray, plate: str, covariates: Covariates, table: GrowthTable) -> FloatArray:
    """Give the mean of the posterior of age when one plate's years left are known and all ages are equally frequent.

    The posterior is normal; its SD is ``closed_form_sd``. Not for the tibia, whose place in the order has laws of its
    own.
    """
    return np.asarray(median_closure_years(plate, table) - years_left - covariates.advance_years(table))


def closed_form_sd(table: GrowthTable) -> float:
    """Give the SD in years of the posterior of age when one plate's years left are known."""
    return float(np.hypot(table.tempo_sd_years.value, table.own_sd_years.value))


def normal_density(deviation: FloatArray, sd: float | FloatArray) -> FloatArray:
    """Give the density of a normal distribution around zero."""
    return np.asarray(np.exp(-0.5 * (deviation / sd) ** 2) / (sd * np.sqrt(2 * np.pi)))


def _body_log_likelihood(
    latents: Latents, covariates: Covariates, grid: MaturityGrid, table: GrowthTable
) -> FloatArray:
    """Give the log likelihood of each maturity by the signs beside the plates, up to a summand; shape (n, m)."""
    columns = Covariates(*(part[:, None] for part in vars(covariates).values()))
    log_likelihood = np.zeros((len(covariates.female), len(grid.points)))
    for name, sign in body_signs(grid.points[None, :], columns, table).items():
        log_likelihood -= 0.5 * ((to_scale(name, latents[name], table)[:, None] - sign.mean) / sign.sd) ** 2
    return log_likelihood


def _heights(table: GrowthTable) -> FloatArray:
    """Give the heights for age at which likelihoods are found; between them they are interpolated."""
    largest = table.covariates.largest_score.value
    return np.linspace(-largest, largest, _HEIGHTS)


def _between_heights(values: Sequence[FloatArray], height_score: FloatArray, table: GrowthTable) -> FloatArray:
    """Interpolate values of shape (n, a), one for each of k heights for age, at other heights of that shape."""
    if len(values) == 1:
        return values[0]
    heights = _heights(table)
    place = (height_score - heights[0]) / (heights[1] - heights[0])
    return np.asarray(sum(np.clip(1 - np.abs(place - k), 0, 1) * each for k, each in enumerate(values)))


def _exponential(logarithm: FloatArray, axis: int | tuple[int, ...]) -> FloatArray:
    """Give the exponential, the largest value along the axes brought to one."""
    return np.asarray(np.exp(logarithm - logarithm.max(axis=axis, keepdims=True)))


def _own_kernel(plate: str, grid: MaturityGrid, table: GrowthTable) -> FloatArray:
    """Give the weights from own maturities to maturities; shape (m, m).

    The tibia's own deviation is the sum of a normal and a triangular one.
    """
    kernel = _normal_kernel(grid, table.own_sd_years.value)
    before, after = table.tibia_spread_before_years.value, table.tibia_spread_after_years.value
    if plate != "tibia" or before + after == 0:
        return kernel
    # own maturity = maturity - deviation
    lag = grid.points[None, :] - grid.points[:, None]
    edges = (lag - grid.step / 2, lag + grid.step / 2)
    return (_triangular_share(edges[1], before, after) - _triangular_share(edges[0], before, after)) @ kernel


def _triangular_share(value: FloatArray, before: float, after: float) -> FloatArray:
    """Give the distribution function of a triangular distribution from -before to after with its peak at 0."""
    width = before + after
    rising = np.clip(value + before, 0, before) ** 2 / (width * max(before, _TINY))
    falling = 1 - np.clip(after - value, 0, after) ** 2 / (width * max(after, _TINY))
    return np.asarray(np.where(value < 0, rising, falling))


def _delay_kernel(grid: MaturityGrid, table: GrowthTable) -> FloatArray:
    """Give the weights from the tuberosity's own maturities to the tibia's, which are an exponential delay ahead."""
    lag = grid.points[None, :] - grid.points[:, None]
    mean = table.tuberosity_after_tibia_years.value
    edges = (np.maximum(lag - grid.step / 2, 0.0), np.maximum(lag + grid.step / 2, 0.0))
    return np.asarray(np.exp(-edges[0] / mean) - np.exp(-edges[1] / mean))


def _normal_kernel(grid: MaturityGrid, sd: float) -> FloatArray:
    """Give the weights of a normal deviation between grid points; shape (m, m)."""
    return normal_density(grid.points[None, :] - grid.points[:, None], sd) * grid.step


def _blurred(likelihood: FloatArray | None, kernel: FloatArray) -> FloatArray:
    """Blur likelihoods, shape (n, m), by a kernel, shape (m, m), and scale them; flat where there are none."""
    return np.ones((1, len(kernel))) if likelihood is None else _scaled(_blur(likelihood, kernel))


def _blur(likelihood: FloatArray, kernel: FloatArray) -> FloatArray:
    """Blur likelihoods, shape (n, m), by a kernel, shape (m, m)."""
    return np.asarray(np.asarray(likelihood, np.float32) @ kernel.astype(np.float32))


def _at(values: FloatArray, grid: MaturityGrid, where: FloatArray) -> FloatArray:
    """Interpolate rows of values, shape (n, m), at positions in years, shape (n, a)."""
    position = np.clip((where - grid.points[0]) / grid.step, 0, len(grid.points) - 1.001)
    low = position.astype(np.intp)
    share = position - low
    below, above = np.take_along_axis(values, low, axis=1), np.take_along_axis(values, low + 1, axis=1)
    return np.asarray(below * (1 - share) + above * share)


def _cells_above(value: FloatArray, step: float) -> FloatArray:
    """Give the share of each grid cell in which a value that moves by a step per cell is above zero."""
    return np.asarray(np.clip(value / step + 0.5, 0.0, 1.0))


def _spike(distance: FloatArray, step: float) -> FloatArray:
    """Share a spike out between its two neighbouring grid points, so that its mean is exact."""
    return np.asarray(np.clip(1.0 - np.abs(distance) / step, 0.0, 1.0))


def _scaled(likelihood: FloatArray) -> FloatArray:
    """Bring the largest likelihood of each row to one."""
    return np.asarray(likelihood / np.maximum(likelihood.max(axis=1, keepdims=True), _TINY))


def _normalised(weights: FloatArray) -> FloatArray:
    """Make rows of weights add up to one."""
    return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), _TINY))
