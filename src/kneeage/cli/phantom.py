"""``kneeage phantom``: virtual cohorts with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kneeage.cli import ceiling, sheet
from kneeage.cli.options import one_of, runner_on
from kneeage.cli.speak import counting, give, resumable, some_of, tell

if TYPE_CHECKING:
    from kneeage.core.workers import Runner
    from kneeage.phantom.cohort.make import CohortRecipe, MadeCohort
    from kneeage.phantom.cohort.presets import Preset

app = typer.Typer(name="phantom", help="Make virtual cohorts with known truth.", no_args_is_help=True)


@app.command("make")
@resumable
def make_phantom(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="New folder, or that of a broken-off run, which goes on."),
    ],
    preset: Annotated[str, typer.Option(metavar="table1|table1-tight|forensic", help="Kind of cohort.")] = "forensic",
    subjects: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="How many, as near to the preset's proportions as so many can be; all if not given."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="What the cohort follows from.")] = 0,
    file_format: Annotated[str, typer.Option("--format", metavar="dicom|nifti", help="How images are written.")] = (
        "dicom"
    ),
    plane: Annotated[str, typer.Option(metavar="coronal|sagittal", help="Plane of the series.")] = "coronal",
    sequence: Annotated[str, typer.Option(metavar="T1|PD|T2", help="Weighting of the series.")] = "T1",
    fat_suppressed: Annotated[bool, typer.Option("--fat-suppressed", help="Suppress the signal of fat.")] = False,
    volumetric: Annotated[bool, typer.Option("--3d", help="A 3D series of thin slices without gap.")] = False,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes on this machine; one per core if not given.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler to use instead; needs the extra `cluster`."),
    ] = None,
) -> None:
    """Make a virtual cohort: images, true labels, and a table of all that is known of each subject."""
    run = runner_on(workers, scheduler)
    recipe = _recipe(preset, subjects, seed, file_format, (plane, sequence, fat_suppressed, volumetric))
    made = _make(output, recipe, run)
    _tell_share(recipe)
    if made.changed:
        tell(
            f"Kept, though files were edited, damaged or lost since they were made: {some_of(made.changed)}. "
            "To have one made anew, move its folder out of the cohort and run again."
        )
    if made.edited_table is not None:
        tell(f"subjects.csv had been changed: that table is kept as {made.edited_table.name!r}, and a new one written.")
    noun = "virtual subject" if made.subjects == 1 else "virtual subjects"
    tell(f"{made.subjects} {noun}, {made.kept} of them from an earlier run. For demonstration only.")
    give(str(output / "subjects.csv"))


def _recipe(
    preset: str, subjects: int | None, seed: int, file_format: str, imaging: tuple[str, str, bool, bool]
) -> CohortRecipe:
    """Put the options together.

    Raises:
        UsageError: One of them is not taken.
    """
    from kneeage.core.anatomy import Plane
    from kneeage.phantom.cohort.make import CohortRecipe
    from kneeage.phantom.cohort.presets import PRESETS
    from kneeage.phantom.cohort.subject import Imaging
    from kneeage.phantom.cohort.write import FileFormat
    from kneeage.phantom.scanner.sequence import Weighting

    plane, weighting, fat_suppressed, volumetric = imaging
    chosen = PRESETS[one_of("preset", preset, list(PRESETS))]
    return CohortRecipe(
        chosen,
        chosen.subjects if subjects is None else subjects,
        seed,
        FileFormat(one_of("format", file_format, list(FileFormat))),
        Imaging(
            Plane(one_of("plane", plane, [Plane.CORONAL, Plane.SAGITTAL])),
            Weighting(one_of("sequence", weighting, list(Weighting))),
            fat_suppressed,
            volumetric,
        ),
    )


def _make(output: Path, recipe: CohortRecipe, run: Runner) -> MadeCohort:
    """Make the cohort; who breaks it off learns how far it is."""
    from kneeage.phantom.cohort.make import made_so_far, make_cohort

    try:
        with counting("Making virtual subjects") as count:
            return make_cohort(output, recipe, run, count)
    except KeyboardInterrupt:
        tell(f"{made_so_far(output)} of {recipe.subjects} made.")
        raise


def _tell_share(recipe: CohortRecipe) -> None:
    """Say when only a part of the preset is made, and whether it can hold the preset's proportions."""
    preset = recipe.preset
    if recipe.subjects < preset.subjects:
        share = f"{recipe.subjects} of the {preset.subjects} subjects of {preset.name}"
        tell(f"{share}, {_proportions(recipe.subjects, preset)}.")


def _proportions(subjects: int, preset: Preset) -> str:
    """Say how a part of a preset is dealt out to its groups, the method of the largest remainder."""
    groups = f"its {len(preset.strata)} groups of one sex, year, subset and hospital"
    if subjects < len(preset.strata):
        return (
            f"fewer than {groups}: the largest come first, ties by lot, so that sexes and hospitals are not in balance"
        )
    return f"in the proportions of {groups} (largest remainder, ties by lot)"


app.command()(ceiling.ceiling)
app.command()(sheet.sheet)
