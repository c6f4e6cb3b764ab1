"""The row of facts beside the image."""

from __future__ import annotations

import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.errors import BundleError
from kneeage.core.result import PlateReport
from kneeage.infer.facts import FACT_GROUPS, facts_row, plate_facts, subject_facts

ALL = [name for names in FACT_GROUPS.values() for name in names]


def test_what_is_known_is_in_the_row_with_its_flag() -> None:
    known = subject_facts(Sex.MALE, height_cm=150.5, weighting="PD")
    assert facts_row(("height_known", "height_cm", "weight_known", "weight_kg", "sex"), known).tolist() == [
        [1, 150.5, 0, 0, 1]
    ]
    assert facts_row(FACT_GROUPS["sequence"], known).tolist() == [[0, 1, 0]]


def test_an_unknown_sequence_is_none_of_the_three() -> None:
    for weighting in (None, "T2*"):
        row = facts_row(FACT_GROUPS["sequence"], subject_facts(Sex.FEMALE, weighting=weighting))
        assert row.tolist() == [[0, 0, 0]]


def test_a_closed_plate_has_no_thickness() -> None:
    plates = {
        "distal_femur": PlateReport(found=True, openness=0.5, thickness_mm=1.5),
        "proximal_tibia": PlateReport(found=True, openness=0.0),
    }
    assert facts_row(FACT_GROUPS["plates"], plate_facts(plates)).tolist() == [[0.5, 1.5, 0, 0]]
    assert plate_facts({"distal_femur": PlateReport(found=False)}) == {}


def test_names_of_later_versions_are_refused() -> None:
    assert facts_row(ALL, {}).shape == (1, len(ALL))
    with pytest.raises(BundleError, match=r"'wrist', .*update kneeage"):
        facts_row(["sex", "wrist"], {})
