"""Prediction tables: checks, and averages over slices and models."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.study.predictions import (
    ALL_FOLDS,
    NO_SLICE,
    Group,
    PredictionError,
    Predictions,
    one_vote,
    subject_level,
)
from tests.study.tables import CLASSES, certain, row, study


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"subject_id": " "}, "subject_id is empty"),
        ({"site": ""}, "site is empty"),
        ({"fold": -2}, "fold must be 0 or more; found -2"),
        ({"slice_index": -2}, "slice_index must be 0 or more"),
        ({"chronological_age_years": 180.0}, "chronological_age_years must be 0 to 120; found 180"),
        ({"chronological_age_years": float("nan")}, "chronological_age_years must be 0 to 120; found nan"),
        ({"probability": (1.5, -0.5, *(0.0,) * 7)}, "probability must be 0 to 1; found 1.5"),
        ({"probability": (float("nan"), *(0.0,) * 8)}, "probability must be 0 to 1; found nan"),
        ({"probability": (0.9, *(0.0,) * 8)}, "probability must have the sum 1; found 0.9"),
    ],
)
def test_a_row_refuses_what_cannot_be(changed: dict[str, object], words: str) -> None:
    with pytest.raises(PredictionError, match=words):
        row(**changed)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({}, "row 1: subject_id, fold and slice_index are those of row 0"),
        ({"fold": 1, "sex": Sex.FEMALE}, "row 1: sex differs from row 0"),
        ({"fold": 1, "site": "B"}, "row 1: site differs from row 0"),
        ({"fold": 1, "group": Group.EXTERNAL}, "row 1: group differs from row 0"),
        ({"fold": 1, "chronological_age_years": 14.5}, "row 1: chronological_age_years differs from row 0"),
        ({"subject_id": "s2", "slice_index": 0}, "row 1: slice_index must be given in all rows"),
        ({"subject_id": "s2", "chronological_age_years": 19.0}, "row 1: .*19 is in none of the classes 10 to 18"),
        (
            {"subject_id": "s2", "probability": (0.5, 0.5)},
            "row 1: probability must have 9 values, one per class; found 2",
        ),
    ],
)
def test_rows_must_fit_each_other(second: dict[str, object], words: str) -> None:
    with pytest.raises(PredictionError, match=words):
        Predictions.of(CLASSES, [row(), row(**second)])


@pytest.mark.parametrize("classes", [(), (14,), (14, 16), (15, 14)])
def test_classes_must_be_consecutive(classes: tuple[int, ...]) -> None:
    with pytest.raises(PredictionError, match="two or more consecutive years"):
        Predictions.of(classes, [row()])


def test_a_table_needs_a_row() -> None:
    with pytest.raises(PredictionError, match="no predictions"):
        Predictions.of(CLASSES, [])


def test_no_error_names_a_subject() -> None:
    with pytest.raises(PredictionError) as error:
        Predictions.of(CLASSES, [row(subject_id="Doe^John"), row(subject_id="Doe^John")])
    assert "Doe" not in str(error.value)


def test_true_and_called_class() -> None:
    table = Predictions.of(CLASSES, [row(chronological_age_years=18.99, probability=certain(16))])
    assert (CLASSES[table.true_class[0]], CLASSES[table.called_class[0]]) == (18, 16)


def test_slices_are_averaged_model_by_model() -> None:
    table = study(slices=3)
    averaged = subject_level(table)
    assert (table.by_slice, averaged.by_slice) == (True, False)
    assert len(averaged) == 90 + 5 * 45
    for place in range(len(averaged)):
        own = (table.subject_id == averaged.subject_id[place]) & (table.fold == averaged.fold[place])
        np.testing.assert_allclose(averaged.probability[place], table.probability[own].mean(axis=0), rtol=1e-12)
        assert averaged.chronological_age_years[place] == table.chronological_age_years[own][0]
    assert set(averaged.slice_index) == {NO_SLICE}


def test_five_models_are_one_vote() -> None:
    table = study()
    votes = one_vote(table)
    assert len(votes) == votes.subjects == 135
    assert votes.folds == (ALL_FOLDS,)
    own = votes.subject_id == "e100"
    np.testing.assert_allclose(
        votes.probability[own][0], table.probability[table.subject_id == "e100"].mean(axis=0), rtol=1e-12
    )


def test_each_model_weighs_the_same_however_many_slices_it_saw() -> None:
    young, old = certain(10), certain(18)
    rows = [row(fold=0, slice_index=0, probability=young)]
    rows += [row(fold=1, slice_index=index, probability=old) for index in range(3)]
    votes = one_vote(Predictions.of(CLASSES, rows))
    assert votes.probability[0][[0, -1]].tolist() == [0.5, 0.5]


def test_groups_folds_and_sites_part_a_table() -> None:
    table = study()
    assert len(table.of_group(Group.EXTERNAL).of_fold(3)) == 45
    assert table.folds == (0, 1, 2, 3, 4)
    assert {site: len(part) for site, part in table.sites().items()} == {"A": 90, "B": 225}
