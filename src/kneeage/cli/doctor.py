"""``kneeage doctor``: does everything work on this machine?"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kneeage.cli.options import BundleFolder
from kneeage.cli.speak import answering, show, tell, working
from kneeage.core.errors import EXIT_FAILED, KneeAgeError

if TYPE_CHECKING:
    from rich.table import Table

SMOKE_SEED = 1
LIBRARIES = ("numpy", "onnxruntime", "pydicom", "python-gdcm", "nibabel", "scipy", "SimpleITK", "pydantic", "jinja2")
# Compressed transfer syntaxes of clinical MR. Source: DICOM PS3.5 (2024), section 10.
TRANSFER_SYNTAXES = {
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.57": "JPEG lossless",
    "1.2.840.10008.1.2.4.70": "JPEG lossless, first order",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
}


class State(str, Enum):
    """How a check ended."""

    FINE = "ok"
    NOTE = "note"
    FAULT = "FAULT"


@dataclass(frozen=True)
class Finding:
    """What one check found, and what to do where it is not fine."""

    check: str
    state: State
    words: str


@answering
def doctor(bundle: BundleFolder = None) -> None:
    """Check that everything works on this machine."""
    findings: list[Finding] = []
    for words, check in _checks(bundle).items():
        with working(words):
            findings += check()
    show(_table(findings))
    if any(finding.state is State.FAULT for finding in findings):
        tell("Something does not work; see FAULT above.")
        raise typer.Exit(EXIT_FAILED)
    tell("Everything works.")


def versions() -> list[Finding]:
    """Give the versions of Python and of the libraries."""
    import kneeage

    found = [Finding("kneeage", State.FINE, kneeage.__version__)]
    found.append(Finding("Python", State.FINE, f"{platform.python_version()} on {platform.system()}"))
    return found + [_library(name) for name in LIBRARIES]


def codecs() -> list[Finding]:
    """Say which compressed pixels can be read."""
    from pydicom.pixels.decoders.base import get_decoder

    return [
        Finding(f"codec {name}", State.FINE, "readable")
        if get_decoder(uid).is_available
        else Finding(f"codec {name}", State.FAULT, "no decoder; install python-gdcm again")
        for uid, name in TRANSFER_SYNTAXES.items()
    ]


def fonts() -> list[Finding]:
    """Say whether pictures can be lettered in Chinese."""
    from kneeage.report.fonts import chinese_font

    found = chinese_font()
    if found is None:
        words = (
            "none found; previews are lettered in English and there is no Chinese report.pdf (install Noto Sans CJK); "
            "report.html needs none"
        )
        return [Finding("Chinese typeface", State.NOTE, words)]
    return [Finding("Chinese typeface", State.FINE, found[0])]


def bundle_check(folder: Path | None) -> list[Finding]:
    """Verify the bundle."""
    from kneeage.io.bundle import load_bundle

    try:
        bundle = load_bundle(folder)
    except KneeAgeError as error:
        return [Finding("bundle", State.FAULT, str(error))]
    words = f"{bundle.manifest.name} {bundle.manifest.version}, whole and unaltered"
    return [Finding("bundle", State.NOTE if bundle.manifest.is_virtual else State.FINE, words + _use(bundle.manifest))]


def smoke_estimate(folder: Path | None) -> list[Finding]:
    """Run the whole way once, on a virtual subject, in a temporary folder."""
    from tempfile import TemporaryDirectory
    from time import perf_counter

    from kneeage.cli.demo import run_demo
    from kneeage.report.words import words

    with TemporaryDirectory() as temporary:
        start = perf_counter()
        try:
            subject, result = run_demo(Path(temporary) / "demo", seed=SMOKE_SEED, bundle=folder, lang="en")
        except KneeAgeError as error:
            return [Finding("smoke estimate", State.FAULT, str(error))]
    age, say = result.estimated_age_years, words("en")
    truth = f"virtual subject of {say.years(subject.chronological_age_years)}: {result.outcome.value}"
    answer = "" if age is None else f", {say.years(age)}"
    found = f"{truth}{answer}, in {perf_counter() - start:.1f} s"
    return [Finding("smoke estimate", State.NOTE if age is None else State.FINE, found)]


def _checks(bundle: Path | None) -> dict[str, Callable[[], list[Finding]]]:
    """Give every check with the words that are shown while it runs."""
    return {
        "Looking at versions": versions,
        "Looking at codecs": codecs,
        "Looking for typefaces": fonts,
        "Verifying the bundle": lambda: bundle_check(bundle),
        "Running a smoke estimate": lambda: smoke_estimate(bundle),
    }


def _library(name: str) -> Finding:
    """Give the version of one library."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Finding(name, State.FINE, version(name))
    except PackageNotFoundError:
        return Finding(name, State.FAULT, "not installed; install kneeage again")


def _use(manifest: object) -> str:
    """Say what a virtual bundle is for."""
    return "; demonstration only, not for forensic use" if getattr(manifest, "is_virtual", False) else ""


def _table(findings: list[Finding]) -> Table:
    """Put the findings into a table."""
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for column in ("state", "check"):
        table.add_column(column, no_wrap=True)
    table.add_column("words", overflow="fold")
    for finding in findings:
        table.add_row(finding.state.value, finding.check, finding.words)
    return table
