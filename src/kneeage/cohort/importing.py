"""From a table of people and a folder of studies to a cohort; broken off, it goes on where it stopped.

Every subject is written whole or not at all; the tables come last and say that the cohort is whole. Of a header nothing
but geometry, plane, weighting, side and the hash of its study enters the cohort: never age, sex, height or weight.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kneeage import __version__
from kneeage.cohort.folder import (
    COHORT_SCHEMA_VERSION,
    IMAGE_FILE,
    LABELS_FILE,
    MANIFEST_FILE,
    POPULATION_NOT_STATED,
    REFUSED_FILE,
    SUBJECTS_FOLDER,
    pixel_key,
    study_key,
)
from kneeage.cohort.request import USED_UP_COLUMNS, WRITTEN_COLUMNS, Order, Refused, read_request
from kneeage.cohort.sheet import read_sheet, sheet_text
from kneeage.cohort.table import AGE, IMAGE, SUBJECT_ID, TABLE_FILE
from kneeage.core.anatomy import Side
from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.core.manifest import VIRTUAL_POPULATION
from kneeage.io.json_object import json_text, read_json_object
from kneeage.io.lock import only_run
from kneeage.io.nifti import write_image
from kneeage.io.output import replace_file, set_aside, whole_folder
from kneeage.io.read import load
from kneeage.io.series import LoadedSeries

FACTS_FILE = "subject.json"
# Endings of what may stand for a subject's folder.
_ENDINGS = ("", ".nii.gz", ".nii", ".zip", ".dcm")
_FIRST_COLUMNS = (SUBJECT_ID, "sex", AGE, "site", "side", "plane", "sequence")

Row = dict[str, object]
Facts = dict[str, Any]
Tell = Callable[[int, int], None]


@dataclass
class Imported:
    """What an import came to.

    Args:
        subjects: Subjects of the cohort.
        kept: How many of them an earlier run had read.
        refused: Subjects of the table that are not in the cohort.
        notes: What was tolerated or repaired, and of whom.
        left_over: Subjects whose folders are there from earlier runs, and who are not in the cohort.
        earlier_table: Where a table lies that was there and said something else; None: there was none.
    """

    subjects: int = 0
    kept: int = 0
    refused: list[Refused] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    earlier_table: Path | None = None


def import_cohort(
    table: Path, source: Path, folder: Path, tell: Tell, *, population: str = POPULATION_NOT_STATED
) -> Imported:
    """Import the subjects of a table, or go on with an import that was broken off.

    Where nobody can be imported, and nobody was before, the folder goes again.

    Args:
        table: CSV file; columns as for `kneeage.cohort.table.read_subjects`, without ``image``. ``source`` (a path
            below the source folder) and ``series`` (key of one series) may be there.
        source: Folder with a folder or file per subject.
        folder: A new folder, or that of an earlier import of the same population.
        tell: Told how many subjects are done, and how many there are.
        population: Whom the subjects stand for; ``"virtual"`` for computer-generated ones.

    Raises:
        InputRefusedError: The table has faults; nothing was imported.
        UsageError: The source is no folder, or the folder holds another cohort.
        OutputError: The folder cannot be written, or another run is writing it.
    """
    source, folder = Path(source).absolute(), Path(folder).absolute()
    if not source.is_dir():
        raise UsageError(f"{str(source)!r} is no folder; give the folder that holds a folder or file per subject")
    request = read_request(table)
    _begin(folder, population)
    with only_run(folder / MANIFEST_FILE):
        _remove_left_overs(folder)
        made, rows = _import_all(request.orders, source, folder, tell, virtual=population == VIRTUAL_POPULATION)
        made.refused = [*request.refused, *made.refused]
        made.left_over = _without_row(folder, rows)
        bare = _is_bare(folder)
        if not bare:
            made.earlier_table = _write_tables(folder, request.columns, rows, made.refused)
    if bare:  # a cohort of nobody would keep the folder from one of another population
        shutil.rmtree(folder, ignore_errors=True)
    return made


def _import_all(
    orders: Sequence[Order], source: Path, folder: Path, tell: Tell, *, virtual: bool
) -> tuple[Imported, list[Row]]:
    """Import one subject after the other."""
    made, rows = Imported(), []
    tell(0, len(orders))
    for done, order in enumerate(orders, 1):
        place = folder / SUBJECTS_FOLDER / order.entry.subject_id
        try:
            earlier = _earlier_facts(place, order)
            facts = earlier or _import_one(order, source, place, made.notes, virtual=virtual)
            _require_plane(order, facts["plane"])
            rows.append(_table_row(order, facts, made.notes) | _labels(place, folder))
            made.kept += earlier is not None
        except (InputRefusedError, UsageError) as error:
            made.refused.append(Refused(order.entry.subject_id, _reason(error)))
        tell(done, len(orders))
    made.subjects = len(rows)
    made.notes += _twins(rows)
    return made, rows


def _import_one(order: Order, source: Path, place: Path, notes: list[str], *, virtual: bool) -> Facts:
    """Read a subject's series and write it, whole or not at all."""
    loaded = load(_find(source, order), order.series or None)
    _require_population(loaded, virtual=virtual)
    _require_plane(order, loaded.plane.value)
    _make_room(place)
    with whole_folder(place) as whole:
        write_image(whole / IMAGE_FILE, loaded.volume, virtual=loaded.header.virtual)
        facts = _facts(order, loaded, whole / IMAGE_FILE)
        (whole / FACTS_FILE).write_text(json_text(facts), encoding="utf-8", newline="\n")
    notes += [f"{order.entry.subject_id}: {note}" for note in loaded.notes]
    return facts


