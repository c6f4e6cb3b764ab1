"""Tests of the painted knee: what is where, and what the plates look like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kneeage.core.anatomy import Label, Sex
from kneeage.phantom.anatomy import Anatomy, Knee, Painting
from kneeage.phantom.growth import KneeLatents, PlateLatents, draw_latents
from kneeage.phantom.tissue import Tissue

PIXEL_MM = 0.6


def knee_with(femur: PlateLatents, seed: int = 0) -> Knee:
    rng = np.random.default_rng(seed)
    latents = draw_latents(14.0, Sex.MALE, rng)
    return Knee(Anatomy.draw(rng), replace(latents, femur=femur), PIXEL_MM)


def coronal(knee: Knee, depth_mm: float = -8.0, pixels: int = 200) -> Painting:
    steps = ((np.arange(pixels) - pixels / 2) * PIXEL_MM).astype(np.float32)
    x, z = np.meshgrid(-steps, -steps)
    return knee.paint(x, np.full_like(x, depth_mm), z)


def test_femur_lies_above_tibia_and_fibula_lateral() -> None:
    painting = coronal(knee_with(PlateLatents(2.0, 0.0, 0.3)), depth_mm=-34.0)
    rows, columns = np.indices(painting.label.shape)
    femur = np.isin(painting.label, (Label.DISTAL_FEMUR_EPIPHYSIS, Label.DISTAL_FEMUR_METAPHYSIS))
    tibia = np.isin(painting.label, (Label.PROXIMAL_TIBIA_EPIPHYSIS, Label.PROXIMAL_TIBIA_METAPHYSIS))
    fibula = painting.label == Label.PROXIMAL_FIBULA
    assert rows[femur].mean() < rows[tibia].mean()
    assert columns[fibula].mean() < columns[tibia].mean()  # lateral is to the left of a right-like knee


def test_open_plate_separates_epiphysis_and_metaphysis() -> None:
    label = coronal(knee_with(PlateLatents(2.4, 0.0, 0.3))).label
    plate_columns = (label == Label.DISTAL_FEMUR_PHYSIS).any(axis=0)
    bone_columns = (label == Label.DISTAL_FEMUR_METAPHYSIS).any(axis=0)
    assert (plate_columns & bone_columns).sum() >= 0.9 * bone_columns.sum()
    assert not (label == Label.DISTAL_FEMUR_PHYSEAL_SCAR).any()


@pytest.mark.parametrize("thickness_mm", [1.2, 2.0, 3.0])
def test_plate_has_the_thickness_of_its_latent(thickness_mm: float) -> None:
    label = coronal(knee_with(PlateLatents(thickness_mm, 0.0, 0.3))).label
    columns = slice(90, 110)  # near the notch the plate runs level
    vertical_mm = (label[:, columns] == Label.DISTAL_FEMUR_PHYSIS).sum(axis=0) * PIXEL_MM
    assert np.median(vertical_mm) == pytest.approx(thickness_mm, abs=0.45 * thickness_mm + PIXEL_MM / 2)


def test_closed_plate_leaves_a_scar_and_no_open_plate() -> None:
    painting = coronal(knee_with(PlateLatents(1.0, 1.0, 0.6)))
    assert not (painting.label == Label.DISTAL_FEMUR_PHYSIS).any()
    assert (painting.label == Label.DISTAL_FEMUR_PHYSEAL_SCAR).any()
    assert painting.plates.scar.max() > 0.3


def test_faded_scar_is_not_labelled() -> None:
    label = coronal(knee_with(PlateLatents(1.0, 1.0, 0.05))).label
    assert not (label == Label.DISTAL_FEMUR_PHYSEAL_SCAR).any()


def test_bridging_begins_in_the_middle() -> None:
    label = coronal(knee_with(PlateLatents(1.2, 0.5, 0.4)), depth_mm=-9.0).label
    is_open = (label == Label.DISTAL_FEMUR_PHYSIS).any(axis=0)
    site = is_open | (label == Label.DISTAL_FEMUR_PHYSEAL_SCAR).any(axis=0)
    middle, ends = np.array_split(np.flatnonzero(site), 3)[1], np.array_split(np.flatnonzero(site), 3)[::2]
    assert is_open[middle].mean() < is_open[np.concatenate(ends)].mean()


def test_a_knee_is_painted_alike_each_time() -> None:
    first, second = (coronal(knee_with(PlateLatents(2.0, 0.0, 0.3), seed=7)) for _ in range(2))
    np.testing.assert_array_equal(first.tissue, second.tissue)
    np.testing.assert_array_equal(first.label, second.label)


def test_slices_far_in_front_hold_air_alone() -> None:
    assert (coronal(knee_with(PlateLatents(2.0, 0.0, 0.3)), depth_mm=120.0).tissue == Tissue.AIR).all()


def test_latents_are_all_that_the_knee_is_told() -> None:
    """Nothing but latents and shape enters a painting: there is no way for the age itself to reach the image."""
    assert {"chronological_age_years", "age", "sex"}.isdisjoint(KneeLatents.__dataclass_fields__)
    assert {"chronological_age_years", "age", "sex"}.isdisjoint(Anatomy.__dataclass_fields__)
