"""Virtual subjects in memory: a person is drawn, grows, and is scanned in hospital A or hospital B.

A subject follows from its seed, from which every purpose has a random stream of its own. Chronological age and sex
reach an image through the latents of growth alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import Plane, Sex, Side
from kneeage.core.volume import FloatArray, Volume
from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.anatomy.findings import Finding
from kneeage.phantom.anatomy.knee import Anatomy, Knee
from kneeage.phantom.anatomy.slab import Slab
from kneeage.phantom.cohort.body import Percentiles
from kneeage.phantom.growth.latents import KneeLatents
from kneeage.phantom.growth.law import draw_latents
from kneeage.phantom.growth.table import GrowthTable
from kneeage.phantom.scanner.protocol import HOSPITAL_A, HOSPITAL_B, Hospital, Protocol, draw_protocol
from kneeage.phantom.scanner.render import draw_scanner, render
from kneeage.phantom.scanner.sequence import Sequence, Weighting

__all__ = [
    "CORONAL_T1",
    "FORENSIC_AGES_YEARS",
    "HOSPITAL_A",
    "HOSPITAL_B",
    "Hospital",
    "Imaging",
    "Purpose",
    "VirtualSubject",
    "plan_series",
    "scan",
    "scan_slices",
    "stream",
    "subject_name",
    "virtual_subject",
]

FORENSIC_AGES_YEARS = (8.0, 26.0)
# Grey value that marrow in the middle of the knee is written with (assumed), and the largest one: scanners store 12
# bits.
MARROW_GREY_VALUE = 900.0
LARGEST_GREY_VALUE = 4095
# Middle of each knee in world coordinates: 9 cm to the side of the scanner's centre.
_KNEE_OFFSET_MM = 90.0
# Depths between which slices show both plates' sites, front of the knee positive, in half widths of the femur. Source:
# in virtual knees of 8 to 22 years those slices lie between -1.0 and 0.2; the rest is room for oblique slices.
_SITES_DEPTHS = (-1.2, 0.4)
# Where columns, rows and slices go in the images that scanners store.
_STORED = {Plane.CORONAL: "LIP", Plane.SAGITTAL: "PIL"}


class Purpose(IntEnum):
    """What a random stream is for; the numbers are part of every subject and stay as they are."""

    PERSON = 0
    GROWTH = 1
    ANATOMY = 2
    PROTOCOL = 3
    SCANNER = 4
    TEXTURE = 5


@dataclass(frozen=True)
class Imaging:
    """What kind of series is made.

    Args:
        plane: Coronal or sagittal.
        weighting: T1, PD or T2.
        fat_suppressed: Whether the signal of fat is suppressed.
        volumetric: A 3D series of thin slices without gap.
        planes_per_slice: Planes painted through each slice; an odd number.
    """

    plane: Plane = Plane.CORONAL
    weighting: Weighting = Weighting.T1
    fat_suppressed: bool = False
    volumetric: bool = False
    planes_per_slice: int = 5


CORONAL_T1 = Imaging()


@dataclass(frozen=True, eq=False)
class VirtualSubject:
    """One virtual subject with its truth.

    Args:
        seed: What everything follows from.
        chronological_age_years: Decimal age.
        sex: Sex.
        side: Side of the knee.
        percentiles: Height and weight for age and sex.
        latents: True state of growth.
        findings: Incidental findings.
        effusion_mm: Thickness of the fluid in the joint, in reference mm.
        protocol: How the series was acquired.
        volumetric: Whether it is a 3D series.
        volume: The series, float32 (1, I, J, K) of whole grey values from 0 to 4095.
        labels: True labels on the same grid, uint8.
    """

    seed: int
    chronological_age_years: float
    sex: Sex
    side: Side
    percentiles: Percentiles
    latents: KneeLatents
    findings: tuple[Finding, ...]
    effusion_mm: float
    protocol: Protocol
    volumetric: bool
    volume: Volume = field(repr=False)
    labels: Volume = field(repr=False)

    @property
    def subject_id(self) -> str:
        """Name that tells nothing of the subject."""
        return subject_name(self.seed)

    @property
    def hospital(self) -> str:
        """Name of the hospital."""
        return self.protocol.hospital.name

    @property
    def plane(self) -> Plane:
        """Plane of the series."""
        return self.protocol.plane

    @property
    def sequence(self) -> Sequence:
        """Sequence of the series."""
        return self.protocol.sequence


def virtual_subject(
    seed: int,
    *,
    chronological_age_years: float | None = None,
    sex: Sex | None = None,
    side: Side | None = None,
    hospital: Hospital | None = None,
    percentiles: Percentiles | None = None,
    growth_table: GrowthTable | None = None,
    imaging: Imaging = CORONAL_T1,
    about_the_sites: bool = False,
) -> VirtualSubject:
    """Make one virtual subject; what is not given is drawn from the seed.

    Args:
        seed: Non-negative integer.
        chronological_age_years: Decimal age, 6 to 30.
        sex: Sex of the subject.
        side: Left or right knee.
        hospital: Protocol family.
        percentiles: Height and weight for age and sex.
        growth_table: Growth law; that of the ``forensic`` cohort when None.
        imaging: What kind of series is made.
        about_the_sites: Leave out the slices of a coronal series that lie in front of and behind both plates' sites:
            no reader of the plates misses them, and painting takes time.
    """
    person = stream(seed, Purpose.PERSON)
    drawn_age_years = float(person.uniform(*FORENSIC_AGES_YEARS))
    drawn_sex, drawn_side = list(Sex)[person.integers(2)], (Side.RIGHT, Side.LEFT)[person.integers(2)]
    drawn_hospital, drawn_percentiles = (HOSPITAL_A, HOSPITAL_B)[person.integers(2)], Percentiles.draw(person)
    age_years = drawn_age_years if chronological_age_years is None else chronological_age_years
    sex, side, percentiles = sex or drawn_sex, side or drawn_side, percentiles or drawn_percentiles
    latents = draw_latents(
        age_years,
        sex,
        stream(seed, Purpose.GROWTH),
        growth_table,
        height_percentile=percentiles.height,
        weight_percentile=percentiles.weight,
    )
    protocol = plan_series(seed, hospital or drawn_hospital, imaging)
    if about_the_sites:
        protocol = _about_the_sites(protocol, latents.bone_half_width_mm)
    anatomy = Anatomy.draw(stream(seed, Purpose.ANATOMY))
    volume, labels = scan(Knee(anatomy, latents), protocol, seed, side, planes_per_slice=imaging.planes_per_slice)
    return VirtualSubject(
        seed=seed,
        chronological_age_years=age_years,
        sex=sex,
        side=side,
        percentiles=percentiles,
        latents=latents,
        findings=anatomy.findings,
        effusion_mm=anatomy.soft.effusion,
        protocol=protocol,
        volumetric=imaging.volumetric,
        volume=volume,
        labels=labels,
    )


def subject_name(seed: int) -> str:
    """Name a subject by its seed, which tells nothing of it."""
    return f"V{seed:012x}"


def stream(seed: int, purpose: Purpose) -> np.random.Generator:
    """Give the random stream of one purpose, independent of all others of the seed.

    Args:
        seed: Seed of the subject.
        purpose: What it is for.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose,)))


