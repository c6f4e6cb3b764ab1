"""The label that wins is the one of the largest interpolated probability, computed in full."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.errors import UsageError
from kneeage.core.volume import Volume
from kneeage.prepare.mapping import Chain, winners_backward, winners_forward
from kneeage.prepare.registration import InPlaneRigid
from kneeage.prepare.resample import InPlaneResampling, in_plane_resampling


@pytest.fixture
def plan() -> InPlaneResampling:
    """From 0.31 x 0.9 mm to 0.6 mm: finer on one axis, coarser on the other."""
    volume = Volume(np.zeros((1, 60, 40, 1), np.float32), np.diag([0.31, 0.9, 3, 1]))
    return in_plane_resampling(volume, 0.6)


def probabilities(plan: InPlaneResampling, concentration: float, seed: int = 0) -> np.ndarray:
    """Random probabilities of 7 classes; the smaller the concentration, the surer."""
    shares = np.random.default_rng(seed).dirichlet(np.full(7, concentration), (plan.rows.size, plan.columns.size))
    return np.moveaxis(shares.astype(np.float32), -1, 0)


@pytest.mark.parametrize("concentration", [0.05, 1.0, 20.0])
def test_shortcuts_give_the_same_winners(plan: InPlaneResampling, concentration: float) -> None:
    classes = probabilities(plan, concentration)
    classes[:, 4:, :] = np.eye(7, dtype=np.float32)[2][:, None, None]
    shape = (plan.rows.source_size, plan.columns.source_size)
    np.testing.assert_array_equal(winners_backward(classes, plan, shape), plan.backward(classes).argmax(axis=0))


def test_equal_classes_give_the_first(plan: InPlaneResampling) -> None:
    classes = np.full((4, plan.rows.size, plan.columns.size), 0.25, np.float32)
    assert not winners_backward(classes, plan, (40, 60)).any()


def test_scores_that_are_no_probabilities_are_refused(plan: InPlaneResampling) -> None:
    with pytest.raises(UsageError, match=r"must sum to one; found 3 to 3; use softmax"):
        winners_backward(np.ones((3, plan.rows.size, plan.columns.size), np.float32), plan, (40, 60))


def test_forward_lets_the_largest_share_win(plan: InPlaneResampling) -> None:
    shares = np.zeros((2, 40, 60), np.float32)
    shares[0, :, :30], shares[1, :, 30:] = 1, 1
    won = winners_forward(shares, plan)
    assert won.dtype == np.uint8
    assert won[:, :15].max() == 0
    assert won[:, 16:].min() == 1


def test_empty_chain_changes_nothing() -> None:
    classes = np.moveaxis(np.eye(3, dtype=np.float32)[np.arange(12).reshape(3, 4) % 3], -1, 0)
    np.testing.assert_array_equal(winners_backward(classes, Chain(), (3, 4)), np.arange(12).reshape(3, 4) % 3)


def test_chain_goes_back_in_reverse_order(plan: InPlaneResampling) -> None:
    rigid = InPlaneRigid(0.1, (0.4, -0.7), (plan.rows.size, plan.columns.size), (0.6, 0.6))
    chain = Chain((plan, rigid))
    values = np.random.default_rng(3).random((2, 40, 60), np.float32)
    np.testing.assert_array_equal(chain.forward(values), rigid.forward(plan.forward(values)))
    there = probabilities(plan, 1.0)
    np.testing.assert_array_equal(chain.backward(there), plan.backward(rigid.backward(there)))
    np.testing.assert_array_equal(chain.backward_nearest(there), plan.backward_nearest(rigid.backward_nearest(there)))
    np.testing.assert_array_equal(winners_backward(there, chain, (40, 60)), chain.backward(there).argmax(axis=0))
