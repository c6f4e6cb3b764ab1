"""Training: what it leaves behind, resume after SIGKILL, seeds, several processes."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kneeage.core.errors import UsageError
from kneeage.learn.fit import LAST_CHECKPOINT
from kneeage.learn.metrics_file import curve, read_metrics
from tests.learn.lines import FIT, train_line
from tests.ports import free_port

ROOT = Path(__file__).parents[2]


def _codes(*arguments: str) -> list[int]:
    """Run a program of ``lines.py``; give the exit codes of the processes that it starts."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "tests.learn.lines", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [int(code) for code in done.stdout.split()]


def test_a_run_leaves_metrics_curves_and_checkpoints(tmp_path: Path) -> None:
    train_line(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"best.ckpt", "last.ckpt", "metrics.csv", "curves.png"}
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_metrics_hold_loss_rate_and_validation(tmp_path: Path) -> None:
    train_line(tmp_path)
    rows = read_metrics(tmp_path / "metrics.csv")
    steps, losses = curve(rows, "validation_loss")
    assert steps == [3, 7, 11]
    assert losses[-1] < losses[0]
    assert curve(rows, "train_loss")[0] == curve(rows, "learning_rate")[0] == [3, 7, 11]


def test_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    first, second = (train_line(tmp_path / name) for name in ("first", "second"))
    other = train_line(tmp_path / "other", replace(FIT, seed=1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    """Killed in the second step, before any checkpoint; in the third epoch, between two; then left to end."""
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    weights = train_line(unbroken)
    assert _codes("die", str(killed), "6", "41") == [-signal.SIGKILL, -signal.SIGKILL]
    assert torch.load(killed / LAST_CHECKPOINT, weights_only=True)["global_step"] == 8
    assert torch.equal(train_line(killed), weights)
    assert (killed / "metrics.csv").read_text() == (unbroken / "metrics.csv").read_text()


def test_a_stopped_run_says_so_and_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    weights, stopped = train_line(tmp_path / "unbroken"), tmp_path / "stopped"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            train_line(stopped, deadly=41, by=signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert torch.load(stopped / LAST_CHECKPOINT, weights_only=True)["global_step"] == 8
    assert torch.equal(train_line(stopped), weights)


def test_rows_after_the_checkpoint_are_written_anew(tmp_path: Path) -> None:
    train_line(tmp_path, replace(FIT, max_steps=8))
    before = (tmp_path / "metrics.csv").read_text()
    (tmp_path / "metrics.csv").write_text(before + before.splitlines()[1] + "\n3,1,0.")
    train_line(tmp_path, replace(FIT, max_steps=8))
    assert (tmp_path / "metrics.csv").read_text() == before


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    alone = train_line(tmp_path / "one", noise=0.0)
    assert _codes("share", str(tmp_path / "two"), str(free_port())) == [0, 0]
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / "two" / f"weights_{rank}.pt"), alone, rtol=1e-5, atol=1e-6)
    one, two = (_numbers(tmp_path / name / "metrics.csv") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in one:
        assert two[name] == pytest.approx(one[name], rel=1e-5), name


def _numbers(path: Path) -> dict[str, list[float]]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {name: curve(rows, name)[1] for name in rows[0]}


def test_a_batch_must_divide_among_the_processes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"fit.batch_size=4 is shared out among fit.devices x fit.nodes = 3"):
        train_line(tmp_path, replace(FIT, devices=3))


def test_started_processes_must_be_those_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match=r"2 processes were started \(WORLD_SIZE\), but .* is 1"):
        train_line(tmp_path)


def test_an_unknown_strategy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"fit\.strategy=magic"):
        train_line(tmp_path, replace(FIT, strategy="magic"))


def test_tensorboard_writes_beside_the_table(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    train_line(tmp_path, replace(FIT, tensorboard=True))
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_tensorboard_without_its_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kneeage.learn.records.find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"^fit.tensorboard=true needs tensorboard; .*'kneeage\[tensorboard\]'"):
        train_line(tmp_path, replace(FIT, tensorboard=True))
    assert not list(tmp_path.iterdir())