def _reason(error: Exception) -> str:
    """Say on one line why a subject is refused; where the reader names its option, the table has a column."""
    words = "; ".join(str(error).splitlines()).replace(":; ", ": ")
    return words.replace("with --series", "in a column 'series'")


def _find(source: Path, order: Order) -> Path:
    """Find what holds the subject's study."""
    if order.source:
        return source / order.source
    name = order.entry.subject_id
    there = [source / f"{name}{ending}" for ending in _ENDINGS if (source / f"{name}{ending}").exists()]
    if len(there) == 1:
        return there[0]
    if there:
        found = ", ".join(repr(path.name) for path in there)
        raise InputRefusedError(f"the source folder holds {found}; keep one, or name it in a column 'source'")
    raise InputRefusedError(
        f"the source folder holds no folder {name!r} and no file of that name; name its path in a column 'source'"
    )


def _require_population(loaded: LoadedSeries, *, virtual: bool) -> None:
    """Keep virtual and real images apart."""
    if loaded.header.virtual and not virtual:
        raise InputRefusedError(f"the image is computer-generated; import such with --population {VIRTUAL_POPULATION}")
    if virtual and not loaded.header.virtual:
        raise InputRefusedError("the image does not say that it is computer-generated; name another --population")


def _require_plane(order: Order, found: str) -> None:
    """Check that the table names the plane of the series, where it names one."""
    stated = order.entry.extra.get("plane", "")
    if stated and stated.casefold() != found:
        raise InputRefusedError(f"the table says {stated}, and the series is {found}; mend the table")


def _make_room(place: Path) -> None:
    """Remove a subject that an earlier run read from elsewhere, unless work was put into it."""
    if (place / LABELS_FILE).exists():
        raise InputRefusedError(
            f"its labels were drawn on an image that came from elsewhere or was changed; move {LABELS_FILE} away"
        )
    shutil.rmtree(place, ignore_errors=True)


def _facts(order: Order, loaded: LoadedSeries, image: Path) -> Facts:
    """Note what a later run, and the table, must know of an image."""
    return {
        "asked": _asked(order),
        "image_bytes": image.stat().st_size,
        "plane": loaded.plane.value,
        "weighting": loaded.header.weighting or "",
        "header_side": loaded.header.side.value,
        "header_side_source": loaded.header.side_source,
        "pixel_sha256": pixel_key(loaded.volume),
        "study_key": study_key(loaded.header.study_uid) or "",
    }


def _earlier_facts(place: Path, order: Order) -> Facts | None:
    """Give what an earlier run noted of the same series; None where its image is not there in full."""
    facts, image = read_json_object(place / FACTS_FILE), place / IMAGE_FILE
    if facts is None or facts.get("asked") != _asked(order) or not image.exists():
        return None
    return facts if facts.get("image_bytes") == image.stat().st_size else None


def _asked(order: Order) -> str:
    """Tell orders apart by four digits of a hash: too few to find the name of a clinical folder by trying names."""
    return hashlib.sha256(json.dumps([order.source, order.series]).encode()).hexdigest()[:4]


def _table_row(order: Order, facts: Facts, notes: list[str]) -> Row:
    """Give the row of a subject in the cohort's table: what the researcher says, and what the image says."""
    entry = order.entry
    return {
        **entry.extra,
        **{name: value for name in ("height_cm", "weight_kg", "subset") if (value := getattr(entry, name)) is not None},
        SUBJECT_ID: entry.subject_id,
        "sex": entry.sex.value,
        AGE: entry.chronological_age_years,
        "site": entry.site,
        "side": _side(order, facts, notes).value,
        "plane": facts["plane"],
        "sequence": entry.sequence or facts["weighting"],
        IMAGE: entry.image,
        "pixel_sha256": facts["pixel_sha256"],
        "study_key": facts["study_key"],
    }


