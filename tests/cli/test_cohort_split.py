from __future__ import annotations

import json
from pathlib import Path

import pytest

from kneeage.cohort.split_files import read_split
from tests.cli.conftest import Run
from tests.cohort.folders import person, write_table


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """A cohort of ten subjects of one age year and one external one, without images."""
    people = [person(f"s{n}", image=f"subjects/s{n}/image.nii.gz", subset="") for n in range(10)]
    people.append(person("x", image="subjects/x/image.nii.gz", subset="external"))
    (tmp_path / "cohort").mkdir()
    write_table(tmp_path / "cohort" / "subjects.csv", people)
    (tmp_path / "cohort" / "cohort.json").write_text('{"schema_version": "1.1"}', encoding="utf-8")
    return tmp_path / "cohort"


def test_eight_to_two_is_the_default(run: Run, cohort: Path) -> None:
    done = run("cohort", "split", cohort, "-o", "eighty", "--seed", 7)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == str(cohort / "splits" / "eighty.csv")
    assert "8 training, 2 validation, 1 external." in done.stderr
    assert read_split(cohort / "splits" / "eighty.csv").seed == 7


def test_folds(run: Run, cohort: Path) -> None:
    done = run("cohort", "split", cohort, "-o", "five", "--folds", 5)
    assert "10 training, 1 external.\nFolds of 2, 2, 2, 2, 2 subjects." in done.stderr
    assert read_split(cohort / "splits" / "five.csv").folds == 5


def test_table_of_random_numbers(run: Run, cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "table.txt").write_text("10097 32533 76520 13586 34673 54876 80959 09117 39292 74945", encoding="utf-8")
    done = run("cohort", "split", cohort, "-o", "drawn", "--random-numbers", tmp_path / "table.txt")
    assert done.exit_code == 0, done.stderr
    split = read_split(cohort / "splits" / "drawn.csv")
    assert {subject for subject, place in split.places.items() if place.group.value == "validation"} == {"s0", "s7"}
    facts = json.loads((cohort / "splits" / "drawn.json").read_text(encoding="utf-8"))
    assert (facts["seed"], len(facts["random_numbers_sha256"])) == (None, 64)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--folds", 11), 3, "age year 14: 10"),
        (("--folds", 1), 2, "2 folds or more"),
        (("--seed", 1, "--random-numbers", "table.txt"), 2, "not both"),
        (("--random-numbers", "no.txt"), 3, "cannot read 'no.txt'"),
        (("-o", "../elsewhere"), 2, "the name of a split must have"),
    ],
)
def test_impossible_wishes(run: Run, cohort: Path, options: tuple[object, ...], code: int, words: str) -> None:
    done = run("cohort", "split", cohort, "-o", "name", *options)
    assert (done.exit_code, done.stdout) == (code, "")
    assert words in done.stderr
    assert not (cohort / "splits").exists()


def test_split_of_that_name_is_kept(run: Run, cohort: Path) -> None:
    run("cohort", "split", cohort, "-o", "name")
    done = run("cohort", "split", cohort, "-o", "name", "--seed", 3)
    assert (done.exit_code, "is there already" in done.stderr) == (1, True)
    assert read_split(cohort / "splits" / "name.csv").seed == 0
