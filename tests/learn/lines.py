"""A network of two numbers, the data for it, and programs that train it: as small as a training can be."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import nn
from torch.utils.data import DataLoader, Dataset

from kneeage.learn.data import training_loader
from kneeage.learn.fit import fit
from kneeage.learn.optimizers import build_optimizer
from kneeage.learn.settings import FitSettings

Point = tuple[torch.Tensor, torch.Tensor]
FIT = FitSettings(
    batch_size=4, max_steps=12, steps_per_epoch=4, precision="32-true", progress_bar=False, accelerator="cpu"
)


class Points(Dataset[Point]):
    """Points of a noisy line by running number; the process may die when it asks for one of them."""

    def __init__(self, deadly: int | None = None, by: signal.Signals = signal.SIGKILL) -> None:
        self._deadly, self._by = deadly, by

    def __getitem__(self, number: int) -> Point:
        if number == self._deadly:
            os.kill(os.getpid(), self._by)
        x = torch.randn(3, generator=torch.Generator().manual_seed(number))
        return x, x.sum()[None]


class FivePoints(Points):
    """What a validation judges."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, number: int) -> Point:
        if number >= 5:
            raise IndexError(number)
        return super().__getitem__(1_000_000 + number)


class Line(lightning.LightningModule):
    """A line, found by gradient descent; ``noise`` stands for augmentation."""

    def __init__(self, settings: FitSettings, noise: float) -> None:
        super().__init__()
        self.settings, self.noise = settings, noise
        self.network = nn.Linear(3, 1)

    def training_step(self, batch: Point) -> torch.Tensor:
        """Squared error."""
        x, y = batch
        loss = (self.network(x + self.noise * torch.randn_like(x)) - y).square().mean()
        self.log("train_loss", loss, sync_dist=True)
        return loss

    def validation_step(self, batch: Point) -> None:
        """Mean squared error over all points."""
        x, y = batch
        loss = (self.network(x) - y).square().mean()
        self.log("validation_loss", loss, sync_dist=True, batch_size=len(x))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """As the settings say."""
        return build_optimizer(self.parameters(), self.settings)


def train_line(
    run: Path,
    settings: FitSettings = FIT,
    deadly: int | None = None,
    noise: float = 0.1,
    by: signal.Signals = signal.SIGKILL,
) -> torch.Tensor:
    """Train, or go on; give the weights. The item that is ``deadly`` brings this signal."""
    lightning.seed_everything(settings.seed, verbose=False)
    module = Line(settings, noise)
    training = training_loader(Points(deadly, by), settings)
    fit(module, training, DataLoader(FivePoints()), settings, run, monitor="validation_loss", mode="min")
    return torch.cat([module.network.weight.detach().flatten(), module.network.bias.detach()])


def die(run: Path, numbers: list[int]) -> list[int]:
    """Train again and again, each time in a process that is killed when it asks for the next of these items."""
    return [_in_process(partial(train_line, run, deadly=number)) for number in numbers]


def share(run: Path) -> list[int]:
    """Train in two processes that are started as torchrun starts them."""
    started = [_fork(partial(_join, run, rank)) for rank in range(2)]
    return [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in started]


def _join(run: Path, rank: int) -> None:
    """Train as one of two processes."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": sys.argv[3], "TORCHELASTIC_RUN_ID": "test"}
    os.environ.update({**address, "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)})
    os.environ.update({"LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"})
    rank_zero_only.rank = rank
    weights = train_line(run, replace(FIT, devices=2), noise=0.0)
    torch.save(weights, run / f"weights_{rank}.pt")


def _in_process(work: Callable[[], object]) -> int:
    """Work in a process of its own; give its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(_fork(work), 0)[1])


def _fork(work: Callable[[], object]) -> int:
    """Start a process that has loaded the libraries already."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 (nothing of pytest may run in this process)
            traceback.print_exc()
        os._exit(code)
    return process


if __name__ == "__main__":
    torch.set_num_threads(1)
    place = Path(sys.argv[2])
    codes = share(place) if sys.argv[1] == "share" else die(place, [int(number) for number in sys.argv[3:]])
    sys.stdout.write(" ".join(map(str, codes)))
