"""Fine texture of the soft tissue: bundles of muscle and tendon, lobules and septa of fat."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.anatomy.tissue import Tissue

Tissues = NDArray[np.uint8]


def soft_texture(tissue: Tissues, pixel_mm: float, fields: Mapping[str, Field], rng: np.random.Generator) -> Field:
    """Relative modulation of the signal within soft tissue: bundles of muscle, lobules and septa of fat.

    Args:
        tissue: Tissue of the middle plane, shape (rows, columns).
        pixel_mm: Width of a pixel.
        fields: Fields at the same pixels.
        rng: Source of randomness.

    Returns:
        About -0.5 to 0.5, 0 outside soft tissue, shape (rows, columns).
    """
    bundles = _noise(tissue.shape, (7.0 / pixel_mm, 1.0 / pixel_mm), rng)
    lobules = _noise(tissue.shape, (2.2 / pixel_mm, 1.7 / pixel_mm), rng)
    septa = _noise(tissue.shape, (6.0 / pixel_mm, 4.0 / pixel_mm), rng)
    lines = np.maximum(1 - np.abs(septa + 0.5 * fields["veil"]) * 9, 0)
    streaks = bundles + 6 * np.maximum(bundles - 1.6, 0)
    bundle, lobule, septum = (share[tissue] for share in _TEXTURES)
    return np.asarray(bundle * streaks + lobule * lobules - septum * lines)


def _texture_shares() -> Field:
    """How much each tissue shows of bundles, lobules and septa, shape (3, tissues)."""
    shares = np.zeros((3, len(Tissue)), np.float32)
    shares[:, [Tissue.MUSCLE, Tissue.CALF_MUSCLE]] = np.array([[0.05], [0.02], [0.0]])
    shares[:, Tissue.SUBCUTANEOUS_FAT] = (0.0, 0.03, 0.12)
    shares[:, Tissue.DEEP_FAT] = (0.0, 0.03, 0.12)
    shares[:, Tissue.HOFFA_FAT] = (0.0, 0.05, 0.2)
    shares[:, [Tissue.CRUCIATE, Tissue.TENDON]] = np.array([[0.08], [0.05], [0.0]])
    shares[:, [Tissue.CAPSULE, Tissue.SKIN]] = np.array([[0.06], [0.1], [0.0]])
    shares[:, Tissue.VESSEL] = (0.03, 0.03, 0.0)
    return shares


_TEXTURES = _texture_shares()


def _noise(shape: tuple[int, ...], grain: tuple[float, float], rng: np.random.Generator) -> Field:
    """Smooth noise of about unit spread with grains of the given rows and columns."""
    down, along = (_hats(size, width) for size, width in zip(shape, grain, strict=True))
    coarse = rng.standard_normal((down.shape[1], along.shape[1]), dtype=np.float32)
    return np.asarray(down @ coarse @ along.T * 1.4)


def _hats(size: int, width: float) -> Field:
    """Weights that interpolate knots ``width`` pixels apart, shape (size, knots)."""
    knots = np.arange(-1, size / width + 2) * width
    near = np.clip(1 - np.abs(np.arange(size)[:, None] - knots[None, :]) / width, 0, 1)
    return np.asarray(near * near * (3 - 2 * near), dtype=np.float32)
