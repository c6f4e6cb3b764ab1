"""Marrow: where it is red, and the pattern of the trabeculae.

Source of the patterns: read off male adolescent 3T coronal T1 knees (texture SD 0.10-0.16 of the marrow mean with its
noise, radiating from the notch in the epiphysis, vertical streaks in the metaphysis, which is often the darker of the
two) and one adult (texture SD 0.035-0.05, no step at the plate); amounts are ``assumed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.anatomy.grain import Grain, grain_noise
from kneeage.phantom.anatomy.slab import SliceGrid
from kneeage.phantom.anatomy.tissue import MARROW, Tissue
from kneeage.phantom.growth.latents import KneeLatents

# Centre that the trabeculae of the femoral epiphysis radiate from, height in reference mm.
_NOTCH_HEIGHT = 14.0
# The mesh of the trabeculae in all marrow, of SD 1: single ones, and those along and across the leg.
_MESH = (Grain(0.65, 0.12, 0.1), Grain(0.62, 1.0, 0.11), Grain(0.44, 0.12, 0.8))
# How much denser trabeculae are in some parts than in others, and how far marrow loses brightness there as a share of
# what the mesh varies by.
_DENSITY = (Grain(0.35, 7.0, 5.0),)
_DARKENING = 0.4
# Vertical streaks of the metaphysis, of SD 1; in mm beyond the plate, where they begin, over which distance they come
# up, and where they begin to fade, until twice as far.
_STREAKS = (Grain(0.92, 2.0, 0.14), Grain(0.4, 5.0, 0.25))
_STREAKS_FROM_MM, _STREAKS_OVER_MM, _STREAKS_LOST_MM = -4.0, 16.0, 22.0
# The radial pattern: samples over radius and angle, samples per mm, its grains in samples, where it ends in reference
# mm, and its strength at the notch as a share of the mesh.
_SPOKES = (32, 600)
_SPOKES_PER_MM = 0.8
_SPOKES_TO = 36.0
_SPOKED = 0.5
_SPOKE = Grain(1.0, 1.5, 0.5)
# Red marrow comes to its full share this far from the plate, in mm.
_REACH_MM = 25.0
# The change from epiphysis to metaphysis begins this far on the near side of the plate and takes this long, in mm, and
# the islands move it to and fro.
_FADE_FROM_MM, _FADE_MM, _FADE_RAGGED_MM = -2.0, 7.0, 2.0
# Most of the red marrow that a metaphysis has left lies in islands when it is less than this.
_SPARSE = 0.15
# Rise of the islands' field, in SDs, over their soft edges.
_ISLAND_EDGE = 1.8
# Red marrow of a whole metaphysis and of an epiphysis, as a share of what the latents tell.
_METAPHYSEAL, _EPIPHYSEAL = 1.9, 0.1


@dataclass(frozen=True)
class MarrowPattern:
    """The individual pattern of one knee's marrow.

    Args:
        vectors: Wave vectors of the islands of red marrow in 1/mm, shape (modes, 3).
        phases: Their phases in radians, shape (modes,).
        step: Red marrow right behind the plate, as a share of that further away.
        texture: SD of the trabecular pattern on infinitely fine pixels, as a share of marrow signal.
        streaks: SD of the metaphyseal streaks, likewise.
    """

    vectors: Field
    phases: Field
    step: float
    texture: float
    streaks: float

    @staticmethod
    def draw(rng: np.random.Generator) -> MarrowPattern:
        """Draw the pattern of one knee; islands are drawn out along the shaft, like flames."""
        heading = rng.normal(size=(6, 3)) * (1.0, 1.0, 0.4)
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        vectors = heading * (2 * np.pi / rng.uniform(9, 28, (6, 1)))
        return MarrowPattern(
            vectors=vectors.astype(np.float32),
            phases=rng.uniform(0, 2 * np.pi, 6).astype(np.float32),
            step=rng.uniform(0.6, 1.2),
            texture=rng.uniform(0.05, 0.17),
            streaks=rng.uniform(0.015, 0.06),
        )

    def islands(self, x: Field, y: Field, z: Field) -> Field:
        """Smooth random field of about unit SD that is high in islands of red marrow (reference mm)."""
        waves = [np.sin(v[0] * x + v[1] * y + v[2] * z + p) for v, p in zip(self.vectors, self.phases, strict=True)]
        return np.asarray(np.sum(waves, axis=0) * np.float32(1 / np.sqrt(3)), np.float32)


def red_share(
    tissue: NDArray[np.uint8], beyond_plate: Field, islands: Field, latents: KneeLatents, step: float
) -> Field:
    """Share of red marrow: more of it beyond the plate than in the epiphysis, without an edge, and soft islands.

    Args:
        tissue: Tissue values.
        beyond_plate: Distance from the nearest plate in mm, positive in the metaphysis.
        islands: What :meth:`MarrowPattern.islands` gave.
        latents: State of growth.
        step: See :class:`MarrowPattern`.
    """
    beyond = _metaphyseal(tissue, beyond_plate + _FADE_RAGGED_MM * islands)
    reach = step + (1 - step) * np.clip(beyond_plate / _REACH_MM, 0, 1)
    whole = _METAPHYSEAL * latents.red_marrow**2 / (latents.red_marrow + _SPARSE)
    base = _EPIPHYSEAL * latents.red_marrow + beyond * (whole * reach - _EPIPHYSEAL * latents.red_marrow)
    patches = latents.red_islands * _rise((islands - 1 + latents.red_islands) / _ISLAND_EDGE) * (0.25 + 0.55 * beyond)
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
        fields: ``x``, ``z`` in reference mm, ``femur_distance`` and ``tibia_distance`` in mm at the pixels.
        grid: The slice.
        pattern: The knee's pattern.
        density: Trabecular density, about 1.
        rng: Source of the pattern.
    """
    draw = partial(grain_noise, tissue.shape, grid.pixel_mm, rng=rng)
    dense = np.maximum(1 + draw(_DENSITY), 0)
    texture = pattern.texture * (draw(_MESH) * dense - _DARKENING * (dense - 1))
    beyond = np.maximum(fields["femur_distance"], fields["tibia_distance"])
    texture += pattern.streaks * _streaked(tissue, beyond) * draw(_STREAKS)
    spoken = (tissue == Tissue.FEMUR_EPIPHYSIS) & (np.hypot(fields["x"], fields["z"] - _NOTCH_HEIGHT) < _SPOKES_TO)
    texture[spoken] += _SPOKED * pattern.texture * _radial(fields["x"][spoken], fields["z"][spoken], grid, rng)
    return np.asarray(density * texture * np.isin(tissue, [int(t) for t in MARROW]), np.float32)


