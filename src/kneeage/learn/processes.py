"""One training in several processes: how many there are, and which part of every batch each of them takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TypeVar

from lightning.pytorch.utilities import rank_zero_only
from torch import distributed
from torch.utils.data import DataLoader, Sampler

from kneeage.core.errors import UsageError
from kneeage.learn.settings import FitSettings

Item = TypeVar("Item")
# Where torchrun and SLURM say how many processes they started.
_STARTED = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")


def process_count(settings: FitSettings) -> int:
    """Number of processes that train together."""
    return settings.devices * settings.nodes


def is_first_process() -> bool:
    """Say whether this is the process that writes files and speaks; alone, it is."""
    rank: int = getattr(rank_zero_only, "rank", 0)
    return rank == 0


def require_processes(settings: FitSettings) -> None:
    """Check that the processes can share the work, and that as many were started as the settings say.

    Raises:
        UsageError: A batch does not divide among the processes, or another number of them was started.
    """
    processes = process_count(settings)
    if settings.batch_size % processes:
        raise UsageError(
            f"fit.batch_size={settings.batch_size} is shared out among fit.devices x fit.nodes = {processes} "
            "processes; choose a multiple"
        )
    for variable in _STARTED:
        started = int(os.environ.get(variable, "1"))
        if started not in (1, processes):
            raise UsageError(
                f"{started} processes were started ({variable}), but fit.devices x fit.nodes is {processes}; "
                "set both to what was started"
            )


class SharedBatch(Sampler[list[int]]):
    """This process's part of every batch; all parts are alike in size and have no item in common.

    Args:
        batches: Batches of all processes together.
        processes: Their number; it divides the size of the batches.
    """

    def __init__(self, batches: Sampler[list[int]], processes: int) -> None:
        self._batches, self._processes = batches, processes
        # Lightning tells this one the epoch.
        self.sampler = getattr(batches, "sampler", None)

    def __len__(self) -> int:
        return len(self._batches)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches:
            yield batch[_rank() :: self._processes]


def shared_out(loader: DataLoader[Item], processes: int) -> DataLoader[Item]:
    """Let each process load its part of every batch.

    Args:
        loader: Loads the batches of all processes together.
        processes: Their number.
    """
    if processes == 1:
        return loader
    batches = loader.batch_sampler
    if not isinstance(batches, Sampler):
        raise UsageError("a training in several processes needs a loader that makes batches")
    return DataLoader(
        loader.dataset,
        batch_sampler=SharedBatch(batches, processes),
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        persistent_workers=loader.persistent_workers,
        pin_memory=loader.pin_memory,
        worker_init_fn=loader.worker_init_fn,
        prefetch_factor=loader.prefetch_factor,
    )


def _rank() -> int:
    """Number of this process among those that train together."""
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0
