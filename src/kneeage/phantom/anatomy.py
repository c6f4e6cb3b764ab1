"""The virtual knee: a right-like knee as implicit surfaces, painted on any plane through it.

Knee coordinates: x to lateral, y to anterior, z to superior, in mm; the origin lies in the middle of the joint, at the
lowest point of the femoral condyles. Shapes are given for a distal femur of half-width 37 mm ("reference mm") and
scaled; all are varied by random stretching, bending and smooth deformation (amounts ``assumed``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import DISTAL_FEMUR, PROXIMAL_TIBIA, Label
from kneeage.phantom.bones import Field, femur_distance, fibula_distance, patella_distance, tibia_distance
from kneeage.phantom.growth import KneeLatents
from kneeage.phantom.plates import Plate, PlateRun, PlateWeights, label_plate, plate_on, weights_of
from kneeage.phantom.soft_tissue import BoneDistances, SoftTissue, leg_distance, paint_joint, paint_soft_tissue
from kneeage.phantom.tissue import Tissue

# Half-width of the femur that the shapes are given for. Source: measured on one adult knee (gattia/pymskt, MIT).
REFERENCE_HALF_WIDTH_MM = 37.0
# Height of the joint's axis of bending below the origin, and its distance behind it, in reference mm.
_AXIS_BELOW, _AXIS_BEHIND = 4.0, 14.0
_LESION_SHARE = 0.12

Place = tuple[Field, Field, Field]
Tissues = NDArray[np.uint8]


@dataclass(frozen=True)
class Waves:
    """A smooth deformation: a sum of plane waves.

    Args:
        vectors: Wave vectors in 1/mm, shape (modes, 3).
        phases: Phases in radians, shape (modes,).
        shifts: Largest displacement of each wave in mm, shape (modes, 3).
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
class Anatomy:
    """The individual shape of one knee, apart from its latents of growth.

    Args:
        waves: Smooth deformation of everything.
        ripple_phase: Phase of the waves that bend the soft tissue alone, in radians.
        stretch: Factors along x, y, z.
        valgus: Angle of the tibia in the frontal plane, in radians.
        flexion: Angle of the tibia in the sagittal plane, in radians.
        notch: Factor on the width of the intercondylar notch.
        condyle: Half the height of the posterior condyles, in reference mm.
        cortex: Thickness of the cortical bone at the joint, in reference mm.
        plates: Run of the growth plates.
        soft: Soft tissue.
        lesion: Centre (x, y, z) and radius of a dark finding in the tibia, in reference mm; radius 0: none.
    """

    waves: Waves
    ripple_phase: float
    stretch: tuple[float, float, float]
    valgus: float
    flexion: float
    notch: float
    condyle: float
    cortex: float
    plates: PlateRun
    soft: SoftTissue
    lesion: tuple[float, float, float, float]

    @staticmethod
    def draw(rng: np.random.Generator) -> Anatomy:
        """Draw the shape of one knee."""
        return Anatomy(
            waves=Waves.draw(rng),
            ripple_phase=rng.uniform(0, 2 * np.pi),
            stretch=(1.0, rng.normal(1.0, 0.04), rng.normal(1.0, 0.05)),
            valgus=rng.normal(0.03, 0.03),
            flexion=rng.uniform(-0.02, 0.22),
            notch=rng.uniform(0.8, 1.25),
            condyle=rng.uniform(16.5, 21.0),
            cortex=rng.uniform(0.7, 1.4),
            plates=PlateRun.draw(rng),
            soft=SoftTissue.draw(rng),
            lesion=_draw_lesion(rng),
        )


@dataclass(frozen=True)
class Painting:
    """One infinitely thin painted plane: tissue and label of each point, and the plates' weights over the tissue."""

    tissue: Tissues
    label: NDArray[np.uint8]
    plates: PlateWeights


