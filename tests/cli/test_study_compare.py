"""``kneeage study compare``: raw values and printed means."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kneeage.study.comparison import compare
from tests.cli.conftest import Run

FIRST, SECOND = [0.81, 0.84, 0.9, 0.7], [0.88, 0.86, 0.91]
# Source: Gao et al., Table 2: mean and SD of the test and of the validation group, t and P.
TABLE_2 = [
    ("0.82578 0.09586 45 0.85713 0.06001 45", "-1.86", ".066"),
    ("0.83145 0.07462 45 0.84732 0.06556 45", "-1.07", ".287"),
    ("0.97442 0.01313 45 0.97729 0.01223 45", "-1.07", ".287"),
]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for name, values in (("a", FIRST), ("b", SECOND)):
        (tmp_path / f"{name}.csv").write_text("recall\n" + "\n".join(map(str, values)), encoding="utf-8")
    return [tmp_path / "a.csv", tmp_path / "b.csv"]


def test_raw_values_as_a_table(run: Run, files: list[Path]) -> None:
    done = run("study", "compare", *files)
    expected = compare(FIRST, SECOND)
    assert expected.levene is not None
    assert expected.t is not None
    assert done.exit_code == 0
    levene, t = (next(line for line in done.stdout.splitlines() if words in line) for words in ("Levene", "t, equal"))
    assert levene.split()[-4:] == [f"{expected.levene.statistic:.4f}", "1,", "5", f"{expected.levene.p_value:.4f}"]
    assert t.split()[-3:] == [f"{expected.t.statistic:.4f}", "5", f"{expected.t.p_value:.4f}"]
    assert "independent" in done.stderr


def test_raw_values_as_json(run: Run, files: list[Path]) -> None:
    found = json.loads(run("study", "compare", *files, "--json").stdout)
    expected = compare(FIRST, SECOND)
    assert expected.levene is not None
    assert found["levene"]["statistic"] == expected.levene.statistic
    assert found["first"]["n"] == 4
    assert found["rounding"] is None


def test_a_column_of_several(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("fold,recall\n1,0.8\n2,0.9\n3,0.4", encoding="utf-8")
    found = json.loads(run("study", "compare", *[tmp_path / "a.csv"] * 2, "--column", "recall", "--json").stdout)
    assert found["t"]["statistic"] == 0


@pytest.mark.parametrize(("stats", "t", "p_value"), TABLE_2)
def test_printed_t_and_p_of_table_2(run: Run, stats: str, t: str, p_value: str) -> None:
    arguments = ["study", "compare", "--from-stats", *stats.split(), "--decimals", "5"]
    found = json.loads(run(*arguments, "--json").stdout)["rounding"]
    assert found["t"][0] - 0.005 <= float(t) <= found["t"][1] + 0.005
    assert found["p_value"][0] - 0.0005 <= float(p_value) <= found["p_value"][1] + 0.0005


def test_the_range_of_rounding_is_shown_when_asked_for(run: Run) -> None:
    arguments = ["study", "compare", "--from-stats", *TABLE_2[2][0].split()]
    asked, plain = run(*arguments, "--decimals", "5").stdout, run(*arguments).stdout
    assert [line.split()[-1] for line in asked.splitlines() if "from" in line or " to " in line] == ["0.2844", "0.2881"]
    assert "rounding" not in plain
    assert "Levene" not in plain


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "give two files of values, or --from-stats MEAN SD N MEAN SD N; found 0 files"),
        ("a.csv", "found 1 files"),
        ("a.csv b.csv c.csv", "found 3 files"),
        ("a.csv b.csv --from-stats 1 1 3 2 1 3", "not both"),
        ("--column x --from-stats 1 1 3 2 1 3", "--column goes with files"),
        ("a.csv b.csv --decimals 5", "--decimals goes with --from-stats"),
        ("--from-stats 1 1 3 2 1", "requires 6 arguments"),
        ("--from-stats 1 1 3.5 2 1 3", "Invalid value for '--from-stats'"),
        ("--from-stats 1 -1 3 2 1 3", "--from-stats: an SD must be 0 or more; found -1"),
        ("--from-stats 1 1 1 2 1 3", "a group needs 2 values or more; found 1"),
        ("--from-stats nan 1 3 2 1 3", "must be finite"),
        ("--from-stats 1 0 3 2 0 3 --decimals 2", "both SDs may be 0"),
        ("--from-stats 1 1 3 2 1 3 --decimals -1", "Invalid value for '--decimals'"),
    ],
)
def test_wrong_usage(run: Run, arguments: str, words: str) -> None:
    done = run("study", "compare", *arguments.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_value_that_is_no_number_is_refused(run: Run, files: list[Path]) -> None:
    files[1].write_text("recall\n0.8\nhigh\n", encoding="utf-8")
    done = run("study", "compare", *files)
    assert (done.exit_code, done.stdout) == (3, "")
    assert "'b.csv', row 3, column 1: a finite number is needed; found 'high'" in done.stderr


def test_a_file_that_is_not_there_is_refused(run: Run, files: list[Path]) -> None:
    done = run("study", "compare", files[0], "none.csv")
    assert done.exit_code == 3
    assert "'none.csv' is not there; give a CSV file of values" in done.stderr


def test_a_t_that_rounds_to_zero_has_no_minus(run: Run) -> None:
    done = run("study", "compare", "--from-stats", 0.8, 0.1, 5, 0.800001, 0.1, 5)
    assert "0.0000" in done.stdout
    assert "-0.0000" not in done.stdout


def test_groups_that_do_not_vary_are_said_to_have_no_t(run: Run) -> None:
    done = run("study", "compare", "--from-stats", 1, 0, 3, 2, 0, 3)
    assert done.exit_code == 0
    assert "not defined" in done.stdout


def test_it_needs_scipy_alone() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from kneeage.cli.app import app\n"
        f"done = CliRunner().invoke(app, ['study', 'compare', '--from-stats', *{TABLE_2[0][0].split()}])\n"
        "print(done.exit_code, {'sklearn', 'torch', 'onnxruntime', 'pydicom'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0 set()"


@pytest.mark.parametrize("command", [("study",), ("study", "compare")])
def test_help(run: Run, command: tuple[str, ...]) -> None:
    done = run(*command, "-h")
    assert (done.exit_code, "Usage: " in done.stdout) == (0, True)
