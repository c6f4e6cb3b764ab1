"""The virtual scanner: a painted slab becomes a slice image.

Signals are relative to yellow marrow = 1. Source of the T1 signals: ranges read off male adolescent 3T coronal T1
knees (muscle 0.3-0.4, subcutaneous fat to 1.5, cartilage 0.36-0.6, cruciate about 0.5, cortex and collateral ligaments
0.05-0.2, coil shading a factor of two, texture SD 0.10-0.16 of marrow).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.phantom.anatomy import Knee
from kneeage.phantom.bones import Field
from kneeage.phantom.tissue import MARROW, Tissue

# Lowest and highest T1 signal of each tissue.
_T1_RANGES: dict[Tissue, tuple[float, float]] = {
    Tissue.AIR: (0.0, 0.02),
    Tissue.SKIN: (0.25, 0.7),
    Tissue.SUBCUTANEOUS_FAT: (0.85, 1.35),
    Tissue.DEEP_FAT: (0.75, 1.15),
    Tissue.MUSCLE: (0.22, 0.45),
    Tissue.CALF_MUSCLE: (0.22, 0.45),
    Tissue.FASCIA: (0.08, 0.5),
    Tissue.LIGAMENT: (0.04, 0.22),
    Tissue.CRUCIATE: (0.15, 0.6),
    Tissue.VESSEL: (0.05, 0.6),
    Tissue.FLUID: (0.12, 0.4),
    Tissue.CAPSULE: (0.12, 0.5),
    Tissue.CARTILAGE: (0.34, 0.62),
    Tissue.MENISCUS: (0.05, 0.22),
    Tissue.HOFFA_FAT: (0.7, 1.2),
    Tissue.CORTEX: (0.05, 0.25),
    Tissue.FEMUR_EPIPHYSIS: (0.95, 1.05),
    Tissue.FEMUR_METAPHYSIS: (0.85, 1.02),
    Tissue.TIBIA_EPIPHYSIS: (0.92, 1.05),
    Tissue.TIBIA_METAPHYSIS: (0.85, 1.02),
    Tissue.FIBULA: (0.75, 1.05),
    Tissue.PATELLA: (0.85, 1.05),
    Tissue.LESION: (0.2, 0.6),
    Tissue.TENDON: (0.05, 0.4),
}


@dataclass(frozen=True)
class Slab:
    """A painted slice: the tissues of several planes through it, and the plates' weights averaged over them.

    Args:
        tissue: Tissue values of shape (planes, rows, columns).
        label: Labels of the middle plane, shape (rows, columns).
        cartilage: Mean weight of plate cartilage, shape (rows, columns); likewise ``border`` and ``scar``.
        border: Mean weight of the plates' dark borders.
        scar: Mean weight of closed plates' remnants.
    """

    tissue: NDArray[np.uint8]
    label: NDArray[np.uint8]
    cartilage: Field
    border: Field
    scar: Field

    @property
    def middle(self) -> NDArray[np.uint8]:
        """Tissue of the middle plane."""
        return np.asarray(self.tissue[len(self.tissue) // 2])


@dataclass(frozen=True)
class Signals:
    """What a sequence makes of each tissue: one signal per tissue, and those of the plate's parts."""

    tissue: Field  # (tissues,)
    cartilage: float
    border: float
    scar: float


@dataclass(frozen=True)
class Scanner:
    """How one series is acquired. Lengths in mm; noise as a share of marrow signal."""

    signals: Signals
    blur_mm: float
    noise: float
    shading: Field  # (6,) coefficients of the log-gain polynomial
    texture: float
    streaks: float
    chemical_shift_pixels: float
    ringing: float


