"""How one knee's shape differs from another's: smooth deformation, the bend of the joint, ripples of the soft tissue.

Lengths in reference mm; amounts are ``assumed``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeage.phantom.anatomy.bones import Field, Place

# Height of the joint's axis of bending below the origin, and its distance behind it.
_AXIS_BELOW, _AXIS_BEHIND = 4.0, 14.0


@dataclass(frozen=True)
class Waves:
    """A smooth deformation: a sum of plane waves.

    Args:
        vectors: Wave vectors in 1/mm, shape (modes, 3).
        phases: Phases in radians, shape (modes,).
        shifts: Largest displacement by each wave, shape (modes, 3).
    """

    vectors: Field
    phases: Field
    shifts: Field

    @staticmethod
    def draw(rng: np.random.Generator) -> Waves:
        """Draw five long waves and four short ones."""
        wavelength = np.concatenate([rng.uniform(70, 160, 5), rng.uniform(18, 40, 4)])
        amplitude = np.concatenate([rng.uniform(0.6, 2.2, 5), rng.uniform(0.1, 0.45, 4)])
        heading = rng.normal(size=(9, 3))
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        shifts = rng.normal(size=(9, 3)) * (amplitude / np.sqrt(3))[:, None]
        vectors = heading * (2 * np.pi / wavelength)[:, None]
        phases = rng.uniform(0, 2 * np.pi, 9)
        return Waves(vectors.astype(np.float32), phases.astype(np.float32), shifts.astype(np.float32))

    def move(self, x: Field, y: Field, z: Field) -> Place:
        """Displace points."""
        moved = [x.copy(), y.copy(), z.copy()]
        for vector, phase, shift in zip(self.vectors, self.phases, self.shifts, strict=True):
            wave = np.sin(vector[0] * x + vector[1] * y + vector[2] * z + phase)
            for axis in range(3):
                moved[axis] += shift[axis] * wave
        return moved[0], moved[1], moved[2]


@dataclass(frozen=True)
class Bend:
    """How the tibia is turned about the joint, in radians.

    Args:
        valgus: In the frontal plane.
        flexion: In the sagittal plane.
        rotation: About its long axis.
    """

    valgus: float
    flexion: float
    rotation: float

    @staticmethod
    def draw(rng: np.random.Generator) -> Bend:
        """Draw the bend of one knee."""
        return Bend(valgus=rng.normal(0.03, 0.03), flexion=rng.uniform(-0.02, 0.22), rotation=rng.normal(0.0, 0.06))

    def turn(self, x: Field, y: Field, z: Field) -> Place:
        """Bring points from the femur's frame to the tibia's."""
        x, z = _turned(x, z + _AXIS_BELOW, self.valgus)
        z, y = _turned(z, y + _AXIS_BEHIND, self.flexion)
        y, x = _turned(y, x, self.rotation)
        return x, y - _AXIS_BEHIND, z - _AXIS_BELOW


def rippled(x: Field, y: Field, z: Field, phase: np.float32) -> Place:
    """Bend the soft tissue on its own by up to 3 mm, in waves of 4 to 10 cm."""
    dx = 1.8 * np.sin(z / 9.7 + phase) + 1.1 * np.sin(y / 6.1 + z / 14.3 + 2 * phase)
    dy = 1.5 * np.sin(x / 8.9 + 3 * phase) + 1.2 * np.sin(z / 7.7 + x / 12.1 + phase)
    dz = 1.9 * np.sin(x / 8.3 + 4 * phase) + 1.2 * np.sin(y / 7.3 + x / 15.7 + phase)
    return x + dx, y + dy, z + dz


def _turned(a: Field, b: Field, angle: float) -> tuple[Field, Field]:
    """Turn two coordinates by an angle in radians."""
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return a * cosine + b * sine, b * cosine - a * sine
