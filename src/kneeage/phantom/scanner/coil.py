"""The receiving coil of the virtual scanner: its gain is a smooth function of knee coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.scanner.sequence import Range


@dataclass(frozen=True, eq=False)
class Coil:
    """Receiving coil and what is done about its shading.

    Args:
        elements: Places of its elements in knee coordinates, mm, shape (elements, 3).
        weights: Their weights, shape (elements,).
        radius_mm: Radius of an element.
        reach_mm: Distance from the coil's middle, along the leg, at which signal has fallen by 1/e.
        centre_mm: Middle of the coil along the leg.
        slope: Further change of the logarithm of the gain per 100 mm along x, y and z, shape (3,).
        normalised: How far the shading is evened out afterwards, 0 to about 1; noise then grows away from the coil.
        acceleration: Extra noise in the middle of the knee through parallel imaging, relative.
    """

    elements: Field
    weights: Field
    radius_mm: float
    reach_mm: float
    centre_mm: float
    slope: Field
    normalised: float
    acceleration: float


def draw_coil(elements: tuple[int, int], normalised: Range, rng: np.random.Generator) -> Coil:
    """Draw a knee coil: elements on a cylinder around the leg, some nearer or stronger than others.

    Args:
        elements: Fewest and most elements.
        normalised: How far the shading is evened out, lowest and highest.
        rng: Source of places and weights. Source of the ranges: assumed, so that brightness changes by a factor of two
            and more over the field of view, as measured on adolescent 3 T knees.
    """
    count = int(rng.integers(elements[0], elements[1] + 1))
    angle = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(count) / count + rng.normal(0, 0.2, count)
    radius = rng.uniform(70, 110) * np.exp(rng.normal(0, 0.08, count))
    height = rng.normal(0, 12) + rng.uniform(15, 45) * np.where(np.arange(count) % 2, 1, -1)
    return Coil(
        elements=np.stack([radius * np.cos(angle), radius * np.sin(angle) - 10, height], axis=1).astype(np.float32),
        weights=np.exp(rng.normal(0, 0.2, count)).astype(np.float32),
        radius_mm=rng.uniform(60, 100),
        reach_mm=rng.uniform(95, 160),
        centre_mm=rng.normal(0, 10),
        slope=rng.normal(0, 0.25, 3).astype(np.float32),
        normalised=rng.uniform(*normalised),
        acceleration=rng.uniform(0.2, 1.0) if rng.random() < 0.4 else 0.0,
    )


def coil_gain(coil: Coil, x: Field, y: Field, z: Field) -> Field:
    """Gain of a coil before it is evened out: root of the sum of squares over its elements, 1 in mid-knee.

    Args:
        coil: The coil.
        x: Knee coordinates in mm, float32, any shape; likewise ``y`` and ``z``.
        y: Towards the front.
        z: Upwards.

    Returns:
        Gain of the same shape. An element's field falls as that of a loop on its axis, r^3 / (r^2 + d^2)^(3/2).
    """
    reference = _element_gain(coil, *(np.zeros(1, np.float32),) * 3)
    return np.asarray(_element_gain(coil, x, y, z) / reference, np.float32)


def _element_gain(coil: Coil, x: Field, y: Field, z: Field) -> Field:
    """Gain of a coil, not scaled."""
    squares = np.zeros_like(x)
    for (ex, ey, ez), weight in zip(coil.elements, coil.weights, strict=True):
        distance = ((x - ex) ** 2 + (y - ey) ** 2 + (z - ez) ** 2) / np.float32(coil.radius_mm**2)
        squares += weight**2 / (1 + distance) ** 3
    slope = (coil.slope[0] * x + coil.slope[1] * y + coil.slope[2] * z) / 100
    return np.asarray(np.sqrt(squares) * np.exp(slope - (np.abs(z - coil.centre_mm) / coil.reach_mm) ** 4))
