"""Fill the tables of ``docs/study.md`` from the studies kept in ``docs/studies``, and draw their figures.

The words between the tables are written by hand. ``--check`` compares the tables alone.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from kneeage.study.collect import study_results
from kneeage.study.figures import write_figures
from kneeage.study.page import equivalence_sentence, missing_sentences
from kneeage.study.results import StudyResults
from kneeage.study.views import View, ceiling_sentences, study_views
from tools.marked_page import filled, part_names, table

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, STUDIES, PICTURES = DOCS / "study.md", DOCS / "studies", DOCS / "images" / "studies"
_FIGURE = re.compile(r"images/studies/([\w-]+)-(\w+)\.png")
_SENTENCES: Mapping[str, Callable[[StudyResults], Iterable[str]]] = {
    "reductions": missing_sentences,
    "shares": ceiling_sentences,
    "equivalence": lambda results: [equivalence_sentence(results)],
}


def main() -> int:
    """Write the page and its figures, or with ``--check`` only say whether its tables are up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a table is out of date")
    text = PAGE.read_text(encoding="utf-8")
    if parser.parse_args().check:
        if current(text) == text:
            return 0
        print("docs/study.md is out of date: run `make study-page`", file=sys.stderr)
        return 1
    PAGE.write_text(current(text), encoding="utf-8")
    for study in sorted(studies(text)):
        draw(study, {name for shown, name in figures(text) if shown == study})
    return 0


def studies(text: str) -> set[str]:
    """List the studies that a page shows."""
    return {name.split()[0] for name in _parts(text)}


def figures(text: str) -> list[tuple[str, str]]:
    """List the figures that a page shows: study and name."""
    return _FIGURE.findall(text)


def current(text: str) -> str:
    """Fill a page with the tables of its studies; a part is called after its study and its table."""
    return filled(text, {name: partial(_part, *name.split()) for name in _parts(text)})


def _parts(text: str) -> list[str]:
    """List the parts that studies fill; the ablations fill their own (`benchmarks.ablations`)."""
    return [name for name in part_names(text) if not name.startswith("ablations ")]


def _part(study: str, name: str) -> list[str]:
    """Write one table, or a list of sentences."""
    results, views = _study(study)
    if name in _SENTENCES:
        return [f"- {sentence}" for sentence in _SENTENCES[name](results)] or ["- Nothing."]
    return table(views[name].header, views[name].rows)


@cache
def _study(name: str) -> tuple[StudyResults, Mapping[str, View]]:
    """Read a kept study once."""
    results = study_results(STUDIES / name)
    return results, study_views(results)


def draw(study: str, shown: set[str]) -> None:
    """Draw those figures of one study that the page shows."""
    results, _ = _study(study)
    PICTURES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        for text in write_figures(Path(folder), results):
            if text.name in shown:
                shutil.copyfile(Path(folder) / f"{text.name}.png", PICTURES / f"{study}-{text.name}.png")


if __name__ == "__main__":
    sys.exit(main())
