"""``kneeage train``: networks from a cohort's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kneeage.cli.options import one_of, runner_on, training_extra
from kneeage.cli.speak import LOUDNESS, counting, give, resumable, tell

if TYPE_CHECKING:
    from kneeage.core.workers import Runner
    from kneeage.learn.presets import TrainingSettings
    from kneeage.learn.train_cohort import AnySettings, Material

app = typer.Typer(name="train", help="Train networks on a cohort. Needs the extra `train`.", no_args_is_help=True)

CohortFolder = Annotated[
    Path, typer.Argument(metavar="COHORT", help="Folder of a cohort, imported or virtual.", show_default=False)
]
Changes = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Settings, such as fit.max_steps=500.", show_default=False),
]
Run = Annotated[
    Path, typer.Option("--output", "-o", metavar="RUN", help="New folder, or that of a broken-off run, which goes on.")
]
Preset = Annotated[str, typer.Option(metavar="paper|default|forensic", help="Settings to start from.")]
SplitFile = Annotated[
    Path | None,
    typer.Option("--split", metavar="CSV", help="Who learns and who validates; 8:2 by fit.seed if not given."),
]
Workers = Annotated[
    int | None, typer.Option(metavar="N", help="Processes that prepare images; one per core if not given.")
]
Scheduler = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler that prepares images; needs the extra `cluster`.")
]


@app.command("segmenter")
@resumable
def train_segmenter(
    cohort: CohortFolder,
    output: Run,
    changes: Changes = None,
    preset: Preset = "default",
    split: SplitFile = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
) -> None:
    """Train the network that labels slices, on the cohort's labels."""
    settings = _settings(preset)
    _train(cohort, output, settings.segmenter, changes or [], (None, split), runner_on(workers, scheduler))


@app.command("age")
@resumable
def train_age(
    cohort: CohortFolder,
    output: Run,
    segmenter: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Bundle, or run of 'train segmenter'; preset paper needs a run."),
    ],
    changes: Changes = None,
    preset: Preset = "default",
    split: SplitFile = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
) -> None:
    """Train the network that estimates age. Preset paper trains it end to end with the U-Net before it."""
    settings = _settings(preset)
    chosen = settings.age_model if settings.model == "age_model" else settings.end_to_end
    _train(cohort, output, chosen, changes or [], (segmenter, split), runner_on(workers, scheduler))


def _settings(name: str) -> TrainingSettings:
    """Give the settings of a preset.

    Raises:
        UsageError: There is none of this name, or the training extra is not installed.
    """
    with training_extra("training"):
        from kneeage.learn.presets import PRESETS
    return PRESETS[one_of("preset", name, list(PRESETS))]


def _train(
    folder: Path,
    run: Path,
    preset: AnySettings,
    changes: list[str],
    places: tuple[Path | None, Path | None],
    runner: Runner,
) -> None:
    """Prepare and train."""
    from kneeage.cohort.folder import read_cohort
    from kneeage.learn.presets import overridden
    from kneeage.learn.processes import is_first_process
    from kneeage.learn.train_cohort import CohortTraining, own_run, prepare_material, train

    settings = overridden(preset, [*changes, *(["fit.progress_bar=false"] if LOUDNESS.quiet else [])])
    segmenter, split = places
    training = CohortTraining(read_cohort(folder), run.absolute(), settings, segmenter, split)
    with own_run(training) as division:
        with counting("Preparing subjects") as count:
            material = prepare_material(training, division, runner, count)
        if is_first_process():
            _tell_material(material)
        checkpoint = train(training, material)
    if is_first_process():
        tell(f"Metrics and curves: {run / 'metrics.csv'}, {run / 'curves.png'}")
        give(str(checkpoint))


def _tell_material(material: Material) -> None:
    """Say how many learn, how many validate, and who was left out and why."""
    left_out = material.prepared.left_out
    for subject, reason in left_out.items():
        tell(f"Left out {subject}: {reason}")
    learn, validate = len(material.training), len(material.validation)
    tell(f"{learn} subjects to learn from, {validate} to validate on, {len(left_out)} left out.")
