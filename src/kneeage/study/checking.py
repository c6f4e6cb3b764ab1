"""What is looked at in every subject before anything is trained: its image, its labels, and what tells who it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kneeage.cohort.folder import Cohort, pixel_key, study_key
from kneeage.cohort.label_maps import read_labels
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import PLATE_SITES, Plane
from kneeage.core.errors import InputRefusedError
from kneeage.learn.prepared_cohort import Facts

PIXELS, STUDY, LABELLED = "pixels", "study", "labelled"
_PLATES = [int(label) for site in PLATE_SITES for label in (site.open_plate, site.scar)]


@dataclass(frozen=True)
class CheckJob:
    """Reads every image and its labels once; a `kneeage.learn.prepared_cohort.Job`.

    Args:
        plane: Plane that the slices must have.
    """

    plane: Plane = Plane.CORONAL

    def identity(self) -> dict[str, Any]:
        """All that its result follows from besides the subject."""
        return {"check": 1, "plane": self.plane.value}

    def make(self, cohort: Cohort, entry: SubjectEntry, path: Path) -> Facts:
        """Check a subject; the file only says that this was done.

        Raises:
            InputRefusedError: The image or the labels cannot be used.
        """
        series = cohort.series(entry)
        if series.plane not in (None, self.plane):
            raise InputRefusedError(f"its slices are {series.plane.value}; this study is of {self.plane.value} slices")
        labels = cohort.labels_path(entry)
        if labels is not None:
            drawn = read_labels(labels, series.volume, entry.subject_id)
            if not np.isin(drawn.array, _PLATES).any():
                raise InputRefusedError("its labels show neither a growth plate nor a scar; label it, or remove them")
        path.touch()
        return {
            PIXELS: pixel_key(series.volume),
            STUDY: entry.study_key or study_key(series.header.study_uid),
            LABELLED: labels is not None,
        }
