"""A virtual cohort as a folder: made subject by subject, so that a broken-off run goes on where it stopped.

Every subject is written whole or not at all; ``subjects.csv`` comes last and says that the cohort is complete. A
subject that is there is never written again: somebody may have edited its labels.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from kneeage import __version__
from kneeage.core.errors import OutputError, UsageError
from kneeage.core.manifest import VIRTUAL_POPULATION
from kneeage.core.workers import Runner
from kneeage.io.itksnap import write_label_descriptions
from kneeage.io.json_object import json_text, read_json_object
from kneeage.io.lock import only_run
from kneeage.io.output import replace_file, set_aside, whole_folder
from kneeage.phantom.cohort.presets import Member, Preset, roster
from kneeage.phantom.cohort.subject import CORONAL_T1, Imaging, virtual_subject
from kneeage.phantom.cohort.table import Row, subject_row, table_text
from kneeage.phantom.cohort.write import LABELS_FILE, FileFormat, write_subject
from kneeage.phantom.growth.table import table_hash

COHORT_SCHEMA_VERSION = "1.1"
MANIFEST_FILE, TABLE_FILE, DESCRIPTIONS_FILE, README_FILE = "cohort.json", "subjects.csv", "labels.txt", "README.txt"
SUBJECTS_FOLDER, FACTS_FILE = "subjects", "subject.json"

_README = """\
A virtual cohort, made by kneeage {version}. These knees are computer-generated; no person ever had them.
It is for demonstration, tests and pre-training, not for forensic use: real knees differ in ways nobody has measured.

