"""Tell the body side from the fibula, which lies lateral to the tibia."""

from __future__ import annotations

import numpy as np

from kneeage.core.anatomy import PROXIMAL_TIBIA, Label, Side
from kneeage.core.volume import FloatArray, Volume

# Less fibula than this, or nearer to the middle of the tibia, says nothing. Source: ours; a fibular head is a few cm3
# and lies 25 to 45 mm lateral of the middle of the tibia.
MIN_FIBULA_MM3 = 300.0
MIN_OFFSET_MM = 10.0


def side_from_fibula(labels: Volume) -> Side:
    """Tell the side from where fibula and tibia lie in the world.

    Args:
        labels: Label values in true world coordinates (the source grid), shape (1, I, J, K), any orientation.

    Returns:
        The side; unknown when fibula or tibia is missing or the fibula is not clearly to one side.
    """
    fibula = _centroid_mm(labels, (Label.PROXIMAL_FIBULA,))
    tibia = _centroid_mm(labels, PROXIMAL_TIBIA.bone)
    if fibula is None or tibia is None:
        return Side.UNKNOWN
    offset = float(fibula[0] - tibia[0])  # RAS+: x grows to the subject's right
    if abs(offset) < MIN_OFFSET_MM:
        return Side.UNKNOWN
    return Side.RIGHT if offset > 0 else Side.LEFT


def _centroid_mm(labels: Volume, values: tuple[Label, ...]) -> FloatArray | None:
    """Give the world position of the labels' middle; None when there is less than a trace of them."""
    index = np.argwhere(np.isin(labels.array[0], values))
    if len(index) * abs(np.linalg.det(labels.affine[:3, :3])) < MIN_FIBULA_MM3:
        return None
    return labels.world(index.mean(axis=0))
