"""How long a training lasts, and which learning rate each step has."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from kneeage.learn.settings import FitSettings

# Numbers that keep the seeds of runs, steps and processes apart; the generator takes the lowest 32 bits.
_SEEDS_APART, _PROCESSES_APART = 1_000_003, 715_827_883


class Budget(Callback):
    """Ends the training at its step or time limit, and ties the learning rate to the share already spent.

    The time spent travels with the checkpoint. The random numbers of a step (augmentation, dropout) are seeded by its
    number, so that a resumed run repeats them, and by the process, so that processes do not draw the same.
    """

    def __init__(self, settings: FitSettings) -> None:
        self._settings = settings
        self._spent_before_s = 0.0
        self._started = time.monotonic()

    def progress(self, step: int) -> float:
        """Share of the budget that is spent, 0 to 1, when ``step`` steps are done."""
        by_steps = step / self._settings.max_steps
        by_time = self._spent_s() / (60 * self._settings.max_minutes) if self._settings.max_minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Start the clock; a run that is resumed after its end stops at once."""
        self._started = time.monotonic()
        trainer.should_stop = self._common_progress(trainer) >= 1

    def on_train_batch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Set the learning rate and the seed of this step."""
        seed = self._settings.seed * _SEEDS_APART + trainer.global_step + trainer.global_rank * _PROCESSES_APART
        torch.manual_seed(seed)
        rate = learning_rate(self._common_progress(trainer), self._settings)
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        pl_module.log("learning_rate", rate)

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Stop when the budget is spent."""
        if self._common_progress(trainer) >= 1:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Time spent so far."""
        return {"spent_s": self._spent_s()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the time that was spent."""
        self._spent_before_s = float(state_dict["spent_s"])

    def _common_progress(self, trainer: lightning.Trainer) -> float:
        """Give the progress by the first process's clock: with a rate of its own, each would go another way."""
        progress = self.progress(trainer.global_step)
        clocks = self._settings.max_minutes is not None and trainer.world_size > 1
        return float(trainer.strategy.broadcast(progress)) if clocks else progress

    def _spent_s(self) -> float:
        """Seconds of training, over all resumes."""
        return self._spent_before_s + time.monotonic() - self._started


def learning_rate(progress: float, settings: FitSettings) -> float:
    """Learning rate when this share of the training, 0 to 1, is done."""
    if settings.schedule == "exponential":
        return exponential(progress, settings.learning_rate, settings.last_rate)
    return settings.learning_rate * one_cycle(progress, settings.warmup)


def one_cycle(progress: float, warmup: float) -> float:
    """Factor on the learning rate: a linear rise over ``warmup``, then a half cosine down to zero.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5, one cycle.
    """
    if progress < warmup:
        return (progress + 1e-3) / (warmup + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def exponential(progress: float, first: float, last: float) -> float:
    """Learning rate that falls by the same factor in every step, from ``first`` at 0 to ``last`` at 1."""
    return float(first * (last / first) ** progress)
