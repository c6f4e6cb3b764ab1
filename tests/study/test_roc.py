"""ROC curves against their definition."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.study.predictions import Group, one_vote
from kneeage.study.roc import macro_average, roc_curves, roc_panels
from tests.study.tables import CLASSES, study


def test_every_point_is_a_cut_of_the_scores() -> None:
    votes = one_vote(study(sharpness=1))
    curve = roc_curves(votes)[14]
    score, positive = votes.probability[:, 4], votes.true_class == 4
    cuts = [np.inf, *np.unique(score)[::-1]]
    points = {(float((score[~positive] >= cut).mean()), float((score[positive] >= cut).mean())) for cut in cuts}
    drawn = list(zip(curve.false_positive_rate.tolist(), curve.true_positive_rate.tolist(), strict=True))
    assert set(drawn) <= points
    assert (drawn[0], drawn[-1]) == ((0, 0), (1, 1))


def test_the_area_is_the_chance_to_rank_a_pair_rightly() -> None:
    votes = one_vote(study(sharpness=1))
    for place, age_class in enumerate(CLASSES):
        own = votes.probability[votes.true_class == place, place]
        rest = votes.probability[votes.true_class != place, place]
        pairs = np.mean((own[:, None] > rest) + 0.5 * (own[:, None] == rest))
        assert roc_curves(votes)[age_class].area == pytest.approx(pairs)


def test_the_area_of_the_macro_average_is_the_mean_area() -> None:
    curves = roc_curves(study(sharpness=1).of_group(Group.EXTERNAL).of_fold(0))
    macro = macro_average(curves)
    assert macro is not None
    assert macro.area == pytest.approx(np.mean([curve.area for curve in curves.values()]), abs=1e-12)
    assert (np.diff(macro.false_positive_rate) >= 0).all()
    assert (np.diff(macro.true_positive_rate) >= -1e-12).all()
    assert (macro.true_positive_rate[0], macro.true_positive_rate[-1]) == (0, pytest.approx(1))


def test_a_class_without_subjects_has_no_curve() -> None:
    votes = one_vote(study())
    assert set(roc_curves(votes.take(votes.true_class < 3))) == {10, 11, 12}
    alone = roc_curves(votes.take(votes.true_class == 0))
    assert alone == {}
    assert macro_average(alone) is None


def test_ten_panels_internal_first() -> None:
    panels = roc_panels(study(450, 90))
    assert "".join(panel.letter for panel in panels) == "ABCDEFGHIJ"
    assert [panel.fold for panel in panels] == [0, 1, 2, 3, 4] * 2
    assert [panel.group for panel in panels] == [Group.INTERNAL] * 5 + [Group.EXTERNAL] * 5
    assert all(set(panel.curves) == set(CLASSES) for panel in panels)


def test_many_panels_have_no_letters() -> None:
    assert {panel.letter for panel in roc_panels(study(270, 9, folds=14))} == {""}
