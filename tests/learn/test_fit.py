"""The budget and the schedule."""

from __future__ import annotations

import pytest

from kneeage.learn.fit import Budget, one_cycle
from kneeage.learn.settings import FitSettings


def test_one_cycle_rises_and_falls_to_zero() -> None:
    factors = [one_cycle(progress / 20, warmup=0.1) for progress in range(21)]
    assert 0 < factors[0] < factors[1] < factors[2] == pytest.approx(1)
    assert factors[2:] == sorted(factors[2:], reverse=True)
    assert factors[-1] == pytest.approx(0)


def test_progress_follows_the_steps() -> None:
    assert Budget(FitSettings(max_steps=10)).progress(5) == pytest.approx(0.5)


def test_progress_follows_the_clock_when_it_is_ahead() -> None:
    budget = Budget(FitSettings(max_steps=10, max_minutes=1))
    budget.load_state_dict({"spent_s": 45.0})
    assert budget.progress(5) == pytest.approx(0.75, abs=0.02)


def test_time_spent_travels_with_the_checkpoint() -> None:
    budget = Budget(FitSettings())
    budget.load_state_dict({"spent_s": 45.0})
    assert budget.state_dict()["spent_s"] == pytest.approx(45, abs=1)
