"""What comes of a volume that was prepared: the new volume, and the way back to the grid it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kneeage.core.errors import GeometryError
from kneeage.core.volume import Volume
from kneeage.prepare.mapping import FloatSlices, SliceMap, winners_backward, winners_forward
from kneeage.prepare.orient import Orientation
from kneeage.prepare.slices import from_slices

SliceSource = Iterable[NDArray[np.generic]] | Callable[[int], NDArray[np.generic]]


@dataclass(frozen=True)
class Prepared:
    """A prepared volume and the way back to the grid it came from.

    Args:
        volume: Float32 of shape (1, I, J, K) in canonical orientation, (K, J, I) in memory. World positions are true,
            also for a mirrored left knee, whose voxel axis from right to left runs the other way.
        source: The volume as it was given.
        orientation: The change of axes.
        change: The change of the in-plane grid.
    """

    volume: Volume
    source: Volume
    orientation: Orientation = field(repr=False)
    change: SliceMap = field(repr=False)

    @property
    def mirrored(self) -> bool:
        """Whether a left knee is shown as a right one."""
        return "R" in self.orientation.codes

    @property
    def canonical_shape(self) -> tuple[int, int, int]:
        """Voxels of the source along the canonical I, J, K."""
        i, j, k = (self.source.shape[axis] for axis in self.orientation.permutation)
        return (i, j, k)

    def slice_to_source(self, array: NDArray[np.generic], k: int) -> FloatSlices:
        """Interpolate one slice on the in-plane grid of the source.

        Args:
            array: Values of shape (C, I, J) on the prepared grid.
            k: Number of the slice.

        Returns:
            Values of shape (C, I', J') on the source's grid, still in canonical orientation.

        Raises:
            GeometryError: There is no such slice, or the array does not fit the prepared grid.
        """
        if not 0 <= k < self.volume.shape[2]:
            raise GeometryError(f"the prepared volume has {self.volume.shape[2]} slices; there is no slice {k}")
        self._require_fit(array.shape[1:], self.volume.shape[:2])
        return np.swapaxes(self.change.backward(_rows_first(array)), -1, -2)

    def labels_to_source(self, slices: SliceSource, label_values: Sequence[int]) -> Volume:
        """Let the most probable label win at each voxel of the source grid.

        Probabilities are interpolated linearly within a slice, one slice at a time.

        Args:
            slices: Class probabilities of shape (L, I, J) for each prepared slice: in the order of K, or a function
                of the slice's number.
            label_values: Label value of each of the L classes, 0 to 255.

        Returns:
            Labels, uint8 of shape (1, I, J, K), exactly on the source's grid.

        Raises:
            GeometryError: The number of slices, classes or voxels does not fit.
            UsageError: The classes do not sum to one.
        """
        columns, rows, count = self.canonical_shape
        out = np.zeros((count, rows, columns), np.uint8)
        values = np.asarray(label_values, np.uint8)
        for k, classes in enumerate(self._in_turn(slices)):
            self._require_fit(classes.shape, (len(values), *self.volume.shape[:2]))
            out[k] = values[winners_backward(_rows_first(classes), self.change, (rows, columns))]
        return self._on_source(from_slices(out))

    def labels_from_source(self, labels: Volume) -> Volume:
        """Bring labels of the source grid to the prepared grid; the label with the largest share wins.

        Args:
            labels: Labels of shape (1, I, J, K), uint8, on the source's grid.

        Returns:
            Labels, uint8 of shape (1, I, J, K), on the prepared grid.

        Raises:
            GeometryError: The labels are not on the source's grid.
        """
        if labels.shape != self.source.shape or not np.allclose(labels.affine, self.source.affine, atol=1e-3):
            raise GeometryError("the labels are not on the grid of the image; resample them to it first")
        turned = self.orientation.apply(labels.array)[0]
        changed = [self._shares_win(turned[:, :, k].T) for k in range(turned.shape[2])]
        return self.volume.with_array(from_slices(np.stack(changed)))

    def volume_to_source(self, array: NDArray[np.generic]) -> Volume:
        """Bring values of the prepared grid to the source grid by the nearest voxel, without interpolation.

        Args:
            array: Values of shape (C, I, J, K) on the prepared grid.

        Returns:
            Volume of the same type, exactly on the source's grid.

        Raises:
            GeometryError: The array does not fit the prepared grid.
        """
        self._require_fit(array.shape[1:], self.volume.shape)
        slices = np.moveaxis(array, (3, 2, 1), (1, 2, 3))
        return self._on_source(np.moveaxis(self.change.backward_nearest(slices), (1, 2, 3), (3, 2, 1)))

    def _shares_win(self, labels: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Bring one slice (J, I) of labels to the prepared grid."""
        present = np.unique(labels)
        shares = (labels == present[:, None, None]).astype(np.float32)
        return np.asarray(present[winners_forward(shares, self.change)], np.uint8)

    def _in_turn(self, slices: SliceSource) -> Iterator[NDArray[np.generic]]:
        """Give the slices one by one, exactly as many as the volume has."""
        count = self.volume.shape[2]
        number = 0
        for classes in map(slices, range(count)) if callable(slices) else slices:
            number += 1
            if number <= count:
                yield classes
        if number != count:
            raise GeometryError(f"the prepared volume has {count} slices; {number} were given")

    def _on_source(self, array: NDArray[np.generic]) -> Volume:
        """Put values in canonical orientation (C, I, J, K) on the source's grid."""
        return Volume(np.ascontiguousarray(self.orientation.undo(array)), self.source.affine)

    def _require_fit(self, found: tuple[int, ...], needed: tuple[int, ...]) -> None:
        """Refuse an array of another shape."""
        if found != needed:
            raise GeometryError(f"the prepared grid needs the shape {needed}; found {found}")


def _rows_first(array: NDArray[np.generic]) -> FloatSlices:
    """View (C, I, J) as (C, J, I), float32."""
    return np.asarray(np.swapaxes(array, -1, -2), np.float32)
