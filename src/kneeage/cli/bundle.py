"""``kneeage bundle``: show, verify, make, pack and recalibrate model bundles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kneeage.cli.options import AsJson, one_of, training_extra
from kneeage.cli.speak import answering, counting, give, resumable, show, tell
from kneeage.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from kneeage.core.manifest import BundleManifest, Lineage
    from kneeage.io.bundle import Bundle
    from kneeage.study.pack import Packed
    from kneeage.study.recalibrate import Recalibration

app = typer.Typer(name="bundle", help="Show, verify, make, pack and recalibrate model bundles.", no_args_is_help=True)
Folder = Annotated[
    Path | None,
    typer.Argument(metavar="[FOLDER]", help="Bundle; the one that is shipped if not given.", show_default=False),
]
Work = Annotated[
    Path, typer.Option(metavar="DIR", help="Folder of what is made on the way; a broken-off run goes on from it.")
]
WORK = Path("work/virtual-bundle")


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
        if bundle.manifest.held_out:
            numbers = {name: f"{value:g}" for name, value in bundle.manifest.held_out.items()}
            show(_table(numbers, "held-out subjects"))


@app.command("verify")
@answering
def verify_bundle(folder: Folder = None) -> None:
    """Check every file of a bundle against its checksums."""
    from kneeage.io.bundle import load_bundle

    bundle = load_bundle(folder)
    tell(f"Whole and unaltered: {bundle.manifest.name} {bundle.manifest.version}")
    give(bundle.sha256)


@app.command("make")
@resumable
def make_bundle(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="New folder of the bundle.")],
    work: Work = WORK,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="PART",
            help="Stop after a part: segmenter, cohorts or networks; without it the same command goes on from there.",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Other sizes, such as training_subjects=500.", show_default=False
        ),
    ] = None,
) -> None:
    """Make the virtual bundle from seeds: paint, train, calibrate, test. Takes hours; needs the extra `train`.

    Its threshold rule is tuned afterwards: kneeage bundle tune.
    """
    from kneeage.io.output import require_free

    require_free(output)
    make = _virtual_bundle_maker()
    manifest = make(output, work, until, changes or [])
    if manifest is None:
        tell(f"Made everything up to the {until} in {str(work)!r}; without --until the same command goes on.")
        return
    tell(
        f"Made {manifest.name} {manifest.version}. Its threshold rule is not tuned; next: kneeage bundle tune. "
        "Its numbers on held-out virtual subjects:"
    )
    for name, value in manifest.held_out.items():
        give(f"{name}\t{value:g}")


@app.command("tune")
@resumable
def tune_bundle(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Bundle of 'bundle make'; its manifest and card are replaced.")
    ],
    work: Work = WORK,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Other sizes, such as tuning_per_group=400.", show_default=False),
    ] = None,
) -> None:
    """Tune the virtual bundle's threshold rule on fresh virtual subjects. Takes hours; needs the extra `train`."""
    manifest = _virtual_bundle_tuner()(bundle, work, changes or [])
    rules = manifest.policy.rules
    decide = sum(rule.at_least_probability is not None or rule.below_probability is not None for rule in rules)
    tell(
        f"Tuned {manifest.name} {manifest.version}: {decide} of {len(rules)} rules (threshold and sex) can decide; "
        "the others had too few subjects."
    )
    give(str(bundle))


@app.command("pack")
@answering
def pack_bundle(
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="Cohort that the age models learned from.")],
    segmenter: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Run of 'train segmenter', or the bundle that the age was trained with."),
    ],
    age: Annotated[list[Path], typer.Option(metavar="RUN", help="Run of 'train age'; several are an ensemble.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="New folder of the bundle.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the bundle; that of its folder if not given.")
    ] = None,
    version: Annotated[str, typer.Option(metavar="VERSION", help="Version of the bundle.")] = "1.0.0",
    licence: Annotated[str, typer.Option(metavar="TEXT", help="Under which it may be used.")] = "not stated",
    population: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Whom the cohort stands for, where it does not state it.")
    ] = None,
) -> None:
    """Put networks that were trained into a bundle that estimates; needs the extra `train`."""
    done = _packer()(cohort, segmenter, tuple(age), output, name, version, licence, population)
    for file, found in done.parity.items():
        tell(f"{file} answers in ONNX Runtime as in torch: values differ by {found.largest_difference:.1e} at most")
    tell(
        f"Made {done.manifest.name} {done.manifest.version}. It is not calibrated and takes no decision about an age; "
        "next: kneeage bundle recalibrate"
    )
    give(str(output))


