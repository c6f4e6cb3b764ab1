"""A pool of painted virtual slices that is rendered anew, with another contrast, each time one is drawn.

Painting is slow and contrast is cheap: one painted slice serves many training images. Some subjects are painted and
acquired on pixels half as wide and then brought to the pool's as ``kneeage.prepare`` brings sharp series to its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import Sex
from kneeage.core.machine import possible_processes
from kneeage.core.volume import Volume
from kneeage.io.output import whole_folder
from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.anatomy.knee import Anatomy, Knee
from kneeage.phantom.anatomy.slab import Slab, SliceGrid, oblique_axes
from kneeage.phantom.growth.law import draw_latents
from kneeage.phantom.scanner.render import Quality, Scanner, draw_random_scanner, draw_scanner, render
from kneeage.phantom.scanner.sequence import Weighting, draw_sequence
from kneeage.prepare.intensity import standardise
from kneeage.prepare.resample import AxisMap, InPlaneResampling

POOL_PIXELS = 256
POOL_SPACING_MM = 0.6
_PLANES = 5
_WEIGHTS = ("cartilage", "border", "scar", "red", "texture")
_MAPS = ("tissue", "label", "weights", "grid")
# Steps in which weights (0 to 1) and texture (-1 to 1) are kept in a signed byte.
_STEPS = 127
# Depths that slices are drawn from, front of the knee positive, in half widths of its femur, and the share of each:
# anywhere, the condyles behind the shaft, the shaft, the front. Source: in virtual knees of 8 to 22 years the condyles
# reach from -1.1 to 0.6, the shaft begins at -0.5, the patella ends at 1.25 and the fibula at -1.4.
_DEPTHS = (
    (0.35, (-1.6, 1.3)),
    (0.30, (-1.2, -0.5)),
    (0.20, (-0.6, 0.2)),
    (0.15, (0.2, 1.25)),
)


@dataclass(frozen=True)
class _Kind:
    """How finely a subject is painted.

    Args:
        name: Folder of its slices in the pool.
        step: Painted pixels per pixel of the pool; the first and the last of both coincide.
        quality: What its T1-weighted scans are like.
    """

    name: str
    step: int
    quality: Quality

    @property
    def pixels(self) -> int:
        """Painted rows and columns."""
        return self.step * (POOL_PIXELS - 1) + 1

    @cached_property
    def to_pool(self) -> InPlaneResampling:
        """What brings an image to the pool's pixels, as a series is prepared."""
        axis = AxisMap(self.pixels, 1.0, POOL_PIXELS, float(self.step))
        return InPlaneResampling(axis, axis)


