"""A volume seen as its slices: (K, J, I), rows before columns, as a network sees them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kneeage.core.volume import Volume
from kneeage.prepare.mapping import FloatSlices


def each_slice(volume: Volume, change: Callable[[FloatSlices], FloatSlices]) -> Volume:
    """Change the slices (J, I) of a volume one by one; the result is float32, (K, J, I) in memory."""
    changed = [change(np.ascontiguousarray(image, np.float32)) for image in as_slices(volume.array)]
    return volume.with_array(from_slices(np.stack(changed)))


def from_slices(slices: NDArray[np.generic]) -> NDArray[np.generic]:
    """View slices (K, J, I) as a volume's values (1, I, J, K)."""
    return np.moveaxis(slices, (0, 1, 2), (2, 1, 0))[None]


def as_slices(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """View a volume's values (1, I, J, K) as slices (K, J, I)."""
    return np.moveaxis(array[0], (2, 1, 0), (0, 1, 2))
