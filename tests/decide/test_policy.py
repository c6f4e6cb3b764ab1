"""Decisions about thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import BundleManifest, ThresholdPolicy, ThresholdRule
from kneeage.core.result import ErrorRate, ThresholdDecision, ThresholdErrors, ThresholdReport
from kneeage.decide.policy import UNTUNED_REASON, VIRTUAL_REASON, Evidence, Limits, threshold_reports
from kneeage.decide.posterior import posterior
from kneeage.decide.prior import fit_prior, reference_prior, uniform_prior
from tests.infer.knees import manifest

MANIFEST = manifest()
REAL = manifest(population="Han, Jiaodong peninsula")


def report(
    bins: dict[int, float],
    age: float,
    *,
    bundle: BundleManifest = REAL,
    virtual: bool = False,
    prior: str = "8-26",
    sex: Sex | None = Sex.MALE,
) -> ThresholdReport:
    """The statement on one threshold for a likelihood given per completed year."""
    likelihood = np.log([max(bins.get(year, 1e-12), 1e-300) for year in range(8, 26)])
    low, high = map(float, prior.split("-"))
    shown = posterior(likelihood, fit_prior(uniform_prior(low, high), bundle.age_edges_years))
    evidence = Evidence(likelihood, shown, posterior(likelihood, reference_prior(bundle)), sex, virtual)
    return threshold_reports(evidence, bundle, [age])[0]


def test_surely_older() -> None:
    found = report({20: 1}, 18)
    assert found.decision is ThresholdDecision.AT_LEAST
    assert found.probability_at_least == pytest.approx(1)
    assert "at least 0.99 (limits not calibrated)" in found.decision_reason


@pytest.mark.parametrize("age", [15, 18])
def test_a_bundle_without_any_rule_decides_nothing(age: int) -> None:
    for years in (8, 25):
        found = report({years: 1}, age, bundle=manifest(population="Han", policy=ThresholdPolicy.none()))
        assert (found.decision, found.decision_reason) == (ThresholdDecision.UNDETERMINED, UNTUNED_REASON)


def test_surely_younger() -> None:
    found = report({15: 1}, 18)
    assert found.decision is ThresholdDecision.BELOW
    assert "at most 0.01" in found.decision_reason


@pytest.mark.parametrize("share", [0.98, 0.5, 0.02])
def test_between_the_limits(share: float) -> None:
    found = report({20: share, 15: 1 - share}, 18)
    assert found.decision is ThresholdDecision.UNDETERMINED
    assert "between 0.01 and 0.99" in found.decision_reason
    assert found.probability_at_least == pytest.approx(share)


def test_a_threshold_inside_a_bin_shares_it() -> None:
    assert report({18: 1}, 18.25).probability_at_least == pytest.approx(0.75)


@pytest.mark.parametrize(("bins", "words"), [({20: 1}, "probability >0.9999,"), ({15: 1}, "probability <0.0001,")])
def test_no_reason_gives_a_probability_as_sure(bins: dict[int, float], words: str) -> None:
    assert words in report(bins, 18).decision_reason


def test_the_policy_of_the_bundle_counts() -> None:
    policy = ThresholdPolicy(at_least_probability=0.6, below_probability=0.3, calibrated=True)
    found = report({20: 0.7, 15: 0.3}, 18, bundle=REAL.model_copy(update={"policy": policy}))
    assert found.decision is ThresholdDecision.AT_LEAST
    assert "fitted on held-out subjects" in found.decision_reason


def test_the_user_s_prior_moves_the_probability_but_not_the_decision() -> None:
    found = report({15: 0.999, 20: 0.001}, 18, prior="18-26")
    assert found.probability_at_least == pytest.approx(1)
    assert found.decision is ThresholdDecision.BELOW


def test_a_virtual_bundle_decides_nothing_about_a_real_subject() -> None:
    found = report({20: 1}, 18, bundle=MANIFEST)
    assert found.decision is ThresholdDecision.UNDETERMINED
    assert found.decision_reason == VIRTUAL_REASON


def test_a_virtual_bundle_decides_about_a_virtual_subject() -> None:
    assert report({20: 1}, 18, bundle=MANIFEST, virtual=True).decision is ThresholdDecision.AT_LEAST


@pytest.mark.parametrize("age", [7, 8, 26, 30])
def test_a_threshold_outside_the_training_ages_is_undetermined(age: float) -> None:
    found = report({20: 1}, age)
    assert found.decision is ThresholdDecision.UNDETERMINED
    assert f"of 8 to 26 years and cannot tell ages around {age} apart" in found.decision_reason
    assert found.likelihood_ratio is None


def test_each_threshold_has_its_ratio_and_keeps_its_place() -> None:
    likelihood = np.zeros(18)
    shown = posterior(likelihood, reference_prior(REAL))
    found = threshold_reports(Evidence(likelihood, shown, shown, None, False), REAL, [18, 14])
    assert [each.age_years for each in found] == [18, 14]
    assert found[0].likelihood_ratio is not None
    assert found[0].likelihood_ratio.value == pytest.approx(1)


RATE = ErrorRate(errors=1, subjects=500, share=0.002, low=0.0004, high=0.0112)
ERRORS = ThresholdErrors(
    sex=Sex.MALE, limit=0.01, false_adult=RATE, false_adult_all_minors=RATE, false_minor=RATE, undetermined=RATE
)


def tuned(**changes: object) -> BundleManifest:
    """A bundle with one rule, for males at 18 years."""
    rule = {"age_years": 18, "sex": Sex.MALE, "at_least_probability": 0.9, "below_probability": 0.2, "errors": ERRORS}
    policy = ThresholdPolicy(calibrated=True, rules=[ThresholdRule.model_validate({**rule, **changes})])
    return REAL.model_copy(update={"policy": policy})


@pytest.mark.parametrize(
    ("older", "decision"),
    [
        (0.91, ThresholdDecision.AT_LEAST),
        (0.89, ThresholdDecision.UNDETERMINED),
        (0.21, ThresholdDecision.UNDETERMINED),
        (0.19, ThresholdDecision.BELOW),
    ],
)
def test_the_rule_of_threshold_and_sex_decides(older: float, decision: ThresholdDecision) -> None:
    found = report({20: older, 15: 1 - older}, 18, bundle=tuned())
    assert found.decision is decision
    assert "fitted on held-out subjects" in found.decision_reason
    assert found.errors == ERRORS


@pytest.mark.parametrize(("age", "sex"), [(18, Sex.FEMALE), (18, None), (16, Sex.MALE)])
def test_what_no_rule_was_tuned_for_is_undetermined(age: float, sex: Sex | None) -> None:
    found = report({20: 1}, age, bundle=tuned(), sex=sex)
    assert found.decision is ThresholdDecision.UNDETERMINED
    assert "tuned for other age limits" in found.decision_reason
    assert found.errors is None


def test_a_rule_that_is_withheld_prints_no_errors() -> None:
    virtual = tuned().model_copy(update={"population": "virtual"})
    assert report({20: 1}, 18, bundle=virtual).errors is None
    assert report({20: 1}, 18, bundle=virtual, virtual=True).errors == ERRORS


def test_the_user_s_prior_does_not_move_the_tuned_rule() -> None:
    found = report({20: 0.5, 15: 0.5}, 18, bundle=tuned(), prior="18-26")
    assert found.probability_at_least == pytest.approx(1)
    assert found.decision is ThresholdDecision.UNDETERMINED


@pytest.mark.parametrize(("limit", "older"), [("at_least_probability", 1.0), ("below_probability", 0.0)])
def test_a_limit_that_could_not_be_tuned_never_decides(limit: str, older: float) -> None:
    found = report({20: older, 15: 1 - older}, 18, bundle=tuned(**{limit: None}))
    assert found.decision is ThresholdDecision.UNDETERMINED
    assert "too few subjects were there to fit both limits on" in found.decision_reason


def test_the_other_limit_still_decides() -> None:
    assert report({15: 1}, 18, bundle=tuned(at_least_probability=None)).decision is ThresholdDecision.BELOW
    assert report({20: 1}, 18, bundle=tuned(below_probability=None)).decision is ThresholdDecision.AT_LEAST


def test_a_printed_limit_is_rounded_to_where_it_decides_less() -> None:
    found = report({20: 1}, 18, bundle=tuned(at_least_probability=0.99999912, below_probability=0.0000019))
    assert "at least 1 (" in found.decision_reason
    assert "at most 0.000001 (" in report({15: 1}, 18, bundle=tuned(below_probability=0.0000019)).decision_reason


def test_limits_hold_at_their_own_value() -> None:
    limits = Limits(0.9, 0.2, calibrated=True)
    assert limits.decide(0.9) is ThresholdDecision.AT_LEAST
    assert limits.decide(0.2) is ThresholdDecision.BELOW
