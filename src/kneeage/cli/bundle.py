"""``kneeage bundle``: show and verify model bundles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kneeage.cli.options import AsJson
from kneeage.cli.speak import answering, give, show, tell

if TYPE_CHECKING:
    from rich.table import Table

    from kneeage.io.bundle import Bundle

app = typer.Typer(name="bundle", help="Show and verify model bundles.", no_args_is_help=True)
Folder = Annotated[
    Path | None,
    typer.Argument(metavar="[FOLDER]", help="Bundle; the one that is shipped if not given.", show_default=False),
]


@app.command("show")
@answering
def show_bundle(folder: Folder = None, as_json: AsJson = False) -> None:
    """Say what a bundle is for, whom it was trained on and how well it did."""
    from kneeage.io.bundle import load_bundle

    bundle = load_bundle(folder)
    if as_json:
        give(bundle.manifest.model_dump_json(indent=2))
    else:
        show(_table(bundle))


@app.command("verify")
@answering
def verify_bundle(folder: Folder = None) -> None:
    """Check every file of a bundle against its checksums."""
    from kneeage.io.bundle import load_bundle

    bundle = load_bundle(folder)
    tell(f"Whole and unaltered: {bundle.manifest.name} {bundle.manifest.version}")
    give(bundle.sha256)


def _table(bundle: Bundle) -> Table:
    """Put what a reader must know about a bundle into a table."""
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in _facts(bundle).items():
        table.add_row(label, value)
    return table


def _facts(bundle: Bundle) -> dict[str, str]:
    """Give what a reader must know about a bundle."""
    manifest = bundle.manifest
    low, high = manifest.age_range_years
    facts = {
        "name": f"{manifest.name} {manifest.version}",
        "population": manifest.population,
        "use": "demonstration only, not for forensic use" if manifest.is_virtual else "see MODEL_CARD.md",
        "plane": manifest.plane.value,
        "sexes": ", ".join(sex.value for sex in manifest.sexes),
        "ages": f"{low:g} to {high:g} years, in {len(manifest.age_edges_years) - 1} bins",
        "licence": manifest.licence,
        "networks": f"{manifest.segment.file}, {manifest.age.file}",
        "folder": str(bundle.folder),
        "sha256": bundle.sha256,
    }
    return facts | {f"held out: {name}": f"{value:g}" for name, value in manifest.held_out.items()}
