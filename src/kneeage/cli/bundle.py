"""``kneeage bundle``: show, verify and make model bundles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kneeage.cli.options import AsJson
from kneeage.cli.speak import answering, give, show, tell
from kneeage.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from kneeage.core.manifest import BundleManifest
    from kneeage.io.bundle import Bundle

app = typer.Typer(name="bundle", help="Show, verify and make model bundles.", no_args_is_help=True)
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
        show(_table(_facts(bundle)))
        show(_table({name: f"{value:g}" for name, value in bundle.manifest.held_out.items()}, "held-out subjects"))


@app.command("verify")
@answering
def verify_bundle(folder: Folder = None) -> None:
    """Check every file of a bundle against its checksums."""
    from kneeage.io.bundle import load_bundle

    bundle = load_bundle(folder)
    tell(f"Whole and unaltered: {bundle.manifest.name} {bundle.manifest.version}")
    give(bundle.sha256)


@app.command("make")
@answering
def make_bundle(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="New folder of the bundle.")],
    work: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of what is made on the way; a broken-off run goes on from it."),
    ] = Path("work/virtual-bundle"),
) -> None:
    """Make the virtual bundle from seeds: paint, train, test. Takes hours; needs the extra `train`."""
    from kneeage.io.output import require_free

    require_free(output)
    make = _virtual_bundle_maker()
    manifest = make(output, work)
    tell(f"Made {manifest.name} {manifest.version}; its numbers on held-out virtual subjects:")
    for name, value in manifest.held_out.items():
        give(f"{name}\t{value:g}")


def _virtual_bundle_maker() -> Callable[[Path, Path], BundleManifest]:
    """Load what makes bundles.

    Raises:
        UsageError: The training extra is not installed.
    """
    try:
        from kneeage.learn.virtual_bundle import make_virtual_bundle
    except ModuleNotFoundError as error:
        raise UsageError(f"making a bundle needs {error.name}; install it with: pip install 'kneeage[train]'") from None
    return make_virtual_bundle


def _table(rows: dict[str, str], title: str | None = None) -> Table:
    """Put labels and values into a table."""
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), title=title, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows.items():
        table.add_row(label, value)
    return table


def _facts(bundle: Bundle) -> dict[str, str]:
    """Give what a reader must know about a bundle."""
    manifest = bundle.manifest
    low, high = manifest.age_range_years
    return {
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