@app.command("recalibrate")
@answering
def recalibrate_bundle(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle to recalibrate; it stays as it is.")],
    cohort: Annotated[Path, typer.Argument(metavar="LOCAL_COHORT", help="Cohort of local subjects of known age.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="NEW", help="New folder of the bundle.")],
    limit: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="What the upper 95 % bound of wrong decisions near a threshold stays under; that of the bundle if not "
            "given. A larger one needs fewer subjects.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Fit a bundle's age axis, intervals and threshold rule to a local sample; needs the extra `train`."""
    recalibrate = _recalibration()
    with counting("Asking the bundle about the local subjects") as advance:
        done = recalibrate(bundle, cohort, output, limit=limit, advance=advance)
    calibration, lineage = done.manifest.calibration, done.manifest.lineage
    tell(
        f"Made {done.manifest.name}: location {calibration.location_years:+.2f} years, scale {calibration.scale:.2f}; "
        f"{done.left_out} of {done.examined} subjects had no answer and were left out"
    )
    if lineage is not None:
        show(_before_and_after(lineage))


def _packer() -> Callable[..., Packed]:
    """Load what packs.

    Raises:
        UsageError: The training extra is not installed.
    """
    with training_extra("packing a bundle"):
        from kneeage.study.pack import PackRequest, pack
    return lambda *asked: pack(PackRequest(*asked), counting)


def _recalibration() -> Callable[..., Recalibration]:
    """Load what recalibrates.

    Raises:
        UsageError: The training extra is not installed.
    """
    from importlib.util import find_spec

    from kneeage.study.recalibrate import recalibrate

    if find_spec("crepes") is None:
        raise UsageError("recalibrating a bundle needs crepes; install it with: pip install 'kneeage[train]'")
    return recalibrate


def _before_and_after(lineage: Lineage) -> Table:
    """Put the numbers before and after beside each other."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), title="on the local sample", title_justify="left")
    for column in ("measure", "before", "after, cross-validated"):
        table.add_column(column, no_wrap=True)
    for name, value in lineage.before.items():
        after = lineage.after.get(name)  # a number that a fold had nobody for is not there
        table.add_row(name.replace("_", " "), f"{value:.3f}", "" if after is None else f"{after:.3f}")
    return table


def _virtual_bundle_maker() -> Callable[[Path, Path, str | None, list[str]], BundleManifest | None]:
    """Load what makes bundles.

    Raises:
        UsageError: The training extra is not installed.
    """
    with training_extra("making a bundle"):
        from kneeage.learn.presets import overridden
        from kneeage.learn.virtual_bundle import Part, VirtualBundleSettings, train_virtual_networks
        from kneeage.study.virtual_bundle import make_virtual_bundle

    def make(output: Path, work: Path, until: str | None, changes: list[str]) -> BundleManifest | None:
        """Make the bundle, or a part of it, with some settings changed."""
        settings = overridden(VirtualBundleSettings(), changes)
        if until is None:
            return make_virtual_bundle(output, work, settings, counting)
        part = Part(one_of("until", until, list(Part)))
        train_virtual_networks(work, settings, until=part, counting=counting)
        return None

    return make


def _virtual_bundle_tuner() -> Callable[[Path, Path, list[str]], BundleManifest]:
    """Load what tunes the threshold rule of the virtual bundle.

    Raises:
        UsageError: The training extra is not installed.
    """
    with training_extra("tuning a bundle"):
        from kneeage.learn.presets import overridden
        from kneeage.learn.virtual_bundle import VirtualBundleSettings
        from kneeage.study.virtual_rule import tune_virtual_bundle
    return lambda bundle, work, changes: tune_virtual_bundle(
        bundle, work, overridden(VirtualBundleSettings(), changes), counting
    )


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
        "networks": ", ".join([manifest.segment.file, *manifest.age.files]),
        "folder": str(bundle.folder),
        "sha256": bundle.sha256,
    }
