"""Marrow: where it is red, and the pattern of the trabeculae.

Source of the patterns: read off male adolescent 3T coronal T1 knees (texture SD 0.10-0.16 of the marrow mean, radiating
from the notch in the epiphysis, vertical streaks in the metaphysis, a step of brightness at the plate); amounts are
``assumed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.anatomy.slab import SliceGrid
from kneeage.phantom.anatomy.tissue import MARROW, Tissue
from kneeage.phantom.growth.latents import KneeLatents

# Centre that the trabeculae of the femoral epiphysis radiate from, height in reference mm.
_NOTCH_HEIGHT = 14.0
# Thickness of trabeculae bundles and their length, in mm.
_BUNDLE_MM = (0.35, 3.0)
_METAPHYSES = (int(Tissue.FEMUR_METAPHYSIS), int(Tissue.TIBIA_METAPHYSIS), int(Tissue.FIBULA))
# Red marrow comes to its full share this far from the plate, in mm.
_REACH_MM = 25.0


@dataclass(frozen=True)
class MarrowPattern:
    """The individual pattern of one knee's marrow.

    Args:
        vectors: Wave vectors of the islands of red marrow in 1/mm, shape (modes, 3).
        phases: Their phases in radians, shape (modes,).
        step: Red marrow right behind the plate, as a share of that further away.
        texture: SD of the trabecular pattern, as a share of marrow signal.
        streaks: SD of the metaphyseal streaks, likewise.
    """

    vectors: Field
    phases: Field
    step: float
    texture: float
    streaks: float

    @staticmethod
    def draw(rng: np.random.Generator) -> MarrowPattern:
        """Draw the pattern of one knee."""
        heading = rng.normal(size=(6, 3)) * (1.0, 1.0, 0.6)
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        vectors = heading * (2 * np.pi / rng.uniform(9, 28, (6, 1)))
        return MarrowPattern(
            vectors=vectors.astype(np.float32),
            phases=rng.uniform(0, 2 * np.pi, 6).astype(np.float32),
            step=rng.uniform(0.1, 0.7),
            texture=rng.uniform(0.025, 0.09),
            streaks=rng.uniform(0.01, 0.07),
        )

    def islands(self, x: Field, y: Field, z: Field) -> Field:
        """Smooth random field of about unit SD that is high in islands of red marrow (reference mm)."""
        waves = [np.sin(v[0] * x + v[1] * y + v[2] * z + p) for v, p in zip(self.vectors, self.phases, strict=True)]
        return np.asarray(np.sum(waves, axis=0) * np.float32(1 / np.sqrt(3)), np.float32)


def red_share(
    tissue: NDArray[np.uint8], beyond_plate: Field, islands: Field, latents: KneeLatents, step: float
) -> Field:
    """Share of red marrow: a step at the plate, more further up the shaft, and islands.

    Args:
        tissue: Tissue values.
        beyond_plate: Distance from the nearest plate in mm, positive in the metaphysis.
        islands: What :meth:`MarrowPattern.islands` gave.
        latents: State of growth.
        step: See :class:`MarrowPattern`.
    """
    metaphysis = np.isin(tissue, _METAPHYSES)
    reach = step + (1 - step) * np.clip(beyond_plate / _REACH_MM, 0, 1)
    base = latents.red_marrow * np.where(metaphysis, reach, 0.1)
    patches = latents.red_islands * np.clip(islands - 0.6, 0, 1) * np.where(metaphysis, 0.8, 0.25)
    return np.asarray(np.clip(base + patches, 0, 1), np.float32)


def marrow_texture(
    tissue: NDArray[np.uint8],
    fields: Mapping[str, Field],
    grid: SliceGrid,
    pattern: MarrowPattern,
    density: float,
    rng: np.random.Generator,
) -> Field:
    """Relative modulation of the marrow's signal on the middle plane, float32 (rows, columns).

    Args:
        tissue: Tissue values (rows, columns).
        fields: ``x``, ``z`` in reference mm at the pixels.
        grid: The slice.
        pattern: The knee's pattern.
        density: Trabecular density, about 1.
        rng: Source of the pattern.
    """
    shape, pixel = tissue.shape, grid.pixel_mm
    texture = pattern.texture * _grain(rng, shape, (_BUNDLE_MM[1] / 2 / pixel, _BUNDLE_MM[0] / pixel))
    texture += 0.5 * pattern.texture * _grain(rng, shape, (_BUNDLE_MM[0] / pixel,) * 2)
    epiphysis = tissue == Tissue.FEMUR_EPIPHYSIS
    texture[epiphysis] *= 0.7
    texture[epiphysis] += 0.45 * pattern.texture * _radial(fields["x"][epiphysis], fields["z"][epiphysis], rng)
    streaks = _grain(rng, shape, (6.0 / pixel, 0.6 / pixel))
    texture += np.where(np.isin(tissue, _METAPHYSES), pattern.streaks * streaks, 0)
    return np.asarray(density * texture * np.isin(tissue, [int(t) for t in MARROW]), np.float32)


def _radial(x: Field, z: Field, rng: np.random.Generator) -> Field:
    """Pattern of unit SD that radiates from the notch, at points (n,)."""
    noise = _grain(rng, (72, 600), (1.2, 0.8))
    radius = np.hypot(x, z - _NOTCH_HEIGHT)
    angle = (np.arctan2(z - _NOTCH_HEIGHT, x) / np.pi + 1) * 299
    sampled = ndimage.map_coordinates(noise, np.stack([radius * 0.8, angle]), order=1, mode="nearest")
    return np.asarray(sampled, np.float32)


def _grain(rng: np.random.Generator, shape: tuple[int, ...], sigma: tuple[float, float]) -> Field:
    """Smoothed noise of unit SD; each axis is smoothed by its own sigma in pixels, long rows on fewer nodes."""
    step = max(int(sigma[0] / 2), 1)
    nodes = rng.standard_normal((shape[0] // step + 2, shape[1]), dtype=np.float32)
    nodes = ndimage.gaussian_filter(nodes, (sigma[0] / step, sigma[1]), truncate=2.5)
    place = np.arange(shape[0]) / step
    before, share = place.astype(int), (place % 1)[:, None].astype(np.float32)
    grain = nodes[before] * (1 - share) + nodes[before + 1] * share
    return np.asarray(grain / max(float(grain.std()), 1e-6), dtype=np.float32)
