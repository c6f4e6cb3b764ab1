"""True labels pass; each defect put in by hand is found, with its slice and its label."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.cohort.label_checks import (
    FindingKind,
    LabelFinding,
    Severity,
    check_labels,
)
from kneeage.cohort.label_findings import slice_words
from kneeage.cohort.label_maps import is_empty, label_values, on_grid
from kneeage.core.errors import GeometryError
from kneeage.core.volume import Volume
from tests.cohort.drawn import redrawn, subject

PLATES = (1, 2, 9, 10)
BONES = (3, 4, 5, 6, 7, 8, 11)


@pytest.fixture
def truth() -> Volume:
    return subject().labels


def errors(labels: Volume, image: Volume | None = None) -> list[LabelFinding]:
    return [finding for finding in check_labels(labels, image) if finding.is_error]


def the_error(labels: Volume, image: Volume | None = None) -> LabelFinding:
    (only,) = errors(labels, image)
    return only


def painted(labels: Volume, box: tuple[slice, slice, slice], value: int) -> Volume:
    array = np.array(labels.array)
    array[0][box] = value
    return labels.with_array(array)


def middle(labels: Volume, value: int, k: int) -> tuple[int, int]:
    """Column and row in the middle of a label in a slice (from 0)."""
    column, row = np.argwhere(labels.array[0, ..., k] == value).mean(axis=0).round().astype(int)
    return int(column), int(row)


@pytest.mark.parametrize("age_years", [11.0, 13.5, 19.0])
def test_true_labels_pass(age_years: float) -> None:
    knee = subject(age_years)
    assert errors(knee.labels, knee.volume) == []


@pytest.mark.parametrize("age_years", [13.5, 19.0])
def test_the_paper_s_own_two_labels_pass(age_years: float) -> None:
    knee = subject(age_years)
    plates = redrawn(redrawn(redrawn(knee.labels, *BONES), 9, to=1), 10, to=2)
    assert check_labels(plates, knee.volume) == []
    assert check_labels(redrawn(knee.labels, *BONES), knee.volume) == []


def test_the_side_of_the_body_makes_no_difference(truth: Volume) -> None:
    mirrored = Volume(truth.array, np.diag([-1.0, 1, 1, 1]) @ truth.affine)
    assert errors(mirrored) == []


def test_any_order_of_the_axes_is_taken(truth: Volume) -> None:
    turned = truth.reoriented("SAR")
    assert errors(turned, subject().volume) == []
    assert the_error(redrawn(turned.reoriented("LIP"), *range(1, 12), slices=(6,)).reoriented("SPR")).slices == (6,)
    np.testing.assert_array_equal(on_grid(turned, subject().volume).array, truth.array)


def test_four_channels_are_named(truth: Volume) -> None:
    labels = Volume(np.repeat(truth.array, 4, axis=0), truth.affine)
    assert the_error(labels).kind is FindingKind.CHANNELS


def test_another_shape_is_named(truth: Volume) -> None:
    finding = the_error(Volume(truth.array[:, 1:], truth.affine), subject().volume)
    assert finding.kind is FindingKind.OTHER_GRID
    assert "(95, 96, 12) voxels and the image (96, 96, 12)" in finding.words


def test_another_place_is_named(truth: Volume) -> None:
    affine = np.array(truth.affine)
    affine[2, 3] += 0.04
    assert errors(Volume(truth.array, affine), subject().volume) == []
    affine[2, 3] += 0.04
    finding = the_error(Volume(truth.array, affine), subject().volume)
    assert finding.kind is FindingKind.OTHER_GRID
    assert "0.08 mm beside the image (tolerance 0.05 mm)" in finding.words
    with pytest.raises(GeometryError, match="tolerance"):
        on_grid(Volume(truth.array, affine), subject().volume)


def test_unknown_values_are_named_with_their_slices(truth: Volume) -> None:
    labels = redrawn(redrawn(truth, 1, slices=(5,), to=12), 2, slices=(6, 7), to=200)
    first, second = errors(labels)
    assert (first.kind, first.slices) == (FindingKind.UNKNOWN_VALUE, (5,))
    assert "the value 12 is none of the permanent labels 0 to 11" in first.words
    assert (second.words[:13], second.slices) == ("the value 200", (6, 7))


def test_values_that_are_not_whole_are_named(truth: Volume) -> None:
    array = truth.array.astype(np.float32)
    assert errors(truth.with_array(array + np.float32(1e-6))) == []
    np.testing.assert_array_equal(label_values(truth.with_array(array + np.float32(1e-6))).array, truth.array)
    array[0, 3, 4, 2], array[0, 3, 4, 8] = 0.5, np.nan
    finding = the_error(truth.with_array(array))
    assert (finding.kind, finding.slices) == (FindingKind.NOT_WHOLE, (3, 9))
    assert "2 voxels hold no whole number" in finding.words


def test_a_misfit_names_unknown_values_too(truth: Volume) -> None:
    labels = Volume(redrawn(truth, 1, to=99).array[:, 1:], truth.affine)
    assert {each.kind for each in errors(labels, subject().volume)} == {
        FindingKind.OTHER_GRID,
        FindingKind.UNKNOWN_VALUE,
    }


def test_nothing_labelled_is_named(truth: Volume) -> None:
    empty = redrawn(truth, *range(1, 12))
    assert is_empty(empty)
    assert the_error(empty).kind is FindingKind.EMPTY


def test_a_forgotten_slice_is_named(truth: Volume) -> None:
    finding = the_error(redrawn(truth, *range(1, 12), slices=(6,)))
    assert (finding.kind, finding.slices, finding.label) == (FindingKind.EMPTY_SLICE, (6,), None)


def test_slices_at_the_ends_may_be_empty(truth: Volume) -> None:
    assert errors(redrawn(truth, *range(1, 12), slices=(1, 2, 11, 12))) == []


def test_a_patella_in_front_of_an_empty_slice_is_right(truth: Volume) -> None:
    first = int(np.flatnonzero(np.isin(truth.array[0], PLATES + BONES[:4]).any(axis=(0, 1)))[0])
    front = redrawn(truth, *range(1, 12), slices=tuple(range(1, first + 3)))
    assert errors(painted(front, (slice(40, 50), slice(40, 50), slice(0, first)), 8)) == []


@pytest.mark.parametrize(("bone", "name"), [((1, 3, 4, 9), "distal_femur"), ((2, 5, 6, 10, 11), "proximal_tibia")])
def test_a_bone_forgotten_in_a_slice_is_named(truth: Volume, bone: tuple[int, ...], name: str) -> None:
    finding = the_error(redrawn(truth, *bone, slices=(6,)))
    assert (finding.kind, finding.slices, finding.label) == (FindingKind.MISSING_IN_SLICE, (6,), name)


def test_an_open_plate_forgotten_in_slices_is_named(truth: Volume) -> None:
    finding = the_error(redrawn(truth, 1, 9, slices=(5, 6)))
    assert (finding.kind, finding.slices, finding.label) == (
        FindingKind.MISSING_IN_SLICE,
        (5, 6),
        "distal_femur_physis",
    )


def test_a_scar_missing_in_a_slice_is_a_warning() -> None:
    labels = redrawn(subject(19.0).labels, 10, slices=(6,))
    assert errors(labels) == []
    found = [each for each in check_labels(labels) if each.kind is FindingKind.MISSING_IN_SLICE]
    assert [(each.severity, each.slices, each.label) for each in found] == [
        (Severity.WARNING, (6,), "proximal_tibia_physis")
    ]


def test_an_island_is_named(truth: Volume) -> None:
    finding = the_error(painted(truth, (slice(1, 3), slice(1, 3), slice(6, 7)), 4))
    assert (finding.kind, finding.slices, finding.label) == (FindingKind.ISLAND, (7,), "distal_femur_metaphysis")
    voxels = 4 * abs(np.linalg.det(truth.affine))
    assert f"one island of {voxels:.3g} mm3" in finding.words
    assert "below 100 mm3" in finding.words


def test_a_large_part_apart_is_a_warning(truth: Volume) -> None:
    labels = painted(truth, (slice(1, 9), slice(1, 9), slice(6, 8)), 7)
    assert errors(labels) == []
    (found,) = [each for each in check_labels(labels) if each.label == "proximal_fibula"]
    assert (found.kind, found.slices) == (FindingKind.SEPARATE_PIECE, (7, 8))


def test_a_piece_of_the_other_zone_is_a_warning(truth: Volume) -> None:
    column, row = middle(truth, 4, 6)
    labels = painted(truth, (slice(column, column + 3), slice(row, row + 3), slice(6, 7)), 3)
    assert errors(labels) == []
    found = [each for each in check_labels(labels) if each.label == "distal_femur_epiphysis"]
    assert [(each.kind, each.slices) for each in found] == [(FindingKind.SEPARATE_PIECE, (7,))]


def test_an_island_far_from_a_plate_without_bones_is_named(truth: Volume) -> None:
    finding = the_error(painted(redrawn(truth, *BONES), (slice(1, 3), slice(1, 2), slice(6, 7)), 1))
    assert (finding.kind, finding.slices, finding.label) == (FindingKind.ISLAND, (7,), "distal_femur_physis")


def test_a_femoral_plate_below_the_joint_is_named(truth: Volume) -> None:
    first, second = errors(redrawn(truth, 2, 10, slices=(6, 7), to=1))
    assert (first.kind, first.label) == (FindingKind.MISSING_IN_SLICE, "proximal_tibia_physis")
    assert (second.kind, second.label) == (FindingKind.WRONG_SIDE, "distal_femur_physis")
    assert first.slices == second.slices == (6, 7)
    assert "below the joint" in second.words


def test_a_tibial_plate_above_the_joint_is_named_without_bones(truth: Volume) -> None:
    first, second = errors(redrawn(redrawn(truth, *BONES), 1, 9, slices=(6,), to=2))
    assert (first.kind, first.label) == (FindingKind.MISSING_IN_SLICE, "distal_femur_physis")
    assert (second.kind, second.label) == (FindingKind.WRONG_SIDE, "proximal_tibia_physis")
    assert first.slices == second.slices == (6,)


def test_a_plate_at_the_other_bone_is_named(truth: Volume) -> None:
    column, row = middle(truth, 3, 6)
    labels = painted(truth, (slice(column, column + 2), slice(row, row + 2), slice(6, 7)), 5)
    labels = painted(labels, (slice(column + 2, column + 3), slice(row, row + 1), slice(6, 7)), 1)
    found = [each for each in errors(labels) if each.kind is FindingKind.OTHER_BONE]
    assert [(each.slices, each.label) for each in found] == [((7,), "distal_femur_physis")]


def test_a_plate_away_from_its_bone_is_named(truth: Volume) -> None:
    finding = the_error(painted(truth, (slice(1, 4), slice(1, 2), slice(6, 7)), 9))
    assert (finding.kind, finding.slices, finding.label) == (
        FindingKind.AWAY_FROM_BONE,
        (7,),
        "distal_femur_physis",
    )


def swapped(labels: Volume, slices: tuple[int, ...] = ()) -> Volume:
    """Femur and tibia in each other's place."""
    moved = labels
    for own, other in ((1, 2), (3, 5), (4, 6), (9, 10)):
        moved = redrawn(moved, own, slices=slices, to=100)
        moved = redrawn(moved, other, slices=slices, to=own)
        moved = redrawn(moved, 100, slices=slices, to=other)
    return moved


