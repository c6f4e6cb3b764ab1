"""Stages by their definitions, and the agreement of two gradings."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from kneeage.core.skeletal_stages import (
    DEDOUIT,
    SCHMELING_KELLINGHAUS,
    Continuity,
    dedouit_index,
    schmeling_kellinghaus_index,
    weighted_kappa,
)


def test_dedouit_by_thickness_and_bridging() -> None:
    thickness, bridged = np.array([2.3, 2.29, 1.49, 3.0, 3.0]), np.array([0.0, 0.0, 0.01, 0.02, 0.98])
    assert [DEDOUIT[place].value for place in dedouit_index(thickness, bridged)] == ["I", "II", "III", "IV", "V"]


def test_schmeling_kellinghaus_by_thirds_and_scar() -> None:
    bridged = np.array([0.0, 0.1, 0.5, 0.8, 1.0, 1.0])
    visible = np.array([True, False, True, False, True, False])
    found = schmeling_kellinghaus_index(bridged, visible)
    assert [SCHMELING_KELLINGHAUS[place].value for place in found] == ["2c", "3a", "3b", "3c", "4", "5"]


def test_continuity_is_a_matter_of_what_can_be_seen() -> None:
    coarse = Continuity(bridge_seen=0.1, remnant_seen=0.9)
    assert list(dedouit_index(np.array([2.0, 2.0]), np.array([0.05, 0.95]), coarse)) == [1, 4]
    assert list(dedouit_index(np.array([2.0, 2.0]), np.array([0.05, 0.95]))) == [3, 3]


@pytest.mark.parametrize(("power", "weights"), [(1, "linear"), (2, "quadratic")])
def test_kappa_is_that_of_another_library(power: int, weights: str) -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 5, 200)
    second = np.clip(first + rng.integers(-1, 2, 200), 0, 4)
    wanted = cohen_kappa_score(first, second, weights=weights)
    assert weighted_kappa(list(first), list(second), 5, power=power) == pytest.approx(wanted)


def test_kappa_of_one_stage_is_no_number() -> None:
    assert np.isnan(weighted_kappa([1, 1], [1, 1], 5))
