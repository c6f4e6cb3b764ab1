"""Distances to the long structures about the knee, looked up in tables along their course."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.anatomy.strand_tables import Strand

_LOWEST, _STEPS_PER_MM, _LEVELS = -170.0, 2.0, 681
_AT = _LOWEST + np.arange(_LEVELS) / _STEPS_PER_MM
_SMOOTHING = np.hanning(13) / np.hanning(13).sum()


def levels_of(along: Field) -> NDArray[np.intp]:
    """Index of each point into the tables of :func:`tabulated`, by its position along the course in mm."""
    return np.asarray(np.clip((along - _LOWEST) * _STEPS_PER_MM, 0, _LEVELS - 1), dtype=np.intp)


def at_levels(rows: tuple[tuple[float, ...], ...], shift: Field | float = 0.0) -> Field:
    """Interpolate a table at every level along the course.

    Args:
        rows: Position along the course, then the quantities there.
        shift: Shift of the rows along the course in mm, at each level or everywhere.

    Returns:
        Quantities at the levels, shape (quantities, levels), rounded over a few millimetres.
    """
    table = np.array(sorted(rows)).T
    columns = [np.pad(np.interp(_AT - shift, table[0], column), 6, mode="edge") for column in table[1:]]
    return np.stack([np.convolve(column, _SMOOTHING, mode="valid") for column in columns]).astype(np.float32)


def tabulated(strand: Strand, moved: Sequence[Field | float], size: float) -> Field:
    """Centre, radii and narrowing of one structure at every level along its course.

    Args:
        strand: The structure.
        moved: Shift of the centre in both directions across, and along the course, in mm, at each level or everywhere.
        size: Factor on the radii.

    Returns:
        Centre (two rows), factors that make the section round (two rows), and its radius, shape (5, levels).
    """
    first, second, first_radius, second_radius = at_levels(strand.sections, moved[2])
    narrow = np.minimum(first_radius, second_radius)
    ends = [section[0] for section in strand.sections]
    beyond = np.maximum(_AT - moved[2] - max(ends), min(ends) - _AT + moved[2])
    radius = narrow * size - np.clip(beyond, 0, None)
    table = (first + moved[0], second + moved[1], narrow / first_radius, narrow / second_radius, radius)
    return np.stack(table).astype(np.float32)


def near_patella() -> Field:
    """Share of the patella's shift that the tendons follow at each level, shape (levels,)."""
    return np.asarray(1 / (1 + ((_AT - 33) / 38) ** 2))


def distance_to(strand: Strand, table: Field, across: tuple[Field, Field], levels: NDArray[np.intp]) -> Field:
    """Approximate distance to a long structure, negative inside.

    Args:
        strand: The structure.
        table: Its row of :func:`tabulated`.
        across: The two coordinates across its course.
        levels: Those of :func:`levels_of`.
    """
    first, second, narrow, flat, radius = (row[levels] for row in table)
    u, v = across[0] - first, across[1] - second
    if strand.shear or strand.bow:
        u, v = u - strand.shear * v, v + strand.bow * u * u
    u, v = u * narrow, v * flat
    return np.asarray(np.sqrt(u * u + v * v + 0.3) - radius)
