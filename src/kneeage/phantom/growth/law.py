"""The law of growth: chronological age, sex, weight and height become the latents of one knee.

The image depends on age only through these latents, and their joint law is known, so ``ceiling`` can compute how well
age could be read from them at best. The law, with the constants of a ``GrowthTable``:

- *maturity*, in years of an average male: age - tempo (normal, shared by the whole knee), plus what females are ahead,
  plus what weight for age advances;
- *years left* of a plate: its median closure age - maturity + its own deviation (normal). The tibia's own deviation
  also holds a triangular spread and comes earlier in females, the tuberosity closes an exponential delay after it;
- a plate's thickness falls with the years left, times log-normal noise; its bridged share follows from the years left
  exactly; its scar fades once they are over;
- bone width, cartilage, roundness, marrow and trabeculae follow maturity, each with noise of its own;
- patterns are drawn without regard to age.

So sex and covariates act through maturity alone, but for the width of the bones and the tibia's place in the order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from kneeage.core.anatomy import Sex
from kneeage.phantom.growth.latents import KneeLatents, PlateLatents
from kneeage.phantom.growth.table import FORENSIC, TABLE1, TABLE1_TIGHT, TABLES, GrowthTable, Parameter, table_hash

__all__ = [
    "FORENSIC",
    "PLATES",
    "TABLE1",
    "TABLE1_TIGHT",
    "TABLES",
    "Covariates",
    "GrowthTable",
    "KneeLatents",
    "Latents",
    "Parameter",
    "PlateLatents",
    "Sample",
    "Sign",
    "body_signs",
    "draw_latents",
    "grow",
    "normal_score",
    "scar_logit",
    "stacked",
    "table_hash",
    "thickness_mm",
]

FloatArray = NDArray[np.floating[Any]]
# Latents of many knees: arrays of one shape (n,) under names such as "femur.thickness_mm" and "red_marrow".
Latents = dict[str, FloatArray]

PLATES = ("femur", "tibia", "fibula", "tuberosity")


@dataclass(frozen=True, eq=False)
class Covariates:
    """What is known of each subject beside the image; arrays of shape (n,).

    Args:
        female: Whether the subject is female, bool.
        height_score: Height for age and sex, in standard deviations.
        weight_score: Weight for age and sex, in standard deviations.
    """

    female: NDArray[np.bool_]
    height_score: FloatArray
    weight_score: FloatArray

    def advance_years(self, table: GrowthTable) -> FloatArray:
        """Give by how much each subject's median maturity is ahead of age, in years."""
        return np.asarray(
            table.female_earlier_years.value * self.female + table.weight_advance_years.value * self.weight_score
        )


@dataclass(frozen=True, eq=False)
class Sample:
    """Many subjects and the truth about them; arrays of shape (n,).

    Args:
        age_years: Chronological ages.
        covariates: What is known beside the image.
        years_left: Years to the closure of each plate, negative after it.
        latents: What the image may show.
    """

    age_years: FloatArray
    covariates: Covariates
    years_left: dict[str, FloatArray]
    latents: Latents


@dataclass(frozen=True, eq=False)
class Sign:
    """The law of one sign of maturity: normal on its own scale.

    Args:
        mean: Mean on that scale.
        sd: Standard deviation on that scale.
    """

    mean: FloatArray
    sd: float


def draw_latents(
    chronological_age_years: float,
    sex: Sex,
    rng: np.random.Generator,
    table: GrowthTable | None = None,
    *,
    height_percentile: float = 50.0,
    weight_percentile: float = 50.0,
) -> KneeLatents:
    """Draw the latents of one subject.

    Args:
        chronological_age_years: Decimal age, 6 to 30.
        sex: Sex of the subject.
        rng: Source of the between-subject variation.
        table: Constants of the law; ``FORENSIC`` when None.
        height_percentile: Height for age and sex, 0 to 100.
        weight_percentile: Weight for age and sex, 0 to 100; a heavy subject matures earlier.

    Returns:
        The latents of one knee.
    """
    table = table or FORENSIC
    covariates = Covariates(
        female=np.array([sex is Sex.FEMALE]),
        height_score=normal_score(np.array([height_percentile]), table),
        weight_score=normal_score(np.array([weight_percentile]), table),
    )
    sample = grow(np.array([chronological_age_years]), covariates, rng, table)
    return _knee(sample.latents, 0)


def normal_score(percentile: FloatArray, table: GrowthTable) -> FloatArray:
    """Turn percentiles, 0 to 100, into standard deviations from the median."""
    largest = table.covariates.largest_score.value
    return np.asarray(np.clip(special.ndtri(percentile / 100), -largest, largest))


