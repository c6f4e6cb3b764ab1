"""Presets have the subjects they promise, and rosters their proportions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.errors import UsageError
from kneeage.phantom.cohort.presets import PRESETS, Subset, allot, roster
from kneeage.phantom.growth.table import TABLES

# Source: Table 1 of the Qingdao paper: training, validation and test subjects by completed year.
TABLE_1 = {
    10: (41, 10, 35),
    11: (69, 17, 48),
    12: (91, 23, 53),
    13: (113, 28, 39),
    14: (108, 27, 45),
    15: (129, 32, 36),
    16: (133, 33, 29),
    17: (142, 35, 29),
    18: (145, 36, 27),
}


@pytest.mark.parametrize("name", ["table1", "table1-tight"])
def test_table_1_is_the_paper_s(name: str) -> None:
    members = roster(PRESETS[name], 1553, 0)
    found = Counter((int(m.chronological_age_years), m.stratum.subset, m.stratum.hospital.name) for m in members)
    for years, (training, validation, external) in TABLE_1.items():
        assert found[years, Subset.TRAINING, "A"] == training
        assert found[years, Subset.VALIDATION, "A"] == validation
        assert found[years, Subset.EXTERNAL, "B"] == external
    assert sum(found.values()) == 971 + 241 + 341
    assert len(found) == 27
    assert {m.stratum.sex for m in members} == {Sex.MALE}


def test_forensic_is_uniform_over_ages_and_both_sexes() -> None:
    preset = PRESETS["forensic"]
    found = Counter((m.stratum.sex, m.stratum.completed_years) for m in roster(preset, preset.subjects, 0))
    assert found == {(sex, years): 50 for sex in Sex for years in range(8, 26)}


def test_every_preset_has_its_growth_law() -> None:
    assert {name: preset.growth for name, preset in PRESETS.items()} == TABLES


def test_ages_are_uniform_within_the_year_and_exact_in_a_table() -> None:
    members = roster(PRESETS["table1"], 1553, 4)
    shares = np.array([m.chronological_age_years - m.stratum.completed_years for m in members])
    assert 0 <= shares.min() < 0.01
    assert 0.99 < shares.max() < 1
    np.testing.assert_allclose(np.histogram(shares, 4, (0, 1))[0], 1553 / 4, rtol=0.15)
    assert all(round(m.chronological_age_years, 4) == m.chronological_age_years for m in members)


def test_a_part_is_a_part_of_the_whole_in_its_proportions() -> None:
    preset = PRESETS["table1"]
    whole, part = (roster(preset, subjects, 7) for subjects in (preset.subjects, 155))
    assert {m.seed for m in part} <= {m.seed for m in whole}
    found = Counter((m.stratum.subset, m.stratum.completed_years) for m in part)
    for stratum in preset.strata:
        assert abs(found[stratum.subset, stratum.completed_years] - stratum.subjects * 155 / 1553) < 1


def test_names_are_different_and_follow_from_the_seed() -> None:
    preset = PRESETS["table1"]
    first, again, other = ([m.subject_id for m in roster(preset, 300, seed)] for seed in (1, 1, 2))
    assert first == again
    assert len({*first, *other}) == 600
    assert all(0 <= m.seed < 2**48 for m in roster(preset, 300, 1))


def test_the_largest_remainders_get_what_is_left() -> None:
    assert allot([5, 3, 2], 4, np.random.default_rng(0)) == [2, 1, 1]
    assert allot([60, 25, 15], 10, np.random.default_rng(0)) in ([6, 3, 1], [6, 2, 2])


def test_lots_decide_between_equals() -> None:
    drawn = {tuple(allot([1] * 6, 2, np.random.default_rng(seed))) for seed in range(20)}
    assert len(drawn) > 5
    assert {sum(shares) for shares in drawn} == {2}


@pytest.mark.parametrize("subjects", [0, -1, 1554])
def test_a_number_that_the_preset_has_not_is_refused(subjects: int) -> None:
    with pytest.raises(UsageError, match=f"has 1 to 1553 subjects; found {subjects}"):
        roster(PRESETS["table1"], subjects, 0)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="found -1"):
        roster(PRESETS["table1"], 5, -1)


def test_presets_of_other_people_share_no_subject_and_the_tight_world_has_those_of_table_1() -> None:
    seeds = {name: {member.seed for member in roster(chosen, 300, 0)} for name, chosen in PRESETS.items()}
    assert seeds["table1"].isdisjoint(seeds["forensic"])
    assert seeds["table1"] == seeds["table1-tight"]


def test_large_seeds_do_not_meet_small_ones() -> None:
    small, large = ({member.seed for member in roster(PRESETS["table1"], 100, s)} for s in (5, 5 + 7 * 2**32))
    assert small.isdisjoint(large)