def _twins(rows: Sequence[Row]) -> list[str]:
    """Find subjects who have the image of another, such as by a slip in the column of their paths."""
    first: dict[object, object] = {}
    notes = []
    for row in rows:
        other = first.setdefault(row["pixel_sha256"], row[SUBJECT_ID])
        if other != row[SUBJECT_ID]:
            notes.append(f"{row[SUBJECT_ID]}: has the same pixels as {other}; look which of them it is")
    return notes


def _labels(place: Path, folder: Path) -> Row:
    """Name the labels that somebody drew since."""
    path = place / LABELS_FILE
    return {"labels": path.relative_to(folder).as_posix()} if path.exists() else {}


def _side(order: Order, facts: Facts, notes: list[str]) -> Side:
    """Choose the side: the table's word counts, the header's where the table has none."""
    header, stated = Side(facts["header_side"]), order.entry.side
    if stated is None or stated is Side.UNKNOWN:
        return header
    if header not in (stated, Side.UNKNOWN):
        source = facts["header_side_source"]
        notes.append(
            f"{order.entry.subject_id}: the table says {stated.value}, the header {header.value} ({source}); "
            "the table counts"
        )
    return stated


def _begin(folder: Path, population: str) -> None:
    """Make the folder, or prove that it is an earlier import of the same population."""
    wanted = {"schema_version": COHORT_SCHEMA_VERSION, "made_by": "import", "population": population}
    if not (folder / MANIFEST_FILE).exists():
        with whole_folder(folder) as whole:
            manifest = {**wanted, "software": {"kneeage": __version__}}
            (whole / MANIFEST_FILE).write_text(json_text(manifest), encoding="utf-8", newline="\n")
            (whole / SUBJECTS_FOLDER).mkdir()
        return
    found = read_json_object(folder / MANIFEST_FILE) or {}
    name = next((name for name, value in wanted.items() if found.get(name) != value), None)
    if name is not None:
        raise UsageError(
            f"{str(folder)!r} holds a cohort with {name} = {found.get(name)!r}; this import has {wanted[name]!r}; "
            "choose another output folder, or go on with the same options"
        )


def _is_bare(folder: Path) -> bool:
    """Say whether a folder holds nothing but what `_begin` made."""
    names = {path.name for path in folder.iterdir()}
    return names == {MANIFEST_FILE, SUBJECTS_FOLDER} and not any((folder / SUBJECTS_FOLDER).iterdir())


def _remove_left_overs(folder: Path) -> None:
    """Remove what a killed run left half written."""
    for left in (folder / SUBJECTS_FOLDER).glob(".*.part.*"):
        shutil.rmtree(left, ignore_errors=True)


def _without_row(folder: Path, rows: Sequence[Row]) -> list[str]:
    """List the folders of subjects who are not in the cohort."""
    there = {path.name for path in (folder / SUBJECTS_FOLDER).iterdir() if path.is_dir()}
    return sorted(there - {str(row[SUBJECT_ID]) for row in rows})


def _write_tables(folder: Path, asked: Sequence[str], rows: Sequence[Row], refused: Sequence[Refused]) -> Path | None:
    """Write who is in the cohort and who is not; say where a table was kept that said something else."""
    own = [name for name in asked if name not in (*_FIRST_COLUMNS, *USED_UP_COLUMNS)]
    labelled = any("labels" in row for row in rows)
    columns = [*_FIRST_COLUMNS, *own, *(name for name in WRITTEN_COLUMNS if labelled or name != "labels")]
    replace_file(folder / REFUSED_FILE, sheet_text((SUBJECT_ID, "reason"), [vars(each) for each in refused]))
    table, wanted = folder / TABLE_FILE, [{name: str(row.get(name, "")) for name in columns} for row in rows]
    if _says(table, wanted):
        return None
    earlier = set_aside(table, "earlier") if table.exists() else None
    replace_file(table, sheet_text(columns, wanted))
    return earlier


def _says(table: Path, wanted: Sequence[Mapping[str, str]]) -> bool:
    """Say whether a table is there and holds the same, its columns in any order."""
    try:
        return [dict(row.cells) for row in read_sheet(table).rows] == list(wanted)
    except InputRefusedError:
        return False
