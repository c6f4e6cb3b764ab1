"""The contact sheet: one picture of many virtual knees, all at the same scale.

Pillow draws it, as it draws the report's pictures. Every subject follows from its seed, but that its age, sex and
hospital are chosen and its height and weight are average; only the slices that are shown are scanned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from kneeage.core.anatomy import LABEL_COLOURS, PLATE_SITES, Label, Plane, Sex, Side
from kneeage.core.volume import Volume
from kneeage.phantom.anatomy.knee import Anatomy, Knee
from kneeage.phantom.cohort.subject import HOSPITAL_A, HOSPITAL_B, Hospital, Imaging, Purpose, plan_series, scan, stream
from kneeage.phantom.growth.law import draw_latents
from kneeage.phantom.scanner.sequence import Weighting
from kneeage.report.fonts import font_for

ByteArray = NDArray[np.uint8]
Told = Callable[[int, int], None]

COLUMNS = 6
# Width and height of a tile in pixels and what a pixel of it shows: together no more than the smallest field of view.
_TILE = (240, 240)
_TILE_PIXEL_MM = 0.5
_GAP = 6
_HEADER_HEIGHT = 64
_HEADING_HEIGHT = 30
_CAPTION_HEIGHT = 20
# Where the slices are cut, in knee coordinates (see ``kneeage.phantom.anatomy.knee``): the middle of all pictures, the
# depth of a single coronal slice (through the notch) and the place of a single sagittal one (through a condyle).
_MIDDLE_MM = (0.0, -9.0, 4.0)
_CORONAL_MM = -14.0
_SAGITTAL_MM = 20.0
# Distance of the slices in the rows that go through a whole knee, and the place of the first one.
_CORONAL_STEP_MM, _CORONAL_FIRST_MM = -15.0, 26.0
_SAGITTAL_STEP_MM, _SAGITTAL_FIRST_MM = -14.0, 35.0
_WHITE_PERCENTILE = 99.5
# Greys of the picture: few, so that the file stays small. The label colours follow them in the palette.
_GREYS = 48
_INK, _FAINT_INK = 235, 160
_PLATES = (
    *(label for site in PLATE_SITES for label in (site.open_plate, site.scar)),
    Label.TIBIAL_TUBEROSITY_PHYSIS,
)
_CONTRASTS = tuple((weighting, suppressed) for weighting in Weighting for suppressed in (False, True))


@dataclass(frozen=True)
class Person:
    """A virtual person and where the knee is scanned.

    Args:
        seed: What everything else follows from.
        age_years: Chronological age.
        sex: Sex.
        hospital: Protocol family.
    """

    seed: int
    age_years: float
    sex: Sex
    hospital: Hospital


@dataclass(frozen=True, eq=False)
class Tile:
    """One slice on the sheet.

    Args:
        caption: What is written below it.
        grey: Grey values, shape (rows, columns) of the sheet's pixels.
        labels: Label values to draw over it, of the same shape; None for none.
    """

    caption: str
    grey: ByteArray
    labels: ByteArray | None = None


@dataclass(frozen=True)
class Row:
    """A row of tiles with its heading."""

    heading: str
    tiles: tuple[Tile, ...]


def contact_sheet(seed: int = 0, tell: Told = lambda _done, _total: None) -> bytes:
    """Draw the contact sheet of the virtual cohort.

    Args:
        seed: Seed of the first subject; the others follow it.
        tell: What is told how many rows are done, and how many there are.

    Returns:
        The bytes of a PNG file with a palette.
    """
    plans = _plans(seed)
    rows = []
    for done, plan in enumerate(plans, 1):
        rows.extend(plan())
        tell(done, len(plans))
    return _png(_drawn(rows))


def _plans(seed: int) -> list[Callable[[], list[Row]]]:
    """What is shown, row by row, as work still to be done."""
    young, half_closed = (Person(seed + n, age, Sex.MALE, HOSPITAL_A) for n, age in ((40, 14.5), (41, 16.5)))
    thin_slices = Imaging(volumetric=True)
    return [
        lambda: _ages(Imaging(), (8, 10, 12, 13, 14, 15), seed, Sex.MALE, HOSPITAL_A),
        lambda: _ages(Imaging(), (16, 17, 18, 19, 21, 25), seed + 6, Sex.MALE, HOSPITAL_A),
        lambda: _ages(Imaging(), (8, 11, 13, 15, 17, 25), seed + 12, Sex.FEMALE, HOSPITAL_B),
        lambda: _through(young, Plane.CORONAL),
        lambda: _ages(Imaging(Plane.SAGITTAL), (8, 12, 14, 16, 18, 25), seed + 18, Sex.MALE, HOSPITAL_A),
        lambda: _through(half_closed, Plane.SAGITTAL),
        lambda: _ages(thin_slices, (10, 12, 14, 15, 16, 18), seed + 44, Sex.MALE, HOSPITAL_A),
        lambda: _contrasts(Plane.CORONAL, Person(seed + 42, 15.5, Sex.FEMALE, HOSPITAL_A)),
        lambda: _contrasts(Plane.SAGITTAL, Person(seed + 43, 15.5, Sex.MALE, HOSPITAL_B)),
    ]


def _ages(imaging: Imaging, ages_years: Sequence[int], seed: int, sex: Sex, hospital: Hospital) -> list[Row]:
    """One slice each of persons of rising age."""
    people = [Person(seed + n, age + 0.5, sex, hospital) for n, age in enumerate(ages_years)]
    tiles = tuple(Tile(f"{person.age_years:g} y", *_slices(person, imaging)[0]) for person in people)
    series = f"{_named(imaging.plane)} T1{', 3D' if imaging.volumetric else ''}"
    return [Row(f"{series}, hospital {hospital.name}, {sex.value}", _without_labels(tiles))]


def _through(person: Person, plane: Plane) -> list[Row]:
    """Slices through one knee, then the same with their true labels."""
    first, step = (
        (_CORONAL_FIRST_MM, _CORONAL_STEP_MM) if plane is Plane.CORONAL else (_SAGITTAL_FIRST_MM, _SAGITTAL_STEP_MM)
    )
    places = [first + n * step for n in range(COLUMNS)]
    tiles = tuple(Tile("", *shown) for shown in _slices(person, Imaging(plane), places))
    way = "from front to back" if plane is Plane.CORONAL else "from lateral to medial"
    heading = f"{_named(plane)} T1, hospital {person.hospital.name}, {person.sex.value}, {person.age_years:g} y, {way}"
    return [Row(heading, _without_labels(tiles)), Row("The same with the true labels", tiles)]


def _contrasts(plane: Plane, person: Person) -> list[Row]:
    """One slice of one person with every sequence."""
    tiles = tuple(
        Tile(f"{weighting}, fat suppressed" if suppressed else weighting, *_slices(person, imaging)[0])
        for weighting, suppressed in _CONTRASTS
        for imaging in (Imaging(plane, weighting, suppressed),)
    )
    field = f"{person.hospital.field_strength_tesla:g} T"
    who = f"hospital {person.hospital.name} ({field}), {person.sex.value}, {person.age_years:g} y"
    return [Row(f"{_named(plane)}, {who}", _without_labels(tiles))]


def _named(plane: Plane) -> str:
    """Name of a plane at the beginning of a line."""
    return plane.value.capitalize()


def _without_labels(tiles: tuple[Tile, ...]) -> tuple[Tile, ...]:
    """The same tiles with nothing drawn over them."""
    return tuple(replace(tile, labels=None) for tile in tiles)


def _slices(person: Person, imaging: Imaging, places_mm: Sequence[float] = ()) -> list[tuple[ByteArray, ByteArray]]:
    """Scan evenly spaced slices of a right knee (by default the one of its plane) and cut them to the tile.

    Args:
        person: Whose knee.
        imaging: What kind of series.
        places_mm: Depth (coronal) or lateral place (sagittal) of each slice, falling and evenly spaced.

    Returns:
        Grey values and labels of each slice.
    """
    axis, single = (1, _CORONAL_MM) if imaging.plane is Plane.CORONAL else (0, _SAGITTAL_MM)
    places = list(places_mm) or [single]
    centre = np.array(_MIDDLE_MM)
    centre[axis] = np.mean(places)
    protocol = plan_series(person.seed, person.hospital, imaging)
    step = next((a - b for a, b in pairwise(places)), protocol.spacing_mm)
    protocol = replace(protocol, slices=len(places), spacing_mm=step, centre=centre)
    image, labels = scan(_knee(person), protocol, person.seed, Side.RIGHT)
    return [(_windowed(_cut(image, k, 1)), _cut(labels, k, 0).astype(np.uint8)) for k in range(len(places))]


def _knee(person: Person) -> Knee:
    """The person's knee, of average height and weight for age and sex."""
    latents = draw_latents(person.age_years, person.sex, stream(person.seed, Purpose.GROWTH))
    return Knee(Anatomy.draw(stream(person.seed, Purpose.ANATOMY)), latents)


