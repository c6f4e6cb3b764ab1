"""Sharing batches out among processes."""

from __future__ import annotations

import pytest
from torch.utils.data import BatchSampler, DataLoader

from kneeage.core.errors import UsageError
from kneeage.learn import processes
from kneeage.learn.data import RunningNumbers
from kneeage.learn.processes import SharedBatch, require_processes, shared_out
from kneeage.learn.settings import FitSettings


def _parts(monkeypatch: pytest.MonkeyPatch, count: int, epoch: int = 0) -> list[list[list[int]]]:
    parts = []
    for rank in range(count):
        monkeypatch.setattr(processes, "_rank", lambda rank=rank: rank)
        batches = SharedBatch(BatchSampler(RunningNumbers(12), 4, drop_last=False), count)
        batches.sampler.set_epoch(epoch)
        parts.append(list(batches))
    return parts


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("epoch", [0, 3])
def test_parts_make_up_every_batch_without_overlap(monkeypatch: pytest.MonkeyPatch, count: int, epoch: int) -> None:
    first = 12 * epoch
    for number, batch in enumerate(zip(*_parts(monkeypatch, count, epoch), strict=True)):
        items = [item for part in batch for item in part]
        assert sorted(items) == list(range(first + 4 * number, first + 4 * number + 4))
        assert {len(part) for part in batch} == {4 // count}


def test_one_process_keeps_its_loader() -> None:
    loader = DataLoader([1, 2, 3])
    assert shared_out(loader, 1) is loader


def test_shared_loader_has_as_many_batches() -> None:
    loader = DataLoader(list(range(8)), batch_size=4)
    assert [batch.tolist() for batch in shared_out(loader, 2)] == [[0, 2], [4, 6]]
    assert len(shared_out(loader, 2)) == len(loader)


def test_torchrun_of_one_process_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    require_processes(FitSettings(batch_size=8, devices=2))


@pytest.mark.parametrize("variable", ["WORLD_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_more_processes_than_settings_are_refused(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "4")
    require_processes(FitSettings(batch_size=8, devices=2, nodes=2))
    with pytest.raises(UsageError, match=rf"4 processes were started \({variable}\)"):
        require_processes(FitSettings(batch_size=8, devices=2))
