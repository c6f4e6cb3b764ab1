"""The virtual scanner: a painted slab becomes a slice image.

An image is built as a scanner builds it: signal of the slab, water and fat moved apart, sensitivity of the coil, noise,
then a window over k-space (acquired matrix, apodisation, motion), whose magnitude is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.anatomy.lattice import Lattice
from kneeage.phantom.anatomy.slab import Slab, SliceGrid, plane_weights
from kneeage.phantom.anatomy.tissue import MARROW, Tissue
from kneeage.phantom.scanner.coil import Coil, coil_gain, draw_coil
from kneeage.phantom.scanner.kspace import Sampling, acquire, draw_sampling, moved, rolled
from kneeage.phantom.scanner.sequence import Range, Sequence, Signals, random_signals, signals

# Step of the lattice on which coil, noise map and failure of fat suppression are evaluated: all are smooth.
_SMOOTH_STEP_MM = 12.0
# Largest growth of noise where the coil's shading is evened out. Source: assumed.
_NOISIEST = np.float32(2.5)
# Factor on the slab's texture. Source: SD of marrow 0.10-0.16 of its mean in adolescents, 0.035-0.05 in one adult knee.
_TEXTURE: Range = (0.4, 1.5)
# Share of a pixel's signal that comes from each neighbour along an axis: shapes are painted at the middle of pixels,
# and a scanner sees the mean over their area. Source: assumed.
_NEIGHBOUR = 0.08
# Width of the area over which planes must disagree to be smoothed, and the SD of that smoothing. Source: assumed, from
# slices of 3-4 mm painted on five planes.
_TERRACE_MM, _RAMP_MM = 3.5, 0.9


@dataclass(frozen=True)
class Quality:
    """What a hospital's scans are like: ranges a series is drawn from.

    Args:
        acquired_mm: Pixel that is really acquired, along the frequency axis.
        noise: SD of the noise as a share of marrow signal in the middle of the knee.
        water_snr: Signal of muscle over the SD of the noise where fat is suppressed and marrow tells nothing.
        normalised: How far the coil's shading is evened out afterwards; above 1 the middle of the knee becomes bright.
        elements: Fewest and most elements of the coil.
        artefacts: Factor on the rate of artefacts.
    """

    acquired_mm: Range = (0.3, 0.75)
    noise: Range = (0.006, 0.055)
    water_snr: Range = (8, 25)
    normalised: Range = (0.0, 1.2)
    elements: tuple[int, int] = (2, 10)
    artefacts: float = 1.0


@dataclass(frozen=True, eq=False)
class Artefacts:
    """What goes wrong; every strength is 0 in a clean series.

    Args:
        motion: Amplitude in radians of a periodic phase error along the phase axis, and the distance of its ghosts in
            pixels.
        pulsation: Strength of a vessel's ghosts, and their distance in pixels.
        wrap: Share of the field of view that is folded in from beyond its edge along the phase axis.
        unsuppressed: How far fat suppression fails towards ``unsuppressed_to``, 0 to 1.
        unsuppressed_to: Unit vector in knee coordinates, shape (3,).
        frame: Empty margin of the image at top, bottom, left and right in pixels, and its slope: the edge that
            correction of distortion leaves.
    """

    motion: tuple[float, float] = (0.0, 1.0)
    pulsation: tuple[float, float] = (0.0, 20.0)
    wrap: float = 0.0
    unsuppressed: float = 0.0
    unsuppressed_to: tuple[float, float, float] = (1.0, 0.0, 0.0)
    frame: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Scanner:
    """How one series is acquired.

    Args:
        signals: Signal of each tissue.
        sampling: Sampling of k-space.
        coil: Receiving coil.
        artefacts: What goes wrong.
        noise: SD of the noise in the image as a share of marrow signal, where the coil's gain is 1.
        texture: Factor on the slab's texture.
        offset: Grey value added at the end; a negative one makes the background empty.
    """

    signals: Signals
    sampling: Sampling
    coil: Coil
    artefacts: Artefacts
    noise: float
    texture: float = 1.0
    offset: float = 0.0


def draw_scanner(sequence: Sequence, rng: np.random.Generator, *, quality: Quality | None = None) -> Scanner:
    """Draw an acquisition with a real sequence.

    Args:
        sequence: The sequence.
        rng: Source of the variation between subjects, coils and scanners.
        quality: What the hospital's scans are like; by default anything that hospitals have.
    """
    return _scanner(signals(sequence, rng), quality or Quality(), sequence.field_strength_tesla, rng)


def draw_random_scanner(rng: np.random.Generator) -> Scanner:
    """Draw an acquisition of arbitrary contrast and wide quality (domain randomisation)."""
    wide = Quality(acquired_mm=(0.3, 1.0), noise=(0.003, 0.065), normalised=(0.0, 1.4), artefacts=2.0)
    return _scanner(random_signals(rng), wide, float(rng.choice([1.5, 3.0])), rng)


def render(slab: Slab, scanner: Scanner, rng: np.random.Generator) -> Field:
    """Render one slice image: marrow near 1 in the middle of the knee, never negative.

    Args:
        slab: The painted slice.
        scanner: The acquisition.
        rng: Source of the noise.

    Returns:
        Image of the slab's shape, float32 (rows, columns).
    """
    gain, noise_gain, unsuppressed = _smooth_maps(slab.grid, scanner)
    water, fat = _water_and_fat(slab, scanner)
    image = _area_mean(_apart(water, fat * unsuppressed, slab.grid.pixel_mm, scanner) * gain)
    _add_artefacts(image, slab, scanner)
    noise = noise_gain * np.float32(scanner.noise)
    acquired = acquire(image, noise, slab.grid.pixel_mm, scanner.sampling, scanner.artefacts.motion, rng)
    return _finished(acquired, scanner)


def _apart(water: Field, fat: Field, pixel_mm: float, scanner: Scanner) -> Field:
    """Water and fat together, moved apart by the chemical shift; what most of the marrow's signal is stays in place.

    An image does not tell where its scanner was tuned to. Whoever outlines bones and plates follows the edge of the
    marrow, so that is where the labels are.
    """
    levels, shift_mm = scanner.signals, scanner.sampling.fat_shift_mm
    if levels.fat[Tissue.FEMUR_EPIPHYSIS] > levels.tissue[Tissue.FEMUR_EPIPHYSIS] / 2:
        return moved(water, -shift_mm, pixel_mm, scanner.sampling) + fat
    return water + moved(fat, shift_mm, pixel_mm, scanner.sampling)


def _water_and_fat(slab: Slab, scanner: Scanner) -> tuple[Field, Field]:
    """Signal of water and of fat over the slab, with the plates laid over the tissue."""
    levels = scanner.signals
    table = (levels.tissue - levels.fat + 1j * levels.fat).astype(np.complex64)
    weights = plane_weights(len(slab.tissue))
    # Water is the real part and fat the imaginary one, so that one look-up finds both.
    both = np.zeros(slab.grid.shape, np.complex64)
    marrow = np.zeros(slab.grid.shape, np.float32)
    for weight, plane in zip(weights, slab.tissue, strict=True):
        both += np.take(weight * table, plane)
        marrow += np.take(weight * _IS_MARROW, plane)
    _mix_red_marrow(both, slab.red * marrow, levels)
    water, fat = _without_terraces(both.real, both.imag, slab)
    _lay_plates_over(water, fat, slab, levels)
    modulation = np.maximum(1 + np.float32(scanner.texture) * slab.texture, 0)
    water *= modulation
    fat *= modulation
    return water, fat


def _without_terraces(water: Field, fat: Field, slab: Slab) -> tuple[Field, Field]:
    """Smooth where the planes of a slice disagree over a wide area: a few planes make terraces of what is a ramp."""
    mixed = (slab.tissue[1:] != slab.tissue[:-1]).any(axis=0).astype(np.float32)
    wide = ndimage.uniform_filter(mixed, round(_TERRACE_MM / slab.grid.pixel_mm))
    share = np.clip(3 * wide - 1.5, 0, 1)
    if not share.any():
        return water.copy(), fat.copy()
    sigma = _RAMP_MM / slab.grid.pixel_mm
    smooth = (ndimage.gaussian_filter(layer, sigma, truncate=2.0) for layer in (water, fat))
    ramps = [layer + share * (ramp - layer) for layer, ramp in zip((water, fat), smooth, strict=True)]
    return ramps[0], ramps[1]


def _mix_red_marrow(both: NDArray[np.complex64], share: Field, levels: Signals) -> None:
    """Replace yellow marrow by red marrow in a share of each pixel, in place; water is real and fat imaginary."""
    yellow, yellow_fat = levels.tissue[Tissue.FEMUR_EPIPHYSIS], levels.fat[Tissue.FEMUR_EPIPHYSIS]
    red_fat = levels.red_marrow_fat
    both += share * np.complex64(levels.red_marrow - red_fat - (yellow - yellow_fat) + 1j * (red_fat - yellow_fat))
    for part in (both.real, both.imag):
        np.maximum(part, 0, out=part)


def _lay_plates_over(water: Field, fat: Field, slab: Slab, levels: Signals) -> None:
    """Lay open plates over the tissue, and scars where they are darker than it, in place."""
    covered = np.maximum(1 - slab.cartilage - slab.border, 0)
    water *= covered
    fat *= covered
    water += slab.cartilage * np.float32(levels.cartilage) + slab.border * np.float32(levels.border)
    total = water + fat
    kept = 1 - slab.scar * np.maximum(1 - np.float32(levels.scar) / np.maximum(total, 1e-6), 0)
    water *= kept
    fat *= kept


def _area_mean(image: Field) -> Field:
    """The image with a little of each neighbour along both axes, so that edges have no steps."""
    return _with_neighbours(_with_neighbours(image).T).T


def _with_neighbours(image: Field) -> Field:
    """The image with a little of each neighbour along axis 0; its ends are repeated."""
    near = np.float32(_NEIGHBOUR)
    mean: Field = image * (1 - 2 * near)
    mean[1:] += near * image[:-1]
    mean[:-1] += near * image[1:]
    mean[0] += near * image[0]
    mean[-1] += near * image[-1]
    return mean


def _smooth_maps(grid: SliceGrid, scanner: Scanner) -> tuple[Field, Field, Field]:
    """Gain of the signal, gain of the noise, and how much more fat shows than suppression meant to leave."""
    lattice = Lattice(grid, 1, _SMOOTH_STEP_MM)
    x, y, z = lattice.points()
    coil, failure = scanner.coil, scanner.artefacts
    gain = coil_gain(coil, x, y, z)
    middle = np.exp(-(x**2 + y**2) / np.float32(2 * 35.0**2))
    towards = sum(c * np.float32(u) for c, u in zip((x, y, z), failure.unsuppressed_to, strict=True))
    failed = np.float32(failure.unsuppressed) / (1 + np.exp((55.0 - towards) / 12.0))
    maps = {
        "gain": gain ** np.float32(1 - coil.normalised),
        "noise": np.minimum(gain ** np.float32(-coil.normalised), _NOISIEST)
        * (1 + np.float32(coil.acceleration) * middle),
        "fat": 1 + (1 / scanner.signals.fat_left - 1) * failed,
    }
    found = lattice.at_pixels({name: np.asarray(value, np.float32) for name, value in maps.items()})[0]
    return found["gain"], found["noise"], found["fat"]


def _add_artefacts(image: Field, slab: Slab, scanner: Scanner) -> None:
    """Add pulsation and wrap-around, in place."""
    axis, artefacts = scanner.sampling.phase_axis, scanner.artefacts
    strength, distance = artefacts.pulsation
    if strength > 0:
        blood = np.where(slab.middle == Tissue.VESSEL, np.float32(strength), np.float32(0))
        for order in (-3, -2, -1, 1, 2, 3):
            image += rolled(blood, int(order * distance), axis) * np.float32(-((-0.75) ** abs(order)))
        np.maximum(image, 0, out=image)
    folded = round(artefacts.wrap * image.shape[axis])
    if folded:
        _fold(np.moveaxis(image, axis, 0), folded)


def _fold(image: Field, count: int) -> None:
    """Add to both ends of axis 0 what lies beyond the other end (taken to mirror what lies inside it), in place."""
    weights = np.linspace(1, 0, count, endpoint=False, dtype=np.float32)[:, None]
    first, last = image[:count].copy(), image[: -count - 1 : -1].copy()
    image[:count] += weights * last
    image[: -count - 1 : -1] += weights * first


def _finished(acquired: NDArray[np.complex64], scanner: Scanner) -> Field:
    """Magnitude, offset and empty margins."""
    image = np.abs(acquired)
    if scanner.offset:
        image += np.float32(scanner.offset)
        np.maximum(image, 0, out=image)
    top, bottom, left, right, slope = scanner.artefacts.frame
    if any((top, bottom, left, right)):
        rows, columns = np.arange(image.shape[0])[:, None], np.arange(image.shape[1])[None, :]
        down, along = rows - slope * columns, columns + slope * rows
        inside = (down >= top) & (down < len(image) - bottom) & (along >= left) & (along < image.shape[1] - right)
        image *= inside
    return np.asarray(image, np.float32)


_IS_MARROW = np.isin(np.arange(256), [int(tissue) for tissue in MARROW]).astype(np.float32)


def _scanner(levels: Signals, quality: Quality, field_strength_tesla: float, rng: np.random.Generator) -> Scanner:
    """Draw what does not depend on contrast."""
    noise = _draw_noise(levels, quality, rng)
    return Scanner(
        signals=levels,
        sampling=draw_sampling(quality.acquired_mm, field_strength_tesla, rng),
        coil=draw_coil(quality.elements, quality.normalised, rng),
        artefacts=_draw_artefacts(quality.artefacts, levels.fat_left < 1, rng),
        noise=noise,
        texture=float(np.exp(rng.uniform(*np.log(_TEXTURE)))),
        offset=_draw_offset(noise, rng),
    )


def _draw_noise(levels: Signals, quality: Quality, rng: np.random.Generator) -> float:
    """Draw the SD of the noise as a share of unsuppressed marrow."""
    if levels.fat_left < 1:
        return float(levels.tissue[Tissue.MUSCLE] / np.exp(rng.uniform(*np.log(quality.water_snr))))
    return float(np.exp(rng.uniform(*np.log(quality.noise))))


def _draw_offset(noise: float, rng: np.random.Generator) -> float:
    """Draw the offset: many scanners leave an empty background, some a grey one. Source: rates assumed."""
    kind = rng.random()
    if kind < 0.45:
        return float(-noise * rng.uniform(1.5, 4))
    return rng.uniform(0, 0.04) if kind < 0.6 else 0.0


def _draw_artefacts(rate: float, fat_suppressed: bool, rng: np.random.Generator) -> Artefacts:
    """Draw what goes wrong. Source: rates assumed."""
    to = rng.normal(size=3)
    to /= np.linalg.norm(to)
    happens = rng.random(5) < rate * np.array([0.12, 0.25, 0.05, 0.4, 0.12])
    slope = rng.normal(0, 0.015)
    top, bottom, left, right = (float(edge) for edge in np.where(rng.random(4) < 0.6, rng.uniform(0, 12, 4), 0))
    return Artefacts(
        motion=(rng.uniform(0.03, 0.2), rng.uniform(4, 40)) if happens[0] else (0.0, 1.0),
        pulsation=(rng.uniform(0.05, 0.3), rng.uniform(8, 40)) if happens[1] else (0.0, 20.0),
        wrap=rng.uniform(0.02, 0.12) if happens[2] else 0.0,
        unsuppressed=rng.uniform(0.1, 0.8) if happens[3] and fat_suppressed else 0.0,
        unsuppressed_to=(float(to[0]), float(to[1]), float(to[2])),
        frame=(top, bottom, left, right, slope) if happens[4] else (0.0, 0.0, 0.0, 0.0, 0.0),
    )
