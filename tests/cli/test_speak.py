"""What every command answers to Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from kneeage.cohort import check, importing
from kneeage.core.errors import EXIT_STOPPED
from kneeage.learn import train_cohort
from kneeage.study import run as study
from kneeage.study import virtual_bundle
from tests.cli.conftest import Run
from tests.cohort.folders import dicom_study, person, write_table

RESUMABLE = [
    (train_cohort, "own_run", "train segmenter COHORT -o RUN"),
    (train_cohort, "own_run", "train age COHORT -o RUN --segmenter BUNDLE"),
    (study, "run_study", "study run COHORT --external COHORT -o RUN"),
    (importing, "import_cohort", "cohort import people.csv COHORT -o RUN"),
    (virtual_bundle, "make_virtual_bundle", "bundle make -o RUN --work WORK"),
]


@pytest.fixture(autouse=True)
def usual_interrupt() -> Iterator[None]:
    """Ctrl-C as a terminal has it; a shell in the background may have it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c(*_: object, **__: object) -> NoReturn:
    """Stands where a command works."""
    signal.raise_signal(signal.SIGINT)
    raise AssertionError


@pytest.mark.parametrize(("module", "name", "words"), RESUMABLE, ids=lambda value: str(value)[:15])
def test_who_stops_what_can_go_on_is_told_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str, words: str
) -> None:
    monkeypatch.setattr(module, name, press_ctrl_c)
    monkeypatch.setattr("kneeage.cohort.folder.read_cohort", lambda _: None)
    monkeypatch.chdir(tmp_path)
    done = run(*words.split())
    assert (done.exit_code, done.stdout) == (EXIT_STOPPED, "")
    assert done.stderr == "Stopping; what is done is kept, and the same command goes on.\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_commands_are_just_stopped(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "check_cohort", press_ctrl_c)
    done = run("cohort", "check", tmp_path)
    assert (done.exit_code, done.stderr) == (EXIT_STOPPED, "kneeage: stopped\n")


def test_an_import_that_was_stopped_goes_on(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate(("S1", "S2"), 1):
        dicom_study(tmp_path / "studies" / name, number)
    table = write_table(tmp_path / "people.csv", [person("S1"), person("S2")])
    command = ("cohort", "import", table, tmp_path / "studies", "-o", tmp_path / "c", "--population", "Qingdao")
    read = importing.load
    monkeypatch.setattr(importing, "load", lambda path, key: press_ctrl_c() if path.name == "S2" else read(path, key))
    assert run(*command).exit_code == EXIT_STOPPED
    monkeypatch.setattr(importing, "load", read)
    assert "2 subjects, 1 of them from an earlier run; 0 left out." in run(*command).stderr
