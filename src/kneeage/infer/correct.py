"""Labels that a person corrected take the place of the network's, where they differ."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.core.anatomy import PLATE_SITES, Label
from kneeage.core.errors import InputRefusedError
from kneeage.core.volume import Volume
from kneeage.infer.segment import OPEN_PLATES, SCARS, Segmentation
from kneeage.prepare.prepared import Prepared

# Voxels around the plates that may take their place. Our own choice, for the time it takes.
_RIM = 8

PLATES = tuple(label for site in PLATE_SITES for label in (site.open_plate, site.scar))


def corrected(found: Segmentation, given: Volume, prepared: Prepared) -> Segmentation:
    """Put corrected labels in the place of those that were found.

    What was not corrected stays as the network saw it, to the last probability: labels that are given back unchanged
    change no answer.

    Args:
        found: What the network found.
        given: Corrected labels, uint8 (1, I, J, K), on the source grid.
        prepared: The volume that was labelled.

    Returns:
        The labels as they were given, on both grids, with plates as certain as they were drawn.

    Raises:
        GeometryError: The labels are not on the source grid.
    """
    before = prepared.labels_from_source(found.source_labels).array
    after = prepared.labels_from_source(given).array
    is_changed = before != after
    labels = np.where(is_changed, after, found.labels.array)
    drawn = np.concatenate([np.isin(labels, group) for group in (OPEN_PLATES, SCARS)])
    certainty = np.where(is_changed, drawn, found.plate_probability.array).astype(np.float32)
    return Segmentation(found.labels.with_array(labels), given, found.plate_probability.with_array(certainty))


def read_corrected(values: Volume, base: Volume, known: Collection[int]) -> Volume:
    """Check labels that a person corrected.

    Args:
        values: Any values, (1, I, J, K), on the grid of ``base``.
        base: The labels that were corrected.
        known: Label values of the bundle.

    Returns:
        The labels, uint8, on the very grid of ``base``.

    Raises:
        InputRefusedError: A value is no label of the bundle.
    """
    foreign = sorted(set(np.unique(values.array).tolist()) - set(known))
    if foreign:
        raise InputRefusedError(f"{foreign[0]:g} is no label here; the labels are {sorted(known)}")
    return base.with_array(np.asarray(values.array, np.uint8))


def with_plates(base: Volume, plates: Volume) -> Volume:
    """Draw plates into labels; what was a plate and no longer is becomes what lies nearest.

    Args:
        base: Labels, uint8 (1, I, J, K).
        plates: Open plates and scars by their labels, 0 elsewhere, on the same grid.
    """
    drawn, labels = np.asarray(plates.array), np.asarray(base.array)
    is_plate = np.isin(labels, PLATES)
    filled = labels if is_plate.all() else _nearest(labels[0], is_plate[0], base.spacing)[None]
    return base.with_array(np.where(drawn > 0, drawn, filled).astype(np.uint8))


def plate_values(known: Collection[int]) -> list[int]:
    """Give the labels that a mask of plates may hold."""
    return [int(Label.BACKGROUND), *(int(label) for label in PLATES if label in known)]


def _nearest(
    labels: NDArray[np.generic], hole: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> NDArray[np.generic]:
    """Fill holes (I, J, K) with the nearest label beside them, in millimetres."""
    if not hole.any():
        return labels
    box = tuple(
        slice(max(0, part.start - _RIM), part.stop + _RIM) for part in ndimage.find_objects(hole.astype(np.uint8))[0]
    )
    filled = labels.copy()
    where = ndimage.distance_transform_edt(hole[box], sampling=spacing, return_distances=False, return_indices=True)
    filled[box] = labels[box][tuple(where)]
    return filled
