"""What the documents name is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_IDS = [str(document.relative_to(ROOT)) for document in DOCUMENTS]
_COMMAND = re.compile(r"(?m)(?:^|`)kneeage ([a-z]+)")


def _help(*command: str) -> str:
    """The help of a command, wide enough that nothing is cut."""
    program = Path(sys.executable).with_name("kneeage")
    plain = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    arguments = [program, *command, "--help"]
    return subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60, env=plain).stdout


@pytest.fixture(scope="module")
def commands() -> str:
    """The help of the whole program."""
    return _help()


@pytest.mark.parametrize("document", DOCUMENTS, ids=_IDS)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=_IDS)
def test_make_targets_exist(document: Path) -> None:
    named = set(re.findall(r"`make ([a-z-]+)`", document.read_text(encoding="utf-8")))
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=_IDS)
def test_commands_exist(document: Path, commands: str) -> None:
    named = set(_COMMAND.findall(document.read_text(encoding="utf-8")))
    assert [command for command in sorted(named) if not re.search(rf"\b{command}\b", commands)] == []


def test_options_of_the_readme_exist() -> None:
    named = set(re.findall(r"--[a-z][a-z-]+", (ROOT / "README.md").read_text(encoding="utf-8")))
    told = (
        *(("estimate",), ("phantom", "make"), ("cohort", "import"), ("train", "age"), ("study", "run")),
        *(("bundle", "pack"), ("serve",), ("pacs", "listen")),
    )
    shown = "".join(_help(*command) for command in told)
    assert [option for option in sorted(named) if option not in shown] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=_IDS)
def test_python_examples_compile(document: Path) -> None:
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)):
        compile(code, f"{document.name}, example {number}", "exec")
