"""The likelihood of each age."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.errors import BundleError
from kneeage.core.manifest import Calibration
from kneeage.infer.age import AGE_INPUTS, age_log_likelihood
from kneeage.infer.engine import Engine
from tests.infer.knees import age_model, manifest

MANIFEST = manifest()
EDGES = MANIFEST.age_edges_years
CENTRES = np.array(EDGES[:-1]) + 0.5


def engine() -> Engine:
    return Engine(age_model(EDGES, oldest=14.5), name="age.onnx", inputs=AGE_INPUTS, threads=1)


def regions(*open_shares: float) -> np.ndarray:
    stack = np.zeros((len(open_shares), 3, 4, 4), dtype=np.float32)
    stack[:, 1] = np.array(open_shares)[:, None, None] / 400
    return stack


def test_sex_enters_the_network() -> None:
    female, male = (age_log_likelihood(engine(), regions(0), sex, MANIFEST) for sex in (Sex.FEMALE, Sex.MALE))
    assert CENTRES[female.argmax()] == 14.5
    assert CENTRES[male.argmax()] == 15.5


def test_slices_are_pooled_by_the_mean_of_logits() -> None:
    pooled = age_log_likelihood(engine(), regions(0, 4), Sex.FEMALE, MANIFEST)
    middle = age_log_likelihood(engine(), regions(2), Sex.FEMALE, MANIFEST)
    np.testing.assert_allclose(np.diff(pooled), np.diff(middle), atol=1e-3)


def test_many_slices_at_once_equal_one_by_one() -> None:
    whole = engine().run({"image": regions(0, 1, 3), "sex": np.ones((3, 1), dtype=np.float32)})
    single = [
        engine().run({"image": regions(share), "sex": np.ones((1, 1), dtype=np.float32)})[0] for share in (0, 1, 3)
    ]
    np.testing.assert_allclose(whole, single, rtol=1e-6)


def test_temperature_softens() -> None:
    soft = manifest(calibration=Calibration(temperature=2.0, subjects=10))
    sharp, softened = (age_log_likelihood(engine(), regions(0), Sex.MALE, each) for each in (MANIFEST, soft))
    np.testing.assert_allclose(np.diff(softened), np.diff(sharp) / 2, atol=1e-4)


def test_an_unknown_sex_is_the_mean_over_both() -> None:
    both, female, male = (age_log_likelihood(engine(), regions(0), sex, MANIFEST) for sex in (None, *MANIFEST.sexes))
    shares = np.exp(both) / np.exp(both).sum()
    wanted = (np.exp(female) / np.exp(female).sum() + np.exp(male) / np.exp(male).sum()) / 2
    np.testing.assert_allclose(shares, wanted, rtol=1e-6)


def test_an_unknown_sex_is_never_a_sex_that_the_bundle_does_not_know() -> None:
    only = manifest(sexes=[Sex.MALE])
    unknown, male = (age_log_likelihood(engine(), regions(0), sex, only) for sex in (None, Sex.MALE))
    np.testing.assert_allclose(np.diff(unknown), np.diff(male))


def test_the_training_shares_are_divided_out() -> None:
    shares = [1.0, 3.0] * 9
    uneven = manifest(training_prior=shares)
    flat, divided = (age_log_likelihood(engine(), regions(0), Sex.MALE, each) for each in (MANIFEST, uneven))
    np.testing.assert_allclose(np.diff(flat - divided), np.diff(np.log(shares)), atol=1e-9)


def test_ages_without_training_subjects_have_no_likelihood() -> None:
    likelihood = age_log_likelihood(engine(), regions(0), Sex.MALE, manifest(training_prior=[0.0, *[1.0] * 17]))
    assert likelihood[0] == -np.inf
    assert np.isfinite(likelihood[1:]).all()


def test_another_number_of_bins_is_refused() -> None:
    short = Engine(age_model(EDGES[:-1]), name="age.onnx", inputs=AGE_INPUTS, threads=1)
    with pytest.raises(BundleError, match="18 bins for each of 1 slices"):
        age_log_likelihood(short, regions(0), Sex.MALE, MANIFEST)
