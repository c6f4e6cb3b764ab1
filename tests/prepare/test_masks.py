"""Masks keep their largest part, lose holes, and never take what belongs to another label."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.prepare.masks import clean_labels, close_gaps, fill_holes, largest_component

BONE = (3, 4)


@pytest.fixture
def labels() -> np.ndarray:
    """A bone of two zones over three slices, with a hole, and a stray piece far away."""
    array = np.zeros((20, 20, 3), np.uint8)
    array[4:14, 4:9], array[4:14, 9:14] = 3, 4
    array[8, 11, 1] = 0
    array[17:19, 17:19, 0] = 3
    return array


def test_largest_component_wins(labels: np.ndarray) -> None:
    kept = largest_component(labels > 0)
    assert kept[8, 8, 1]
    assert not kept[17, 17, 0]


def test_components_are_joined_across_slices() -> None:
    mask = np.zeros((5, 5, 3), bool)
    mask[2, 2, :], mask[0, :2, 0] = True, True
    assert largest_component(mask).sum() == 3


def test_empty_mask_stays_empty() -> None:
    empty = np.zeros((3, 3, 1), bool)
    assert not largest_component(empty).any()
    assert not fill_holes(empty).any()


def test_holes_are_filled_within_a_slice_only() -> None:
    mask = np.zeros((5, 5, 3), bool)
    mask[1:4, 1:4, 1] = True
    mask[2, 2, 1] = False
    assert fill_holes(mask)[2, 2, 1]
    tunnel = np.ones((5, 5, 3), bool)
    tunnel[2, 0:3, 1] = False
    assert not fill_holes(tunnel)[2, 1, 1]


def test_gaps_are_closed_and_nothing_is_lost_at_the_edge() -> None:
    mask = np.zeros((6, 6, 1), bool)
    mask[:, 0], mask[:, 2] = True, True
    closed = close_gaps(mask)
    assert closed[2, 1, 0]
    assert (closed & mask).sum() == mask.sum()


def test_bone_is_cleaned(labels: np.ndarray) -> None:
    cleaned = clean_labels(labels, [BONE])
    assert cleaned[8, 11, 1] == 4
    assert not cleaned[16:, 16:].any()
    assert cleaned.dtype == np.uint8


def test_label_inside_a_bone_is_not_overwritten(labels: np.ndarray) -> None:
    labels[8, 11, 1] = 9
    assert clean_labels(labels, [BONE])[8, 11, 1] == 9


def test_labels_of_no_group_are_left_alone(labels: np.ndarray) -> None:
    labels[0, 0, 0] = 8
    assert clean_labels(labels, [BONE])[0, 0, 0] == 8


def test_notch_is_closed_with_the_nearest_label(labels: np.ndarray) -> None:
    labels[6, 4:8, :] = 0
    assert clean_labels(labels, [BONE])[6, 4, 0] == 0
    assert clean_labels(labels, [BONE], closing=1)[6, 5, 0] == 3


def test_absent_bone_changes_nothing(labels: np.ndarray) -> None:
    np.testing.assert_array_equal(clean_labels(labels, [(7,)]), labels)


def test_input_is_left_alone(labels: np.ndarray) -> None:
    before = labels.copy()
    clean_labels(labels, [BONE], closing=2)
    np.testing.assert_array_equal(labels, before)
