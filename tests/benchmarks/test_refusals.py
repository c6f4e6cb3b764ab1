"""The refusal campaign in miniature: how inputs are dealt and counted, what recipes make, and a few real answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.refusal_inputs import CLEAN, EVALUATION, EVALUATION_SEED, TUNING, TUNING_SEED, Input, Recipe
from benchmarks.refusals import INPUTS, Answer, covering, examine, listed, table
from kneeage.core.anatomy import Sex
from kneeage.core.result import Outcome, ReasonCode
from kneeage.io.bundle import load_bundle
from kneeage.pipeline import Examiner

CHEAP = ("head of shells", "head with folds", "spine of boxes", "curved spine", "white noise", "noise of all sizes")
METAL = Recipe("metal", CLEAN.make, frozenset({ReasonCode.METAL}))
NO_SEX = Recipe("sex not given", CLEAN.make)


def made(recipe: Recipe, seed: int = 0) -> Input:
    return recipe.make(np.random.default_rng([seed, 1]))


def test_tuning_and_evaluation_share_neither_recipes_nor_seeds() -> None:
    tuning, evaluation = ({recipe.make for recipe in family} for family in (TUNING, EVALUATION))
    shared = {make.__name__ for make in tuning & evaluation}
    assert shared <= {"_no_sex", "_few_slices"}  # nothing that a limit is chosen on
    assert TUNING_SEED != EVALUATION_SEED


def test_inputs_are_dealt_by_share() -> None:
    dealt = listed(EVALUATION, INPUTS)
    assert len(dealt) == INPUTS
    counts = [sum(each is recipe for each in dealt) / recipe.share for recipe in EVALUATION]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("recipe", "answer", "flagged"),
    [
        (METAL, Answer("metal", Outcome.ABSTAINED, ("metal",), False), True),
        (METAL, Answer("metal", Outcome.REFUSED, ("geometry",), False), True),
        (METAL, Answer("metal", Outcome.ESTIMATED, (), False), False),
        (METAL, Answer("metal", Outcome.ESTIMATED, (), True), False),
        (NO_SEX, Answer("sex not given", Outcome.ESTIMATED, (), True), True),
        (NO_SEX, Answer("sex not given", Outcome.ESTIMATED, (), False), False),
    ],
)
def test_what_counts_as_flagged(recipe: Recipe, answer: Answer, flagged: bool) -> None:
    assert answer.is_flagged(recipe) is flagged


def test_the_table_counts() -> None:
    answers = [
        Answer("metal", Outcome.ABSTAINED, ("metal", "motion"), False),
        Answer("metal", Outcome.ABSTAINED, ("motion",), False),
        Answer("metal", Outcome.ESTIMATED, (), False),
        Answer(CLEAN.name, Outcome.ESTIMATED, (), False),
        Answer(CLEAN.name, Outcome.ABSTAINED, ("too_few_slices",), False),
    ]
    text = table([METAL], answers, seed=3)
    assert "| metal | 3 | 2 | 1 | motion 2, metal 1 |" in text
    assert "| **all** | 3 | 2 |" in text
    assert "Of 2 clean virtual knees 1 got no estimate (50.0 %): too_few_slices 1." in text


@pytest.mark.parametrize("name", CHEAP)
def test_what_is_no_knee_is_made_alike_from_a_seed(name: str) -> None:
    recipe = next(each for each in (*TUNING, *EVALUATION) if each.name == name)
    first, again, other = made(recipe), made(recipe), made(recipe, 7)
    np.testing.assert_array_equal(first.series.volume.array, again.series.volume.array)
    assert (first.series.volume.array != other.series.volume.array).any()
    assert first.series.volume.orientation == "LIP"
    assert first.series.header.weighting == "T1"


@pytest.fixture(scope="module")
def examiner() -> Examiner:
    return Examiner(load_bundle(), threads=1)


@pytest.mark.parametrize("name", ["head with folds", "curved spine", "noise of all sizes"])
def test_what_is_no_knee_gets_no_age(examiner: Examiner, name: str) -> None:
    recipe = next(each for each in EVALUATION if each.name == name)
    answer = examine(examiner, recipe, made(recipe))
    assert answer.outcome is Outcome.ABSTAINED
    assert {*answer.reasons} & {code.value for code in recipe.wanted}


def test_a_side_that_the_fibula_contradicts_and_a_missing_sex_are_flagged(examiner: Examiner) -> None:
    wrong = next(each for each in TUNING if each.name == "header names the other side")
    spoiled = made(wrong)
    assert examine(examiner, wrong, spoiled).is_flagged(wrong)
    assert examine(examiner, NO_SEX, dataclasses.replace(spoiled, sex=None)).is_flagged(NO_SEX)
    assert spoiled.sex in set(Sex)


def test_a_sex_that_is_not_covered_gets_no_age() -> None:
    recipe = next(each for each in EVALUATION if each.covers is Sex.MALE)
    assert made(recipe).sex is Sex.FEMALE
    answer = examine(Examiner(covering(load_bundle(), recipe.covers), threads=1), recipe, made(recipe))
    assert answer.outcome is Outcome.ABSTAINED
    assert "sex_not_covered" in answer.reasons
