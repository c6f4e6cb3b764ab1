"""The growth plates of the virtual knee: how their surfaces run, where they are closed, what they look like across.

Lengths in mm. A plate is a thin surface with its own profile across: dark borders and, where it is thick enough, grey
cartilage between. **Open plate and scar differ by thickness and double border**: where the plate is not bridged it has
its thickness (at least :data:`THINNEST_OPEN_MM`) and two borders, which merge into one dark line when it is thin; where
it is bridged, what remains is a single line of :data:`SCAR_THICKNESS_MM` that lets the marrow shine through (its
strength is a latent). Labels follow that, not the darkness: a strong scar may be as dark as a thin open plate.

Source of the run: an M over the femoral condyles that rises at the margins, a gentle convexity in the tibia, read off
male adolescent coronal T1 knees; amounts are ``assumed``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import Label
from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.growth.latents import VISIBLE_SCAR, PlateLatents

# Thickness of a scar. Source: 0.4-0.6 mm at half depth in an 18-year-old (shared measurements, three male 3T knees),
# the scanner's blur included.
SCAR_THICKNESS_MM = 0.45
# Thinnest open plate, next to a bridge. Source: the thinnest plate measured was 0.8 mm (as above); ``assumed`` beyond.
THINNEST_OPEN_MM = 0.6
# Thickness of the dark border on one side of an open plate (``assumed``).
BORDER_MM = 0.6
# Width over which an open plate thins towards a bridge, as a share of the plate's radius (``assumed``).
_TAPER = 0.12
# Steps in which a plate's mean thickness is brought to that of the latents, within 1 %.
_FACTOR_STEPS = 12
# A front beyond every point of a plate.
_FAR = 9.0


@dataclass(frozen=True)
class PlateRun:
    """How the plates of one knee run, in reference mm.

    Args:
        femoral_level: Height of the femoral plate over the condyles.
        femoral_arch: How much higher it lies over the notch.
        femoral_margin: How much it rises at its margins.
        femoral_tilt: Rise per mm to the front.
        tibial_level: Height of the tibial plate at its margins (negative: below the joint).
        tibial_arch: How much higher it lies in the middle.
        tibial_tilt: Rise per mm to the front.
        fibular_level: Height of the fibular plate.
        tongue: Half-width of the tuberosity's apophysis, the height of its lower end, and the depth of its plate behind
            the tuberosity's surface.
        phases: Where the waves begin, in radians, shape (6,).
    """

    femoral_level: float
    femoral_arch: float
    femoral_margin: float
    femoral_tilt: float
    tibial_level: float
    tibial_arch: float
    tibial_tilt: float
    fibular_level: float
    tongue: tuple[float, float, float]
    phases: NDArray[np.float32]

    @staticmethod
    def draw(rng: np.random.Generator) -> PlateRun:
        """Draw the run of one knee's plates."""
        return PlateRun(
            femoral_level=rng.normal(33.0, 2.2),
            femoral_arch=rng.uniform(1.0, 8.0),
            femoral_margin=rng.uniform(1.0, 7.0),
            femoral_tilt=rng.normal(0.06, 0.06),
            tibial_level=rng.normal(-24.5, 1.8),
            tibial_arch=rng.uniform(0.0, 4.0),
            tibial_tilt=rng.normal(0.03, 0.06),
            fibular_level=rng.normal(-37.0, 2.5),
            tongue=(rng.uniform(9, 13), rng.uniform(-54, -43), rng.uniform(4, 9)),
            phases=rng.uniform(0, 2 * np.pi, 6).astype(np.float32),
        )

    def femoral_surface(self, x: Field, y: Field, undulation: float) -> Field:
        """Height of the femoral plate at lateral ``x`` and anterior ``y``."""
        arch = self.femoral_arch * np.exp(-((x / 11) ** 2)) + self.femoral_margin * (np.abs(x) / 37) ** 6
        waves = _waves(x, y, self.phases[:3])
        return np.asarray(self.femoral_level + arch + self.femoral_tilt * (y + 6) + undulation * waves, np.float32)

    def tibial_surface(self, x: Field, y: Field, undulation: float) -> Field:
        """Height of the tibial plate, without the tuberosity's."""
        arch = self.tibial_arch * (1 - (x / 34) ** 2) - 2.0 * np.clip(y / 6, 0, 2)
        waves = _waves(y, x, self.phases[3:])
        return np.asarray(self.tibial_level + arch + self.tibial_tilt * (y + 19) + undulation * waves, np.float32)

    def tongue_distance(self, x: Field, y: Field, z: Field, tibia: Field) -> Field:
        """Distance to the tuberosity's apophysis, a lens on the front of the tibia that thins out to its edges."""
        half, lower, depth = self.tongue
        across, down = (x - 3) / half, np.clip((z - self.tibial_level) / (lower - self.tibial_level), 0, 2)
        behind = -tibia - depth * (1 - across**2 - down**3)
        return np.asarray(_smooth_max(behind, -y - 4), np.float32)