def grow(age_years: FloatArray, covariates: Covariates, rng: np.random.Generator, table: GrowthTable) -> Sample:
    """Draw many subjects at once.

    Args:
        age_years: Chronological ages, shape (n,).
        covariates: Of the same subjects.
        rng: Source of the between-subject variation.
        table: Constants of the law.

    Returns:
        The subjects with their latents.
    """
    tempo = rng.normal(0.0, table.tempo_sd_years.value, len(age_years))
    maturity = age_years - tempo + covariates.advance_years(table)
    years_left = _years_left(maturity, covariates.female, rng, table)
    latents: Latents = {}
    for plate in PLATES:
        drawn = _plate(plate, years_left[plate], rng, table) | _pattern(plate, len(age_years), rng, table)
        latents |= {f"{plate}.{name}": values for name, values in drawn.items()}
    for name, sign in body_signs(maturity, covariates, table).items():
        latents[name] = from_scale(name, rng.normal(sign.mean, sign.sd), table)
    return Sample(age_years, covariates, years_left, latents)


def stacked(knees: Sequence[KneeLatents]) -> Latents:
    """Put the latents of several knees into arrays, shape (n,)."""
    rows = [_flat(asdict(knee)) for knee in knees]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def thickness_mm(plate: str, years_left: FloatArray, table: GrowthTable) -> FloatArray:
    """Give the median thickness of a plate in mm, for years left to closure."""
    law = getattr(table, plate)
    growing = law.thickness_at_closure_mm.value + law.thinning_mm_per_year.value * np.maximum(years_left, 0.0)
    return np.asarray(np.minimum(growing, law.thickest_mm.value))


def bridged_share(plate: str, years_left: FloatArray, table: GrowthTable) -> FloatArray:
    """Give the share of a plate that has closed, 0 to 1, for years left to closure."""
    return np.asarray(np.clip(1.0 - years_left / getattr(table, plate).bridging_years.value, 0.0, 1.0))


def scar_logit(years_left: FloatArray, table: GrowthTable) -> FloatArray:
    """Give the mean logit of a scar's strength, for years left to closure; it fades once these are below zero."""
    fresh, old = special.logit([table.scar_at_closure.value, table.scar_in_the_end.value])
    return np.asarray(old + (fresh - old) * np.exp(np.minimum(years_left, 0.0) / table.scar_fading_years.value))


def body_signs(maturity: FloatArray, covariates: Covariates, table: GrowthTable) -> dict[str, Sign]:
    """Give the law of each sign beside the plates, for given maturities.

    Args:
        maturity: In years of an average male, of a shape that broadcasts with the covariates'.
        covariates: Sex and height set the width of the bones.
        table: Constants of the law.

    Returns:
        Mean and SD of each sign, on the scale that ``to_scale`` names.
    """
    body = {name: parameter.value for name, parameter in vars(table.body).items()}
    return {
        "bone_half_width_mm": Sign(_width_log(maturity, covariates, body), body["half_width_log_sd"]),
        "epiphyseal_cartilage_mm": Sign(_cartilage_log(maturity, body), body["cartilage_log_sd"]),
        "epiphyseal_roundness": _falling(np.minimum(maturity, body["roundness_stops_years"]), body, "roundness"),
        "red_marrow": _falling(maturity, body, "marrow"),
        "red_islands": _falling(maturity, body, "islands"),
        "trabecular_density": Sign(
            body["trabecular_log_per_year"] * (maturity - body["trabecular_one_years"]), body["trabecular_log_sd"]
        ),
    }


def to_scale(name: str, values: FloatArray, table: GrowthTable) -> FloatArray:
    """Bring a sign of the body to the scale that it is normal on: logit for shares, log for the rest."""
    most = _most(name, table)
    return np.asarray(np.log(values) if most is None else special.logit(values / most))


def from_scale(name: str, scaled: FloatArray, table: GrowthTable) -> FloatArray:
    """Undo ``to_scale``."""
    most = _most(name, table)
    return np.asarray(np.exp(scaled) if most is None else special.expit(scaled) * most)


def _most(name: str, table: GrowthTable) -> float | None:
    """Give the largest value of a share; None for other signs."""
    return {"epiphyseal_roundness": 1.0, "red_marrow": table.body.marrow_most.value, "red_islands": 1.0}.get(name)


def median_closure_years(plate: str, table: GrowthTable) -> float:
    """Give the maturity at which a male's plate closes when nothing of its own moves it."""
    after = {
        "femur": 0.0,
        "fibula": table.fibula_after_femur_years.value,
        "tibia": table.tibia_after_femur_years.value,
        "tuberosity": table.tibia_after_femur_years.value,
    }
    return table.femur_closure_male_years.value + after[plate]


def tibia_earlier_years(female: NDArray[np.bool_], table: GrowthTable) -> FloatArray:
    """Give by how much earlier than in males the tibia closes, beyond what females are ahead everywhere."""
    return np.asarray(table.female_tibia_earlier_years.value * female)


