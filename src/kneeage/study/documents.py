"""The documents of a study: tables, figures and the page, written whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from kneeage.core.errors import OutputError
from kneeage.io.output import whole_folder
from kneeage.study.assessment import as_json
from kneeage.study.figures import write_figures
from kneeage.study.page import render_page
from kneeage.study.results import StudyResults
from kneeage.study.tables import study_tables, write_table

TABLES, FIGURES, PAGE = "tables", "figures", "report.html"
_DOCUMENTS = (TABLES, FIGURES, PAGE)


def write_study_documents(folder: Path, results: StudyResults) -> None:
    """Write ``tables/``, ``figures/`` and ``report.html`` of a study.

    Args:
        folder: The study's folder; what else lies there stays. Documents of an earlier call, when fewer folds were
            done, are replaced, each folder as a whole.
        results: The study.

    Raises:
        InputRefusedError: A table cannot be made, such as of a single value.
        OutputError: The folder cannot be written; the earlier documents are still there.
    """
    staged = folder / f".documents.{secrets.token_hex(4)}"
    try:
        with whole_folder(staged) as temporary:
            _write(temporary, results)
        _replace(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _write(folder: Path, results: StudyResults) -> None:
    """Write all documents into an empty folder."""
    tables, figures = folder / TABLES, folder / FIGURES
    for each in (tables, figures):
        each.mkdir()
    for table in study_tables(results):
        write_table(tables, table)
    (tables / "assessment.json").write_text(as_json(results.assessment) + "\n", encoding="utf-8", newline="\n")
    texts = write_figures(figures, results)
    (folder / PAGE).write_text(render_page(results, texts, figures), encoding="utf-8", newline="\n")


def _replace(staged: Path, folder: Path) -> None:
    """Put the new documents in the place of the old ones; when that fails, put the old ones back."""
    old = staged / "old"
    moved: list[tuple[Path, Path]] = []
    try:
        old.mkdir()
        for name in _DOCUMENTS:
            if (folder / name).exists():
                moved.append(((folder / name).rename(old / name), folder / name))
            moved.append(((staged / name).rename(folder / name), staged / name))
    except BaseException as error:
        for now, before in reversed(moved):
            now.rename(before)
        if isinstance(error, OSError):
            raise OutputError(f"{str(folder)!r} cannot be written ({error.strerror or error})") from error
        raise