def _cut(volume: Volume, k: int, order: int) -> NDArray[np.float32]:
    """One slice at the sheet's scale about its middle, shape (rows, columns) of a tile.

    Where the sheet is coarser than the slice, grey values (order above 0) are smoothed first.
    """
    pixels = volume.array[0, :, :, k].T.astype(np.float32)
    across, down = volume.spacing[:2]
    if order:
        pixels = ndimage.gaussian_filter(pixels, [max(_TILE_PIXEL_MM / step - 1, 0) / 2 for step in (down, across)])
    width, height = _TILE
    rows = (np.arange(height) - (height - 1) / 2) * _TILE_PIXEL_MM / down + (pixels.shape[0] - 1) / 2
    columns = (np.arange(width) - (width - 1) / 2) * _TILE_PIXEL_MM / across + (pixels.shape[1] - 1) / 2
    places = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(ndimage.map_coordinates(pixels, places, order=order, mode="constant"), np.float32)


def _windowed(pixels: NDArray[np.float32]) -> ByteArray:
    """Grey values as they are shown."""
    white = max(float(np.percentile(pixels, _WHITE_PERCENTILE)), 1.0)
    return np.asarray(255 * np.clip(pixels / white, 0, 1), np.uint8)


def _drawn(rows: Sequence[Row]) -> ByteArray:
    """Put rows of tiles and all words on one sheet of palette indices."""
    width, height = _TILE
    tops = _tops(rows)
    sheet = Image.new("L", (COLUMNS * (width + _GAP) + _GAP, tops[-1]))
    pen = ImageDraw.Draw(sheet)
    _write(pen, (_GAP, 10), "The virtual cohort", 24)
    _write(pen, (_GAP, 40), "Every picture is computed; nobody was scanned. Right knees, one scale.", 15, _FAINT_INK)
    for row, top in zip(rows, tops, strict=False):
        _write(pen, (_GAP, top + 8), row.heading, 16)
        for tile, (left, upper) in _placed(row, top):
            sheet.paste(Image.fromarray(tile.grey), (left, upper))
            _write(pen, (left, upper + height + 2), tile.caption, 14, _FAINT_INK)
    indices = (np.asarray(sheet, np.float32) * ((_GREYS - 1) / 255)).round().astype(np.uint8)
    for row, top in zip(rows, tops, strict=False):
        for tile, (left, upper) in _placed(row, top):
            _lay_labels(indices[upper : upper + height, left : left + width], tile)
    return indices


