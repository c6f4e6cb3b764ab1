"""Where the leg is in an image: networks need not look at the air around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kneeage.core.volume import Volume
from kneeage.infer.slices import to_slices
from kneeage.prepare.intensity import tissue_threshold

# A row or column belongs to the leg when at least this share of its voxels, over all slices, is brighter than air.
# Source: ours; noise in air crosses the threshold in fewer voxels, the rim of a leg in more.
MIN_TISSUE_SHARE = 0.02
# What is kept around the leg, for what the networks see about each voxel. Source: ours.
MARGIN_MM = 12.0

Box = tuple[slice, slice]


def body_box(image: Volume) -> Box:
    """Find the rows and columns that hold the leg.

    Args:
        image: Prepared image, shape (1, I, J, K).

    Returns:
        Slices along J and I, a margin included; the whole image where nothing stands out from air.
    """
    grey = np.asarray(image.array, np.float32)
    tissue = to_slices(grey)[:, 0] > tissue_threshold(grey)
    rows = _span(tissue.mean(axis=(0, 2)), round(MARGIN_MM / image.spacing[1]))
    columns = _span(tissue.mean(axis=(0, 1)), round(MARGIN_MM / image.spacing[0]))
    return rows, columns


def _span(share: NDArray[np.float64], margin: int) -> slice:
    """Span the places with enough tissue, widened by a margin."""
    enough = np.flatnonzero(share >= MIN_TISSUE_SHARE)
    if not len(enough):
        return slice(0, len(share))
    return slice(max(0, int(enough[0]) - margin), min(len(share), int(enough[-1]) + 1 + margin))
