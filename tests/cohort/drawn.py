"""A small virtual knee with its true labels, and cohorts of such knees."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from kneeage.core.volume import Volume
from kneeage.io.nifti import write_image, write_labels
from kneeage.phantom.cohort.subject import HOSPITAL_A, VirtualSubject, virtual_subject
from kneeage.phantom.scanner.protocol import Layout
from tests.cohort.folders import person, write_table
from tests.phantom.miniature import ONE_PLANE

_LAYOUT = Layout((150, 165), (96,), (12, 12), (6.0, 6.0), (0.3, 0.3))
HOSPITAL = replace(HOSPITAL_A, coronal=_LAYOUT, sagittal=_LAYOUT)


@cache
def subject(age_years: float = 13.5, seed: int = 4) -> VirtualSubject:
    """A subject of 12 slices of 96 x 96 pixels."""
    return virtual_subject(seed, chronological_age_years=age_years, hospital=HOSPITAL, imaging=ONE_PLANE)


def redrawn(labels: Volume, *values: int, slices: tuple[int, ...] = (), to: int = 0) -> Volume:
    """Give labels another value, everywhere or in some slices (from 1)."""
    array = np.array(labels.array)
    here = np.isin(array, values)
    if slices:
        here[..., [k for k in range(array.shape[3]) if k + 1 not in slices]] = False
    array[here] = to
    return labels.with_array(array)


def make_cohort(folder: Path, *names: str, unlabelled: tuple[str, ...] = ()) -> Path:
    """A cohort of knees whose labels are named in the table, or are not there."""
    rows = []
    for seed, name in enumerate(names, 4):
        place = folder / "subjects" / name
        place.mkdir(parents=True)
        write_image(place / "image.nii.gz", subject(seed=seed).volume, virtual=True)
        row = person(name, image=f"subjects/{name}/image.nii.gz", note=f"kept of {name}")
        if name not in unlabelled:
            write_labels(place / "labels.nii.gz", subject(seed=seed).labels)
            row["labels"] = f"subjects/{name}/labels.nii.gz"
        rows.append(row)
    (folder / "cohort.json").write_text(json.dumps({"schema_version": "1.1", "population": "virtual"}), "utf-8")
    write_table(folder / "subjects.csv", rows)
    return folder
