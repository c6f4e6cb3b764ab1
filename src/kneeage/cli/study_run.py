"""``kneeage study run``: a cross-validated study from two cohorts to its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kneeage.cli.options import runner_on, training_extra
from kneeage.cli.speak import counting, give, resumable, tell
from kneeage.core.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType


@resumable
def run_study(
    internal: Annotated[
        Path, typer.Argument(metavar="INTERNAL", help="Cohort that is dealt out to the folds.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="RUN", help="New folder, or that of a broken-off study, which goes on."),
    ],
    external: Annotated[
        Path,
        typer.Option(metavar="EXTERNAL", help="Cohort that every model is tested on; may be INTERNAL itself."),
    ],
    changes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE ...]", help="Settings, such as folds=5 age_model.fit.max_steps=100.", show_default=False
        ),
    ] = None,
    preset: Annotated[str, typer.Option(metavar="default|paper|forensic", help="Settings to begin from.")] = "default",
    external_subset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Subset of EXTERNAL to test on; 'external' if it is INTERNAL itself, else all."
        ),
    ] = None,
    segmenter: Annotated[
        Path | None,
        typer.Option(metavar="BUNDLE", help="Bundle whose segmenter finds the plates; else one per fold is trained."),
    ] = None,
    folds: Annotated[
        str | None, typer.Option(metavar="0,1", help="Do these folds now; all that are missing if not given.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes that prepare subjects; one per core if not given.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler: subjects and folds go side by side to its workers."),
    ] = None,
) -> None:
    """Cross-validate: check, deal out, train, test, and write tables, figures and the page. Needs the extra `train`."""
    from kneeage.core.workers import in_turn

    study, settings = _modules()
    request = study.StudyRequest(
        internal=internal,
        external=external,
        output=output,
        settings=settings.study_settings(preset, changes or []),
        external_subset=external_subset,
        segmenter=segmenter,
        folds=_folds(folds),
    )
    # One process of its own would only be a second to start.
    runner = in_turn if workers == 1 and scheduler is None else runner_on(workers, scheduler)
    page = study.run_study(request, runner, scheduler=scheduler, say=tell, counting=counting)
    give(str(page))


def _modules() -> tuple[ModuleType, ModuleType]:
    """Load what does studies.

    Raises:
        UsageError: The training extra is not installed.
    """
    with training_extra("a study"):
        from kneeage.study import run, settings
    return run, settings


def _folds(text: str | None) -> tuple[int, ...] | None:
    """Read numbers of folds.

    Raises:
        UsageError: A part is no whole number.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"--folds takes whole numbers parted by commas, such as 0,1; found {text!r}")
    return tuple(map(int, parts))
