"""Multiply-adds are counted as a person would count them, and as PyTorch counts them."""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.floor import matrix_rate, multiply_adds

# The exporter that needs no further package calls itself old.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def _exported(network: nn.Module, example: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    axes = {"image": {0: "slices"}}
    torch.onnx.export(
        network, (example,), buffer, input_names=["image"], output_names=["logits"], dynamic_axes=axes, dynamo=False
    )
    return buffer.getvalue()


@pytest.fixture
def network() -> nn.Module:
    """One of each layer that is counted."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=2),
        nn.ConvTranspose2d(4, 2, 2, stride=2),
        nn.Flatten(),
        nn.Linear(2 * 8 * 8, 5),
    ).eval()


def test_count_by_hand() -> None:
    model = _exported(nn.Conv2d(1, 4, 3, padding=1).eval(), torch.zeros(1, 1, 8, 8))
    assert multiply_adds(model, {"image": (1, 1, 8, 8)}) == 8 * 8 * 4 * 9


def test_count_is_pytorch_s(network: nn.Module) -> None:
    slices = torch.zeros(3, 1, 8, 8)
    with FlopCounterMode(display=False) as counter:
        network(slices)
    assert 2 * multiply_adds(_exported(network, slices[:1]), {"image": (3, 1, 8, 8)}) == counter.get_total_flops()


def test_rate_is_a_rate() -> None:
    assert matrix_rate(repeats=1) > 1e8
