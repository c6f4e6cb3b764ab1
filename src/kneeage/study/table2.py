"""Table 2 of the paper: the values of all classes and folds, external against internal, with the rows named rightly.

Source: Gao et al., Table 2, whose rows "sensitivity" and "specificity" are swapped; the abstract has them right.
"""

from __future__ import annotations

from dataclasses import dataclass

from kneeage.study.comparison import Comparison, compare
from kneeage.study.metrics import Measure, cells
from kneeage.study.predictions import Group, Predictions


@dataclass(frozen=True)
class Table2Row:
    """One row of the table.

    Args:
        measure: What is measured of one class in one fold.
        comparison: The external (test) group first, the internal (validation) group second, as printed.
        values: How many values each group would have if all were defined: classes times folds.
    """

    measure: Measure
    comparison: Comparison
    values: tuple[int, int]


def table2(predictions: Predictions) -> tuple[Table2Row, ...]:
    """Make Table 2.

    Args:
        predictions: Of both groups and all folds, slice-level or subject-level.

    Returns:
        One row per measure. A value that is not defined, such as the recall of a class without a subject in a fold, is
        left out; ``comparison`` has the number that remained.

    Raises:
        InputRefusedError: A group has fewer than two values.
    """
    external, internal = cells(predictions, Group.EXTERNAL), cells(predictions, Group.INTERNAL)
    return tuple(
        Table2Row(
            measure,
            compare(external[measure].ravel().tolist(), internal[measure].ravel().tolist()),
            (external[measure].size, internal[measure].size),
        )
        for measure in Measure
    )
