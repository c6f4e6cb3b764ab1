"""The last checks that every series passes, wherever it came from, and its identity."""

from __future__ import annotations

import hashlib

import numpy as np

from kneeage.core.errors import InputRefusedError
from kneeage.core.volume import Volume
from kneeage.io.series import LoadedSeries, SeriesHeader


def finished(volume: Volume, header: SeriesHeader, reasons: tuple[str, ...], notes: tuple[str, ...]) -> LoadedSeries:
    """Check the values of a volume and make it a loaded series.

    Args:
        volume: Grey values, float32, C = 1.
        header: What is known about the series.
        reasons: Why it was chosen.
        notes: What was repaired or tolerated.

    Returns:
        The series with the identity of its image.

    Raises:
        InputRefusedError: Values are NaN or infinite, or all the same.
    """
    low, high = float(volume.array.min()), float(volume.array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputRefusedError("the image holds NaN or infinite values; grey values are needed; export it again")
    if low == high:
        raise InputRefusedError(f"the image is constant: every pixel is {low:g}; it shows nothing; export it again")
    return LoadedSeries(volume, header, image_sha256(volume), reasons, notes)


def image_sha256(volume: Volume) -> str:
    """Give the identity of an image: SHA-256 over its shape, its values as little-endian float32 and its affine."""
    digest = hashlib.sha256(repr(volume.array.shape).encode())
    digest.update(np.ascontiguousarray(volume.array.T, dtype="<f4").data)
    digest.update(np.ascontiguousarray(volume.affine + 0.0, dtype="<f8").data)
    return digest.hexdigest()
