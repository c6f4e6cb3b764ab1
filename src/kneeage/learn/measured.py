"""Truth beside measurement: plates by one ruler on true and on found labels, and the voxels that decide a Dice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import PLATE_SITES, Label, PlateSite
from kneeage.core.volume import Volume
from kneeage.infer.morphometry import measure_plate
from kneeage.infer.region import SitesSeen, find_sites


def truth_beside_measurement(truth: Volume, found: Volume, sites: SitesSeen) -> dict[str, Any]:
    """Compare labels with the true ones.

    Args:
        truth: True labels on the prepared grid.
        found: What the segmenter drew, on the same grid.
        sites: The plates' sites in ``found``.

    Returns:
        Plain values: ``plates`` (both measurements of each) and ``dice_counts``: for each label, the voxels that both
        hold (twice), and those that each holds (added).
    """
    true_sites = find_sites(truth)
    return {
        "dice_counts": _dice_counts(truth.array, found.array),
        "plates": {
            site.name: {"true": _measured(truth, true_sites, site), "found": _measured(found, sites, site)}
            for site in PLATE_SITES
        },
    }


def _measured(labels: Volume, sites: SitesSeen, site: PlateSite) -> dict[str, Any]:
    """Measure one plate."""
    report: dict[str, Any] = measure_plate(labels, site, sites.of(site)).model_dump(mode="json")
    return report


def _dice_counts(truth: NDArray[np.generic], found: NDArray[np.generic]) -> dict[str, tuple[int, int]]:
    """Count, per label, the voxels that both hold (twice) and those that each holds (added)."""
    counts = {}
    for label in list(Label)[1:]:
        in_truth, in_found = truth == label, found == label
        both = 2 * int(np.count_nonzero(in_truth & in_found))
        counts[label.name.lower()] = (both, int(np.count_nonzero(in_truth)) + int(np.count_nonzero(in_found)))
    return counts
