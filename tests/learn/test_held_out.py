"""The numbers of the model card are those of what is served."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kneeage.core.anatomy import PLATE_SITES, Label
from kneeage.core.manifest import BundleManifest, ThresholdPolicy
from kneeage.core.result import PlateReport
from kneeage.learn.data import SubjectRegions, save_regions
from kneeage.learn.held_out import held_out_numbers, model_card
from tests.infer.knees import manifest

EDGES = [8.0, 17.0, 18.0, 19.0, 25.0, 26.0]
# What the network answers on every subject: a posterior under the training ages.
ANSWER = (0.004, 0.004, 0.9, 0.072, 0.02)


class Constant:
    """A network that answers every slice alike."""

    def __init__(self, probabilities: tuple[float, ...]) -> None:
        self.probabilities = probabilities

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.log(np.tile(np.float32(self.probabilities), (len(inputs["image"]), 1)))


def bundle(**changes: object) -> BundleManifest:
    return manifest(**({"age_edges_years": EDGES, "training_prior": [0.5, 0.1, 0.1, 0.2, 0.1]} | changes))


def fact(seed: int, age_years: float, slices: int = 3) -> dict[str, Any]:
    nothing = PlateReport(found=False).model_dump(mode="json")
    return {
        "seed": seed,
        "chronological_age_years": age_years,
        "slices": slices,
        "dice_counts": {label.name.lower(): (0, 0) for label in Label if label is not Label.BACKGROUND},
        "plates": {site.name: {"true": nothing, "found": nothing} for site in PLATE_SITES},
    }


def judged(
    folder: Path, ages: list[float], answer: tuple[float, ...] = ANSWER, model: BundleManifest | None = None
) -> dict[str, float]:
    facts = [fact(seed, age) for seed, age in enumerate(ages)]
    for each in facts:
        regions = SubjectRegions(np.zeros((3, 3, 8, 8)), 1, each["chronological_age_years"])
        save_regions(folder / f"{each['seed']}.npz", regions)
    return held_out_numbers(model or bundle(), Constant(answer), folder, [*facts, fact(99, 12.0, slices=0)])


def test_errors_at_18_are_those_of_the_rule_under_the_training_ages(tmp_path: Path) -> None:
    """Under the training ages 0.992 lies above 18, enough for the rule; under a uniform prior 0.990 would not be."""
    numbers = judged(tmp_path, [16.0, 17.5, 20.0], model=bundle(policy=ThresholdPolicy(at_least_probability=0.9915)))
    assert numbers["false_adult_share_of_minors"] == 1
    assert numbers["undetermined_at_18_share"] == 0


def test_nobody_counts_who_was_abstained_from(tmp_path: Path) -> None:
    numbers = judged(tmp_path, [16.0, 17.5, 20.0])
    assert (numbers["subjects"], numbers["abstained_share"]) == (4, 0.25)
    assert (numbers["minors"], numbers["adults"]) == (2, 1)


def test_a_share_without_errors_comes_with_its_upper_limit(tmp_path: Path) -> None:
    numbers = judged(tmp_path, [20.0] * 10)
    assert numbers["false_minor_share_of_adults"] == 0
    # The exact limit of 0 among 10: 1 - 0.025 ** (1 / 10).
    assert numbers["false_minor_share_of_adults_upper_limit"] == pytest.approx(0.3085, abs=1e-4)


def test_what_nobody_was_there_for_is_left_out(tmp_path: Path) -> None:
    numbers = judged(tmp_path, [20.0])
    assert numbers["minors"] == 0
    assert "false_adult_share_of_minors" not in numbers
    assert "distal_femur_openness_mean_absolute_error" not in numbers
    assert all(np.isfinite(value) for value in numbers.values())


def test_intervals_are_counted_as_they_are_printed(tmp_path: Path) -> None:
    """Half of the distribution lies in the last bin: the interval is open upwards and holds 26 years."""
    flat = bundle(training_prior=None)
    numbers = judged(tmp_path, [25.99, 26.0], (0.0001, 0.0001, 0.0001, 0.4997, 0.5), flat)
    assert numbers["interval_95_coverage"] == 1
    assert numbers["interval_95_open_upwards_share"] == 1


def test_an_interval_with_two_ends_may_miss(tmp_path: Path) -> None:
    numbers = judged(tmp_path, [9.0, 18.5], (0.0001, 0.0001, 0.9996, 0.0001, 0.0001), bundle(training_prior=None))
    assert numbers["interval_95_coverage"] == 0.5
    assert numbers["interval_95_open_upwards_share"] == 0


def test_the_card_holds_the_numbers_and_what_they_are_not(tmp_path: Path) -> None:
    model = bundle()
    card = model_card(model.model_copy(update={"held_out": judged(tmp_path, [16.0, 20.0])}))
    assert "| minors | 1 |" in card
    assert "say nothing about its error on living persons" in " ".join(card.split())
