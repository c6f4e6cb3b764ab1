"""Tell the body side from the fibula, which lies lateral to the tibia."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeage.core.anatomy import PROXIMAL_TIBIA, Label, Side
from kneeage.core.volume import Volume

# Less fibula than this, or nearer to the middle of the tibia, says nothing. Source: ours; a fibular head is a few cm3
# and lies 25 to 45 mm lateral of the middle of the tibia.
MIN_FIBULA_MM3 = 300.0
MIN_OFFSET_MM = 10.0
# From here on the evidence is strong enough to contradict a header. Source: ours; half of the least of the above.
STRONG_FIBULA_MM3 = 1000.0
STRONG_OFFSET_MM = 18.0


@dataclass(frozen=True)
class FibulaEvidence:
    """What the fibula says about the side.

    Args:
        side: The side; unknown when fibula or tibia is missing or the fibula is not clearly to one side.
        offset_mm: How far its middle lies to the subject's right of the tibia's; 0 where either is missing.
        volume_mm3: Its labelled volume.
    """

    side: Side
    offset_mm: float
    volume_mm3: float

    @property
    def strong(self) -> bool:
        """Whether it may contradict a header."""
        return abs(self.offset_mm) >= STRONG_OFFSET_MM and self.volume_mm3 >= STRONG_FIBULA_MM3


def fibula_evidence(labels: Volume) -> FibulaEvidence:
    """Look where fibula and tibia lie in the world.

    Args:
        labels: Label values in true world coordinates (the source grid), shape (1, I, J, K), any orientation.
    """
    voxel_mm3 = float(abs(np.linalg.det(labels.affine[:3, :3])))
    fibula, tibia = (
        np.argwhere(np.isin(labels.array[0], values)) for values in ((Label.PROXIMAL_FIBULA,), PROXIMAL_TIBIA.bone)
    )
    volume_mm3 = len(fibula) * voxel_mm3
    if min(volume_mm3, len(tibia) * voxel_mm3) < MIN_FIBULA_MM3:
        return FibulaEvidence(Side.UNKNOWN, 0.0, volume_mm3)
    offset_mm = float(labels.world(fibula.mean(axis=0))[0] - labels.world(tibia.mean(axis=0))[0])
    if abs(offset_mm) < MIN_OFFSET_MM:
        return FibulaEvidence(Side.UNKNOWN, offset_mm, volume_mm3)
    # RAS+: x grows to the subject's right.
    return FibulaEvidence(Side.RIGHT if offset_mm > 0 else Side.LEFT, offset_mm, volume_mm3)


def side_from_fibula(labels: Volume) -> Side:
    """Tell the side from where fibula and tibia lie in the world, as ``fibula_evidence`` does."""
    return fibula_evidence(labels).side
