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
from kneeage.phantom.anatomy.lattice import cubic_weights
from kneeage.phantom.scanner.sequence import Range

# Pixels mirrored around the image before the Fourier transform, so that its far sides do not ring into each other.
_MARGIN = 12
# Distance of fat from water. Source: 220 Hz at 1.5 T, 440 Hz at 3 T.
_FAT_HZ_PER_TESLA = 440 / 3
# Bandwidth of an acquired pixel. Source: 150-300 Hz in T1 TSE knees, recalled.
_BANDWIDTH_HZ: Range = (150, 300)
# Coarse pixels are read with so much bandwidth that fat moves no further. Source: 0.55 mm at 3 T and 150 Hz.
_LARGEST_SHIFT_MM = 1.6


@dataclass(frozen=True)
class Sampling:
    """How k-space is sampled.

    Args:
        phase_axis: Axis of phase encoding, 0 (rows) or 1; the other is the frequency axis.
        acquired_mm: Acquired pixel along rows and along columns; finer pixels are zero filling.
        apodisation: Depth of the Hann window over k-space, 0 (none: most ringing) to 1.
        fat_shift_mm: How far the chemical shift puts fat from water along the frequency axis.
    """

    phase_axis: int
    acquired_mm: tuple[float, float]
    apodisation: float
    fat_shift_mm: float


def draw_sampling(acquired_mm: Range, field_strength_tesla: float, rng: np.random.Generator) -> Sampling:
    """Draw the sampling; the phase axis is sampled as coarsely as the frequency axis or up to 1.5 times more so.

    Args:
        acquired_mm: Smallest and largest acquired pixel along the frequency axis.
        field_strength_tesla: Of the scanner: the chemical shift grows with it.
        rng: Source of the variation.
    """
    phase_axis = int(rng.integers(2))
    frequency_mm = rng.uniform(*acquired_mm)
    fat_hz = _FAT_HZ_PER_TESLA * field_strength_tesla
    bandwidth_hz = rng.uniform(max(_BANDWIDTH_HZ[0], fat_hz * frequency_mm / _LARGEST_SHIFT_MM), _BANDWIDTH_HZ[1])
    phase_mm = frequency_mm * rng.uniform(1.0, 1.5)
    return Sampling(
        phase_axis=phase_axis,
        acquired_mm=(phase_mm, frequency_mm) if phase_axis == 0 else (frequency_mm, phase_mm),
        apodisation=rng.uniform(0.1, 0.9),
        fat_shift_mm=rng.choice([-1, 1]) * fat_hz / bandwidth_hz * frequency_mm,
    )


def moved(signal: Field, shift_mm: float, pixel_mm: float, sampling: Sampling) -> Field:
    """A signal moved along the frequency axis, in between pixels by cubic weights.

    Args:
        signal: Of water or of fat, float32 (rows, columns).
        shift_mm: How far, towards higher indices where positive.
        pixel_mm: Width of a pixel.
        sampling: Which axis is the frequency axis.
    """
    axis = 1 - sampling.phase_axis
    pixels = shift_mm / pixel_mm
    whole = int(np.floor(pixels))
    steps = whole + np.arange(-1, 3)
    weights = cubic_weights(np.abs(pixels - steps)).astype(np.float32)
    parts = [rolled(signal, int(step), axis) * weight for step, weight in zip(steps, weights, strict=True)]
    return np.asarray(sum(parts[1:], parts[0]), np.float32)


def rolled(image: Field, pixels: int, axis: int) -> Field:
    """Move an image by whole pixels; its edge is repeated where nothing comes in.

    Args:
        image: Any values, shape (rows, columns).
        pixels: How far, towards higher indices where positive.
        axis: Along rows (0) or columns (1).
    """
    turned = np.roll(image, pixels, axis)
    along, source = np.moveaxis(turned, axis, 0), np.moveaxis(image, axis, 0)
    if pixels > 0:
        along[:pixels] = source[:1]
    elif pixels < 0:
        along[pixels:] = source[-1:]
    return turned


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
