"""Where on the slices the age came from: cover a patch, and see how far the answer moves.

It needs nothing but the networks that serve. A patch is covered on all slices at once, by the mean grey value around it
and no plate; each patch costs one run of the age network on a few slices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.core.volume import Volume
from kneeage.infer.engine import FloatArray32
from kneeage.infer.slices import from_slices
from kneeage.prepare.prepared import Prepared

# Side of a patch. Source: ours; a quarter of the region, so that 16 runs cover it.
PATCH_MM = 24.0
# Slices that are looked at, evenly spread over those of the estimate. Source: ours, for the time it takes.
MOST_SLICES = 3

# Pixels around a place that its cover takes its grey value from. Source: ours.
_RIM = 3

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Place = tuple[slice, slice]
Reader = Callable[[FloatArray32], FloatArray]


@dataclass(frozen=True, eq=False)
class Explanation:
    """How far the answer moves when a place is covered, on the source grid, float32 (1, I, J, K), nan elsewhere.

    Args:
        moved: Total variation distance between the answers with and without the place: 0 (nothing moves) to 1.
        older_years: Mean age as it is, less the mean age with the place covered, in years.
        most_moved: How far covering one patch moves the answer at most, 0 to 1; the map runs smoothly between patches
            and may stay below it.
        most_years: By how many years covering one patch moves the mean age at most, up or down.
    """

    moved: Volume
    older_years: Volume
    most_moved: float
    most_years: float


@dataclass(frozen=True, eq=False)
class PatchEffects:
    """The effect of covering each patch of a region.

    Args:
        rows: Bounds of the patches along the rows, shape (m + 1,).
        columns: Bounds along the columns, shape (n + 1,).
        moved: Total variation distance, shape (m, n).
        older_years: Mean age as it is, less the mean age with the patch covered, shape (m, n).
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    moved: FloatArray
    older_years: FloatArray


def few_slices(count: int) -> list[int]:
    """Choose which of so many slices are looked at: the middles of as many equal parts."""
    parts = min(MOST_SLICES, count)
    return [int((part + 0.5) * count / parts) for part in range(parts)]


def occlude(read: Reader, regions: FloatArray32, ages_years: FloatArray, patch: int) -> PatchEffects:
    """Cover patch after patch.

    Args:
        read: Gives the log-likelihood of each age, shape (bins,), of regions.
        regions: Float32 (S, 3, rows, columns).
        ages_years: Middle of each age bin, shape (bins,).
        patch: Side of a patch in pixels, about.
    """
    rows, columns = (_bounds(size, patch) for size in regions.shape[2:])
    places = _patches(rows, columns)
    hidden = np.array([_shares(read(covered(regions, _mask(regions, place)))) for place in places])
    shape = (len(rows) - 1, len(columns) - 1)
    moved, older = _effects(_shares(read(regions)), hidden, ages_years)
    return PatchEffects(rows, columns, moved.reshape(shape), older.reshape(shape))


def effect_of_covering(
    read: Reader, regions: FloatArray32, ages_years: FloatArray, mask: BoolArray
) -> tuple[float, float]:
    """Cover one place of any shape.

    Args:
        read: Gives the log-likelihood of each age, shape (bins,), of regions.
        regions: Float32 (S, 3, rows, columns).
        ages_years: Middle of each age bin, shape (bins,).
        mask: What to cover, shape (S, rows, columns).

    Returns:
        Total variation distance between both answers, and by how many years the place makes the mean age higher.
    """
    hidden = _shares(read(covered(regions, mask)))[None]
    moved, older = _effects(_shares(read(regions)), hidden, ages_years)
    return float(moved[0]), float(older[0])


def covered(regions: FloatArray32, mask: BoolArray) -> FloatArray32:
    """Cover a place: on each slice the mean grey value around it, no plate, no scar.

    Args:
        regions: Float32 (S, 3, rows, columns).
        mask: What to cover, shape (S, rows, columns).
    """
    wide = ndimage.maximum_filter(mask.astype(np.uint8), (1, 2 * _RIM + 1, 2 * _RIM + 1)).astype(bool)
    rim = wide & ~mask
    grey = regions[:, 0]
    around = (grey * rim).sum(axis=(1, 2)) / np.maximum(np.count_nonzero(rim, axis=(1, 2)), 1)
    plates = np.where(mask[:, None], np.float32(0), regions[:, 1:])
    return np.concatenate([np.where(mask, around[:, None, None], grey)[:, None], plates], axis=1).astype(np.float32)


def explanation(
    effects: PatchEffects, prepared: Prepared, corner: tuple[int, int], slices: Sequence[int]
) -> Explanation:
    """Lay the effects over the slices as they came, smoothly from patch to patch.

    Args:
        effects: Of a region.
        prepared: The prepared volume that the region was cut from.
        corner: First row and column of the region; either may lie outside the image.
        slices: Slices along K through the plates; patches are covered on all slices at once, so each gets the same.
    """
    moved, older = (
        prepared.volume_to_source(_on_grid(_between(values, effects), prepared.volume, corner, slices))
        for values in (effects.moved, effects.older_years)
    )
    return Explanation(moved, older, float(effects.moved.max()), float(np.abs(effects.older_years).max()))


def _effects(whole: FloatArray, hidden: FloatArray, ages_years: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compare the answer (bins,) with answers where something is covered (n, bins)."""
    return np.abs(hidden - whole).sum(axis=1) / 2, whole @ ages_years - hidden @ ages_years


def _mask(regions: FloatArray32, place: Place) -> BoolArray:
    """Mark a rectangle on all slices."""
    mask = np.zeros((len(regions), *regions.shape[2:]), dtype=bool)
    mask[:, place[0], place[1]] = True
    return mask


def _patches(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Iterator[Place]:
    """List the patches, row by row."""
    for (top, bottom), (left, right) in product(pairwise(rows), pairwise(columns)):
        yield slice(top, bottom), slice(left, right)


def _bounds(size: int, patch: int) -> NDArray[np.intp]:
    """Part so many pixels into patches of about one size."""
    return np.linspace(0, size, max(1, round(size / patch)) + 1).round().astype(np.intp)


def _shares(log_likelihood: FloatArray) -> FloatArray:
    """Probability of each age, all being equally likely beforehand; shape (bins,)."""
    shares = np.exp(log_likelihood - log_likelihood.max())
    return np.asarray(shares / shares.sum())


def _between(values: FloatArray, effects: PatchEffects) -> NDArray[np.float32]:
    """Interpolate from the middles of patches to all pixels of the region, linearly."""
    at_rows, at_columns = ((bounds[:-1] + bounds[1:] - 1) / 2 for bounds in (effects.rows, effects.columns))
    along = np.array([np.interp(np.arange(effects.columns[-1]), at_columns, row) for row in values])
    down = np.array([np.interp(np.arange(effects.rows[-1]), at_rows, column) for column in along.T])
    return np.asarray(down.T, np.float32)


def _on_grid(
    region: NDArray[np.float32], image: Volume, corner: tuple[int, int], slices: Sequence[int]
) -> NDArray[np.float32]:
    """Put a region's values on the grid of an image, float32 (1, I, J, K); nan elsewhere."""
    columns, rows, count = image.shape
    stack = np.full((count, 1, rows, columns), np.nan, dtype=np.float32)
    top, left = max(corner[0], 0), max(corner[1], 0)
    seen = region[top - corner[0] :, left - corner[1] :][: rows - top, : columns - left]
    stack[list(slices), 0, top : top + seen.shape[0], left : left + seen.shape[1]] = seen
    return from_slices(stack)
