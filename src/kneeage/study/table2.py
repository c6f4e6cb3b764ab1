"""Table 2 of the paper: the values of all classes and folds, external against internal, with the rows named rightly.

Source: Gao et al., Table 2, whose rows "sensitivity" and "specificity" are swapped; the abstract has them right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kneeage.study.comparison import FEWEST, Comparison, Summary, compare, summarise
from kneeage.study.metrics import Measure
from kneeage.study.predictions import FloatArray

# Of every measure an array of shape (folds, classes).
Cells = Mapping[Measure, FloatArray]


@dataclass(frozen=True)
class Spread:
    """Mean and spread of the values of a group, as far as they are defined.

    Args:
        mean: Mean; NaN where there is no value.
        sd: Standard deviation of the sample; NaN where there are fewer than two values.
        n: How many values are defined.
    """

    mean: float
    sd: float
    n: int


@dataclass(frozen=True)
class Table2Row:
    """One row of the table.

    Args:
        measure: What is measured of one class in one fold.
        first: The external (test) group, as printed.
        second: The internal (validation) group.
        comparison: Both compared; None where a group has fewer than two values.
        values: How many values each group would have if all were defined: classes times folds.
    """

    measure: Measure
    first: Spread
    second: Spread
    comparison: Comparison | None
    values: tuple[int, int]


def table2(external: Cells, internal: Cells) -> tuple[Table2Row, ...]:
    """Make Table 2.

    Args:
        external: Values of the external group, as ``metrics.cells`` gives them, of slices or of subjects.
        internal: Values of the internal group.

    Returns:
        One row per measure. A value that is not defined, such as the recall of a class without a subject in a fold, is
        left out, and the number that remains is counted. So small a study may have too few for a test, or for a mean.
    """
    return tuple(_row(measure, external[measure], internal[measure]) for measure in Measure)


def _row(measure: Measure, external: FloatArray, internal: FloatArray) -> Table2Row:
    """Make one row."""
    first, second = (_defined(values) for values in (external, internal))
    enough = min(len(first), len(second)) >= FEWEST
    return Table2Row(
        measure,
        _spread(first),
        _spread(second),
        compare(first, second) if enough else None,
        (external.size, internal.size),
    )


def _defined(values: FloatArray) -> list[float]:
    """List the values that are defined."""
    return [float(value) for value in values.ravel() if not math.isnan(value)]


def _spread(values: Sequence[float]) -> Spread:
    """Summarise values, of which there may be none."""
    if len(values) < FEWEST:
        return Spread(values[0] if values else math.nan, math.nan, len(values))
    found: Summary = summarise(values)
    return Spread(found.mean, found.sd, found.n)
