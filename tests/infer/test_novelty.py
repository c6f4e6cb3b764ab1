"""Distance from the training images, on features made up for it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kneeage.core.errors import BundleError
from kneeage.infer.novelty import NoveltyScale, fit_novelty


def features(count: int, seed: int) -> NDArray[np.float64]:
    """Six features that vary in three directions only, and hardly beside them."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(3, 6))
    return rng.normal(size=(count, 3)) @ mixing + 0.01 * rng.normal(size=(count, 6)) + 5


@pytest.fixture(scope="module")
def scale() -> NoveltyScale:
    return NoveltyScale(fit_novelty(features(300, 0), features(200, 1), percentile=99))


def test_new_subjects_of_the_same_kind_lie_within_the_limit(scale: NoveltyScale) -> None:
    reports = [scale.report(one) for one in features(300, 2)]
    assert np.mean([report.distance > report.limit for report in reports]) < 0.04
    assert 30 < np.mean([report.percentile for report in reports]) < 70


def test_the_strange_lie_far_out(scale: NoveltyScale) -> None:
    for strange in (features(1, 3)[0] * 3, features(1, 3)[0] + np.array([0, 0, 4, 0, 0, 0.0])):
        report = scale.report(strange)
        assert report.distance > 1.5 * report.limit
        assert report.percentile == 100


def test_directions_without_any_variance_do_not_decide_alone() -> None:
    flat = features(300, 0)
    flat[:, 5] = 1.0
    held_out = features(200, 1)
    held_out[:, 5] = 1.0
    scale = NoveltyScale(fit_novelty(flat, held_out))
    moved = held_out[0].copy()
    moved[5] += 1e-3
    assert scale.distance(moved) == pytest.approx(scale.distance(held_out[0]), abs=0.1)


def test_another_network_is_refused(scale: NoveltyScale) -> None:
    with pytest.raises(BundleError, match="gives 4 features, the bundle's novelty scale has 6"):
        scale.report(np.zeros(4))


def test_arrays_that_do_not_fit_are_refused() -> None:
    kept = fit_novelty(features(300, 0), features(200, 1))
    with pytest.raises(BundleError, match="novelty scale has a basis of shape"):
        NoveltyScale(kept.model_copy(update={"mean": kept.mean[:-1]}))
