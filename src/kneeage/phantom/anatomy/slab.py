"""Where a virtual slice lies in the knee, and what it is painted with before a scanner sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kneeage.phantom.anatomy.bones import Field

Vector = NDArray[np.float64]
Axes = tuple[Vector, Vector, Vector]

# Signal of the last plane of a slice relative to its middle: a slice has no sharp faces. Source: assumed.
_FACE_WEIGHT = 0.6


@dataclass(frozen=True, eq=False)
class SliceGrid:
    """The pixels of one slice in knee coordinates (see ``kneeage.phantom.anatomy.knee``).

    Args:
        centre: Middle of the slice in mm, shape (3,).
        columns_to: Unit vector along which the column index grows, shape (3,).
        rows_to: Unit vector along which the row index grows, shape (3,).
        normal: Unit vector to the next slice, shape (3,).
        shape: Numbers of rows and columns.
        pixel_mm: Width of a pixel.
        thickness_mm: Thickness of the slice, without the gap.
    """

    centre: Vector
    columns_to: Vector
    rows_to: Vector
    normal: Vector
    shape: tuple[int, int]
    pixel_mm: float
    thickness_mm: float

    def points(self, rows: Vector, columns: Vector, offset_mm: float) -> tuple[Field, Field, Field]:
        """Knee coordinates of points of the slice.

        Args:
            rows: Row positions in pixels, shape (n,); likewise ``columns``, shape (m,).
            columns: Column positions in pixels.
            offset_mm: Distance of the plane from the middle of the slice, along the normal.

        Returns:
            x, y, z in mm, float32 arrays of shape (n, m).
        """
        down = (rows - (self.shape[0] - 1) / 2)[:, None] * self.pixel_mm
        along = (columns - (self.shape[1] - 1) / 2)[None, :] * self.pixel_mm
        start = self.centre + offset_mm * self.normal
        x, y, z = (
            np.asarray(start[n] + self.rows_to[n] * down + self.columns_to[n] * along, np.float32) for n in range(3)
        )
        return x, y, z


@dataclass(frozen=True, eq=False)
class Slab:
    """A painted slice.

    Args:
        grid: Where it lies.
        tissue: :class:`~kneeage.phantom.anatomy.tissue.Tissue` values on several planes through it, uint8 (planes,
            rows, columns).
        label: Labels of its middle plane, without bones that are but slivers in the slice, uint8 (rows, columns).
        cartilage: Mean weight of the plates' cartilage over the slice, 0 to 1, float32 (rows, columns); it lies over
            the tissue, as do the next two.
        border: Mean weight of the plates' dark borders.
        scar: Mean weight of closed plates' remnants.
        red: Share of red marrow, 0 to 1, where there is marrow.
        texture: Relative modulation of the signal by trabeculae, muscle bundles and fat septa.
    """

    grid: SliceGrid
    tissue: NDArray[np.uint8]
    label: NDArray[np.uint8]
    cartilage: Field
    border: Field
    scar: Field
    red: Field
    texture: Field

    @property
    def middle(self) -> NDArray[np.uint8]:
        """Tissue of the middle plane."""
        return np.asarray(self.tissue[len(self.tissue) // 2])


def plane_weights(planes: int) -> NDArray[np.float32]:
    """Weights of evenly spread planes through a slice, float32 (planes,), adding up to 1: its profile."""
    away = (np.arange(planes) - (planes - 1) / 2) / max((planes - 1) / 2, 1)
    weights = 1 - (1 - _FACE_WEIGHT) * away**2
    return np.asarray(weights / weights.sum(), np.float32)


def oblique_axes(turn: float, tilt: float, roll: float) -> Axes:
    """Axes of a coronal slice in knee coordinates: along the columns (medial), along the rows (inferior), to the front.

    Args:
        turn: Rotation about the long axis of the leg in radians; a quarter turn makes the slice sagittal, columns to
            the back and the normal to medial.
        tilt: Rotation about the transverse axis.
        roll: Rotation within the slice.
    """
    ct, st, ci, si, cr, sr = np.cos(turn), np.sin(turn), np.cos(tilt), np.sin(tilt), np.cos(roll), np.sin(roll)
    about_z = np.array([[ct, -st, 0], [st, ct, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, ci, -si], [0, si, ci]])
    about_y = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
    axes = about_z @ about_x @ about_y
    return -axes[:, 0], -axes[:, 2], axes[:, 1]
