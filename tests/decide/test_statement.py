"""Everything that is said about an age."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.manifest import Calibration
from kneeage.decide.prior import fit_prior, uniform_prior
from kneeage.decide.statement import FIRST_BIN_WARNING, LAST_BIN_WARNING, PRIOR_WARNING, AgeStatement, state_age
from tests.infer.knees import manifest

MANIFEST = manifest()


def stated(likelihood: np.ndarray, *, low: float = 8, high: float = 26, **changes: object) -> AgeStatement:
    bundle = manifest(**changes)
    prior = fit_prior(uniform_prior(low, high), bundle.age_edges_years)
    return state_age(likelihood, bundle, prior=prior, thresholds_years=(14, 18), image_is_virtual=True)


def around(age: float, spread: float = 0.5) -> np.ndarray:
    centres = np.arange(8, 26) + 0.5
    return np.asarray(-(((centres - age) / spread) ** 2) / 2)


def test_a_statement_is_whole() -> None:
    found = stated(around(15.5))
    assert found.estimated_age_years == 15.5
    assert found.interval_years[0].low < 15.5 < (found.interval_years[0].high or 0)
    assert sum(each.probability for each in found.age_distribution) == pytest.approx(1)
    assert sum(found.class_probabilities.values()) == pytest.approx(1)
    assert [each.age_years for each in found.thresholds] == [14, 18]
    assert (found.prior.name, found.prior.low_years, found.prior.high_years) == ("uniform:8-26", 8, 26)
    assert found.warnings == ()


def test_the_oldest_age_is_warned_about() -> None:
    found = stated(around(30))
    assert found.warnings == (LAST_BIN_WARNING,)
    assert found.interval_years[0].high is None


def test_the_youngest_age_is_warned_about() -> None:
    assert stated(around(8)).warnings == (FIRST_BIN_WARNING,)


def test_a_prior_that_contradicts_the_image_is_warned_about() -> None:
    assert PRIOR_WARNING in stated(around(22), low=8, high=14).warnings
    assert PRIOR_WARNING not in stated(around(13), low=8, high=14).warnings


def test_a_cut_prior_is_warned_about() -> None:
    found = stated(around(15.5), low=4, high=20)
    assert "covers 4 to 20 years" in found.warnings[0]
    assert (found.prior.low_years, found.prior.high_years) == (8, 20)


def test_the_interval_says_whether_it_is_calibrated() -> None:
    assert "uncalibrated" in stated(around(15.5)).interval_years[0].method
    fitted = stated(around(15.5), calibration=Calibration(subjects=300))
    assert "300 virtual validation subjects" in fitted.interval_years[0].method
    real = stated(around(15.5), calibration=Calibration(subjects=300), population="a hospital")
    assert "300 validation subjects" in real.interval_years[0].method


def test_no_age_lies_outside_the_prior() -> None:
    found = stated(around(22), low=10, high=16)
    assert 10 <= found.estimated_age_years <= 16
    assert found.age_distribution[-1].age_years == 15