def scan(
    knee: Knee, protocol: Protocol, seed: int, side: Side, *, planes_per_slice: int = CORONAL_T1.planes_per_slice
) -> tuple[Volume, Volume]:
    """Scan a knee: paint and render every slice, and place the stack in the world.

    Args:
        knee: The knee; it carries age and sex in its latents alone.
        protocol: Where the slices lie, and the sequence.
        seed: Seed of the subject, for what is the scanner's and the texture's.
        side: Left or right; a left knee is the mirror image of the right one.
        planes_per_slice: Planes painted through each slice; an odd number.

    Returns:
        The series, float32 (1, I, J, K) of whole grey values, and the labels, uint8, as scanners store them.
    """
    shape = (protocol.slices, protocol.pixels, protocol.pixels)
    images, labels = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    for k, (slab, image) in enumerate(scan_slices(knee, protocol, seed, planes_per_slice)):
        images[k], labels[k] = image, slab.label
    grey = np.clip(np.round(images * MARROW_GREY_VALUE), 0, LARGEST_GREY_VALUE)
    affine, stored = _affine(protocol, side), _STORED[protocol.plane]
    return Volume(_stack(grey), affine).reoriented(stored), Volume(_stack(labels), affine).reoriented(stored)


def scan_slices(
    knee: Knee, protocol: Protocol, seed: int, planes_per_slice: int = CORONAL_T1.planes_per_slice
) -> Iterator[tuple[Slab, Field]]:
    """Paint and render slice after slice.

    Args:
        knee: The knee.
        protocol: Where the slices lie, and the sequence.
        seed: Seed of the subject.
        planes_per_slice: Planes painted through each slice; an odd number.

    Yields:
        The painted slice, and its image, float32 (rows, columns), marrow near 1.
    """
    scanning, texture = stream(seed, Purpose.SCANNER), stream(seed, Purpose.TEXTURE)
    scanner = draw_scanner(protocol.sequence, scanning, quality=protocol.hospital.quality)
    for grid in protocol.grids():
        slab = knee.slab(grid, texture, planes_per_slice)
        yield slab, render(slab, scanner, scanning)


