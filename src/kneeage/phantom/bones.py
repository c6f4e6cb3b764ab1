"""The bones of the virtual knee as implicit surfaces: approximate signed distances, negative inside, in mm.

Knee coordinates (see ``kneeage.phantom.anatomy``), for a distal femur of half-width 37 mm.

Source: cross-sections measured on the label map of one adult right knee (gattia/pymskt, MIT), smoothed by eye; the
shafts beyond its field of view are ``assumed``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]

# Height above the joint, half-width, most anterior and most posterior point of each cross-section, in mm.
_FEMUR = np.array(
    [
        (-2, 22, 4, -20),
        (0, 26, 6, -24),
        (4, 32.5, 10, -30),
        (9, 35.5, 14.5, -35.5),
        (13, 36, 17.5, -37.5),
        (18, 36.5, 20.5, -38.5),
        (22, 37, 22.5, -38.5),
        (26, 37, 23.8, -37.5),
        (31, 37, 24, -36),
        (35, 36, 23.5, -33.5),
        (39, 33.5, 21.5, -28.5),
        (44, 29.5, 18.5, -24),
        (48, 26.5, 17.5, -20.5),
        (53, 24.5, 16.8, -18.5),
        (57, 22.7, 16.5, -17.5),
        (61, 21.3, 15.8, -15.8),
        (66, 20.3, 15, -15),
        (74, 18.3, 13.8, -13.5),
        (90, 16, 13, -13),
        (120, 14.3, 13, -13),
        (160, 13.5, 13, -13),
    ],
    dtype=np.float32,
).T
_TIBIA = np.array(
    [
        (-160, 11, -2, -26),
        (-120, 12, -1, -28),
        (-90, 13.8, 0, -30),
        (-66, 16.8, 1, -32),
        (-57, 18.5, 3, -31.5),
        (-53, 19.5, 4.5, -31.5),
        (-48, 20.7, 6, -31.5),
        (-44, 22, 7, -31.5),
        (-39, 24, 8, -32),
        (-35, 26.5, 8.3, -33),
        (-31, 29.5, 8, -34.5),
        (-26, 32.5, 7, -36.5),
        (-22, 33.8, 6.3, -39.5),
        (-18, 34.3, 5.8, -42),
        (-13, 34.6, 5.3, -43),
        (-8, 34, 4.5, -42),
    ],
    dtype=np.float32,
).T


def femur_distance(x: Field, y: Field, z: Field, notch: float, condyle: float) -> Field:
    """Signed distance to the distal femur: flared shaft, condyles, trochlear groove and intercondylar notch.

    ``notch`` is a factor on the notch's width, ``condyle`` half the height of the posterior condyles in mm.
    """
    body = _cross_section(_FEMUR, x - 2.0 * np.clip((z - 40) / 40, 0, 1), y, z)
    groove = 9.0 * np.exp(-((x / 9) ** 2)) * np.clip((y + 12) / 14, 0, 1)
    rounding = ((np.abs(x) - 19) / 19) ** 2 * 3.0
    underside = groove + rounding + ((y + 12) / 30) ** 4 * 5 - z
    trochlea = y - (23 - 4.5 * np.exp(-((x / 9) ** 2)) + np.clip((z - 30) / 20, 0, 1) * 6)
    half_notch = (6.5 + np.clip((-y) / 30, 0, 1) * 5.0) * notch
    roof = 12 + np.clip((4 - y) / 24, 0, 3) * 20
    arch = np.sqrt(((x + 1) / half_notch) ** 2 + (np.clip(z - roof + 9, 0, None) / 9) ** 2)
    cut = np.maximum((arch - 1) * half_notch, y - 4)
    popliteal = np.maximum(np.abs(x) - 9, -(z - 22)) + np.clip((y + 24), 0, 40) * 1.2
    across = ((np.abs(x) - 21.5) / 16) ** 2 + ((y + 14) / 26) ** 2
    ball = (np.sqrt(across + ((z - condyle + 2) / condyle) ** 2) - 1) * 15
    solid = np.maximum(np.maximum(body, underside), trochlea)
    solid = np.maximum(solid, ball - np.clip(y + 23, 0, 60) * 5.0)
    return np.asarray(np.maximum(solid, -np.minimum(cut, popliteal)), dtype=np.float32)


def tibia_distance(x: Field, y: Field, z: Field, joint_gap: float) -> Field:
    """Signed distance to the proximal tibia: plateau with eminence, flare, shaft and tuberosity."""
    tuberosity = np.clip((-z - 18) / 30, 0, 1) * np.exp(-((x / 11) ** 2)) * 5
    body = _cross_section(_TIBIA, x, y - tuberosity, z)
    eminence = 5.5 * np.exp(-(((np.abs(x) - 4) / 3.2) ** 2)) * np.exp(-(((y + 17) / 9) ** 2))
    dish = 1.4 * np.exp(-(((np.abs(x) - 20) / 9) ** 2))
    return np.asarray(np.maximum(body, z - (-joint_gap + eminence - dish)), dtype=np.float32)


def fibula_distance(x: Field, y: Field, z: Field) -> Field:
    """Signed distance to the proximal fibula: head, neck and shaft, behind and lateral of the tibia."""
    radius = np.interp(z, (-160, -60, -38, -28, -18, -12), (5.5, 6, 6.5, 9.5, 10.5, 8)).astype(np.float32)
    off = np.hypot(x - 33 - np.clip((-z - 30) / 60, 0, 1) * 3, y + 35)
    return np.asarray(np.maximum(off - radius, z + 12 + ((off / 9) ** 2) * 3), dtype=np.float32)


def patella_distance(x: Field, y: Field, z: Field) -> Field:
    """Signed distance to the patella in front of the trochlea."""
    ratio = np.sqrt(((x - 3) / 21) ** 2 + ((y - 38) / 10) ** 2 + ((z - 30) / 20) ** 2)
    return np.asarray((ratio - 1) * 10, dtype=np.float32)


def _cross_section(table: NDArray[np.float32], x: Field, y: Field, z: Field) -> Field:
    """Distance to a bone whose horizontal sections are rounded boxes; rows of the table: height, width, front, back."""
    half_width, front, back = (np.interp(z, table[0], column).astype(np.float32) for column in table[1:])
    centre, half_depth = (front + back) / 2, (front - back) / 2
    ratio = (np.abs(x / half_width) ** 2.6 + np.abs((y - centre) / half_depth) ** 2.6) ** np.float32(1 / 2.6)
    return np.asarray((ratio - 1) * np.minimum(half_width, half_depth), dtype=np.float32)
