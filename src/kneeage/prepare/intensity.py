"""Grey-value standardisation: percentiles with a z-score for one volume, Nyul landmarks for a cohort.

Statistics leave out the air around the knee, so that the field of view does not shift the tissue's grey values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from kneeage.core.errors import UsageError
from kneeage.core.volume import FloatArray, Volume

# Voxels below this share of the range between the low and high percentile count as air. Receiver noise in air lies at
# about 1 to 5 % of the brightest tissue in clinical knee series; excluding the darkest tissue with it is harmless.
AIR_SHARE = 0.1
# At most about this many voxels are looked at for statistics.
SAMPLE_VOXELS = 200_000
# Percentiles of the standard histogram. Source: Nyul LG, Udupa JK, Zhang X, IEEE Trans Med Imaging 2000;19:143-150,
# doi:10.1109/42.836373 (deciles between a low and a high percentile).
NYUL_PERCENTILES = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
# Grey values that the outer landmarks of the standard scale take.
NYUL_RANGE = (0.0, 100.0)


def standardise(volume: Volume, *, low_percentile: float = 0.5, high_percentile: float = 99.5) -> Volume:
    """Clip a volume at two percentiles and bring its tissue to mean 0 and standard deviation 1.

    Args:
        volume: Grey values of shape (1, I, J, K), in any unit.
        low_percentile: Percentile of all voxels below which values are clipped, 0 to 100.
        high_percentile: Percentile of the tissue above which values are clipped, 0 to 100.

    Returns:
        Volume of float32; a constant image gives zeros.
    """
    sample = _sample(volume.array)
    low = float(np.percentile(sample, low_percentile))
    tissue = _tissue(sample)
    high = float(np.percentile(tissue, high_percentile))
    clipped = np.clip(tissue, low, high)
    mean, deviation = float(clipped.mean()), float(clipped.std())
    values = np.clip(volume.array, np.float32(low), np.float32(high), dtype=np.float32)
    values -= np.float32(mean)
    values *= np.float32(1 / deviation if deviation > 0 else 0)
    return volume.with_array(values)


def tissue_threshold(values: NDArray[np.float32]) -> float:
    """Give the grey value that separates tissue from air.

    Args:
        values: Grey values of any shape.

    Returns:
        The threshold in the unit of the values.
    """
    low, high = np.percentile(values, (0.5, 99.5))
    return float(low + AIR_SHARE * (high - low))


def nyul_landmarks(volume: Volume, percentiles: Sequence[float] = NYUL_PERCENTILES) -> FloatArray:
    """Measure the landmarks of one volume's tissue.

    Args:
        volume: Grey values of shape (1, I, J, K).
        percentiles: Rising percentiles, 0 to 100.

    Returns:
        Grey values of shape (len(percentiles),).
    """
    return np.asarray(np.percentile(_tissue(_sample(volume.array)), percentiles), np.float64)


def fit_nyul(volumes: Iterable[Volume], percentiles: Sequence[float] = NYUL_PERCENTILES) -> FloatArray:
    """Learn the standard scale of a cohort.

    Each volume's landmarks are stretched so that the outer ones take 0 and 100, then averaged. With few volumes the
    scale follows their contrasts; it should be fitted on training subjects only.

    Args:
        volumes: Volumes of one contrast; they are read once, one at a time.
        percentiles: Rising percentiles, 0 to 100.

    Returns:
        Standard landmarks of shape (len(percentiles),), rising from 0 to 100.

    Raises:
        UsageError: There is no volume with any contrast.
    """
    measured = (nyul_landmarks(volume, percentiles) for volume in volumes)
    stretched = [_stretched(landmarks) for landmarks in measured if landmarks[-1] > landmarks[0]]
    if not stretched:
        raise UsageError("the standard scale needs at least one volume whose grey values differ; found none")
    return np.asarray(np.mean(stretched, axis=0))


def apply_nyul(volume: Volume, standard: Sequence[float], percentiles: Sequence[float] = NYUL_PERCENTILES) -> Volume:
    """Bring a volume to a cohort's standard scale, linearly between its landmarks and beyond the outer ones.

    Args:
        volume: Grey values of shape (1, I, J, K).
        standard: Standard landmarks from ``fit_nyul``.
        percentiles: The percentiles that the scale was fitted with.

    Returns:
        Volume of float32 on the standard scale.
    """
    own = nyul_landmarks(volume, percentiles)
    own, at = np.unique(own, return_index=True)
    scale = np.asarray(standard, np.float64)[at]
    raw = np.asarray(volume.array, np.float32)
    values = np.interp(raw, own, scale).astype(np.float32)
    return volume.with_array(values + _beyond(raw, own, scale))


def _sample(array: NDArray[np.generic]) -> NDArray[np.float32]:
    """Take about SAMPLE_VOXELS values on a regular in-plane grid, from every slice."""
    step = max(1, int(np.sqrt(array.size / SAMPLE_VOXELS)))
    step_i, step_j = min(step, array.shape[1]), min(step, array.shape[2])
    return np.asarray(array[:, ::step_i, ::step_j], np.float32).ravel()


def _tissue(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Leave out the air; a constant sample stays as it is."""
    tissue = sample[sample > tissue_threshold(sample)]
    return tissue if len(tissue) else sample


def _stretched(landmarks: FloatArray) -> FloatArray:
    """Bring the outer landmarks to the ends of the standard scale."""
    low, high = NYUL_RANGE
    share = (landmarks - landmarks[0]) / (landmarks[-1] - landmarks[0])
    return np.asarray(low + share * (high - low))


def _beyond(array: NDArray[np.float32], own: FloatArray, scale: FloatArray) -> NDArray[np.float32]:
    """Continue the outer pieces of the scale beyond the outer landmarks."""
    if len(own) < 2:
        return np.zeros(array.shape, np.float32)
    first, last = (scale[1] - scale[0]) / (own[1] - own[0]), (scale[-1] - scale[-2]) / (own[-1] - own[-2])
    below = np.minimum(array - own[0], 0) * first
    above = np.maximum(array - own[-1], 0) * last
    return np.asarray(below + above, np.float32)
