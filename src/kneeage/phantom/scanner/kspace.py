"""How the virtual scanner samples k-space: acquired matrix, apodisation, chemical shift, motion and noise.

Rows and columns are axes 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.scanner.sequence import Range

# Pixels mirrored around the image before the Fourier transform, so that its far sides do not ring into each other.
_MARGIN = 12


@dataclass(frozen=True)
class Sampling:
    """How k-space is sampled.

    Args:
        phase_axis: Axis of phase encoding, 0 (rows) or 1; the other is the frequency axis.
        acquired_mm: Acquired pixel along rows and along columns; finer pixels are zero filling.
        apodisation: Depth of the Hann window over k-space, 0 (none: most ringing) to 1.
        fat_shift_mm: How far the chemical shift moves fat along the frequency axis.
    """

    phase_axis: int
    acquired_mm: tuple[float, float]
    apodisation: float
    fat_shift_mm: float


def draw_sampling(acquired_mm: Range, rng: np.random.Generator) -> Sampling:
    """Draw the sampling; the phase axis is sampled as coarsely as the frequency axis or up to 1.5 times more so.

    Source: fat lies 440 Hz from water at 3 T and moves by 1 to 3 pixels at 150-300 Hz a pixel; 0 to 1.2 mm of it here.

    Args:
        acquired_mm: Smallest and largest acquired pixel along the frequency axis.
        rng: Source of the variation.
    """
    phase_axis = int(rng.integers(2))
    frequency_mm = rng.uniform(*acquired_mm)
    phase_mm = frequency_mm * rng.uniform(1.0, 1.5)
    return Sampling(
        phase_axis=phase_axis,
        acquired_mm=(phase_mm, frequency_mm) if phase_axis == 0 else (frequency_mm, phase_mm),
        apodisation=rng.uniform(0.1, 0.9),
        fat_shift_mm=rng.uniform(-1.2, 1.2),
    )


def move_fat(fat: Field, pixel_mm: float, sampling: Sampling) -> Field:
    """Fat moved along the frequency axis, in between pixels by cubic weights.

    Source: cubic convolution, Keys 1981, doi 10.1109/TASSP.1981.1163711, a = -1/2.
    """
    axis = 1 - sampling.phase_axis
    pixels = sampling.fat_shift_mm / pixel_mm
    whole = int(np.floor(pixels))
    p = pixels - whole
    weights = (
        ((-p + 2) * p - 1) * p / 2,
        ((3 * p - 5) * p * p + 2) / 2,
        ((-3 * p + 4) * p + 1) * p / 2,
        (p - 1) * p * p / 2,
    )
    moved = [_rolled(fat, whole + n - 1, axis) * np.float32(weight) for n, weight in enumerate(weights)]
    return np.asarray(sum(moved[1:], moved[0]), np.float32)


def _rolled(image: Field, pixels: int, axis: int) -> Field:
    """The image moved by whole pixels; its edge is repeated where nothing comes in."""
    moved = np.roll(image, pixels, axis)
    along, source = np.moveaxis(moved, axis, 0), np.moveaxis(image, axis, 0)
    if pixels > 0:
        along[:pixels] = source[:1]
    elif pixels < 0:
        along[pixels:] = source[-1:]
    return moved


def acquire(
    image: Field,
    noise: Field,
    pixel_mm: float,
    sampling: Sampling,
    motion: tuple[float, float],
    rng: np.random.Generator,
) -> NDArray[np.complex64]:
    """The image as k-space holds it.

    Args:
        image: True signal, float32 (rows, columns).
        noise: SD that the noise has in the image, float32 (rows, columns).
        pixel_mm: Width of a pixel.
        sampling: Sampling of k-space.
        motion: Amplitude in radians of a periodic phase error along the phase axis, distance of its ghosts in pixels.
        rng: Source of the noise.

    Returns:
        Complex image with noise in both parts, complex64 (rows, columns).
    """
    padded = tuple(fft.next_fast_len(n + 2 * _MARGIN) for n in image.shape)
    windows = [
        _window(n, pixel_mm / mm, sampling.apodisation) for n, mm in zip(padded, sampling.acquired_mm, strict=True)
    ]
    passed = float(np.prod([np.mean(window**2) for window in windows]))
    sigma = noise * np.float32(1 / np.sqrt(passed))
    noisy = np.empty(image.shape, np.complex64)
    noisy.real = image + rng.standard_normal(image.shape, np.float32) * sigma
    noisy.imag = rng.standard_normal(image.shape, np.float32) * sigma
    space = fft.fft2(_mirrored(noisy, padded), overwrite_x=True, workers=1)
    space *= windows[0][:, None]
    space *= windows[1][None, :]
    _move(np.moveaxis(space, sampling.phase_axis, 0), motion)
    whole = fft.ifft2(space, overwrite_x=True, workers=1)
    return np.asarray(whole[_MARGIN : _MARGIN + image.shape[0], _MARGIN : _MARGIN + image.shape[1]])


def _mirrored(image: NDArray[np.complex64], shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """The image with its edges mirrored around it, of the given shape."""
    after = [wanted - have - _MARGIN for wanted, have in zip(shape, image.shape, strict=True)]
    return np.pad(image, [(_MARGIN, end) for end in after], mode="reflect")


@lru_cache(maxsize=256)
def _window(count: int, share: float, apodisation: float) -> NDArray[np.float32]:
    """Window over k-space along one axis, in the order of the transform: the acquired share, apodised."""
    frequency = np.abs(fft.fftfreq(count)) * 2 / min(share, 1.0)
    hann = 1 - apodisation * np.sin(np.pi / 2 * np.minimum(frequency, 1)) ** 2
    window = np.where(frequency <= 1, hann, 0).astype(np.float32)
    window.setflags(write=False)
    return window


def _move(space: NDArray[np.complex64], motion: tuple[float, float]) -> None:
    """Multiply the lines of k-space along axis 0 by the phase of a periodic motion, in place."""
    amplitude, distance = motion
    if amplitude > 0:
        turn = 2 * np.pi * distance * fft.fftfreq(len(space))
        space *= np.exp(1j * amplitude * np.sin(turn)).astype(np.complex64)[:, None]
