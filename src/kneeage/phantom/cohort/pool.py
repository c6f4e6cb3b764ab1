"""A pool of painted virtual slices that is rendered anew, with another contrast, each time one is drawn.

Painting is slow and contrast is cheap: one painted slice serves many training images.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import Sex
from kneeage.core.volume import Volume
from kneeage.io.output import whole_folder
from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.anatomy.knee import Anatomy, Knee
from kneeage.phantom.anatomy.slab import Slab, SliceGrid, oblique_axes
from kneeage.phantom.growth.law import draw_latents
from kneeage.phantom.scanner.render import Scanner, draw_random_scanner, draw_scanner, render
from kneeage.phantom.scanner.sequence import Weighting, draw_sequence
from kneeage.prepare.intensity import standardise

POOL_PIXELS = 256
POOL_SPACING_MM = 0.6
_PLANES = 5
_WEIGHTS = ("cartilage", "border", "scar", "red", "texture")
_MAPS = ("tissue", "label", "weights", "grid")
# Steps in which weights (0 to 1) and texture (-1 to 1) are kept in a signed byte.
_STEPS = 127


@dataclass(frozen=True)
class PoolSettings:
    """What a pool holds. The defaults reach beyond what a protocol should give, so that real knees lie inside.

    Args:
        subjects: Number of knees.
        slices_per_subject: Slices painted of each.
        seed: What everything follows from.
        ages_years: Youngest, most frequent and oldest age; their density is a triangle.
        zoom_range: Factors on :data:`POOL_SPACING_MM`.
        findings: Factor on the rate of incidental findings.
    """

    subjects: int
    slices_per_subject: int = 8
    seed: int = 0
    ages_years: tuple[float, float, float] = (7.0, 15.5, 28.0)
    zoom_range: tuple[float, float] = (0.75, 1.30)
    findings: float = 2.0


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
        slab = self._slab(index)
        image = render(slab, self._scanner(rng), rng)
        image = np.asarray(standardise(Volume(image[None, :, :, None], np.eye(4))).array[0, :, :, 0], dtype=np.float32)
        return (image[:, ::-1].copy(), slab.label[:, ::-1].copy()) if rng.random() < 0.5 else (image, slab.label)

    def _scanner(self, rng: np.random.Generator) -> Scanner:
        """Draw an acquisition: T1-weighted at either field strength, or of random contrast."""
        if rng.random() < self._t1_share:
            return draw_scanner(draw_sequence(Weighting.T1, False, float(rng.choice([1.5, 3.0])), rng), rng)
        return draw_random_scanner(rng)

    def _slab(self, index: int) -> Slab:
        """Read one painted slice."""
        layers = self._maps["weights"][index].astype(np.float32) / _STEPS
        return Slab(
            grid=_unpack(self._maps["grid"][index]),
            tissue=np.array(self._maps["tissue"][index]),
            label=np.array(self._maps["label"][index]),
            **dict(zip(_WEIGHTS, layers, strict=True)),
        )


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
    with whole_folder(folder) as whole, ProcessPoolExecutor(workers) as executor:
        painted = executor.map(_paint_subject, seeds, [settings] * len(seeds), chunksize=4)
        _write_maps(whole, painted, settings.subjects * settings.slices_per_subject)


def _write_maps(folder: Path, painted: Iterable[list[Slab]], count: int) -> None:
    """Write slices one after the other, so that the pool never has to lie in memory."""
    shape = (POOL_PIXELS, POOL_PIXELS)
    kinds: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
        "tissue": (np.uint8, (_PLANES, *shape)),
        "label": (np.uint8, shape),
        "weights": (np.int8, (len(_WEIGHTS), *shape)),
        "grid": (np.float32, (_GRID_NUMBERS,)),
    }
    maps = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, (count, *rest))
        for name, (kind, rest) in kinds.items()
    }
    for index, slab in enumerate(slab for slabs in painted for slab in slabs):
        layers = np.stack([getattr(slab, name) for name in _WEIGHTS])
        maps["tissue"][index], maps["label"][index] = slab.tissue, slab.label
        maps["weights"][index] = np.round(np.clip(layers, -1, 1) * _STEPS)
        maps["grid"][index] = _pack(slab.grid)
    for array in maps.values():
        array.flush()


def _paint_subject(seed: np.random.SeedSequence, settings: PoolSettings) -> list[Slab]:
    """Paint some slices of one random subject."""
    rng = np.random.default_rng(seed)
    latents = draw_latents(rng.triangular(*settings.ages_years), (Sex.MALE, Sex.FEMALE)[rng.integers(2)], rng)
    knee = Knee(Anatomy.draw(rng, settings.findings), latents)
    pixel_mm = POOL_SPACING_MM * float(np.exp(rng.uniform(*np.log(settings.zoom_range))))
    return [knee.slab(_random_grid(pixel_mm, rng), rng, _PLANES) for _ in range(settings.slices_per_subject)]


def _random_grid(pixel_mm: float, rng: np.random.Generator) -> SliceGrid:
    """Draw a roughly coronal slice at a random depth, obliquity and centre."""
    right, down, normal = oblique_axes(rng.normal(0, 0.12), rng.normal(0, 0.07), rng.normal(0, 0.08))
    depth = rng.uniform(-62, 46) if rng.random() < 0.6 else rng.uniform(-40, 18)
    centre = np.array([rng.normal(0, 10), 0.0, rng.normal(2, 20)]) + depth * normal
    shape = (POOL_PIXELS, POOL_PIXELS)
    return SliceGrid(centre, right, down, normal, shape, pixel_mm, float(rng.uniform(0.8, 4.5)))


_GRID_NUMBERS = 14


def _pack(grid: SliceGrid) -> NDArray[np.float32]:
    """The numbers of a grid, shape (14,)."""
    sizes = np.array([grid.pixel_mm, grid.thickness_mm])
    return np.concatenate([grid.centre, grid.columns_to, grid.rows_to, grid.normal, sizes]).astype(np.float32)


def _unpack(numbers: NDArray[np.float32]) -> SliceGrid:
    """The grid from its numbers."""
    centre, columns_to, rows_to, normal = numbers[:12].astype(np.float64).reshape(4, 3)
    pixel_mm, thickness_mm = (float(number) for number in numbers[12:])
    return SliceGrid(centre, columns_to, rows_to, normal, (POOL_PIXELS, POOL_PIXELS), pixel_mm, thickness_mm)