{manifest}: how it was made. {table}: one row per subject, with its truth; it is written when all are made.
{subjects}/ID: images and labels.nii.gz. {descriptions}: names and colours of the labels; ITK-SNAP opens it.
"""


@dataclass(frozen=True)
class CohortRecipe:
    """All that a cohort follows from.

    Args:
        preset: Kind of cohort.
        subjects: How many.
        seed: Non-negative integer.
        file_format: How images are written.
        imaging: Plane and contrast of the series.
    """

    preset: Preset
    subjects: int
    seed: int
    file_format: FileFormat = FileFormat.DICOM
    imaging: Imaging = CORONAL_T1

    def manifest(self) -> dict[str, Any]:
        """Say in plain values how the cohort is made; two cohorts of the same manifest are the same."""
        return {
            "schema_version": COHORT_SCHEMA_VERSION,
            "population": VIRTUAL_POPULATION,
            "preset": self.preset.name,
            "subjects": self.subjects,
            "subjects_of_preset": self.preset.subjects,
            "seed": self.seed,
            "format": self.file_format.value,
            "plane": self.imaging.plane.value,
            "weighting": self.imaging.weighting.value,
            "fat_suppressed": self.imaging.fat_suppressed,
            "volumetric": self.imaging.volumetric,
            "planes_per_slice": self.imaging.planes_per_slice,
            "growth_table_sha256": table_hash(self.preset.growth),
            "software": {"kneeage": __version__, "numpy": np.__version__, "scipy": scipy.__version__},
        }


@dataclass(frozen=True)
class MadeCohort:
    """What a run came to.

    Args:
        subjects: Subjects of the cohort.
        kept: Those of them that an earlier run had made.
        changed: Those of the kept whose files are not as they were made: edited, damaged or lost.
        edited_table: Where a subject table lies that was not as the run before had written it; None: it was.
    """

    subjects: int
    kept: int
    changed: tuple[str, ...] = ()
    edited_table: Path | None = None


def make_cohort(folder: Path, recipe: CohortRecipe, run: Runner, tell: Callable[[int, int], None]) -> MadeCohort:
    """Make a cohort, or go on with one that was broken off; files of subjects that are there stay as they are.

    Args:
        folder: A new folder, or that of a broken-off run of the same recipe.
        recipe: All that the cohort follows from.
        run: Does the work on the subjects that are missing.
        tell: Told after every subject how many are there, and how many there will be.

    Raises:
        UsageError: The recipe is out of range, or the folder holds a cohort of another recipe.
        OutputError: The folder cannot be written, another run is writing it, or a subject that is there has lost what
            its row of the table is made from.
        WorkerError: A process died.
    """
    folder = Path(folder).absolute()
    members = roster(recipe.preset, recipe.subjects, recipe.seed)
    _begin(folder, recipe)
    with only_run(folder / MANIFEST_FILE):
        _remove_left_overs(folder)
        changed = _changed(folder, members)
        missing = [member for member in members if not _place(folder, member).exists()]
        kept = len(members) - len(missing)
        tell(kept, len(members))
        for done, _ in enumerate(run(partial(make_member, folder, recipe), missing), kept + 1):
            tell(done, len(members))
        return MadeCohort(len(members), kept, changed, _write_table(folder, members))


def made_so_far(folder: Path) -> int:
    """Count the subjects that are there, whole."""
    return sum(not path.name.startswith(".") for path in (Path(folder) / SUBJECTS_FOLDER).glob("*"))


def make_member(folder: Path, recipe: CohortRecipe, member: Member) -> None:
    """Make one subject and write it, whole or not at all; one that is there stays as it is.

    Args:
        folder: Folder of the cohort.
        recipe: How the cohort is made.
        member: The subject.

    Raises:
        OutputError: The subject cannot be written.
    """
    place, stratum, growth = _place(folder, member), member.stratum, recipe.preset.growth
    if place.exists():
        return
    subject = virtual_subject(
        member.seed,
        chronological_age_years=member.chronological_age_years,
        sex=stratum.sex,
        hospital=stratum.hospital,
        growth_table=growth,
        imaging=recipe.imaging,
    )
    with whole_folder(place) as whole:
        image = write_subject(whole, subject, recipe.file_format)
        row = subject_row(subject, stratum.subset.value, table_hash(growth))
        row |= {"image": _from(folder, place / image.name), "labels": _from(folder, place / LABELS_FILE)}
        facts = {"row": row, "files_bytes": _sizes(whole)}
        (whole / FACTS_FILE).write_text(json_text(facts), encoding="utf-8", newline="\n")


def _begin(folder: Path, recipe: CohortRecipe) -> None:
    """Make the folder with all that does not depend on the subjects, or prove that it is of this recipe."""
    if _is_begun(folder):
        _require_same(folder / MANIFEST_FILE, recipe.manifest())
        return
    with whole_folder(folder) as whole:
        (whole / MANIFEST_FILE).write_text(json_text(recipe.manifest()), encoding="utf-8", newline="\n")
        (whole / README_FILE).write_text(_readme(), encoding="utf-8", newline="\n")
        write_label_descriptions(whole / DESCRIPTIONS_FILE)
        (whole / SUBJECTS_FOLDER).mkdir()


def _remove_left_overs(folder: Path) -> None:
    """Remove what a killed run left half written."""
    for left in (folder / SUBJECTS_FOLDER).glob(".*.part.*"):
        shutil.rmtree(left, ignore_errors=True)


def _is_begun(folder: Path) -> bool:
    """Say whether a manifest is there; a place that cannot be looked into is left to those who write there."""
    with suppress(OSError):
        return (folder / MANIFEST_FILE).exists()
    return False


def _readme() -> str:
    """Say what the folder holds."""
    return _README.format(
        version=__version__,
        manifest=MANIFEST_FILE,
        table=TABLE_FILE,
        subjects=SUBJECTS_FOLDER,
        descriptions=DESCRIPTIONS_FILE,
    )


def _require_same(path: Path, wanted: dict[str, Any]) -> None:
    """Refuse to go on with a cohort that is made in another way."""
    found = read_json_object(path)
    if found is None:
        raise OutputError(f"{str(path)!r} is no manifest of a cohort; choose another output folder, or remove this one")
    different = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if different:
        name = different[0]
        raise UsageError(
            f"the folder holds a cohort with {name} = {found.get(name)!r}; this run has {wanted.get(name)!r}; "
            "choose another output folder, or go on with the same options"
        )


def _place(folder: Path, member: Member) -> Path:
    """Where a subject lies."""
    return folder / SUBJECTS_FOLDER / member.subject_id


def _from(folder: Path, path: Path) -> str:
    """Where something lies in the cohort's folder, as its table says it."""
    return path.relative_to(folder).as_posix()


def _changed(folder: Path, members: Sequence[Member]) -> tuple[str, ...]:
    """Name the subjects that are there, and whose files are not all there at the sizes that they were made with."""
    places = [place for member in members if (place := _place(folder, member)).exists()]
    return tuple(place.name for place in places if _facts(place)["files_bytes"] != _sizes(place))


def _facts(place: Path) -> dict[str, Any]:
    """Read what was written beside a subject that is there."""
    facts = read_json_object(place / FACTS_FILE)
    if facts is None or not {"row", "files_bytes"} <= set(facts):
        raise OutputError(
            f"{str(place)!r} has no sound {FACTS_FILE}, which holds its row of {TABLE_FILE}; put it back, or move "
            "that folder out of the cohort to have the subject made anew, and run again"
        )
    return facts


def _sizes(place: Path) -> dict[str, int]:
    """Sizes in bytes of the images and labels below a folder, by relative path."""
    files = sorted(path for path in place.rglob("*") if path.is_file() and path.name != FACTS_FILE)
    return {_from(place, path): path.stat().st_size for path in files}


def _write_table(folder: Path, members: list[Member]) -> Path | None:
    """Write the subject table from what was written beside each subject; say where an edited one was kept."""
    rows: list[Row] = [_facts(_place(folder, member))["row"] for member in members]
    table, text = folder / TABLE_FILE, table_text(rows)
    if table.exists() and table.read_bytes() == text.encode():
        return None
    edited = set_aside(table, "edited") if table.exists() else None
    replace_file(table, text)
    return edited