def _tops(rows: Sequence[Row]) -> list[int]:
    """Where each row begins, and where the sheet ends."""
    heights = [_HEADING_HEIGHT + _TILE[1] + _GAP + _CAPTION_HEIGHT * any(t.caption for t in row.tiles) for row in rows]
    return [_HEADER_HEIGHT, *(_HEADER_HEIGHT + np.cumsum(heights)).tolist()]


def _placed(row: Row, top: int) -> Iterator[tuple[Tile, tuple[int, int]]]:
    """The tiles of a row with their upper left corners."""
    for column, tile in enumerate(row.tiles):
        yield tile, (_GAP + column * (_TILE[0] + _GAP), top + _HEADING_HEIGHT)


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], words: str, size: int, ink: int = _INK) -> None:
    """Write at a place."""
    pen.text(place, words, fill=ink, font=font_for("en", size))


def _lay_labels(indices: ByteArray, tile: Tile) -> None:
    """Fill plates and outline everything else in the label's colour, in place."""
    if tile.labels is None:
        return
    rim = ndimage.minimum_filter(tile.labels, 3) != ndimage.maximum_filter(tile.labels, 3)
    shown = np.isin(tile.labels, _PLATES) | (rim & (tile.labels != Label.BACKGROUND))
    indices[shown] = _GREYS + tile.labels[shown]


def _png(indices: ByteArray) -> bytes:
    """Write palette indices as PNG: greys first, then the colours of the labels."""
    picture = Image.fromarray(indices, "P")
    greys = [(round(255 * n / (_GREYS - 1)),) * 3 for n in range(_GREYS)]
    colours = [LABEL_COLOURS[label] for label in Label]
    picture.putpalette([value for colour in (*greys, *colours) for value in colour])
    buffer = BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