@dataclass(frozen=True)
class Plate:
    """What is known of one plate on one painted plane, arrays of the plane's shape.

    Args:
        distance: Distance from its mid-surface in mm, negative in the epiphysis.
        thickness: Its thickness in mm where it is open.
        closed: Where it is closed.
        scar: Strength of the remnant where it is closed, 0 to 1: how much of the marrow's signal it hides.
        border: Darkness of its borders, 0 to 1.
    """

    distance: Field
    thickness: Field
    closed: NDArray[np.bool_]
    scar: Field
    border: float

    def cut(self, rows: slice) -> Plate:
        """The plate on some rows alone."""
        return Plate(self.distance[rows], self.thickness[rows], self.closed[rows], self.scar[rows], self.border)


class Closure:
    """Where one plate is closed and how thick it is elsewhere: bridging starts at its centre and ends at its rim.

    Args:
        latents: State of growth.
        phases: Individual phases of the waves in radians, shape (3,).
        inside: Lateral and anterior coordinates (reference mm) of points spread evenly over the plate's extent,
            each of shape (n,); the bridged share is a share of these.
    """

    def __init__(self, latents: PlateLatents, phases: NDArray[np.float32], inside: tuple[Field, Field]) -> None:
        self._latents = latents
        self._phases = phases
        self._middle = (inside[0].mean(), inside[1].mean())
        self._radii = (np.ptp(inside[0]) / 2, np.ptp(inside[1]) / 2)
        rims = self._rim(*inside)
        self._front = self._place_front(rims)
        relative = self._relative_thickness(*inside, rims, rims - np.float32(self._front))
        self._thickness_mm = _factor(relative[rims > self._front], latents.thickness_mm)

    def fields(self, x: Field, y: Field, bar: Field | None = None) -> tuple[Field, Field, Field]:
        """Distance beyond the closing front, thickness in mm where the plate is open, and strength of the scar.

        The distance is a share of the plate's radius, negative where the plate is closed. The thickness is that of the
        latents on average over the open part of the extent, unless :data:`THINNEST_OPEN_MM` is more.

        Args:
            x: Lateral coordinate in reference mm; likewise ``y``, anterior.
            y: Anterior coordinate.
            bar: Distance to a bony bar's rim as a share of the plate's radius, None where there is no bar.
        """
        rim, phase = self._rim(x, y), self._phases
        beyond = rim - np.float32(self._front)
        if bar is not None:
            beyond = np.minimum(beyond, bar)
        relative = self._relative_thickness(x, y, rim, beyond)
        thickness = np.maximum(np.float32(self._thickness_mm) * relative, THINNEST_OPEN_MM)
        patchy = np.minimum(1 + 0.4 * np.sin(x / 6.5 + 4 * phase[1]) * np.sin(y / 9.1 + phase[2]), 1)
        return beyond, np.asarray(thickness, np.float32), np.asarray(self._latents.scar * patchy, np.float32)

    def on(self, beyond: Field, thickness: Field, scar: Field, distance: Field) -> Plate:
        """The plate on a painted plane, from its fields there."""
        return Plate(distance, thickness, beyond < 0, scar, self._latents.border)

    def _relative_thickness(self, x: Field, y: Field, rim: Field, beyond: Field) -> Field:
        """How thick the plate is relative to other places: uneven, and thinner towards bridges."""
        phase = self._phases
        waves = np.sin(x / 8.3 + 2 * phase[0]) + np.sin(y / 7.7 + phase[1]) + np.clip(rim - 0.6, 0, 0.6)
        taper = np.clip(0.5 + beyond / (2 * _TAPER), 0.5, 1)
        return np.asarray((1 + self._latents.unevenness * waves) * taper, np.float32)

    def _rim(self, x: Field, y: Field) -> Field:
        """How far out a point lies: 0 where bridging begins, about 1 at the rim, ragged by the front's patchiness."""
        latents, phase = self._latents, self._phases
        dx = (x - self._middle[0] - latents.bridging_lateral_mm) / self._radii[0]
        dy = (y - self._middle[1] + latents.bridging_posterior_mm) / self._radii[1]
        waves = 0.6 * (np.sin(x / 7.1 + phase[0]) + np.sin(y / 6.3 + phase[1])) + 0.4 * np.sin((x + y) / 3.7 + phase[2])
        return np.asarray(np.sqrt(dx**2 + dy**2) + 0.3 * latents.patchiness * waves, np.float32)

    def _place_front(self, rims: Field) -> float:
        """Value of the rim up to which the plate is closed, so that the bridged share of its extent is exact."""
        bridged = self._latents.bridged
        if bridged <= 0:
            return -_FAR
        return float(np.quantile(rims, bridged)) if bridged < 1 else _FAR


