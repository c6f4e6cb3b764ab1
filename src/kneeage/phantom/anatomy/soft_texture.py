"""Fine texture of the soft tissue: bundles of muscle and tendon, lobules and septa of fat."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.anatomy.grain import Grain, grain_noise
from kneeage.phantom.anatomy.tissue import Tissue

Tissues = NDArray[np.uint8]


def soft_texture(tissue: Tissues, pixel_mm: float, fields: Mapping[str, Field], rng: np.random.Generator) -> Field:
    """Relative modulation of the signal within soft tissue: bundles of muscle, lobules and septa of fat.

    Args:
        tissue: Tissue of the middle plane, shape (rows, columns).
        pixel_mm: Width of a pixel.
        fields: ``x`` in reference mm at the same pixels.
        rng: Source of randomness.

    Returns:
        About -0.5 to 0.5, 0 outside soft tissue, shape (rows, columns).
    """
    bundle, lobule, septum = (share[tissue] for share in _TEXTURES)
    striae = _crossed(grain_noise(tissue.shape, pixel_mm, _STRIAE, rng), fields["x"])
    lobules = grain_noise(tissue.shape, pixel_mm, _LOBULES, rng)
    sheets = grain_noise(tissue.shape, pixel_mm, _SEPTA, rng)
    # The same field turned round is another one: where it is positive, a branch leaves the sheet.
    branches = sheets + 3 * np.maximum(sheets[::-1, ::-1], 0)
    fat = np.flatnonzero(septum)
    texture = bundle * (striae + 2 * np.maximum(striae - 2, 0)) + lobule * lobules
    lines = np.maximum(*(_zero_lines(field, fat, pixel_mm) for field in (sheets, branches)))
    texture.ravel()[fat] -= septum.ravel()[fat] * lines
    return np.asarray(texture)


# Grains of muscle: long, oblique to the leg; of fat; and the smooth field whose zeros are septa. Source: ``assumed``,
# after the look of one adult's coronal T1 series at 3 T.
_STRIAE = (Grain(0.8, 9.0, 0.6, lean=0.3), Grain(0.6, 6.0, 2.5, lean=0.3))
_LOBULES = (Grain(1.0, 2.2, 1.7),)
_SEPTA = (Grain(1.0, 14.0, 4.0, lean=0.15),)
# Half the width of a septum at its base, in mm.
_SEPTUM_MM = 0.35


def _crossed(noise: Field, x: Field) -> Field:
    """The noise, turned upside down on the medial side: fibres run down and inwards on both."""
    return np.where(x > 0, noise, noise[::-1])


def _zero_lines(field: Field, at: NDArray[np.intp], pixel_mm: float) -> Field:
    """Lines of strength 1 where a field is zero, at pixels (n,); no narrower than a pixel, they are fainter instead."""
    flat, row = field.ravel(), field.shape[1]
    rises = [flat.take(at + step, mode="clip") - flat.take(at - step, mode="clip") for step in (1, row)]
    away_mm = np.abs(flat[at]) * (2 * pixel_mm) / np.maximum(np.hypot(*rises), 1e-3)
    seen = float(np.hypot(_SEPTUM_MM, pixel_mm))
    return np.asarray(np.maximum(1 - away_mm / seen, 0) * (_SEPTUM_MM / seen))


def _texture_shares() -> Field:
    """How much each tissue shows of bundles, lobules and septa, shape (3, tissues)."""
    shares = np.zeros((3, len(Tissue)), np.float32)
    shares[:, [Tissue.MUSCLE, Tissue.CALF_MUSCLE]] = np.array([[0.035], [0.015], [0.0]])
    shares[:, Tissue.SUBCUTANEOUS_FAT] = (0.0, 0.03, 0.12)
    shares[:, Tissue.DEEP_FAT] = (0.0, 0.03, 0.12)
    shares[:, Tissue.HOFFA_FAT] = (0.0, 0.05, 0.2)
    shares[:, [Tissue.CRUCIATE, Tissue.TENDON]] = np.array([[0.08], [0.05], [0.0]])
    shares[:, [Tissue.CAPSULE, Tissue.SKIN]] = np.array([[0.06], [0.1], [0.0]])
    shares[:, Tissue.VESSEL] = (0.03, 0.03, 0.0)
    return shares


_TEXTURES = _texture_shares()
