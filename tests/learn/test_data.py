"""Data: fitting to a square, running numbers, region files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kneeage.core.errors import InputRefusedError
from kneeage.learn.data import (
    LabelledSlices,
    RegionDataset,
    RunningNumbers,
    SliceDataset,
    SubjectRegions,
    SubjectSlices,
    ValidationRegions,
    ValidationSlices,
    fit_square,
    load_regions,
    load_slices,
    region_files,
    save_regions,
    save_slices,
    subject_of,
    training_loader,
)
from kneeage.learn.settings import FitSettings
from tests.learn.sources import StripeSource, write_regions, write_slices


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
    assert (read.sex, read.age_years, read.subject_id) == (1, 14.25, "")
    save_regions(tmp_path / "new" / "a.npz", SubjectRegions(regions, 1, 14.25, "S7"))
    assert load_regions(tmp_path / "new" / "a.npz").subject_id == "S7"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npz"]


def test_facts_survive_the_disk_and_make_a_row(tmp_path: Path) -> None:
    facts = {"height_cm": 171.5, "sequence_t1": 1.0, "femur_openness": 0.25}
    save_regions(tmp_path / "a.npz", SubjectRegions(np.zeros((1, 3, 4, 4)), 1, 14.25, facts=facts))
    read = load_regions(tmp_path / "a.npz")
    assert read.facts == facts
    names = ("sex", "height_cm", "height_known", "weight_kg", "weight_known", "femur_openness")
    assert read.row(names).tolist() == [[1, 171.5, 1, 0, 0, 0.25]]


def test_regions_without_facts_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", regions=np.zeros((1, 3, 4, 4)), sex=np.int64(1), age_years=np.float64(12.0))
    with pytest.raises(InputRefusedError, match="lacks fact_names, facts"):
        load_regions(tmp_path / "a.npz")


def test_slices_survive_the_disk(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(2, 4, 5)).astype(np.float16)
    labels = np.full((2, 4, 5), 11, dtype=np.uint8)
    save_slices(tmp_path / "a.npz", SubjectSlices(images, labels, 0, 12.5, "S1"))
    read = load_slices(tmp_path / "a.npz")
    np.testing.assert_array_equal(read.images, images)
    np.testing.assert_array_equal(read.labels, labels)
    assert (read.images.dtype, read.labels.dtype) == (np.float16, np.uint8)
    assert (read.sex, read.age_years, read.subject_id) == (0, 12.5, "S1")


def test_slices_may_go_without_labels(tmp_path: Path) -> None:
    save_slices(tmp_path / "a.npz", SubjectSlices(np.zeros((2, 4, 5)), None, 0, 12.5))
    assert load_slices(tmp_path / "a.npz").labels is None
    with pytest.raises(InputRefusedError, match=r"a\.npz holds no labels"):
        LabelledSlices(tmp_path).draw(0, np.random.default_rng(0))


def test_labels_on_another_grid_are_refused(tmp_path: Path) -> None:
    save_slices(tmp_path / "a.npz", SubjectSlices(np.zeros((2, 4, 5)), np.zeros((2, 4, 4)), 0, 12.5))
    with pytest.raises(InputRefusedError, match=r"shapes \[\(2, 4, 4\), \(2, 4, 5\)\]"):
        load_slices(tmp_path / "a.npz")


def test_labelled_slices_are_a_source(tmp_path: Path) -> None:
    source = LabelledSlices(write_slices(tmp_path))
    image, labels = source.draw(1, np.random.default_rng(3))
    assert (len(source), image.shape, image.dtype, labels.shape) == (3, (64, 58), np.float32, (64, 58))
    seen = {int(source.draw(0, np.random.default_rng(seed))[1].max()) for seed in range(8)}
    assert seen == {0, 10}


def test_files_may_be_listed(tmp_path: Path) -> None:
    files = region_files(write_regions(tmp_path))[:2]
    assert len(ValidationRegions(files)) == 2
    with pytest.raises(InputRefusedError, match=r"no \.npz file of regions in the list"):
        ValidationRegions([])


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
    names = np.array([], dtype=np.str_)
    np.savez(tmp_path / "a.npz", regions=np.zeros(shape), sex=0, age_years=12.0, fact_names=names, facts=np.zeros(0))
    with pytest.raises(InputRefusedError, match="needed is"):
        load_regions(tmp_path / "a.npz")
