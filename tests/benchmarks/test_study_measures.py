"""Readers of the plates' measures alone: dealt out as the study is, and scored in years."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks import study_measures
from kneeage.study.predictions import Group

COLUMNS = "subject_id,group,fold,site,sex,chronological_age_years,labelled\n"


def make_study(run: Path, cohort: Path, people: int = 60) -> None:
    """Write what a study leaves of subjects whose drawn thickness tells nothing and whose true one tells the age."""
    rng = np.random.default_rng(0)
    rows, bodies = [], []
    for number in range(people):
        group = "external" if number % 4 == 3 else "internal"
        age = 10 + 9 * (number + 0.5) / people
        fold = "" if group == "external" else str(number % 3)
        rows.append(f"P{number},{group},{fold},A,male,{age},1\n")
        bodies.append(f"P{number},50,50\n")
        measured = {
            "true": {"openness": 1.0, "thickness_mm": 20 - age, "area_mm2": None},
            "found": {"openness": 1.0, "thickness_mm": float(rng.normal()), "area_mm2": None},
        }
        note = run / "prepared" / "regions" / group / f"P{number}.json"
        note.parent.mkdir(parents=True, exist_ok=True)
        facts = {"plates": {"distal_femur": measured, "proximal_tibia": measured}}
        note.write_text(json.dumps({"facts": facts if number else {}}), encoding="utf-8")
    (run / "subjects.csv").write_text(COLUMNS + "".join(rows), encoding="utf-8")
    cohort.mkdir()
    table = "subject_id,height_percentile,weight_percentile\n" + "".join(bodies)
    (cohort / "subjects.csv").write_text(table, encoding="utf-8")


def test_what_the_drawing_loses_shows(tmp_path: Path) -> None:
    make_study(tmp_path / "run", tmp_path / "cohort")
    measured = study_measures.read(tmp_path / "run", tmp_path / "cohort")
    assert len(measured.rows) == 59  # the first has no plates
    errors = {}
    for source, features in measured.measures.items():
        for group, said in study_measures.answers(measured, features).items():
            errors[source, group] = study_measures.scores(measured.ages_years[measured.of_group(group)], said)[2]
    assert max(errors["true", group] for group in Group) < 0.5
    assert min(errors["found", group] for group in Group) > 1.5


def test_the_page_has_a_row_for_every_reader(tmp_path: Path) -> None:
    make_study(tmp_path / "run", tmp_path / "cohort")
    text = study_measures.page(study_measures.read(tmp_path / "run", tmp_path / "cohort"), "cohort")
    assert text.count("| internal | 44 |") == text.count("| external | 15 |") == 4


def test_scores_are_of_completed_years() -> None:
    ages, said = np.array([10.2, 10.9, 12.5]), np.array([10.9, 11.0, 12.1])
    exact, recall, error = study_measures.scores(ages, said)
    assert exact == 2 / 3
    assert recall == 0.75
    assert round(error, 3) == 0.4
