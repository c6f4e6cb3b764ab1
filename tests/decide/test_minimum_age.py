"""Minimum age in the forensic sense."""

from __future__ import annotations

import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import ReferenceRow, References
from kneeage.core.result import SkeletalStages
from kneeage.decide.minimum_age import is_graded, minimum_age


def row(sex: Sex, femur: str, tibia: str, n: int, youngest: float, quantile: float | None = None) -> ReferenceRow:
    return ReferenceRow(
        sex=sex, distal_femur=femur, proximal_tibia=tibia, n=n, youngest_years=youngest, quantile_years=quantile
    )


REFERENCES = References(
    system="dedouit",
    population="virtual",
    low_years=8.0,
    high_years=26.0,
    rows=[
        row(Sex.MALE, "V", "V", 400, 16.5, 16.8),
        row(Sex.FEMALE, "V", "V", 300, 15.2, 15.4),
        row(Sex.FEMALE, "IV", "V", 60, 14.0),
        row(Sex.MALE, "IV", "V", 200, 15.0, 15.2),
        row(Sex.MALE, "III", "V", 20, 14.0),
        row(Sex.MALE, "I", "I", 100, 8.1, 8.2),
    ],
)


def stages(femur: str | None, tibia: str | None) -> dict[str, SkeletalStages]:
    return {"distal_femur": SkeletalStages(dedouit=femur), "proximal_tibia": SkeletalStages(dedouit=tibia)}


def test_it_is_the_youngest_of_the_same_sex_and_finding() -> None:
    found = minimum_age(REFERENCES, Sex.MALE, stages("V", "V"))
    assert found is not None
    assert (found.value_years, found.quantile_years, found.quantile, found.n) == (16.5, 16.8, 0.01, 400)
    assert found.definition == (
        "youngest reference subject (virtual, male, 8 to 26 years) with Dedouit stage V of the distal femur and V of "
        "the proximal tibia"
    )


def test_without_a_sex_it_is_the_youngest_of_either() -> None:
    found = minimum_age(REFERENCES, None, stages("V", "V"))
    assert found is not None
    assert (found.value_years, found.quantile_years, found.n) == (15.2, 15.4, 300)
    assert "female as the younger of both sexes" in found.definition


def test_without_a_sex_too_few_of_one_sex_are_too_few() -> None:
    rare = row(Sex.FEMALE, "III", "V", 200, 13.5, 13.7)
    references = REFERENCES.model_copy(update={"rows": [*REFERENCES.rows, rare]})
    assert minimum_age(references, Sex.FEMALE, stages("III", "V")) is not None
    assert minimum_age(references, None, stages("III", "V")) is None


def test_a_quantile_that_one_sex_lacks_is_not_given() -> None:
    found = minimum_age(REFERENCES, None, stages("IV", "V"))
    assert found is not None
    assert (found.value_years, found.quantile_years) == (14.0, None)


def test_where_the_reference_begins_is_said() -> None:
    found = minimum_age(REFERENCES, Sex.MALE, stages("I", "I"))
    assert found is not None
    assert found.definition.endswith("; younger subjects were not examined")


@pytest.mark.parametrize(
    ("femur", "tibia"), [("III", "V"), ("II", "V"), ("V", "IV"), (None, "V"), ("V", None), (None, None)]
)
def test_too_few_subjects_or_no_grade_give_none(femur: str | None, tibia: str | None) -> None:
    assert minimum_age(REFERENCES, Sex.MALE, stages(femur, tibia)) is None


def test_no_reference_gives_none() -> None:
    assert minimum_age(None, Sex.MALE, stages("V", "V")) is None
    assert minimum_age(REFERENCES, Sex.MALE, {}) is None


def test_the_system_of_the_reference_counts() -> None:
    other = REFERENCES.model_copy(update={"system": "schmeling_kellinghaus"})
    assert minimum_age(other, Sex.MALE, stages("V", "V")) is None
    assert is_graded(REFERENCES, stages("V", "V"))
    assert not is_graded(other, stages("V", "V"))
    assert not is_graded(None, stages("V", "V"))
