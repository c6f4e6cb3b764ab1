"""Between volumes and stacks of slices."""

from __future__ import annotations

import numpy as np

from kneeage.infer.slices import from_slices, padded_to_multiple, to_slices


def test_rows_run_along_j_and_columns_along_i() -> None:
    array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    stack = to_slices(array)
    assert stack.shape == (5, 2, 4, 3)
    assert stack[4, 1, 2, 0] == array[1, 0, 2, 4]


def test_chosen_slices_keep_their_order() -> None:
    array = np.arange(5).reshape(1, 1, 1, 5)
    assert to_slices(array, [3, 1]).ravel().tolist() == [3, 1]


def test_from_slices_undoes_to_slices() -> None:
    array = np.random.default_rng(0).random((2, 3, 4, 5))
    np.testing.assert_array_equal(from_slices(to_slices(array)), array)


def test_padding_is_air_below_and_behind() -> None:
    stack = np.stack([np.full((1, 3, 5), 7.0), np.full((1, 3, 5), 2.0)])
    stack[0, 0, 0, 0] = -4
    padded = padded_to_multiple(stack, 4)
    assert padded.shape == (2, 1, 4, 8)
    np.testing.assert_array_equal(padded[:, :, :3, :5], stack)
    assert (padded[0, 0, 3] == -4).all()
    assert (padded[1, 0, :, 5:] == 2).all()


def test_a_fitting_size_is_not_padded() -> None:
    assert padded_to_multiple(np.zeros((1, 1, 64, 32)), 32).shape == (1, 1, 64, 32)
