"""Reference knees travel in a file, and the nearest in age are shown."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.errors import BundleError
from kneeage.core.result import Result
from kneeage.report.reference import neighbours, packed, unpacked
from tests.report.rich import knees


def test_knees_come_back_as_they_were() -> None:
    back = unpacked(packed(knees()))
    assert [(knee.age_years, knee.sex) for knee in back] == [(knee.age_years, knee.sex) for knee in knees()]
    np.testing.assert_array_equal(back[0].picture, knees()[0].picture)
    assert back[0].png().startswith(b"\x89PNG")


@pytest.mark.parametrize("content", [b"", b"no archive", packed(knees())[:100]])
def test_a_file_that_holds_none_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match="reference knees cannot be read"):
        unpacked(content)


def test_the_nearest_of_the_same_sex_are_chosen_by_rising_age(estimated: Result) -> None:
    chosen = neighbours(knees(), estimated)
    assert [knee.age_years for knee in chosen] == [15, 16, 17]
    assert {knee.sex for knee in chosen} == {Sex.MALE}


def test_without_a_sex_either_fits(estimated: Result) -> None:
    subject = estimated.subject.model_copy(update={"sex": None})
    chosen = neighbours(knees(), estimated.model_copy(update={"subject": subject}))
    assert {knee.sex for knee in chosen} == {*Sex}


def test_without_an_age_there_is_nothing_to_compare(abstained: Result) -> None:
    assert neighbours(knees(), abstained) == []
