"""Protocol families of two hospitals: where the slices of a series lie, and with which sequence they are acquired.

Slices are listed in the order in which they are stacked: coronal from the front to the back, sagittal from lateral to
medial (knee coordinates; a left knee is mirrored when it is placed in the world).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeage.core.anatomy import Plane
from kneeage.phantom.anatomy.slab import Axes, SliceGrid, Vector, oblique_axes
from kneeage.phantom.scanner.render import Quality
from kneeage.phantom.scanner.sequence import Range, Sequence, Times, Weighting, draw_sequence

Counts = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """Ranges that the slices of one kind of series are drawn from. Lengths in mm.

    Args:
        field_of_view_mm: Width and height of the image; the largest is less where pixels would pass 0.6 mm.
        pixels: Possible numbers of rows and columns, equally likely; one that is named twice is twice as likely.
        slices: Fewest and most slices; within them, as many as reach through both plates.
        spacing_mm: Distance of neighbouring slices' middles.
        thickness_share: Thickness of a slice as a share of the spacing; the rest is gap.
    """

    field_of_view_mm: Range
    pixels: tuple[int, ...]
    slices: Counts
    spacing_mm: Range
    thickness_share: Range


@dataclass(frozen=True)
class Hospital:
    """A protocol family.

    Args:
        name: Name of the site.
        field_strength_tesla: Of its scanner.
        times: TR, TE and echo trains of its sequences.
        quality: What its scans are like.
        coronal: Slices of its coronal series; likewise ``sagittal``, and ``volumetric`` for 3D series.
        sagittal: Slices of its sagittal series.
        volumetric: Slices of its 3D series.
        obliquity_rad: SD of the turn about the leg, of the tilt and of the roll in the image.
    """

    name: str
    field_strength_tesla: float
    times: Times
    quality: Quality
    coronal: Layout
    sagittal: Layout
    volumetric: Layout
    obliquity_rad: tuple[float, float, float]


# Source: 2D T1 TSE knees are 3 mm thick with a 0.3-0.8 mm gap and have pixels of 0.19-0.35 mm at 3 T, 3D series are
# 0.8-1 mm thick; which hospital has which, how often, and all else here, is assumed. Fine matrices are rarer than in
# real hospitals, because a series costs time by its pixels.
_FINE_PIXELS = 11 * (320,) + 5 * (384,) + 2 * (448,) + (512, 640)
_COARSE_PIXELS = 3 * (256,) + 2 * (320,) + (384,)
HOSPITAL_A = Hospital(
    name="A",
    field_strength_tesla=3.0,
    times={
        Weighting.T1: ((560, 750), (12, 20), (3, 5)),
        Weighting.PD: ((2600, 4000), (24, 40), (6, 10)),
        Weighting.T2: ((3600, 5000), (70, 100), (12, 18)),
    },
    quality=Quality(
        acquired_mm=(0.3, 0.55), noise=(0.006, 0.028), water_snr=(12, 25), normalised=(0.0, 1.1), elements=(6, 10)
    ),
    coronal=Layout((120, 165), _FINE_PIXELS, (18, 40), (2.9, 3.8), (0.87, 0.95)),
    sagittal=Layout((120, 165), _FINE_PIXELS, (18, 40), (2.9, 3.8), (0.87, 0.95)),
    volumetric=Layout((140, 165), (256, 288, 320), (80, 140), (0.8, 0.9), (1.0, 1.0)),
    obliquity_rad=(0.06, 0.045, 0.04),
)
HOSPITAL_B = Hospital(
    name="B",
    field_strength_tesla=1.5,
    times={
        Weighting.T1: ((450, 580), (8, 15), (1, 3)),
        Weighting.PD: ((2000, 3000), (15, 30), (4, 7)),
        Weighting.T2: ((3000, 4200), (60, 85), (9, 14)),
    },
    quality=Quality(
        acquired_mm=(0.5, 0.75),
        noise=(0.018, 0.055),
        water_snr=(11, 20),
        normalised=(0.0, 0.8),
        elements=(2, 4),
        artefacts=1.6,
    ),
    coronal=Layout((140, 200), _COARSE_PIXELS, (18, 40), (3.6, 4.8), (0.84, 0.93)),
    sagittal=Layout((140, 200), _COARSE_PIXELS, (18, 40), (3.6, 4.8), (0.84, 0.93)),
    volumetric=Layout((150, 180), (256, 288), (80, 140), (0.95, 1.0), (1.0, 1.0)),
    obliquity_rad=(0.08, 0.06, 0.06),
)
# Middle of a stack in knee coordinates, mm (to lateral, to the front, upwards), and its SD. Source: assumed.
_CENTRE_MM = np.array([0.0, -9.0, 4.0])
_CENTRE_SD_MM = np.array([2.5, 2.0, 5.0])
# How far the stack reaches through the knee, at least and at most, so that it holds both plates. Source: the plates of
# 150 virtual knees of 8 to 26 years reach from 46 mm behind to 27 mm before the middle, and 40 mm to either side.
_DEPTH_MM: dict[Plane, Range] = {Plane.CORONAL: (82.0, 98.0), Plane.SAGITTAL: (90.0, 110.0)}
# Larger fields of view have larger matrices. Source: pixels of 0.19-0.6 mm in knee protocols.
_LARGEST_PIXEL_MM = 0.6


@dataclass(frozen=True, eq=False)
class Protocol:
    """One series as it is planned.

    Args:
        hospital: The site.
        plane: Coronal or sagittal.
        sequence: Its sequence.
        pixels: Number of rows and of columns.
        pixel_mm: Width of a pixel.
        slices: Number of slices.
        spacing_mm: Distance of neighbouring slices' middles.
        thickness_mm: Thickness of a slice, without the gap.
        obliquity: Turn about the leg, tilt and roll in radians, beyond those of a pure plane.
        centre: Middle of the stack in knee coordinates, mm, shape (3,).
    """

    hospital: Hospital
    plane: Plane
    sequence: Sequence
    pixels: int
    pixel_mm: float
    slices: int
    spacing_mm: float
    thickness_mm: float
    obliquity: tuple[float, float, float]
    centre: Vector

    def axes(self) -> Axes:
        """Unit vectors along the columns, along the rows and to the next slice, in knee coordinates, shape (3,) each.

        Columns run to medial in a coronal slice and to the back in a sagittal one; rows run downwards.
        """
        turn, tilt, roll = self.obliquity
        if self.plane is Plane.CORONAL:
            columns_to, rows_to, to_front = oblique_axes(turn, tilt, roll)
            return columns_to, rows_to, -to_front
        return oblique_axes(turn + np.pi / 2, tilt, roll)

    def grids(self) -> list[SliceGrid]:
        """The slices in the order in which they are stacked (see the module)."""
        columns_to, rows_to, normal = self.axes()
        steps = (np.arange(self.slices) - (self.slices - 1) / 2) * self.spacing_mm
        return [
            SliceGrid(
                centre=self.centre + step * normal,
                columns_to=columns_to,
                rows_to=rows_to,
                normal=normal,
                shape=(self.pixels, self.pixels),
                pixel_mm=self.pixel_mm,
                thickness_mm=self.thickness_mm,
            )
            for step in steps
        ]


def draw_protocol(
    hospital: Hospital,
    rng: np.random.Generator,
    *,
    plane: Plane = Plane.CORONAL,
    weighting: Weighting = Weighting.T1,
    fat_suppressed: bool = False,
    volumetric: bool = False,
) -> Protocol:
    """Draw a series of a hospital.

    Args:
        hospital: The site.
        rng: Source of the variation.
        plane: Coronal or sagittal.
        weighting: T1, PD or T2.
        fat_suppressed: Whether fat is suppressed.
        volumetric: A 3D series of thin slices without gap.
    """
    usual = hospital.coronal if plane is Plane.CORONAL else hospital.sagittal
    layout = hospital.volumetric if volumetric else usual
    pixels = int(rng.choice(layout.pixels))
    smallest, largest = layout.field_of_view_mm
    spacing = float(rng.uniform(*layout.spacing_mm))
    depth = float(rng.uniform(*_DEPTH_MM[plane]))
    turn, tilt, roll = (float(angle) for angle in rng.normal(0, hospital.obliquity_rad))
    return Protocol(
        hospital=hospital,
        plane=plane,
        sequence=draw_sequence(weighting, fat_suppressed, hospital.field_strength_tesla, rng, times=hospital.times),
        pixels=pixels,
        pixel_mm=float(rng.uniform(smallest, max(min(largest, _LARGEST_PIXEL_MM * pixels), smallest))) / pixels,
        slices=int(np.clip(np.ceil(depth / spacing), *layout.slices)),
        spacing_mm=spacing,
        thickness_mm=spacing * float(rng.uniform(*layout.thickness_share)),
        obliquity=(turn, tilt, roll),
        centre=_CENTRE_MM + rng.normal(0, _CENTRE_SD_MM),
    )
