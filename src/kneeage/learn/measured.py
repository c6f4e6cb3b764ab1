"""Truth beside measurement: plates by one ruler on true and on found labels, what decides a Dice, and distances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.core.anatomy import PLATE_SITES, Label, PlateSite
from kneeage.core.volume import Volume
from kneeage.infer.morphometry import measure_plate
from kneeage.infer.region import SitesSeen, find_sites

BoolArray = NDArray[np.bool_]


def truth_beside_measurement(
    truth: Volume, found: Volume, sites: SitesSeen, drawn: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Compare labels with the true ones.

    Args:
        truth: True labels on the prepared grid.
        found: What the segmenter drew, on the same grid.
        sites: The plates' sites in ``found``.
        drawn: What is known of the drawn plates already, by site; they are measured when None.

    Returns:
        Plain values: ``plates`` (both measurements of each; ``surface_mm``: the mean distance of the drawn open plate's
        outline from the true one; ``open_mm3``: how much of the label there is anywhere, also outside the columns that
        are measured) and ``dice_counts``: for each label and each bone with its plate, the voxels that both hold
        (twice), and those that each holds (added).
    """
    true_sites = find_sites(truth)
    known = drawn or {site.name: {"found": _measured(found, sites, site)} for site in PLATE_SITES}
    return {
        "dice_counts": _dice_counts(truth.array, found.array),
        "plates": {
            site.name: {
                "true": _measured(truth, true_sites, site),
                **known[site.name],
                "surface_mm": surface_distance(truth, found, site.open_plate),
                "open_mm3": {"true": label_mm3(truth, site.open_plate), "drawn": label_mm3(found, site.open_plate)},
            }
            for site in PLATE_SITES
        },
    }


def label_mm3(labels: Volume, label: Label) -> float:
    """Give the volume of all voxels of a label, in mm3.

    Args:
        labels: Label values, shape (1, I, J, K).
        label: Which.
    """
    return float(np.count_nonzero(labels.array == label) * np.prod(labels.spacing))


def surface_distance(truth: Volume, found: Volume, label: Label) -> float | None:
    """Give the mean distance of two outlines of a label, within slices, both ways; thick slices show no other.

    Args:
        truth: True labels, shape (1, I, J, K).
        found: Drawn labels on the same grid.
        label: Which.

    Returns:
        Mean over the outlines' pixels of all slices in which both show the label, in mm; None where there are none.
    """
    spacing = truth.spacing[:2]
    pairs = [(truth.array[0, :, :, k] == label, found.array[0, :, :, k] == label) for k in range(truth.array.shape[3])]
    outlines = [(_outline(one), _outline(other)) for one, other in pairs if one.any() and other.any()]
    if not outlines:
        return None
    return float(np.mean(np.concatenate([_distances(one, other, spacing) for one, other in outlines])))


def _outline(mask: BoolArray) -> BoolArray:
    """Keep the pixels of a mask (I, J) that touch what is outside it."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def _distances(one: BoolArray, other: BoolArray, spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Distances in mm of each pixel of one outline from the other outline, and the other way round."""
    to_one, to_other = (ndimage.distance_transform_edt(~outline, sampling=spacing) for outline in (one, other))
    return np.concatenate([to_other[one], to_one[other]])


def _measured(labels: Volume, sites: SitesSeen, site: PlateSite) -> dict[str, Any]:
    """Measure one plate."""
    report: dict[str, Any] = measure_plate(labels, site, sites.of(site)).model_dump(mode="json")
    return report


def _dice_counts(truth: NDArray[np.generic], found: NDArray[np.generic]) -> dict[str, tuple[int, int]]:
    """Count, per label and per whole bone, the voxels that both hold (twice), and those that each holds (added)."""
    groups = {label.name.lower(): [label] for label in list(Label)[1:]}
    groups |= {f"{site.name}_bone": list(site.bone) for site in PLATE_SITES}
    return {name: _overlap(np.isin(truth, labels), np.isin(found, labels)) for name, labels in groups.items()}


def _overlap(truth: BoolArray, found: BoolArray) -> tuple[int, int]:
    """Count the voxels that both hold (twice), and those that each holds (added)."""
    return 2 * int(np.count_nonzero(truth & found)), int(np.count_nonzero(truth)) + int(np.count_nonzero(found))
