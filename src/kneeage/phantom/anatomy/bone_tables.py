"""Measured proportions of the bones of one adult knee, in reference mm (see ``kneeage.phantom.anatomy.bones``).

Source: proportions measured on the label map of one adult knee, gattia/pymskt, MIT: surfaces fitted to its distances
by least squares, rounded. What lies beyond its field of view (femur above 73 mm, tibia and fibula below -60 mm) is
``assumed``: tapering tubes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]

# Mean distance between femur and tibia where they bear on each other, and the plateau's slope (radians).
MEASURED_GAP_MM = 6.0
MEASURED_SLOPE = 0.03

# Sections by height: height; centre x, y; mean radius; cosine and sine of the angular orders 2 to 5. The condyles'
# sections are outlines that span the notch, which is cut out of them.
FEMUR: Rows = np.array(
    [
        (2, -1.9, -17.6, 39.7, -0.4, 2.9, 0.7, -4.9, -2.1, -0.7, 1.7, 1.2),
        (6, -1, -15.6, 37.5, -0.7, 2.9, 0.7, -4.4, -2.2, -0.4, 1.3, 1.5),
        (10, -0.1, -13.5, 35.4, -1, 3, 0.6, -3.9, -2.3, 0, 0.5, 1.9),
        (14, -0.2, -11.3, 34.6, -0.5, 2.9, 0.4, -3.2, -2, 0, -0.4, 2.3),
        (18, 0.2, -9.1, 34.5, 0.4, 2.9, 0.1, -2.8, -1.3, -0.1, -0.8, 1.4),
        (22, 0.6, -7.9, 34.2, 1.1, 2.2, -0.7, -3.5, -1.4, -0.2, -0.9, 0.5),
        (26, 1.1, -7.1, 33.9, 1.7, 1.7, -1.4, -4.1, -1.6, -0.1, -0.9, -0.2),
        (30, 0.9, -6.7, 32.7, 2.2, 1.8, -1.6, -3.3, -1.5, 0.2, -0.9, -0.7),
        (34, 0.7, -6.2, 31, 2.5, 1.8, -1.7, -2.3, -1.2, 0.1, -0.8, -1.2),
        (38, 0.5, -5.6, 28.3, 2.6, 1.8, -1, -1.3, -0.9, 0, -0.8, -1.5),
        (42, 0.7, -4.6, 25.5, 2.7, 1.8, -0.2, -0.6, -0.8, -0.2, -0.9, -1.3),
        (46, 1.7, -3.5, 23.1, 2.8, 1.3, -0.3, -0.4, -0.8, -0.3, -1, -1),
        (50, 2.6, -2.3, 21.3, 2.8, 0.7, -0.7, -0.6, -0.9, -0.3, -0.8, -0.7),
        (55, 3.4, -1.1, 19.6, 2.9, 0.2, -1.1, -0.8, -1, 0, -0.6, -0.3),
        (61, 4.3, 0, 17.9, 3.1, -0.5, -1.4, -1, -0.9, 0.1, -0.5, -0.3),
        (67, 5, 0.3, 17.2, 3.1, -1.1, -1.4, -1, -0.8, 0, -0.5, -0.4),
        (73, 4.6, 0.4, 16.2, 2.9, -1.2, -0.9, -0.7, -0.7, -0.1, -0.5, -0.3),
        (95, 6.2, 1, 14.8, 1.6, -0.8, -0.6, -0.4, -0.4, 0, -0.3, -0.2),
        (120, 8.2, 2, 14.2, 0.6, -0.4, -0.3, -0.2, -0.2, 0, 0, 0),
        (160, 11, 4, 13.8, 0.2, -0.3, -0.2, 0, 0, 0, 0, 0),
    ],
    dtype=np.float32,
)

# By height: y of the front wall of the notch (higher up: of the popliteal surface); half-width; middle x; depth of the
# trochlear groove.
NOTCH: Rows = np.array(
    [
        (6, -1.5, 4.8, 0, 16.5),
        (10, -4.7, 5.7, 0, 16),
        (14, -7.8, 6.2, 0, 15.3),
        (18, -10.2, 6.7, 0, 14.3),
        (22, -12.5, 6.6, 0, 12.7),
        (26, -15.3, 6.3, 0, 9.5),
        (30, -17.9, 6.7, 0, 5.9),
        (34, -19, 8.6, 0, 3.7),
        (38, -16.6, 10.8, 0, 2.2),
        (42, -15.2, 11.5, 0, 0.9),
        (46, -13.9, 11.5, 0, -0.1),
        (54, -12.3, 11.6, 0, -0.3),
        (62, -13.5, 11.5, 0, 0),
        (72, -16, 11, 0, 0),
        (82, -24, 8, 0, 0),
    ],
    dtype=np.float32,
)

# By depth y: height of the underside of the medial and of the lateral condyle on its ridge; its rise 12 mm beside the
# ridge; rise in the groove between them.
UNDERSIDE: Rows = np.array(
    [
        (-44, 31.7, 20.4, -3.4, 12),
        (-40, 22.2, 16.7, -1.2, 9.6),
        (-36, 13.6, 12.4, 0.7, 7.1),
        (-32, 7.4, 7.8, 1.9, 5.1),
        (-28, 3.8, 4.8, 2.6, 4.4),
        (-24, 1.6, 3.3, 2.5, 4.4),
        (-20, 0.7, 2.8, 2.2, 4.4),
        (-16, 0.3, 2.8, 2, 4.3),
        (-12, 0.3, 3.3, 1.7, 4.2),
        (-8, 1, 3.8, 1.1, 4.4),
        (-4, 2.6, 4.5, 0.6, 5),
        (0, 4.1, 5.2, 0, 5.7),
        (4, 5.2, 6, -0.2, 6),
        (8, 5.5, 7.5, -0.4, 6.2),
        (12, 6.1, 9.3, -1.1, 5.6),
        (16, 7.6, 10.9, -1.9, 4.4),
        (20, 9.5, 12, -2.6, 3.2),
        (24, 11.5, 13.3, -3.4, 1.9),
        (28, 13.5, 14.5, -4.1, 0.6),
    ],
    dtype=np.float32,
)
# Height of the condyles' tops 24 mm behind the origin.
CONDYLE_TOP = 40.0
# x of both ridges and of the groove, and the groove's width.
MEDIAL_X, LATERAL_X = -18.0, 20.0
GROOVE_X, GROOVE_WIDTH = 2.0, 11.0

# Sections of the tibia, as of the femur.
TIBIA: Rows = np.array(
    [
        (-160, -4, -21, 11.4, -0.6, 1.6, -1.2, 0.2, 0, 0, 0, 0),
        (-120, -3, -20, 12.2, -0.4, 2, -1.3, 0.2, 0, 0, 0, 0),
        (-90, -1.6, -18.6, 13.4, -0.2, 2.4, -1.3, 0.1, -0.3, -0.1, -0.1, -0.2),
        (-60, 0.1, -17, 15.3, 0, 2.5, -1, -0.1, -0.1, -0.3, 0.3, -0.1),
        (-53, 2.7, -15.3, 17, 0.7, 3, -1.2, -0.3, -0.3, -0.3, -0.2, -0.3),
        (-46, 3.6, -14.4, 18, 1, 3.1, -1.6, -0.5, -0.2, -0.3, -0.1, -0.3),
        (-40, 4.6, -14, 19, 1.6, 3, -1.7, -0.7, -0.1, -0.2, -0.2, -0.3),
        (-35, 5.1, -13.7, 20.3, 2.4, 2.9, -1.7, -1, 0.1, -0.3, -0.2, -0.4),
        (-30, 5.1, -13.7, 21.9, 3.5, 2.8, -1.5, -0.9, 0.4, -0.3, -0.1, -0.2),
        (-26, 4.6, -14, 23.3, 4.6, 2.3, -0.6, -0.7, 0.7, 0.1, -0.1, 0.1),
        (-22, 4.3, -14.9, 25, 5.7, 1.5, 0, -0.9, 0.5, 0.6, -0.2, 0.3),
        (-18, 4.2, -16.1, 26.7, 6, 1, 0.5, -0.8, 0.1, 0.4, -0.4, 0.4),
        (-14, 4.4, -17.5, 27.9, 5.8, 0.2, 0.3, -0.9, -0.1, -0.3, -0.6, 0.5),
        (-10, 3.4, -18.6, 28.6, 5.7, -0.5, 0.6, -0.9, -0.2, -0.3, -0.3, 0.4),
        (-6, 1.6, -18.7, 28.3, 5.7, -0.6, 1.1, -0.7, 0, -0.2, 0.1, 0.2),
        (-3, 1, -19.3, 27.9, 6, -0.5, 1.2, -0.7, 0.3, -0.3, -0.1, 0.3),
        (0, 1.4, -19.7, 27.9, 6.3, -0.3, 1.2, -0.5, 0.8, -0.3, -0.6, 0.3),
        (3, 1.7, -19.9, 27.8, 6.4, 0.1, 1, -0.3, 1.4, -0.3, -1.1, 0.2),
    ],
    dtype=np.float32,
)
# Axis that it is turned about, and where the tuberosity lies (radians from lateral to anterior).
TIBIA_AXIS = (3.0, -17.0)
TUBEROSITY_ANGLE = 1.15

# The plateau's height and its rise to lateral and to anterior per mm; hills and dishes on it: rise, x, y, half-widths
# along x and y.
PLATEAU = (0.0, 0.097, 0.065)
PLATEAU_DISHES = (
    (-3.2, -14.7, -19.1, 9.4, 16.8),
    (-6, 17.7, -12.7, 25.3, 35.4),
    (-10.1, -1.9, 4.3, 4.8, 4.7),
    (-4.2, -3.9, -34.3, 5.1, 7.2),
)
EMINENCE = (
    (6.4, -2.3, 7, 4.6, 20.9),
    (7, 2.6, -23.7, 11.2, 9),
)

# Sections of the fibula: height; centre x, y; mean radius; cosine and sine of the angular orders 2 and 3.
FIBULA: Rows = np.array(
    [
        (-160, 24, -43, 5.6, 0, -0.2, 0.3, 0.2),
        (-120, 25, -44.5, 5.6, -0.2, -0.3, 0.3, 0.2),
        (-90, 25.8, -45, 5.2, -0.4, -0.5, 0.1, 0.1),
        (-60, 27.1, -44.3, 4.9, -0.5, -0.7, 0.2, -0.1),
        (-53, 27.9, -42.6, 5.6, -0.5, -0.7, -0.2, 0),
        (-46, 28.8, -41, 6, -0.1, -1, -0.1, 0),
        (-40, 29.6, -39.6, 7.1, 0.1, -1.3, -0.1, 0),
        (-35, 30.7, -38.5, 8.4, 0.6, -0.6, -0.3, -0.2),
        (-30, 32.4, -37.7, 10.1, 1.1, -0.3, 0.1, -0.6),
        (-26, 34.1, -37.1, 11.2, 1.3, -0.3, 0.5, -0.3),
        (-22, 33.9, -36.1, 12, 0.6, -0.1, -0.1, -0.4),
        (-18, 33.5, -35, 12.2, -0.4, 0.7, -1.5, -0.3),
        (-14, 33, -34.3, 11.7, -1.6, 2.5, -2.7, -0.2),
        (-10, 32.4, -33.6, 10.9, -2.9, 4.3, -3.8, -0.3),
    ],
    dtype=np.float32,
)
# Facet on top of its head: height over the head's axis, rise to lateral and to anterior per mm.
FIBULA_TOP = (-14.02, 0.32, -0.69)
FIBULA_AXIS = (32.0, -39.0)

# Patella, u (lateral) and w (up) counted from its centre. Front: y, rise along u and w, bend along u, twist.
PATELLA_CENTRE = (10.3, 30.0, 31.2)
PATELLA_FRONT = (38.7, -0.21, 0.15, -0.0119, 0.0004)
# Back: y, u of the ridge, rise and bend along w, rise of both facets away from the ridge, rise along u.
PATELLA_BACK = (23.5, -10.2, 0.12, -0.0111, 0.6, -0.45)
# Outline: mean radius, cosine and sine of the angular orders 2 to 5; its lean along u and w and its taper per mm of y.
PATELLA_OUTLINE: Rows = np.array((18.4, 3.5, -1.6, 0.3, -0.4, 1, -1.2, 0.3, -0.4), dtype=np.float32)
PATELLA_LEAN = (-0.39, 0.32, 0.14)
