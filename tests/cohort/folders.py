"""Small sources to import from, and small cohorts."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kneeage.cohort.importing import Imported, import_cohort
from kneeage.core.volume import Volume
from kneeage.io.nifti import write_image, write_labels
from tests.io.support import Made, write_series

AFFINE = np.array([[0.5, 0, 0, -10], [0, 0, 4.0, -20], [0, -0.5, 0, 30], [0, 0, 0, 1.0]])
SHAPE = (1, 10, 9, 12)
HEADER = ("subject_id", "sex", "chronological_age_years", "site", "side")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write a table whose columns are those of its rows."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def person(name: str, **cells: Any) -> dict[str, Any]:
    """A row of a table."""
    return {
        "subject_id": name,
        "sex": "male",
        "chronological_age_years": 14.5,
        "site": "A",
        "side": "right",
        **cells,
    }


def image(seed: int) -> Volume:
    """A coronal series of noise."""
    return Volume(np.random.default_rng(seed).normal(100, 20, SHAPE).astype(np.float32), AFFINE)


def labels(value: int = 1) -> Volume:
    """Labels of a block."""
    values = np.zeros(SHAPE, np.uint8)
    values[:, 2:6, 2:6, 3:8] = value
    return Volume(values, AFFINE)


def nifti_study(folder: Path, name: str, seed: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / f"{name}.nii.gz", image(seed))
    return folder / f"{name}.nii.gz"


def dicom_study(folder: Path, number: int, **extra: Any) -> Path:
    """A DICOM series in a folder; its number tells it from others."""

    def edit(one: Any, _k: int) -> None:
        one.PixelData = (np.frombuffer(one.PixelData, "<u2") + number).astype("<u2").tobytes()

    made = Made(uid=f"1.2.{number}.3", study=f"1.2.{number}")
    write_series(folder, made.but(PatientID=f"secret-{number}", **extra), edit)
    return folder


def importing(place: Path, rows: Sequence[Mapping[str, Any]], **options: Any) -> Imported:
    """Import from ``place/source`` into ``place/cohort``."""
    table = write_table(place / "people.csv", rows)
    return import_cohort(table, place / "source", place / "cohort", lambda _done, _total: None, **options)


def cohort_of(place: Path, people: Sequence[Mapping[str, Any]]) -> Path:
    """A cohort of NIfTI images, each with labels."""
    for number, row in enumerate(people):
        nifti_study(place / "source", row["subject_id"], number)
    importing(place, people)
    for row in people:
        write_labels(place / "cohort" / "subjects" / row["subject_id"] / "labels.nii.gz", labels())
    return place / "cohort"
