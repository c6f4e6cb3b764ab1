"""Subjects without images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Sex

# Internal subjects per age year. Source: the paper's Table 1, training and validation together.
TABLE_1 = {10: 51, 11: 86, 12: 114, 13: 141, 14: 135, 15: 161, 16: 166, 17: 177, 18: 181}


def entry(subject_id: str, age_years: float = 12.5, **more: Any) -> SubjectEntry:
    """Make a subject."""
    facts: dict[str, Any] = {"sex": Sex.MALE, "site": "A", "side": None, "image": f"subjects/{subject_id}", **more}
    return SubjectEntry(subject_id=subject_id, chronological_age_years=age_years, **facts)


def subjects(counts: Mapping[int, int], prefix: str = "s", **more: Any) -> list[SubjectEntry]:
    """Make as many subjects of each age year as are asked for."""
    return [
        entry(f"{prefix}{year}-{n:03d}", year + n / count, **more)
        for year, count in counts.items()
        for n in range(count)
    ]
