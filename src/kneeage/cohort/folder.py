"""A cohort as a folder, imported or virtual: its table, and the images and labels it names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kneeage.cohort.label_maps import read_labels
from kneeage.cohort.table import TABLE_FILE, SubjectEntry, read_subjects
from kneeage.core.anatomy import Plane
from kneeage.core.errors import AmbiguousSeriesError, InputRefusedError
from kneeage.core.manifest import VIRTUAL_POPULATION
from kneeage.core.volume import Volume
from kneeage.io.json_object import read_json_object
from kneeage.io.read import list_candidates, load
from kneeage.io.series import LoadedSeries

MANIFEST_FILE, REFUSED_FILE = "cohort.json", "refused.csv"
SUBJECTS_FOLDER, SPLITS_FOLDER = "subjects", "splits"
IMAGE_FILE, LABELS_FILE = "image.nii.gz", "labels.nii.gz"
# The first number changes when older programs can no longer read the folder.
COHORT_SCHEMA_VERSION = "1.1"
POPULATION_NOT_STATED = "not stated"

_TABLE_SOURCE = "cohort table"


@dataclass(frozen=True)
class Cohort:
    """A cohort.

    Args:
        folder: Where it lies.
        manifest: What ``cohort.json`` says.
        entries: Its subjects.
    """

    folder: Path
    manifest: Mapping[str, Any] = field(repr=False)
    entries: tuple[SubjectEntry, ...] = field(repr=False)

    @property
    def population(self) -> str:
        """Whom the subjects stand for."""
        return str(self.manifest.get("population", POPULATION_NOT_STATED))

    @property
    def is_virtual(self) -> bool:
        """Whether nobody ever had these knees."""
        return self.population == VIRTUAL_POPULATION

    def series(self, entry: SubjectEntry) -> LoadedSeries:
        """Read the image of a subject, by the reader that serving uses; side and plane are what the table says.

        An image that serving would not choose of itself, such as a T2-weighted one, is read where it is the only one.

        Raises:
            InputRefusedError: It is not there, or cannot be read; the error names the subject.
        """
        try:
            loaded = _load(self.folder / entry.image)
        except InputRefusedError as error:
            raise type(error)(f"subject {entry.subject_id!r}: {error}") from error
        return replace(loaded, header=replace(loaded.header, **_stated(entry)))

    def labels_path(self, entry: SubjectEntry) -> Path | None:
        """Say where the labels of a subject lie: where the table says, else in the usual place; None: nowhere."""
        usual = self.folder / SUBJECTS_FOLDER / entry.subject_id / LABELS_FILE
        if entry.labels is not None:
            return self.folder / entry.labels
        return usual if usual.exists() else None

    def labels(self, entry: SubjectEntry) -> Volume | None:
        """Read the labels of a subject.

        Returns:
            uint8 of shape (1, I, J, K) on the grid of the image; None where the subject has none.

        Raises:
            InputRefusedError: They are not there, cannot be read, are empty, or hold a value that is no label.
            GeometryError: They lie on another grid than the image.
        """
        path = self.labels_path(entry)
        return None if path is None else read_labels(path, self.series(entry).volume, entry.subject_id)

    @staticmethod
    def age_class(entry: SubjectEntry) -> int:
        """Give the completed years of a subject."""
        return int(entry.chronological_age_years)


def read_cohort(folder: Path) -> Cohort:
    """Read what a cohort is and who is in it; images are read when they are asked for.

    Args:
        folder: An imported or a virtual cohort.

    Raises:
        InputRefusedError: It is no cohort, is not whole, or its table has faults.
    """
    folder = Path(folder).absolute()
    manifest = read_manifest(folder)
    return Cohort(folder, manifest, tuple(read_subjects(table_path(folder))))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read ``cohort.json``.

    Raises:
        InputRefusedError: It is not there, or is one that this version cannot read.
    """
    found = read_json_object(folder / MANIFEST_FILE)
    if found is None:
        raise InputRefusedError(
            f"{str(folder)!r} is no cohort: it has no sound {MANIFEST_FILE}; make one with 'kneeage cohort import'"
        )
    version = str(found.get("schema_version"))
    if version.partition(".")[0] != COHORT_SCHEMA_VERSION.partition(".")[0]:
        raise InputRefusedError(
            f"{MANIFEST_FILE} states schema version {version}; this program reads {COHORT_SCHEMA_VERSION}; import again"
        )
    return found


def table_path(folder: Path) -> Path:
    """Give the table of a cohort.

    Raises:
        InputRefusedError: It is not there yet.
    """
    path = folder / TABLE_FILE
    if not path.exists():
        raise InputRefusedError(
            f"{str(folder)!r} has no {TABLE_FILE} yet: the run that makes the cohort was broken off; run it again"
        )
    return path


def pixel_key(volume: Volume) -> str:
    """Hash the grey values alone, so that one image has one key in DICOM, in NIfTI and in any order of its axes.

    Unlike `LoadedSeries.pixel_sha256`, it does not hold the position in the world, which formats round differently.

    Args:
        volume: Grey values, C = 1.

    Returns:
        SHA-256 over shape and little-endian float32 values along R, A, S, in hexadecimal.
    """
    canonical = volume.reoriented("RAS").array
    digest = hashlib.sha256(repr(canonical.shape).encode())
    digest.update(np.ascontiguousarray(canonical, dtype="<f4").data)
    return digest.hexdigest()


def study_key(study_uid: str | None) -> str | None:
    """Hash a Study Instance UID; without a salt, so that two cohorts can be compared."""
    return None if study_uid is None else hashlib.sha256(study_uid.encode()).hexdigest()


def _load(path: Path) -> LoadedSeries:
    """Read the best series of a path, or its only one."""
    try:
        return load(path)
    except AmbiguousSeriesError:
        candidates = list_candidates(path)
        if len(candidates) != 1:
            raise
        return load(path, candidates[0].key)


def _stated(entry: SubjectEntry) -> dict[str, Any]:
    """What the table says in place of the header: a NIfTI file knows no side, and guesses the plane."""
    stated: dict[str, Any] = {}
    if entry.side is not None:
        stated |= {"side": entry.side, "side_source": _TABLE_SOURCE}
    if entry.extra.get("plane"):
        stated["plane"] = Plane(entry.extra["plane"].casefold())
    return stated
