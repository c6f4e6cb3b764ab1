"""A pool of painted virtual slices that is rendered anew, with another contrast, each time one is drawn.

Painting is slow and contrast is cheap: one painted slice serves many training images.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import Sex
from kneeage.core.volume import Volume
from kneeage.io.output import whole_folder
from kneeage.phantom.anatomy import Anatomy, Knee
from kneeage.phantom.bones import Field
from kneeage.phantom.growth import draw_latents
from kneeage.phantom.scanner import Slab, draw_random_scanner, draw_t1_scanner, paint_slab, render
from kneeage.prepare.intensity import standardise

POOL_PIXELS = 256
POOL_SPACING_MM = 0.6
_PLANES = 3
_MAPS = ("tissue", "label", "weights", "pixel_mm", "red_marrow")


@dataclass(frozen=True)
class PoolSettings:
    """What a pool holds. The defaults reach beyond what a protocol should give, so that real knees lie inside."""

    subjects: int
    slices_per_subject: int = 6
    seed: int = 0
    age_range_years: tuple[float, float] = (7.0, 28.0)
    zoom_range: tuple[float, float] = (0.78, 1.28)


class SlicePool:
    """Painted slices on disk, rendered when drawn.

    Args:
        folder: Folder that :func:`paint_pool` wrote.
        t1_share: Share of T1-weighted images among those drawn; the rest has random contrast.
    """

    def __init__(self, folder: Path, t1_share: float = 0.7) -> None:
        self._maps = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _MAPS}
        self._t1_share = t1_share

    def __len__(self) -> int:
        """Number of painted slices."""
        return len(self._maps["label"])

    def draw(self, index: int, rng: np.random.Generator) -> tuple[Field, NDArray[np.uint8]]:
        """Render slice ``index`` with a contrast drawn from ``rng``.

        Returns:
            Standardised image float32 (rows, columns), and its labels uint8.
        """
        red_marrow = float(self._maps["red_marrow"][index])
        draw_scanner = draw_t1_scanner if rng.random() < self._t1_share else draw_random_scanner
        scanner = draw_scanner(rng, red_marrow)
        image = render(self._slab(index), scanner, float(self._maps["pixel_mm"][index]), rng)
        image = np.asarray(standardise(Volume(image[None, :, :, None], np.eye(4))).array[0, :, :, 0], dtype=np.float32)
        label = np.array(self._maps["label"][index])
        return (image[:, ::-1].copy(), label[:, ::-1].copy()) if rng.random() < 0.5 else (image, label)

    def _slab(self, index: int) -> Slab:
        """Read one painted slice."""
        cartilage, border, scar = self._maps["weights"][index].astype(np.float32) / 255
        tissue, label = np.array(self._maps["tissue"][index]), np.array(self._maps["label"][index])
        return Slab(tissue=tissue, label=label, cartilage=cartilage, border=border, scar=scar)


def paint_pool(folder: Path, settings: PoolSettings, workers: int) -> None:
    """Paint a pool and write it to ``folder`` as memory-mappable arrays.

    Args:
        folder: New folder; it appears whole or not at all.
        settings: What the pool holds.
        workers: Number of processes.

    Raises:
        OutputError: The folder holds something, or cannot be written.
    """
    seeds = np.random.SeedSequence(settings.seed).spawn(settings.subjects)
    with ProcessPoolExecutor(workers) as executor:
        subjects = list(executor.map(_paint_subject, seeds, [settings] * len(seeds), chunksize=8))
    with whole_folder(folder) as whole:
        for position, name in enumerate(_MAPS):
            np.save(whole / f"{name}.npy", np.concatenate([subject[position] for subject in subjects]))


def _paint_subject(seed: np.random.SeedSequence, settings: PoolSettings) -> tuple[NDArray[np.generic], ...]:
    """Paint some slices of one random subject."""
    rng = np.random.default_rng(seed)
    latents = draw_latents(rng.uniform(*settings.age_range_years), rng.choice([Sex.MALE, Sex.FEMALE]), rng)
    pixel_mm = POOL_SPACING_MM * np.exp(rng.uniform(*np.log(settings.zoom_range)))
    knee = Knee(Anatomy.draw(rng), latents, pixel_mm)
    slabs = [_paint_random_slice(knee, pixel_mm, rng) for _ in range(settings.slices_per_subject)]
    weights = np.stack([np.stack([slab.cartilage, slab.border, slab.scar]) for slab in slabs])
    return (
        np.stack([slab.tissue for slab in slabs]),
        np.stack([slab.label for slab in slabs]),
        np.round(weights * 255).astype(np.uint8),
        np.full(len(slabs), pixel_mm, np.float32),
        np.full(len(slabs), latents.red_marrow, np.float32),
    )


def _paint_random_slice(knee: Knee, pixel_mm: float, rng: np.random.Generator) -> Slab:
    """Paint one roughly coronal slice at a random depth, obliquity and centre."""
    right, down, normal = oblique_axes(rng.normal(0, 0.12), rng.normal(0, 0.07), rng.normal(0, 0.08))
    depth = rng.uniform(-62, 46) if rng.random() < 0.45 else rng.uniform(-40, 18)
    centre = np.array([rng.normal(0, 10), 0.0, rng.normal(2, 20)]) + depth * normal
    grid = (np.arange(POOL_PIXELS) - POOL_PIXELS / 2) * pixel_mm
    points = [centre[n] + right[n] * grid[None, :] + down[n] * grid[:, None] for n in range(3)]
    x, y, z = (p.astype(np.float32) for p in points)
    return paint_slab(knee, x, y, z, normal.astype(np.float32), rng.uniform(0.8, 4.5), _PLANES)


def oblique_axes(
    turn: float, tilt: float, roll: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Axes of a coronal slice in knee coordinates: along the columns (medial), along the rows (inferior), to the front.

    Args:
        turn: Rotation about the long axis of the leg in radians.
        tilt: Rotation about the transverse axis.
        roll: Rotation within the slice.
    """
    ct, st, ci, si, cr, sr = np.cos(turn), np.sin(turn), np.cos(tilt), np.sin(tilt), np.cos(roll), np.sin(roll)
    about_z = np.array([[ct, -st, 0], [st, ct, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, ci, -si], [0, si, ci]])
    about_y = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
    axes = about_z @ about_x @ about_y
    return -axes[:, 0], -axes[:, 2], axes[:, 1]
