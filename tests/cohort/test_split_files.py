"""A split on disk: read back as it was written, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kneeage.cohort.random_numbers import RandomNumbers
from kneeage.cohort.split import make_eight_to_two, make_folds
from kneeage.cohort.split_files import read_split, split_path, write_split
from kneeage.core.errors import InputRefusedError, OutputError, UsageError
from tests.cohort.entries import entry, subjects


def test_written_split_is_read_back(tmp_path: Path) -> None:
    split = make_folds([*subjects({10: 6}), entry("外部", subset="external")], 2, 7)
    write_split(tmp_path / "splits" / "five.csv", split)
    assert read_split(tmp_path / "splits" / "five.csv") == split
    facts = json.loads((tmp_path / "splits" / "five.json").read_text(encoding="utf-8"))
    assert facts["seed"] == 7
    assert facts["subjects"] == {"external": 1, "training": 6}
    assert facts["folds"] == [3, 3]
    assert facts["sha256"] == split.sha256


def test_split_by_a_table_records_the_hash_of_its_digits(tmp_path: Path) -> None:
    table = RandomNumbers("".join(f"{n:05d}" for n in range(9)))
    write_split(tmp_path / "a.csv", make_eight_to_two(subjects({10: 5}), table))
    read = read_split(tmp_path / "a.csv")
    assert (read.seed, read.random_numbers_sha256) == (None, table.sha256)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_split(tmp_path / "a.csv", make_eight_to_two(subjects({10: 10}), 0))
    return tmp_path / "a.csv"


def _edit(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("training", "validation", "was changed after it was made"),
        ("training", "trained", "row 2: no group and fold"),
        ("s10-001", "s10-000", "row 3: no group and fold"),
        ("training,", "training,x", "row 2: no group and fold"),
        ("group", "groups", "column 'group' is missing"),
    ],
)
def test_changed_split_is_refused(written: Path, old: str, new: str, words: str) -> None:
    _edit(written, old, new)
    with pytest.raises(InputRefusedError, match=words):
        read_split(written)


@pytest.mark.parametrize(
    ("text", "words"), [("[]", "does not describe a split"), ("{", "is not JSON"), ("{}", "does not describe a split")]
)
def test_damaged_sidecar_is_refused(written: Path, text: str, words: str) -> None:
    written.with_suffix(".json").write_text(text, encoding="utf-8")
    with pytest.raises(InputRefusedError, match=words):
        read_split(written)


def test_missing_sidecar_is_refused(written: Path) -> None:
    written.with_suffix(".json").unlink()
    with pytest.raises(InputRefusedError, match=r"cannot read 'a\.json'"):
        read_split(written)


def test_split_is_not_written_over(written: Path) -> None:
    before = {path.name: path.read_bytes() for path in written.parent.iterdir()}
    written.with_suffix(".json").unlink()
    with pytest.raises(OutputError, match=r"a\.csv' is there already"):
        write_split(written, make_eight_to_two(subjects({10: 10}), 1))
    assert {path.name for path in written.parent.iterdir()} == {"a.csv"}
    assert written.read_bytes() == before["a.csv"]


def test_split_is_a_csv_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.csv"):
        write_split(tmp_path / "a.txt", make_eight_to_two(subjects({10: 10}), 1))


def test_a_split_lies_in_its_cohort_under_its_name(tmp_path: Path) -> None:
    assert split_path(tmp_path, "five") == split_path(tmp_path, "five.csv") == tmp_path / "splits" / "five.csv"
    with pytest.raises(UsageError, match="the name of a split"):
        split_path(tmp_path, "../five")
