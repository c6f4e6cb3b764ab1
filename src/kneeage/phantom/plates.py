"""The growth plates of the virtual knee: how their surfaces run, where they are closed, what they look like across.

Lengths in mm. Source of the run: an M over the femoral condyles that rises at the margins, a gentle convexity in the
tibia, read off male adolescent coronal T1 knees; amounts are ``assumed``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import DISTAL_FEMUR, PROXIMAL_TIBIA, PlateSite
from kneeage.phantom.bones import Field
from kneeage.phantom.growth import PlateLatents

# A remnant fainter than this share of marrow signal is not labelled a scar: nobody could see it (``assumed``).
VISIBLE_SCAR = 0.12
# Thickness of a scar. Source: 0.4-0.6 mm at half depth in an 18-year-old, widened by the slice (``assumed``).
SCAR_THICKNESS_MM = 0.7
# Thickness of the dark border on both sides of an open plate, together (``assumed``).
BORDERS_MM = 1.0


@dataclass(frozen=True)
class PlateRun:
    """How both plates of one knee run, in reference mm.

    Args:
        femoral_level: Height of the femoral plate over the condyles.
        femoral_arch: How much higher it lies over the notch.
        femoral_tilt: Rise per mm to the front.
        tibial_level: Height of the tibial plate at its margins (negative: below the joint).
        tibial_arch: How much higher it lies in the middle.
        tibial_tilt: Rise per mm to the front.
        wave: Amplitude of the fine undulation.
        phase: Where its waves begin, in radians.
    """

    femoral_level: float
    femoral_arch: float
    femoral_tilt: float
    tibial_level: float
    tibial_arch: float
    tibial_tilt: float
    wave: float
    phase: float

    @staticmethod
    def draw(rng: np.random.Generator) -> PlateRun:
        """Draw the run of one knee's plates."""
        return PlateRun(
            femoral_level=rng.normal(33.0, 2.0),
            femoral_arch=rng.uniform(2.0, 7.0),
            femoral_tilt=rng.normal(0.06, 0.05),
            tibial_level=rng.normal(-25.0, 1.6),
            tibial_arch=rng.uniform(0.5, 3.5),
            tibial_tilt=rng.normal(0.03, 0.05),
            wave=rng.uniform(0.2, 1.1),
            phase=rng.uniform(0, 2 * np.pi),
        )

    def femoral_height(self, x: Field, y: Field, z: Field) -> Field:
        """Height above the femoral plate's mid-surface: negative in the epiphysis."""
        arch = self.femoral_arch * np.exp(-((x / 11) ** 2)) + 4.0 * (np.abs(x) / 37) ** 6
        waves = np.sin(x / 4.1 + self.phase) + np.sin(y / 5.3 + x / 9 + 2 * self.phase)
        surface = self.femoral_level + arch + self.femoral_tilt * (y + 6) + 0.7 * self.wave * waves
        return np.asarray(z - surface, dtype=np.float32)

    def tibial_depth(self, x: Field, y: Field, z: Field) -> Field:
        """Depth below the tibial plate's mid-surface: negative in the epiphysis."""
        arch = self.tibial_arch * (1 - (x / 34) ** 2) - 2.0 * np.clip(y / 6, 0, 2)
        waves = np.sin(x / 4.7 + 1.3 * self.phase) + np.sin(y / 4.9 + x / 11 + self.phase)
        surface = self.tibial_level + arch + self.tibial_tilt * (y + 19) + 0.6 * self.wave * waves
        return np.asarray(surface - z, dtype=np.float32)


@dataclass(frozen=True)
class Plate:
    """One plate on a painted plane, arrays of the plane's shape.

    Args:
        site: Which plate.
        inside: Where its bone is.
        distance: Distance from its mid-surface in mm.
        thickness: Its thickness in mm where it is open.
        closed: Where it is closed.
        scar: Darkness of the remnant where it is closed.
    """

    site: PlateSite
    inside: NDArray[np.bool_]
    distance: Field
    thickness: Field
    closed: NDArray[np.bool_]
    scar: Field


