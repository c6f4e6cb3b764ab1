"""Plates as they can be measured on true labels at image resolution, and the errors of that measurement.

What is measured is what ``kneeage.infer.morphometry`` gives: the median thickness of the open part and the share of
the site that is open, for the femoral and the tibial plate.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from scipy import special

from kneeage.phantom.growth.age_law import MaturityGrid, normal_density
from kneeage.phantom.growth.law import (
    FloatArray,
    GrowthTable,
    Latents,
    bridged_share,
    median_closure_years,
    thickness_mm,
)


@dataclass(frozen=True)
class MeasurementError:
    """How a measured plate differs from its latents, as simulated from labels.

    Args:
        open_log_bias: Mean of log(measured / true thickness) where nothing is bridged.
        open_log_sd: Its standard deviation.
        bridging_log_bias: The same mean in a bridging plate.
        bridging_log_sd: Its standard deviation.
        openness_offset: Mean measured openness of a bridging plate is offset + slope x (1 - bridged).
        openness_slope: See above.
        openness_sd: Standard deviation around it; what falls below 0 or above 1 is measured as 0 or 1.
        short_share: Share of plates where nothing is bridged that are measured as less than wholly open.
        short_mean: Mean by which their openness falls short of 1; it is exponentially distributed.
    """

    open_log_bias: float
    open_log_sd: float
    bridging_log_bias: float
    bridging_log_sd: float
    openness_offset: float
    openness_slope: float
    openness_sd: float
    short_share: float
    short_mean: float


def _errors() -> dict[str, MeasurementError]:
    """Read what ``python -m benchmarks.plate_measurements`` fitted to its ``results/plate_measurements.csv``."""
    text = files("kneeage.phantom.growth").joinpath("measured_errors.json").read_text(encoding="utf-8")
    return {plate: MeasurementError(**figures) for plate, figures in json.loads(text).items()}


ERRORS = _errors()


def fit_error(
    *, thickness_mm: FloatArray, bridged: FloatArray, measured_thickness_mm: FloatArray, measured_openness: FloatArray
) -> MeasurementError:
    """Fit the errors of one plate's measurement.

    Args:
        thickness_mm: True thickness of n plates.
        bridged: Their true bridged share.
        measured_thickness_mm: What was measured; nan where nothing was open.
        measured_openness: What was measured.
    """
    seen = measured_openness > 0
    ratio = np.log(np.where(seen, measured_thickness_mm, 1.0) / thickness_mm)
    untouched, bridging = bridged <= 0.0, (bridged > 0.0) & (bridged < 1.0)
    slope, offset = np.polyfit(1.0 - bridged[bridging], measured_openness[bridging], 1)
    rest = measured_openness - offset - slope * (1.0 - bridged)
    figures = (
        *(*_moments(ratio[untouched]), *_moments(ratio[bridging & seen])),
        *(offset, slope, np.std(rest[bridging])),
        *_shortfall(1.0 - measured_openness[untouched]),
    )
    return MeasurementError(*(float(figure) for figure in figures))


def measure(latents: Latents, rng: np.random.Generator) -> Latents:
    """Draw what would be measured of many knees.

    Args:
        latents: Of n knees.
        rng: Source of the errors.

    Returns:
        ``"femur.measured_thickness_mm"`` (nan where nothing is open), ``"femur.measured_openness"``, and the tibia's.
    """
    drawn: Latents = {}
    for plate, error in ERRORS.items():
        bridged = latents[f"{plate}.bridged"]
        openness = np.clip(rng.normal(_expected(error, bridged), error.openness_sd), 0.0, 1.0)
        short = rng.exponential(error.short_mean, bridged.shape) * (rng.random(bridged.shape) < error.short_share)
        untouched = np.maximum(1.0 - short, 0.0)
        openness = np.where(bridged <= 0.0, untouched, np.where(bridged >= 1.0, 0.0, openness))
        noise = rng.normal(*_thickness_law(error, bridged))
        thickness = latents[f"{plate}.thickness_mm"] * np.exp(noise)
        drawn[f"{plate}.measured_openness"] = openness
        drawn[f"{plate}.measured_thickness_mm"] = np.where(openness > 0.0, thickness, np.nan)
    return drawn


@dataclass(frozen=True, eq=False)
class MeasuredPlates:
    """What measurements say of the plates.

    Args:
        measurements: As ``measure`` names them, of n knees.
        table: Constants of the law.
    """

    measurements: Latents
    table: GrowthTable

    def likelihood(self, plate: str, grid: MaturityGrid) -> FloatArray | None:
        """Likelihood of each own maturity, shape (n, m); None for a plate that is not measured."""
        if plate not in ERRORS:
            return None
        years_left = median_closure_years(plate, self.table) - grid.points
        openness = self.measurements[f"{plate}.measured_openness"][:, None]
        thickness = self.measurements[f"{plate}.measured_thickness_mm"][:, None]
        seen = np.where(openness > 0.0, self._thickness(plate, years_left, thickness), 1.0)
        return np.asarray(self._openness(plate, years_left, openness) * seen)

    def _thickness(self, plate: str, years_left: FloatArray, measured: FloatArray) -> FloatArray:
        """Density of the measured thickness, shape (n, m)."""
        bias, error_sd = _thickness_law(ERRORS[plate], bridged_share(plate, years_left, self.table))
        expected = np.log(thickness_mm(plate, years_left, self.table)) + bias
        sd = np.hypot(self.table.thickness_log_sd.value, error_sd)
        return normal_density(np.log(np.where(np.isnan(measured), 1.0, measured)) - expected, sd)

    def _openness(self, plate: str, years_left: FloatArray, measured: FloatArray) -> FloatArray:
        """Density of the measured openness, with its atoms at 0 and 1; shape (n, m)."""
        error, bridged = ERRORS[plate], bridged_share(plate, years_left, self.table)
        above = (_expected(error, bridged) - measured) / error.openness_sd
        none = np.where(bridged <= 0.0, 0.0, np.where(bridged >= 1.0, 1.0, special.ndtr(-above)))
        whole = np.where(bridged <= 0.0, 1.0 - error.short_share, np.where(bridged >= 1.0, 0.0, special.ndtr(above)))
        short = error.short_share * np.exp(-(1.0 - measured) / error.short_mean) / error.short_mean
        between = np.where(bridged <= 0.0, short, normal_density(above, 1.0) / error.openness_sd)
        between = np.where(bridged >= 1.0, 0.0, between)
        return np.asarray(np.where(measured <= 0.0, none, np.where(measured >= 1.0, whole, between)))


def _expected(error: MeasurementError, bridged: FloatArray) -> FloatArray:
    """Give the mean measured openness of a bridging plate, before it is cut at 0 and 1."""
    return np.asarray(error.openness_offset + error.openness_slope * (1.0 - bridged))


def _thickness_law(error: MeasurementError, bridged: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give mean and SD of log(measured / true thickness)."""
    untouched = bridged <= 0.0
    bias = np.where(untouched, error.open_log_bias, error.bridging_log_bias)
    return bias, np.where(untouched, error.open_log_sd, error.bridging_log_sd)


def _shortfall(short: FloatArray) -> tuple[float, float]:
    """Give the share of untouched plates that are not measured as wholly open, and the mean by which they are not.

    Counted as if one more such plate had been seen, a hundredth short: what was never seen is not impossible.
    """
    count = np.count_nonzero(short) + 1
    return count / (len(short) + 1), float(np.sum(short) + 0.01) / count


def _moments(values: FloatArray) -> tuple[float, float]:
    """Give mean and standard deviation."""
    return float(np.mean(values)), float(np.std(values))
