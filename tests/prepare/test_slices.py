"""A volume and its slices are the same values seen in another order."""

from __future__ import annotations

import numpy as np

from kneeage.core.volume import Volume
from kneeage.prepare.slices import as_slices, each_slice, from_slices


def test_slices_are_rows_before_columns() -> None:
    array = np.arange(24).reshape(1, 2, 3, 4)
    slices = as_slices(array)
    assert slices.shape == (4, 3, 2)
    assert slices[3, 2, 1] == array[0, 1, 2, 3]
    np.testing.assert_array_equal(from_slices(slices), array)


def test_each_slice_is_changed_on_its_own() -> None:
    volume = Volume(np.arange(24).reshape(1, 2, 3, 4), np.diag([1.0, 2, 3, 1]))
    changed = each_slice(volume, lambda image: image - image.min())
    assert changed.array.dtype == np.float32
    np.testing.assert_array_equal(changed.array.min(axis=(0, 1, 2)), 0)
    np.testing.assert_array_equal(changed.affine, volume.affine)
