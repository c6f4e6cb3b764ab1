"""Fractions of the ceiling."""

from __future__ import annotations

import pytest

from kneeage.phantom.cohort.ceiling import Reader, ceiling
from kneeage.phantom.cohort.presets import PRESETS
from kneeage.study.ceiling_share import ceiling_shares
from kneeage.study.metrics import Overall


def test_shares_of_what_is_possible() -> None:
    best = ceiling(PRESETS["table1"], Reader.MEASURED, 200, 0)
    reached = Overall(
        rows=200,
        accuracy=0.9 * best.exact_year.value,
        macro_recall=0.95 * best.macro_recall.value,
        within_one_year=0.8 * best.within_one_year.value,
        mean_absolute_error_years=best.mean_absolute_error_years.value / 0.7,
        root_mean_square_error_years=1.0,
        mean_error_years=0.1,
    )
    expected = {"accuracy": 0.9, "macro_recall": 0.95, "within_one_year": 0.8, "mean_absolute_error": 0.7}
    assert vars(ceiling_shares(reached, best)) == pytest.approx(expected)
