"""Virtual subjects as whole series: hospital A and hospital B, right and left knees, written as DICOM.

A subject follows from its seed alone. Ages of the ``forensic`` cohort are uniform over 8 to 26 years, both sexes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kneeage.core.anatomy import Sex, Side
from kneeage.core.volume import FloatArray, Volume
from kneeage.phantom.anatomy import Anatomy, Knee
from kneeage.phantom.growth import KneeLatents, draw_latents
from kneeage.phantom.pool import oblique_axes
from kneeage.phantom.scanner import Scanner, Slab, draw_t1_scanner, paint_slab, render

FORENSIC_AGES_YEARS = (8.0, 26.0)
# Grey value that marrow is written with; scanners store 12 bits.
MARROW_GREY_VALUE = 900.0
# Middle of each knee in world coordinates: 9 cm to the side of the scanner's centre.
_KNEE_OFFSET_MM = 90.0
# Scanners store coronal slices with columns to the subject's left and rows downwards.
_STORED = "LIP"


@dataclass(frozen=True)
class Hospital:
    """A protocol family: ranges a series is drawn from. Lengths in mm.

    Source: slices 3 mm with a 0.3-0.8 mm gap and 0.19-0.6 mm pixels are usual for 2D T1 TSE knees; which hospital has
    which is ``assumed``.
    """

    name: str
    field_of_view: tuple[float, float]
    pixels: int
    slices: tuple[int, int]
    spacing: tuple[float, float]
    thickness_share: float
    noisy: float
    field_strength_tesla: float


HOSPITAL_A = Hospital("A", (150, 165), 272, (22, 25), (3.3, 3.8), 0.87, 1.0, 3.0)
HOSPITAL_B = Hospital("B", (160, 180), 256, (20, 23), (3.8, 4.5), 0.90, 1.7, 1.5)


@dataclass(frozen=True, eq=False)
class VirtualSubject:
    """One virtual subject with its truth.

    Args:
        seed: What everything follows from.
        chronological_age_years: Decimal age.
        sex: Sex.
        side: Side of the knee.
        hospital: Name of the protocol family.
        latents: True state of growth.
        volume: T1-weighted series, float32 (1, I, J, K) of grey values from 0 to 4095.
        labels: True labels on the same grid, uint8.
        slice_thickness_mm: Thickness of a slice, without the gap.
        field_strength_tesla: Of the protocol.
    """

    seed: int
    chronological_age_years: float
    sex: Sex
    side: Side
    hospital: str
    latents: KneeLatents
    volume: Volume
    labels: Volume
    slice_thickness_mm: float
    field_strength_tesla: float


def virtual_subject(
    seed: int,
    *,
    chronological_age_years: float | None = None,
    sex: Sex | None = None,
    side: Side | None = None,
    hospital: Hospital | None = None,
    planes_per_slice: int = 3,
) -> VirtualSubject:
    """Make one virtual subject; what is not given is drawn from the seed.

    Args:
        seed: Non-negative integer.
        chronological_age_years: Decimal age, 6 to 30.
        sex: Sex of the subject.
        side: Left or right knee.
        hospital: Protocol family.
        planes_per_slice: Planes painted through each slice; an odd number.
    """
    rng = np.random.default_rng(seed)
    drawn_age, drawn_sex, drawn_side, drawn_hospital = (
        float(rng.uniform(*FORENSIC_AGES_YEARS)),
        (Sex.MALE, Sex.FEMALE)[rng.integers(2)],
        (Side.RIGHT, Side.LEFT)[rng.integers(2)],
        (HOSPITAL_A, HOSPITAL_B)[rng.integers(2)],
    )
    age_years = drawn_age if chronological_age_years is None else chronological_age_years
    sex, side, hospital = sex or drawn_sex, side or drawn_side, hospital or drawn_hospital
    latents = draw_latents(age_years, sex, rng)
    grid = _draw_grid(hospital, rng)
    knee = Knee(Anatomy.draw(rng), latents, grid.pixel_mm)
    scanner = draw_t1_scanner(rng, latents.red_marrow, noisy=hospital.noisy)
    volume, labels = _acquire(knee, scanner, grid, side, planes_per_slice, rng)
    return VirtualSubject(
        seed=seed,
        chronological_age_years=age_years,
        sex=sex,
        side=side,
        hospital=hospital.name,
        latents=latents,
        volume=volume,
        labels=labels,
        slice_thickness_mm=grid.thickness_mm,
        field_strength_tesla=hospital.field_strength_tesla,
    )


def write_virtual_dicom(folder: Path, seed: int) -> VirtualSubject:
    """Make a virtual subject and write its series as DICOM.

    Args:
        folder: Folder to write into; it is made if it is not there.
        seed: What the subject follows from.

    Raises:
        OutputError: The folder cannot be written.
    """
    # Making subjects needs numpy and scipy alone; only writing them needs the DICOM libraries.
    from kneeage.core.manifest import VIRTUAL_IMAGE_MARK
    from kneeage.io.write import DicomHeader, write_dicom_series

    subject = virtual_subject(seed)
    header = DicomHeader(
        uid_seed=f"kneeage virtual subject {seed}",
        subject_id=f"VIRTUAL-{seed}",
        sex=subject.sex,
        side=subject.side,
        description="Cor T1 TSE knee (virtual)",
        manufacturer=VIRTUAL_IMAGE_MARK,
        model=f"hospital {subject.hospital}",
        repetition_time_ms=560.0,
        echo_time_ms=14.0,
        echo_train_length=3,
        field_strength_tesla=subject.field_strength_tesla,
        slice_thickness_mm=subject.slice_thickness_mm,
    )
    write_dicom_series(folder, subject.volume, header=header)
    return subject


@dataclass(frozen=True)
class _Grid:
    """Where a series lies, in knee coordinates (a right-like knee)."""

    pixels: int
    pixel_mm: float
    slices: int
    spacing_mm: float
    thickness_mm: float
    columns_to: FloatArray
    rows_to: FloatArray
    slices_to: FloatArray
    centre: FloatArray

    def first_voxel(self) -> FloatArray:
        """Knee coordinates of the first voxel, in mm."""
        half = self.pixel_mm * (self.pixels - 1) / 2
        depth = self.spacing_mm * (self.slices - 1) / 2
        return self.centre - half * (self.columns_to + self.rows_to) - depth * self.slices_to


def _draw_grid(hospital: Hospital, rng: np.random.Generator) -> _Grid:
    """Draw where a coronal series of this hospital lies."""
    columns_to, rows_to, to_front = oblique_axes(rng.normal(0, 0.07), rng.normal(0, 0.05), rng.normal(0, 0.05))
    spacing = rng.uniform(*hospital.spacing)
    return _Grid(
        pixels=hospital.pixels,
        pixel_mm=float(rng.uniform(*hospital.field_of_view)) / hospital.pixels,
        slices=int(rng.integers(hospital.slices[0], hospital.slices[1] + 1)),
        spacing_mm=float(spacing),
        thickness_mm=float(spacing * hospital.thickness_share),
        columns_to=columns_to,
        rows_to=rows_to,
        slices_to=-to_front,
        centre=np.array([rng.normal(0, 5), rng.normal(-9, 3), rng.normal(4, 7)]),
    )


def _acquire(
    knee: Knee, scanner: Scanner, grid: _Grid, side: Side, planes: int, rng: np.random.Generator
) -> tuple[Volume, Volume]:
    """Paint and render every slice, and place the stack in the world."""
    slabs = [_paint(knee, grid, k, planes) for k in range(grid.slices)]
    images = np.stack([render(slab, scanner, grid.pixel_mm, rng) for slab in slabs])
    labels = np.stack([slab.label for slab in slabs])
    affine = _affine(grid, side)
    grey = np.clip(np.round(images * MARROW_GREY_VALUE), 0, 4095).astype(np.float32)
    volume, label_volume = Volume(_stack(grey), affine), Volume(_stack(labels), affine)
    return volume.reoriented(_STORED), label_volume.reoriented(_STORED)


def _paint(knee: Knee, grid: _Grid, k: int, planes: int) -> Slab:
    """Paint slice ``k``."""
    steps = np.arange(grid.pixels) * grid.pixel_mm
    first = grid.first_voxel() + k * grid.spacing_mm * grid.slices_to
    points = [first[n] + grid.columns_to[n] * steps[None, :] + grid.rows_to[n] * steps[:, None] for n in range(3)]
    x, y, z = (p.astype(np.float32) for p in points)
    return paint_slab(knee, x, y, z, grid.slices_to.astype(np.float32), grid.thickness_mm, planes)


def _stack(
    slices: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """(slices, rows, columns) -> (1, I, J, K)."""
    return np.ascontiguousarray(np.transpose(slices, (2, 1, 0)))[None]


def _affine(grid: _Grid, side: Side) -> FloatArray:
    """Voxel-to-world matrix: lateral is the subject's right in a right knee and left in a left one.

    A left knee is the mirror image, so its columns run the other way in the world until it is stored as scanners do.
    """
    mirror = np.diag([1.0 if side is Side.RIGHT else -1.0, 1.0, 1.0])
    affine = np.eye(4)
    affine[:3, 0] = mirror @ grid.columns_to * grid.pixel_mm
    affine[:3, 1] = mirror @ grid.rows_to * grid.pixel_mm
    affine[:3, 2] = mirror @ grid.slices_to * grid.spacing_mm
    affine[:3, 3] = mirror @ (grid.first_voxel() + np.array([_KNEE_OFFSET_MM, 0.0, 0.0]))
    return affine
