"""Tests of the long structures."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.phantom.anatomy.strand_tables import STRANDS, Strand
from kneeage.phantom.anatomy.strands import at_levels, distance_to, levels_of, tabulated

ROUND = Strand(((-50, 3, -4, 5, 5), (50, 3, -4, 5, 5)))


def distance(strand: Strand, x: float, y: float, z: float) -> float:
    table = tabulated(strand, (0.0, 0.0, 0.0), 1.0)
    levels = levels_of(np.array([z], np.float32))
    return float(distance_to(strand, table, (np.float32([x]), np.float32([y])), levels)[0])


@pytest.mark.parametrize(("x", "expected"), [(3, -5), (8, 0), (13, 5)])
def test_distance_to_a_round_structure(x: float, expected: float) -> None:
    assert distance(ROUND, x, -4, 0) == pytest.approx(expected, abs=0.6)


def test_structures_end() -> None:
    assert distance(ROUND, 3, -4, 49) < 0 < distance(ROUND, 3, -4, 60)


def test_shear_tilts_and_bow_bends_the_section() -> None:
    flat = Strand(((-50, 0, 0, 10, 2), (50, 0, 0, 10, 2)))
    assert distance(flat, 8, 0, 0) < 0
    assert distance(Strand(flat.sections, bow=0.05), 8, 0, 0) > 0
    assert distance(Strand(flat.sections, bow=0.05), 8, -3, 0) < 0
    assert distance(Strand(ROUND.sections, shear=1.0), 6, -1, 0) < distance(ROUND, 6, -1, 0)


def test_a_shift_along_the_course_moves_the_table() -> None:
    rows = ((0.0, 1.0), (20.0, 3.0))
    np.testing.assert_allclose(at_levels(rows, 10.0)[0, 340:400], at_levels(rows)[0, 320:380], atol=1e-5)


@pytest.mark.parametrize("name", STRANDS)
def test_radii_are_positive_and_courses_ordered(name: str) -> None:
    sections = np.array(STRANDS[name].sections)
    assert (sections[:, 3:] > 0).all()
    assert len(set(sections[:, 0])) == len(sections)