@dataclass(frozen=True)
class PlateWeights:
    """Signal weights (0 to 1) of the plates' parts, to be laid over the tissue; arrays of the plane's shape.

    They keep the right amount of signal also where a plate is thinner than a pixel.
    """

    cartilage: Field
    border: Field
    scar: Field

    @property
    def layers(self) -> tuple[Field, Field, Field]:
        """Cartilage, border and scar."""
        return self.cartilage, self.border, self.scar


def weigh(plate: Plate, pixel_mm: float) -> PlateWeights:
    """Weigh the parts of a plate, its edges spread over a pixel (but at least 0.2 mm)."""
    soft = max(pixel_mm, 0.2)
    band = _band(plate.distance, plate.thickness, soft)
    core = _band(plate.distance, np.maximum(plate.thickness - 2 * BORDER_MM, 0), soft)
    border = np.clip(band - core, 0, 1) * plate.border
    remnant = _band(plate.distance, np.float32(SCAR_THICKNESS_MM), soft) * plate.scar
    is_open = ~plate.closed
    return PlateWeights((band - border) * is_open, border * is_open, remnant * plate.closed)


def label_plate(
    label: NDArray[np.uint8], plate: Plate, where: NDArray[np.bool_], values: tuple[Label, Label], pixel_mm: float
) -> None:
    """Label the open plate and the visible scar, in place; both are at least a pixel thick.

    Args:
        label: Labels to write into.
        plate: The plate.
        where: Where the plate's bone is.
        values: Labels of the open plate and of its scar.
        pixel_mm: Width of a pixel.
    """
    away = np.abs(plate.distance)
    is_open = where & ~plate.closed & (away <= np.maximum(plate.thickness, pixel_mm) / 2)
    visible = where & plate.closed & (plate.scar > VISIBLE_SCAR)
    label[is_open] = values[0]
    label[visible & (away <= max(SCAR_THICKNESS_MM, pixel_mm) / 2)] = values[1]


def perpendicular(height: Field, surface: Field, step: tuple[Field, Field]) -> Field:
    """Distance from a surface, from the height above it and its rise over one unit in two directions.

    Args:
        height: Height above the surface.
        surface: Height of the surface at the same points.
        step: Height of the surface one unit to lateral, and one unit to the front.
    """
    slope = (step[0] - surface) ** 2 + (step[1] - surface) ** 2
    return np.asarray(height / np.sqrt(1 + slope), np.float32)


def _factor(relative: Field, wanted_mm: float) -> float:
    """Factor that gives relative thicknesses, never below the thinnest, the wanted mean."""
    factor = wanted_mm
    for _ in range(_FACTOR_STEPS if relative.size else 0):
        factor *= wanted_mm / float(np.maximum(factor * relative, THINNEST_OPEN_MM).mean())
    return factor


def _waves(x: Field, y: Field, phases: NDArray[np.float32]) -> Field:
    """Fine undulation of about unit amplitude: waves of about 26 and 11 mm."""
    long = np.sin(x / 4.1 + phases[0]) + np.sin(y / 5.3 + x / 9 + phases[1])
    return np.asarray(0.6 * long + 0.3 * np.sin(x / 1.8 + y / 3.1 + phases[2]), np.float32)


def _smooth_max(a: Field, b: Field, width: float = 3.0) -> Field:
    """The larger of two fields, rounded over ``width`` where they cross."""
    over = np.clip(width - np.abs(a - b), 0, None)
    return np.asarray(np.maximum(a, b) + over**2 / (4 * width), np.float32)


def _band(distance: Field, thickness: Field | np.float32, soft: float) -> Field:
    """Share of a window ``soft`` mm wide that a band of the given thickness about distance 0 fills."""
    overlap = (np.asarray(thickness) + soft) / 2 - np.abs(distance)
    return np.asarray(np.clip(overlap, 0, np.minimum(thickness, soft)) / soft, dtype=np.float32)
