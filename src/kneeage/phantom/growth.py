"""Growth: chronological age, sex and tempo become the latents of each growth plate and of the bones.

The image depends on age only through these latents. Values marked ``assumed`` have no published figure at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kneeage.core.anatomy import Sex


@dataclass(frozen=True)
class PlateGrowth:
    """How one plate thins and closes.

    Ages in years, lengths in mm. ``closure_male_years`` is the median age at which the last open part closes.
    """

    closure_male_years: float
    thickness_at_closure_mm: float
    thinning_mm_per_year: float
    thickest_mm: float
    bridging_years: float


@dataclass(frozen=True)
class GrowthTable:
    """Every constant of the growth law.

    Source: closure ages, their order and their SD from the derived prior (male femur 17.4-18.5 y, between-subject SD
    0.74 y, female 1.2-2.2 y earlier), which rests on Deng 2025, Kvist 2021 and Kraemer 2014; thickness by age from
    three male 3T knees (femur 2.0 mm at 14 y and 1.3 mm at 16 y; tibia 1.9 and 0.8 mm). All else is ``assumed``.
    """

    femur: PlateGrowth = field(default_factory=lambda: PlateGrowth(18.0, 0.8, 0.30, 3.2, 2.2))
    tibia: PlateGrowth = field(default_factory=lambda: PlateGrowth(18.1, 0.7, 0.28, 3.0, 2.4))
    female_earlier_years: float = 1.7
    closure_sd_years: float = 0.70
    closure_plate_sd_years: float = 0.24
    thickness_log_sd: float = 0.10
    scar_fading_years: float = 5.0
    bone_half_width_adult_mm: tuple[float, float] = (39.5, 35.0)
    bone_growth_stops_years: tuple[float, float] = (17.0, 15.0)
    bone_half_width_log_sd: float = 0.045


@dataclass(frozen=True)
class PlateLatents:
    """State of one plate: all that the image may know of it.

    Args:
        thickness_mm: Mean thickness of the open part.
        bridged: Share of the plate's extent that has closed, 0 to 1.
        scar: Darkness of the remnant where the plate has closed, 0 (invisible) to 1.
    """

    thickness_mm: float
    bridged: float
    scar: float


@dataclass(frozen=True)
class KneeLatents:
    """State of one knee: all that the image may know of the subject's age and sex."""

    femur: PlateLatents
    tibia: PlateLatents
    bone_half_width_mm: float
    red_marrow: float
    epiphyseal_cartilage_mm: float


def draw_latents(
    chronological_age_years: float, sex: Sex, rng: np.random.Generator, table: GrowthTable | None = None
) -> KneeLatents:
    """Draw the latents of one subject.

    Args:
        chronological_age_years: Decimal age, 6 to 30.
        sex: Sex of the subject.
        rng: Source of the between-subject variation.
        table: Constants of the law; the default table when None.
    """
    table = table or GrowthTable()
    tempo = rng.normal(0.0, table.closure_sd_years)
    return KneeLatents(
        femur=_plate(table.femur, table, chronological_age_years, sex, tempo, rng),
        tibia=_plate(table.tibia, table, chronological_age_years, sex, tempo, rng),
        bone_half_width_mm=_bone_half_width(table, chronological_age_years - tempo, sex, rng),
        red_marrow=float(np.clip(0.30 - 0.02 * (chronological_age_years - 8) + rng.normal(0, 0.10), 0.0, 0.5)),
        epiphyseal_cartilage_mm=float(
            np.clip(3.6 - 0.16 * (chronological_age_years - tempo - 8), 1.8, 4.0) * rng.lognormal(0, 0.1)
        ),
    )


def _plate(
    plate: PlateGrowth, table: GrowthTable, age_years: float, sex: Sex, tempo: float, rng: np.random.Generator
) -> PlateLatents:
    """Draw one plate's state; ``tempo`` shifts both plates alike, the rest is the plate's own."""
    earlier = table.female_earlier_years if sex is Sex.FEMALE else 0.0
    closure = plate.closure_male_years - earlier + tempo + rng.normal(0.0, table.closure_plate_sd_years)
    years_left = closure - age_years
    thickness = plate.thickness_at_closure_mm + plate.thinning_mm_per_year * max(years_left, 0.0)
    thickness = min(thickness, plate.thickest_mm) * rng.lognormal(0.0, table.thickness_log_sd)
    bridged = float(np.clip(1.0 - years_left / plate.bridging_years, 0.0, 1.0))
    fading = np.exp(-max(-years_left, 0.0) / table.scar_fading_years)
    scar = float(np.clip(rng.uniform(0.10, 0.45) + rng.uniform(0.15, 0.55) * fading, 0.0, 1.0))
    return PlateLatents(thickness_mm=float(thickness), bridged=bridged, scar=scar)


def _bone_half_width(table: GrowthTable, bone_age_years: float, sex: Sex, rng: np.random.Generator) -> float:
    """Draw half the width of the distal femur in mm; growth slows towards the adult size (``assumed`` shape)."""
    adult = table.bone_half_width_adult_mm[int(sex is Sex.FEMALE)]
    stops = table.bone_growth_stops_years[int(sex is Sex.FEMALE)]
    missing = np.clip((stops - bone_age_years) / 10.0, 0.0, 1.0)
    return float(adult * (1.0 - 0.24 * missing) * rng.lognormal(0.0, table.bone_half_width_log_sd))
