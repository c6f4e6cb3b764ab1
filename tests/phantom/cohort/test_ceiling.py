"""Tests of the ceilings."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.phantom.cohort.ceiling import (
    Ceiling,
    Reader,
    World,
    _readings,
    _threshold,
    ceiling,
    closed_form_absolute_error,
    closed_form_exact_year,
    draw_subjects,
    posterior,
    sd_for_exact_year,
    simulated_exact_year,
)
from kneeage.phantom.cohort.presets import PRESETS
from kneeage.phantom.growth.age_law import Ages
from kneeage.phantom.growth.table import TABLE1, table_hash

FEW = 3000


@pytest.fixture(scope="module")
def table1() -> dict[Reader, Ceiling]:
    return {reader: ceiling(PRESETS["table1"], reader, FEW) for reader in Reader}


@pytest.mark.parametrize("sd_years", [0.1, 0.2, 0.4, 0.74, 1.3])
def test_closed_form_and_monte_carlo_agree_within_half_a_point(sd_years: float) -> None:
    simulated = simulated_exact_year(sd_years, 100_000)
    assert simulated.value == pytest.approx(closed_form_exact_year(sd_years), abs=0.005)
    assert simulated.error < 0.002


def test_papers_accuracy_needs_a_small_spread() -> None:
    assert sd_for_exact_year(0.857) == pytest.approx(0.179, abs=0.001)
    assert closed_form_exact_year(0.74) == pytest.approx(0.47, abs=0.005)


def test_closed_form_of_the_absolute_error() -> None:
    errors = np.random.default_rng(0).normal(0, 0.74, 200_000)
    assert closed_form_absolute_error(0.74) == pytest.approx(np.abs(errors).mean(), rel=0.01)


def test_who_knows_more_reads_better(table1: dict[Reader, Ceiling]) -> None:
    latents, plates, measured = (table1[reader] for reader in Reader)
    assert latents.exact_year.value > plates.exact_year.value > measured.exact_year.value
    errors = [each.mean_absolute_error_years.value for each in (latents, plates, measured)]
    assert errors == sorted(errors)


def test_measures_fit_together(table1: dict[Reader, Ceiling]) -> None:
    for found in table1.values():
        assert found.within_one_year.value > found.exact_year.value
        assert found.macro_recall.value == pytest.approx(found.exact_year.value, abs=0.05)
        assert found.exact_year.error == pytest.approx(0.009, abs=0.001)


def test_cautious_reader_calls_fewer_minors_adult(table1: dict[Reader, Ceiling]) -> None:
    for threshold in table1[Reader.LATENTS].thresholds:
        assert threshold.cautious_false_adult.value < threshold.false_adult.value
        assert threshold.cautious_false_minor.value > threshold.false_minor.value
    assert [threshold.age_years for threshold in table1[Reader.LATENTS].thresholds] == [12, 14, 16, 18]


def test_each_measure_gets_its_own_decision() -> None:
    """Most probable year, largest likelihood, middle of the most probable three years, and median differ."""
    ages = Ages(16, np.array([0.7, 0.1, 0.1, 0.1]), per_year=2)
    chances = np.repeat([[0.36, 0.14, 0.26, 0.24]], 2, axis=1) / 2
    found = {name: values[0] for name, values in _readings(chances, ages).items()}
    assert found["year"] == 0
    assert found["balanced_year"] == 2
    assert found["middle_year"] == 1
    assert found["median"] == 17.75
    assert found["at_least_18"] == pytest.approx(0.5)


def test_threshold_rates_are_shares_of_those_on_each_side() -> None:
    at_least = np.array([0.1, 0.96, 0.55, 0.45, 0.55, 0.96, 0.45, 0.1])
    age_years = np.array([10.0, 12.0, 17.0, 17.9, 18.0, 19.0, 20.0, 21.0])
    found = _threshold(18, at_least, age_years)
    assert (found.false_adult.value, found.false_minor.value) == (0.5, 0.5)
    assert (found.cautious_false_adult.value, found.cautious_false_minor.value) == (0.25, 0.75)
    assert (found.last_year_false_adult.value, found.last_year_cautious_false_adult.value) == (0.5, 0.0)


def test_last_year_below_a_threshold_is_the_hardest(table1: dict[Reader, Ceiling]) -> None:
    for threshold in table1[Reader.LATENTS].thresholds:
        assert threshold.last_year_false_adult.value > threshold.false_adult.value
        assert threshold.last_year_cautious_false_adult.value <= threshold.last_year_false_adult.value


def test_promised_accuracy_is_reached() -> None:
    """The mean of the largest posterior probability is the share of hits: no reader of the same things does better."""
    preset = PRESETS["forensic"]
    world = World.of(preset)
    sample = draw_subjects(preset, FEW, np.random.default_rng(1), world.table)
    chances = posterior(Reader.LATENTS, sample.latents, sample.covariates, world)
    by_year = chances.reshape(FEW, len(world.ages.year_weights), -1).sum(axis=2)
    found = ceiling(preset, Reader.LATENTS, 12_000)
    assert found.exact_year.value == pytest.approx(by_year.max(axis=1).mean(), abs=0.02)


def test_tight_world_knows_age_to_a_tenth_of_a_year_in_mid_range() -> None:
    preset = PRESETS["table1-tight"]
    world = World.of(preset)
    sample = draw_subjects(preset, FEW, np.random.default_rng(0), world.table)
    middle = (sample.age_years >= 13) & (sample.age_years < 17)
    chances = posterior(Reader.LATENTS, sample.latents, sample.covariates, world)[middle]
    mean = chances @ world.ages.points
    sd = np.sqrt(chances @ world.ages.points**2 - mean**2)
    assert sd.mean() == pytest.approx(0.1, abs=0.005)
    assert np.std(mean - sample.age_years[middle]) == pytest.approx(0.1, abs=0.01)


def test_papers_accuracy_is_reachable_in_the_tight_world_alone() -> None:
    reached = {name: ceiling(PRESETS[name], Reader.LATENTS, FEW).macro_recall.value for name in PRESETS}
    assert reached["table1-tight"] > 0.857
    assert max(reached["table1"], reached["forensic"]) < 0.6


def test_another_table_can_be_asked_for() -> None:
    wide = TABLE1.with_value("tempo_sd_years", 1.25)
    assert table_hash(wide) != table_hash(TABLE1)
    narrow, spread = (ceiling(PRESETS["table1"], Reader.LATENTS, FEW, table=table) for table in (TABLE1, wide))
    assert spread.exact_year.value < narrow.exact_year.value - 0.1


def test_progress_is_told() -> None:
    done: list[int] = []
    ceiling(PRESETS["table1"], Reader.MEASURED, 1500, advance=done.append)
    assert done == [1000, 500]


def test_same_seed_gives_the_same_ceiling() -> None:
    first, second = (ceiling(PRESETS["table1"], Reader.PLATES, 500, seed=4) for _ in range(2))
    assert first == second
