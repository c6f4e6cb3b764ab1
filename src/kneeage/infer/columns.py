"""Find a growth plate's site column by column, open or closed.

Works on labels in a canonical orientation whose rows (J) run down the leg. In each column (i, k) the split is sought
that best puts the upper zone of the bone above and the lower zone below; stray labels of either zone only cost a
little score and do not move it. The rows between the zones are the *gap*: open plate, scar, or nothing (closed).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import DISTAL_FEMUR, Label, PlateSite
from kneeage.core.errors import GeometryError
from kneeage.core.volume import Volume

# Tolerances of the column search, in mm along the column. Source: ours, from the thinnest slab of bone that two voxels
# of the 0.6 mm recipe still show, and from gaps of one to three unlabelled voxels seen at plate margins.
MIN_ZONE_MM = 2.0
MAX_UNLABELLED_MM = 2.0
# Share of a column's zone voxels that must lie on their own side of the split. Source: ours.
MIN_ORDER_SHARE = 0.7

BoolArray = NDArray[np.bool_]
CountArray = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class SiteColumns:
    """The site of one plate in every column; all arrays have the shape (I, K).

    Args:
        seen: Whether the column crosses the site.
        top: First row of the gap.
        bottom: First row of the lower zone; equal to ``top`` where the zones touch.
        open_rows: Rows of the gap that hold open plate.
        scar_rows: Rows of the gap that hold scar.
    """

    seen: BoolArray
    top: CountArray
    bottom: CountArray
    open_rows: CountArray
    scar_rows: CountArray

    @property
    def centre_row(self) -> NDArray[np.float64]:
        """Row in the middle of the gap, fractional."""
        return (self.top + self.bottom - 1) / 2

    @property
    def is_open(self) -> BoolArray:
        """Whether the column crosses the site where it still holds open plate."""
        return self.seen & (self.open_rows > 0)


def zones_downwards(site: PlateSite) -> tuple[Label, Label]:
    """Name the upper and the lower zone of the bone around a site, walking down the leg."""
    if site.name == DISTAL_FEMUR.name:
        return site.metaphysis, site.epiphysis
    return site.epiphysis, site.metaphysis


def site_columns(labels: Volume, site: PlateSite) -> SiteColumns:
    """Find a plate's site in every column.

    Args:
        labels: Label values, shape (1, I, J, K), rows running down the leg.
        site: The plate.

    Returns:
        Where the site is, per column.

    Raises:
        GeometryError: The rows do not run down the leg.
    """
    require_rows_down(labels)
    values, row_mm = labels.array[0], labels.spacing[1]
    upper_label, lower_label = zones_downwards(site)
    upper, lower = values == upper_label, values == lower_label
    top, order_share, upper_count, lower_count = _best_split(upper, lower)
    bottom = _next_row(upper | lower, top)
    gap = _rows_between(values.shape[1], top, bottom)
    open_rows = np.count_nonzero(gap & (values == site.open_plate), axis=1)
    scar_rows = np.count_nonzero(gap & (values == site.scar), axis=1)
    thick_enough = np.minimum(upper_count, lower_count) * row_mm >= MIN_ZONE_MM
    close_enough = (bottom - top - open_rows - scar_rows) * row_mm <= MAX_UNLABELLED_MM
    return SiteColumns(
        thick_enough & close_enough & (order_share >= MIN_ORDER_SHARE), top, bottom, open_rows, scar_rows
    )


def require_rows_down(volume: Volume) -> None:
    """Refuse a grid whose rows do not run down the leg, such as an axial one.

    Raises:
        GeometryError: The second axis does not grow towards the feet.
    """
    if volume.orientation[1] != "I":
        raise GeometryError(
            f"plate sites are sought along rows that run down the leg; this grid has the orientation "
            f"{volume.orientation!r}; prepare a coronal or sagittal series first"
        )


def _best_split(upper: BoolArray, lower: BoolArray) -> tuple[CountArray, NDArray[np.float64], CountArray, CountArray]:
    """Find the row that best parts the zones of each column.

    Inputs have the shape (I, J, K), outputs (I, K): the row, the share of zone voxels on their own side of it, and
    the counts of upper voxels above and of lower voxels from it on.
    """
    above = _count_before(upper)
    below = np.count_nonzero(lower, axis=1)[:, None] - _count_before(lower)
    top = np.argmax(above + below, axis=1)
    upper_count, lower_count = _at_row(above, top), _at_row(below, top)
    total = above[:, -1] + below[:, 0]
    return top, (upper_count + lower_count) / np.maximum(total, 1), upper_count, lower_count


def _count_before(mask: BoolArray) -> CountArray:
    """Count true voxels above each row; shape (I, J, K) to (I, J + 1, K)."""
    padded = np.pad(mask, ((0, 0), (1, 0), (0, 0)))
    return np.asarray(np.cumsum(padded, axis=1, dtype=np.int32))


def _at_row(counts: CountArray, row: CountArray) -> CountArray:
    """Pick one row per column; shape (I, J, K) to (I, K)."""
    return np.take_along_axis(counts, row[:, None], axis=1)[:, 0]


def _next_row(mask: BoolArray, row: CountArray) -> CountArray:
    """Find the first true row at or below ``row`` in each column; ``row`` itself where there is none."""
    rows = np.arange(mask.shape[1])[None, :, None]
    following = mask & (rows >= row[:, None])
    return np.where(following.any(axis=1), np.argmax(following, axis=1), row)


def _rows_between(rows: int, top: CountArray, bottom: CountArray) -> BoolArray:
    """Mark the rows from ``top`` up to but without ``bottom``; shape (I, rows, K)."""
    index = np.arange(rows)[None, :, None]
    return (index >= top[:, None]) & (index < bottom[:, None])