def test_femur_and_tibia_swapped_are_named(truth: Volume) -> None:
    assert FindingKind.UPSIDE_DOWN in {each.kind for each in errors(swapped(truth))}
    finding = errors(swapped(redrawn(truth, *BONES)))[0]
    assert (finding.kind, finding.slices) == (FindingKind.UPSIDE_DOWN, ())


def test_femur_and_tibia_swapped_in_a_slice_are_named(truth: Volume) -> None:
    found = [each for each in errors(swapped(truth, (6,))) if each.kind is FindingKind.UPSIDE_DOWN]
    assert [each.slices for each in found] == [(6,)]


def test_an_axial_stack_is_not_judged_slice_by_slice(truth: Volume) -> None:
    axial = Volume(truth.array, truth.affine @ np.diag([1, 8.0, 1, 1]))
    assert FindingKind.UPSIDE_DOWN not in {each.kind for each in errors(axial)}


def test_one_slice_is_checked(truth: Volume) -> None:
    one = Volume(truth.array[..., 5:6], truth.affine)
    assert errors(one) == []
    assert the_error(redrawn(one, 2, to=77)).slices == (1,)


def test_errors_come_first_and_are_named_in_words(truth: Volume) -> None:
    labels = redrawn(painted(truth, (slice(1, 9), slice(1, 9), slice(6, 8)), 7), 1, 9, slices=(5,))
    severities = [each.severity for each in check_labels(labels)]
    assert severities == sorted(severities, key=[Severity.ERROR, Severity.WARNING].index)
    assert Severity.WARNING in severities
    finding = LabelFinding(FindingKind.ISLAND, Severity.ERROR, "one island", "patella", (3, 5, 6), "v1")
    assert str(finding) == "v1, slices 3, 5-6, patella: one island"
    assert str(LabelFinding(FindingKind.EMPTY, Severity.ERROR, "nothing")) == "nothing"


def test_slices_are_written_in_runs() -> None:
    assert [slice_words(each) for each in ((), (4,), (1, 2, 3, 7))] == ["", "slice 4", "slices 1-3, 7"]
