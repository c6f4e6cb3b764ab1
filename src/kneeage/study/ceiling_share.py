"""How much of what is possible was reached, on a virtual cohort, where the best reader is known."""

from __future__ import annotations

from dataclasses import dataclass

from kneeage.phantom.cohort.ceiling import Ceiling
from kneeage.study.metrics import Overall


@dataclass(frozen=True)
class CeilingShares:
    """Parts of a ceiling; 1 is all that the best reader does, above 1 is luck of the sample.

    Args:
        accuracy: Share of the best exact-year accuracy.
        macro_recall: Share of the best macro recall.
        within_one_year: Share of the best within-one-year accuracy. The best reader calls the year that is the most
            probable together with its neighbours, the model the most probable one.
        mean_absolute_error: The least mean absolute error over the model's: here too 1 is the best.
    """

    accuracy: float
    macro_recall: float
    within_one_year: float
    mean_absolute_error: float


def ceiling_shares(reached: Overall, ceiling: Ceiling) -> CeilingShares:
    """Divide a model's numbers by the best reader's.

    Args:
        reached: One vote per subject.
        ceiling: Of the same subjects, as ``kneeage.phantom.cohort.ceiling.score`` finds it.
    """
    return CeilingShares(
        accuracy=reached.accuracy / ceiling.exact_year.value,
        macro_recall=reached.macro_recall / ceiling.macro_recall.value,
        within_one_year=reached.within_one_year / ceiling.within_one_year.value,
        mean_absolute_error=ceiling.mean_absolute_error_years.value / reached.mean_absolute_error_years,
    )
