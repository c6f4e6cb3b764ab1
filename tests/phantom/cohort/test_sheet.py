"""The contact sheet: the right slices at one scale, labels in their colours, a PNG that opens."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from kneeage.core.anatomy import LABEL_COLOURS, Label, Plane, Sex
from kneeage.core.volume import Volume
from kneeage.phantom.cohort import sheet
from kneeage.phantom.cohort.sheet import Row, Tile
from kneeage.phantom.cohort.subject import HOSPITAL_A, HOSPITAL_B, Hospital, Imaging

WIDTH, HEIGHT = sheet._TILE
PERSON = sheet.Person(3, 14.5, Sex.MALE, HOSPITAL_A)


def _tile(caption: str = "14 y", label: Label | None = None) -> Tile:
    """A grey tile, with a square of one label in it."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    if label is not None:
        labels[50:90, 50:90] = label
    return Tile(caption, np.full((HEIGHT, WIDTH), 120, np.uint8), labels if label is not None else None)


def _picture(*rows: Row) -> Image.Image:
    """The sheet of some rows as it is read back."""
    return Image.open(BytesIO(sheet._png(sheet._drawn(rows)))).convert("RGB")


def _place(picture: Image.Image, row: int, column: int) -> tuple[int, int, int]:
    """Colour of a pixel of the only tile."""
    left, top = sheet._GAP, sheet._HEADER_HEIGHT + sheet._HEADING_HEIGHT
    found = picture.getpixel((left + column, top + row))
    assert isinstance(found, tuple)
    return (int(found[0]), int(found[1]), int(found[2]))


def test_a_tile_is_shown_in_grey() -> None:
    assert _place(_picture(Row("Coronal", (_tile(),))), 100, 100) == pytest.approx((120,) * 3, abs=3)


def test_plates_are_filled_in_their_colour() -> None:
    plate = Label.DISTAL_FEMUR_PHYSIS
    assert _place(_picture(Row("Labels", (_tile(label=plate),))), 70, 70) == LABEL_COLOURS[plate]


def test_bones_are_outlined() -> None:
    picture = _picture(Row("Labels", (_tile(label=Label.PATELLA),)))
    assert _place(picture, 50, 70) == LABEL_COLOURS[Label.PATELLA]
    assert _place(picture, 70, 70) == pytest.approx((120,) * 3, abs=3)


def test_rows_without_captions_are_lower() -> None:
    heights = [_picture(Row("", (_tile(caption),))).height for caption in ("", "14 y")]
    assert heights[1] - heights[0] == sheet._CAPTION_HEIGHT


@pytest.mark.parametrize(("plane", "places"), [(Plane.CORONAL, (20.0, -10.0, -40.0)), (Plane.SAGITTAL, (20.0, 0.0))])
def test_slices_lie_where_they_should(plane: Plane, places: tuple[float, ...]) -> None:
    shown = sheet._slices(PERSON, Imaging(plane, planes_per_slice=1), places)
    assert len(shown) == len(places)
    assert all(grey.shape == labels.shape == (HEIGHT, WIDTH) for grey, labels in shown)
    assert (shown[1][1] == Label.DISTAL_FEMUR_EPIPHYSIS).any()


def test_the_same_person_gives_the_same_slice() -> None:
    first, second = (sheet._slices(PERSON, Imaging(planes_per_slice=1)) for _ in range(2))
    np.testing.assert_array_equal(first[0][0], second[0][0])


def test_rows_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = [lambda: [Row("Coronal", (_tile(),))]] * 2
    monkeypatch.setattr(sheet, "_plans", lambda _seed: plan)
    told: list[tuple[int, int]] = []
    png = sheet.contact_sheet(tell=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    assert Image.open(BytesIO(png)).mode == "P"


def test_every_plan_is_a_part_of_the_sheet() -> None:
    assert len(sheet._plans(0)) == 9


def test_a_3d_series_says_so_and_is_shown_at_the_same_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Imaging] = []

    def shown(_person: sheet.Person, imaging: Imaging) -> list[tuple[np.ndarray, np.ndarray]]:
        asked.append(imaging)
        return [(np.zeros((HEIGHT, WIDTH), np.uint8),) * 2]

    monkeypatch.setattr(sheet, "_slices", shown)
    (row,) = sheet._ages(Imaging(volumetric=True), (14,), 0, Sex.MALE, HOSPITAL_A)
    assert row.heading == "Coronal T1, 3D, hospital A, male"
    assert asked == [Imaging(volumetric=True)]


@pytest.mark.parametrize("hospital", [HOSPITAL_A, HOSPITAL_B])
def test_no_tile_is_larger_than_a_field_of_view(hospital: Hospital) -> None:
    smallest = min(layout.field_of_view_mm[0] for layout in (hospital.coronal, hospital.sagittal, hospital.volumetric))
    assert max(sheet._TILE) * sheet._TILE_PIXEL_MM <= smallest


@pytest.mark.parametrize("spacing_mm", [0.2, 0.6])
def test_a_cut_keeps_the_scale_whatever_the_pixels(spacing_mm: float) -> None:
    count = round(150 / spacing_mm)
    away = (np.arange(count) - (count - 1) / 2) * spacing_mm
    square = (np.abs(away)[:, None] < 20) & (np.abs(away) < 30)
    volume = Volume(square.astype(np.float32)[None, :, :, None], np.diag([spacing_mm, spacing_mm, 3.0, 1.0]))
    cut = sheet._cut(volume, 0, 1)
    assert cut.sum() * sheet._TILE_PIXEL_MM**2 == pytest.approx(40 * 60, rel=0.03)
    assert (cut[HEIGHT // 2] > 0.5).sum() * sheet._TILE_PIXEL_MM == pytest.approx(40, abs=1)


def test_fine_noise_is_smoothed_where_the_sheet_is_coarser() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (1, 700, 700, 1)).astype(np.float32)
    fine = sheet._cut(Volume(noise, np.diag([0.2, 0.2, 3.0, 1.0])), 0, 1)
    assert fine.std() < 0.5
