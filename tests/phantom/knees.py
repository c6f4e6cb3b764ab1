"""Small virtual knees and slices for the tests of this room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kneeage.core.anatomy import Sex
from kneeage.phantom.anatomy.knee import Anatomy, Knee
from kneeage.phantom.anatomy.slab import SliceGrid, oblique_axes
from kneeage.phantom.growth.latents import PlateLatents
from kneeage.phantom.growth.law import draw_latents

PIXEL_MM = 0.6


def plate(thickness_mm: float = 2.0, bridged: float = 0.0, scar: float = 0.3, **changes: float) -> PlateLatents:
    """A plate with these three latents and plain others."""
    plain = PlateLatents(
        thickness_mm=thickness_mm,
        unevenness=0.05,
        bridged=bridged,
        bridging_posterior_mm=4.0,
        bridging_lateral_mm=0.0,
        patchiness=0.2,
        undulation_mm=0.3,
        border=0.8,
        scar=scar,
    )
    return replace(plain, **changes)


def knee_with(femur: PlateLatents, seed: int = 0, tibia: PlateLatents | None = None) -> Knee:
    """A knee of a 14-year-old with a given femoral (and tibial) plate and no finding."""
    rng = np.random.default_rng(seed)
    latents = draw_latents(14.0, Sex.MALE, rng)
    latents = replace(latents, femur=femur, tibia=tibia or latents.tibia)
    return Knee(replace(Anatomy.draw(rng), findings=()), latents)


def coronal_grid(depth_mm: float = -8.0, pixels: int = 200, thickness_mm: float = 3.0) -> SliceGrid:
    """A coronal slice through the middle of the joint."""
    columns_to, rows_to, normal = oblique_axes(0.0, 0.0, 0.0)
    centre = np.array([0.0, depth_mm, 0.0])
    return SliceGrid(centre, columns_to, rows_to, normal, (pixels, pixels), PIXEL_MM, thickness_mm)


def sagittal_grid(lateral_mm: float = 20.0, pixels: int = 200) -> SliceGrid:
    """A sagittal slice through the lateral condyle."""
    columns_to, rows_to, normal = oblique_axes(np.pi / 2, 0.0, 0.0)
    centre = np.array([lateral_mm, -8.0, 0.0])
    return SliceGrid(centre, columns_to, rows_to, normal, (pixels, pixels), PIXEL_MM, 3.0)