_USUAL = _Kind("usual", 1, Quality())
# Source: coronal T1 series at 3 T have pixels of 0.19-0.35 mm; acquired pixels are assumed.
_SHARP = _Kind("sharp", 2, Quality(acquired_mm=(0.2, 0.5)))
_KINDS = (_USUAL, _SHARP)


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
        sharp_share: Share of the knees painted on pixels half as wide.
    """

    subjects: int
    slices_per_subject: int = 8
    seed: int = 0
    ages_years: tuple[float, float, float] = (7.0, 15.5, 28.0)
    zoom_range: tuple[float, float] = (0.75, 1.30)
    findings: float = 2.0
    sharp_share: float = 0.5


class SlicePool:
    """Painted slices on disk, rendered when drawn.

    Args:
        folder: Folder that :func:`paint_pool` wrote.
        t1_share: Share of T1-weighted images among those drawn; the rest has random contrast.
    """

    def __init__(self, folder: Path, t1_share: float = 0.7) -> None:
        self._parts = [_Part(folder / kind.name, kind) for kind in _KINDS if (folder / kind.name).is_dir()]
        self._t1_share = t1_share

    def __len__(self) -> int:
        """Number of painted slices."""
        return sum(map(len, self._parts))

    def draw(self, index: int, rng: np.random.Generator) -> tuple[Field, NDArray[np.uint8]]:
        """Render slice ``index`` with a contrast drawn from ``rng``.

        Returns:
            Standardised image float32 (rows, columns), and its labels uint8.
        """
        kind, slab = self._slab(index)
        image = kind.to_pool.forward(render(slab, self._scanner(kind.quality, rng), rng))
        image = np.asarray(standardise(Volume(image[None, :, :, None], np.eye(4))).array[0, :, :, 0], dtype=np.float32)
        label = slab.label[:: kind.step, :: kind.step]
        return (image[:, ::-1].copy(), label[:, ::-1].copy()) if rng.random() < 0.5 else (image, label.copy())

    def _scanner(self, quality: Quality, rng: np.random.Generator) -> Scanner:
        """Draw an acquisition: T1-weighted at either field strength, or of random contrast."""
        if rng.random() < self._t1_share:
            sequence = draw_sequence(Weighting.T1, False, float(rng.choice([1.5, 3.0])), rng)
            return draw_scanner(sequence, rng, quality=quality)
        return draw_random_scanner(rng)

    def _slab(self, index: int) -> tuple[_Kind, Slab]:
        """Read one painted slice."""
        for part in self._parts:
            if index < len(part):
                return part.kind, part.slab(index)
            index -= len(part)
        raise IndexError(index)


class _Part:
    """The slices of one kind."""

    def __init__(self, folder: Path, kind: _Kind) -> None:
        self.kind = kind
        self._maps = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _MAPS}

    def __len__(self) -> int:
        return len(self._maps["label"])

    def slab(self, index: int) -> Slab:
        """Read one painted slice."""
        layers = self._maps["weights"][index].astype(np.float32) / _STEPS
        return Slab(
            grid=_unpack(self._maps["grid"][index], self.kind.pixels),
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
    with whole_folder(folder) as whole, ProcessPoolExecutor(possible_processes(workers)) as executor:
        for kind in _KINDS:
            chosen = [seed for number, seed in enumerate(seeds) if _kind_of(number, settings.sharp_share) is kind]
            if chosen:
                painted = executor.map(partial(_paint_subject, settings, kind), chosen)
                _write_maps(whole / kind.name, kind, painted, len(chosen) * settings.slices_per_subject)


def _kind_of(number: int, sharp_share: float) -> _Kind:
    """Say how finely a subject is painted: the sharp ones are spread evenly."""
    return _SHARP if int((number + 1) * sharp_share) > int(number * sharp_share) else _USUAL


def _write_maps(folder: Path, kind: _Kind, painted: Iterable[list[Slab]], count: int) -> None:
    """Write slices one after the other, so that the pool never has to lie in memory."""
    folder.mkdir()
    shape = (kind.pixels, kind.pixels)
    kinds: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
        "tissue": (np.uint8, (_PLANES, *shape)),
        "label": (np.uint8, shape),
        "weights": (np.int8, (len(_WEIGHTS), *shape)),
        "grid": (np.float32, (_GRID_NUMBERS,)),
    }
    maps = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kept, (count, *rest))
        for name, (kept, rest) in kinds.items()
    }
    for index, slab in enumerate(slab for slabs in painted for slab in slabs):
        layers = np.stack([getattr(slab, name) for name in _WEIGHTS])
        maps["tissue"][index], maps["label"][index] = slab.tissue, slab.label
        maps["weights"][index] = np.round(np.clip(layers, -1, 1) * _STEPS)
        maps["grid"][index] = _pack(slab.grid)
    for array in maps.values():
        array.flush()


def _paint_subject(settings: PoolSettings, kind: _Kind, seed: np.random.SeedSequence) -> list[Slab]:
    """Paint some slices of one random subject."""
    rng = np.random.default_rng(seed)
    latents = draw_latents(rng.triangular(*settings.ages_years), (Sex.MALE, Sex.FEMALE)[rng.integers(2)], rng)
    knee = Knee(Anatomy.draw(rng, settings.findings), latents)
    pixel_mm = POOL_SPACING_MM * float(np.exp(rng.uniform(*np.log(settings.zoom_range))))
    grids = (_random_grid(latents.bone_half_width_mm, pixel_mm, kind, rng) for _ in range(settings.slices_per_subject))
    return [knee.slab(grid, rng, _PLANES) for grid in grids]


def _random_grid(half_width_mm: float, pixel_mm: float, kind: _Kind, rng: np.random.Generator) -> SliceGrid:
    """Draw a roughly coronal slice at a random depth, obliquity and centre; ``pixel_mm`` is that of the pool."""
    right, down, normal = oblique_axes(rng.normal(0, 0.12), rng.normal(0, 0.07), rng.normal(0, 0.08))
    _, depths = _DEPTHS[rng.choice(len(_DEPTHS), p=[share for share, _ in _DEPTHS])]
    depth = half_width_mm * rng.uniform(*depths)
    centre = np.array([rng.normal(0, 10), 0.0, rng.normal(2, 20)]) + depth * normal
    shape = (kind.pixels, kind.pixels)
    return SliceGrid(centre, right, down, normal, shape, pixel_mm / kind.step, float(rng.uniform(0.8, 4.5)))


_GRID_NUMBERS = 14


def _pack(grid: SliceGrid) -> NDArray[np.float32]:
    """The numbers of a grid, shape (14,)."""
    sizes = np.array([grid.pixel_mm, grid.thickness_mm])
    return np.concatenate([grid.centre, grid.columns_to, grid.rows_to, grid.normal, sizes]).astype(np.float32)


def _unpack(numbers: NDArray[np.float32], pixels: int) -> SliceGrid:
    """The grid of that many rows and columns from its numbers."""
    centre, columns_to, rows_to, normal = numbers[:12].astype(np.float64).reshape(4, 3)
    pixel_mm, thickness_mm = (float(number) for number in numbers[12:])
    return SliceGrid(centre, columns_to, rows_to, normal, (pixels, pixels), pixel_mm, thickness_mm)
