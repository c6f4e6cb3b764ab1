"""Cleaning of label arrays: the largest component of each bone, filled holes, closed gaps.

Arrays are (I, J, K), without a channel axis. In-plane work is done slice by slice, since slices are thick.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]
_IN_PLANE = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)[:, :, None]


def largest_component(mask: Mask) -> Mask:
    """Keep the largest group of voxels that share faces.

    Args:
        mask: Mask of shape (I, J, K).

    Returns:
        Mask of the same shape; empty when the mask is empty; the first of equally large groups.
    """
    groups, count = ndimage.label(mask)
    if count <= 1:
        return mask.copy()
    sizes = np.bincount(groups.ravel())
    sizes[0] = 0
    return np.asarray(groups == sizes.argmax())


def fill_holes(mask: Mask) -> Mask:
    """Fill what is enclosed within its slice.

    Args:
        mask: Mask of shape (I, J, K).

    Returns:
        Mask of the same shape.
    """
    return np.asarray(ndimage.binary_fill_holes(mask, structure=np.pad(_IN_PLANE, ((0, 0), (0, 0), (1, 1)))))


def close_gaps(mask: Mask, iterations: int = 1) -> Mask:
    """Close gaps and notches within each slice.

    Args:
        mask: Mask of shape (I, J, K).
        iterations: Half the width of the gaps that are closed, in voxels.

    Returns:
        Mask of the same shape; it holds every voxel of the mask.
    """
    margin = ((iterations, iterations), (iterations, iterations), (0, 0))
    closed = ndimage.binary_closing(np.pad(mask, margin), structure=_IN_PLANE, iterations=iterations)
    return np.asarray(closed[iterations:-iterations, iterations:-iterations]) | mask


def clean_labels(labels: Labels, groups: Sequence[Sequence[int]], *, closing: int = 0) -> Labels:
    """Clean each bone of a label array.

    A bone keeps its largest component; background that it encloses within a slice, or that closing reaches, takes the
    label of the nearest voxel of the bone in that slice. Labels that no group names are left as they are, and no
    label other than background is overwritten.

    Args:
        labels: Label values of shape (I, J, K).
        groups: Label values that make up each bone with its plates.
        closing: Half the width in voxels of the gaps that are closed; 0: none.

    Returns:
        Label values of the same shape.
    """
    cleaned = labels.copy()
    for group in groups:
        box = _bounding_box(np.isin(cleaned, group), closing + 1)
        if box is not None:
            cleaned[box] = _clean_bone(cleaned[box], group, closing)
    return cleaned


def _clean_bone(labels: Labels, group: Sequence[int], closing: int) -> Labels:
    """Clean one bone in its box."""
    found = np.isin(labels, group)
    kept = largest_component(found)
    whole = fill_holes(close_gaps(kept, closing) if closing else kept)
    cleaned = np.where(found & ~kept, np.uint8(0), labels)
    added = whole & (cleaned == 0)
    return _with_nearest(cleaned, kept, added) if added.any() else cleaned


def _with_nearest(labels: Labels, kept: Mask, added: Mask) -> Labels:
    """Give added voxels the label of the nearest kept voxel of their slice."""
    filled = labels.copy()
    for k in np.flatnonzero(added.any(axis=(0, 1))):
        nearest = ndimage.distance_transform_edt(~kept[:, :, k], return_distances=False, return_indices=True)
        i, j = nearest[:, added[:, :, k]]
        filled[:, :, k][added[:, :, k]] = labels[i, j, k]
    return filled


def _bounding_box(mask: Mask, margin: int) -> tuple[slice, slice, slice] | None:
    """Give the box of a mask with a margin in plane, clipped to the array; None when the mask is empty."""
    if not mask.any():
        return None
    boxes = ndimage.find_objects(mask.astype(np.uint8))[0]
    i, j, k = boxes
    return _wider(i, margin, mask.shape[0]), _wider(j, margin, mask.shape[1]), k


def _wider(part: slice, margin: int, size: int) -> slice:
    """Widen a range, within the axis."""
    return slice(max(0, part.start - margin), min(size, part.stop + margin))