def _years_left(
    maturity: FloatArray, female: NDArray[np.bool_], rng: np.random.Generator, table: GrowthTable
) -> dict[str, FloatArray]:
    """Draw the years to each plate's closure; arrays of shape (n,)."""
    count, own_sd = len(maturity), table.own_sd_years.value
    left: dict[str, FloatArray] = {
        plate: median_closure_years(plate, table) - maturity + rng.normal(0.0, own_sd, count)
        for plate in ("femur", "tibia", "fibula")
    }
    left["tibia"] = left["tibia"] - tibia_earlier_years(female, table)
    before, after = table.tibia_spread_before_years.value, table.tibia_spread_after_years.value
    if before + after > 0:
        left["tibia"] = left["tibia"] + rng.triangular(-before, 0.0, after, count)
    left["tuberosity"] = left["tibia"] + rng.exponential(table.tuberosity_after_tibia_years.value, count)
    return left


def _plate(plate: str, years_left: FloatArray, rng: np.random.Generator, table: GrowthTable) -> Latents:
    """Draw the latents of a plate that tell its maturity."""
    count = len(years_left)
    noise = rng.lognormal(0.0, table.thickness_log_sd.value, count)
    return {
        "thickness_mm": thickness_mm(plate, years_left, table) * noise,
        "bridged": bridged_share(plate, years_left, table),
        "scar": special.expit(rng.normal(scar_logit(years_left, table), table.scar_logit_sd.value)),
    }


def _pattern(plate: str, count: int, rng: np.random.Generator, table: GrowthTable) -> Latents:
    """Draw the latents of a plate that tell nothing of age."""
    law = {name: parameter.value for name, parameter in vars(table.pattern).items()}
    lateral = law["tibia_lateral_mean_mm"] if plate == "tibia" else 0.0
    return {
        "unevenness": rng.uniform(law["unevenness_low"], law["unevenness_high"], count),
        "bridging_posterior_mm": rng.normal(law["posterior_mean_mm"], law["posterior_sd_mm"], count),
        "bridging_lateral_mm": rng.normal(lateral, law["lateral_sd_mm"], count),
        "patchiness": rng.uniform(law["patchiness_low"], law["patchiness_high"], count),
        "undulation_mm": rng.uniform(law["undulation_low_mm"], law["undulation_high_mm"], count),
        "border": rng.uniform(law["border_low"], law["border_high"], count),
    }


def _width_log(maturity: FloatArray, covariates: Covariates, body: Mapping[str, float]) -> FloatArray:
    """Give the mean log of the femur's half width in mm."""
    adult = np.where(covariates.female, body["half_width_female_mm"], body["half_width_male_mm"])
    missing = np.clip(body["half_width_stops_years"] - maturity, 0.0, body["half_width_growing_years"])
    grown = np.log1p(-body["half_width_growth_per_year"] * missing)
    return np.asarray(np.log(adult) + body["half_width_per_height_sd"] * covariates.height_score + grown)


def _cartilage_log(maturity: FloatArray, body: Mapping[str, float]) -> FloatArray:
    """Give the mean log of the epiphyseal cartilage in mm."""
    starts, stops = body["cartilage_starts_years"], body["cartilage_stops_years"]
    thinned = body["cartilage_log_per_year"] * (np.clip(maturity, starts, stops) - starts)
    return np.asarray(np.log(body["cartilage_in_childhood_mm"]) - thinned)


def _falling(maturity: FloatArray, body: Mapping[str, float], name: str) -> Sign:
    """Give the law of a share that falls with maturity."""
    mean = (body[f"{name}_middle_years"] - maturity) / body[f"{name}_width_years"]
    return Sign(np.asarray(mean), body[f"{name}_logit_sd"])


def _knee(latents: Latents, n: int) -> KneeLatents:
    """Give one knee of many."""
    parts: dict[str, Any] = {plate: PlateLatents(**_part(latents, f"{plate}.", n)) for plate in PLATES}
    parts |= {name: float(values[n]) for name, values in latents.items() if "." not in name}
    return KneeLatents(**parts)


def _part(latents: Latents, prefix: str, n: int) -> dict[str, float]:
    """Give the latents of one plate of one knee."""
    return {name.removeprefix(prefix): float(values[n]) for name, values in latents.items() if name.startswith(prefix)}


def _flat(tree: Mapping[str, Any]) -> dict[str, float]:
    """Write nested latents under dotted names."""
    flat: dict[str, float] = {}
    for name, value in tree.items():
        inner = {f"{name}.{key}": number for key, number in value.items()} if isinstance(value, dict) else {name: value}
        flat |= inner
    return flat
