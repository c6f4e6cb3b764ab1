"""The reference knees of the bundle that ships: of each sex and completed year a typical knee, painted for its picture.

Growth of many subjects of each group is drawn, which costs next to nothing, and the one nearest to their medians is
painted. No cohort holds them and no network sees them. All are right knees without findings, scanned T1-weighted in
hospital A on one grid, without artefacts and with the coil's shading evened out; shape, texture and contrast differ as
between examinations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kneeage.core.anatomy import PLATE_SITES, Label, Plane, Sex, Side
from kneeage.core.volume import Volume
from kneeage.core.workers import on_cores
from kneeage.infer.region import SitesSeen, find_sites
from kneeage.io.output import whole_file
from kneeage.learn.prepared_cohort import Tell
from kneeage.learn.progress import untold
from kneeage.phantom.anatomy.knee import Anatomy
from kneeage.phantom.cohort.body import Percentiles
from kneeage.phantom.cohort.subject import (
    FORENSIC_AGES_YEARS,
    HOSPITAL_A,
    Purpose,
    VirtualSubject,
    stream,
    virtual_subject,
)
from kneeage.phantom.growth.latents import KneeLatents, PlateLatents
from kneeage.phantom.growth.law import draw_latents
from kneeage.phantom.scanner.protocol import Layout
from kneeage.prepare.orient import canonical_orientation
from kneeage.report.reference import ReferenceKnee, packed

REFERENCE_KNEES_FILE = "reference_knees.npz"
# First seed, and seeds of each group: far from those of every cohort of a bundle (`kneeage.learn.virtual_bundle`).
_FIRST_SEED, _GROUP_SEEDS = 41_000_000, 1_000
# Subjects whose growth is drawn for each group. Source: ours; the SD of a median is then 12 % of that of the subjects.
CANDIDATES = 101
# Hospital A's most frequent matrix and the usual slices of a 2D knee. Source: ours.
_PIXELS, _PIXEL_MM = 320, 0.5
_SERIES = Layout((_PIXELS * _PIXEL_MM, _PIXELS * _PIXEL_MM), (_PIXELS,), (18, 40), (3.3, 3.3), (0.9, 0.9))
_CLEAN_HOSPITAL = replace(
    HOSPITAL_A,
    quality=replace(HOSPITAL_A.quality, noise=(0.006, 0.01), normalised=(1.0, 1.0), artefacts=0.0),
    coronal=_SERIES,
    obliquity_rad=(0.0, 0.0, 0.0),
)
# Width and height of a picture: that of the region that the age networks see; and its rows and columns.
PICTURE_MM = 96
PICTURE_SHAPE = (round(PICTURE_MM / _PIXEL_MM), round(PICTURE_MM / _PIXEL_MM))
# Percentile of all pixels that is black, and of the bones' that is white, so that fat never darkens bones; and how many
# grey values are in use: more of them would mostly keep noise, and the file would be larger. Source: ours.
_BLACK_PERCENTILE, _WHITE_PERCENTILE, _GREY_VALUES = 1.0, 99.7, 48


@dataclass(frozen=True)
class Group:
    """Whose typical knee it is.

    Args:
        sex: Sex.
        completed_years: Age in completed years; the knee is half a year older.
    """

    sex: Sex
    completed_years: int

    @property
    def age_years(self) -> float:
        """Age of its knee: the middle of the year."""
        return self.completed_years + 0.5

    @property
    def seeds(self) -> range:
        """Seeds of the subjects whose growth is drawn."""
        block = 100 * list(Sex).index(self.sex) + self.completed_years
        first = _FIRST_SEED + block * _GROUP_SEEDS
        return range(first, first + CANDIDATES)

    def file(self, folder: Path) -> Path:
        """Where its picture is kept."""
        return folder / f"{self.sex.value}_{self.completed_years:02d}.png"


GROUPS = tuple(Group(sex, years) for sex in Sex for years in range(*map(int, FORENSIC_AGES_YEARS)))


def make_reference_knees(
    folder: Path, groups: Sequence[Group] = GROUPS, *, workers: int = 1, tell: Tell = untold
) -> bytes:
    """Paint the reference knees; those whose pictures are there are kept.

    Args:
        folder: Folder of the pictures, one PNG each.
        groups: Whose knees are painted.
        workers: Number of processes.
        tell: Told how many pictures are made, and how many there will be.

    Returns:
        The file that a bundle carries.

    Raises:
        OutputError: The folder cannot be written.
        WorkerError: A process died.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [group for group in groups if not group.file(folder).exists()]
    there = len(groups) - len(missing)
    tell(there, len(groups))
    made = on_cores(partial(_keep_picture, folder), missing, workers) if missing else iter(())
    for number, _ in enumerate(made, there + 1):
        tell(number, len(groups))
    return packed([_read(folder, group) for group in groups])


