"""Where a study's accuracy is lost: readers of the plates' measures alone, in the study's own folds.

``python -m benchmarks.study_measures RUN COHORT`` takes a study that was run with a bundle's segmenter on a virtual
cohort, before its folder ``prepared`` is deleted. Openness, thickness and area of the femoral and tibial plates were
measured there twice: on the true labels, and on those that the segmenter drew. Extremely randomised trees learn each
fold's age from either, and from either with height and weight for age, and are tested as the study's networks are. What
the trees lose from true to drawn measures is lost in the drawing; what a network has beyond them it sees in the image.
Writes ``results/study-measures-COHORT.md``. Takes a minute.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from kneeage.core.anatomy import PLATE_SITES
from kneeage.study.predictions import Group
from kneeage.study.run_folder import PREPARED_FOLDER, SUBJECTS_FILE, read_csv

RESULTS = Path(__file__).parent / "results"
MEASURES = ("openness", "thickness_mm", "area_mm2")
BODY = ("height_percentile", "weight_percentile")
TREES, LEAST_LEAF, SEED = 400, 2, 0
SOURCES = {"true": "true labels", "found": "the segmenter's labels"}
FloatArray = NDArray[np.float64]
Row = Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Measured:
    """Subjects with both measurements.

    Args:
        rows: Their rows in the study.
        ages_years: Chronological ages, shape (n,).
        body: Height and weight for age, shape (n, 2).
        measures: Shape (n, 6) by source.
    """

    rows: Sequence[Row]
    ages_years: FloatArray
    body: FloatArray
    measures: Mapping[str, FloatArray]

    def of_group(self, group: Group) -> NDArray[np.bool_]:
        """Say who is in a group."""
        return np.array([row["group"] == group.value for row in self.rows])


def main() -> None:
    """Read, test the readers, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the study")
    parser.add_argument("cohort", type=Path, help="folder of the virtual cohort that is both its groups")
    options = parser.parse_args()
    measured = read(options.run, options.cohort)
    path = RESULTS / f"study-measures-{options.cohort.name}.md"
    path.write_text(page(measured, options.cohort.name), encoding="utf-8")


def read(run: Path, cohort: Path) -> Measured:
    """Read what is known of the subjects whose plates were found."""
    with (cohort / "subjects.csv").open(encoding="utf-8", newline="") as file:
        bodies = {row["subject_id"]: [float(row[name]) for name in BODY] for row in csv.DictReader(file)}
    everybody = read_csv(run / SUBJECTS_FILE)
    notes = {row["subject_id"]: _note(run, row) for row in everybody}
    rows = [row for row in everybody if "plates" in notes[row["subject_id"]]]
    names = [row["subject_id"] for row in rows]
    return Measured(
        rows,
        np.array([float(row["chronological_age_years"]) for row in rows]),
        np.array([bodies[name] for name in names]),
        {source: np.array([_measures(notes[name]["plates"], source) for name in names]) for source in SOURCES},
    )


def _note(run: Path, row: Row) -> dict[str, dict[str, dict[str, dict[str, float | None]]]]:
    """Read what was noted of a subject when its regions were cut."""
    path = run / PREPARED_FOLDER / "regions" / row["group"] / f"{row['subject_id']}.json"
    return json.loads(path.read_bytes()).get("facts", {})  # type: ignore[no-any-return]


def _measures(plates: Mapping[str, Mapping[str, Mapping[str, float | None]]], source: str) -> list[float]:
    """List one subject's measures; those of a closed plate are 0."""
    return [float(plates[site.name][source][name] or 0.0) for site in PLATE_SITES for name in MEASURES]


def answers(measured: Measured, features: FloatArray) -> dict[Group, FloatArray]:
    """Let trees answer as the study's networks do: on their own fold, and the mean of all folds' on the external group.

    Returns:
        Ages in years in the order of each group's subjects.
    """
    folds = np.array([int(row["fold"] or -1) for row in measured.rows])
    outside = measured.of_group(Group.EXTERNAL)
    internal, external = np.zeros(len(folds)), []
    for fold in np.unique(folds[~outside]):
        tested = folds == fold
        learnt = ~outside & ~tested
        trees = ExtraTreesRegressor(TREES, min_samples_leaf=LEAST_LEAF, random_state=SEED)
        trees.fit(features[learnt], measured.ages_years[learnt])
        internal[tested] = trees.predict(features[tested])
        external.append(trees.predict(features[outside]))
    return {Group.INTERNAL: internal[~outside], Group.EXTERNAL: np.mean(external, axis=0)}


def scores(ages_years: FloatArray, said_years: FloatArray) -> tuple[float, float, float]:
    """Give exact year, macro recall and mean absolute error in years of subjects."""
    years, hit = np.floor(ages_years), np.floor(ages_years) == np.floor(said_years)
    recall = np.mean([hit[years == year].mean() for year in np.unique(years)])
    return float(hit.mean()), float(recall), float(np.abs(ages_years - said_years).mean())


def page(measured: Measured, name: str) -> str:
    """Write the table."""
    lines = [
        f"# What the plates' measures alone tell in `{name}`\n",
        f"`python -m benchmarks.study_measures RUN {name}`: {TREES} extremely randomised trees in the study's folds, "
        "on openness, thickness and area of the femoral and tibial plates. On the external group the mean of the five "
        "answers counts.\n",
        "| measured on | height and weight for age | group | n | exact year | macro recall | mean absolute error |",
        "|---|---|---|---|---|---|---|",
    ]
    for source, words in SOURCES.items():
        for known in (False, True):
            own = measured.measures[source]
            said = answers(measured, np.hstack([own, measured.body]) if known else own)
            for group, ages in said.items():
                exact, recall, error = scores(measured.ages_years[measured.of_group(group)], ages)
                lines.append(
                    f"| {words} | {'known' if known else 'not known'} | {group.value} | {len(ages)} | {exact:.1%} | "
                    f"{recall:.1%} | {error:.2f} y |"
                )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
