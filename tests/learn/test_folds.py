"""Folds of an ensemble."""

from __future__ import annotations

from pathlib import Path

import pytest

from kneeage.core.errors import InputRefusedError
from kneeage.learn.folds import deal_folds

FILES = [Path(f"{number}.npz") for number in range(11)]


def test_every_subject_is_left_out_once() -> None:
    folds = deal_folds(FILES, 5, seed=1)
    left_out = [file for _, own in folds for file in own]
    assert sorted(left_out) == sorted(FILES)
    assert all(not set(learned) & set(own) and len(learned) + len(own) == 11 for learned, own in folds)
    assert sorted(len(own) for _, own in folds) == [2, 2, 2, 2, 3]


def test_the_deal_does_not_depend_on_the_order() -> None:
    assert deal_folds(FILES[::-1], 3, seed=2) == deal_folds(FILES, 3, seed=2)
    assert deal_folds(FILES, 3, seed=3) != deal_folds(FILES, 3, seed=2)


def test_more_folds_than_subjects_are_refused() -> None:
    with pytest.raises(InputRefusedError, match="12 folds need 12 subjects"):
        deal_folds(FILES, 12, seed=1)
