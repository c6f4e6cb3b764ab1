"""``kneeage demo``: a virtual subject, its truth beside the estimate."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.result import Outcome
from kneeage.phantom.cohort import write
from tests.cli.conftest import Pipeline, Run


@pytest.fixture
def virtual(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, int]]:
    made: list[tuple[Path, int]] = []

    def make(folder: Path, seed: int) -> SimpleNamespace:
        made.append((folder, seed))
        folder.mkdir(parents=True)
        return SimpleNamespace(sex=Sex.FEMALE, chronological_age_years=15.27)

    monkeypatch.setattr(write, "write_virtual_dicom", make)
    return made


def test_truth_and_estimate_are_printed(run: Run, stand_in: Pipeline, virtual: list[object], tmp_path: Path) -> None:
    done = run("demo", "-o", tmp_path / "d", "--seed", "5")
    assert done.exit_code == 0
    assert "Virtual subject: female, true age 15.3 years." in done.stderr
    assert "Estimate: Most probable age 16.5 years" in done.stderr
    assert done.stdout == f"{tmp_path / 'd' / 'report' / 'report.html'}\n"
    assert (tmp_path / "d" / "report" / "report.html").exists()
    assert stand_in.asked["sex"] is Sex.FEMALE
    assert len(virtual) == 1


@pytest.mark.usefixtures("virtual", "stand_in")
def test_without_a_folder_a_free_name_is_taken(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = run("demo"), run("demo")
    assert first.stdout == f"{Path('kneeage-demo/report/report.html')}\n"
    assert second.stdout == f"{Path('kneeage-demo-2/report/report.html')}\n"


@pytest.mark.usefixtures("virtual")
def test_a_failure_leaves_nothing_behind(run: Run, stand_in: Pipeline, tmp_path: Path) -> None:
    stand_in.error = RuntimeError("boom")
    assert run("demo", "-o", tmp_path / "d").exit_code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("virtual")
def test_an_abstention_ends_with_4(run: Run, stand_in: Pipeline, tmp_path: Path) -> None:
    stand_in.outcome = Outcome.ABSTAINED
    done = run("demo", "-o", tmp_path / "d")
    assert done.exit_code == 4
    assert "A bone was not seen" in done.stderr
