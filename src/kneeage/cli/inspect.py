"""``kneeage inspect``: every series found, its rank for a bundle and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kneeage.cli.options import AsJson, BundleFolder, Source
from kneeage.cli.speak import answering, give, show, tell, working
from kneeage.core.errors import InputRefusedError

if TYPE_CHECKING:
    from rich.table import Table

    from kneeage.io.series import Candidate

_FREE_TEXTS = {"__all__": {"header": {"texts"}}}


@answering
def inspect(path: Source, bundle: BundleFolder = None, as_json: AsJson = False) -> None:
    """List every series found, ranked for the bundle that is to answer, with the reasons."""
    from kneeage.io.bundle import load_bundle
    from kneeage.io.read import survey
    from kneeage.io.wanted import Wanted

    with working("Reading"):
        manifest = load_bundle(bundle).manifest
        wanted = Wanted.by(manifest)
        found = survey(path, wanted)
    if not found.candidates and not found.unreadable:
        raise InputRefusedError(f"no DICOM or NIfTI series among {found.foreign} files; give the folder of the study")
    if as_json:
        give(_json(found.candidates))
    else:
        show(_table(found.candidates))
    suitable = sum(candidate.suitable for candidate in found.candidates)
    tell(f"{len(found.candidates)} series, {suitable} suitable; {found.foreign} other files.")
    tell(f"The bundle {manifest.name} {manifest.version} needs {wanted.words}.")
    for fault in found.unreadable:
        tell(f"Cannot be read: {fault}")


def _json(candidates: tuple[Candidate, ...]) -> str:
    """Write the candidates as JSON, without free texts of the header, which may name a subject."""
    from pydantic import TypeAdapter

    from kneeage.io.series import Candidate

    return TypeAdapter(tuple[Candidate, ...]).dump_json(candidates, indent=2, exclude=_FREE_TEXTS).decode()


def _table(candidates: tuple[Candidate, ...]) -> Table:
    """Put the candidates into a table, best first; the key that ``--series`` takes stands on a line of its own."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 1, 0))
    table.add_column("rank", no_wrap=True)
    table.add_column("series and why", overflow="fold")
    for candidate in candidates:
        lines = [_what(candidate), _why(candidate), _key(candidate)]
        table.add_row("-" if candidate.rank is None else str(candidate.rank), Text("\n".join(lines)))
    return table


def _key(candidate: Candidate) -> str:
    """Give what ``--series`` takes; labels are no image, and are only named."""
    return candidate.key if candidate.header.label_map else f"--series {candidate.key}"


def _why(candidate: Candidate) -> str:
    """Say whether a series is suitable, and why."""
    verdict = "suitable" if candidate.suitable else "unsuitable"
    return f"{verdict}: {'; '.join(candidate.reasons)}"


def _what(candidate: Candidate) -> str:
    """Say in one line what a series is."""
    header = candidate.header
    size = " x ".join(str(count) for count in header.shape)
    spacing = " x ".join(f"{step:.3g}" for step in header.spacing_mm)
    parts = [
        header.description or "(no description)",
        None if header.side.value == "unknown" else header.side.value,
        f"{size} voxels of {spacing} mm",
        "virtual" if header.virtual else None,
    ]
    return ", ".join(part for part in parts if part)
