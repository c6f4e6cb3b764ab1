"""Tests of simulated populations and their comparison with the literature."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.phantom.growth.law import TABLE1, Covariates
from kneeage.phantom.growth.literature import AttainmentRow, ClosedRow, Relation, Row, Study, YoungestRow, rows
from kneeage.phantom.growth.population import (
    Comparison,
    attainment_age,
    closed_share,
    compare_all,
    covariate_density,
    draw_covariates,
    minimum_ages,
    simulate,
)
from kneeage.phantom.growth.stages import Dedouit, SchmelingKellinghaus
from kneeage.phantom.growth.table import Tag


@pytest.fixture(scope="module")
def compared() -> dict[Row, Comparison]:
    return {found.row: found for found in compare_all(TABLE1, repetitions=60)}


def row_of(study: str, plate: str, stage: Dedouit | SchmelingKellinghaus, sex: Sex = Sex.MALE) -> YoungestRow:
    return next(
        row
        for row in rows()
        if isinstance(row, YoungestRow)
        and (row.study.name, row.plate, row.stage, row.study.sex) == (study, plate, stage, sex)
    )


def test_every_row_is_compared(compared: dict[Row, Comparison]) -> None:
    assert len(compared) == len(rows()) == 48
    assert all(found.low <= found.middle <= found.high for found in compared.values())


def test_han_males_are_met(compared: dict[Row, Comparison]) -> None:
    assert all(compared[row_of("Deng 2025", "femur", stage)].inside for stage in Dedouit)


def test_most_rows_are_met(compared: dict[Row, Comparison]) -> None:
    assert sum(found.inside for found in compared.values()) >= 30


def test_what_lies_outside_says_by_how_much(compared: dict[Row, Comparison]) -> None:
    found = compared[row_of("Ekizoglu 2020", "tibia", SchmelingKellinghaus.S4)]
    assert found.outside_by == pytest.approx(15.8 - found.low)
    assert found.outside_by < 0


def test_bounds_are_bounds(compared: dict[Row, Comparison]) -> None:
    bound = compared[row_of("Kraemer 2014", "femur", SchmelingKellinghaus.S3B)]
    assert bound.row.relation is Relation.NOT_BEFORE  # type: ignore[union-attr]
    assert bound.inside
    assert bound.low > 14.0


def test_shares_of_closed_plates_are_compared(compared: dict[Row, Comparison]) -> None:
    males = [found for row, found in compared.items() if isinstance(row, ClosedRow) and row.study.sex is Sex.MALE]
    assert all(found.inside for found in males)
    assert all(0.85 < found.middle < 1.0 for found in males)


def test_a_study_of_few_sees_older_youngest_ones() -> None:
    """A minimum is compared at the study's own number of subjects."""
    rng = np.random.default_rng(0)
    few, many = (simulate(count, (10.0, 30.0), Sex.MALE, rng, TABLE1) for count in (371, 20_000))
    assert minimum_ages(few, "femur")["V"] > minimum_ages(many, "femur")["V"] + 0.3


def test_half_of_the_male_femora_have_closed_at_18() -> None:
    sample = simulate(40_000, (8.0, 26.0), Sex.MALE, np.random.default_rng(0), TABLE1)
    assert attainment_age(sample, "femur", Dedouit.V, 0.5) == pytest.approx(18.0, abs=0.1)


def test_closed_share_rises_with_age() -> None:
    shares = [
        closed_share(simulate(3000, (year, year + 1), Sex.MALE, np.random.default_rng(0), TABLE1), "femur")
        for year in (15, 17, 18, 19, 21)
    ]
    assert shares == sorted(shares)


def test_tall_subjects_are_heavier() -> None:
    covariates = draw_covariates(np.zeros(20_000, dtype=bool), np.random.default_rng(0), TABLE1)
    assert np.corrcoef(covariates.height_score, covariates.weight_score)[0, 1] == pytest.approx(0.47, abs=0.02)
    assert np.std(covariates.weight_score) == pytest.approx(0.96, abs=0.02)


def test_nobody_is_drawn_from_the_tails_of_the_charts() -> None:
    covariates = draw_covariates(np.zeros(20_000, dtype=bool), np.random.default_rng(0), TABLE1)
    for scores in (covariates.height_score, covariates.weight_score):
        assert 2.4 < np.abs(scores).max() < TABLE1.covariates.largest_score.value


def test_density_of_height_and_weight_is_what_they_are_drawn_from() -> None:
    drawn = draw_covariates(np.zeros(200_000, dtype=bool), np.random.default_rng(0), TABLE1)
    edges = np.linspace(-3, 3, 13)
    middles = np.meshgrid(*[(edges[1:] + edges[:-1]) / 2] * 2, indexing="ij")
    counted = np.histogram2d(drawn.height_score, drawn.weight_score, (edges, edges), density=True)[0]
    density = covariate_density(Covariates(np.array([False]), *middles), TABLE1)
    assert counted == pytest.approx(density / density.sum() / 0.25, abs=0.01)


def test_no_row_is_a_mean_age_of_a_stage() -> None:
    assert {type(row) for row in rows()} == {YoungestRow, ClosedRow, AttainmentRow}


def test_studies_are_kept_apart_by_sex() -> None:
    assert Study("A", 1, (10, 30), Sex.MALE, Tag.READ) != Study("A", 1, (10, 30), Sex.FEMALE, Tag.READ)