def typical_seed(group: Group) -> int:
    """Give the seed of the group's subject without findings whose plates are nearest to the medians of the group."""
    measured = np.array([_measures(_latents(group, seed)) for seed in group.seeds])
    away = np.abs(measured - np.median(measured, axis=0))
    spread = away.mean(axis=0)
    distances = (away / np.where(spread > 0, spread, 1)).sum(axis=1)
    nearest = (group.seeds[int(place)] for place in np.argsort(distances, kind="stable"))
    return next(seed for seed in nearest if not Anatomy.draw(stream(seed, Purpose.ANATOMY)).findings)


def paint_picture(group: Group) -> NDArray[np.uint8]:
    """Paint the typical knee of a group: the slice that shows most of both sites, shape (rows, columns)."""
    return _picture(_subject(group, typical_seed(group)))


def _keep_picture(folder: Path, group: Group) -> None:
    """Paint a picture and write it."""
    knee = ReferenceKnee(group.age_years, group.sex, paint_picture(group))
    with whole_file(group.file(folder)) as temporary:
        temporary.write_bytes(knee.png())


def _read(folder: Path, group: Group) -> ReferenceKnee:
    """Read a picture that was kept."""
    with Image.open(group.file(folder)) as picture:
        return ReferenceKnee(group.age_years, group.sex, np.asarray(picture, np.uint8))


def _percentiles(seed: int) -> Percentiles:
    """Draw the height and weight of a subject."""
    return Percentiles.draw(stream(seed, Purpose.PERSON))


def _latents(group: Group, seed: int) -> KneeLatents:
    """Draw the growth of a subject, as :func:`_subject` does."""
    body, rng = _percentiles(seed), stream(seed, Purpose.GROWTH)
    return draw_latents(group.age_years, group.sex, rng, height_percentile=body.height, weight_percentile=body.weight)


def _subject(group: Group, seed: int) -> VirtualSubject:
    """Paint and scan a subject."""
    return virtual_subject(
        seed,
        chronological_age_years=group.age_years,
        sex=group.sex,
        side=Side.RIGHT,
        hospital=_CLEAN_HOSPITAL,
        percentiles=_percentiles(seed),
        about_the_sites=True,
    )


def _measures(knee: KneeLatents) -> list[float]:
    """Give what knees are compared by: bridging, thickness of what is open, and scar of both plates."""
    return [value for plate in (knee.femur, knee.tibia) for value in _plate_measures(plate)]


def _plate_measures(plate: PlateLatents) -> tuple[float, float, float]:
    """Give bridged share, thickness in mm (closed: none) and scar (open: none) of one plate."""
    return plate.bridged, plate.thickness_mm if plate.bridged < 1 else 0.0, plate.scar * plate.bridged


def _picture(subject: VirtualSubject) -> NDArray[np.uint8]:
    """Cut the slice that shows most of both sites out of a series, shape (rows, columns)."""
    codes = canonical_orientation(Plane.CORONAL)
    image, labels = subject.volume.reoriented(codes), subject.labels.reoriented(codes)
    sites = find_sites(labels)
    cut = (*_corner(image, sites), _widest_slice(labels, sites))
    values = _window(image, cut)
    return _grey(values, bones=values[_window(labels, cut) != Label.BACKGROUND])


def _widest_slice(labels: Volume, sites: SitesSeen) -> int:
    """Choose the slice whose narrower site is widest; condyles that are cut apart show little of theirs."""
    widths = [np.count_nonzero(sites.of(site).columns_on(labels, site).seen, axis=0) for site in PLATE_SITES]
    common = list(sites.common_slices)
    return common[int(np.min(widths, axis=0)[common].argmax())]


def _corner(image: Volume, sites: SitesSeen) -> tuple[int, int]:
    """Give the first row and column of the picture, whose middle lies between both sites."""
    centres = [np.array(sites.of(site).centre_mm, dtype=np.float64) for site in PLATE_SITES]
    column, row, _ = image.index(np.mean(centres, axis=0))
    return round(float(row)) - PICTURE_SHAPE[0] // 2, round(float(column)) - PICTURE_SHAPE[1] // 2


def _window(image: Volume, cut: tuple[int, int, int]) -> NDArray[np.float32]:
    """Cut (1, I, J, K) to (rows, columns) from a row, a column and a slice on."""
    row, column, index = cut
    rows, columns = PICTURE_SHAPE
    return np.asarray(image.array[0, column : column + columns, row : row + rows, index].T, np.float32)


def _grey(values: NDArray[np.float32], *, bones: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Show values as grey ones from 0 to 255, in few of them, bones alike in all pictures."""
    low, high = np.percentile(values, _BLACK_PERCENTILE), np.percentile(bones, _WHITE_PERCENTILE)
    steps = np.round(np.clip((values - low) / (high - low), 0, 1) * (_GREY_VALUES - 1))
    return np.asarray(np.round(steps * (255 / (_GREY_VALUES - 1))), np.uint8)
