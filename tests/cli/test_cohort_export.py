from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run
from tests.cohort.folders import cohort_of, person


def test_cohort_becomes_a_raw_data_set(run: Run, tmp_path: Path) -> None:
    folder = cohort_of(tmp_path, [person(name) for name in ("ada", "bea", "cid", "dan")])
    (folder / "subjects" / "dan" / "labels.nii.gz").unlink()
    assert run("cohort", "split", folder, "-o", "two", "--folds", 2).exit_code == 0
    done = run("cohort", "export", folder, "--format", "nnunet", "-o", tmp_path / "raw", "--split", "two")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "raw" / "Dataset001_Kneeage")
    assert "Left out dan: it has no labels" in done.stderr
    assert "Subjects to learn from: 3; to test on: 0; left out: 1." in done.stderr
    assert (tmp_path / "raw" / "Dataset001_Kneeage" / "splits_final.json").is_file()


def test_unknown_format_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    done = run("cohort", "export", tmp_path, "--format", "coco", "-o", tmp_path / "raw")
    assert (done.exit_code, "--format takes nnunet" in done.stderr) == (2, True)
