"""How images and weights lie in memory: with the channel axis innermost, convolutions on a CPU are faster."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def in_layout(network: Network, channels_last: bool) -> Network:
    """Lay a network's weights out as its images will be."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return network.to(memory_format=layout)  # type: ignore[call-overload,no-any-return]


def laid_out(image: Tensor, channels_last: bool) -> Tensor:
    """Lay images (N, C, H, W) out; their values and shape stay."""
    return image.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
