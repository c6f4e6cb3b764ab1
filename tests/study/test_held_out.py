"""The numbers of the model card are those of what is served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from kneeage.core.anatomy import PLATE_SITES, Label, Sex
from kneeage.core.manifest import BundleManifest
from kneeage.core.result import PlateReport
from kneeage.learn.judge import Judged
from kneeage.study.held_out import age_numbers, held_out_numbers
from kneeage.study.model_card import model_card
from kneeage.study.predicted import predicted
from tests.infer.knees import manifest

EDGES = [8.0, 17.0, 18.0, 19.0, 25.0, 26.0]
MODEL = manifest(age_edges_years=EDGES)
# Of each bin; nearly all of it lies from 18 to 19 years.
CERTAIN = (0.0001, 0.0001, 0.9996, 0.0001, 0.0001)
# Half of it lies in the last bin.
OPEN_UPWARDS = (0.0001, 0.0001, 0.0001, 0.4997, 0.5)


def fact(age_years: float, slices: int = 3) -> dict[str, Any]:
    """What is known of a subject in whom no plate was seen."""
    nothing = PlateReport(found=False).model_dump(mode="json")
    plate = {"true": nothing, "found": nothing, "scar_share": 0.0, "surface_mm": None}
    return {
        "chronological_age_years": age_years,
        "sex": Sex.MALE.value,
        "slices": slices,
        "dice_counts": {label.name.lower(): (0, 0) for label in Label if label is not Label.BACKGROUND},
        "plates": {site.name: plate for site in PLATE_SITES},
        "true_stages": {site.name: {"dedouit": "I", "schmeling_kellinghaus": "2c"} for site in PLATE_SITES},
    }


def judged(
    ages_years: Sequence[float], answer: Sequence[float] = CERTAIN, model: BundleManifest = MODEL
) -> dict[str, float]:
    """Judge a network that answers every subject alike; one more subject was abstained from."""
    facts = [fact(age) for age in ages_years]
    answers = np.log(np.tile(answer, (len(facts), 1))) + np.log(np.diff(model.age_edges_years))
    return held_out_numbers(model, Judged(tuple(facts), answers, None, 1), [*facts, fact(12.0, slices=0)])


def test_nobody_counts_who_was_abstained_from() -> None:
    numbers = judged([16.5, 17.5, 18.5])
    assert (numbers["subjects"], numbers["abstained_share"]) == (4, 0.25)
    assert numbers["exact_year_accuracy"] == pytest.approx(1 / 3, abs=1e-4)
    assert numbers["within_one_year_accuracy"] == pytest.approx(2 / 3, abs=1e-4)


def test_what_nobody_was_there_for_is_left_out() -> None:
    numbers = judged([20.0])
    assert "mean_absolute_error_of_median_under_18_years" not in numbers
    assert "distal_femur_openness_mean_absolute_error" not in numbers
    assert not [name for name in numbers if name.startswith("dice")]
    assert all(np.isfinite(value) for value in numbers.values())


def test_intervals_are_counted_as_they_are_served() -> None:
    """The interval is open upwards and holds 26 years."""
    numbers = judged([25.99, 26.0], OPEN_UPWARDS)
    assert numbers["interval_95_coverage"] == 1
    assert numbers["interval_95_open_upwards_share"] == 1
    assert 0 < numbers["interval_95_coverage_low"] < numbers["interval_95_coverage_high"] == 1


def test_an_interval_with_two_ends_may_miss() -> None:
    numbers = judged([9.0, 18.5])
    assert numbers["interval_95_coverage"] == 0.5
    assert numbers["interval_95_open_upwards_share"] == 0


def test_numbers_have_four_places() -> None:
    numbers = judged([16.0, 18.5, 18.5])
    assert numbers["exact_year_accuracy"] == 0.6667
    assert all(round(value, 4) == value for value in numbers.values())


def test_errors_are_those_of_the_most_probable_age_and_of_the_median() -> None:
    ages = [17.0, 18.5, 20.5]
    density = np.array([0, 0, 1, 0, 0]) + 1e-12
    subjects = predicted(np.log(np.tile(density, (3, 1))), ages, [Sex.FEMALE] * 3, MODEL)
    numbers = age_numbers(subjects)
    assert numbers["mean_absolute_error_of_mode_years"] == pytest.approx((1.5 + 0 + 2) / 3, abs=1e-6)
    assert numbers["mean_absolute_error_of_median_years"] == pytest.approx((1.5 + 0 + 2) / 3, abs=1e-6)
    assert numbers["mean_absolute_error_of_median_under_18_years"] == pytest.approx(1.5, abs=1e-6)
    assert (numbers["exact_year_accuracy"], numbers["within_one_year_accuracy"]) == pytest.approx((1 / 3, 2 / 3))


def test_the_card_holds_the_numbers_and_what_they_are_not() -> None:
    card = model_card(MODEL.model_copy(update={"held_out": judged([16.0, 18.5, 18.5])}))
    assert "| exact year accuracy | 0.6667 |" in card
    assert "living persons" in card
