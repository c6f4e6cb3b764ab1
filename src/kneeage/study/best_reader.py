"""How well the best reader would do on a study's own virtual subjects, by the known law of their growth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from kneeage.cohort.folder import Cohort
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Sex
from kneeage.phantom.cohort.body import Body
from kneeage.phantom.cohort.ceiling import Ceiling, Reader, Seen, World, score, told_years
from kneeage.phantom.growth.age_law import Ages, MaturityGrid, points_per_year
from kneeage.phantom.growth.latents import KneeLatents, PlateLatents
from kneeage.phantom.growth.law import PLATES, Covariates, FloatArray, GrowthTable, Latents, normal_score
from kneeage.phantom.growth.measured import measure
from kneeage.phantom.growth.table import TABLES, table_hash

# In the order of the ceilings (a), (b) and (c).
READERS = (Reader.LATENTS, Reader.PLATES, Reader.MEASURED)
# Of the errors of measurement, which are drawn. Our own choice.
_SEED = 0


@dataclass(frozen=True)
class BestReader:
    """What a best reader makes of subjects.

    Args:
        ceiling: Its numbers.
        told: The completed years that it calls, by subject.
    """

    ceiling: Ceiling
    told: Mapping[str, int]


def group_ceilings(cohort: Cohort, subjects: set[str], classes: Sequence[int]) -> tuple[BestReader, ...]:
    """Score the best readers on subjects of a virtual cohort; they know how frequent these ages are.

    Args:
        cohort: The cohort, with the table that it was made with.
        subjects: Those with predictions.
        classes: Age classes, completed years.

    Returns:
        Of ``latents`` (a), ``plates`` (b) and ``measured`` (c); nothing where the cohort is not virtual, or grew by a
        law that this version does not have.
    """
    entries = [entry for entry in cohort.entries if entry.subject_id in subjects]
    table = _table(cohort, entries)
    if table is None:
        return ()
    ages_years = np.array([entry.chronological_age_years for entry in entries])
    seen = _seen(entries, ages_years, table)
    world = _world(ages_years, seen.covariates, classes, table)
    return tuple(_best_reader(reader, entries, seen, world) for reader in READERS)


def as_plain(ceiling: Ceiling) -> dict[str, Any]:
    """Write a ceiling in plain values."""
    return {**asdict(ceiling), "reader": ceiling.reader.value}


def from_plain(raw: dict[str, Any]) -> Ceiling:
    """Read what `as_plain` gave."""
    return TypeAdapter(Ceiling).validate_python(raw)


def _table(cohort: Cohort, entries: Sequence[SubjectEntry]) -> GrowthTable | None:
    """Find the growth law of a cohort by the hash that its rows carry."""
    hashes = {entry.extra.get("growth_table_sha256") for entry in entries}
    if not cohort.is_virtual or len(hashes) != 1 or not set(_columns().values()) <= set(entries[0].extra):
        return None
    return next((table for table in TABLES.values() if table_hash(table) in hashes), None)


def _best_reader(reader: Reader, entries: Sequence[SubjectEntry], seen: Seen, world: World) -> BestReader:
    """Let one reader read the subjects."""
    ages_years = np.array([entry.chronological_age_years for entry in entries])
    told = told_years(reader, seen, world)
    named = {entry.subject_id: int(year) for entry, year in zip(entries, told, strict=True)}
    return BestReader(score(reader, seen, ages_years, world), named)


def _seen(entries: Sequence[SubjectEntry], ages_years: FloatArray, table: GrowthTable) -> Seen:
    """Collect all that there is to know of the subjects."""
    latents: Latents = {name: _numbers(entries, column) for name, column in _columns().items()}
    female = np.array([entry.sex is Sex.FEMALE for entry in entries])
    scores = (normal_score(_numbers(entries, f"{name}_percentile"), table) for name in ("height", "weight"))
    covariates = Covariates(female, *scores)
    drawn = measure(latents, np.random.default_rng(_SEED))
    return Seen(latents | drawn, covariates, Body.of(ages_years, covariates))


def _world(ages_years: FloatArray, covariates: Covariates, classes: Sequence[int], table: GrowthTable) -> World:
    """Say what every reader knows of the group."""
    counts = np.bincount(np.floor(ages_years).astype(int) - classes[0], minlength=len(classes))
    ages = Ages(classes[0], counts / counts.sum(), points_per_year(table))
    return World(table, ages, float(covariates.female.mean()), MaturityGrid.around(ages, table))


def _columns() -> dict[str, str]:
    """Give the column of every latent, by the name that the law has for it."""
    own = {each.name: each.name for each in fields(KneeLatents) if each.name not in PLATES}
    parts = [(plate, each.name) for plate in PLATES for each in fields(PlateLatents)]
    return own | {f"{plate}.{part}": f"{plate}_{part}" for plate, part in parts}


def _numbers(entries: Sequence[SubjectEntry], column: str) -> FloatArray:
    """Read a column of the table."""
    return np.array([float(entry.extra[column]) for entry in entries])
