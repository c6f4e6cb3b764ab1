"""What of an image enters the age network."""

from __future__ import annotations

import torch
from torch import Tensor

from kneeage.learn.settings import Inputs

# Input channels of the network.
CHANNELS: dict[Inputs, int] = {"regions": 3, "masked": 1, "raw": 1}


def network_inputs(regions: Tensor, inputs: Inputs) -> Tensor:
    """Choose from regions (S, 3, H, W) what the network sees: (S, channels, H, W)."""
    if inputs == "regions":
        return regions
    grey = regions[:, :1]
    return grey if inputs == "raw" else masked_image(grey, regions[:, 1:].sum(1, keepdim=True))


def masked_image(image: Tensor, mask: Tensor) -> Tensor:
    """Multiply images with soft masks, both (S, 1, H, W), so that what lies outside is as dark as air.

    A standardised image is about zero in the middle of its grey values; it is therefore counted from its darkest pixel.
    """
    darkest = torch.amin(image, dim=(1, 2, 3), keepdim=True)
    return (image - darkest) * mask
