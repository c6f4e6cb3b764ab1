from __future__ import annotations

import pytest

from kneeage.core.errors import InputRefusedError
from kneeage.study.assessment import assess
from kneeage.study.predictions import Group
from kneeage.study.resampling import Resampling
from kneeage.study.results import TrainingLog
from tests.study import tables
from tests.study.results import small


def test_folds_without_predictions_are_missing() -> None:
    assert small(folds=4).missing_folds == (2, 3)


def test_a_whole_study_misses_none() -> None:
    assert small().missing_folds == ()


def test_a_fold_that_was_not_planned_is_refused() -> None:
    with pytest.raises(InputRefusedError, match="folds 0 to 0; found fold 1"):
        small(folds=1)


def test_a_study_without_external_predictions_is_refused() -> None:
    with pytest.raises(InputRefusedError, match="found none of the external group"):
        small(predictions=small().predictions.of_group(Group.INTERNAL))


def test_an_assessment_of_other_predictions_is_refused() -> None:
    other = assess(tables.study(45, 27, folds=2), Resampling(replicates=2))
    with pytest.raises(InputRefusedError, match="45 internal subjects were assessed, 54 have predictions"):
        small(assessment=other)


def test_a_curve_leaves_out_empty_cells() -> None:
    assert small().logs[0].curve("validation_nll")[0] == [1, 3, 5, 7, 9]


def test_the_validation_loss_is_found_among_other_metrics() -> None:
    assert small().logs[0].validation_loss == "validation_nll"


@pytest.mark.parametrize("rows", [[], [{"step": "0", "train_loss": "1", "dice_mean": "0.5"}]])
def test_a_log_may_have_no_validation_loss(rows: list[dict[str, str]]) -> None:
    assert TrainingLog(0, "segmenter", rows).validation_loss is None
