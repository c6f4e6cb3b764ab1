"""Skeletal stages of a plate, from its measured thickness and bridging.

Bridging is the share of the site's columns without open plate, whether a scar shows there or not. The definitions are
those of ``kneeage.core.skeletal_stages``; only what is too little to be seen is larger than for true latents, because
a drawn plate has a few columns too many or too few.
"""

from __future__ import annotations

import numpy as np

from kneeage.core.anatomy import PlateSite
from kneeage.core.result import PlateReport, SkeletalStages
from kneeage.core.skeletal_stages import (
    DEDOUIT,
    SCHMELING_KELLINGHAUS,
    Continuity,
    dedouit_index,
    schmeling_kellinghaus_index,
)
from kneeage.core.volume import Volume
from kneeage.infer.region import SiteSeen

# Measured shares that count as a bridge, and as a remnant. Source: ours; of the limits 0.02 to 0.10 and 0.90 to 0.98,
# those that agreed best with the truth of 286 virtual subjects of 13 to 19 years that the first bundle had labelled
# (five of a hundred wholly open plates were drawn with a gap of more than 0.07, five of a hundred closed ones with a
# rest of more than 0.07); on true labels they cost nothing.
MEASURED_CONTINUITY = Continuity(bridge_seen=0.06, remnant_seen=0.95)
# The remnant of a closed plate shows when at least this share of the site's columns holds scar. Source: ours.
SCAR_SEEN = 0.2


def staged(plate: PlateReport, labels: Volume, site: PlateSite, seen: SiteSeen) -> PlateReport:
    """Grade a measured plate.

    Args:
        plate: Its measurements, the thickness corrected where the bundle corrects it.
        labels: Label values that it was measured on, shape (1, I, J, K).
        site: Which plate.
        seen: What ``find_sites`` found of it on these labels.

    Returns:
        The same measurements with their stages; without, where the site was not found.
    """
    if plate.openness is None:
        return plate
    stages = skeletal_stages(plate.openness, plate.thickness_mm, scar_share(labels, site, seen))
    return plate.model_copy(update={"stages": stages})


def skeletal_stages(openness: float, thickness_mm: float | None, scar: float) -> SkeletalStages:
    """Grade one plate.

    Args:
        openness: Share of the site's columns with open plate.
        thickness_mm: Thickness of the open part; None where nothing is open.
        scar: Share of the site's columns with scar.
    """
    bridged, thickness = np.array(1.0 - openness), np.array(thickness_mm or 0.0)
    fused = schmeling_kellinghaus_index(bridged, np.array(scar >= SCAR_SEEN), MEASURED_CONTINUITY)
    return SkeletalStages(
        dedouit=DEDOUIT[int(dedouit_index(thickness, bridged, MEASURED_CONTINUITY))].value,
        schmeling_kellinghaus=SCHMELING_KELLINGHAUS[int(fused)].value,
    )


def scar_share(labels: Volume, site: PlateSite, seen: SiteSeen) -> float:
    """Give the share of a site's columns that hold scar, 0 to 1; 0 where the site was not found."""
    if not seen.found:
        return 0.0
    columns = seen.columns_on(labels, site)
    crossed = columns.seen & np.isin(np.arange(labels.shape[2]), seen.slices)[None, :]
    return float(np.count_nonzero(crossed & (columns.scar_rows > 0)) / np.count_nonzero(crossed))


def dedouit_place(plate: PlateReport) -> int | None:
    """Give the place of a plate's Dedouit stage, 0 (I) to 4 (V); None where it was not graded."""
    graded = plate.stages.dedouit
    return None if graded is None else [stage.value for stage in DEDOUIT].index(graded)
