"""What a training leaves behind while it goes on: metrics, curves, and a bar for whoever watches."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers.logger import Logger
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from kneeage.core.errors import UsageError
from kneeage.learn.curves import CURVES_FILE, draw_curves
from kneeage.learn.metrics_file import METRICS_FILE, MetricsFile
from kneeage.learn.schedule import Budget
from kneeage.learn.settings import FitSettings

TENSORBOARD_FOLDER = "tensorboard"
# Drawing takes about half a second, and a tiny training validates all the time.
_SECONDS_BETWEEN_DRAWINGS = 20.0
_STEPS_BETWEEN_WORDS = 10
_SECONDS_BETWEEN_LINES = 60.0


class Records(Callback):
    """Keeps the metrics file in step with the checkpoints, and draws its curves.

    The number of rows travels with the checkpoint, so that a resumed run goes on where its checkpoint stands.

    Args:
        metrics: The metrics file.
        run: Folder of the run.
    """

    def __init__(self, metrics: MetricsFile, run: Path) -> None:
        self._metrics, self._run = metrics, run
        self._rows, self._drawn = 0, time.monotonic()

    def on_fit_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Drop the rows that were written after the checkpoint."""
        if trainer.is_global_zero:
            self._metrics.keep_first(self._rows)

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Draw the curves, unless that was just done."""
        if time.monotonic() - self._drawn > _SECONDS_BETWEEN_DRAWINGS:
            self._draw(trainer)

    def on_fit_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Draw the curves of the whole training."""
        self._draw(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Rows written so far."""
        return {"rows": self._metrics.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the rows that the checkpoint knows."""
        self._rows = int(state_dict["rows"])

    def _draw(self, trainer: lightning.Trainer) -> None:
        """Draw the curves."""
        if trainer.is_global_zero:
            draw_curves(self._run / METRICS_FILE, self._run / CURVES_FILE)
            self._drawn = time.monotonic()


class Bar(Callback):
    """One bar for the whole training on a terminal; elsewhere, such as in a log, a line a minute.

    Args:
        budget: Knows how much of the training is done.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("Training", total=1.0)
        self._began = self._said = time.monotonic()
        self._before = 0.0

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Show the bar."""
        self._began = self._said = time.monotonic()
        self._before = self._budget.progress(trainer.global_step)
        if trainer.is_global_zero and trainer.global_step:
            self._progress.console.print(f"training: going on after step {trainer.global_step:,}", highlight=False)
        if trainer.is_global_zero and self._progress.console.is_terminal:
            self._progress.start()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Move the bar."""
        step = trainer.global_step
        if step % _STEPS_BETWEEN_WORDS == 0:
            said = "  ".join(f"{name} {value:.4g}" for name, value in trainer.progress_bar_metrics.items())
            self._progress.update(self._task, description=f"Training: step {step}  {said}")
        self._progress.update(self._task, completed=self._budget.progress(step))
        if not self._progress.console.is_terminal and time.monotonic() - self._said > _SECONDS_BETWEEN_LINES:
            self._say(trainer)

    def on_train_end(self, *_: Any) -> None:
        """Take the bar away."""
        self._stop()

    def on_exception(self, *_: Any) -> None:
        """Take the bar away before the error is said."""
        self._stop()

    def _stop(self) -> None:
        """Take the bar away where there is one; stopping one that never began writes an empty line."""
        if self._progress.live.is_started:
            self._progress.stop()

    def _say(self, trainer: lightning.Trainer) -> None:
        """Write how far the training is, and how long it will take at the speed since it began or went on."""
        self._said = time.monotonic()
        done = self._budget.progress(trainer.global_step)
        if trainer.is_global_zero and done > self._before:
            left = (self._said - self._began) * (1 - done) / (done - self._before)
            words = f"training: step {trainer.global_step:,}, {100 * done:.0f} % done, about {left / 60:.0f} min left"
            self._progress.console.print(words, highlight=False)


def require_tensorboard(settings: FitSettings) -> None:
    """Check, before anything is prepared, that what TensorBoard reads can be written where it is asked for.

    Raises:
        UsageError: The extra is not installed.
    """
    if settings.tensorboard and find_spec("tensorboard") is None:
        raise UsageError(
            "fit.tensorboard=true needs tensorboard; install it with: pip install 'kneeage[tensorboard]', "
            f"or leave it off: {METRICS_FILE} holds the same numbers"
        )


def tensorboard_logger(run: Path) -> Logger:
    """Log the same metrics for TensorBoard.

    Args:
        run: Folder of the run.
    """
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(run, name=TENSORBOARD_FOLDER, version="", default_hp_metric=False)
