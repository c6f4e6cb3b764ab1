"""What every command has in common."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kneeage
from tests.cli.conftest import Run

COMMANDS = (("demo",), ("inspect",), ("estimate",), ("segment",), ("doctor",), ("bundle",), ("bundle", "show"))
HEAVY = ("numpy", "pydantic", "rich", "jinja2", "PIL", "onnxruntime", "pydicom", "nibabel", "scipy", "torch", "monai")


def test_the_version_is_data(run: Run) -> None:
    done = run("--version")
    assert (done.exit_code, done.stdout) == (0, f"kneeage {kneeage.__version__}\n")


@pytest.mark.parametrize("command", [(), *COMMANDS])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_there_for_every_command(run: Run, command: tuple[str, ...], option: str) -> None:
    done = run(*command, option)
    assert done.exit_code == 0
    assert "Usage: " in done.stdout


def test_help_names_the_exit_codes(run: Run) -> None:
    assert "3 input refused, 4 abstained (no age given), 130 stopped" in " ".join(run("-h").stdout.split())


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("estimate",), ("estimate", "x", "--nonsense")])
def test_wrong_usage_ends_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_help_loads_no_heavy_library() -> None:
    code = f"import sys, kneeage.cli.app; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", "import sys; sys.argv = ['kneeage', '--version']; from kneeage.cli import main; main()"),
        ("-m", "kneeage", "--version"),
    ],
    ids=["console script", "module"],
)
def test_the_program_runs_main(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"kneeage {kneeage.__version__}\n")
