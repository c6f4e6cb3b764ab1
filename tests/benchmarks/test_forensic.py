"""Numbers of the measurement on fresh virtual subjects."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from benchmarks.forensic import Sizes, people
from benchmarks.forensic_measures import (
    Read,
    abstentions,
    age_errors,
    by_weighting,
    calibrations,
    mixed_coverage,
    ratios,
)
from kneeage.core.anatomy import Sex
from kneeage.decide.posterior import AgeDistribution
from kneeage.decide.ratio import likelihood_ratio
from kneeage.phantom.scanner.sequence import Weighting
from kneeage.study.predicted import Predicted
from tests.study.readers import manifest

EDGES = tuple(float(age) for age in range(8, 27))
MODEL = manifest(age_edges_years=list(EDGES))


def said(age_years: float, median_years: float) -> Predicted:
    """A subject of whom one completed year is said; the median is its middle."""
    masses = tuple(float(low <= median_years < low + 1) for low in EDGES[:-1])
    return Predicted(age_years, Sex.MALE, AgeDistribution(EDGES, masses))


def fact(
    hospital: str, stage: str, age_years: float = 14.5, weighting: str = "T1", *, whole: bool = False
) -> dict[str, Any]:
    known = {
        "hospital": hospital,
        "sex": "male",
        "weighting": weighting,
        "chronological_age_years": age_years,
        "true_stages": {site: {"dedouit": stage} for site in ("femur", "tibia")},
    }
    return known | ({"dice_counts": {}} if whole else {})


def read(
    facts: Sequence[dict[str, Any]],
    subjects: Sequence[Predicted],
    best: Sequence[Predicted] | None = None,
    unread: Sequence[dict[str, Any]] = (),
) -> Read:
    masses = np.array([subject.distribution.masses for subject in subjects]).reshape(len(subjects), -1)
    return Read(facts, np.log(np.maximum(masses, 1e-9)), subjects, best or subjects, [*facts, *unread])


def test_errors_are_divided_by_the_best_reader_s_in_each_hospital_and_where_a_plate_is_open() -> None:
    facts = [fact("A", "III"), fact("A", "V"), fact("B", "V")]
    subjects = [said(14.5, 16.5), said(20.5, 24.5), said(20.5, 21.5)]
    best = [said(14.5, 15.5), said(20.5, 22.5), said(20.5, 24.5)]
    found = {row["group"]: row for row in age_errors(read(facts, subjects, best))}
    assert {name: found[name]["subjects"] for name in ("A, all", "A, open plate", "B, all")} == {
        "A, all": 2,
        "A, open plate": 1,
        "B, all": 1,
    }
    assert found["A, all"]["mae_years"] == pytest.approx(3)
    assert found["A, all"]["best_mae_years"] == pytest.approx(1.5)
    assert found["A, all"]["ratio"] == pytest.approx(2)
    assert found["A, all"]["bias_years"] == pytest.approx(3)
    assert found["B, all"]["ratio"] == pytest.approx(0.25)
    assert found["A, open plate"]["ratio_low"] <= 2 <= found["A, open plate"]["ratio_high"]


def test_whole_series_stand_apart_from_slices_about_the_sites() -> None:
    facts = [fact("A", "V", whole=True), fact("A", "V"), fact("A", "V")]
    subjects = [said(20.5, 23.5), said(20.5, 21.5), said(20.5, 19.5)]
    found = {row["group"]: row for row in age_errors(read(facts, subjects, [said(20.5, 21.5)] * 3))}
    assert set(found) == {"A, all", "A, all, whole series", "A, all, slices about the sites"}
    assert found["A, all, whole series"]["mae_years"] == pytest.approx(3)
    assert found["A, all, slices about the sites"]["mae_years"] == pytest.approx(1)
    assert found["A, all, slices about the sites"]["bias_years"] == pytest.approx(0)


def test_cohorts_share_no_subject_with_each_other_or_those_of_another_seed() -> None:
    """There is room for a million seeds behind each; a cohort about the thresholds takes 100,000 for each group."""
    found = [group for seed in (0, 1) for group in people(Sizes(seed, subjects=2, per_group=1, others=2)).values()]
    ends = sorted((group[0].seed, group[-1].seed) for group in found)
    assert len(ends) == 6
    assert all(last + 1_000_000 < first for (_, last), (first, _) in pairwise(ends))


def test_the_others_are_half_pd_and_half_t2_and_the_rest_is_t1() -> None:
    found = people(Sizes(seed=4))
    weightings = {name: [person.imaging.weighting for person in group] for name, group in found.items()}
    assert {*weightings["test"], *weightings["boundary"]} == {Weighting.T1}
    assert {*weightings["others"]} == {Weighting.PD, Weighting.T2}
    assert len(weightings["others"]) == 500
    assert 200 < weightings["others"].count(Weighting.PD) < 300


def test_weightings_stand_apart_and_whole_series_are_not_among_them() -> None:
    test = read(
        [fact("A", "III"), fact("A", "V"), fact("A", "V", whole=True)],
        [said(14.5, 15.5), said(20.5, 20.5), said(20.5, 9.5)],
        [said(14.5, 15.5), said(20.5, 21.5), said(20.5, 21.5)],
    )
    others = read(
        [fact("A", "III", weighting="T2"), fact("B", "V", weighting="PD")],
        [said(14.5, 16.5), said(20.5, 19.5)],
        [said(14.5, 15.5), said(20.5, 21.5)],
        unread=[fact("B", "V", weighting="PD")],
    )
    found = by_weighting(test, others, MODEL)
    rows = {row["weighting"]: row for row in found["rows"]}
    assert {name: row["all"]["subjects"] for name, row in rows.items()} == {"T1": 2, "PD": 1, "T2": 1}
    assert rows["T1"]["all"]["ratio"] == pytest.approx(0.5)
    assert rows["T2"]["open"]["bias_years"] == pytest.approx(2)
    assert rows["PD"]["open"] is None
    assert (rows["PD"]["abstained"]["errors"], rows["PD"]["abstained"]["subjects"]) == (1, 2)
    assert rows["T2"]["abstained"]["errors"] == 0
    assert found["mix"]["share"] == pytest.approx(
        0.7 * rows["T1"]["coverage"]["share"]
        + 0.15 * rows["PD"]["coverage"]["share"]
        + 0.15 * rows["T2"]["coverage"]["share"]
    )


def test_the_interval_of_the_mix_is_that_of_simulated_strata() -> None:
    sizes, chances = (1500, 250, 250), (0.96, 0.92, 0.94)
    rng, weights = np.random.default_rng(0), np.array([0.7, 0.15, 0.15])
    shares = np.stack([rng.binomial(n, p, 20_000) / n for n, p in zip(sizes, chances, strict=True)]) * weights[:, None]
    inside = {
        weighting: {"share": p, "subjects": n}
        for weighting, n, p in zip((Weighting.T1, Weighting.PD, Weighting.T2), sizes, chances, strict=True)
    }
    found = mixed_coverage(inside)
    low, high = np.quantile(shares.sum(axis=0), [0.025, 0.975])
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.001)


def test_calibration_is_judged_at_each_threshold_of_all_and_of_those_in_question() -> None:
    def sure(age_years: float, chance: float) -> Predicted:
        masses = tuple(1 - chance if low == 8 else chance if low == 18 else 0.0 for low in EDGES[:-1])
        return Predicted(age_years, Sex.MALE, AgeDistribution(EDGES, masses))

    subjects = [sure(age, 0.9) for age in (10.0, 20.0) * 50] + [sure(20.0, 1.0)] * 100
    rows = {(row["age_years"], row["who"]): row for row in calibrations(subjects)}
    assert len(rows) == 2 * 4
    assert rows[18, "0.05 < P < 0.95"]["subjects"] == 100
    assert rows[18, "0.05 < P < 0.95"]["error"] == pytest.approx(0.4)
    assert rows[18, "all"]["subjects"] == 200
    assert rows[18, "all"]["error"] < 0.25
    assert rows[12, "all"]["p_value"] == pytest.approx(1 / 2001)


def spread(age_years: float, chance_above: float) -> Predicted:
    """A subject of whom the two years below 18 and the two above are said with probabilities that sum to 1."""
    masses = [0.0] * 18
    masses[8:10], masses[10:12] = [(1 - chance_above) / 2] * 2, [chance_above / 2] * 2
    return Predicted(age_years, Sex.MALE, AgeDistribution(EDGES, tuple(masses)))


def test_ratios_of_the_windows_about_a_threshold_are_judged_beside_the_best_reader_s() -> None:
    subjects = [spread(17.0, 0.25), spread(17.5, 0.95), spread(18.5, 0.75), spread(19.0, 0.2), spread(12.0, 0.5)]
    best = [spread(subject.age_years, 0.8 if subject.age_years >= 18 else 0.2) for subject in subjects]
    facts = [fact("A", "V", subject.age_years) for subject in subjects]
    rows = {(row["age_years"], row["reader"]): row for row in ratios(read(facts, subjects, best), MODEL)}
    row = rows[18, "bundle"]
    assert (row["younger_misled"]["errors"], row["younger_misled"]["subjects"]) == (1, 2)
    assert (row["younger_misled_strongly"]["errors"], row["older_misled"]["errors"]) == (1, 1)
    assert row["older_misled_strongly"]["errors"] == 0
    lost = np.log2(1 + np.array([1 / 3, 19])).mean() + np.log2(1 + np.array([1 / 3, 4])).mean()
    assert row["cost"] == pytest.approx(lost / 2, abs=1e-4)
    assert rows[18, "c"]["cost"] == pytest.approx(np.log2(1.25))
    assert rows[18, "c"]["least_cost"] == pytest.approx(0)
    assert (row["not_given"]["errors"], row["not_given"]["subjects"]) == (0, 4)


def test_ratios_that_are_not_given_are_counted_and_judge_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    subjects = [spread(17.0, 0.25), spread(17.5, 0.95), spread(18.5, 0.75)]
    facts = [fact("A", "V", subject.age_years) for subject in subjects]

    def withheld(log_likelihood: Any, edges: Any, windows: Any) -> Any:
        ratio = likelihood_ratio(log_likelihood, edges, windows)
        return None if ratio is None or ratio.value > 10 else ratio

    monkeypatch.setattr("benchmarks.forensic_measures.likelihood_ratio", withheld)
    (row,) = (
        row for row in ratios(read(facts, subjects), MODEL) if (row["age_years"], row["reader"]) == (18, "bundle")
    )
    assert (row["not_given"]["errors"], row["not_given"]["subjects"]) == (1, 3)
    assert (row["younger_misled"]["errors"], row["younger_misled"]["subjects"]) == (0, 1)


def test_abstentions_are_counted_by_hospital_sex_and_just_below_each_threshold() -> None:
    test = read([fact("A", "V")], [said(14.5, 14.5)], unread=[fact("B", "V", whole=True)])
    boundary = read([fact("A", "V", 17.5)], [said(17.5, 17.5)], unread=[fact("A", "V", 17.0), fact("A", "V", 19.0)])
    rows = {row["group"]: row for row in abstentions(test, boundary)}
    counted = {name: (row["errors"], row["subjects"]) for name, row in rows.items()}
    assert counted["main cohort, all"] == (1, 2)
    assert counted["main cohort, hospital A"] == (0, 1)
    assert counted["main cohort, hospital B"] == (1, 1)
    assert counted["main cohort, male"] == (1, 2)
    assert counted["main cohort, whole series"] == (1, 1)
    assert counted["two years below 18"] == counted["two years below 18, male"] == (1, 2)
    assert counted["two years above 18"] == (1, 1)
    assert counted["two years above 16"] == (1, 2)
    assert "two years below 12" not in counted
