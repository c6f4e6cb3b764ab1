"""From age bins to age classes."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.errors import UsageError
from kneeage.study.classes import class_probabilities, class_shares

HALF_YEARS = np.arange(8, 26.5, 0.5)


def test_completed_years_are_their_own_classes() -> None:
    np.testing.assert_array_equal(class_shares(range(10, 20), range(10, 19)), np.eye(9))


def test_a_year_is_its_two_halves_and_what_lies_outside_counts_nowhere() -> None:
    shares = class_shares(HALF_YEARS, (10, 11))
    assert shares.shape == (36, 2)
    np.testing.assert_array_equal(np.flatnonzero(shares[:, 0]), [4, 5])
    np.testing.assert_array_equal(shares.sum(axis=0), [2, 2])


def test_a_bin_across_a_birthday_is_parted() -> None:
    np.testing.assert_allclose(class_shares([10, 10.75, 11.75, 12], (10, 11)), [[1, 0], [0.25, 0.75], [0, 1]])


def test_probabilities_are_those_of_a_softmax_given_the_classes() -> None:
    logits = np.random.default_rng(1).normal(size=(3, 36)) * 3
    soft = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    own = np.stack([soft[:, 4:6].sum(axis=1), soft[:, 6:8].sum(axis=1)], axis=1)
    found = class_probabilities(logits, class_shares(HALF_YEARS, (10, 11)))
    np.testing.assert_allclose(found, own / own.sum(axis=1, keepdims=True))


def test_a_model_that_is_sure_of_another_age_still_gives_probabilities() -> None:
    logits = np.full((1, 36), -5000.0)
    logits[0, 35] = 5000.0
    found = class_probabilities(logits, class_shares(HALF_YEARS, (10, 11)))
    np.testing.assert_allclose(found, [[0.5, 0.5]])


def test_bins_that_do_not_reach_over_the_classes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"from 10 to 19 years; the classes 9 to 18 need 9 to 19"):
        class_shares(range(10, 20), range(9, 19))
