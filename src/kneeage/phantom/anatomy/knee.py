"""The virtual knee: a right-like knee in three dimensions, painted on any slice through it.

Knee coordinates: x to lateral, y to anterior, z to superior, in mm; the origin lies in the middle of the joint, at the
lowest point of the femoral condyles. Shapes are given for a distal femur of half-width 37 mm ("reference mm") and
scaled; all are varied by random stretching, bending and smooth deformation (amounts ``assumed``).

The slice is painted in two steps: smooth fields (signed distances, run of the plates) on a lattice, then thresholds at
the pixels of several planes through the slice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import Label
from kneeage.phantom.anatomy.bones import BoneDistances, BoneShape, Field, Place, bone_distances
from kneeage.phantom.anatomy.deform import Bend, Waves, rippled
from kneeage.phantom.anatomy.findings import Finding, bar_distance, draw_findings, finding_fields, paint_findings
from kneeage.phantom.anatomy.joint import ARTICULAR_MM
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
from kneeage.phantom.anatomy.slab import Slab, SliceGrid, plane_weights
from kneeage.phantom.anatomy.soft_tissue import SoftTissue, paint_soft_tissue, soft_fields, soft_texture
from kneeage.phantom.anatomy.tissue import MARROW, Tissue
from kneeage.phantom.growth.latents import KneeLatents

# Half-width of the femur that the shapes are given for. Source: measured on one adult knee (gattia/pymskt, MIT).
REFERENCE_HALF_WIDTH_MM = 37.0
# A bar closes the plate around it: distance that counts as the whole radius of the plate, in reference mm
# (``assumed``).
_PLATE_RADIUS = 30.0
# No plate reaches further from its mid-surface.
_PLATE_REACH_MM = 5.0
# The cortex of the shafts begins this far from the joint, has its full thickness so much further on, and is this share
# of the drawn thickness nearer to the joint (``assumed``).
_SHAFT_FROM, _SHAFT_WITHIN, _HAIR = np.float32(34.0), np.float32(18.0), 0.55
# Points over a plate's extent by which the bridged share is counted: lateral, anterior, in reference mm.
_EXTENT = np.meshgrid(np.arange(-40.0, 41.0, 2.0), np.arange(-46.0, 31.0, 2.0))

Tissues = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Fields = Mapping[str, Field]


@dataclass(frozen=True)
class Anatomy:
    """The individual shape of one knee, apart from its latents of growth.

    Args:
        waves: Smooth deformation of everything.
        ripple_phase: Phase of the waves that bend the soft tissue alone, in radians.
        stretch: Factors along x, y, z.
        bend: How the tibia is turned about the joint.
        cortex: Thickness of the cortical bone of fibula and patella, in reference mm; that of femur and tibia is less
            at the joint and more along the shaft.
        bones: Shape of the bones.
        plates: Run of the growth plates.
        soft: Soft tissue.
        marrow: Pattern of the marrow.
        findings: Incidental findings.
    """

    waves: Waves
    ripple_phase: float
    stretch: tuple[float, float, float]
    bend: Bend
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
            bend=Bend.draw(rng),
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
        # Millimetres of a reference mm along the leg.
        self._height = float(self._scale) * anatomy.stretch[2]
        self._cartilage = latents.epiphyseal_cartilage_mm / self._height, ARTICULAR_MM / self._height
        self._closures = self._place_closures()

    def slab(self, grid: SliceGrid, rng: np.random.Generator, planes: int = 5) -> Slab:
        """Paint a slice.

        Args:
            grid: Where it lies.
            rng: Source of the fine texture alone.
            planes: Number of planes through the slice, odd.
        """
        lattice = Lattice(grid, planes)
        fields = lattice.at_pixels(self._fields(*lattice.points()))
        tissue = np.stack([self._paint(plane) for plane in fields])
        plates = self._lay_plates(fields, tissue, grid.pixel_mm)
        middle, here = fields[planes // 2], tissue[planes // 2]
        texture = soft_texture(here, grid.pixel_mm, middle, rng)
        density = self._latents.trabecular_density
        return Slab(
            grid=grid,
            tissue=tissue,
            label=self._label(fields, middle, grid.pixel_mm),
            cartilage=plates.cartilage,
            border=plates.border,
            scar=plates.scar,
            red=self._red(middle, here),
            texture=texture + marrow_texture(here, middle, grid, self._anatomy.marrow, density, rng),
        )

    def labels(self, grid: SliceGrid, planes: int = 5) -> NDArray[np.uint8]:
        """Labels of the slice alone, uint8 (rows, columns); they are those of :meth:`slab`."""
        lattice, centre = Lattice(grid, planes), Lattice(grid, 1)
        through = lattice.at_pixels(_bone_fields(self._bones(*lattice.points())[2]))
        thigh, shin, bones = self._bones(*centre.points())
        middle = centre.at_pixels({**_bone_fields(bones), **self._plate_fields(thigh, shin, bones)})[0]
        return self._label(through, middle, grid.pixel_mm)

    def _bones(self, x: Field, y: Field, z: Field) -> tuple[Place, Place, BoneDistances]:
        """Places in the femur's and the tibia's frame, and the distances to the bones."""
        scaled = [c / np.float32(self._scale * s) for c, s in zip((x, y, z), self._anatomy.stretch, strict=True)]
        thigh = self._anatomy.waves.move(scaled[0], scaled[1], scaled[2])
        shin = self._anatomy.bend.turn(*thigh)
        return thigh, shin, bone_distances(thigh, shin, self._anatomy.bones, self._latents.epiphyseal_roundness)

    def _fields(self, x: Field, y: Field, z: Field) -> dict[str, Field]:
        """All smooth fields at the given points."""
        thigh, shin, bones = self._bones(x, y, z)
        loose = rippled(*thigh, np.float32(self._anatomy.ripple_phase))
        return {
            **dict(zip("xyz", thigh, strict=True)),
            **_bone_fields(bones),
            **soft_fields(thigh, shin, loose, bones, self._anatomy.soft, *self._cartilage),
            **self._plate_fields(thigh, shin, bones),
            **finding_fields(self._anatomy.findings, thigh, shin),
            **self._marrow_fields(thigh, shin, bones),
        }

    def _marrow_fields(self, thigh: Place, shin: Place, bones: BoneDistances) -> dict[str, Field]:
        """Distances to the inner face of the cortex, which is uneven, and the islands of red marrow."""
        islands, cortex = self._anatomy.marrow.islands(*thigh), self._anatomy.cortex
        return {
            "femur_marrow": bones.femur + _cortex(thigh[2], islands, cortex),
            "tibia_marrow": bones.tibia + _cortex(-shin[2], islands, cortex),
            "islands": islands,
        }

    def _plate_fields(self, thigh: Place, shin: Place, bones: BoneDistances) -> dict[str, Field]:
        """Distance, closing front, thickness and scar of each plate."""
        run, height, depth = self._anatomy.plates, self._height, float(self._scale) * self._anatomy.stretch[1]
        distances = {
            "femur": height * _above(run.femoral_surface, thigh, self._latents.femur.undulation_mm / height),
            "tibia": -height * _above(run.tibial_surface, shin, self._latents.tibia.undulation_mm / height),
            "fibula": height * (run.fibular_level - shin[2]),
            "tuberosity": depth * run.tongue_distance(*shin, bones.tibia),
        }
        fields = {f"{plate}_distance": distance for plate, distance in distances.items()}
        for plate, closure in self._closures.items():
            x, y = _over(plate, thigh, shin)
            bar = bar_distance(self._anatomy.findings, plate, x, y)
            found = closure.fields(x, y, None if bar is None else bar / np.float32(_PLATE_RADIUS))
            fields |= {f"{plate}_{name}": field for name, field in zip(_CLOSURE, found, strict=True)}
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
            plate: closure.on(*(fields[f"{plate}_{name}"] for name in (*_CLOSURE, "distance")))
            for plate, closure in self._closures.items()
        }

    def _paint(self, fields: Fields) -> Tissues:
        """Paint one plane."""
        tissue = paint_soft_tissue(fields, self._anatomy.soft, *self._cartilage)
        self._paint_bones(tissue, fields)
        return tissue

    def _lay_plates(self, fields: Sequence[Fields], tissue: Tissues, pixel_mm: float) -> PlateWeights:
        """Mean weights of the plates over the slice, where bone is painted that holds them."""
        total = PlateWeights(*np.zeros((3, *tissue.shape[1:]), np.float32))
        for weight, plane, painted in zip(plane_weights(len(fields)), fields, tissue, strict=True):
            shown = np.take(_HOLDS_PLATES, painted)
            masks = {name: mask & shown for name, mask in _plate_masks(_inside(plane), plane).items()}
            laid = _laid_over(self._plates(plane), masks, pixel_mm)
            for layer, part in zip(total.layers, laid.layers, strict=True):
                np.add(layer, weight * part, out=layer)
        return total

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

    def _label(self, through: Sequence[Fields], fields: Fields, pixel_mm: float) -> NDArray[np.uint8]:
        """Label the middle plane; the bones' distances on all planes tell which are but slivers."""
        inside = _inside_but_slivers(through)
        label = np.zeros(fields["femur"].shape, np.uint8)
        label[inside["patella"]] = Label.PATELLA
        label[inside["fibula"]] = Label.PROXIMAL_FIBULA
        for bone, values in _ZONE_LABELS.items():
            epiphysis = _epiphysis(fields, bone)
            label[inside[bone] & epiphysis], label[inside[bone] & ~epiphysis] = values
        plates, masks = self._plates(fields), _plate_masks(inside, fields)
        for plate, values in _PLATE_LABELS.items():
            label_plate(label, plates[plate], masks[plate], values, pixel_mm)
        return label

    def _red(self, fields: Fields, tissue: Tissues) -> Field:
        """Share of red marrow on one plane."""
        beyond = np.maximum(fields["femur_distance"], fields["tibia_distance"])
        return red_share(tissue, beyond, fields["islands"], self._latents, self._anatomy.marrow.step)