# Place (lateral, anterior) where bridging begins, and what keeps the waves of both plates apart.
_CENTRES = {DISTAL_FEMUR: (-9.0, 0.0), PROXIMAL_TIBIA: (-22.0, 1.7)}


def plate_on(site: PlateSite, distance: Field, x: Field, y: Field, latents: PlateLatents, phase: float) -> Plate:
    """Evaluate a plate: bridging starts in the centre, slightly posterior, and ends at the periphery.

    Args:
        site: Which plate; its bone is still everywhere (see ``within``).
        distance: Distance from its mid-surface in mm.
        x: Lateral coordinate in reference mm.
        y: Anterior coordinate in reference mm.
        latents: State of growth.
        phase: Individual phase of the waves.
    """
    centre_y, own = _CENTRES[site]
    phase = phase + own
    waves = 0.16 * (np.sin(x / 7.1 + phase) + np.sin(y / 6.3 + 2.1 * phase)) + 0.10 * np.sin((x + y) / 3.7 + 3 * phase)
    rim = np.sqrt((x / 36) ** 2 + ((y - centre_y) / 27) ** 2) + waves
    closed = rim < 1.45 * latents.bridged - 0.25 if latents.bridged < 1 else np.ones(x.shape, bool)
    uneven = 1 + 0.15 * np.sin(x / 8.3 + 2 * phase) + 0.12 * np.sin(y / 7.7 + phase) + 0.25 * np.clip(rim - 0.6, 0, 0.6)
    patchy = 0.65 + 0.35 * np.sin(x / 6.5 + 4 * phase) * np.sin(y / 9.1 + phase)
    return Plate(
        site=site,
        inside=np.ones(x.shape, bool),
        distance=distance,
        thickness=np.asarray(latents.thickness_mm * uneven, np.float32),
        closed=closed,
        scar=np.asarray(latents.scar * patchy, np.float32),
    )


@dataclass(frozen=True)
class PlateWeights:
    """Signal weights (0 to 1) of the plates' parts, to be laid over the tissue; arrays of the plane's shape.

    They keep the right amount of signal also where a plate is thinner than a pixel.
    """

    cartilage: Field
    border: Field
    scar: Field


def weights_of(plates: tuple[Plate, ...], pixel_mm: float) -> PlateWeights:
    """Weigh the parts of all plates, their edges spread over a pixel."""
    parts = [_weigh(plate, max(pixel_mm, 0.2)) for plate in plates]
    cartilage, border, scar = (np.clip(sum(layers), 0, 1).astype(np.float32) for layers in zip(*parts, strict=True))
    return PlateWeights(cartilage, border, scar)


def label_plate(label: NDArray[np.uint8], plate: Plate, pixel_mm: float) -> None:
    """Label the open plate and the visible scar, in place; both are at least a pixel thick."""
    away = np.abs(plate.distance)
    is_open = plate.inside & ~plate.closed & (away <= np.maximum(plate.thickness, pixel_mm) / 2)
    visible = plate.inside & plate.closed & (plate.scar > VISIBLE_SCAR)
    label[is_open] = plate.site.open_plate
    label[visible & (away <= max(SCAR_THICKNESS_MM, pixel_mm) / 2)] = plate.site.scar


def _weigh(plate: Plate, soft: float) -> tuple[Field, Field, Field]:
    """Weights of cartilage, border and scar of one plate."""
    band = _band(plate.distance, plate.thickness, soft)
    core = _band(plate.distance, np.maximum(plate.thickness - BORDERS_MM, 0), soft)
    remnant = _band(plate.distance, np.float32(SCAR_THICKNESS_MM), soft) * plate.scar
    is_open, is_closed = plate.inside & ~plate.closed, plate.inside & plate.closed
    return core * is_open, np.clip(band - core, 0, 1) * is_open, remnant * is_closed


def _band(distance: Field, thickness: Field | np.float32, soft: float) -> Field:
    """Weight of a band of the given thickness about distance 0, its edges spread over ``soft`` mm."""
    half = np.asarray(thickness) / 2
    edge = np.clip((half - np.abs(distance)) / soft + 0.5, 0, 1)
    return np.asarray(edge * np.clip(2 * half / soft, 0, 1), dtype=np.float32)
