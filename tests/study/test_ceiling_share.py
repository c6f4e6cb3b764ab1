"""Fractions of the ceiling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kneeage.phantom.cohort.ceiling import Reader, ceiling
from kneeage.phantom.cohort.presets import PRESETS
from kneeage.study.ceiling_share import accuracy_share, ceiling_shares
from kneeage.study.metrics import Overall, accuracy
from kneeage.study.predictions import Group, one_vote
from kneeage.study.resampling import Resampling
from tests.study import tables


def test_shares_of_what_is_possible() -> None:
    best = ceiling(PRESETS["table1"], Reader.MEASURED, 200, 0)
    reached = Overall(
        rows=200,
        accuracy=0.9 * best.exact_year.value,
        macro_recall=0.95 * best.macro_recall.value,
        within_one_year=0.8 * best.within_one_year.value,
        mean_absolute_error_years=best.mean_absolute_error_years.value / 0.7,
        root_mean_square_error_years=1.0,
        mean_error_years=0.1,
    )
    expected = {"accuracy": 0.9, "macro_recall": 0.95, "within_one_year": 0.8, "mean_absolute_error": 0.7}
    assert vars(ceiling_shares(reached, best)) == pytest.approx(expected)


def test_what_is_not_possible_at_all_has_no_share() -> None:
    best = ceiling(PRESETS["table1"], Reader.MEASURED, 100, 0)
    nothing = replace(best, exact_year=replace(best.exact_year, value=0.0))
    reached = Overall(1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    shares = ceiling_shares(reached, nothing)
    assert np.isnan([shares.accuracy, shares.mean_absolute_error]).all()
    assert shares.macro_recall == 0


def test_the_interval_of_a_share_draws_model_and_reader_together() -> None:
    votes = one_vote(tables.study(180, 9).of_group(Group.INTERNAL))
    names = [str(name) for name in votes.subject_id]
    told = dict(zip(names, (votes.classes[0] + votes.called_class).tolist(), strict=True))
    same = accuracy_share(votes, told, Resampling(replicates=50))
    assert (same.value, same.low, same.high) == (1.0, 1.0, 1.0)
    perfect = dict(zip(names, (votes.classes[0] + votes.true_class).tolist(), strict=True))
    share = accuracy_share(votes, perfect, Resampling(replicates=500))
    assert share.value == pytest.approx(accuracy(votes))
    assert share.standard_error == pytest.approx((share.value * (1 - share.value) / 180) ** 0.5, rel=0.15)
    assert share.low < share.value < share.high