def _streaked(tissue: NDArray[np.uint8], beyond_plate: Field) -> Field:
    """Strength of the metaphyseal streaks, 0 to 1, at a distance beyond the plate in mm."""
    risen = _rise((beyond_plate - _STREAKS_FROM_MM) / _STREAKS_OVER_MM)
    lost = 1 - 0.6 * _rise(beyond_plate / _STREAKS_LOST_MM - 1)
    return np.asarray(risen * lost * (tissue != Tissue.PATELLA), np.float32)


def _rise(share: Field) -> Field:
    """Smooth rise from 0 to 1, at 0 to 1."""
    within = np.clip(share, 0, 1)
    return np.asarray(within * within * (3 - 2 * within), np.float32)


def _metaphyseal(tissue: NDArray[np.uint8], beyond_plate: Field) -> Field:
    """How far marrow is that of a metaphysis, 0 to 1; none of the patella's is."""
    return np.asarray(_rise((beyond_plate - _FADE_FROM_MM) / _FADE_MM) * (tissue != Tissue.PATELLA), np.float32)


def _radial(x: Field, z: Field, grid: SliceGrid, rng: np.random.Generator) -> Field:
    """Pattern that radiates from the notch and fades away from it, at points (n,)."""
    noise = grain_noise(_SPOKES, 1.0, (_SPOKE,), rng)
    radius = np.hypot(x, z - _NOTCH_HEIGHT)
    per_radian = (_SPOKES[1] - 2) / (2 * np.pi)
    angle = (np.arctan2(z - _NOTCH_HEIGHT, x) + np.pi) * per_radian
    sampled = ndimage.map_coordinates(noise, np.stack([radius * _SPOKES_PER_MM, angle]), order=1, mode="nearest")
    width = _SPOKE.along_mm / per_radian * radius  # of a spoke, in mm
    shown = np.sqrt(width / np.hypot(width, grid.pixel_mm / np.sqrt(12)))
    return np.asarray(sampled * shown * (1 - radius / _SPOKES_TO), np.float32)
