"""Random changes of training batches, on tensors. The random numbers are torch's global ones, seeded at each step."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from kneeage.learn.settings import AugmentSettings


def augment_slices(image: Tensor, labels: Tensor, settings: AugmentSettings) -> tuple[Tensor, Tensor]:
    """Change slices and their labels alike.

    Args:
        image: Shape (N, 1, H, W).
        labels: Integers of shape (N, 1, H, W).
        settings: How far.

    Returns:
        Image and labels of the same shapes and types.
    """
    matrices = random_matrices(len(image), settings)
    moved = warp(labels.to(image.dtype), matrices, mode="nearest").to(labels.dtype)
    return random_intensity(warp(image, matrices), settings), moved


def augment_images(image: Tensor, settings: AugmentSettings) -> Tensor:
    """Change slices (N, 1, H, W) that go without labels."""
    return random_intensity(warp(image, random_matrices(len(image), settings)), settings)


def augment_regions(regions: Tensor, settings: AugmentSettings) -> Tensor:
    """Change regions of shape (N, 3, H, W): position of all channels, intensity of the grey value, dropped channels."""
    moved = warp(regions, random_matrices(len(regions), settings))
    grey = random_intensity(moved[:, :1], settings)
    return drop_channels(torch.cat((grey, moved[:, 1:]), dim=1), settings)


def random_matrices(count: int, settings: AugmentSettings) -> Tensor:
    """Draw matrices (N, 2, 3) from output to input coordinates, both -1 to 1 from edge to edge."""
    warped = (torch.rand(count) < settings.warp).float()
    angle = math.radians(settings.rotation_degrees) * _spread(count) * warped
    scale = 1 + settings.scale * _spread(count) * warped
    mirror = 1 - 2 * (torch.rand(count) < settings.flip).float()
    shift = 2 * settings.shift * _spread(count, 2) * warped[:, None]
    turned = torch.stack((angle.cos() * mirror, -angle.sin(), angle.sin() * mirror, angle.cos()), dim=1)
    return torch.cat(((turned * scale[:, None]).reshape(count, 2, 2), shift[:, :, None]), dim=2)


def warp(image: Tensor, matrices: Tensor, mode: str = "bilinear") -> Tensor:
    """Resample images (N, C, H, W) by matrices (N, 2, 3); what lies outside repeats the border."""
    grid = affine_grid(matrices.to(image), list(image.shape), align_corners=False)
    return grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)


def random_intensity(image: Tensor, settings: AugmentSettings) -> Tensor:
    """Change exponent, contrast, offset and noise of standardised grey values (N, 1, H, W)."""
    low, high = image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)
    span = (high - low).clamp_min(1e-6)
    exponent, gain, offset, noise = _spread(4, len(image), 1, 1, 1).to(image)
    bent = ((image - low) / span).clamp(0, 1) ** (settings.gamma * exponent).exp() * span + low
    changed = _windowed(bent, low, span, settings.saturate) * (1 + settings.gain * gain) + settings.offset * offset
    noisy: Tensor = changed + settings.noise * noise.abs() * torch.randn_like(image)
    return noisy


def _windowed(image: Tensor, low: Tensor, span: Tensor, saturate: float) -> Tensor:
    """Cut off the darkest and the brightest grey values of some images, as a narrow window on export does."""
    draw = torch.rand(3, len(image), 1, 1, 1).to(image)
    chosen = (draw[0] < saturate).to(image)
    floor, ceiling = low + 0.12 * draw[1] * chosen * span, low + (1 - 0.45 * draw[2] * chosen) * span
    return torch.minimum(torch.maximum(image, floor), ceiling)


def drop_channels(regions: Tensor, settings: AugmentSettings) -> Tensor:
    """Blank the grey value or the masks of some regions (N, 3, H, W), so that no answer hangs on one of them alone."""
    draw = torch.rand(len(regions), 1, 1, 1)
    keep_grey = (draw >= settings.drop_grey).to(regions)
    keep_masks = ((draw < settings.drop_grey) | (draw >= settings.drop_grey + settings.drop_masks)).to(regions)
    return regions * torch.cat((keep_grey, keep_masks, keep_masks), dim=1)


def _spread(*shape: int) -> Tensor:
    """Draw uniform numbers between -1 and 1."""
    return 2 * torch.rand(shape) - 1
