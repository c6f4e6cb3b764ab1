"""Tests of the painted knee: what is where, and what the plates look like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from kneeage.core.anatomy import Label, Sex
from kneeage.phantom.anatomy.findings import Finding, FindingKind
from kneeage.phantom.anatomy.joint import ARTICULAR_MM
from kneeage.phantom.anatomy.knee import Anatomy, Knee
from kneeage.phantom.anatomy.slab import Slab, plane_weights
from kneeage.phantom.anatomy.tissue import MARROW, Tissue
from kneeage.phantom.growth.latents import KneeLatents
from kneeage.phantom.growth.law import draw_latents
from tests.phantom.knees import PIXEL_MM, coronal_grid, knee_with, plate, sagittal_grid

FEMUR = (Label.DISTAL_FEMUR_EPIPHYSIS, Label.DISTAL_FEMUR_METAPHYSIS)
TIBIA = (Label.PROXIMAL_TIBIA_EPIPHYSIS, Label.PROXIMAL_TIBIA_METAPHYSIS)


def labels(knee: Knee, depth_mm: float = -8.0) -> NDArray[np.uint8]:
    return knee.labels(coronal_grid(depth_mm))


def slab(knee: Knee, depth_mm: float = -8.0) -> Slab:
    return knee.slab(coronal_grid(depth_mm), np.random.default_rng(0))


def test_femur_lies_above_tibia_and_fibula_lateral() -> None:
    label = labels(knee_with(plate()), -34.0)
    rows, columns = np.indices(label.shape)
    assert rows[np.isin(label, FEMUR)].mean() < rows[np.isin(label, TIBIA)].mean()
    # Lateral is to the left of a right-like knee.
    assert columns[label == Label.PROXIMAL_FIBULA].mean() < columns[np.isin(label, TIBIA)].mean()


def test_patella_lies_in_front() -> None:
    label = knee_with(plate()).labels(sagittal_grid(3.0))
    columns = np.indices(label.shape)[1]
    assert columns[label == Label.PATELLA].mean() < columns[np.isin(label, FEMUR)].mean()


def test_open_plate_separates_epiphysis_and_metaphysis() -> None:
    label = labels(knee_with(plate(2.4)))
    plate_columns = (label == Label.DISTAL_FEMUR_PHYSIS).any(axis=0)
    bone_columns = (label == Label.DISTAL_FEMUR_METAPHYSIS).any(axis=0)
    assert (plate_columns & bone_columns).sum() >= 0.9 * bone_columns.sum()
    assert not (label == Label.DISTAL_FEMUR_PHYSEAL_SCAR).any()


@pytest.mark.parametrize("thickness_mm", [1.2, 2.0, 3.0])
def test_plate_has_the_thickness_of_its_latent(thickness_mm: float) -> None:
    label = labels(knee_with(plate(thickness_mm, undulation_mm=0.0)))
    vertical_mm = (label == Label.DISTAL_FEMUR_PHYSIS).sum(axis=0) * PIXEL_MM
    assert np.median(vertical_mm[vertical_mm > 0]) == pytest.approx(thickness_mm, abs=0.25 * thickness_mm + PIXEL_MM)


@pytest.mark.parametrize("bone_half_width_mm", [28.0, 44.0])
def test_a_plate_is_as_thick_in_a_small_bone_as_in_a_large_one(bone_half_width_mm: float) -> None:
    """Thickness is in mm, whatever the size of the bone: a plate that grew with it would be a fifth off and more."""
    rng = np.random.default_rng(0)
    grown = replace(
        draw_latents(14.0, Sex.MALE, rng),
        femur=plate(4.0, undulation_mm=0.0),
        bone_half_width_mm=bone_half_width_mm,
    )
    label = Knee(replace(Anatomy.draw(rng), findings=()), grown).labels(
        replace(coronal_grid(), pixel_mm=0.2, shape=(600, 600))
    )
    vertical_mm = (label == Label.DISTAL_FEMUR_PHYSIS).sum(axis=0) * 0.2
    assert np.median(vertical_mm[vertical_mm > 0]) == pytest.approx(4.0, abs=0.4)


@pytest.mark.parametrize("stretch", [0.88, 1.12])
def test_a_stretched_knee_keeps_the_thickness_of_its_plates_and_of_its_cartilage(stretch: float) -> None:
    rng = np.random.default_rng(0)
    latents = replace(
        draw_latents(14.0, Sex.MALE, rng), femur=plate(4.0, undulation_mm=0.0), epiphyseal_cartilage_mm=ARTICULAR_MM
    )
    knee = Knee(replace(Anatomy.draw(rng), findings=(), stretch=(1.0, 1.0, stretch)), latents)
    label = knee.labels(replace(coronal_grid(), pixel_mm=0.2, shape=(600, 600)))
    vertical_mm = (label == Label.DISTAL_FEMUR_PHYSIS).sum(axis=0) * 0.2
    assert np.median(vertical_mm[vertical_mm > 0]) == pytest.approx(4.0, abs=0.3)
    assert not (slab(knee).tissue == Tissue.EPIPHYSEAL_CARTILAGE).any()


def test_cartilage_of_a_small_bone_is_as_thick_as_its_latent() -> None:
    rng = np.random.default_rng(0)
    small = replace(draw_latents(17.0, Sex.MALE, rng), bone_half_width_mm=28.0, epiphyseal_cartilage_mm=ARTICULAR_MM)
    painted = slab(Knee(replace(Anatomy.draw(rng), findings=()), small), -16.0)
    assert (painted.tissue == Tissue.CARTILAGE).any()
    assert not (painted.tissue == Tissue.EPIPHYSEAL_CARTILAGE).any()


@pytest.mark.parametrize(("height_mm", "thinnest_mm", "thickest_mm"), [(22.0, 0.0, 0.9), (56.0, 1.7, 3.8)])
def test_cortex_is_thin_at_the_joint_and_thick_along_the_shaft(
    height_mm: float, thinnest_mm: float, thickest_mm: float
) -> None:
    pixel_mm, found = 0.25, []
    for seed in range(6):
        grid = replace(coronal_grid(), centre=np.array([0.0, -4.0, height_mm]), pixel_mm=pixel_mm)
        tissue = knee_with(plate(), seed).slab(replace(grid, shape=(9, 400)), np.random.default_rng(0)).middle[4]
        marrow = np.flatnonzero(np.isin(tissue, MARROW))
        outside = tissue[: marrow[0]][::-1], tissue[marrow[-1] + 1 :]
        found += [float((side != Tissue.CORTEX).argmax()) * pixel_mm for side in outside]
    assert thinnest_mm <= np.median(found) <= thickest_mm


def test_closed_plate_leaves_a_scar_and_no_open_plate() -> None:
    painted = slab(knee_with(plate(1.0, 1.0, 0.6)))
    assert not (painted.label == Label.DISTAL_FEMUR_PHYSIS).any()
    assert (painted.label == Label.DISTAL_FEMUR_PHYSEAL_SCAR).any()
    assert painted.scar.max() > 0.3


def test_faded_scar_is_not_labelled() -> None:
    assert not (labels(knee_with(plate(1.0, 1.0, 0.05))) == Label.DISTAL_FEMUR_PHYSEAL_SCAR).any()


@pytest.mark.parametrize("bridged", [0.25, 0.5, 0.75])
def test_bridged_share_of_the_plate_is_what_its_latent_says(bridged: float) -> None:
    knee = knee_with(plate(1.2, bridged, 0.6, undulation_mm=0.0), tibia=plate())
    open_pixels, site_pixels = 0, 0
    for depth in np.arange(-36.0, 22.0, 4.0):
        label = labels(knee, depth)
        is_open = (label == Label.DISTAL_FEMUR_PHYSIS).any(axis=0)
        open_pixels += int(is_open.sum())
        site_pixels += int((is_open | (label == Label.DISTAL_FEMUR_PHYSEAL_SCAR).any(axis=0)).sum())
    assert 1 - open_pixels / site_pixels == pytest.approx(bridged, abs=0.1)


def test_bridging_begins_in_the_middle() -> None:
    label = labels(knee_with(plate(1.2, 0.5, 0.6)), -9.0)
    is_open = (label == Label.DISTAL_FEMUR_PHYSIS).any(axis=0)
    site = np.flatnonzero(is_open | (label == Label.DISTAL_FEMUR_PHYSEAL_SCAR).any(axis=0))
    first, middle, last = np.array_split(site, 3)
    assert is_open[middle].mean() < is_open[np.concatenate([first, last])].mean()


def test_tuberosity_has_a_plate_of_its_own_in_front() -> None:
    knee = knee_with(plate(), tibia=plate())
    depths = (-30.0, -4.0, 0.0, 4.0, 8.0)
    counts = [int((labels(knee, depth) == Label.TIBIAL_TUBEROSITY_PHYSIS).sum()) for depth in depths]
    assert counts[0] == 0
    assert max(counts) > 0


@pytest.mark.parametrize("depth_mm", [-40.0, -4.0, 24.0])
def test_labels_alone_are_those_of_the_painted_slice(depth_mm: float) -> None:
    knee = knee_with(plate(1.2, 0.4))
    np.testing.assert_array_equal(labels(knee, depth_mm), slab(knee, depth_mm).label)


def test_a_sliver_of_bone_has_no_label() -> None:
    knee, rng = knee_with(plate()), np.random.default_rng(0)
    for lateral_mm in np.arange(-46.0, 47.0, 1.0):
        painted = knee.slab(sagittal_grid(lateral_mm), rng)
        femur = np.isin(painted.label, (*FEMUR, Label.DISTAL_FEMUR_PHYSIS))
        whole = femur & np.isin(painted.tissue, [Tissue.CORTEX, *MARROW]).all(axis=0)
        assert whole.sum() >= 0.2 * femur.sum()


def test_plates_are_weighed_by_the_profile_of_the_slice_as_tissue_is() -> None:
    """One plane of five alone holds the plate of a slice that lies in the plate: its faces count less."""
    knee, grid = knee_with(plate(1.0, undulation_mm=0.0), tibia=plate(1.0)), coronal_grid(-8.0)
    level = replace(grid, centre=np.array([14.0, -8.0, 34.0]), rows_to=grid.normal, normal=-grid.rows_to)
    thick = knee.slab(replace(level, thickness_mm=20.0), np.random.default_rng(0))
    single = [
        knee.slab(replace(level, centre=level.centre + share * 20.0 * level.normal), np.random.default_rng(0), 1)
        for share in (-0.4, -0.2, 0.0, 0.2, 0.4)
    ]
    expected = sum(w * plane.border for w, plane in zip(plane_weights(5), single, strict=True))
    assert np.abs(thick.border - expected).mean() < 0.1 * expected.mean()


def test_plates_do_not_shine_through_what_hides_them() -> None:
    rng = np.random.default_rng(0)
    latents = replace(draw_latents(12.0, Sex.MALE, rng), femur=plate(3.0))
    anatomy = Anatomy.draw(rng)
    for kind in (FindingKind.METAL_VOID, FindingKind.CYST, FindingKind.BONE_ISLAND):
        finding = Finding(kind, "femur", (10.0, -8.0, 33.0), 8.0)
        painted = slab(Knee(replace(anatomy, findings=(finding,)), latents))
        hidden = np.isin(painted.tissue, [Tissue.METAL, Tissue.CYST, Tissue.BONE_ISLAND]).all(axis=0)
        assert hidden.any()
        assert (painted.cartilage + painted.border)[hidden].max() == 0


def test_a_knee_is_painted_alike_each_time() -> None:
    first, second = (slab(knee_with(plate(), seed=7)) for _ in range(2))
    for name in ("tissue", "label", "cartilage", "border", "scar", "red", "texture"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_a_thick_slice_mixes_its_planes() -> None:
    tissue = slab(knee_with(plate()), 22.0).tissue
    assert tissue.shape[0] == 5
    assert (tissue[0] != tissue[-1]).mean() > 0.01


def test_slices_far_in_front_hold_air_alone() -> None:
    assert (slab(knee_with(plate()), 120.0).tissue == Tissue.AIR).all()


def test_a_finding_is_painted_inside_its_bone() -> None:
    rng = np.random.default_rng(0)
    island = Finding(FindingKind.BONE_ISLAND, "tibia", (15.0, -15.0, -30.0), 4.0)
    latents = replace(draw_latents(14.0, Sex.MALE, rng), tibia=plate())
    knee = Knee(replace(Anatomy.draw(rng), findings=(island,)), latents)
    painted = [slab(knee, depth_mm) for depth_mm in np.arange(-30.0, 0.0, 3.0)]
    found = np.concatenate([plane.label[plane.middle == Tissue.BONE_ISLAND] for plane in painted])
    assert found.size
    assert np.isin(found, [*TIBIA, Label.PROXIMAL_TIBIA_PHYSIS]).all()


def test_a_bar_closes_an_open_plate_about_it() -> None:
    rng = np.random.default_rng(0)
    bar = Finding(FindingKind.PHYSEAL_BAR, "femur", (0.0, -8.0, 33.0), 7.0)
    latents = replace(draw_latents(12.0, Sex.MALE, rng), femur=plate(2.0, 0.0, 0.6))
    label = labels(Knee(replace(Anatomy.draw(rng), findings=(bar,)), latents), -8.0)
    assert (label == Label.DISTAL_FEMUR_PHYSEAL_SCAR).any()
    assert (label == Label.DISTAL_FEMUR_PHYSIS).any()


def test_latents_are_all_that_the_knee_is_told() -> None:
    """Nothing but latents and shape enters a painting: there is no way for the age itself to reach the image."""
    assert {"chronological_age_years", "age", "sex"}.isdisjoint(KneeLatents.__dataclass_fields__)
    assert {"chronological_age_years", "age", "sex"}.isdisjoint(Anatomy.__dataclass_fields__)
