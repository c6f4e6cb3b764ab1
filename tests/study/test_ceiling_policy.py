"""What the best readers reach with the threshold rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kneeage.core.anatomy import Sex
from kneeage.phantom.cohort.ceiling import Reader
from kneeage.phantom.cohort.presets import PRESETS
from kneeage.phantom.growth.age_law import Ages
from kneeage.study.ceiling_policy import Simulation, ceiling_policies, on_bins

EDGES = np.arange(8, 26.5, 0.5).tolist()
SIMULATION = Simulation(PRESETS["forensic"], EDGES, seed=3)


def test_a_posterior_becomes_one_under_even_ages() -> None:
    """A reader who sees nothing answers with the cohort's ages; put on even ages, that is even."""
    ages = Ages(10, np.array([1.0, 3.0, 2.0]), 10)
    found = on_bins(np.repeat(ages.prior[None], 2, axis=0), ages, [10.0, 11.0, 12.0, 13.0])
    assert found == pytest.approx(np.full((2, 3), 1 / 3))


def test_bins_beyond_the_cohort_hold_nothing() -> None:
    ages = Ages(10, np.ones(2), 10)
    found = on_bins(ages.prior[None], ages, [9.0, 10.0, 11.0, 12.0, 13.0])
    assert found[0] == pytest.approx([0, 0.5, 0.5, 0])


def test_readers_are_calibrated_by_construction() -> None:
    read = SIMULATION.read(Reader.LATENTS, 600, (8, 26))
    scores = np.array([subject.score for subject in read])
    assert abs(scores.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 600)
    assert abs(np.mean((scores > 0.025) & (scores < 0.975)) - 0.95) < 0.03
    assert sum(subject.sex is Sex.FEMALE for subject in read) == 300


def test_more_knowledge_is_less_error() -> None:
    errors = {
        reader: np.mean(
            [abs(s.distribution.quantile(0.5) - s.age_years) for s in SIMULATION.read(reader, 500, (10, 20))]
        )
        for reader in (Reader.LATENTS, Reader.PLATES)
    }
    assert errors[Reader.LATENTS] < errors[Reader.PLATES]


def test_the_rule_is_tuned_and_counted_for_both_readers() -> None:
    policies = ceiling_policies(PRESETS["forensic"], EDGES, [18], subjects=1700, seeds=(5, 6))
    assert set(policies) == {"a", "b"}
    for policy in policies.values():
        assert [(rule.age_years, rule.sex) for rule in policy.rules] == [(18, sex) for sex in Sex]
        for rule in policy.rules:
            assert rule.errors is not None
            # Nobody tuned on reaches the limit. How many of the fresh do is then beta-binomial, by ranks alone.
            fresh = rule.errors.false_adult
            assert stats.betabinom(fresh.subjects, 1, rule.subjects_below).sf(fresh.errors - 1) > 0.001
            assert rule.at_least_probability is not None
            assert rule.errors.undetermined.share is not None
            assert rule.errors.undetermined.share > 0.2