# A bone is a sliver where less than this share of its area reaches through the slice: nobody would outline it.
_SLIVER = 0.2
_BONES = ("femur", "tibia", "fibula", "patella")
# What :meth:`Closure.fields` gives.
_CLOSURE = ("beyond", "thickness", "scar")
# Tissue that plates are seen in: not metal, cysts, bone islands or other lesions.
_HOLDS_PLATES = np.isin(np.arange(256), [int(tissue) for tissue in (*MARROW, Tissue.CORTEX, Tissue.OEDEMA)])
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


def _bone_fields(bones: BoneDistances) -> dict[str, Field]:
    """Distances to the bones by name."""
    return {bone: getattr(bones, bone) for bone in _BONES}


def _inside(fields: Fields) -> dict[str, Mask]:
    """Where each bone is on one plane."""
    return {bone: fields[bone] < 0 for bone in _BONES}


def _inside_but_slivers(through: Sequence[Fields]) -> dict[str, Mask]:
    """Where each bone is on the middle plane; nowhere if hardly any of that reaches through the whole slice."""
    inside = _inside(through[len(through) // 2])
    first, last = _inside(through[0]), _inside(through[-1])
    whole = {bone: np.count_nonzero(inside[bone] & first[bone] & last[bone]) for bone in _BONES}
    return {bone: mask & (whole[bone] >= _SLIVER * np.count_nonzero(mask)) for bone, mask in inside.items()}


def _epiphysis(fields: Fields, bone: str) -> Mask:
    """Where the epiphysis of a bone is; the tuberosity's apophysis belongs to the tibia's."""
    before = fields[f"{bone}_distance"] < 0
    return before if bone == "femur" else before | (fields["tuberosity_distance"] < 0)


def _plate_masks(inside: Mapping[str, Mask], fields: Fields) -> dict[str, Mask]:
    """Where each plate can be: in its bone; the tuberosity's only below the tibia's, which ends at the apophysis."""
    return {
        "femur": inside["femur"],
        "tibia": inside["tibia"] & (fields["tuberosity_distance"] > 0),
        "fibula": inside["fibula"],
        "tuberosity": inside["tibia"] & (fields["tibia_distance"] > 0),
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


def _cortex(away: Field, islands: Field, cortex: float) -> Field:
    """Thickness of the cortex at a distance from the joint: hair-thin and interrupted there, 2 to 3 mm in the shaft.

    Source: a real adult's coronal T1 series; the individual range is ``assumed``.
    """
    shaft = np.clip((away - _SHAFT_FROM) / _SHAFT_WITHIN, 0, 1)
    thin = np.clip(1 + 0.7 * islands, 0, 2) * (1 - shaft)
    return np.asarray(_HAIR * cortex * thin + (1.8 + cortex) * (1 + 0.1 * islands) * shaft, np.float32)
