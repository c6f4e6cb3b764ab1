"""The likelihood of each age."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.errors import BundleError
from kneeage.core.manifest import AgeStage, BundleManifest, Calibration
from kneeage.core.result import PlateReport
from kneeage.infer.age import AGE_INPUTS, AgeFacts, age_inputs, age_outputs, read_age
from kneeage.infer.engine import Engine
from tests.infer.knees import age_model, manifest, pooled_age_model

MANIFEST = manifest()
EDGES = MANIFEST.age_edges_years
CENTRES = np.array(EDGES[:-1]) + 0.5


def engine() -> Engine:
    return Engine(age_model(EDGES, oldest=14.5), name="age.onnx", inputs=AGE_INPUTS, threads=1)


def regions(*open_shares: float) -> np.ndarray:
    stack = np.zeros((len(open_shares), 3, 4, 4), dtype=np.float32)
    stack[:, 1] = np.array(open_shares)[:, None, None] / 400
    return stack


def judged(network: Engine, stack: np.ndarray, sex: Sex | None, bundle: BundleManifest) -> np.ndarray:
    return read_age([network], stack, AgeFacts(sex=sex), bundle).log_likelihood


def test_sex_enters_the_network() -> None:
    female, male = (judged(engine(), regions(0), sex, MANIFEST) for sex in (Sex.FEMALE, Sex.MALE))
    assert CENTRES[female.argmax()] == 14.5
    assert CENTRES[male.argmax()] == 15.5


def test_slices_are_pooled_by_the_mean_of_logits() -> None:
    pooled = judged(engine(), regions(0, 4), Sex.FEMALE, MANIFEST)
    middle = judged(engine(), regions(2), Sex.FEMALE, MANIFEST)
    np.testing.assert_allclose(np.diff(pooled), np.diff(middle), atol=1e-3)


def test_many_slices_at_once_equal_one_by_one() -> None:
    whole = engine().run({"image": regions(0, 1, 3), "sex": np.ones((3, 1), dtype=np.float32)})
    single = [
        engine().run({"image": regions(share), "sex": np.ones((1, 1), dtype=np.float32)})[0] for share in (0, 1, 3)
    ]
    np.testing.assert_allclose(whole, single, rtol=1e-6)


def test_temperature_softens() -> None:
    soft = manifest(calibration=Calibration(temperature=2.0, subjects=10))
    sharp, softened = (judged(engine(), regions(0), Sex.MALE, each) for each in (MANIFEST, soft))
    np.testing.assert_allclose(np.diff(softened), np.diff(sharp) / 2, atol=1e-4)


def test_an_unknown_sex_is_the_mean_over_both() -> None:
    both, female, male = (judged(engine(), regions(0), sex, MANIFEST) for sex in (None, *MANIFEST.sexes))
    shares = np.exp(both) / np.exp(both).sum()
    wanted = (np.exp(female) / np.exp(female).sum() + np.exp(male) / np.exp(male).sum()) / 2
    np.testing.assert_allclose(shares, wanted, rtol=1e-6)


def test_an_unknown_sex_is_never_a_sex_that_the_bundle_does_not_know() -> None:
    only = manifest(sexes=[Sex.MALE])
    unknown, male = (judged(engine(), regions(0), sex, only) for sex in (None, Sex.MALE))
    np.testing.assert_allclose(np.diff(unknown), np.diff(male))


def test_the_training_shares_are_divided_out() -> None:
    shares = [1.0, 3.0] * 9
    uneven = manifest(training_prior=shares)
    flat, divided = (judged(engine(), regions(0), Sex.MALE, each) for each in (MANIFEST, uneven))
    np.testing.assert_allclose(np.diff(flat - divided), np.diff(np.log(shares)), atol=1e-9)


def test_ages_without_training_subjects_have_no_likelihood() -> None:
    likelihood = judged(engine(), regions(0), Sex.MALE, manifest(training_prior=[0.0, *[1.0] * 17]))
    assert likelihood[0] == -np.inf
    assert np.isfinite(likelihood[1:]).all()


def test_another_number_of_bins_is_refused() -> None:
    short = Engine(age_model(EDGES[:-1]), name="age.onnx", inputs=AGE_INPUTS, threads=1)
    with pytest.raises(BundleError, match="18 bins for each of 1 slices"):
        judged(short, regions(0), Sex.MALE, MANIFEST)


# A network that pools the slices itself and is told facts.

POOLED = manifest(
    age=AgeStage(
        files=["a.onnx", "b.onnx"],
        region_shape=(48, 48),
        max_slices=5,
        min_slices=3,
        slice_pooling="in_graph",
        fact_names=["sex", "height_known", "femur_openness"],
    )
)


def pooled(oldest: float = 14.5, facts: int = 3) -> Engine:
    model = pooled_age_model(EDGES, facts=facts, oldest=oldest, years_per_fact=2.0)
    inputs, outputs = age_inputs(POOLED.age), age_outputs(POOLED.age)
    return Engine(model, name="age.onnx", inputs=inputs, outputs=outputs, threads=1)


def mode(facts: AgeFacts, *networks: Engine) -> float:
    return float(CENTRES[read_age(networks or [pooled()], regions(0, 2), facts, POOLED).log_likelihood.argmax()])


def test_facts_enter_the_network_by_their_names() -> None:
    plates = {"distal_femur": PlateReport(found=True, openness=0.5)}
    assert mode(AgeFacts(sex=Sex.FEMALE)) == 13.5
    assert mode(AgeFacts(sex=Sex.MALE)) == 14.5
    assert mode(AgeFacts(sex=Sex.MALE, height_cm=150)) == 16.5
    assert mode(AgeFacts(sex=Sex.MALE, height_cm=150, plates=plates)) == 17.5


def test_an_ensemble_is_the_mean_of_probabilities() -> None:
    facts = AgeFacts(sex=Sex.MALE)
    both, one, other = (
        np.exp(read_age(networks, regions(0), facts, POOLED).log_likelihood)
        for networks in ([pooled(12.5), pooled(18.5)], [pooled(12.5)], [pooled(18.5)])
    )
    np.testing.assert_allclose(both / both.sum(), (one / one.sum() + other / other.sum()) / 2, rtol=1e-5)


def test_features_of_all_networks_stand_one_after_the_other() -> None:
    reading = read_age([pooled(), pooled()], regions(4, 8), AgeFacts(), POOLED)
    assert reading.features is not None
    np.testing.assert_allclose(reading.features, [0, 0.015, 0] * 2, rtol=1e-5)
    assert read_age([engine()], regions(0), AgeFacts(sex=Sex.MALE), MANIFEST).features is None


def test_an_unknown_sex_is_the_mean_over_both_of_a_pooled_network_too() -> None:
    both, female, male = (
        np.exp(read_age([pooled()], regions(0), AgeFacts(sex=sex), POOLED).log_likelihood)
        for sex in (None, Sex.FEMALE, Sex.MALE)
    )
    np.testing.assert_allclose(both / both.sum(), (female / female.sum() + male / male.sum()) / 2, rtol=1e-5)


def test_another_number_of_facts_is_loud() -> None:
    with pytest.raises(BundleError, match=r"network 'age.onnx' failed"):
        read_age([pooled(facts=2)], regions(0), AgeFacts(sex=Sex.MALE), POOLED)
