from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kneeage.cohort.random_numbers import RandomNumbers
from kneeage.cohort.split import (
    Group,
    Split,
    make_eight_to_two,
    make_folds,
    require_distinct,
    require_same_subjects,
)
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Sex
from kneeage.core.errors import InputRefusedError, UsageError
from tests.cohort.entries import TABLE_1, entry, subjects

# Source: the paper's Table 1.
PAPER_VALIDATION = {10: 10, 11: 17, 12: 23, 13: 28, 14: 27, 15: 32, 16: 33, 17: 35, 18: 36}
PAPER_TRAINING = {10: 41, 11: 69, 12: 91, 13: 113, 14: 108, 15: 129, 16: 133, 17: 142, 18: 145}


def _years(entries: Iterable[SubjectEntry], chosen: Iterable[str]) -> dict[int, int]:
    years = {one.subject_id: math.floor(one.chronological_age_years) for one in entries}
    return dict(Counter(years[subject] for subject in sorted(chosen)))


def test_eight_to_two_gives_the_counts_of_the_paper() -> None:
    entries = subjects(TABLE_1)
    split = make_eight_to_two(entries, seed=0)
    assert _years(entries, split.members(Group.VALIDATION)) == PAPER_VALIDATION
    assert _years(entries, split.members(Group.TRAINING)) == PAPER_TRAINING
    assert [len(split.members(group)) for group in (Group.TRAINING, Group.VALIDATION)] == [971, 241]


@pytest.mark.parametrize("seed", [0, 20261122, RandomNumbers("".join(random.Random(1).choices("0123456789", k=9000)))])
def test_first_of_five_folds_is_the_validation_group_of_the_same_seed(seed: int | RandomNumbers) -> None:
    entries = subjects(TABLE_1)
    assert make_folds(entries, 5, seed).tested_in(0) == make_eight_to_two(entries, seed).members(Group.VALIDATION)


def test_folds_of_the_paper_are_even() -> None:
    split = make_folds(subjects(TABLE_1), 5, seed=3)
    assert [len(split.tested_in(fold)) for fold in range(5)] == [241, 243, 243, 243, 242]


@given(
    counts=st.dictionaries(st.integers(8, 25), st.integers(2, 13), min_size=1, max_size=5),
    folds=st.integers(2, 7),
    seed=st.integers(0, 2**40),
)
def test_every_subject_is_tested_in_one_fold_and_learnt_in_the_others(
    counts: dict[int, int], folds: int, seed: int
) -> None:
    entries = subjects({year: count + folds for year, count in counts.items()})
    split = make_folds(entries, folds, seed)
    tested = [set(split.tested_in(fold)) for fold in range(folds)]
    everybody = {one.subject_id for one in entries}
    assert sorted(subject for fold in tested for subject in fold) == sorted(everybody)
    assert all(set(split.learnt_in(fold)) == everybody - tested[fold] for fold in range(folds))
    for year in counts:
        sizes = [_years(entries, fold).get(year, 0) for fold in tested]
        assert max(sizes) - min(sizes) <= 1


def test_order_of_rows_does_not_matter() -> None:
    entries = subjects({10: 7, 11: 9})
    assert make_folds(entries, 5, 1) == make_folds(entries[::-1], 5, 1)


def test_another_seed_gives_another_split() -> None:
    entries = subjects({10: 40})
    assert make_eight_to_two(entries, 1).sha256 != make_eight_to_two(entries, 2).sha256


def test_chance_is_the_same_for_everybody() -> None:
    entries = subjects({10: 10})
    drawn = Counter(subject for seed in range(2000) for subject in make_folds(entries, 5, seed).tested_in(0))
    # 2000 draws of 2 in 10: 400 each, SD 18.
    assert all(abs(drawn[one.subject_id] - 400) < 90 for one in entries)


def test_sexes_are_classes_where_both_are_there() -> None:
    men, women = subjects({10: 10}, "m"), subjects({10: 5}, "f", sex=Sex.FEMALE)
    split = make_folds([*men, *women], 5, 0)
    assert split.stratified_by == ("age_year", "sex")
    assert {tuple(sorted(subject[0] for subject in split.tested_in(fold))) for fold in range(5)} == {("f", "m", "m")}


