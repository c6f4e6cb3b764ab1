"""The virtual knee: a right-like knee in three dimensions, painted on any slice through it.

Knee coordinates: x to lateral, y to anterior, z to superior, in mm; the origin lies in the middle of the joint, at the
lowest point of the femoral condyles. Shapes are given for a distal femur of half-width 37 mm ("reference mm") and
scaled; all are varied by random stretching, bending and smooth deformation (amounts ``assumed``).

The slice is painted in two steps: smooth fields (signed distances, run of the plates) on a lattice, then thresholds at
the pixels of several planes through the slice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import Label
from kneeage.phantom.anatomy.bones import BoneDistances, BoneShape, Field, Place, bone_distances
from kneeage.phantom.anatomy.findings import Finding, bar_distance, draw_findings, finding_fields, paint_findings
from kneeage.phantom.anatomy.lattice import Lattice
from kneeage.phantom.anatomy.marrow import MarrowPattern, marrow_texture, red_share
from kneeage.phantom.anatomy.plates import (
    Closure,
    Plate,
    PlateRun,
    PlateWeights,
    label_plate,
    perpendicular,
    weigh,
)
from kneeage.phantom.anatomy.slab import Slab, SliceGrid
from kneeage.phantom.anatomy.soft_tissue import SoftTissue, paint_soft_tissue, soft_fields, soft_texture
from kneeage.phantom.anatomy.tissue import Tissue
from kneeage.phantom.growth.latents import KneeLatents

# Half-width of the femur that the shapes are given for. Source: measured on one adult knee (gattia/pymskt, MIT).
REFERENCE_HALF_WIDTH_MM = 37.0
# Height of the joint's axis of bending below the origin, and its distance behind it, in reference mm (``assumed``).
_AXIS_BELOW, _AXIS_BEHIND = 4.0, 14.0
# A bar closes the plate around it: distance that counts as the whole radius of the plate, in reference mm
# (``assumed``).
_PLATE_RADIUS = 30.0
# No plate reaches further from its mid-surface.
_PLATE_REACH_MM = 5.0
# Points over a plate's extent by which the bridged share is counted: lateral, anterior, in reference mm.
_EXTENT = np.meshgrid(np.arange(-40.0, 41.0, 2.0), np.arange(-46.0, 31.0, 2.0))

Tissues = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Fields = Mapping[str, Field]


@dataclass(frozen=True)
class Waves:
    """A smooth deformation: a sum of plane waves. Lengths in reference mm.

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
class Anatomy:
    """The individual shape of one knee, apart from its latents of growth.

    Args:
        waves: Smooth deformation of everything.
        ripple_phase: Phase of the waves that bend the soft tissue alone, in radians.
        stretch: Factors along x, y, z.
        valgus: Angle of the tibia in the frontal plane, in radians.
        flexion: Angle of the tibia in the sagittal plane, in radians.
        rotation: Angle of the tibia about its long axis, in radians.
        cortex: Thickness of the cortical bone at the joint, in reference mm.
        bones: Shape of the bones.
        plates: Run of the growth plates.
        soft: Soft tissue.
        marrow: Pattern of the marrow.
        findings: Incidental findings.
    """

    waves: Waves
    ripple_phase: float
    stretch: tuple[float, float, float]
    valgus: float
    flexion: float
    rotation: float
    cortex: float
    bones: BoneShape
    plates: PlateRun
    soft: SoftTissue
    marrow: MarrowPattern
    findings: tuple[Finding, ...]

    @staticmethod
    def draw(rng: np.random.Generator, findings: float = 1.0) -> Anatomy:
        """Draw the shape of one knee; ``findings`` is a factor on the rate of incidental findings."""
        bones = BoneShape.draw(rng)
        return Anatomy(
            waves=Waves.draw(rng),
            ripple_phase=rng.uniform(0, 2 * np.pi),
            stretch=(1.0, rng.normal(1.0, 0.04), rng.normal(1.0, 0.05)),
            valgus=rng.normal(0.03, 0.03),
            flexion=rng.uniform(-0.02, 0.22),
            rotation=rng.normal(0.0, 0.06),
            cortex=rng.uniform(0.4, 1.1),
            bones=bones,
            plates=PlateRun.draw(rng),
            soft=SoftTissue.draw(rng, bones.patella),
            marrow=MarrowPattern.draw(rng),
            findings=draw_findings(rng, findings),
        )


