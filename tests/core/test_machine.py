"""What this machine has."""

from __future__ import annotations

import os
import sys

import pytest

from kneeage.core.machine import available_cores, possible_processes


def test_cores_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3}, raising=False)
    assert available_cores() == 2


def test_cores_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


@pytest.mark.parametrize(("system", "wanted", "possible"), [("win32", 64, 61), ("win32", 8, 8), ("linux", 64, 64)])
def test_windows_takes_61_processes(system: str, wanted: int, possible: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert possible_processes(wanted) == possible
