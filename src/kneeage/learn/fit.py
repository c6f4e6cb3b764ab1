"""One way to train for both networks: budget, schedule, checkpoints, resume."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from kneeage.learn.settings import FitSettings

LAST_CHECKPOINT = "last.ckpt"
BEST_CHECKPOINT = "best.ckpt"


class Budget(Callback):
    """Ends the training at its step or time limit, and ties the learning rate to the share already spent.

    The learning rate rises linearly and falls along a half cosine. The time spent travels with the checkpoint.
    The random numbers of a step (augmentation, dropout) are seeded by its number, so that a resumed run repeats them.
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
        trainer.should_stop = self.progress(trainer.global_step) >= 1

    def on_train_batch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Set the learning rate and the seed of this step."""
        torch.manual_seed(self._settings.seed * 1_000_003 + trainer.global_step)
        rate = self._settings.learning_rate * one_cycle(self.progress(trainer.global_step), self._settings.warmup)
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        pl_module.log("learning_rate", rate)

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Stop when the budget is spent."""
        if self.progress(trainer.global_step) >= 1:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Time spent so far."""
        return {"spent_s": self._spent_s()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the time that was spent."""
        self._spent_before_s = float(state_dict["spent_s"])

    def _spent_s(self) -> float:
        """Seconds of training, over all resumes."""
        return self._spent_before_s + time.monotonic() - self._started


def one_cycle(progress: float, warmup: float) -> float:
    """Factor on the learning rate: a linear rise over ``warmup``, then a half cosine down to zero.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5, one cycle.
    """
    if progress < warmup:
        return (progress + 1e-3) / (warmup + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def fit(
    module: lightning.LightningModule,
    training: DataLoader[Any],
    validation: DataLoader[Any],
    settings: FitSettings,
    run: Path,
    *,
    monitor: str,
    mode: str,
) -> Path:
    """Train a module, resuming from the run's last checkpoint if it has one.

    Args:
        module: What is trained; its settings are in its hyperparameters.
        training: Batches of one epoch, ``settings.steps_per_epoch`` of them.
        validation: Batches for the metrics.
        settings: Length, schedule, precision.
        run: Folder of checkpoints (``last.ckpt``, ``best.ckpt``) and metrics (CSV, one folder per start).
        monitor: Validation metric that names the best checkpoint.
        mode: ``"min"`` or ``"max"``.

    Returns:
        The best checkpoint.
    """
    last = run / LAST_CHECKPOINT
    with _quiet():
        trainer = _trainer(settings, run, monitor, mode)
        trainer.fit(module, training, validation, ckpt_path=last if last.exists() else None, weights_only=True)
    best = run / BEST_CHECKPOINT
    return best if best.exists() else last


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's hints to itself: the folder that a run resumes from is not empty, and workers are a setting."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for hint in ("Checkpoint directory", ".*does not have many workers", ".*treespec, LeafSpec"):
            warnings.filterwarnings("ignore", message=hint)
        yield


def _trainer(settings: FitSettings, run: Path, monitor: str, mode: str) -> lightning.Trainer:
    """Build the trainer of one run."""
    callbacks: list[Callback] = [
        Budget(settings),
        _checkpoint(run, LAST_CHECKPOINT),
        _checkpoint(run, BEST_CHECKPOINT, monitor, mode),
    ]
    if settings.progress_bar:
        callbacks.append(TQDMProgressBar(refresh_rate=10))
    return lightning.Trainer(
        accelerator="auto",
        devices=1,
        precision=settings.precision,
        max_epochs=-1,
        max_steps=settings.max_steps,
        gradient_clip_val=settings.gradient_clip,
        logger=CSVLogger(run, name="metrics"),
        callbacks=callbacks,
        log_every_n_steps=min(10, settings.steps_per_epoch),
        num_sanity_val_steps=0,
        enable_progress_bar=settings.progress_bar,
        enable_model_summary=False,
    )


def _checkpoint(run: Path, name: str, monitor: str | None = None, mode: str = "min") -> ModelCheckpoint:
    """Keep one checkpoint under a fixed name, written after each validation."""
    return ModelCheckpoint(
        dirpath=run,
        filename=Path(name).stem,
        monitor=monitor,
        mode=mode,
        save_top_k=1,
        enable_version_counter=False,
        save_on_train_epoch_end=False,
    )
