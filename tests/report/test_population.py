"""Whether the subject is inside the reference population, point by point."""

from __future__ import annotations

import pytest

from kneeage.core.anatomy import Plane, Sex
from kneeage.core.result import Reason, ReasonCode, Result
from kneeage.report.population import population_rows, population_verdict
from kneeage.report.words import words
from tests.report.conftest import series_report
from tests.report.rich import manifest, rich_result

EN = words("en")


@pytest.fixture
def rich(estimated: Result) -> Result:
    return rich_result(estimated)


def inside(result: Result) -> dict[str, bool | None]:
    return {row.point: row.inside for row in population_rows(result, manifest(), EN)}


@pytest.mark.parametrize(("lang", "whom"), [("en", "of held-out images"), ("zh", "的留出图像")])
def test_nearness_is_counted_on_images_that_were_not_trained_on(rich: Result, lang: str, whom: str) -> None:
    assert whom in population_rows(rich, manifest(), words(lang))[-1].found


def test_an_image_of_a_scanner_is_outside_a_virtual_population(rich: Result) -> None:
    assert inside(rich)["People"] is False
    assert population_verdict(population_rows(rich, manifest(), EN), EN).startswith("By at least one point")


def test_a_virtual_subject_is_inside_a_virtual_population(rich: Result) -> None:
    subject = rich.subject.model_copy(update={"weight_kg": 60.0})
    virtual = rich.model_copy(update={"series": series_report(virtual=True), "subject": subject})
    assert {judged for point, judged in inside(virtual).items() if point != "Age"} == {True}
    assert population_verdict(population_rows(virtual, manifest(), EN), EN).startswith("By every point below but the")


@pytest.mark.parametrize("virtual", [True, False])
@pytest.mark.parametrize(
    ("claimed", "found", "verdict"),
    [
        (None, "not given", "this is the question"),
        (15.5, "claimed: 15.5 years", "this is the question"),
        (40.0, "claimed: 40 years", "this is the question; the claimed age lies outside"),
    ],
)
def test_the_age_is_the_question_and_a_claimed_one_judges_nothing(
    rich: Result, claimed: float | None, found: str, verdict: str, virtual: bool
) -> None:
    series = rich.model_copy(update={"series": series_report(virtual=virtual)})
    told = series.model_copy(update={"subject": rich.subject.model_copy(update={"claimed_age_years": claimed})})
    (row,) = (row for row in population_rows(told, manifest(), EN) if row.point == "Age")
    assert (row.covered, row.found, row.inside, row.verdict) == ("8 to 26 years", found, None, verdict)
    said = [population_verdict(population_rows(each, manifest(), EN), EN) for each in (told, series)]
    assert said[0] == said[1]


def test_of_real_people_an_image_cannot_tell(rich: Result) -> None:
    assert rich.bundle is not None
    real = rich.model_copy(update={"bundle": rich.bundle.model_copy(update={"population": "hospital A"})})
    assert inside(real)["People"] is None
    assert population_verdict(population_rows(real, manifest(), EN), EN).startswith("No point below speaks against")
    drawn = real.model_copy(update={"series": series_report(virtual=True)})
    assert inside(drawn)["People"] is False


def test_each_point_can_be_outside(rich: Result) -> None:
    assert rich.quality is not None
    assert rich.quality.novelty is not None
    far = rich.quality.model_copy(update={"novelty": rich.quality.novelty.model_copy(update={"distance": 99.0})})
    other = rich.model_copy(
        update={
            "subject": rich.subject.model_copy(update={"height_cm": 110.0, "weight_kg": 200.0}),
            "series": series_report(plane=Plane.SAGITTAL, weighting="PD"),
            "quality": far,
            "reasons": [Reason(code=ReasonCode.FIELD_OF_VIEW, message="the pixel is 1.2 mm")],
        }
    )
    girls = manifest().model_copy(update={"sexes": [Sex.FEMALE]})
    assert {row.inside for row in population_rows(other, girls, EN) if row.point != "Age"} == {False}


@pytest.mark.parametrize(
    ("height_cm", "weight_kg", "found", "inside"),
    [
        (170.0, 60.0, "170.0 cm, 60.0 kg, body mass index 20.8 kg/m²", True),
        (190.0, 30.0, "190.0 cm, 30.0 kg, body mass index 8.3 kg/m²", False),
        (75.0, None, "75.0 cm", False),
        (None, 60.0, "60.0 kg", None),
        (None, None, "not given", None),
    ],
)
def test_height_and_weight_are_compared_with_those_of_the_training_subjects(
    rich: Result, height_cm: float | None, weight_kg: float | None, found: str, inside: bool | None
) -> None:
    body = {"height_cm": height_cm, "weight_kg": weight_kg}
    told = rich.model_copy(update={"subject": rich.subject.model_copy(update=body)})
    row, silent = (
        next(row for row in population_rows(told, covered, EN) if row.point == "Height and weight")
        for covered in (manifest(), manifest().model_copy(update={"body_range": None}))
    )
    assert row.covered == "115.4–193.4 cm, 19.2–115.9 kg, body mass index 12.1–36.5 kg/m²"
    assert (row.found, row.inside) == (found, inside)
    assert (silent.covered, silent.found, silent.verdict) == ("not given", found, "cannot be told")


def test_the_grid_is_compared_in_mm(rich: Result) -> None:
    (row,) = (row for row in population_rows(rich, manifest(), EN) if row.point == "Size and resolution")
    assert row.covered == "image 102–235, pixel 0.16–0.71, slices 2.5–5.7 mm"
    assert row.found.endswith(", spacing 0.80 × 0.80 × 3.50 mm")


def test_a_grid_that_nobody_judged_cannot_be_told(rich: Result) -> None:
    other_plane = Reason(code=ReasonCode.WRONG_PLANE, message="the slices are sagittal")
    assert inside(rich.model_copy(update={"reasons": [other_plane]}))["Size and resolution"] is None
    silent = manifest().model_copy(update=dict.fromkeys(("field_of_view_mm", "pixel_mm", "slice_spacing_mm")))
    (row,) = (row for row in population_rows(rich, silent, EN) if row.point == "Size and resolution")
    assert (row.covered, row.inside) == ("not given", None)


def test_what_is_not_known_cannot_be_told(abstained: Result) -> None:
    bare = abstained.model_copy(
        update={"subject": abstained.subject.model_copy(update={"sex": None, "claimed_age_years": None})}
    )
    found = inside(bare)
    assert (found["Sex"], found["Age"], found["Likeness to the training images"]) == (None, None, None)


def test_without_a_bundle_there_is_no_comparison(abstained: Result) -> None:
    assert population_rows(abstained.model_copy(update={"bundle": None}), None, EN) == []


def test_without_a_manifest_people_and_likeness_are_left(rich: Result) -> None:
    assert len(population_rows(rich, None, EN)) == 2
