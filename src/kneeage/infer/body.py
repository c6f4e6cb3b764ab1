"""Where the leg is in an image: networks need not look at the air around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kneeage.prepare.intensity import tissue_threshold

# A row or column belongs to the leg when at least this share of its pixels, over all slices, is brighter than air.
# Source: ours; noise in air crosses the threshold in fewer voxels, the rim of a leg in more.
MIN_TISSUE_SHARE = 0.02
# What is kept around the leg, for what the networks see about each voxel. Source: ours.
MARGIN_MM = 12.0

Box = tuple[slice, slice]


def body_box(slices: NDArray[np.generic], spacing_mm: tuple[float, ...]) -> Box:
    """Find the rows and columns that hold the leg.

    Args:
        slices: Prepared slices, shape (S, J, I).
        spacing_mm: Spacing along I and J; what follows is not looked at.

    Returns:
        Slices along J and I, a margin included; the whole image where nothing stands out from air.
    """
    grey = np.asarray(slices, np.float32)
    tissue = grey > tissue_threshold(grey)
    rows = _span(tissue.mean(axis=(0, 2)), round(MARGIN_MM / spacing_mm[1]))
    columns = _span(tissue.mean(axis=(0, 1)), round(MARGIN_MM / spacing_mm[0]))
    return rows, columns


def _span(share: NDArray[np.float64], margin: int) -> slice:
    """Span the places with enough tissue, widened by a margin."""
    enough = np.flatnonzero(share >= MIN_TISSUE_SHARE)
    if not len(enough):
        return slice(0, len(share))
    return slice(max(0, int(enough[0]) - margin), min(len(share), int(enough[-1]) + 1 + margin))
