"""The assessment takes every number from the rows that it says."""

from __future__ import annotations

import json

import pytest

from kneeage.study.assessment import METRICS, Assessment, as_json, assess, assess_group
from kneeage.study.metrics import macro_recall, overall
from kneeage.study.predictions import Group, Predictions, one_vote, subject_level
from kneeage.study.resampling import Resampling, bootstrap, equivalence
from tests.study.tables import CLASSES, row, study

FEW = Resampling(replicates=30)


@pytest.fixture(scope="module")
def table() -> Predictions:
    return study(90, 45, slices=2)


@pytest.fixture(scope="module")
def found(table: Predictions) -> Assessment:
    return assess(table, FEW)


def test_slices_models_and_votes_are_side_by_side(table: Predictions, found: Assessment) -> None:
    external = table.of_group(Group.EXTERNAL)
    assert found.external.slices == overall(external)
    assert found.external.models == overall(subject_level(external))
    assert found.external.votes == overall(one_vote(external))
    assert [found.external.models.rows, found.external.votes.rows, found.external.subjects] == [225, 45, 45]


def test_an_internal_subject_has_one_model_and_one_vote(found: Assessment) -> None:
    # Rows are in another order, which moves the last digits of sums.
    assert vars(found.internal.models) == pytest.approx(vars(found.internal.votes))


def test_groups_are_compared_on_rows_of_single_models(table: Predictions, found: Assessment) -> None:
    external, internal = (subject_level(table.of_group(group)) for group in (Group.EXTERNAL, Group.INTERNAL))
    assert found.equivalence == equivalence(external, internal, macro_recall, resampling=FEW)
    assert found.external_less_internal["macro_recall"].value == macro_recall(external) - macro_recall(internal)


def test_intervals_are_over_subjects(table: Predictions, found: Assessment) -> None:
    votes = one_vote(table.of_group(Group.EXTERNAL))
    assert found.external.intervals_of_votes["macro_recall"] == bootstrap(votes, macro_recall, FEW)
    assert set(found.external.intervals_of_models) == set(METRICS)


def test_numbers_of_votes_count_every_subject_once(found: Assessment) -> None:
    group = found.external
    assert sum(map(sum, group.confusion_of_votes)) == 45
    assert [each.age_years for each in group.thresholds] == [12, 14, 16, 18]
    assert {each.sensitivity.total + each.specificity.total for each in group.thresholds} == {45}
    assert sum(each.observed.total for each in group.calibration.bins) == 45
    assert set(group.calibration_at_thresholds) == {12, 14, 16, 18}
    assert {site: each.rows for site, each in group.votes_by_site.items()} == {"B": 45}


def test_subjects_alone_have_no_numbers_of_slices() -> None:
    assert assess_group(study(18, 9).of_group(Group.INTERNAL), FEW).slices is None


def test_what_is_not_defined_is_null_in_json() -> None:
    young = Predictions.of(CLASSES, [row(), row(subject_id="s2")])
    found = json.loads(as_json(assess_group(young, FEW)), parse_constant=pytest.fail)
    assert found["thresholds"][-1]["auc"] is None
    assert found["votes"]["rows"] == 2


def test_json_holds_the_assessment(found: Assessment) -> None:
    written = json.loads(as_json(found))
    assert written["classes"] == list(CLASSES)
    assert written["equivalence"]["margin"] == 0.1
