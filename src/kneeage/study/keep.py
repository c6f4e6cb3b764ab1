"""The small files of a study, copied to where they are kept: all that its documents are made from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from kneeage.core.errors import InputRefusedError
from kneeage.io.output import whole_folder
from kneeage.study.collect import STUDY_FILE, finished_folds, read_settings
from kneeage.study.run_folder import (
    AUDIT_FILE,
    CEILINGS_FILE,
    CONFIG_FILE,
    CURVES_FILE,
    DONE_FILE,
    EXCLUDED_FILE,
    FOLD_CONFIG_FILE,
    METRICS_FILE,
    PLAN_FILE,
    READERS_FILE,
    SPLIT_FACTS_FILE,
    SPLIT_FILE,
    SUBJECTS_FILE,
    fold_folder,
    predictions_path,
)

_OF_STUDY = (
    *(PLAN_FILE, CONFIG_FILE, STUDY_FILE, AUDIT_FILE, SUBJECTS_FILE, EXCLUDED_FILE, SPLIT_FILE, SPLIT_FACTS_FILE),
    *(CEILINGS_FILE, READERS_FILE),
)
_OF_FOLD = (FOLD_CONFIG_FILE, METRICS_FILE, CURVES_FILE, DONE_FILE)


def keep_study(run: Path, folder: Path) -> int:
    """Copy the small files of a study; its documents can be made from the copy alone.

    Args:
        run: Folder of the study, with one finished fold or more.
        folder: New folder.

    Returns:
        Size of the copy in bytes.

    Raises:
        InputRefusedError: The folder holds no study, or no fold is finished, or a file is not there.
        OutputError: The copy cannot be written, or something lies there.
    """
    names = list(_small_files(run))
    missing = [name for name in names if not (run / name).exists()]
    if missing:
        raise InputRefusedError(f"{str(run)!r} has no {missing[0]}; run the study again, it goes on where it stopped")
    with whole_folder(folder) as temporary:
        for name in names:
            (temporary / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(run / name, temporary / name)
    return sum((folder / name).stat().st_size for name in names)


def _small_files(run: Path) -> Iterator[str]:
    """List the files, below the folder of the study."""
    settings = read_settings(run)
    yield from _OF_STUDY
    for fold in finished_folds(run, settings):
        place = fold_folder(run, fold)
        paths = [predictions_path(place, leaky=settings.leaky, by_slice=False), *(place / name for name in _OF_FOLD)]
        yield from (path.relative_to(run).as_posix() for path in paths)
