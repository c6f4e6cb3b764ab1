"""What a reader says of subjects of known age."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.errors import InputRefusedError
from kneeage.core.manifest import Calibration
from kneeage.study.predicted import predicted
from tests.study.readers import BUNDLE, EDGES

FLAT = np.zeros((1, len(EDGES) - 1))


def test_the_score_is_the_share_below_the_true_age() -> None:
    (found,) = predicted(FLAT, [17.0], [Sex.MALE], BUNDLE)
    assert found.score == pytest.approx(0.5)
    assert found.told_sex is Sex.MALE


def test_a_withheld_sex_is_not_told() -> None:
    (found,) = predicted(FLAT, [17.0], [Sex.MALE], BUNDLE, sex_given=False)
    assert found.told_sex is None
    assert found.sex is Sex.MALE


def test_a_recalibrated_bundle_says_so_here_too() -> None:
    peak = -((EDGES[:-1] - 14.0) ** 2)[None]
    moved = BUNDLE.model_copy(update={"calibration": Calibration(location_years=1.0)})
    (before,), (after,) = (predicted(peak, [15.0], [Sex.MALE], bundle) for bundle in (BUNDLE, moved))
    assert after.distribution.mode_years == before.distribution.mode_years + 1


def test_each_subject_needs_everything() -> None:
    with pytest.raises(InputRefusedError, match="found 1 likelihoods, 2 ages and 1 sexes"):
        predicted(FLAT, [17.0, 18.0], [Sex.MALE], BUNDLE)
