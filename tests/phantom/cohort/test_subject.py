"""Tests of whole virtual subjects in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kneeage.core.anatomy import Label, Plane, Sex, Side
from kneeage.phantom.anatomy.knee import Anatomy, Knee
from kneeage.phantom.cohort import subject as cohort
from kneeage.phantom.cohort.body import Percentiles
from kneeage.phantom.cohort.subject import (
    HOSPITAL_A,
    HOSPITAL_B,
    Hospital,
    Imaging,
    Purpose,
    VirtualSubject,
    scan,
    stream,
    virtual_subject,
)
from kneeage.phantom.growth.table import TABLE1, TABLE1_TIGHT
from kneeage.phantom.scanner.sequence import Weighting
from tests.phantom.miniature import ONE_PLANE, coarse

SMALL = coarse(HOSPITAL_A, pixels=64, slices=7)


def small_subject(seed: int = 1, **choices: Any) -> VirtualSubject:
    return virtual_subject(seed, hospital=SMALL, **{"imaging": ONE_PLANE, **choices})


def mean_world_x(subject: VirtualSubject, *labels: Label) -> float:
    index = np.argwhere(np.isin(subject.labels.array[0], labels))
    return float(subject.labels.world(index)[:, 0].mean())


def test_a_subject_follows_from_its_seed() -> None:
    first, again = small_subject(), small_subject()
    np.testing.assert_array_equal(first.volume.array, again.volume.array)
    np.testing.assert_array_equal(first.labels.array, again.labels.array)
    assert first.chronological_age_years == again.chronological_age_years
    assert first.subject_id == "V000000000001"


def test_other_seeds_give_other_subjects() -> None:
    assert len({small_subject(seed).chronological_age_years for seed in range(4)}) == 4


@pytest.mark.parametrize(("plane", "codes"), [(Plane.CORONAL, "LIP"), (Plane.SAGITTAL, "PIL")])
@pytest.mark.parametrize("side", [Side.RIGHT, Side.LEFT])
def test_image_and_labels_share_the_grid_that_scanners_store(plane: Plane, codes: str, side: Side) -> None:
    subject = small_subject(imaging=Imaging(plane=plane, planes_per_slice=1), side=side)
    np.testing.assert_array_equal(subject.volume.affine, subject.labels.affine)
    assert subject.plane is plane
    assert subject.volume.orientation == codes
    assert subject.volume.array.shape == (1, 64, 64, 7)
    assert subject.volume.array.dtype == np.float32
    assert 0 <= subject.volume.array.min() <= subject.volume.array.max() <= 4095


@pytest.mark.parametrize("plane", [Plane.CORONAL, Plane.SAGITTAL])
@pytest.mark.parametrize(("side", "lateral"), [(Side.RIGHT, 1), (Side.LEFT, -1)])
def test_fibula_lies_lateral_on_either_side(plane: Plane, side: Side, lateral: int) -> None:
    subject = small_subject(side=side, imaging=Imaging(plane=plane, planes_per_slice=1))
    fibula = mean_world_x(subject, Label.PROXIMAL_FIBULA)
    tibia = mean_world_x(subject, Label.PROXIMAL_TIBIA_EPIPHYSIS)
    assert lateral * (fibula - tibia) > 10
    assert np.sign(tibia) == lateral


def test_a_left_knee_is_the_mirror_image_of_the_right_one() -> None:
    right, left = (small_subject(side=side) for side in (Side.RIGHT, Side.LEFT))
    np.testing.assert_array_equal(right.labels.array, left.labels.array[:, ::-1])


def test_both_planes_show_the_same_knee() -> None:
    child = {"chronological_age_years": 11.0, "sex": Sex.MALE, "side": Side.RIGHT}
    planes = [small_subject(imaging=Imaging(plane=plane, planes_per_slice=1), **child) for plane in list(Plane)[:2]]
    for label in (Label.DISTAL_FEMUR_EPIPHYSIS, Label.PROXIMAL_TIBIA_EPIPHYSIS):
        centres = [s.labels.world(np.argwhere(s.labels.array[0] == label)).mean(axis=0) for s in planes]
        np.testing.assert_allclose(centres[0], centres[1], atol=6)


def test_children_are_open_and_adults_closed() -> None:
    child = small_subject(chronological_age_years=10.0, sex=Sex.MALE)
    adult = small_subject(chronological_age_years=25.0, sex=Sex.MALE)
    assert (child.labels.array == Label.DISTAL_FEMUR_PHYSIS).any()
    assert not np.isin(adult.labels.array, (Label.DISTAL_FEMUR_PHYSIS, Label.PROXIMAL_TIBIA_PHYSIS)).any()


def test_two_ages_with_equal_latents_give_identical_images(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = small_subject().latents
    monkeypatch.setattr(cohort, "draw_latents", lambda *_, **__: fixed)
    younger = small_subject(chronological_age_years=9.0, sex=Sex.FEMALE)
    older = small_subject(chronological_age_years=24.0, sex=Sex.MALE, percentiles=Percentiles(90, 90))
    np.testing.assert_array_equal(younger.volume.array, older.volume.array)
    np.testing.assert_array_equal(younger.labels.array, older.labels.array)


def test_an_image_is_made_of_latents_and_streams_alone() -> None:
    subject = small_subject(chronological_age_years=14.0)
    knee = Knee(Anatomy.draw(stream(subject.seed, Purpose.ANATOMY)), subject.latents)
    volume, labels = scan(knee, subject.protocol, subject.seed, subject.side, planes_per_slice=1)
    np.testing.assert_array_equal(volume.array, subject.volume.array)
    np.testing.assert_array_equal(labels.array, subject.labels.array)


def test_one_purpose_that_draws_more_changes_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = small_subject()
    draw = cohort.draw_latents
    monkeypatch.setattr(cohort, "draw_latents", lambda *a, **k: (draw(*a, **k), a[2].random(1000))[0])
    np.testing.assert_array_equal(small_subject().volume.array, plain.volume.array)


def test_streams_of_a_seed_are_different() -> None:
    assert len({stream(5, purpose).random() for purpose in Purpose}) == len(Purpose)


def test_what_is_given_leaves_the_rest_as_it_was() -> None:
    drawn = small_subject(3)
    given = small_subject(3, chronological_age_years=drawn.chronological_age_years + 1, sex=drawn.sex)
    assert (given.side, given.percentiles) == (drawn.side, drawn.percentiles)
    assert given.protocol.sequence == drawn.protocol.sequence


@pytest.mark.parametrize(("weighting", "fat_suppressed"), [(Weighting.PD, True), (Weighting.T2, False)])
def test_a_contrast_that_is_asked_for_is_acquired(weighting: Weighting, fat_suppressed: bool) -> None:
    imaging = Imaging(weighting=weighting, fat_suppressed=fat_suppressed, planes_per_slice=1)
    subject, usual = small_subject(imaging=imaging), small_subject()
    assert (subject.sequence.weighting, subject.sequence.fat_suppressed) == (weighting, fat_suppressed)
    np.testing.assert_array_equal(subject.labels.array, usual.labels.array)
    assert np.abs(subject.volume.array - usual.volume.array).mean() > 0.05 * usual.volume.array.mean()


def test_a_3d_series_has_thin_slices_without_gap() -> None:
    subject, usual = small_subject(imaging=replace(ONE_PLANE, volumetric=True)), small_subject()
    assert (subject.volumetric, usual.volumetric) == (True, False)
    assert subject.volume.shape[2] == 2 * usual.volume.shape[2]
    assert subject.protocol.thickness_mm == subject.protocol.spacing_mm == usual.protocol.spacing_mm / 2


@pytest.mark.parametrize("hospital", [HOSPITAL_A, HOSPITAL_B])
def test_slices_about_the_sites_are_those_of_the_whole_series(hospital: Hospital) -> None:
    coronal = replace(hospital.coronal, pixels=(128,))
    hospital = replace(hospital, coronal=coronal)
    whole, about = (
        virtual_subject(5, hospital=hospital, imaging=ONE_PLANE, chronological_age_years=11.0, about_the_sites=chosen)
        for chosen in (False, True)
    )
    first = next(
        index
        for index in range(whole.protocol.slices)
        if np.allclose(whole.protocol.grids()[index].centre, about.protocol.grids()[0].centre)
    )
    last = first + about.protocol.slices
    assert about.protocol.slices < 0.75 * whole.protocol.slices
    np.testing.assert_array_equal(about.labels.array, whole.labels.array[..., first:last])
    beyond = np.concatenate([whole.labels.array[..., :first], whole.labels.array[..., last:]], axis=-1)
    plates = (Label.DISTAL_FEMUR_PHYSIS, Label.PROXIMAL_TIBIA_PHYSIS)
    femur, tibia = ((beyond == label).any(axis=(0, 1, 2)) for label in plates)
    assert not (femur & tibia).any()


def test_the_growth_law_can_be_chosen() -> None:
    usual, tight = (small_subject(growth_table=table, chronological_age_years=14) for table in (TABLE1, TABLE1_TIGHT))
    assert usual.latents != tight.latents


def test_a_heavy_child_is_more_mature() -> None:
    light, heavy = (
        small_subject(percentiles=Percentiles(50, weight), chronological_age_years=14.0) for weight in (5, 95)
    )
    assert heavy.latents.femur.thickness_mm < light.latents.femur.thickness_mm


def test_finer_planes_leave_the_labels_as_they_are() -> None:
    five = small_subject(imaging=replace(ONE_PLANE, planes_per_slice=5))
    assert (five.labels.array == small_subject().labels.array).mean() > 0.999
