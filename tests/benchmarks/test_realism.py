"""The realism table: what is inside, what is not, and where its summary goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.appearance import QUANTILES
from benchmarks.looks import real_look
from benchmarks.realism import (
    ASSUMED_RATIOS,
    GROUPS,
    NAMES,
    REAL_SERIES,
    Subject,
    _distance,
    _inside,
    _range,
    _real,
    _summary,
    _tables,
)


def _subjects() -> list[Subject]:
    """Two subjects of every group, all of whose measures are 0.3 and 0.5."""
    return [
        Subject(group, hospital.name, value, dict.fromkeys(NAMES, value), QUANTILES.astype(np.float32))
        for group, hospital in GROUPS
        for value in (0.3, 0.5)
    ]


def test_distance_of_shifted_values() -> None:
    values = np.linspace(0, 1, 9, dtype=np.float32)
    assert _distance(values, values + np.float32(0.2)) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("values", "known", "said"),
    [
        ([1.0, 2.0, 3.0], (2.5, 2.5), "inside"),
        ([1.0, 2.0, 3.0], (4.0, 4.0), "**outside**"),
        ([1.0, 2.0, 3.0], (1.9, 2.1), "inside"),
        ([1.0, 2.0, 3.0], (2.2, 9.0), "**outside**"),
        ([], (1.0, 1.0), "not shown"),
    ],
)
def test_inside_and_outside(values: list[float], known: tuple[float, float], said: str) -> None:
    assert _inside(np.array(values), known) == said


def test_a_range_is_median_and_tails() -> None:
    assert _range(np.arange(101.0)) == "50 (5 to 95)"


def test_without_a_real_series_adolescents_are_compared_alone() -> None:
    tables = _tables(_subjects(), None)
    headings = [line for line in tables if line.startswith("## ")]
    assert headings == ["## Against real adolescents", "## Against what we assume of adolescents"]
    assert "| muscle / marrow | 0.4 (0.3 to 0.5) | 0.3 to 0.4 | inside |" in tables
    assert "with pixels of 0.30 to 0.50 mm" in "\n".join(tables)


def test_adolescents_are_scanned_at_hospital_a_alone() -> None:
    assert {hospital.name for group, hospital in GROUPS if group != "adult"} == {"A"}
    assert [hospital.name for group, hospital in GROUPS if group == "adult"] == ["A", "B"]


def test_what_is_assumed_is_not_called_measured() -> None:
    _, measured, assumed = "\n".join(_tables(_subjects(), None)).split("\n## ")
    for name in ASSUMED_RATIOS:
        assert NAMES[name] in assumed
        assert NAMES[name] not in measured
    assert "| measured |" not in assumed


@pytest.mark.usefixtures("realdata")
def test_the_real_series_is_made_as_coarse_as_asked_but_never_finer() -> None:
    for pixel_mm, expected_mm in ((0.5, 0.5), (0.2, 0.3125)):
        real = _real(pixel_mm)
        assert real is not None
        assert real[1].pixel_mm == pytest.approx(expected_mm, rel=0.01)


def test_the_summary_counts_and_names() -> None:
    tables = ["", "## Adults", "", "| a | 1 | 1 | inside |", "| b | 1 | 9 | **outside** |", "", "## Greys", "| c | 1 |"]
    assert _summary(tables) == "- Adults: 1 of 2 rows are inside. Outside: b."


def test_the_real_series_is_looked_at_in_marrow_and_muscle(realdata: Path) -> None:
    look = real_look(realdata / REAL_SERIES)
    spread = {name: look.images[look.regions[name]] / look.marrow for name in ("marrow", "muscle")}
    assert np.std(spread["marrow"]) < 0.12
    assert np.median(spread["muscle"]) == pytest.approx(0.25, abs=0.03)
