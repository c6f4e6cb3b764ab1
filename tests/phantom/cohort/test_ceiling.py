"""Tests of the ceilings."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.phantom.cohort.body import Body
from kneeage.phantom.cohort.ceiling import (
    Ceiling,
    Estimate,
    Reader,
    Seen,
    World,
    _readings,
    _threshold,
    ceiling,
    closed_form_absolute_error,
    closed_form_exact_year,
    draw_subjects,
    posterior,
    sd_for_exact_year,
    sd_of_absolute_error,
    simulated_exact_year,
)
from kneeage.phantom.cohort.presets import PRESETS
from kneeage.phantom.growth.age_law import Ages
from kneeage.phantom.growth.law import Covariates
from kneeage.phantom.growth.measured import measure
from kneeage.phantom.growth.table import TABLE1, table_hash

FEW = 3000
# Each with what it knows, but for height and weight, which are known for age or as they are measured.
WITH_BODY = {Reader.LATENTS: Reader.LATENTS_AND_BODY, Reader.MEASURED: Reader.MEASURED_AND_BODY}


def drawn(name: str, seed: int, count: int = FEW) -> tuple[Seen, np.ndarray, World]:
    """Subjects of a preset, their ages and their world."""
    world, rng = World.of(PRESETS[name]), np.random.default_rng(seed)
    sample = draw_subjects(PRESETS[name], count, rng, world.table)
    latents = sample.latents | measure(sample.latents, rng)
    return Seen(latents, sample.covariates, Body.of(sample.age_years, sample.covariates)), sample.age_years, world


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
    assert sd_of_absolute_error(closed_form_absolute_error(0.74)) == pytest.approx(0.74)


def test_who_knows_more_reads_better(table1: dict[Reader, Ceiling]) -> None:
    latents, plates, measured = (table1[reader] for reader in (Reader.LATENTS, Reader.PLATES, Reader.MEASURED))
    assert latents.exact_year.value > plates.exact_year.value > measured.exact_year.value
    errors = [each.mean_absolute_error_years.value for each in (latents, plates, measured)]
    assert errors == sorted(errors)


def test_cm_and_kg_tell_age_besides(table1: dict[Reader, Ceiling]) -> None:
    for without, with_body in WITH_BODY.items():
        assert table1[with_body].exact_year.value > table1[without].exact_year.value
        assert table1[with_body].mean_absolute_error_years.value < table1[without].mean_absolute_error_years.value
    assert 0.25 < table1[Reader.BODY].exact_year.value < table1[Reader.MEASURED].exact_year.value


@pytest.mark.parametrize("reader", [*WITH_BODY.values(), Reader.BODY])
def test_posterior_of_those_who_know_cm_and_kg_is_calibrated(reader: Reader) -> None:
    """The true age's place in its posterior is uniform, and hits come as often as promised."""
    seen, age_years, world = drawn("forensic", 2, 6000)
    chances = posterior(reader, seen, world)
    place = np.sum(chances * (world.ages.points < age_years[:, None]), axis=1)
    assert np.quantile(place, [0.1, 0.25, 0.5, 0.75, 0.9]) == pytest.approx([0.1, 0.25, 0.5, 0.75, 0.9], abs=0.025)
    by_year = chances.reshape(len(chances), len(world.ages.year_weights), -1).sum(axis=2)
    hits = by_year.argmax(axis=1) == np.floor(age_years) - world.ages.first_year
    assert hits.mean() == pytest.approx(by_year.max(axis=1).mean(), abs=0.02)


def test_bodies_written_to_the_tenth_are_read_as_well() -> None:
    """The subject table rounds: who lies at the end of the charts must not fall off them."""
    seen, _, world = drawn("forensic", 5)
    ends = Covariates(seen.covariates.female, np.full(FEW, 2.5), np.full(FEW, 1.0))
    body = Body.of(np.random.default_rng(0).uniform(8, 26, FEW), ends)
    written = Body(body.female, np.round(body.height_cm, 1), np.round(body.weight_kg, 1))
    chances = posterior(Reader.BODY, Seen({}, ends, written), world)
    assert chances.sum(axis=1) == pytest.approx(np.ones(FEW))


@pytest.mark.parametrize(("height_cm", "weight_kg"), [(140.0, 34.0), (160.0, 60.0), (172.0, 60.0)])
def test_body_alone_is_that_of_simulated_subjects_of_the_same_size(height_cm: float, weight_kg: float) -> None:
    """An independent implementation: simulated males of about the same height and weight."""
    world = World.of(PRESETS["table1"])
    sample = draw_subjects(PRESETS["table1"], 400_000, np.random.default_rng(3), world.table)
    bodies = Body.of(sample.age_years, sample.covariates)
    near = (np.abs(bodies.height_cm - height_cm) < 1) & (np.abs(bodies.weight_kg - weight_kg) < 1)
    body = Body(np.array([False]), np.array([height_cm]), np.array([weight_kg]))
    nothing = Covariates(body.female, np.zeros(1), np.zeros(1))
    chances = posterior(Reader.BODY, Seen({}, nothing, body), world)[0]
    mean = chances @ world.ages.points
    ages_years = sample.age_years[near]
    assert len(ages_years) > 300
    assert mean == pytest.approx(ages_years.mean(), abs=4 * ages_years.std() / np.sqrt(len(ages_years)) + 0.01)
    assert np.sqrt(chances @ (world.ages.points - mean) ** 2) == pytest.approx(ages_years.std(), rel=0.15)


@pytest.mark.parametrize(
    ("counted", "words"),
    [(0, "< 0.02 %"), (3, "< 0.05 %"), (20, "0.13 ± 0.03 %"), (7500, "50.0 ± 0.4 %"), (15_000, "> 99.98 %")],
)
def test_a_share_of_next_to_none_is_written_as_a_bound(counted: int, words: str) -> None:
    """Of none in n, the bound is the rule of three's: 3 / n."""
    share = counted / 15_000
    assert Estimate(share, np.sqrt(share * (1 - share) / 15_000), 15_000).percent() == words


def test_measures_fit_together(table1: dict[Reader, Ceiling]) -> None:
    for found in (table1[reader] for reader in Reader if reader is not Reader.BODY):
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


@pytest.mark.filterwarnings("error")
def test_a_year_without_subjects_is_nobodys() -> None:
    ages = Ages(16, np.array([0.5, 0.0, 0.5]), per_year=1)
    found = _readings(np.array([[0.7, 0.0, 0.3], [0.2, 0.0, 0.8]]), ages)
    assert found["balanced_year"].tolist() == [0, 2]


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
    seen, _, world = drawn("forensic", 1)
    chances = posterior(Reader.LATENTS, seen, world)
    by_year = chances.reshape(FEW, len(world.ages.year_weights), -1).sum(axis=2)
    found = ceiling(PRESETS["forensic"], Reader.LATENTS, 12_000)
    assert found.exact_year.value == pytest.approx(by_year.max(axis=1).mean(), abs=0.02)


def test_tight_world_knows_age_to_a_tenth_of_a_year_in_mid_range() -> None:
    seen, age_years, world = drawn("table1-tight", 0)
    middle = (age_years >= 13) & (age_years < 17)
    chances = posterior(Reader.LATENTS, seen, world)[middle]
    mean = chances @ world.ages.points
    sd = np.sqrt(chances @ world.ages.points**2 - mean**2)
    assert sd.mean() == pytest.approx(0.1, abs=0.005)
    assert np.std(mean - age_years[middle]) == pytest.approx(0.1, abs=0.01)


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
