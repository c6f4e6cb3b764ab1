"""The budget and the schedules."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kneeage.learn.schedule import Budget, exponential, learning_rate, one_cycle
from kneeage.learn.settings import FitSettings

FIT = FitSettings(learning_rate=1e-3, last_rate=3e-4, warmup=0.1)


def test_one_cycle_rises_and_falls_to_zero() -> None:
    factors = [one_cycle(progress / 20, warmup=0.1) for progress in range(21)]
    assert 0 < factors[0] < factors[1] < factors[2] == pytest.approx(1)
    assert factors[2:] == sorted(factors[2:], reverse=True)
    assert factors[-1] == pytest.approx(0)


def test_exponential_equals_torch_s() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1e-3)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, (3e-4 / 1e-3) ** (1 / 50))
    for step in range(51):
        assert exponential(step / 50, 1e-3, 3e-4) == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(("schedule", "first", "last"), [("exponential", 1e-3, 3e-4), ("one_cycle", 1e-5, 0.0)])
def test_the_settings_choose_the_schedule(schedule: str, first: float, last: float) -> None:
    settings = replace(FIT, schedule=schedule)
    assert learning_rate(0, settings) == pytest.approx(first, rel=0.01)
    assert learning_rate(1, settings) == pytest.approx(last)


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
