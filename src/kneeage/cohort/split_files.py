"""Splits on disk: ``NAME.csv`` with every subject's place, and beside it ``NAME.json``, which says how it was drawn."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kneeage.cohort import cells
from kneeage.cohort.folder import SPLITS_FOLDER
from kneeage.cohort.sheet import read_sheet
from kneeage.cohort.split import COLUMNS, Group, Place, Split
from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.io.output import whole_file

SCHEMA_VERSION = "1.0"


def split_path(folder: Path, name: str) -> Path:
    """Say where a split of a cohort lies.

    Args:
        folder: The cohort.
        name: Name of the split.

    Raises:
        UsageError: The name cannot be one of a file on every system.
    """
    try:
        return folder / SPLITS_FOLDER / f"{cells.subject_id(name.removesuffix('.csv'))}.csv"
    except ValueError as error:
        raise UsageError(f"the name of a split {error}") from None


def read_named_split(folder: Path, name: str) -> Split:
    """Read a split of a cohort.

    Args:
        folder: The cohort.
        name: Name of the split.

    Raises:
        UsageError: The cohort has none of this name; those that it has are named.
        InputRefusedError: It is not as it was written.
    """
    path = split_path(folder, name)
    if not path.exists():
        there = sorted(each.stem for each in (folder / SPLITS_FOLDER).glob("*.csv"))
        has = f"its splits are {', '.join(map(repr, there))}" if there else "it has none"
        raise UsageError(f"the cohort has no split {path.stem!r}; {has}; make one with 'kneeage cohort split'")
    return read_split(path)


def write_split(path: Path, split: Split) -> None:
    """Write a split as CSV, and beside it a JSON file that says how it was made.

    Args:
        path: A new file that ends in ``.csv``.
        split: The split.

    Raises:
        UsageError: The name ends otherwise.
        OutputError: One of the files exists or cannot be written.
    """
    if path.suffix != ".csv":
        raise UsageError(f"a split is written to a .csv file; found {path.name!r}")
    with whole_file(path.with_suffix(".json")) as sidecar, whole_file(path) as table:
        table.write_text(split.text, encoding="utf-8", newline="\n")
        sidecar.write_text(json.dumps(_facts(split), indent=2) + "\n", encoding="utf-8", newline="\n")


def read_split(path: Path) -> Split:
    """Read a split, and prove that it is as it was written.

    Args:
        path: The CSV file; its JSON file lies beside it.

    Returns:
        The split.

    Raises:
        InputRefusedError: A file is missing, is no split, or was changed after it was written.
    """
    places, facts = _read_places(path), _read_facts(path.with_suffix(".json"))
    try:
        names = tuple(facts["stratified_by"])
        split = Split(places, facts["method"], facts["seed"], facts["random_numbers_sha256"], names)
    except (KeyError, TypeError):
        raise InputRefusedError(f"{path.with_suffix('.json').name!r} does not describe a split; make it anew") from None
    if split.sha256 != facts.get("sha256"):
        raise InputRefusedError(f"{path.name!r} was changed after it was made (its hash differs); make the split anew")
    return split


def _facts(split: Split) -> dict[str, Any]:
    """Say how a split was made, in plain values."""
    return {
        "schema_version": SCHEMA_VERSION,
        "method": split.method,
        "seed": split.seed,
        "random_numbers_sha256": split.random_numbers_sha256,
        "stratified_by": split.stratified_by,
        "subjects": dict(sorted(Counter(place.group.value for place in split.places.values()).items())),
        "folds": [len(split.tested_in(fold)) for fold in range(split.folds)],
        "sha256": split.sha256,
    }


def _read_facts(path: Path) -> dict[str, Any]:
    """Read the JSON file of a split."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputRefusedError(f"cannot read {path.name!r}: {error.strerror or 'input error'}") from error
    except ValueError as error:
        raise InputRefusedError(f"{path.name!r} is not JSON; make the split anew") from error
    return facts if isinstance(facts, dict) else {}


def _read_places(path: Path) -> dict[str, Place]:
    """Read the rows of a split."""
    sheet = read_sheet(path)
    sheet.require(*COLUMNS)
    places: dict[str, Place] = {}
    for row in sheet.rows:
        place = _place(row.cells)
        if place is None or row.cells["subject_id"] in places:
            raise InputRefusedError(f"{path.name!r}, row {row.number}: no group and fold of one more subject")
        places[row.cells["subject_id"]] = place
    return places


def _place(row: Mapping[str, str]) -> Place | None:
    """Read one row; None where it is not valid."""
    try:
        return Place(Group(row["group"]), int(row["fold"]) if row["fold"] else None)
    except ValueError:
        return None
