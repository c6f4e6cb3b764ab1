"""Operations on implicit bodies: fields that are negative inside."""

from __future__ import annotations

import numpy as np

from kneeage.phantom.anatomy.bones import Field


def apart(a: Field, b: Field, gap: float) -> Field:
    """Union of two bodies with a plane of fat of half-width ``gap`` where they touch."""
    return np.asarray(np.maximum(np.minimum(a, b), gap - 0.5 * np.abs(a - b)))


def blend(a: Field, b: Field, reach: float) -> Field:
    """Union of two bodies, smoothly joined over ``reach``."""
    h = np.clip(0.5 + (b - a) * (0.5 / reach), 0, 1)
    return np.asarray(b + (a - b) * h - reach * h * (1 - h))


def squared(a: Field) -> Field:
    """Square."""
    return a * a


def either(a: Field, b: Field) -> Field:
    """A smooth field that is zero where either is."""
    return np.asarray(a * b / np.sqrt(a * a + b * b + 0.5))
