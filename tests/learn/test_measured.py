"""Truth beside measurement."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import Label
from kneeage.core.volume import Volume
from kneeage.learn.measured import label_mm3, surface_distance

AFFINE = np.diag([0.5, 0.5, 3.0, 1.0])


def plate(first_row: int, rows: int, slices: tuple[int, ...] = (0, 1)) -> Volume:
    labels = np.zeros((1, 20, 30, 2), np.uint8)
    for k in slices:
        labels[0, 2:18, first_row : first_row + rows, k] = Label.DISTAL_FEMUR_PHYSIS
    return Volume(labels, AFFINE)


def test_equal_outlines_are_no_distance_apart() -> None:
    assert surface_distance(plate(10, 6), plate(10, 6), Label.DISTAL_FEMUR_PHYSIS) == 0


def test_a_shifted_line_is_its_shift_away() -> None:
    """A line of one row, moved by two rows of half a millimetre."""
    assert surface_distance(plate(10, 1), plate(12, 1), Label.DISTAL_FEMUR_PHYSIS) == pytest.approx(1.0)


def test_slices_in_which_one_draws_nothing_do_not_count() -> None:
    assert surface_distance(plate(10, 1), plate(10, 1, slices=(1,)), Label.DISTAL_FEMUR_PHYSIS) == 0
    assert surface_distance(plate(10, 1, slices=(0,)), plate(10, 1, slices=(1,)), Label.DISTAL_FEMUR_PHYSIS) is None


def test_all_of_a_label_counts_wherever_it_lies() -> None:
    """Rows of 16 voxels of half a millimetre, 3 mm deep, in two slices."""
    assert label_mm3(plate(10, 6), Label.DISTAL_FEMUR_PHYSIS) == pytest.approx(16 * 6 * 2 * 0.5 * 0.5 * 3.0)
    assert label_mm3(plate(10, 6), Label.PROXIMAL_TIBIA_PHYSIS) == 0
