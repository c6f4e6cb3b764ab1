"""In-plane resampling by two small matrices per slice, one for each axis, and its way back.

Weights are linear (a triangle as wide as the coarser of both grids), so that going to a coarser grid does not alias.
Slices are never resampled across K.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kneeage.core.errors import GeometryError
from kneeage.core.volume import FloatArray, Volume
from kneeage.prepare.mapping import Box, FloatSlices
from kneeage.prepare.slices import as_slices, from_slices

# Limits of what a volume may become, so that an absurd pixel spacing in a header takes no memory: a whole 3-D series
# of 512 x 512 x 256, whose labelling takes about 3 GB, and 2.4 m of 0.6 mm. Our own choice.
MAX_PREPARED_VOXELS = 2**26
MAX_AXIS_VOXELS = 4096


@dataclass(frozen=True)
class AxisMap:
    """How one axis of the source grid and one of the prepared grid lie on each other; their centres coincide.

    Args:
        source_size: Voxels of the source axis.
        source_spacing_mm: Spacing of the source axis in mm.
        size: Voxels of the prepared axis.
        spacing_mm: Spacing of the prepared axis in mm.
    """

    source_size: int
    source_spacing_mm: float
    size: int
    spacing_mm: float

    @cached_property
    def source_positions(self) -> FloatArray:
        """Fractional source index of each prepared voxel, shape (size,)."""
        return _positions(self.size, self.spacing_mm, self.source_size, self.source_spacing_mm)

    @cached_property
    def positions(self) -> FloatArray:
        """Fractional prepared index of each source voxel, shape (source_size,)."""
        return _positions(self.source_size, self.source_spacing_mm, self.size, self.spacing_mm)

    @cached_property
    def forward(self) -> FloatSlices:
        """Weights of shape (size, source_size)."""
        return linear_weights(self.source_positions, self.source_size, self.spacing_mm / self.source_spacing_mm)

    @cached_property
    def backward(self) -> FloatSlices:
        """Weights of shape (source_size, size)."""
        return linear_weights(self.positions, self.size, self.source_spacing_mm / self.spacing_mm)

    @cached_property
    def nearest(self) -> NDArray[np.intp]:
        """Prepared index nearest to each source voxel, shape (source_size,)."""
        return np.clip(np.rint(self.positions), 0, self.size - 1).astype(np.intp)

    def reach(self, part: slice) -> tuple[slice, slice]:
        """Source voxels that draw on a part of the prepared axis, and all prepared voxels that these draw on."""
        drawing = _span(self.backward[:, part].max(axis=1))
        return drawing, _span(self.backward[drawing].max(axis=0, initial=0))


@dataclass(frozen=True)
class InPlaneResampling:
    """A change of the in-plane spacing, the same for all slices.

    Args:
        columns: Map of the I axis.
        rows: Map of the J axis.
    """

    columns: AxisMap
    rows: AxisMap

    def forward(self, slices: FloatSlices) -> FloatSlices:
        """Resample (..., J, I) to the prepared grid."""
        return np.asarray(self.rows.forward @ slices @ self.columns.forward.T)

    def backward(self, slices: FloatSlices) -> FloatSlices:
        """Resample (..., J, I) of the prepared grid to the source grid."""
        return np.asarray(self.rows.backward @ slices @ self.columns.backward.T)

    def backward_box(self, image: FloatSlices, box: Box) -> tuple[FloatSlices, Box]:
        """Resample one image (J, I) to the part of the source grid that draws on the box."""
        rows, from_rows = self.rows.reach(box[0])
        columns, from_columns = self.columns.reach(box[1])
        weights = self.rows.backward[rows, from_rows], self.columns.backward[columns, from_columns]
        return np.asarray(weights[0] @ image[from_rows, from_columns] @ weights[1].T), (rows, columns)

    def backward_nearest(self, slices: NDArray[np.generic]) -> NDArray[np.generic]:
        """Take the nearest value of (..., J, I) for each voxel of the source grid."""
        return slices[..., self.rows.nearest[:, None], self.columns.nearest]


def in_plane_resampling(volume: Volume, spacing_mm: float) -> InPlaneResampling:
    """Plan the resampling of a volume's I and J axes to one spacing.

    Args:
        volume: Volume whose slices are stacked along K.
        spacing_mm: Spacing wanted along I and J in mm.

    Returns:
        The plan; the field of view is kept to half a voxel, centred.

    Raises:
        GeometryError: The volume would become larger than a knee can be.
    """
    _require_possible(volume, spacing_mm)
    columns, rows = (_axis_map(volume.shape[axis], volume.spacing[axis], spacing_mm) for axis in (0, 1))
    return InPlaneResampling(columns, rows)


def resample(volume: Volume, plan: InPlaneResampling) -> Volume:
    """Resample the slices of a volume.

    Args:
        volume: Volume of shape (1, I, J, K), the one that was planned for.
        plan: Plan made by ``in_plane_resampling``.

    Returns:
        Volume of float32 values on the new grid, (K, J, I) in memory.
    """
    return Volume(_slice_by_slice(volume.array, plan), _resampled_affine(volume.affine, plan))


def linear_weights(positions: FloatArray, size: int, step: float) -> FloatSlices:
    """Weights that interpolate a line of voxels at fractional positions.

    Args:
        positions: Fractional indices of shape (N,); outside the line the end voxels go on.
        size: Number of voxels of the line.
        step: Distance of neighbouring positions in voxels; above 1 the triangle widens as much (antialiasing).

    Returns:
        Weights of shape (N, size), float32; each row sums to one.
    """
    within = np.clip(positions, 0, size - 1)[:, None]
    weights = np.maximum(0, 1 - np.abs(within - np.arange(size)) / max(1.0, step))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _require_possible(volume: Volume, spacing_mm: float) -> None:
    """Refuse a volume before anything is allocated for it."""
    sizes = [volume.shape[axis] * volume.spacing[axis] / spacing_mm for axis in (0, 1)]
    voxels = sizes[0] * sizes[1] * volume.shape[2]
    if max(*volume.shape[:2], *sizes) > MAX_AXIS_VOXELS or voxels > MAX_PREPARED_VOXELS:
        raise GeometryError(
            f"slices of {sizes[0]:.4g} x {sizes[1]:.4g} voxels of {spacing_mm:g} mm would be needed; the limit is "
            f"{MAX_AXIS_VOXELS} along each and {MAX_PREPARED_VOXELS} in all; check the pixel spacing of the series"
        )


def _slice_by_slice(array: NDArray[np.generic], plan: InPlaneResampling) -> FloatSlices:
    """Resample (1, I, J, K) one slice at a time; the result is a view of (K, J, I)."""
    slices = as_slices(array)
    out = np.empty((len(slices), plan.rows.size, plan.columns.size), np.float32)
    for k, image in enumerate(slices):
        out[k] = plan.forward(np.ascontiguousarray(image, dtype=np.float32))
    return np.asarray(from_slices(out), np.float32)


def _span(weights: FloatSlices) -> slice:
    """Range from the first to the last weight above zero; empty when there is none."""
    at = np.flatnonzero(weights)
    return slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0, 0)


def _axis_map(source_size: int, source_spacing_mm: float, spacing_mm: float) -> AxisMap:
    """Plan one axis; its extent is kept to half a voxel."""
    size = max(1, round(source_size * source_spacing_mm / spacing_mm))
    return AxisMap(source_size, source_spacing_mm, size, spacing_mm)


def _positions(size: int, spacing_mm: float, other_size: int, other_spacing_mm: float) -> FloatArray:
    """Fractional index on the other axis of each voxel of an axis with the same centre."""
    offset_mm = (np.arange(size, dtype=np.float64) - (size - 1) / 2) * spacing_mm
    return np.asarray(offset_mm / other_spacing_mm + (other_size - 1) / 2)


def _resampled_affine(affine: FloatArray, plan: InPlaneResampling) -> FloatArray:
    """Affine of the prepared grid: same directions, new spacing, same centre."""
    axes = (plan.columns, plan.rows)
    new = affine.copy()
    for axis, change in enumerate(axes):
        new[:3, axis] *= change.spacing_mm / change.source_spacing_mm
        new[:3, 3] += affine[:3, axis] * change.source_positions[0]
    return new