def draw_t1_scanner(rng: np.random.Generator, red_marrow: float, *, noisy: float = 1.0) -> Scanner:
    """Draw a T1-weighted acquisition.

    Args:
        rng: Source of the variation between scanners and coils.
        red_marrow: Share of red marrow in the metaphysis, 0 to 1, which darkens it.
        noisy: Factor on noise and shading (hospital B is drawn with a higher one).
    """
    levels = np.array([rng.uniform(*_T1_RANGES[tissue]) for tissue in Tissue], np.float32)
    for tissue in (Tissue.FEMUR_METAPHYSIS, Tissue.TIBIA_METAPHYSIS):
        levels[tissue] *= 1 - 0.6 * red_marrow
    levels[Tissue.CALF_MUSCLE] = levels[Tissue.MUSCLE] * rng.uniform(0.9, 1.15)
    signals = Signals(
        levels, cartilage=rng.uniform(0.38, 0.68), border=rng.uniform(0.05, 0.35), scar=rng.uniform(0.1, 0.4)
    )
    return _scanner(rng, signals, noisy)


def draw_random_scanner(rng: np.random.Generator, red_marrow: float) -> Scanner:
    """Draw an acquisition of arbitrary contrast (domain randomisation), plates always apart from marrow."""
    levels = rng.uniform(0.05, 1.1, len(Tissue)).astype(np.float32)
    levels[Tissue.AIR] = rng.uniform(0, 0.05)
    marrow = rng.uniform(0.3, 1.1)
    for tissue in MARROW:
        levels[tissue] = marrow * rng.uniform(0.8, 1.15)
    levels[Tissue.CORTEX] = rng.uniform(0.02, 0.3) * marrow
    for tissue in (Tissue.FEMUR_METAPHYSIS, Tissue.TIBIA_METAPHYSIS):
        levels[tissue] *= 1 - 0.6 * red_marrow
    plate = marrow * (rng.uniform(0.1, 0.7) if rng.random() < 0.7 else rng.uniform(1.3, 2.2))
    signals = Signals(
        levels, cartilage=plate, border=marrow * rng.uniform(0.05, 0.5), scar=marrow * rng.uniform(0.1, 0.5)
    )
    return _scanner(rng, signals, 1.5)


