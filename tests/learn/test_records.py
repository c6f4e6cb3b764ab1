"""What whoever watches a training sees."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kneeage.learn import records
from kneeage.learn.records import Bar


class _Budget:
    """A training of a thousand steps."""

    def progress(self, step: int) -> float:
        return step / 1000


def test_where_there_is_no_terminal_a_line_a_minute_says_how_long_it_will_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(records.time, "monotonic", lambda: now[0])
    bar = Bar(_Budget())  # type: ignore[arg-type]
    trainer: Any = SimpleNamespace(global_step=200, is_global_zero=True, progress_bar_metrics={})
    bar.on_train_start(trainer)
    for seconds, step in ((30, 205), (70, 210), (100, 215), (131, 220)):
        now[0], trainer.global_step = float(seconds), step
        bar.on_train_batch_end(trainer)
    bar.on_train_end()
    assert capsys.readouterr().err.splitlines() == [
        "training: going on after step 200",
        "training: step 210, 21 % done, about 92 min left",
        "training: step 220, 22 % done, about 85 min left",
    ]
