"""The shown slices: the right ones, the right way round, with the right size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kneeage.core.anatomy import LABEL_COLOURS, Label, Plane
from kneeage.core.volume import Volume
from kneeage.report.panels import PANEL_WIDTH, Panel, _dashes, chosen_slices, panels

ORIENTATIONS = ["LIP", "RAS", "LPS", "PIL", "SLA", "IRA"]


def test_slices_are_chosen_over_both_sites(labels: Volume) -> None:
    assert chosen_slices(labels.array[0]) == [3, 6, 8]


def test_a_single_slice_is_enough(labels: Volume) -> None:
    assert chosen_slices(labels.array[0][:, :, 5:6]) == [0]


def test_without_bones_slices_are_spread_over_all() -> None:
    assert chosen_slices(np.zeros((8, 8, 12), np.uint8)) == [2, 6, 10]


def test_one_site_alone_is_shown(labels: Volume) -> None:
    femur = np.where(labels.array[0] == Label.PROXIMAL_TIBIA_EPIPHYSIS, 0, labels.array[0])
    assert chosen_slices(femur) == [3, 6, 8]


def test_an_open_plate_is_never_hidden_between_the_slices(labels: Volume) -> None:
    closed = np.where(np.isin(labels.array[0], (1, 2)), Label.DISTAL_FEMUR_EPIPHYSIS, labels.array[0])
    rows, columns = np.nonzero(closed[:, :, 7] == Label.DISTAL_FEMUR_EPIPHYSIS)
    closed[rows[:4], columns[:4], 7] = Label.DISTAL_FEMUR_PHYSIS
    assert chosen_slices(closed) == [3, 7, 8]


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_every_orientation_gives_the_same_picture(image: Volume, labels: Volume, codes: str) -> None:
    expected = panels(image, labels, Plane.CORONAL)[1]
    found = panels(image.reoriented(codes), labels.reoriented(codes), Plane.CORONAL)[1]
    np.testing.assert_array_equal(found.drawn, expected.drawn)
    assert (found.left, found.right) == ("R", "L")


@pytest.mark.parametrize(("codes", "number"), [("LIP", 4), ("LIA", 9)])
def test_the_slice_number_counts_as_in_the_source(image: Volume, labels: Volume, codes: str, number: int) -> None:
    assert panels(image.reoriented(codes), labels.reoriented(codes), Plane.CORONAL)[0].number == number


def test_sagittal_slices_are_marked_front_and_back(image: Volume, labels: Volume) -> None:
    panel = panels(image, labels, Plane.SAGITTAL)[0]
    assert (panel.left, panel.right) == ("A", "P")


def test_pixels_are_square() -> None:
    affine = np.array([[-1, 0, 0, 0], [0, 0, -4, 0], [0, -2, 0, 0], [0, 0, 0, 1]], float)
    empty = Volume(np.zeros((1, 50, 50, 3), np.float32), affine)
    panel = panels(empty, Volume(empty.array.astype(np.uint8), affine), Plane.CORONAL)[0]
    assert panel.plain.shape == (2 * PANEL_WIDTH, PANEL_WIDTH)
    assert panel.pixel_mm == pytest.approx(50 / PANEL_WIDTH)


def test_outlines_lie_around_the_plate_and_leave_it_free(image: Volume, labels: Volume) -> None:
    panel = panels(image, labels, Plane.CORONAL)[1]
    colour = np.array(LABEL_COLOURS[Label.DISTAL_FEMUR_PHYSIS])
    drawn = (np.abs(panel.drawn.astype(int) - colour) < 8).all(axis=2)
    rows = np.flatnonzero(drawn[:, : PANEL_WIDTH // 2].any(axis=1))
    middle = (rows[0] + rows[-1]) // 2
    assert drawn.any()
    assert (rows[-1] - rows[0]) * panel.pixel_mm == pytest.approx(3 * 0.8 + 2 * 3 * panel.pixel_mm, abs=2.5)
    assert not drawn[middle, 150:180].any()


def around(labels: Volume, box: tuple[slice, slice], label: Label) -> Panel:
    """A white slice, black far to the left, with one label as a box of columns and rows."""
    one = np.zeros_like(labels.array)
    one[0][box] = label
    white = np.ones(one.shape, np.float32)
    white[0, 31:34] = 0
    return panels(labels.with_array(white), labels.with_array(one), Plane.CORONAL)[1]


BAR = (slice(40, 120), slice(90, 94))


@pytest.mark.parametrize(
    ("label", "is_edged", "share"),
    [
        (Label.DISTAL_FEMUR_PHYSIS, True, (0.9, 1.0)),
        (Label.PROXIMAL_TIBIA_PHYSIS, True, (0.9, 1.0)),
        (Label.DISTAL_FEMUR_PHYSEAL_SCAR, True, (0.35, 0.65)),
        (Label.PROXIMAL_TIBIA_PHYSEAL_SCAR, True, (0.35, 0.65)),
        (Label.DISTAL_FEMUR_METAPHYSIS, False, (0.35, 0.65)),
        (Label.PROXIMAL_FIBULA, False, (0.35, 0.65)),
    ],
)
def test_outlines_are_told_apart_without_colour(
    labels: Volume, label: Label, is_edged: bool, share: tuple[float, float]
) -> None:
    drawn = around(labels, BAR, label).drawn
    assert drawn is not None
    grey = drawn.mean(axis=2)[:, drawn.shape[1] * 2 // 5 : drawn.shape[1] * 3 // 5]
    outline = np.flatnonzero((grey < 215).any(axis=1))
    upper = grey[: (outline[0] + outline[-1]) // 2]
    assert (upper < 10).any() == is_edged
    assert share[0] <= (upper < 215).mean(axis=1).max() <= share[1]


@pytest.mark.parametrize("turn", [1, -1])
def test_a_slanting_outline_is_dashed_too(turn: int) -> None:
    rows, columns = np.indices((160, 160))
    slanting = np.abs(rows - columns[:, ::turn]) < 40
    wide = Image.fromarray(slanting.astype(np.uint8) * 255)
    dashes = np.asarray(_dashes(wide, 8))[:, ::turn] > 0
    along = np.array([dashes[n + 40, n] for n in range(20, 100)])
    assert 0.4 < along.mean() < 0.6
    assert np.count_nonzero(np.diff(along)) > 10


def test_values_that_are_not_finite_do_not_spoil_the_window(image: Volume, labels: Volume) -> None:
    spoilt = image.array.copy()
    spoilt[0, 0, 0, 0] = np.nan
    panel = panels(Volume(spoilt, image.affine), labels, Plane.CORONAL)[1]
    assert panel.plain.max() == 255
