"""The end-to-end model: what it sees, what it trains, what it answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.learn.data import LabelledSlices, load_slices, save_slices
from kneeage.learn.end_to_end import EndToEnd, load_end_to_end, train_end_to_end
from kneeage.learn.inputs import masked_image, network_inputs
from kneeage.learn.networks import GoogLeNet
from kneeage.learn.plate_slices import PlateSlices, SubjectSquares, shows_plates
from kneeage.learn.presets import TrainingSettings, overridden, preset
from kneeage.learn.segmenter import load_segmenter, train_segmenter
from kneeage.learn.settings import as_json_object
from tests.learn.sources import write_slices

QUICK = ["batch_size=2", "max_steps=2", "steps_per_epoch=2", "progress_bar=false", "precision=32-true"]
TINY: TrainingSettings = overridden(
    preset("paper"),
    [
        *(f"segmenter.fit.{change}" for change in QUICK),
        *(f"end_to_end.fit.{change}" for change in QUICK if "steps" not in change),
        *("segmenter.widths=[4,4,4,4,4]", "segmenter.size=64", "segmenter.validation_slices=2"),
        *("end_to_end.width=0.125", "end_to_end.size=64", "end_to_end.fit.epochs=1"),
    ],
)


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slices(tmp_path_factory.mktemp("slices"))


@pytest.fixture(scope="module")
def segmenter(slices: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = LabelledSlices(slices)
    return train_segmenter(source, source, TINY.segmenter, tmp_path_factory.mktemp("segmenter"))


@pytest.fixture(scope="module")
def trained(slices: Path, segmenter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_end_to_end(slices, slices, segmenter, TINY.end_to_end, tmp_path_factory.mktemp("end_to_end"))


class _FixedUnet(nn.Module):
    """Finds the distal femur's plate where the image is bright, and background elsewhere."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = torch.full((len(image), 12, *image.shape[2:]), -40.0)
        logits[:, 0], logits[:, 9] = 0.0, torch.where(image[:, 0] > 0, 40.0, -40.0)
        return logits


def _module() -> EndToEnd:
    torch.manual_seed(0)
    module = EndToEnd(as_json_object(TINY.end_to_end), as_json_object(TINY.segmenter))
    module.log_dict = lambda *_, **__: None
    return module


def test_only_the_plates_of_the_image_are_seen() -> None:
    module = _module()
    module.network.unet = _FixedUnet()
    image = torch.tensor([-2.0, -1.0, 1.0, 3.0]).reshape(1, 1, 2, 2)
    seen = masked_image(image, module.network.plates(image))
    torch.testing.assert_close(seen, torch.tensor([0.0, 0.0, 3.0, 5.0]).reshape(1, 1, 2, 2))


def test_inputs_of_regions() -> None:
    regions = torch.tensor([[-1.0, 1.0], [0.5, 0.25], [0.0, 0.25]]).reshape(1, 3, 1, 2)
    assert network_inputs(regions, "regions") is regions
    assert network_inputs(regions, "raw").flatten().tolist() == [-1, 1]
    assert network_inputs(regions, "masked").flatten().tolist() == [0, 1]


def test_gradients_of_the_age_reach_every_parameter() -> None:
    module = _module()
    module.training_step(
        (torch.randn(4, 1, 64, 64), torch.ones(4, 1), torch.tensor([10.2, 12.0, 15.5, 18.9]))
    ).backward()
    without = [name for name, weight in module.named_parameters() if weight.grad is None]
    assert without == []
    # The first convolution of the U-Net is the farthest from the loss.
    assert module.network.unet.conv_0.conv_0.conv.weight.grad.abs().max() > 0
    assert all(weight.requires_grad for weight in module.parameters())


def test_training_moves_the_unet_that_the_labels_trained(segmenter: Path, trained: Path) -> None:
    before, after = load_segmenter(segmenter).network, load_end_to_end(trained).network.unet
    moved = {
        name: float((weight - after.get_parameter(name)).detach().abs().max())
        for name, weight in before.named_parameters()
    }
    assert moved["conv_0.conv_0.conv.weight"] > 0
    # Adam moves a weight by about the learning rate in each step: from 1e-3 down to 3e-4, three steps here.
    assert max(moved.values()) < 5e-3


def test_training_starts_from_the_unet_of_the_labels(slices: Path, segmenter: Path, tmp_path: Path) -> None:
    still = overridden(TINY.end_to_end, ["fit.learning_rate=1e-12", "fit.last_rate=1e-12"])
    after = load_end_to_end(train_end_to_end(slices, slices, segmenter, still, tmp_path)).network.unet
    before = load_segmenter(segmenter).network
    torch.testing.assert_close(dict(after.named_parameters()), dict(before.named_parameters()))


def test_a_pass_holds_every_slice_with_a_plate_once(slices: Path, trained: Path) -> None:
    dataset = PlateSlices(slices, 64, seed=1)
    assert dataset.slices == 6
    image, sex, age_years = dataset[0]
    assert (image.shape, sex.shape, age_years.shape) == ((1, 64, 64), (1,), ())
    assert {round(float(dataset[number][2]), 3) for number in range(6)} == {
        round(load_slices(path).age_years, 3) for path in slices.iterdir()
    }
    # One pass of six slices in batches of two.
    assert torch.load(trained, weights_only=True)["global_step"] == 3


def test_slices_are_cut_about_the_middle(slices: Path) -> None:
    images, *_ = SubjectSquares(slices, 32)[0]
    raw = load_slices(sorted(slices.iterdir())[0]).images
    assert images.shape == (4, 1, 32, 32)
    np.testing.assert_array_equal(images[:, 0], raw[:, 16:48, 13:45].astype(np.float32))


def test_slices_without_plates_are_judged_all_alike() -> None:
    assert shows_plates(np.array([0, 4, 8, 3])).tolist() == [False, True, True, False]
    assert shows_plates(torch.zeros(3)).tolist() == [True] * 3


def test_slices_are_judged_a_batch_at_a_time_and_say_where_they_show_plates() -> None:
    module = _module().eval()
    module.network.unet = _FixedUnet()
    images = torch.full((3, 1, 64, 64), -1.0)
    images[1, :, 10:20], images[2, :, 10:12] = 1.0, 2.0
    with torch.inference_mode():
        answers = module.answers(images, torch.ones(3, 1))
        torch.testing.assert_close(answers.probabilities, module(images, torch.ones(3, 1)).softmax(1))
    torch.testing.assert_close(answers.areas, torch.tensor([0.0, 640.0, 128.0]))
    assert shows_plates(answers.areas).tolist() == [False, True, False]


def test_googlenet_is_the_published_one_by_default() -> None:
    module = EndToEnd(as_json_object(preset("paper").end_to_end), as_json_object(TINY.segmenter))
    published = GoogLeNet(9, channels=1)
    assert [w.shape for w in module.network.googlenet.parameters()] == [w.shape for w in published.parameters()]


def test_training_without_labels_makes_no_run(slices: Path, segmenter: Path, tmp_path: Path) -> None:
    save_slices(tmp_path / "in" / "a.npz", replace(load_slices(next(slices.iterdir())), labels=None))
    with pytest.raises(InputRefusedError, match="holds no labels"):
        train_end_to_end(tmp_path / "in", slices, segmenter, TINY.end_to_end, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_size_must_suit_the_unet() -> None:
    with pytest.raises(UsageError, match="need a multiple of 16"):
        EndToEnd(as_json_object(replace(TINY.end_to_end, size=72)), as_json_object(TINY.segmenter))
