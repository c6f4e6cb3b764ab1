"""The table of growth: every constant of the law, each with its unit, source, tag and plausible range.

Tags say how well a value is known: read in a source, read second-hand, recalled, derived by us, or ``assumed`` where
no figure was found. ``docs/growth.md`` shows the table; what the law does with it stands in ``growth``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from functools import partial
from typing import Any

from kneeage.core.errors import UsageError

# Raised whenever the equations of ``growth`` change what a table means; part of every hash.
LAW_VERSION = 2


class Tag(str, Enum):
    """How a value is known."""

    READ = "R"
    READ_SECOND_HAND = "R2"
    RECALLED = "m"
    DERIVED = "D"
    ASSUMED = "assumed"


@dataclass(frozen=True)
class Parameter:
    """One constant of the law.

    Args:
        value: The value in use.
        low: Lowest plausible value.
        high: Highest plausible value.
        unit: Unit; ``"1"`` for a pure number.
        source: Where value and range come from.
        tag: How well they are known.
        meaning: What the constant is, in a few words.
    """

    value: float
    low: float
    high: float
    unit: str
    source: str
    tag: Tag
    meaning: str

    def with_value(self, value: float) -> Parameter:
        """Give the same parameter with another value of its plausible range.

        Raises:
            UsageError: The value lies outside the range.
        """
        if not self.low <= value <= self.high:
            raise UsageError(f"{value:g} {self.unit} is outside the plausible range {self.low:g} to {self.high:g}")
        return replace(self, value=value)


_HAN = "transitions derived from the minimum ages of Deng 2025, doi 10.1007/s00414-025-03566-3, Han males"
_KNEES = "physis widths of three male 3T T1 knees of about 14, 16 and 18 y, and " + _HAN
_KVIST = "Kvist 2021, doi 10.1111/apa.15617"
_NOTHING = "no figure found"
_NEAR_TIBIA = "near the tibia's, which is better known; by how much they differ is not known"


_ASSUMED, _DERIVED = Tag.ASSUMED, Tag.DERIVED


@dataclass(frozen=True)
class PlateTable:
    """How one plate thins and closes.

    Its thickness falls with the years left to closure, ``thickness_at_closure_mm + thinning x years left``, never
    above ``thickest_mm``; its bridged share rises linearly from 0 to 1 over the last ``bridging_years``.
    """

    thickness_at_closure_mm: Parameter
    thinning_mm_per_year: Parameter
    thickest_mm: Parameter
    bridging_years: Parameter


def _plate(source: str, tag: Tag, at_closure: float, thinning: float, thickest: float, bridging: float) -> PlateTable:
    """Describe one plate; the ranges are ours, as wide as the sources leave open."""
    thinning_range = (0.6 * thinning, 1.5 * thinning)
    return PlateTable(
        Parameter(at_closure, 0.3, 1.4, "mm", source, tag, "thickness when the last open part closes"),
        Parameter(thinning, *thinning_range, "mm/year", source, tag, "thickness per year left to closure"),
        Parameter(thickest, 2.6, 4.5, "mm", _NOTHING, Tag.ASSUMED, "thickness in childhood"),
        Parameter(bridging, 0.6, 2.5, "years", _bridging_source(tag), tag, "from the first bridge to closure"),
    )


def _bridging_source(tag: Tag) -> str:
    """Say where the duration of bridging comes from."""
    return f"{_HAN}: 1.1 between stages IV and V; 1.3 meets more minimum ages" if tag is Tag.DERIVED else "as the tibia"


@dataclass(frozen=True)
class BodyTable:
    """Signs of maturity beside the plates; each depends weakly on maturity, with its own noise.

    Maturity is in years of an average male: chronological age, moved by sex, tempo and weight. ``log`` and ``logit``
    name the scale that a sign is linear and normally distributed on.
    """

    half_width_male_mm: Parameter = Parameter(
        39.5,
        36,
        43,
        "mm",
        "near half of the 81 mm that the scale of the male 3T knees assumes",
        _ASSUMED,
        "half width of the distal femur, adult male",
    )
    half_width_female_mm: Parameter = Parameter(
        35.0, 32, 38, "mm", _NOTHING, _ASSUMED, "half width of the distal femur, adult female"
    )
    half_width_stops_years: Parameter = Parameter(
        17.0, 15, 18, "years", _NOTHING, _ASSUMED, "maturity at which the femur stops to widen"
    )
    half_width_growth_per_year: Parameter = Parameter(
        0.024, 0.01, 0.04, "1/year", _NOTHING, _ASSUMED, "share of the adult width per year before"
    )
    half_width_growing_years: Parameter = Parameter(
        10.0, 8, 12, "years", _NOTHING, _ASSUMED, "years before that in which the femur widens evenly"
    )
    half_width_per_height_sd: Parameter = Parameter(
        0.02, 0.0, 0.04, "1", _NOTHING, _ASSUMED, "log width per SD of height"
    )
    half_width_log_sd: Parameter = Parameter(0.045, 0.03, 0.07, "1", _NOTHING, _ASSUMED, "log SD of the width")
    cartilage_in_childhood_mm: Parameter = Parameter(
        4.0, 3.1, 5.0, "mm", _NOTHING, _ASSUMED, "epiphyseal cartilage before it thins"
    )
    cartilage_starts_years: Parameter = Parameter(
        6.0, 4, 8, "years", _NOTHING, _ASSUMED, "maturity from which it thins"
    )
    cartilage_stops_years: Parameter = Parameter(
        18.0, 17, 20, "years", "as the median closure of the male femur", _ASSUMED, "maturity from which it stays"
    )
    cartilage_log_per_year: Parameter = Parameter(
        0.055, 0.03, 0.08, "1/year", _NOTHING, _ASSUMED, "its log loss per year between"
    )
    cartilage_log_sd: Parameter = Parameter(0.12, 0.08, 0.2, "1", _NOTHING, _ASSUMED, "its log SD")
    roundness_middle_years: Parameter = Parameter(
        11.5, 10, 13, "years", _NOTHING, _ASSUMED, "maturity at which epiphyses are half rounded"
    )
    roundness_width_years: Parameter = Parameter(
        1.6, 1.0, 3.0, "years", _NOTHING, _ASSUMED, "years per unit logit of roundness"
    )
    roundness_stops_years: Parameter = Parameter(
        17.0, 15, 19, "years", _NOTHING, _ASSUMED, "maturity from which roundness stays as it is"
    )
    roundness_logit_sd: Parameter = Parameter(1.0, 0.5, 1.5, "1", _NOTHING, _ASSUMED, "logit SD of roundness")
    marrow_most: Parameter = Parameter(
        0.6, 0.4, 0.8, "1", _NOTHING, _ASSUMED, "largest share of red marrow in a metaphysis"
    )
    marrow_middle_years: Parameter = Parameter(
        8.0, 6, 12, "years", _NOTHING, _ASSUMED, "maturity at which red marrow is half of its most"
    )
    marrow_width_years: Parameter = Parameter(
        6.0, 4.0, 10.0, "years", _NOTHING, _ASSUMED, "years per unit logit of red marrow"
    )
    marrow_logit_sd: Parameter = Parameter(0.7, 0.4, 1.2, "1", _NOTHING, _ASSUMED, "logit SD of red marrow")
    islands_middle_years: Parameter = Parameter(
        6.0, 2, 12, "years", _NOTHING, _ASSUMED, "maturity at which red islands are half of their most"
    )
    islands_width_years: Parameter = Parameter(
        9.0, 6.0, 20.0, "years", _NOTHING, _ASSUMED, "years per unit logit of red islands"
    )
    islands_logit_sd: Parameter = Parameter(1.2, 0.8, 2.0, "1", _NOTHING, _ASSUMED, "logit SD of red islands")
    trabecular_one_years: Parameter = Parameter(
        18.0, 16, 20, "years", _NOTHING, _ASSUMED, "maturity at which the median trabecular density is 1"
    )
    trabecular_log_per_year: Parameter = Parameter(
        0.010, 0.0, 0.02, "1/year", _NOTHING, _ASSUMED, "log rise of trabecular density per year"
    )
    trabecular_log_sd: Parameter = Parameter(0.15, 0.1, 0.25, "1", _NOTHING, _ASSUMED, "log SD of trabecular density")


@dataclass(frozen=True)
class PatternTable:
    """How plates look and where they close; drawn for each plate without regard to age."""

    unevenness_low: Parameter = Parameter(0.05, 0.0, 0.1, "1", _NOTHING, _ASSUMED, "least unevenness of the thickness")
    unevenness_high: Parameter = Parameter(0.40, 0.2, 0.6, "1", _NOTHING, _ASSUMED, "most unevenness of the thickness")
    posterior_mean_mm: Parameter = Parameter(
        4,
        0,
        8,
        "mm",
        "closure begins centrally, slightly posterior (recalled); how far is not known",
        _ASSUMED,
        "bridging begins behind the centre",
    )
    posterior_sd_mm: Parameter = Parameter(3.0, 1.0, 6.0, "mm", _NOTHING, _ASSUMED, "SD of that place")
    tibia_lateral_mean_mm: Parameter = Parameter(
        -3,
        -8,
        0,
        "mm",
        "tibia closes from posteromedial to anterolateral (recalled); how far is not known",
        _ASSUMED,
        "bridging begins lateral, tibia",
    )
    lateral_sd_mm: Parameter = Parameter(
        4.0, 1.0, 8.0, "mm", _NOTHING, _ASSUMED, "SD of the lateral place, every plate"
    )
    patchiness_low: Parameter = Parameter(
        0.1, 0.0, 0.3, "1", _NOTHING, _ASSUMED, "least raggedness of the closing front"
    )
    patchiness_high: Parameter = Parameter(
        0.9, 0.5, 1.0, "1", _NOTHING, _ASSUMED, "most raggedness of the closing front"
    )
    undulation_low_mm: Parameter = Parameter(0.2, 0.0, 0.5, "mm", _NOTHING, _ASSUMED, "least fine undulation")
    undulation_high_mm: Parameter = Parameter(1.2, 0.6, 2.0, "mm", _NOTHING, _ASSUMED, "most fine undulation")
    border_low: Parameter = Parameter(0.50, 0.3, 0.7, "1", _NOTHING, _ASSUMED, "least darkness of the borders")
    border_high: Parameter = Parameter(0.95, 0.8, 1.0, "1", _NOTHING, _ASSUMED, "most darkness of the borders")


@dataclass(frozen=True)
class CovariateTable:
    """How height and weight for age are spread: normal and correlated, without tails."""

    height_weight_correlation: Parameter = Parameter(
        0.5, 0.3, 0.7, "1", _NOTHING, _ASSUMED, "correlation of height and weight for age, before the tails are cut off"
    )
    largest_score: Parameter = Parameter(
        2.5,
        2.0,
        2.5,
        "SD",
        "the power transform of the growth charts (CDC 2000) has no value far out in the tails",
        _ASSUMED,
        "largest deviation of height and weight for age; none is drawn beyond, and given ones count as this",
    )


@dataclass(frozen=True)
class GrowthTable:
    """Every constant of the growth law."""

    femur_closure_male_years: Parameter = Parameter(
        18.0,
        17.4,
        18.5,
        "years",
        f"{_HAN} (stage V); 17.43 (3D MEDIC) to 18.5 (Swedish forensic board)",
        _DERIVED,
        "median age at which the male femoral plate has closed",
    )
    female_earlier_years: Parameter = Parameter(
        1.5,
        1.2,
        2.2,
        "years",
        f"minimum ages of Deng 2025 and Ekizoglu 2020 (0.7 to 2.4 earlier), {_KVIST} (femur 85 % at 17; about 2 years)",
        _DERIVED,
        "by how much females are ahead, everywhere",
    )
    tibia_after_femur_years: Parameter = Parameter(
        0.3,
        -0.5,
        2.4,
        "years",
        f"order of the Qingdao paper; +0.2 in males and -0.7 in females of {_KVIST}, +2.4 in a radiographic series of "
        "northern Han males (recalled)",
        _DERIVED,
        "tibia after femur in males, most frequent value",
    )
    tibia_spread_before_years: Parameter = Parameter(
        0.0,
        0.0,
        0.8,
        "years",
        "the plausible range of the line above, drawn per subject",
        _DERIVED,
        "triangular spread below it",
    )
    tibia_spread_after_years: Parameter = Parameter(
        0.0,
        0.0,
        2.1,
        "years",
        "the plausible range of the line above, drawn per subject",
        _DERIVED,
        "triangular spread above it",
    )
    female_tibia_earlier_years: Parameter = Parameter(
        0.4,
        0.0,
        0.9,
        "years",
        f"0.9 by the shares closed in {_KVIST} (tibia after femur: males +0.2, females -0.7), none by the minimum ages "
        "of Deng 2025, the opposite by those of Ekizoglu 2020",
        _DERIVED,
        "by how much less females' tibia follows the femur",
    )
    fibula_after_femur_years: Parameter = Parameter(
        -0.3,
        -1.0,
        0.5,
        "years",
        "before the femur by the paper's order; size not known",
        _ASSUMED,
        "proximal fibula after femur",
    )
    tuberosity_after_tibia_years: Parameter = Parameter(
        0.3,
        0.05,
        1.0,
        "years",
        "closes last; size not known",
        _ASSUMED,
        "mean delay of the tuberosity after the tibia (exponential)",
    )
    tempo_sd_years: Parameter = Parameter(
        0.65,
        0.35,
        1.25,
        "years",
        "total SD 0.74 (50 % closed at 18.5 y, 25 % at 18.0 y: Swedish forensic board), mostly shared by the plates",
        _DERIVED,
        "SD of the tempo that all of a subject's plates share",
    )
    own_sd_years: Parameter = Parameter(
        0.30, 0.15, 0.6, "years", "what the tempo leaves of the total SD", _DERIVED, "SD of each plate's own deviation"
    )
    weight_advance_years: Parameter = Parameter(
        0.20,
        0.0,
        0.31,
        "years",
        f"odds ratio of fusion 1.7 to 4.0 when overweight, males ({_KVIST}); 0.22 to 0.57 y over 1.83 SD of weight",
        _DERIVED,
        "earlier closure per SD of weight for age",
    )
    thickness_log_sd: Parameter = Parameter(
        0.10, 0.05, 0.2, "1", _NOTHING, _ASSUMED, "log SD of each plate's thickness"
    )
    scar_at_closure: Parameter = Parameter(
        0.88,
        0.6,
        0.97,
        "1",
        "scars at 0.50 and 0.56 of marrow, 0.4 to 0.6 mm wide, in a male 3T T1 knee of about 18 y: so thin a line is "
        "that dark only when it is strong",
        _DERIVED,
        "median strength of a fresh scar",
    )
    scar_in_the_end: Parameter = Parameter(
        0.25,
        0.1,
        0.5,
        "1",
        "scars at 0.90 of marrow in one adult 3T T1 knee, of unknown age",
        _DERIVED,
        "median strength of an old scar",
    )
    scar_fading_years: Parameter = Parameter(
        3.0,
        1.5,
        8.0,
        "years",
        "strong at about 18 y and faint in an adult, the same two knees; how fast is not known",
        _ASSUMED,
        "time in which the logit of its strength comes nearer to the end by 1/e",
    )
    scar_logit_sd: Parameter = Parameter(1.0, 0.5, 1.5, "1", _NOTHING, _ASSUMED, "logit SD of the scar's strength")
    femur: PlateTable = field(default_factory=partial(_plate, _KNEES, _DERIVED, 1.0, 0.29, 3.3, 1.3))
    tibia: PlateTable = field(default_factory=partial(_plate, _KNEES, _DERIVED, 0.45, 0.36, 3.2, 1.3))
    fibula: PlateTable = field(default_factory=partial(_plate, _NEAR_TIBIA, _ASSUMED, 0.6, 0.28, 2.6, 1.3))
    tuberosity: PlateTable = field(default_factory=partial(_plate, _NEAR_TIBIA, _ASSUMED, 0.6, 0.32, 3.0, 1.3))
    body: BodyTable = BodyTable()
    pattern: PatternTable = PatternTable()
    covariates: CovariateTable = CovariateTable()

    def parameters(self) -> dict[str, Parameter]:
        """Give every parameter under its name, such as ``"femur.bridging_years"``."""
        return dict(_walk(self, ""))

    def with_value(self, name: str, value: float) -> GrowthTable:
        """Give the table with one parameter moved within its plausible range.

        Args:
            name: As ``parameters`` names it.
            value: In the parameter's unit.

        Raises:
            UsageError: There is no such parameter, or the value lies outside its range.
        """
        if name not in self.parameters():
            raise UsageError(f"the growth table has no parameter {name!r}; docs/growth.md lists them")
        group, _, leaf = name.rpartition(".")
        holder = getattr(self, group) if group else self
        try:
            changed: dict[str, Any] = {leaf: getattr(holder, leaf).with_value(value)}
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from None
        if group:
            changed = {group: replace(holder, **changed)}
        return replace(self, **changed)

    def with_values(self, values: Mapping[str, float]) -> GrowthTable:
        """Give the table with several parameters moved; see ``with_value``."""
        table = self
        for name, value in values.items():
            table = table.with_value(name, value)
        return table


def table_hash(table: GrowthTable) -> str:
    """Give the SHA-256 of a table: the version of the law, and name, value, range and unit of every parameter.

    Sources and meanings are left out, so that a better word changes no hash.
    """
    rows = {name: [p.value, p.low, p.high, p.unit] for name, p in table.parameters().items()}
    text = json.dumps({"law": LAW_VERSION, "parameters": rows}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def between_subjects(table: GrowthTable, sd_years: float) -> GrowthTable:
    """Give a table with another SD of closure between subjects, plausible or not.

    Args:
        table: Its tempo and own deviation keep their proportion.
        sd_years: SD of both together, without weight.
    """
    tempo, own = table.tempo_sd_years, table.own_sd_years
    factor = sd_years / math.hypot(tempo.value, own.value)
    return replace(
        table, tempo_sd_years=_beyond(tempo, factor * tempo.value), own_sd_years=_beyond(own, factor * own.value)
    )


def _walk(holder: object, prefix: str) -> Iterator[tuple[str, Parameter]]:
    """Go through a table and the tables in it."""
    for part in fields(holder):  # type: ignore[arg-type]
        value = getattr(holder, part.name)
        if isinstance(value, Parameter):
            yield prefix + part.name, value
        else:
            yield from _walk(value, f"{prefix}{part.name}.")


def _beyond(parameter: Parameter, value: float) -> Parameter:
    """Move a parameter out of its plausible range, on purpose."""
    source = f"chosen for what it shows; plausible is {parameter.low:g} to {parameter.high:g}"
    return replace(parameter, value=value, low=value, high=value, source=source, tag=Tag.ASSUMED)


# The paper's subjects: one population, in which the tibia closes a little after the femur.
TABLE1 = GrowthTable()
# All plausible orders of femur and tibia, drawn per subject: between -0.5 and +2.4 years, most often +0.3.
FORENSIC = TABLE1.with_values({"tibia_spread_before_years": 0.8, "tibia_spread_after_years": 2.1})
# A world whose subjects differ so little that age is known to 0.1 years (posterior SD) in mid-range. No real one does.
TABLE1_TIGHT = replace(
    TABLE1,
    tempo_sd_years=_beyond(TABLE1.tempo_sd_years, 0.087),
    own_sd_years=_beyond(TABLE1.own_sd_years, 0.06),
    thickness_log_sd=_beyond(TABLE1.thickness_log_sd, 0.012),
)
# The hashes of the frozen tables. A later change of a table is a new version, with ceilings of its own.
FROZEN_SHA256 = {
    "table1": "87a2dae89a003fe2c4c9ed32776bcf80c2552cb8d8d1428f9b815a20406ff101",
    "table1-tight": "4737cb6c17e9e2dad16c409eb14cba0868d0554a3b1b641c5c6b8c869040ad84",
    "forensic": "7101703dbd4720ea9194606476d04f757ddb455ea19c61490bf310920bdd7bd8",
}
TABLES = {"table1": TABLE1, "table1-tight": TABLE1_TIGHT, "forensic": FORENSIC}
