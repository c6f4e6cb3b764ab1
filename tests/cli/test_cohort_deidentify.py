from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run
from tests.io.support import Made, write_series


def test_files_are_written_and_the_rest_is_listed(run: Run, tmp_path: Path) -> None:
    write_series(tmp_path / "in", Made())
    (tmp_path / "in" / "notes.txt").write_text("hello", encoding="utf-8")
    done = run("cohort", "deidentify", tmp_path / "in", "-o", tmp_path / "out", "--key", tmp_path / "key.csv")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "out")
    assert "Left out notes.txt: it is no DICOM image" in done.stderr
    assert "Files that do not say whether text is burned into their pixels: 12." in done.stderr
    assert "Subjects: 1; files: 12; files left out: 1." in done.stderr
    assert (tmp_path / "key.csv").read_text(encoding="utf-8") == "patient_id,subject_id\nsecret-4711,S0001\n"


def test_codes_are_taken_from_a_table(run: Run, tmp_path: Path) -> None:
    write_series(tmp_path / "in", Made())
    (tmp_path / "codes.csv").write_text("patient_id,subject_id\nsecret-4711,K7\n", encoding="utf-8")
    done = run("cohort", "deidentify", tmp_path / "in", "-o", tmp_path / "out", "--codes", tmp_path / "codes.csv")
    assert done.exit_code == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["K7"]
    assert "Nobody can tell" not in done.stderr


def test_lost_identities_are_said(run: Run, tmp_path: Path) -> None:
    write_series(tmp_path / "in", Made())
    assert "Nobody can tell" in run("cohort", "deidentify", tmp_path / "in", "-o", tmp_path / "out").stderr


def test_nothing_to_do_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    done = run("cohort", "deidentify", tmp_path / "in", "-o", tmp_path / "out")
    assert (done.exit_code, done.stdout) == (3, "")
    assert not (tmp_path / "out").exists()