def paint_slab(knee: Knee, x: Field, y: Field, z: Field, normal: Field, thickness_mm: float, planes: int) -> Slab:
    """Paint ``planes`` planes through a slab, evenly spread over its thickness.

    Args:
        knee: The knee to paint.
        x: Lateral knee coordinates of the slab's middle plane, in mm; likewise ``y``, ``z``.
        y: Anterior coordinates.
        z: Superior coordinates.
        normal: Unit normal of the slab, shape (3,).
        thickness_mm: Thickness of the slab.
        planes: Number of planes, at least 1; an odd number has one in the middle.
    """
    offsets = (np.arange(planes) - (planes - 1) / 2) / planes * thickness_mm
    painted = [knee.paint(x + n * normal[0], y + n * normal[1], z + n * normal[2]) for n in offsets.astype(np.float32)]
    return Slab(
        tissue=np.stack([plane.tissue for plane in painted]),
        label=painted[planes // 2].label,
        cartilage=np.mean([plane.plates.cartilage for plane in painted], axis=0, dtype=np.float32),
        border=np.mean([plane.plates.border for plane in painted], axis=0, dtype=np.float32),
        scar=np.mean([plane.plates.scar for plane in painted], axis=0, dtype=np.float32),
    )


def render(slab: Slab, scanner: Scanner, pixel_mm: float, rng: np.random.Generator) -> Field:
    """Render one slice image of the slab's shape, float32, marrow near 1.

    Args:
        slab: The painted slice (see :func:`paint_slab`).
        scanner: The acquisition.
        pixel_mm: In-plane pixel size.
        rng: Source of texture and noise.
    """
    textured = _signal(slab, scanner.signals) * _texture(slab.middle, scanner, pixel_mm, rng)
    shifted = _shift_fat(textured, slab.middle, scanner)
    blurred = np.asarray(ndimage.gaussian_filter(shifted, scanner.blur_mm / pixel_mm))
    shaded = blurred * _shading(blurred.shape, scanner.shading)
    return _add_noise(_ring(shaded, scanner.ringing), scanner.noise, rng)


def _scanner(rng: np.random.Generator, signals: Signals, noisy: float) -> Scanner:
    """Draw what does not depend on contrast."""
    return Scanner(
        signals=signals,
        blur_mm=rng.uniform(0.15, 0.45),
        noise=rng.uniform(0.005, 0.05) * noisy,
        shading=(rng.normal(size=6) * np.array([0.22, 0.25, 0.25, 0.35, 0.2, 0.2]) * np.sqrt(noisy)).astype(np.float32),
        texture=rng.uniform(0.03, 0.15),
        streaks=rng.uniform(0.0, 0.15),
        chemical_shift_pixels=rng.uniform(-2.0, 2.0),
        ringing=rng.uniform(0.0, 0.25),
    )


def _signal(slab: Slab, signals: Signals) -> Field:
    """Mean signal over the slab with the plates laid over it."""
    image = np.mean(signals.tissue[slab.tissue], axis=0, dtype=np.float32)
    covered = 1 - np.clip(slab.cartilage + slab.border, 0, 1)
    image = image * covered + slab.cartilage * signals.cartilage + slab.border * signals.border
    return np.asarray(image * (1 - slab.scar) + slab.scar * np.minimum(image, signals.scar), dtype=np.float32)


def _texture(tissue: NDArray[np.uint8], scanner: Scanner, pixel_mm: float, rng: np.random.Generator) -> Field:
    """Multiplicative texture: fine in bone, streaked along the metaphysis, coarse everywhere."""
    shape = tissue.shape
    fine = _grain(rng, shape, (0.35 / pixel_mm, 0.35 / pixel_mm))
    streaks = _grain(rng, shape, (2.2 / pixel_mm, 0.45 / pixel_mm))
    coarse = _grain(rng, shape, (2.5 / pixel_mm, 2.5 / pixel_mm))
    metaphysis = np.isin(tissue, (Tissue.FEMUR_METAPHYSIS, Tissue.TIBIA_METAPHYSIS))
    bone = np.isin(tissue, [int(tissue) for tissue in MARROW])
    texture = scanner.texture * np.where(bone, fine, 0.6 * fine) + 0.06 * coarse
    return np.asarray(
        np.clip(1 + texture + np.where(metaphysis, scanner.streaks * streaks, 0), 0.2, 2), dtype=np.float32
    )


def _grain(rng: np.random.Generator, shape: tuple[int, ...], sigma: tuple[float, float]) -> Field:
    """Smoothed noise of unit SD."""
    grain = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma)
    return np.asarray(grain / max(float(grain.std()), 1e-6), dtype=np.float32)


def _shift_fat(image: Field, tissue: NDArray[np.uint8], scanner: Scanner) -> Field:
    """Move the signal of fat and marrow along the columns: chemical shift draws dark and bright edges."""
    fatty = np.isin(tissue, [*MARROW, Tissue.SUBCUTANEOUS_FAT, Tissue.DEEP_FAT, Tissue.HOFFA_FAT])
    fat = np.where(fatty, image, 0)
    moved = ndimage.shift(fat, (scanner.chemical_shift_pixels, 0), order=1)
    return np.asarray(image - fat + moved, dtype=np.float32)


def _shading(shape: tuple[int, ...], coefficients: Field) -> Field:
    """Smooth gain of the coil: the exponential of a second-order polynomial, falling off to the ends."""
    rows = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
    c = coefficients
    log_gain = c[1] * rows + c[2] * columns - abs(c[3]) * rows**2 + c[4] * columns**2 + c[5] * rows * columns
    return np.asarray(np.exp(log_gain), dtype=np.float32)


def _ring(image: Field, strength: float) -> Field:
    """Sharpen a little with overshoot, as truncated k-space does."""
    return np.asarray(image + strength * (image - ndimage.gaussian_filter(image, 1.2)), dtype=np.float32)


def _add_noise(image: Field, noise: float, rng: np.random.Generator) -> Field:
    """Rician noise."""
    real = image + noise * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.hypot(real, noise * rng.standard_normal(image.shape)), dtype=np.float32)
