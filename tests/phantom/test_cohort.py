"""Tests of whole virtual subjects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kneeage.core.anatomy import Label, Sex, Side
from kneeage.io.read import load
from kneeage.phantom import cohort
from kneeage.phantom.cohort import HOSPITAL_A, VirtualSubject, virtual_subject, write_virtual_dicom

SMALL = replace(HOSPITAL_A, pixels=96, slices=(9, 9), spacing=(8.0, 8.0))


def small_subject(seed: int = 1, **choices: object) -> VirtualSubject:
    return virtual_subject(seed, hospital=SMALL, planes_per_slice=1, **choices)  # type: ignore[arg-type]


def mean_world_x(subject: VirtualSubject, *labels: Label) -> float:
    index = np.argwhere(np.isin(subject.labels.array[0], labels))
    return float(subject.labels.world(index)[:, 0].mean())


def test_a_subject_follows_from_its_seed() -> None:
    first, again = small_subject(), small_subject()
    np.testing.assert_array_equal(first.volume.array, again.volume.array)
    np.testing.assert_array_equal(first.labels.array, again.labels.array)
    assert first.chronological_age_years == again.chronological_age_years


def test_image_and_labels_share_the_grid_that_scanners_store() -> None:
    subject = small_subject()
    np.testing.assert_array_equal(subject.volume.affine, subject.labels.affine)
    assert subject.volume.orientation == "LIP"
    assert subject.volume.array.shape == (1, 96, 96, 9)
    assert 0 <= subject.volume.array.min() <= subject.volume.array.max() <= 4095


@pytest.mark.parametrize(("side", "lateral"), [(Side.RIGHT, 1), (Side.LEFT, -1)])
def test_fibula_lies_lateral_on_either_side(side: Side, lateral: int) -> None:
    subject = small_subject(side=side)
    fibula = mean_world_x(subject, Label.PROXIMAL_FIBULA)
    tibia = mean_world_x(subject, Label.PROXIMAL_TIBIA_EPIPHYSIS)
    assert lateral * (fibula - tibia) > 10
    assert np.sign(tibia) == lateral


def test_a_left_knee_is_the_mirror_image_of_the_right_one() -> None:
    right, left = (small_subject(side=side) for side in (Side.RIGHT, Side.LEFT))
    np.testing.assert_array_equal(right.labels.array, left.labels.array[:, ::-1])


def test_children_are_open_and_adults_closed() -> None:
    child = small_subject(chronological_age_years=10.0, sex=Sex.MALE)
    adult = small_subject(chronological_age_years=25.0, sex=Sex.MALE)
    assert (child.labels.array == Label.DISTAL_FEMUR_PHYSIS).any()
    assert not np.isin(adult.labels.array, (Label.DISTAL_FEMUR_PHYSIS, Label.PROXIMAL_TIBIA_PHYSIS)).any()


def test_two_ages_with_equal_latents_give_identical_images(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = small_subject().latents
    monkeypatch.setattr(cohort, "draw_latents", lambda *_: fixed)
    younger, older = (small_subject(chronological_age_years=age) for age in (9.0, 24.0))
    np.testing.assert_array_equal(younger.volume.array, older.volume.array)


def test_dicom_is_read_back_on_the_same_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohort, "HOSPITAL_A", SMALL)
    monkeypatch.setattr(cohort, "HOSPITAL_B", SMALL)
    subject = write_virtual_dicom(tmp_path / "series", 2)
    series = load(tmp_path / "series")
    assert series.header.virtual
    assert series.header.side is subject.side
    assert series.header.weighting == "T1"
    np.testing.assert_allclose(series.volume.affine, subject.volume.affine, atol=1e-3)
    np.testing.assert_allclose(series.volume.array, subject.volume.array, atol=0.5)
