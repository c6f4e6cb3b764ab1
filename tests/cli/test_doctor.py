"""``kneeage doctor``: every check, and what it says when something is wrong."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from kneeage.cli import demo, doctor
from kneeage.cli.doctor import State
from kneeage.core.errors import BundleError
from kneeage.core.result import Outcome
from tests.cli.conftest import Run, answer


@pytest.fixture
def good_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = SimpleNamespace(chronological_age_years=15.0)
    monkeypatch.setattr(demo, "run_demo", lambda *_, **__: (subject, answer(Outcome.ESTIMATED)))
    monkeypatch.setattr(doctor, "bundle_check", lambda _: [doctor.Finding("bundle", State.NOTE, "toy")])


def test_versions_are_those_installed() -> None:
    found = {finding.check: finding for finding in doctor.versions()}
    assert found["numpy"].state is State.FINE
    assert set(doctor.LIBRARIES) < set(found)


def test_a_missing_library_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LIBRARIES", ("no-such-library",))
    assert doctor.versions()[-1].state is State.FAULT


def test_all_codecs_of_the_base_install_are_there() -> None:
    assert {finding.state for finding in doctor.codecs()} == {State.FINE}


def test_a_missing_typeface_is_only_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    from kneeage.report import fonts

    monkeypatch.setattr(fonts, "chinese_font", lambda: None)
    assert doctor.fonts()[0].state is State.NOTE


def test_a_missing_bundle_is_a_fault(tmp_path: Path) -> None:
    finding = doctor.bundle_check(tmp_path / "none")[0]
    assert finding.state is State.FAULT
    assert "no model bundle" in finding.words


@pytest.mark.usefixtures("good_demo")
def test_a_sound_machine_ends_with_0(run: Run) -> None:
    done = run("doctor")
    assert done.exit_code == 0
    assert "Everything works." in done.stderr
    assert "virtual subject of 15.0 years: estimated, 16.5 years" in " ".join(done.stdout.split())


@pytest.mark.usefixtures("good_demo")
def test_a_fault_ends_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BundleError("the bundle was altered")

    monkeypatch.setattr(demo, "run_demo", fail)
    done = run("doctor")
    assert done.exit_code == 1
    assert "the bundle was altered" in done.stdout
    assert "see FAULT" in done.stderr
