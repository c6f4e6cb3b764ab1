"""How the answer moves between three priors."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.decide.prior_effect import prior_effects, three_priors
from kneeage.decide.ratio import likelihood_ratio, windows_around
from tests.infer.knees import manifest

MANIFEST = manifest()
CENTRES = np.arange(8, 26) + 0.5


def test_one_threshold_gives_the_window_of_its_likelihood_ratio() -> None:
    likelihood = -(((CENTRES - 17) / 1.5) ** 2)
    effect = prior_effects(likelihood, MANIFEST, [18])[1]
    ratio = likelihood_ratio(likelihood, MANIFEST.age_edges_years, windows_around(18))
    assert effect.prior == "uniform:16-20"
    assert ratio is not None
    assert effect.thresholds["18"] / (1 - effect.thresholds["18"]) == pytest.approx(ratio.value)


def test_a_sharp_image_leaves_little_to_the_prior() -> None:
    ages = [each.most_probable_age_years for each in prior_effects(-10 * (CENTRES - 15.5) ** 2, MANIFEST, [14, 18])]
    assert ages == [15.5] * 3


def test_a_blunt_image_leaves_much_to_the_prior() -> None:
    whole, _, disputed = prior_effects(np.zeros(18), MANIFEST, [18])
    assert whole.thresholds["18"] == pytest.approx(8 / 18)
    assert disputed.thresholds["18"] == pytest.approx(4 / 9)
    assert disputed.interval.low > whole.interval.low


def test_without_a_question_two_priors_are_left() -> None:
    assert [prior.name for prior in three_priors(MANIFEST, [])] == ["uniform:8-26", "disputed ages (assumed)"]


def test_a_prior_beside_the_bundle_is_left_out() -> None:
    assert len(prior_effects(np.zeros(18), MANIFEST, [40])) == 2


def test_a_prior_on_ages_that_nobody_was_trained_on_is_left_out() -> None:
    assert len(prior_effects(np.where(CENTRES < 22, -np.inf, 0.0), MANIFEST, [12])) == 2
