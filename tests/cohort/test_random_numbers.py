from __future__ import annotations

from pathlib import Path

import pytest

from kneeage.cohort.random_numbers import RandomNumbers, read_random_numbers
from kneeage.cohort.split import Group, make_eight_to_two
from kneeage.core.anatomy import Sex
from kneeage.core.errors import InputRefusedError
from tests.cohort.entries import subjects


def _table(*numbers: int) -> RandomNumbers:
    return RandomNumbers("".join(f"{number:05d}" for number in numbers))


def test_digits_are_read_in_order_whatever_their_groups(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    path.write_text("10 09 7\r\n\n32533\t7 6520\n", encoding="utf-8-sig")
    table = read_random_numbers(path)
    assert table.digits == "100973253376520"
    assert table.given_to([["a", "b"], ["c"]]) == {"a": 10097, "b": 32533, "c": 76520}


def test_number_that_the_class_has_is_passed_over() -> None:
    assert _table(7, 7, 8, 7).given_to([["a", "b"], ["c"]]) == {"a": 7, "b": 8, "c": 7}


def test_smallest_numbers_of_a_class_are_its_validation_group() -> None:
    split = make_eight_to_two(subjects({11: 5, 10: 5})[::-1], _table(5, 4, 1, 2, 3, 90, 80, 70, 60, 50))
    assert split.members(Group.VALIDATION) == ("s10-002", "s11-004")


def test_female_subjects_take_their_numbers_first() -> None:
    entries = [*subjects({10: 3}, "m"), *subjects({10: 3}, "f", sex=Sex.FEMALE)]
    split = make_eight_to_two(entries, _table(2, 1, 3, 6, 5, 4))
    assert split.members(Group.VALIDATION) == ("f10-001", "m10-002")


def test_short_table_says_where_it_ends() -> None:
    with pytest.raises(InputRefusedError, match="ends after 2 subjects; it needs 5 digits for each"):
        RandomNumbers("1234567890123").given_to([["a", "b", "c"]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("12345\n1234x", "line 2: 'x' is no digit"),
        ("٣", "line 1: '٣' is no digit"),
        (" \n", "holds no digit"),
        ("", "holds no digit"),
    ],
)
def test_anything_but_digits_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "table.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputRefusedError, match=words):
        read_random_numbers(path)


def test_unreadable_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match=r"cannot read 'no\.txt'"):
        read_random_numbers(tmp_path / "no.txt")
    (tmp_path / "raw.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputRefusedError, match=r"'raw\.txt' is not text"):
        read_random_numbers(tmp_path / "raw.txt")
