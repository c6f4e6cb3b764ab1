"""Labels that contradict anatomy."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import DISTAL_FEMUR, PROXIMAL_TIBIA, Label, PlateSite
from kneeage.core.volume import Volume
from kneeage.infer.clean import cleaned_labels
from tests.infer.knees import BONE_COLUMNS, SHAPE, block_knee, edited, without

ALL = slice(None)


def assert_same(found: Volume, wanted: Volume) -> None:
    np.testing.assert_array_equal(found.array, wanted.array)
    np.testing.assert_array_equal(found.affine, wanted.affine)


@pytest.mark.parametrize("open_columns", [36, 10, 0])
def test_a_sound_knee_stays_as_it_is(open_columns: int) -> None:
    knee = block_knee(open_columns=open_columns)
    assert_same(cleaned_labels(knee), knee)


def test_nothing_stays_nothing() -> None:
    nothing = block_knee().with_array(np.zeros((1, *SHAPE), dtype=np.uint8))
    assert_same(cleaned_labels(nothing), nothing)


@pytest.mark.parametrize("label", [Label.DISTAL_FEMUR_METAPHYSIS, Label.DISTAL_FEMUR_PHYSIS, Label.PROXIMAL_FIBULA])
def test_a_stray_spot_in_the_soft_tissue_goes(label: Label) -> None:
    knee = block_knee()
    assert_same(cleaned_labels(edited(knee, (slice(58, 62), slice(10, 14), slice(2, 4)), label)), knee)


def test_a_femoral_plate_inside_the_tibia_becomes_tibia() -> None:
    knee = block_knee()
    stray = edited(knee, (slice(30, 34), slice(75, 77), 4), Label.DISTAL_FEMUR_PHYSIS)
    assert_same(cleaned_labels(stray), knee)


def test_a_plate_at_the_joint_surface_goes() -> None:
    """Cartilage looks like plate; it touches the epiphysis only."""
    knee = block_knee()
    stray = edited(knee, (slice(20, 40), slice(45, 47), ALL), Label.DISTAL_FEMUR_PHYSIS)
    assert_same(cleaned_labels(stray), knee)


def test_a_second_plate_inside_a_zone_becomes_that_zone() -> None:
    knee = block_knee()
    stray = edited(knee, (slice(25, 30), slice(12, 14), 4), Label.DISTAL_FEMUR_PHYSEAL_SCAR)
    assert_same(cleaned_labels(stray), knee)


def test_a_hole_takes_the_nearest_label() -> None:
    knee = block_knee()
    assert_same(cleaned_labels(edited(knee, (slice(22, 26), slice(80, 84), 4), Label.BACKGROUND)), knee)


def test_a_large_hole_is_no_slip() -> None:
    knee = edited(block_knee(), (slice(22, 34), slice(70, 82), 4), Label.BACKGROUND)
    assert_same(cleaned_labels(knee), knee)


def test_another_label_inside_a_bone_is_no_hole() -> None:
    knee = edited(block_knee(), (slice(22, 26), slice(20, 24), ALL), Label.PATELLA)
    assert_same(cleaned_labels(knee), knee)


def test_a_bone_parted_by_an_unlabelled_plate_is_one_bone() -> None:
    knee = edited(block_knee(), (BONE_COLUMNS, slice(31, 33), ALL), Label.BACKGROUND)
    cleaned = cleaned_labels(knee)
    assert (cleaned.array == Label.DISTAL_FEMUR_EPIPHYSIS).any()
    assert (cleaned.array == Label.DISTAL_FEMUR_METAPHYSIS).any()


def test_a_larger_femur_below_the_tibia_loses_to_the_true_one() -> None:
    knee = edited(block_knee(), (slice(0, 14), slice(60, 96), ALL), Label.DISTAL_FEMUR_METAPHYSIS)
    knee = edited(knee, (slice(52, 64), slice(60, 96), ALL), Label.DISTAL_FEMUR_METAPHYSIS)
    cleaned = cleaned_labels(knee)
    femur = np.isin(cleaned.array[0], DISTAL_FEMUR.bone)
    assert not femur[:, 60:].any()
    np.testing.assert_array_equal(cleaned.array[:, :, :45], block_knee().array[:, :, :45])


@pytest.mark.parametrize(("smaller", "kept"), [(DISTAL_FEMUR, PROXIMAL_TIBIA), (PROXIMAL_TIBIA, DISTAL_FEMUR)])
def test_bones_in_the_wrong_order_leave_the_larger_one(smaller: PlateSite, kept: PlateSite) -> None:
    knee = block_knee(open_columns=0)
    upside_down = knee.with_array(knee.array[:, :, ::-1].copy())
    rows = np.flatnonzero(np.isin(upside_down.array[0], smaller.bone).any(axis=(0, 2)))
    cleaned = cleaned_labels(edited(upside_down, (ALL, slice(int(rows[0]), int(rows[0]) + 15), ALL), 0))
    assert np.isin(cleaned.array, kept.bone).any()
    assert not np.isin(cleaned.array, smaller.bone).any()


def test_one_bone_alone_stays() -> None:
    knee = without(block_knee(), *PROXIMAL_TIBIA.bone)
    assert_same(cleaned_labels(knee), knee)


def test_order_is_not_looked_at_across_the_leg() -> None:
    axial = block_knee().reoriented("LPI")
    assert_same(cleaned_labels(axial), axial)


def test_the_input_is_not_changed() -> None:
    knee = edited(block_knee(), (slice(58, 62), slice(10, 14), 2), Label.DISTAL_FEMUR_PHYSIS)
    before = knee.array.copy()
    cleaned_labels(knee)
    np.testing.assert_array_equal(knee.array, before)


def test_both_condyles_of_a_single_posterior_slice_stay() -> None:
    knee = block_knee()
    one_slice = Volume(knee.array[..., 4:5], knee.affine)
    parted = edited(one_slice, (slice(26, 34), slice(0, 50), ALL), Label.BACKGROUND)
    assert_same(cleaned_labels(parted), parted)


def test_a_femur_sized_part_below_the_tibia_is_no_second_condyle() -> None:
    knee = block_knee()
    stray = edited(knee, (slice(0, 14), slice(84, 96), ALL), Label.DISTAL_FEMUR_METAPHYSIS)
    assert_same(cleaned_labels(stray), edited(stray, (slice(0, 14), slice(84, 96), ALL), Label.BACKGROUND))