def test_subjects_that_the_table_keeps_for_testing_are_never_drawn() -> None:
    entries = [*subjects({10: 5}), *subjects({10: 2}, "x", subset="External"), *subjects({25: 1}, "t", subset="test")]
    split = make_folds(entries, 5, 0)
    assert split.members(Group.EXTERNAL) == ("x10-000", "x10-001")
    assert split.members(Group.TEST) == ("t25-000",)
    assert all(split.places[subject].fold is None for subject in ("x10-000", "t25-000"))
    assert not {"x10-000", "t25-000"} & {*split.learnt_in(0), *split.tested_in(0)}


def test_small_class_is_named_with_its_count() -> None:
    with pytest.raises(InputRefusedError, match=r"at least 5 subjects of each class; found age year 18: 4; "):
        make_folds(subjects({17: 5, 18: 4}), 5, 0)


def test_small_class_is_named_with_its_sex() -> None:
    entries = [*subjects({10: 5}), *subjects({11: 1}, "f", sex=Sex.FEMALE)]
    with pytest.raises(InputRefusedError, match="age year 11, female: 1"):
        make_folds(entries, 5, 0)


@pytest.mark.parametrize(
    ("smallest", "remedy"),
    [
        (4, "take the rows of these classes out of the table, add subjects, or take 4 folds$"),
        (1, "take the rows of these classes out of the table, or add subjects$"),
    ],
)
def test_fewer_folds_are_advised_only_where_they_would_do(smallest: int, remedy: str) -> None:
    with pytest.raises(InputRefusedError, match=remedy):
        make_folds(subjects({17: 5, 18: smallest}), 5, 0)


def test_eight_to_two_needs_three_of_a_class() -> None:
    assert len(make_eight_to_two(subjects({10: 3}), 0).members(Group.VALIDATION)) == 1
    with pytest.raises(InputRefusedError, match=r"8:2 split needs at least 3 .* age year 10: 2; take .* add subjects$"):
        make_eight_to_two(subjects({10: 2}), 0)


@pytest.mark.parametrize(("folds", "seed"), [(1, 0), (0, 0), (5, -1)])
def test_impossible_wishes_are_wrong_usage(folds: int, seed: int) -> None:
    with pytest.raises(UsageError, match="found"):
        make_folds(subjects({10: 9}), folds, seed)


def test_nobody_to_draw_is_refused() -> None:
    with pytest.raises(InputRefusedError, match="none of the 2 subjects can be drawn"):
        make_folds(subjects({10: 2}, subset="external"), 5, 0)


@pytest.mark.parametrize(
    ("name", "words"), [("study_key", "'a', 'b' share one study"), ("pixel_sha256", "'a', 'b' have the same pixels")]
)
def test_one_person_under_two_names_is_refused(name: str, words: str) -> None:
    entries = [entry("b", **{name: "ab" * 32}), entry("c"), entry("a", subset="external", **{name: "ab" * 32})]
    with pytest.raises(InputRefusedError, match=words):
        require_distinct(entries)
    with pytest.raises(InputRefusedError, match=words):
        make_folds([*entries, *subjects({12: 9})], 2, 0)


def test_subject_twice_is_refused() -> None:
    with pytest.raises(InputRefusedError, match="'a' is there more than once"):
        require_distinct([entry("a"), entry("a")])


def test_split_must_fit_the_cohort() -> None:
    entries = subjects({10: 10})
    split = make_eight_to_two(entries, 0)
    require_same_subjects(split, entries)
    with pytest.raises(InputRefusedError, match="no place for 'new'"):
        require_same_subjects(split, [*entries, entry("new")])
    with pytest.raises(InputRefusedError, match="names 's10-007', 's10-008', 's10-009', not in the cohort"):
        require_same_subjects(split, entries[:7])


def test_hash_knows_subjects_groups_and_folds() -> None:
    split = make_folds(subjects({10: 4}), 2, 0)
    subject, place = next(iter(split.places.items()))
    moved = {**split.places, subject: replace(place, fold=1 - (place.fold or 0))}
    hashes = {
        split.sha256,
        replace(split, places=moved).sha256,
        replace(split, places={**split.places, subject: replace(place, group=Group.TEST)}).sha256,
        replace(split, places={**split.places, "more": place}).sha256,
    }
    assert len(hashes) == 4
    assert replace(split, seed=9).sha256 == split.sha256


def test_split_without_folds_has_none() -> None:
    assert make_eight_to_two(subjects({10: 4}), 0).folds == 0
    assert Split({}, "", 0).folds == 0