def plan_series(seed: int, hospital: Hospital, imaging: Imaging) -> Protocol:
    """Draw how the series of a subject is acquired.

    Args:
        seed: Seed of the subject.
        hospital: Protocol family.
        imaging: What kind of series.
    """
    return draw_protocol(
        hospital,
        stream(seed, Purpose.PROTOCOL),
        plane=imaging.plane,
        weighting=imaging.weighting,
        fat_suppressed=imaging.fat_suppressed,
        volumetric=imaging.volumetric,
    )


def _about_the_sites(protocol: Protocol, half_width_mm: float) -> Protocol:
    """The same coronal series without the slices that show none or one of the sites."""
    grids = protocol.grids()
    depths = np.array([grid.centre @ grid.normal / grid.normal[1] for grid in grids]) / half_width_mm
    shown = [grids[index] for index in np.flatnonzero((depths > _SITES_DEPTHS[0]) & (depths < _SITES_DEPTHS[1]))]
    return replace(protocol, slices=len(shown), centre=(shown[0].centre + shown[-1].centre) / 2)


def _stack(slices: NDArray[np.generic]) -> NDArray[np.generic]:
    """(slices, rows, columns) -> (1, I, J, K)."""
    return np.ascontiguousarray(np.transpose(slices, (2, 1, 0)))[None]


def _affine(protocol: Protocol, side: Side) -> FloatArray:
    """Voxel-to-world matrix: lateral is the subject's right in a right knee and left in a left one.

    A left knee is the mirror image, so its voxels run the other way in the world until it is stored as scanners do.
    """
    columns_to, rows_to, slices_to = protocol.axes()
    steps = np.column_stack(
        [columns_to * protocol.pixel_mm, rows_to * protocol.pixel_mm, slices_to * protocol.spacing_mm]
    )
    middle = (np.array([protocol.pixels, protocol.pixels, protocol.slices]) - 1) / 2
    mirror = np.diag([1.0 if side is Side.RIGHT else -1.0, 1.0, 1.0])
    affine = np.eye(4)
    affine[:3, :3] = mirror @ steps
    affine[:3, 3] = mirror @ (protocol.centre + np.array([_KNEE_OFFSET_MM, 0.0, 0.0]) - steps @ middle)
    return affine
