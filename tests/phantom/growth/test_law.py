"""Tests of the growth law and its table."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import special

from kneeage.core.anatomy import Sex
from kneeage.core.errors import UsageError
from kneeage.phantom.growth.law import (
    PLATES,
    TABLE1,
    Covariates,
    KneeLatents,
    Parameter,
    PlateLatents,
    Sample,
    draw_latents,
    from_scale,
    grow,
    normal_score,
    stacked,
    thickness_mm,
    to_scale,
)
from kneeage.phantom.growth.table import (
    FORENSIC,
    FROZEN_SHA256,
    LAW_VERSION,
    TABLES,
    GrowthTable,
    Tag,
    between_subjects,
    table_hash,
)

MANY = 20_000
# Latents of a girl of 9, 14 and 21 years from one seed, by law version 2.
DRAWN_BY_LAW_2 = {
    "femur.thickness_mm": [3.17143, 1.71268, 1.00603],
    "femur.bridged": [0.0, 0.0, 1.0],
    "femur.scar": [0.96553, 0.96553, 0.71374],
    "tibia.thickness_mm": [3.02801, 1.23327, 0.44869],
    "tibia.bridged": [0.0, 0.0, 1.0],
    "tibia.scar": [0.9363, 0.9363, 0.55424],
    "fibula.thickness_mm": [2.19736, 0.96402, 0.52858],
    "fibula.bridged": [0.0, 0.0, 1.0],
    "fibula.scar": [0.90583, 0.90583, 0.42863],
    "tuberosity.thickness_mm": [2.57435, 1.39382, 0.51487],
    "tuberosity.bridged": [0.0, 0.0, 1.0],
    "tuberosity.scar": [0.81975, 0.81975, 0.33067],
    "bone_half_width_mm": [28.91139, 33.00253, 34.09279],
    "epiphyseal_cartilage_mm": [3.05316, 2.31909, 2.03988],
    "epiphyseal_roundness": [0.65266, 0.07626, 0.03466],
    "red_marrow": [0.2408, 0.13537, 0.04991],
    "red_islands": [0.1204, 0.07281, 0.03482],
    "trabecular_density": [0.93997, 0.98817, 1.05982],
}


def sample_at(
    age_years: float, sex: Sex = Sex.MALE, *, weight_score: float = 0.0, table: GrowthTable = TABLE1, count: int = MANY
) -> Sample:
    covariates = Covariates(np.full(count, sex is Sex.FEMALE), np.zeros(count), np.full(count, weight_score))
    return grow(np.full(count, age_years), covariates, np.random.default_rng(0), table)


def test_same_random_numbers_give_the_same_knee() -> None:
    first, second = (draw_latents(14.0, Sex.MALE, np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_latents_name_neither_age_nor_sex() -> None:
    names = {*KneeLatents.__dataclass_fields__, *PlateLatents.__dataclass_fields__}
    assert not any("age_years" in name or "sex" in name for name in names)


def test_one_knee_is_drawn_as_many_are() -> None:
    covariates = Covariates(np.array([True]), *(normal_score(np.array([each]), FORENSIC) for each in (30.0, 80.0)))
    many = grow(np.array([13.0]), covariates, np.random.default_rng(5), FORENSIC)
    one = draw_latents(13.0, Sex.FEMALE, np.random.default_rng(5), height_percentile=30.0, weight_percentile=80.0)
    assert {name: values[0] for name, values in stacked([one]).items()} == pytest.approx(
        {name: values[0] for name, values in many.latents.items()}
    )


def test_median_closure_of_the_male_femur_is_the_tables() -> None:
    left = sample_at(18.0).years_left["femur"]
    assert np.median(left) == pytest.approx(0.0, abs=0.02)
    assert np.std(left) == pytest.approx(np.hypot(0.65, 0.30), rel=0.02)


@pytest.mark.parametrize(
    ("name", "scale", "noise", "per_year", "years_sd"),
    [
        ("femur.thickness_mm", np.log, TABLE1.thickness_log_sd, 0.29 / 2.16, np.hypot(0.65, 0.30)),
        ("femur.scar", special.logit, TABLE1.scar_logit_sd, 0.0, 0.65),
        ("red_islands", special.logit, TABLE1.body.islands_logit_sd, 1 / 9, 0.65),
        ("trabecular_density", np.log, TABLE1.body.trabecular_log_sd, 0.01, 0.65),
    ],
)
def test_latents_vary_by_their_own_noise_and_with_maturity(
    name: str, scale: np.ufunc, noise: Parameter, per_year: float, years_sd: float
) -> None:
    found = np.std(scale(sample_at(14.0).latents[name]))
    assert found == pytest.approx(np.hypot(noise.value, per_year * years_sd), rel=0.03)


def test_tall_subjects_have_wider_bones() -> None:
    tall, short = (
        grow(np.full(MANY, 20.0), Covariates(np.zeros(MANY, bool), np.full(MANY, score), np.zeros(MANY)), rng, TABLE1)
        for score, rng in ((1.0, np.random.default_rng(0)), (-1.0, np.random.default_rng(0)))
    )
    wider = np.log(tall.latents["bone_half_width_mm"] / short.latents["bone_half_width_mm"])
    assert wider == pytest.approx(np.full(MANY, 2 * TABLE1.body.half_width_per_height_sd.value))
    assert tall.years_left["femur"] == pytest.approx(short.years_left["femur"])


def test_females_are_ahead_by_the_tables_years() -> None:
    male, female = sample_at(14.0), sample_at(14.0 - TABLE1.female_earlier_years.value, Sex.FEMALE)
    assert female.latents["femur.thickness_mm"] == pytest.approx(male.latents["femur.thickness_mm"])


def test_females_tibia_is_further_ahead() -> None:
    male, female = sample_at(14.0), sample_at(14.0 - TABLE1.female_earlier_years.value, Sex.FEMALE)
    for plate in ("tibia", "tuberosity"):
        further = male.years_left[plate] - female.years_left[plate]
        assert further == pytest.approx(np.full(MANY, TABLE1.female_tibia_earlier_years.value))


def test_heavy_subjects_close_earlier() -> None:
    light, heavy = sample_at(16.0, weight_score=-1.0), sample_at(16.0, weight_score=1.0)
    earlier = light.years_left["femur"] - heavy.years_left["femur"]
    assert earlier == pytest.approx(np.full(MANY, 2 * TABLE1.weight_advance_years.value))


def test_plates_share_the_tempo() -> None:
    left = sample_at(16.0).years_left
    shared = 0.65**2 / (0.65**2 + 0.30**2)
    assert np.corrcoef(left["femur"], left["fibula"])[0, 1] == pytest.approx(shared, abs=0.02)


def test_tuberosity_never_closes_before_the_tibia() -> None:
    left = sample_at(16.0, table=FORENSIC).years_left
    assert (left["tuberosity"] >= left["tibia"]).all()


def test_tibia_follows_the_femur_within_the_spread() -> None:
    mean = np.mean([sample_at(16.0, table=table).years_left["tibia"].mean() for table in (TABLE1,)])
    spread = sample_at(16.0, table=FORENSIC).years_left["tibia"]
    # A triangle from -0.8 to +2.1 around its peak has its mean at (2.1 - 0.8) / 3.
    assert spread.mean() - mean == pytest.approx(1.3 / 3, abs=0.02)


@pytest.mark.parametrize(
    ("plate", "years_left", "expected_mm"),
    [("femur", 4.0, 2.0), ("femur", 1.3, 1.3), ("tibia", 4.3, 1.9), ("tibia", 1.3, 0.8)],
)
def test_thickness_meets_the_measured_knees(plate: str, years_left: float, expected_mm: float) -> None:
    """14 y: as the median; 16 y: as a subject 0.7 y ahead, whom both its plates fit."""
    assert thickness_mm(plate, np.array(years_left), TABLE1) == pytest.approx(expected_mm, abs=0.2)


def test_bridged_share_follows_from_the_years_left() -> None:
    sample = sample_at(17.5)
    left, bridged = sample.years_left["femur"], sample.latents["femur.bridged"]
    between = (left > 0) & (left < 1.3)
    assert bridged[between] == pytest.approx(1 - left[between] / 1.3)
    assert set(bridged[left <= 0]) == {1.0}
    assert set(bridged[left >= 1.3]) == {0.0}


def test_scar_fades_only_after_closure() -> None:
    def median(age_years: float) -> float:
        return float(np.median(sample_at(age_years).latents["femur.scar"]))

    assert median(10.0) == pytest.approx(median(15.0), abs=0.01)
    assert median(25.0) < median(19.0) - 0.05


def test_fresh_scars_may_be_as_strong_as_can_be_and_old_ones_are_faint() -> None:
    fresh, old = sample_at(18.0).latents["femur.scar"], sample_at(25.0).latents["femur.scar"]
    assert np.quantile(fresh, 0.9) > 0.9
    assert np.median(old) < 0.35


def test_patterns_tell_nothing_of_age() -> None:
    young, old = sample_at(9.0).latents, sample_at(22.0).latents
    for name in ("unevenness", "patchiness", "undulation_mm", "border", "bridging_lateral_mm"):
        assert (young[f"tibia.{name}"] == old[f"tibia.{name}"]).all()


def test_every_latent_stays_in_its_range() -> None:
    for age_years in (6.0, 12.0, 18.0, 30.0):
        latents = sample_at(age_years, table=FORENSIC, count=2000).latents
        for plate in PLATES:
            assert ((latents[f"{plate}.bridged"] >= 0) & (latents[f"{plate}.bridged"] <= 1)).all()
            assert ((latents[f"{plate}.scar"] >= 0) & (latents[f"{plate}.scar"] <= 1)).all()
            assert (latents[f"{plate}.thickness_mm"] > 0.2).all()
        assert ((latents["red_marrow"] >= 0) & (latents["red_marrow"] <= 0.6)).all()
        assert ((latents["epiphyseal_roundness"] >= 0) & (latents["epiphyseal_roundness"] <= 1)).all()


def test_scales_are_undone() -> None:
    for name in ("red_marrow", "epiphyseal_roundness", "bone_half_width_mm"):
        assert from_scale(name, to_scale(name, np.array([0.3]), TABLE1), TABLE1) == pytest.approx([0.3])


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_frozen(name: str) -> None:
    assert table_hash(TABLES[name]) == FROZEN_SHA256[name], "a changed table is a new version with its own ceilings"


def test_the_equations_are_frozen_with_the_tables() -> None:
    """The hash sees no equation: these draws do. A change is a new LAW_VERSION."""
    knees = [
        draw_latents(age, Sex.FEMALE, np.random.default_rng(7), FORENSIC, weight_percentile=80) for age in (9, 14, 21)
    ]
    drawn = stacked(knees)
    assert LAW_VERSION == 2
    for name, expected in DRAWN_BY_LAW_2.items():
        assert drawn[name] == pytest.approx(expected, abs=2e-5), name


def test_hash_sees_values_and_not_words() -> None:
    moved = TABLE1.with_value("femur.bridging_years", 1.4)
    reworded = dataclasses.replace(TABLE1, own_sd_years=dataclasses.replace(TABLE1.own_sd_years, meaning="x"))
    assert table_hash(moved) != table_hash(TABLE1)
    assert table_hash(reworded) == table_hash(TABLE1)


def test_every_parameter_lies_in_its_range_and_names_its_source() -> None:
    for name, parameter in TABLE1.parameters().items():
        assert parameter.low <= parameter.value <= parameter.high, name
        assert parameter.source, name
        assert parameter.meaning, name
        assert (parameter.tag is Tag.ASSUMED) or parameter.source != "no figure found", name


def test_every_parameter_moves_within_its_range() -> None:
    for name, parameter in TABLE1.parameters().items():
        for value in (parameter.low, parameter.high):
            assert TABLE1.with_value(name, value).parameters()[name].value == value


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match=r"tempo_sd_years: 3 years is outside the plausible range 0.35 to 1.25"):
        TABLE1.with_value("tempo_sd_years", 3.0)


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no parameter 'femur\.length'"):
        TABLE1.with_value("femur.length", 1.0)


def test_spread_between_subjects_is_set_as_a_whole() -> None:
    table = between_subjects(TABLE1, 0.2)
    assert np.hypot(table.tempo_sd_years.value, table.own_sd_years.value) == pytest.approx(0.2)


def test_children_are_open_and_adults_closed() -> None:
    child, adult = sample_at(8.0, Sex.FEMALE).latents, sample_at(25.0).latents
    for plate in ("femur", "tibia"):
        assert (child[f"{plate}.bridged"] == 0).all()
        assert (adult[f"{plate}.bridged"] == 1).all()


def test_bones_grow_to_the_adult_width() -> None:
    child, adult = (np.median(sample_at(age).latents["bone_half_width_mm"]) for age in (9.0, 22.0))
    assert child < 0.9 * adult
    assert adult == pytest.approx(TABLE1.body.half_width_male_mm.value, rel=0.01)
