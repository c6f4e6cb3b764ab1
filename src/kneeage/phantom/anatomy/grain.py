"""Grain of tissue: noise whose size is stated in mm, as far as the pixels that show it can carry it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from kneeage.phantom.anatomy.bones import Field

# Rows and columns of frequencies that never reach this share of the largest amplitude are left out.
_NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class Grain:
    """Grains of one size: Gaussian blobs at random places.

    Args:
        spread: SD of the noise on infinitely fine pixels.
        down_mm: SD of a blob along the row index.
        along_mm: SD of a blob along the column index.
        lean: Columns that a blob moves on per row.
    """

    spread: float
    down_mm: float
    along_mm: float
    lean: float = 0.0


def grain_noise(shape: tuple[int, int], pixel_mm: float, grains: tuple[Grain, ...], rng: np.random.Generator) -> Field:
    """Draw noise that looks alike at any width of the pixels: what is finer than they can carry is left out.

    It repeats beyond the edges of the image.

    Args:
        shape: Numbers of rows and columns.
        pixel_mm: Width of a pixel.
        grains: What the noise is the sum of.
        rng: Source of randomness.

    Returns:
        Noise of mean 0, float32 (rows, columns).
    """
    rows, amplitude = _amplitude(shape, pixel_mm, grains)
    waves = np.zeros((shape[0], amplitude.shape[1]), np.complex64)
    waves[rows] = rng.standard_normal((*amplitude.shape, 2), dtype=np.float32).view(np.complex64)[..., 0] * amplitude
    columns = fft.ifft(waves, axis=0, norm="forward", overwrite_x=True)
    return np.asarray(fft.irfft(columns, shape[1], axis=1, norm="forward"), np.float32)


@lru_cache(maxsize=16)
def _amplitude(shape: tuple[int, int], pixel_mm: float, grains: tuple[Grain, ...]) -> tuple[NDArray[np.intp], Field]:
    """SD of the noise's waves: rows of frequencies that matter (n,), and SDs in these and the first columns (n, m)."""
    down, along = fft.fftfreq(shape[0], pixel_mm)[:, None], fft.rfftfreq(shape[1], pixel_mm)[None, :]
    power = np.sum([_power(grain, down, along) for grain in grains], axis=0)
    amplitude = np.sqrt(power / (2 * shape[0] * shape[1])) / pixel_mm
    amplitude[0, 0] = 0
    matter = amplitude > _NEGLIGIBLE * amplitude.max()
    rows, columns = np.flatnonzero(matter.any(axis=1)), np.flatnonzero(matter.any(axis=0))
    return rows, np.asarray(amplitude[rows, : columns[-1] + 1], np.float32)


def _power(grain: Grain, down: Field, along: Field) -> Field:
    """Power density in mm^2 at frequencies in 1/mm."""
    square = (grain.down_mm * (down + grain.lean * along)) ** 2 + (grain.along_mm * along) ** 2
    total = 4 * np.pi * grain.down_mm * grain.along_mm * grain.spread**2
    return np.asarray(total * np.exp(-((2 * np.pi) ** 2) * square))
