"""The figures of a study: which ones there are, what they show, and their files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kneeage.study import plots
from kneeage.study.drawing import drawing, save
from kneeage.study.predictions import Group
from kneeage.study.results import StudyResults
from kneeage.study.tables import panel_letter

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FigureText:
    """What stands beside a figure.

    Args:
        name: Of its files, without their endings.
        caption: What it shows and how to read it.
    """

    name: str
    caption: str


Drawer = Callable[[StudyResults], "Figure"]


def study_figures(results: StudyResults) -> dict[FigureText, Drawer]:
    """List the figures that can be drawn of a study."""
    found: dict[FigureText, Drawer] = {_roc_text(results): plots.roc}
    if results.logs:
        found[_CURVES] = plots.curves
    for group in Group:
        found[_confusion_text(group)] = partial(plots.confusion, group=group)
    found |= {_AGES: plots.ages, _EXACT_YEAR: plots.exact_year, _CALIBRATION: plots.calibration}
    return found


def write_figures(folder: Path, results: StudyResults) -> tuple[FigureText, ...]:
    """Draw all figures of a study as PNG and SVG.

    Args:
        folder: Where they go; it is there.
        results: The study.

    Returns:
        What stands beside each, in the order of the page.
    """
    found = study_figures(results)
    with drawing():
        for text, draw in found.items():
            save(draw(results), folder / text.name)
    return tuple(found)


_CURVES = FigureText(
    "curves",
    "Loss and learning rate of every fold. Losses of different stages, and of training and validation, may be of "
    "different kinds: compare folds, not levels.",
)
_AGES = FigureText(
    "ages",
    "Estimated against chronological age; one point per subject, probabilities averaged over its slices and models. "
    "Diamonds: median of the subjects of one completed year, with the range from the 10th to the 90th percentile.",
)
_EXACT_YEAR = FigureText(
    "exact_year",
    "Share of subjects whose completed year is told, by age, with Wilson 95 % intervals over subjects. Steps, where "
    "the cohort is virtual: the share that the best reader tells.",
)
_CALIBRATION = FigureText(
    "calibration",
    "Calibration: of subjects for whom a probability was said, the share for whom it was true; ten bins, Wilson 95 % "
    "intervals, one vote per subject. ECE: expected calibration error, above 0 even for perfect probabilities.",
)


def _roc_text(results: StudyResults) -> FigureText:
    """Name the panels."""
    letters = [panel_letter(place) for place in range(2 * results.folds)]
    internal, external = letters[: results.folds], letters[results.folds :]
    return FigureText(
        "roc",
        f"ROC curves of every completed year against the rest, and their macro average. {_span(internal)}: each fold's "
        f"validation subjects. {_span(external)}: the same models on the external subjects. One row per subject: "
        "probabilities are averaged over its slices.",
    )


def _confusion_text(group: Group) -> FigureText:
    """Say which matrix it is."""
    caption = (
        f"Confusion matrix of the {group.value} subjects, one vote each: % of each true year, and counts in brackets."
    )
    return FigureText(f"confusion_{group.value}", caption)


def _span(letters: list[str]) -> str:
    """Write the first and the last letter."""
    return letters[0] if len(letters) == 1 else f"{letters[0]} to {letters[-1]}"
