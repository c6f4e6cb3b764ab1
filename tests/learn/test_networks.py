"""Networks: shapes, and parameter counts against published numbers."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from kneeage.core.errors import UsageError
from kneeage.learn.networks import INCEPTION_TABLE, GoogLeNet, Inception, InceptionWidths, build_unet, scaled
from kneeage.learn.presets import preset
from kneeage.learn.settings import SegmenterSettings

IMAGENET_CLASSES = 1000
# Source: Szegedy et al. 2015, table 1, column "params" (in units of 1024).
PUBLISHED_THOUSANDS = {
    "3a": 159, "3b": 380, "4a": 364, "4b": 437, "4c": 463, "4d": 580, "4e": 840, "5a": 1072, "5b": 1388
}  # fmt: skip
# Source: as above; layers outside the inception modules: two convolutions of the stem, and the last linear layer.
PUBLISHED_REST_THOUSANDS = (2.7, 112, 1000)
# Source: torchvision's googlenet without auxiliary heads; its third branch has 3x3 kernels where the paper has 5x5.
TORCHVISION_PARAMETERS = 6_624_904
# Source: the Caffe model zoo's bvlc_googlenet without its training heads.
PLAIN_PARAMETERS = 6_998_552


def _parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _served_parameters(network: GoogLeNet) -> int:
    """Parameters without the auxiliary heads and the sex input, which the published network has not."""
    return _parameters(network) - _parameters(network.auxiliary) - IMAGENET_CLASSES


def _input_channels() -> dict[str, int]:
    names = list(INCEPTION_TABLE)
    return dict(zip(names, [192, *(INCEPTION_TABLE[name].out for name in names[:-1])], strict=True))


@pytest.mark.parametrize("name", sorted(PUBLISHED_THOUSANDS))
def test_inception_has_the_published_parameters(name: str) -> None:
    counted = _parameters(Inception(_input_channels()[name], INCEPTION_TABLE[name], "none")) / 1024
    # The paper's own counts do not all follow from its widths: 4c is 7 % off, 5a (widths as in 4e) 5 %.
    assert counted == pytest.approx(PUBLISHED_THOUSANDS[name], rel=0.08)


def test_inception_widths_add_up_to_the_published_output() -> None:
    outputs = [row.out for row in INCEPTION_TABLE.values()]
    assert outputs == [256, 480, 512, 512, 512, 528, 832, 832, 1024]


def test_batch_norm_variant_has_torchvision_parameters() -> None:
    wider_kernels = sum((25 - 9) * row.reduce5 * row.out5 for row in INCEPTION_TABLE.values())
    assert _served_parameters(GoogLeNet(IMAGENET_CLASSES)) - wider_kernels == TORCHVISION_PARAMETERS


def test_plain_variant_has_the_published_layout() -> None:
    assert _served_parameters(GoogLeNet(IMAGENET_CLASSES, norm="none")) == PLAIN_PARAMETERS


def test_plain_variant_has_the_parameters_that_the_published_table_adds_up_to() -> None:
    published = 1024 * (sum(PUBLISHED_THOUSANDS.values()) + sum(PUBLISHED_REST_THOUSANDS))
    assert pytest.approx(published, rel=0.01) == PLAIN_PARAMETERS


@pytest.mark.parametrize(("channels", "width", "expected"), [(24, 1.0, 24), (64, 0.5, 32), (16, 0.25, 8)])
def test_scaled_channels_are_multiples_of_eight(channels: int, width: float, expected: int) -> None:
    assert scaled(channels, width) == expected


def test_scaled_row_adds_up() -> None:
    row = InceptionWidths(64, 96, 128, 16, 32, 32).scaled(0.5)
    assert (row, row.out) == (InceptionWidths(32, 48, 64, 8, 16, 16), 128)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_googlenet_gives_logits_for_any_channels_and_size(norm: str) -> None:
    network = GoogLeNet(7, channels=2, width=0.125, norm=norm).eval()
    assert network(torch.zeros(3, 2, 65, 96), torch.ones(3, 1)).shape == (3, 7)


def test_googlenet_auxiliary_heads_leave_the_answer_alone() -> None:
    network = GoogLeNet(7, width=0.125).eval()
    image, sex = torch.randn(2, 3, 64, 64), torch.ones(2, 1)
    outputs = network.forward_with_auxiliary(image, sex)
    torch.testing.assert_close(outputs.logits, network(image, sex))
    assert outputs.features.shape == (2, network.feature_channels)
    assert [logits.shape for logits in outputs.auxiliary] == [(2, 7), (2, 7)]


def test_googlenet_hears_the_sex() -> None:
    network = GoogLeNet(7, width=0.125).eval()
    image = torch.randn(1, 3, 64, 64)
    assert not torch.allclose(network(image, torch.zeros(1, 1)), network(image, torch.ones(1, 1)))


def test_unet_keeps_rows_and_columns() -> None:
    network = build_unet((8, 8, 16, 16, 16, 16), labels=12).eval()
    assert network(torch.zeros(2, 1, 64, 96)).shape == (2, 12, 64, 96)


def test_unet_sees_from_edge_to_edge() -> None:
    network = build_unet(SegmenterSettings().widths, labels=12).eval()
    image = torch.randn(1, 1, 256, 256, requires_grad=True)
    network(image)[0, :, 128, 128].sum().backward()
    rows = image.grad[0, 0].abs().sum(1).nonzero().ravel()
    assert rows.min() < 16
    assert rows.max() >= 240


def test_unet_stays_within_its_arithmetic_budget() -> None:
    network = build_unet(SegmenterSettings().widths, labels=12).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, 288, 288))
    assert counter.get_total_flops() / 2 < 2.0e9


def test_unet_needs_three_levels() -> None:
    with pytest.raises(UsageError, match="three levels or more"):
        build_unet((8, 16), labels=12)


def test_classic_unet_keeps_rows_and_columns() -> None:
    network = build_unet((4, 8, 8, 16, 16), labels=12, architecture="classic").eval()
    assert network(torch.zeros(2, 1, 64, 48)).shape == (2, 12, 64, 48)


def test_classic_unet_has_the_widths_of_2015() -> None:
    segmenter = preset("paper").segmenter
    network = build_unet(segmenter.widths, labels=12, architecture=segmenter.architecture)
    last_of_each_level = [network.conv_0, network.down_1, network.down_2, network.down_3, network.down_4]
    assert [list(level.parameters())[-1].numel() for level in last_of_each_level] == [64, 128, 256, 512, 1024]
    # Counted by hand: a level has two 3x3 convolutions, each with two numbers per channel of batch norm; the
    # upsamplings are 2x2 with a bias, and the last one keeps its 128 channels.
    down = _twice(1, 64) + _twice(64, 128) + _twice(128, 256) + _twice(256, 512) + _twice(512, 1024)
    up = _twice(1024, 512) + _twice(512, 256) + _twice(256, 128) + _twice(128 + 64, 64)
    doubling = sum(4 * wide * narrow + narrow for wide, narrow in ((1024, 512), (512, 256), (256, 128), (128, 128)))
    assert _parameters(network) == down + up + doubling + 64 * 12 + 12


def _twice(channels: int, out: int) -> int:
    return 9 * channels * out + 9 * out * out + 4 * out


def test_classic_unet_has_five_levels() -> None:
    with pytest.raises(UsageError, match=r"has 5 levels; found widths \(8, 16, 16\)"):
        build_unet((8, 16, 16), labels=12, architecture="classic")