class Knee:
    """A knee that can be painted on any slice.

    Args:
        anatomy: Individual shape.
        latents: State of growth.
    """

    def __init__(self, anatomy: Anatomy, latents: KneeLatents) -> None:
        self._anatomy = anatomy
        self._latents = latents
        self._scale = np.float32(latents.bone_half_width_mm / REFERENCE_HALF_WIDTH_MM)
        self._cartilage = latents.epiphyseal_cartilage_mm / float(self._scale)
        self._closures = self._place_closures()

    def slab(self, grid: SliceGrid, rng: np.random.Generator, planes: int = 5) -> Slab:
        """Paint a slice.

        Args:
            grid: Where it lies.
            rng: Source of the fine texture alone.
            planes: Number of planes through the slice, odd.
        """
        lattice = Lattice(grid, planes)
        painted = [self._paint(fields, grid) for fields in lattice.at_pixels(self._fields(*lattice.points()))]
        middle = painted[planes // 2]
        cartilage, border, scar = (_mean([plane.weights[n] for plane in painted]) for n in range(3))
        texture = soft_texture(middle.tissue, grid.pixel_mm, middle.fields, rng)
        density = self._latents.trabecular_density
        return Slab(
            grid=grid,
            tissue=np.stack([plane.tissue for plane in painted]),
            label=middle.label,
            cartilage=cartilage,
            border=border,
            scar=scar,
            red=self._red(middle),
            texture=texture + marrow_texture(middle.tissue, middle.fields, grid, self._anatomy.marrow, density, rng),
        )

    def labels(self, grid: SliceGrid) -> NDArray[np.uint8]:
        """Labels of the slice's middle plane alone, uint8 (rows, columns)."""
        lattice = Lattice(grid, 1)
        thigh, shin, bones = self._bones(*lattice.points())
        fields = lattice.at_pixels({**_bone_fields(bones), **self._plate_fields(thigh, shin, bones)})[0]
        return self._label(fields, self._plates(fields), _plate_masks(fields), grid.pixel_mm)

    def _bones(self, x: Field, y: Field, z: Field) -> tuple[Place, Place, BoneDistances]:
        """Places in the femur's and the tibia's frame, and the distances to the bones."""
        scaled = [c / np.float32(self._scale * s) for c, s in zip((x, y, z), self._anatomy.stretch, strict=True)]
        thigh = self._anatomy.waves.move(scaled[0], scaled[1], scaled[2])
        shin = self._bent(*thigh)
        return thigh, shin, bone_distances(thigh, shin, self._anatomy.bones, self._latents.epiphyseal_roundness)

    def _bent(self, x: Field, y: Field, z: Field) -> Place:
        """Turn the tibia about the joint by valgus (in x, z), flexion (in y, z) and rotation (in x, y)."""
        x, z = _turned(x, z + _AXIS_BELOW, self._anatomy.valgus)
        z, y = _turned(z, y + _AXIS_BEHIND, self._anatomy.flexion)
        y, x = _turned(y, x, self._anatomy.rotation)
        return x, y - _AXIS_BEHIND, z - _AXIS_BELOW

    def _fields(self, x: Field, y: Field, z: Field) -> dict[str, Field]:
        """All smooth fields at the given points."""
        thigh, shin, bones = self._bones(x, y, z)
        loose = _rippled(*thigh, np.float32(self._anatomy.ripple_phase))
        return {
            **dict(zip("xyz", thigh, strict=True)),
            **_bone_fields(bones),
            **soft_fields(thigh, shin, loose, bones, self._anatomy.soft, self._cartilage),
            **self._plate_fields(thigh, shin, bones),
            **finding_fields(self._anatomy.findings, thigh, shin),
            **self._marrow_fields(thigh, shin, bones),
        }

    def _marrow_fields(self, thigh: Place, shin: Place, bones: BoneDistances) -> dict[str, Field]:
        """Distances to the inner face of the cortex, which is uneven, and the islands of red marrow."""
        islands = self._anatomy.marrow.islands(*thigh)
        cortex = np.float32(self._anatomy.cortex) * np.clip(1 + 0.35 * islands, 0.3, 2.0)
        return {
            "femur_marrow": bones.femur + cortex * _shaft_cortex(thigh[2]),
            "tibia_marrow": bones.tibia + cortex * _shaft_cortex(-shin[2]),
            "islands": islands,
        }

    def _plate_fields(self, thigh: Place, shin: Place, bones: BoneDistances) -> dict[str, Field]:
        """Distance, closing front, thickness and scar of each plate."""
        anatomy, scale = self._anatomy, self._scale
        distances = {
            "femur": scale
            * _above(anatomy.plates.femoral_surface, thigh, self._latents.femur.undulation_mm / float(scale)),
            "tibia": -scale
            * _above(anatomy.plates.tibial_surface, shin, self._latents.tibia.undulation_mm / float(scale)),
            "fibula": scale * (anatomy.plates.fibular_level - shin[2]),
            "tuberosity": scale * anatomy.plates.tongue_distance(*shin, bones.tibia),
        }
        fields = {f"{plate}_distance": distance for plate, distance in distances.items()}
        for plate, closure in self._closures.items():
            x, y = _over(plate, thigh, shin)
            beyond, thickness, scar = closure.fields(x, y)
            bar = bar_distance(anatomy.findings, plate, x, y)
            fields[f"{plate}_beyond"] = beyond if bar is None else np.minimum(beyond, bar / _PLATE_RADIUS)
            fields[f"{plate}_thickness"], fields[f"{plate}_scar"] = thickness, scar
        return fields

    def _place_closures(self) -> dict[str, Closure]:
        """Where each plate is closed, the bridged share counted over the plate's extent."""
        latents, phases = self._latents, self._anatomy.plates.phases
        plates = {
            "femur": latents.femur, "tibia": latents.tibia, "fibula": latents.fibula, "tuberosity": latents.tuberosity
        }  # fmt: skip
        return {
            plate: Closure(state, np.roll(phases, turn)[:3], self._extent(plate))
            for turn, (plate, state) in enumerate(plates.items())
        }

    def _extent(self, plate: str) -> tuple[Field, Field]:
        """Points spread evenly over a plate, in the coordinates of :func:`_over`."""
        x, y = (np.asarray(c, np.float32) for c in _EXTENT)
        if plate == "fibula":
            inside = np.hypot(x, y) < 9
        elif plate == "tuberosity":
            half, lower, _ = self._anatomy.plates.tongue
            inside = (np.abs(x) < half) & (y > lower) & (y < lower + 22)
            y = np.where(inside, y, 0)
        else:
            run = self._anatomy.plates
            z = (run.femoral_surface if plate == "femur" else run.tibial_surface)(x, y, 0.0)
            bones = bone_distances((x, y, z), (x, y, z), self._anatomy.bones, self._latents.epiphyseal_roundness)
            inside = (bones.femur if plate == "femur" else bones.tibia) < 0
        return x[inside], y[inside]

    def _plates(self, fields: Fields) -> dict[str, Plate]:
        """The plates at pixels."""
        return {
            plate: closure.on(*(fields[f"{plate}_{name}"] for name in ("beyond", "thickness", "scar", "distance")))
            for plate, closure in self._closures.items()
        }

    def _paint(self, fields: dict[str, Field], grid: SliceGrid) -> _Painting:
        """Paint one plane."""
        tissue = paint_soft_tissue(fields, self._anatomy.soft, self._cartilage)
        self._paint_bones(tissue, fields)
        plates, masks = self._plates(fields), _plate_masks(fields)
        return _Painting(
            fields=fields,
            tissue=tissue,
            label=self._label(fields, plates, masks, grid.pixel_mm),
            weights=_laid_over(plates, masks, grid.pixel_mm).layers,
        )

    def _paint_bones(self, tissue: Tissues, fields: Fields) -> None:
        """Paint the bones over the soft tissue, in place."""
        cortex = self._anatomy.cortex
        marrow = {bone: fields[f"{bone}_marrow"] < 0 for bone in ("femur", "tibia")}
        for bone, tone in (("patella", Tissue.PATELLA), ("fibula", Tissue.FIBULA)):
            tissue[fields[bone] < 0] = Tissue.CORTEX
            tissue[fields[bone] < -cortex] = tone
        for bone, tones in _ZONE_TISSUES.items():
            tissue[fields[bone] < 0] = Tissue.CORTEX
            epiphysis = _epiphysis(fields, bone)
            tissue[marrow[bone] & epiphysis], tissue[marrow[bone] & ~epiphysis] = tones
        distances = {name: field for name, field in fields.items() if name.startswith("finding_")}
        paint_findings(tissue, self._anatomy.findings, distances, marrow)

    def _label(
        self, fields: Fields, plates: Mapping[str, Plate], masks: Mapping[str, Mask], pixel_mm: float
    ) -> NDArray[np.uint8]:
        """Label one plane."""
        label = np.zeros(fields["femur"].shape, np.uint8)
        label[fields["patella"] < 0] = Label.PATELLA
        label[fields["fibula"] < 0] = Label.PROXIMAL_FIBULA
        for bone, values in _ZONE_LABELS.items():
            inside, epiphysis = fields[bone] < 0, _epiphysis(fields, bone)
            label[inside & epiphysis], label[inside & ~epiphysis] = values
        for plate, values in _PLATE_LABELS.items():
            label_plate(label, plates[plate], masks[plate], values, pixel_mm)
        return label

    def _red(self, plane: _Painting) -> Field:
        """Share of red marrow on one plane."""
        beyond = np.maximum(plane.fields["femur_distance"], plane.fields["tibia_distance"])
        return red_share(plane.tissue, beyond, plane.fields["islands"], self._latents, self._anatomy.marrow.step)


@dataclass(frozen=True, eq=False)
class _Painting:
    """One painted plane: its fields, tissue and label, and the weights of the plates' cartilage, border and scar."""

    fields: dict[str, Field]
    tissue: Tissues
    label: NDArray[np.uint8]
    weights: tuple[Field, Field, Field]


_ZONE_TISSUES = {
    "tibia": (Tissue.TIBIA_EPIPHYSIS, Tissue.TIBIA_METAPHYSIS),
    "femur": (Tissue.FEMUR_EPIPHYSIS, Tissue.FEMUR_METAPHYSIS),
}
_ZONE_LABELS = {
    "tibia": (Label.PROXIMAL_TIBIA_EPIPHYSIS, Label.PROXIMAL_TIBIA_METAPHYSIS),
    "femur": (Label.DISTAL_FEMUR_EPIPHYSIS, Label.DISTAL_FEMUR_METAPHYSIS),
}
# Labels of open plate and scar; the fibula's plate is part of the fibula.
_PLATE_LABELS = {
    "femur": (Label.DISTAL_FEMUR_PHYSIS, Label.DISTAL_FEMUR_PHYSEAL_SCAR),
    "tibia": (Label.PROXIMAL_TIBIA_PHYSIS, Label.PROXIMAL_TIBIA_PHYSEAL_SCAR),
    "tuberosity": (Label.TIBIAL_TUBEROSITY_PHYSIS, Label.PROXIMAL_TIBIA_PHYSEAL_SCAR),
}


def _mean(layers: list[Field]) -> Field:
    """Mean of several planes."""
    return np.asarray(sum(layers[1:], layers[0]) / np.float32(len(layers)), np.float32)


def _bone_fields(bones: BoneDistances) -> dict[str, Field]:
    """Distances to the bones by name."""
    return {"femur": bones.femur, "tibia": bones.tibia, "fibula": bones.fibula, "patella": bones.patella}


def _epiphysis(fields: Fields, bone: str) -> Mask:
    """Where the epiphysis of a bone is; the tuberosity's apophysis belongs to the tibia's."""
    before = fields[f"{bone}_distance"] < 0
    return before if bone == "femur" else before | (fields["tuberosity_distance"] < 0)


def _plate_masks(fields: Fields) -> dict[str, Mask]:
    """Where each plate can be: in its bone; the tuberosity's only below the tibia's, which ends at the apophysis."""
    tibia = fields["tibia"] < 0
    return {
        "femur": fields["femur"] < 0,
        "tibia": tibia & (fields["tuberosity_distance"] > 0),
        "fibula": fields["fibula"] < 0,
        "tuberosity": tibia & (fields["tibia_distance"] > 0),
    }


def _laid_over(plates: Mapping[str, Plate], masks: Mapping[str, Mask], pixel_mm: float) -> PlateWeights:
    """Weights of all plates together, each within its mask; only the rows near a plate are weighed."""
    total = PlateWeights(*(np.zeros(next(iter(masks.values())).shape, np.float32) for _ in range(3)))
    for name, plate in plates.items():
        near = np.flatnonzero((masks[name] & (np.abs(plate.distance) < _PLATE_REACH_MM)).any(axis=1))
        if len(near):
            rows = slice(int(near[0]), int(near[-1]) + 1)
            weights = weigh(plate.cut(rows), pixel_mm)
            for layer, part in zip(total.layers, weights.layers, strict=True):
                layer[rows] = np.minimum(layer[rows] + part * masks[name][rows], 1)
    return total


def _above(surface: Callable[[Field, Field, float], Field], place: Place, undulation: float) -> Field:
    """Perpendicular distance above a plate's surface."""
    x, y, z = place
    height = surface(x, y, undulation)
    step = surface(x + 1, y, undulation), surface(x, y + 1, undulation)
    return perpendicular(z - height, height, step)


def _over(plate: str, thigh: Place, shin: Place) -> tuple[Field, Field]:
    """Two coordinates along a plate, in reference mm: lateral and anterior, or lateral and superior (tuberosity)."""
    if plate == "femur":
        return thigh[0], thigh[1]
    if plate == "fibula":
        return shin[0] - 33, shin[1] + 35
    return (shin[0], shin[1]) if plate == "tibia" else (shin[0] - 3, shin[2])


def _turned(a: Field, b: Field, angle: float) -> tuple[Field, Field]:
    """Turn two coordinates by an angle in radians."""
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return a * cosine + b * sine, b * cosine - a * sine


def _rippled(x: Field, y: Field, z: Field, phase: np.float32) -> Place:
    """Bend the soft tissue on its own by up to 3 reference mm, in waves of 4 to 10 cm (``assumed``)."""
    dx = 1.8 * np.sin(z / 9.7 + phase) + 1.1 * np.sin(y / 6.1 + z / 14.3 + 2 * phase)
    dy = 1.5 * np.sin(x / 8.9 + 3 * phase) + 1.2 * np.sin(z / 7.7 + x / 12.1 + phase)
    dz = 1.9 * np.sin(x / 8.3 + 4 * phase) + 1.2 * np.sin(y / 7.3 + x / 15.7 + phase)
    return x + dx, y + dy, z + dz


def _shaft_cortex(away: Field) -> Field:
    """Cortical thickness factor: thin at the joint, thick along the shaft (``assumed``)."""
    return np.asarray(0.8 + np.clip((away - 36) / 16, 0, 3.0), dtype=np.float32)
