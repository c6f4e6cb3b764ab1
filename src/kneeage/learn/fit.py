"""One way to train for all networks: budget, schedule, checkpoints, resume, several processes."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch.utils.data import DataLoader

from kneeage.core.errors import UsageError
from kneeage.learn.metrics_file import METRICS_FILE, MetricsFile
from kneeage.learn.processes import process_count, require_processes, shared_out
from kneeage.learn.records import Bar, Records, require_tensorboard, tensorboard_logger
from kneeage.learn.schedule import Budget
from kneeage.learn.settings import FitSettings

LAST_CHECKPOINT = "last.ckpt"
BEST_CHECKPOINT = "best.ckpt"
_STEPS_BETWEEN_ROWS = 10
_HINTS = ("Checkpoint directory", ".*does not have many workers", ".*treespec, LeafSpec", ".*sync_dist=True")


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
        training: Batches of one epoch, ``settings.steps_per_epoch`` of them, for all processes together.
        validation: Batches for the metrics. Each process judges all of them, so that the metrics are exact.
        settings: Length, schedule, precision, processes.
        run: Folder of checkpoints (``last.ckpt``, ``best.ckpt``), of ``metrics.csv`` and of ``curves.png``.
        monitor: Validation metric that names the best checkpoint.
        mode: ``"min"`` or ``"max"``.

    Returns:
        The best checkpoint.

    Raises:
        UsageError: The machine or the started processes do not fit the settings, or TensorBoard is not installed.
        KeyboardInterrupt: Somebody pressed Ctrl-C; the last checkpoint is kept.
    """
    require_processes(settings)
    require_tensorboard(settings)
    training, last = shared_out(training, process_count(settings)), run / LAST_CHECKPOINT
    with _quiet():
        trainer = _trainer(settings, run, monitor, mode)
        with _interruptible():
            trainer.fit(module, training, validation, ckpt_path=last if last.exists() else None, weights_only=True)
    best = run / BEST_CHECKPOINT
    return best if best.exists() else last


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's hints to itself: the folder that a run resumes from is not empty, and workers are a setting."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for hint in _HINTS:
            warnings.filterwarnings("ignore", message=hint)
        yield


@contextmanager
def _interruptible() -> Iterator[None]:
    """Undo what Lightning makes of Ctrl-C: the end of the program as if it had failed, and Ctrl-C ignored from then."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from None


def _trainer(settings: FitSettings, run: Path, monitor: str, mode: str) -> lightning.Trainer:
    """Build the trainer of one run.

    Raises:
        UsageError: The machine cannot do what the settings ask for.
    """
    metrics = MetricsFile(run / METRICS_FILE)
    try:
        return lightning.Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.nodes,
            strategy=settings.strategy,
            precision=settings.precision,
            max_epochs=-1,
            max_steps=settings.max_steps,
            gradient_clip_val=settings.gradient_clip,
            default_root_dir=run,
            logger=[metrics, *([tensorboard_logger(run)] if settings.tensorboard else [])],
            callbacks=_callbacks(settings, run, metrics, _checkpoint(run, BEST_CHECKPOINT, monitor, mode)),
            log_every_n_steps=min(_STEPS_BETWEEN_ROWS, settings.steps_per_epoch),
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError) as error:
        asked = f"fit.accelerator={settings.accelerator} fit.devices={settings.devices} fit.nodes={settings.nodes}"
        raise UsageError(f"this machine cannot train with {asked} fit.strategy={settings.strategy}: {error}") from error


def _callbacks(settings: FitSettings, run: Path, metrics: MetricsFile, best: ModelCheckpoint) -> list[Callback]:
    """List what goes along with the training."""
    budget = Budget(settings)
    bar = [Bar(budget)] if settings.progress_bar else []
    return [budget, *bar, Records(metrics, run), _checkpoint(run, LAST_CHECKPOINT), best]


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