class Knee:
    """A knee that can be painted on any plane.

    Args:
        anatomy: Individual shape.
        latents: State of growth.
        pixel_mm: Width of a pixel, over which the plates' edges are spread.
    """

    def __init__(self, anatomy: Anatomy, latents: KneeLatents, pixel_mm: float) -> None:
        self._anatomy = anatomy
        self._latents = latents
        self._pixel_mm = pixel_mm
        self._scale = latents.bone_half_width_mm / REFERENCE_HALF_WIDTH_MM

    def paint(self, x: Field, y: Field, z: Field) -> Painting:
        """Paint the points at knee coordinates ``x``, ``y``, ``z`` in mm (float32 arrays of one shape)."""
        thigh = self._to_reference(x, y, z)
        shin = self._bent(*thigh)
        bones = BoneDistances(
            femur=femur_distance(*thigh, self._anatomy.notch, self._anatomy.condyle),
            tibia=tibia_distance(*shin, self._anatomy.soft.joint_gap),
            patella=patella_distance(*thigh),
        )
        tissue = self._soft_tissue(thigh, bones)
        label = np.zeros(x.shape, np.uint8)
        plates = self._paint_bones(tissue, label, bones, thigh, shin)
        return Painting(tissue, label, weights_of(plates, self._pixel_mm))

    def _to_reference(self, x: Field, y: Field, z: Field) -> Place:
        """Scale to reference mm and add the smooth deformation."""
        scaled = [c / np.float32(self._scale * s) for c, s in zip((x, y, z), self._anatomy.stretch, strict=True)]
        return self._anatomy.waves.move(*scaled)

    def _bent(self, x: Field, y: Field, z: Field) -> Place:
        """Turn the tibia about the joint by valgus (in x, z) and flexion (in y, z)."""
        v, f = np.float32(self._anatomy.valgus), np.float32(self._anatomy.flexion)
        z = z + _AXIS_BELOW
        x, z = x * np.cos(v) + z * np.sin(v), z * np.cos(v) - x * np.sin(v)
        y = y + _AXIS_BEHIND
        y, z = y * np.cos(f) - z * np.sin(f), z * np.cos(f) + y * np.sin(f)
        return x, y - _AXIS_BEHIND, z - _AXIS_BELOW

    def _soft_tissue(self, place: Place, bones: BoneDistances) -> Tissues:
        """Paint everything around the bones."""
        soft = self._anatomy.soft
        loose = _rippled(*place, np.float32(self._anatomy.ripple_phase))
        tissue = paint_soft_tissue(*loose, leg_distance(*place, soft), soft)
        paint_joint(tissue, loose, bones, soft, self._latents.epiphyseal_cartilage_mm / self._scale)
        return tissue

    def _paint_bones(
        self, tissue: Tissues, label: NDArray[np.uint8], bones: BoneDistances, thigh: Place, shin: Place
    ) -> tuple[Plate, Plate]:
        """Paint and label the bones with their plates, in place; return the plates."""
        cortex, run = self._anatomy.cortex, self._anatomy.plates
        height, depth = run.femoral_height(*thigh), run.tibial_depth(*shin)
        _paint_bone(tissue, label, bones.patella, (Tissue.PATELLA, Label.PATELLA), cortex)
        _paint_bone(tissue, label, fibula_distance(*shin), (Tissue.FIBULA, Label.PROXIMAL_FIBULA), cortex)
        _paint_zones(tissue, label, _Zoned(bones.tibia, depth, _TIBIA_ZONES), cortex * _shaft_cortex(-shin[2]))
        _paint_zones(tissue, label, _Zoned(bones.femur, height, _FEMUR_ZONES), cortex * _shaft_cortex(thigh[2]))
        self._paint_lesion(tissue, shin, bones.tibia)
        scale, phase = np.float32(self._scale), run.phase
        femoral = plate_on(DISTAL_FEMUR, height * scale, thigh[0], thigh[1], self._latents.femur, phase)
        tibial = plate_on(PROXIMAL_TIBIA, depth * scale, shin[0], shin[1], self._latents.tibia, phase)
        plates = replace(femoral, inside=bones.femur < 0), replace(tibial, inside=bones.tibia < 0)
        for plate in plates:
            label_plate(label, plate, self._pixel_mm)
        return plates

    def _paint_lesion(self, tissue: Tissues, place: Place, tibia: Field) -> None:
        """Paint the small dark finding inside the tibia, if this knee has one."""
        *centre, radius = self._anatomy.lesion
        if radius > 0:
            squared = sum((c - middle) ** 2 for c, middle in zip(place, centre, strict=True))
            tissue[(squared < radius**2) & (tibia < -0.5)] = Tissue.LESION


@dataclass(frozen=True)
class _Zoned:
    """A bone of two zones: its distance, how far a point lies beyond the plate, and the zones' tissues and labels."""

    distance: Field
    beyond: Field
    zones: tuple[Tissue, Tissue, Label, Label]


_FEMUR_ZONES = (
    Tissue.FEMUR_EPIPHYSIS,
    Tissue.FEMUR_METAPHYSIS,
    Label.DISTAL_FEMUR_EPIPHYSIS,
    Label.DISTAL_FEMUR_METAPHYSIS,
)
_TIBIA_ZONES = (
    Tissue.TIBIA_EPIPHYSIS,
    Tissue.TIBIA_METAPHYSIS,
    Label.PROXIMAL_TIBIA_EPIPHYSIS,
    Label.PROXIMAL_TIBIA_METAPHYSIS,
)


def _draw_lesion(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Draw centre and radius of a bone lesion; radius 0 in most knees."""
    if rng.random() > _LESION_SHARE:
        return (0.0, 0.0, 0.0, 0.0)
    return (rng.uniform(-30, 30), rng.uniform(-35, 0), rng.uniform(-35, -10), rng.uniform(2, 7))


def _rippled(x: Field, y: Field, z: Field, phase: np.float32) -> Place:
    """Bend the soft tissue on its own, in waves of a centimetre or two."""
    dx = 1.8 * np.sin(z / 9.7 + phase) + 1.1 * np.sin(y / 6.1 + z / 14.3 + 2 * phase)
    dy = 1.5 * np.sin(x / 8.9 + 3 * phase) + 1.2 * np.sin(z / 7.7 + x / 12.1 + phase)
    dz = 1.9 * np.sin(x / 8.3 + 4 * phase) + 1.2 * np.sin(y / 7.3 + x / 15.7 + phase)
    return x + dx, y + dy, z + dz


def _shaft_cortex(away: Field) -> Field:
    """Cortical thickness factor: thin at the joint, thick along the shaft."""
    return np.asarray(0.8 + np.clip((away - 38) / 18, 0, 2.2), dtype=np.float32)


def _paint_bone(
    tissue: Tissues, label: NDArray[np.uint8], bone: Field, values: tuple[Tissue, Label], cortex: float
) -> None:
    """Paint and label a bone of one zone with its cortex, in place."""
    inside = bone < 0
    tissue[inside] = Tissue.CORTEX
    tissue[bone < -cortex] = values[0]
    label[inside] = values[1]


def _paint_zones(tissue: Tissues, label: NDArray[np.uint8], bone: _Zoned, cortex: Field) -> None:
    """Paint and label a bone of two zones, in place: epiphysis before the plate, metaphysis and shaft beyond it."""
    inside, marrow, epiphysis = bone.distance < 0, bone.distance < -cortex, bone.beyond < 0
    tissue[inside] = Tissue.CORTEX
    tissue[marrow & epiphysis], tissue[marrow & ~epiphysis] = bone.zones[:2]
    label[inside & epiphysis], label[inside & ~epiphysis] = bone.zones[2:]
