"""Data: fitting to a square, running numbers, region files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kneeage.core.errors import InputRefusedError
from kneeage.learn.data import (
    RegionDataset,
    RunningNumbers,
    SliceDataset,
    SubjectRegions,
    ValidationRegions,
    ValidationSlices,
    fit_square,
    load_regions,
    save_regions,
    subject_of,
    training_loader,
)
from kneeage.learn.settings import FitSettings
from tests.learn.sources import StripeSource, write_regions


def _slice(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    image = np.arange(1, 1 + rows * columns, dtype=np.float32).reshape(rows, columns)
    return image, (image % 12).astype(np.uint8)


def test_fit_square_pads_around_the_middle() -> None:
    image, labels = fit_square(*_slice(4, 2), 4)
    np.testing.assert_array_equal(image[:, 0], 1)
    np.testing.assert_array_equal(image[:, 1:3], _slice(4, 2)[0])
    assert not labels[:, [0, 3]].any()


def test_fit_square_crops_the_middle() -> None:
    image, _ = fit_square(*_slice(6, 4), 4)
    np.testing.assert_array_equal(image, _slice(6, 4)[0][1:5])


@pytest.mark.parametrize("shape", [(40, 40), (20, 50), (32, 32)])
def test_fit_square_moves_image_and_labels_alike(shape: tuple[int, int]) -> None:
    image, labels = fit_square(*_slice(*shape), 32, np.random.default_rng(1))
    assert image.shape == labels.shape == (32, 32)
    inside = labels > 0
    np.testing.assert_array_equal(image[inside] % 12, labels[inside])


def test_every_pass_holds_every_subject_once_in_its_own_order() -> None:
    passes = [[subject_of(7 * turn + n, 7, seed=3) for n in range(7)] for turn in range(2)]
    assert [sorted(order) for order in passes] == [list(range(7))] * 2
    assert passes[0] != passes[1]


def test_items_depend_on_their_number_alone() -> None:
    first, second = (SliceDataset(StripeSource(), 64, seed=1) for _ in range(2))
    torch.testing.assert_close(first[5], second[5])
    assert not torch.equal(first[5][0], first[8][0])


def test_running_numbers_go_on_with_the_epoch() -> None:
    numbers = RunningNumbers(4)
    numbers.set_epoch(2)
    assert (list(numbers), len(numbers)) == ([8, 9, 10, 11], 4)


@pytest.mark.parametrize("workers", [0, 1])
def test_training_batches(workers: int) -> None:
    fit = FitSettings(batch_size=2, steps_per_epoch=2, workers=workers)
    batches = list(training_loader(SliceDataset(StripeSource(), 64, seed=1), fit))
    assert [image.shape for image, _ in batches] == [(2, 1, 64, 64)] * 2
    assert batches[0][1].dtype == torch.uint8


def test_validation_slices_are_always_the_same() -> None:
    slices = ValidationSlices(StripeSource(), 64, seed=1, count=4)
    torch.testing.assert_close(list(slices), list(slices))
    assert len(list(slices)) == 4


def test_regions_survive_the_disk(tmp_path: Path) -> None:
    regions = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float16)
    save_regions(tmp_path / "new" / "a.npz", SubjectRegions(regions, 1, 14.25))
    read = load_regions(tmp_path / "new" / "a.npz")
    np.testing.assert_array_equal(read.regions, regions)
    assert (read.sex, read.age_years) == (1, 14.25)


def test_region_dataset_draws_the_wanted_number_of_slices(tmp_path: Path) -> None:
    dataset = RegionDataset(write_regions(tmp_path), slices=2, seed=1)
    shapes = {tuple(dataset[number][0].shape) for number in range(6)}
    assert shapes == {(2, 3, 64, 64)}


def test_validation_regions_hold_all_slices(tmp_path: Path) -> None:
    dataset = ValidationRegions(write_regions(tmp_path))
    assert [len(dataset[n][0]) for n in range(len(dataset))] == [1, 2, 3]


def test_folder_without_regions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match=r"no \.npz file of regions"):
        ValidationRegions(tmp_path)


def test_file_without_age_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", regions=np.zeros((1, 3, 4, 4)), sex=0)
    with pytest.raises(InputRefusedError, match="lacks age_years"):
        load_regions(tmp_path / "a.npz")


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 1, 4, 4), (3, 4, 4)])
def test_regions_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "a.npz", regions=np.zeros(shape), sex=0, age_years=12.0)
    with pytest.raises(InputRefusedError, match="needed is"):
        load_regions(tmp_path / "a.npz")
