"""``kneeage cohort import | check | summary``: options in, tables and one sentence out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kneeage.core.workers import on_cores
from kneeage.phantom.cohort.make import make_cohort
from tests.cli.conftest import Run
from tests.cohort.folders import cohort_of, dicom_study, person, write_table
from tests.phantom.miniature import small_recipe

PEOPLE = [
    person("S1", chronological_age_years=12.25, site="A"),
    person("S2", chronological_age_years=14.5, site="B", sex="female"),
]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cohort_of(tmp_path_factory.mktemp("made"), PEOPLE)


def test_subjects_are_imported_and_those_left_out_are_said(run: Run, tmp_path: Path) -> None:
    for number, row in enumerate(PEOPLE):
        dicom_study(tmp_path / "studies" / row["subject_id"], number + 1)
    people = [*PEOPLE, person("S3"), person("S4", injury=1)]
    table = write_table(tmp_path / "people.csv", people)
    command = ("cohort", "import", table, tmp_path / "studies", "-o", tmp_path / "c", "--population", "Qingdao")
    done = run(*command)
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'c' / 'subjects.csv'}\n"), done.stderr
    assert done.stderr.splitlines() == [
        "Left out S4: excluded: an injury of the knee",
        "Left out S3: the source folder holds no folder 'S3' and no file of that name; name its path in a column "
        "'source'",
        "2 subjects, 0 of them from an earlier run; 2 left out.",
    ]
    assert json.loads((tmp_path / "c" / "cohort.json").read_bytes())["population"] == "Qingdao"
    write_table(tmp_path / "people.csv", PEOPLE[:1])
    done = run(*command)
    assert done.stderr.splitlines() == [
        "Folders of an earlier run that are in no table; remove them: S2",
        "subjects.csv said something else: that table is kept as 'subjects.earlier-1.csv'.",
        "1 subject, 1 of them from an earlier run; 0 left out.",
    ]


def test_a_faulty_table_ends_with_3_and_makes_nothing(run: Run, tmp_path: Path) -> None:
    table = write_table(tmp_path / "people.csv", [person("S1", chronological_age_years=180)])
    done = run("cohort", "import", table, tmp_path, "-o", tmp_path / "c")
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr == (
        "kneeage: 'people.csv', row 2, column 'chronological_age_years': must be an age in years, above 0 and below "
        "120; found '180'\n"
    )
    assert not (tmp_path / "c").exists()


def test_an_import_of_nobody_ends_with_3(run: Run, tmp_path: Path) -> None:
    table = write_table(tmp_path / "people.csv", [person("S1")])
    (tmp_path / "studies").mkdir()
    done = run("cohort", "import", table, tmp_path / "studies", "-o", tmp_path / "c")
    assert (done.exit_code, done.stdout) == (3, "")
    assert "Left out S1: the source folder holds no folder 'S1'" in done.stderr
    assert "no subject was imported; 1 of 1 were left out since the source folder holds no folder" in done.stderr
    assert not (tmp_path / "c").exists()


def test_an_import_of_nobody_does_not_bind_the_folder(run: Run, tmp_path: Path) -> None:
    dicom_study(tmp_path / "studies" / "S1", 1)
    table = write_table(tmp_path / "people.csv", [person("S1")])
    command = ("cohort", "import", table, tmp_path / "studies", "-o", tmp_path / "c", "--population")
    refused = run(*command, "virtual")
    assert refused.exit_code == 3
    assert "does not say that it is computer-generated; name another --population" in refused.stderr
    assert run(*command, "Qingdao").exit_code == 0
    write_table(tmp_path / "people.csv", [person("S2")])
    assert run(*command, "Qingdao").exit_code == 3
    assert "S2" in (tmp_path / "c" / "refused.csv").read_text(encoding="utf-8")
    assert (tmp_path / "c" / "subjects" / "S1").is_dir()


def test_a_clean_cohort_ends_with_0(run: Run, cohort: Path) -> None:
    done = run("cohort", "check", cohort)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "0 to mend, 0 to know.\n")
    assert json.loads(run("cohort", "check", cohort, "--json").stdout) == {"clean": True, "findings": []}


def test_findings_are_shown_and_end_with_3(run: Run, cohort: Path, tmp_path: Path) -> None:
    other = cohort_of(tmp_path, [person("T1")])
    done = run("cohort", "check", cohort, "--against", other)
    assert done.exit_code == 3
    assert done.stderr == "1 to mend, 0 to know.\n"
    for words in ("mend", "duplicate", "S1, T1", "the same pixels in 'cohort'"):
        assert words in done.stdout
    done = run("cohort", "check", cohort, "--against", other, "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout) == {
        "clean": False,
        "findings": [
            {
                "severity": "mend",
                "about": "duplicate",
                "subjects": ["S1", "T1"],
                "words": "the same pixels in 'cohort'",
            }
        ],
    }


def test_a_folder_that_is_no_cohort_ends_with_3(run: Run, tmp_path: Path) -> None:
    for command in ("check", "summary"):
        done = run("cohort", command, tmp_path)
        assert (done.exit_code, done.stdout) == (3, "")
        assert "is no cohort" in done.stderr


def test_a_summary_as_table_csv_and_json(run: Run, cohort: Path) -> None:
    shown = run("cohort", "summary", cohort)
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.splitlines()[0].split() == ["completed", "years", "A", "B", "all"]
    assert shown.stdout.splitlines()[3].split() == ["14", "0", "1", "1"]
    table = run("cohort", "summary", cohort, "--by", "sex", "--csv").stdout.splitlines()
    assert (table[0], table[1]) == ("completed_years,female,male,all", "12,0,1,1")
    groups = json.loads(run("cohort", "summary", cohort, "--json").stdout)
    assert [(group["name"], group["subjects"], group["mean_age_years"]) for group in groups] == [
        ("A", 1, 12.25),
        ("B", 1, 14.5),
        ("all", 2, 13.375),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--by", "ward"), "--by takes subset, site, sex; found 'ward'"),
        (("--by", "site", "--split", "main"), "give --by or --split, not both"),
        (("--csv", "--json"), "--csv and --json go apart"),
        (("--split", "five.csv"), "the cohort has no split 'five'; it has none; make one with 'kneeage cohort split'"),
    ],
)
def test_a_wrong_option_ends_with_2(options: tuple[str, ...], words: str, run: Run, cohort: Path) -> None:
    done = run("cohort", "summary", cohort, *options)
    assert done.exit_code == 2
    assert words in done.stderr


def test_an_unknown_split_is_answered_with_those_that_there_are(run: Run, tmp_path: Path) -> None:
    people = [person(f"S{number}") for number in range(4)]
    cohort = cohort_of(tmp_path, people)
    for name in ("eighty", "again"):
        assert run("cohort", "split", cohort, "-o", name).exit_code == 0
    for command in (("summary", cohort), ("export", cohort, "-o", tmp_path / "nnunet")):
        done = run("cohort", *command, "--split", "five")
        assert done.exit_code == 2
        assert "has no split 'five'; its splits are 'again', 'eighty'; make one" in done.stderr


def test_a_virtual_cohort_is_checked_and_counted(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "v"
    make_cohort(folder, small_recipe(subjects=2), lambda work, jobs: on_cores(work, jobs, workers=1), lambda *_: None)
    done = run("cohort", "check", folder)
    assert done.exit_code == 0, done.stdout
    assert done.stderr.startswith("0 to mend")
    shown = run("cohort", "summary", folder, "--csv").stdout.splitlines()
    assert shown[0] == "completed_years,training,external,all"
    assert shown[1:3] == ["11,1,0,1", "12,0,0,0"]
