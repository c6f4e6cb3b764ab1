"""Tests of the growth law."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.phantom.growth import GrowthTable, KneeLatents, draw_latents


def latents_at(age_years: float, sex: Sex, count: int = 200) -> list[KneeLatents]:
    return [draw_latents(age_years, sex, np.random.default_rng(seed)) for seed in range(count)]


def test_same_seed_gives_the_same_latents() -> None:
    first, second = (draw_latents(14.0, Sex.MALE, np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_plates_thin_with_age() -> None:
    medians = [np.median([k.femur.thickness_mm for k in latents_at(age, Sex.MALE)]) for age in (9, 12, 14, 16)]
    assert medians == sorted(medians, reverse=True)


@pytest.mark.parametrize(("age_years", "thickness_mm"), [(14.0, 2.0), (16.0, 1.3)])
def test_male_femoral_thickness_is_that_of_the_source(age_years: float, thickness_mm: float) -> None:
    median = np.median([k.femur.thickness_mm for k in latents_at(age_years, Sex.MALE)])
    assert median == pytest.approx(thickness_mm, abs=0.15)


def test_half_of_the_males_are_closed_at_the_median_age() -> None:
    closure = GrowthTable().femur.closure_male_years
    closed = np.mean([k.femur.bridged == 1.0 for k in latents_at(closure, Sex.MALE, 400)])
    assert closed == pytest.approx(0.5, abs=0.08)


def test_females_close_earlier() -> None:
    male, female = (np.mean([k.femur.bridged for k in latents_at(16.0, sex)]) for sex in (Sex.MALE, Sex.FEMALE))
    assert female > male + 0.3


def test_children_are_open_and_adults_closed() -> None:
    assert all(k.femur.bridged == 0 and k.tibia.bridged == 0 for k in latents_at(9.0, Sex.FEMALE))
    assert all(k.femur.bridged == 1 and k.tibia.bridged == 1 for k in latents_at(24.0, Sex.MALE))


def test_bones_grow_to_the_adult_size() -> None:
    child, adult = (np.median([k.bone_half_width_mm for k in latents_at(age, Sex.MALE)]) for age in (9.0, 22.0))
    assert child < 0.9 * adult
    assert adult == pytest.approx(GrowthTable().bone_half_width_adult_mm[0], rel=0.03)
