"""Fill the tables of ``docs/study.md`` from the studies kept in ``docs/studies``, and draw their figures.

The words between the tables are written by hand. ``--check`` compares the tables alone.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from kneeage.study.collect import study_results
from kneeage.study.figures import write_figures
from kneeage.study.page import missing_sentences
from kneeage.study.results import StudyResults
from kneeage.study.views import View, ceiling_sentences, study_views

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, STUDIES, PICTURES = DOCS / "study.md", DOCS / "studies", DOCS / "images" / "studies"
# Figures that the page shows.
SHOWN = ("roc", "confusion_internal", "confusion_external", "exact_year", "calibration", "curves")
_SENTENCES = {"reductions": missing_sentences, "shares": ceiling_sentences}
# What stands between the marks of a part: ``<!-- begin STUDY TABLE -->`` and ``<!-- end STUDY TABLE -->``.
_PART = re.compile(r"(<!-- begin (\S+) (\S+) -->\n).*?(\n?<!-- end \2 \3 -->)", re.DOTALL)


def main() -> int:
    """Write the page and its figures, or with ``--check`` only say whether its tables are up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a table is out of date")
    text = PAGE.read_text(encoding="utf-8")
    if parser.parse_args().check:
        if filled(text) == text:
            return 0
        print("docs/study.md is out of date: run `make study-page`", file=sys.stderr)
        return 1
    PAGE.write_text(filled(text), encoding="utf-8")
    for study in sorted(names(text)):
        draw(study)
    return 0


def names(text: str) -> set[str]:
    """List the studies that a page shows."""
    return {part.group(2) for part in _PART.finditer(text)}


def filled(text: str) -> str:
    """Put the tables of the studies between their marks."""
    return _PART.sub(lambda part: f"{part[1]}{_part(part[2], part[3])}\n{part[4].lstrip()}", text)


def _part(study: str, name: str) -> str:
    """Write one table, or a list of sentences."""
    results, views = _study(study)
    if name in _SENTENCES:
        return "\n".join(_listed(_SENTENCES[name](results)))
    return "\n".join(_table(views[name]))


def _listed(sentences: Iterable[str]) -> Iterator[str]:
    """Write sentences as a list."""
    return (f"- {sentence}" for sentence in sentences)


def _table(view: View) -> Iterator[str]:
    """Write a table in Markdown."""
    yield _row(view.header)
    yield _row(["---"] * len(view.header))
    yield from map(_row, view.rows)


def _row(cells: Iterable[str]) -> str:
    """Write one row."""
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


@cache
def _study(name: str) -> tuple[StudyResults, Mapping[str, View]]:
    """Read a kept study once."""
    results = study_results(STUDIES / name)
    return results, study_views(results)


def draw(study: str) -> None:
    """Draw the figures of one study."""
    results, _ = _study(study)
    PICTURES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        for text in write_figures(Path(folder), results):
            if text.name in SHOWN:
                shutil.copyfile(Path(folder) / f"{text.name}.png", PICTURES / f"{study}-{text.name}.png")


if __name__ == "__main__":
    sys.exit(main())
