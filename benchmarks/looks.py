"""Where to look in a virtual series (its truth says) and in the real one (fixed places, chosen by looking)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from benchmarks.appearance import BoolArray, FloatArray, Line, Look, Start
from kneeage.core.anatomy import DISTAL_FEMUR, PLATE_SITES, PROXIMAL_TIBIA, Label, PlateSite, Sex
from kneeage.io.read import load
from kneeage.phantom.anatomy.knee import Anatomy, Knee
from kneeage.phantom.anatomy.tissue import MARROW, Tissue
from kneeage.phantom.cohort.subject import CORONAL_T1, Hospital, Purpose, plan_series, scan_slices, stream
from kneeage.phantom.growth.law import draw_latents

ByteArray = NDArray[np.uint8]

SITES = {"femur": DISTAL_FEMUR, "tibia": PROXIMAL_TIBIA}
_TISSUES = {
    "marrow": MARROW[:4],
    "muscle": (Tissue.MUSCLE, Tissue.CALF_MUSCLE),
    "subcutaneous fat": (Tissue.SUBCUTANEOUS_FAT,),
    "cartilage": (Tissue.CARTILAGE,),
    "air": (Tissue.AIR,),
}
# Regions keep this far from other tissue (cartilage is thin: half a pixel is all it can spare).
_CLEAR_MM = 1.2
_NO_TISSUE = 255
# Height above the joint of the rows in which the femoral shaft is looked at, and its least width there.
_SHAFT_MM, _SHAFT_WIDTH_MM = (58.0, 72.0), 16.0
# Posterior condyles: least width and height of both; points lie this far below their tops, in the middle of the width.
_CONDYLE_MM, _BELOW_TOP_MM = (12.0, 16.0), 5.0
# Regions lie this near to the joint; its outline ends where the field of view does.
_NEAR_JOINT_MM = 55.0


# Where to look in the real series: first slice, last slice, left, top, right and bottom in mm from the image's corner,
# columns to the subject's left, rows downwards, slices to the back. Chosen by looking.
Box = tuple[int, int, float, float, float, float]
REAL_BOXES: dict[str, tuple[Box, ...]] = {
    "marrow": (
        (10, 13, 78, 12, 98, 46),
        (10, 14, 50, 60, 70, 80),
        (10, 14, 97, 62, 115, 80),
        (12, 16, 60, 99, 110, 106),
        (11, 15, 82, 116, 104, 140),
    ),
    "muscle": ((9, 13, 42, 6, 54, 35), (14, 16, 112, 142, 118, 154)),
    "subcutaneous fat": ((12, 14, 27, 10, 31, 40),),
    "cartilage": ((13, 13, 56, 91.3, 64, 93.7), (16, 16, 61, 92, 69, 94.5), (16, 16, 98, 90, 104, 93)),
    "air": ((9, 15, 2, 20, 14, 140), (9, 15, 146, 20, 158, 140)),
}
# The scars that can be seen: slice, then places (column, row) in mm along the line.
REAL_SCARS: dict[str, tuple[tuple[int, tuple[tuple[float, float], ...]], ...]] = {
    "femur": (
        (13, ((65.5, 56.2), (79.5, 54.9), (84, 53.4), (89.1, 57.7), (94.9, 60), (103.8, 59.4), (116.5, 56.5))),
        (14, ((57.9, 55.9), (71.9, 55.9), (82.1, 53.9), (85.9, 55.5), (91, 59.4), (97.4, 60), (110.2, 60.4))),
    ),
    "tibia": (
        (12, ((72.3, 109.6), (78.7, 110), (83.1, 111.5), (88.9, 113.8), (95.3, 115.6), (100.4, 116.6))),
        (13, ((72.3, 109.7), (82.5, 111), (86.3, 112.8), (100.4, 113.3))),
        (14, ((90.2, 111.9), (96.5, 111.6), (102.9, 112.5))),
    ),
}
# First and last slice in which the femoral shaft is looked at, and the column of its marrow in mm.
REAL_SHAFT = (9, 13, 87.0)
REAL_JOINT_MM = 91.0
# The posterior condyles: slice, first and last column and the row in mm, about 5 mm below the tops.
REAL_CONDYLES = ((18, 48.0, 62.0, 57.0), (18, 100.0, 114.0, 57.0), (19, 50.0, 63.0, 57.0), (19, 101.0, 114.0, 57.0))
REAL_CENTRAL, REAL_BOTH_BONES = range(10, 15), range(8, 21)


def virtual_look(seed: int, ages_years: tuple[float, float], hospital: Hospital) -> Look:
    """Scan a virtual male, and look where the truth says.

    Args:
        seed: Seed of the subject.
        ages_years: Range that the age is drawn from.
        hospital: Protocol family.
    """
    age_years = float(stream(seed, Purpose.PERSON).uniform(*ages_years))
    latents = draw_latents(age_years, Sex.MALE, stream(seed, Purpose.GROWTH))
    knee = Knee(Anatomy.draw(stream(seed, Purpose.ANATOMY)), latents)
    protocol = plan_series(seed, hospital, CORONAL_T1)
    slabs, slices = zip(*scan_slices(knee, protocol, seed), strict=True)
    images = np.stack(slices)
    labels = np.stack([slab.label for slab in slabs])
    # A region counts where all planes through the slice agree: partial volume is no tissue.
    tissue = np.stack([np.where((slab.tissue == slab.middle).all(axis=0), slab.middle, _NO_TISSUE) for slab in slabs])
    joint_row = (protocol.pixels - 1) / 2 + protocol.centre[2] / protocol.pixel_mm
    return _look(images, labels, tissue, protocol.pixel_mm, float(joint_row))


def real_look(folder: Path, pixels: int | None = None) -> Look:
    """Read the real series, and look at the fixed places.

    Args:
        folder: Folder of the series.
        pixels: Rows and columns to bring it to; the outer part of its k-space is left out.
    """
    volume = load(folder).volume.reoriented("LIP")
    images = np.ascontiguousarray(volume.array[0].transpose(2, 1, 0), np.float32)
    pixel_mm = volume.spacing[0]
    if pixels is not None:
        pixel_mm *= images.shape[1] / pixels
        images = np.asarray(signal.resample(signal.resample(images, pixels, axis=1), pixels, axis=2), np.float32)
    first, last, column = REAL_SHAFT
    return Look(
        images=images,
        pixel_mm=pixel_mm,
        joint_row=REAL_JOINT_MM / pixel_mm,
        regions={name: _boxed(images.shape, boxes, pixel_mm) for name, boxes in REAL_BOXES.items()},
        sites={bone: [_real_line(k, places, pixel_mm) for k, places in scars] for bone, scars in REAL_SCARS.items()},
        shaft=[
            Start(k, round((REAL_JOINT_MM - height_mm) / pixel_mm), round(column / pixel_mm))
            for k in range(first, last + 1)
            for height_mm in np.arange(*_SHAFT_MM, 2.0)
        ],
        condyles=[
            Start(k, round(row_mm / pixel_mm), round(column_mm / pixel_mm))
            for k, left_mm, right_mm, row_mm in REAL_CONDYLES
            for column_mm in np.arange(left_mm, right_mm)
        ],
        central=list(REAL_CENTRAL),
        both_bones=list(REAL_BOTH_BONES),
    )


def _look(images: FloatArray, labels: ByteArray, tissue: ByteArray, pixel_mm: float, joint_row: float) -> Look:
    """Find regions, sites and shaft of a virtual series."""
    lines = {
        bone: [_site_line(labels[k], k, site, pixel_mm) for k in range(len(labels))] for bone, site in SITES.items()
    }
    widths = np.min([[line.columns.size for line in found] for found in lines.values()], axis=0)
    central = sorted(int(k) for k in np.argsort(widths)[-len(REAL_CENTRAL) :])
    where = np.zeros(labels.shape, bool)
    rows = np.flatnonzero(np.abs(np.arange(images.shape[1]) - joint_row) * pixel_mm < _NEAR_JOINT_MM)
    where[np.ix_(np.array(central), rows)] = True
    femur, tibia = (np.isin(labels, site.bone).any(axis=(1, 2)) for site in PLATE_SITES)
    return Look(
        images=images,
        pixel_mm=pixel_mm,
        joint_row=joint_row,
        regions=_regions(tissue, where, pixel_mm),
        sites={bone: [found[k] for k in central] for bone, found in lines.items()},
        shaft=[start for k in central for start in _shaft_starts(labels[k], k, joint_row, pixel_mm)],
        condyles=[start for k in range(len(labels)) for start in _condyle_starts(labels[k], k, pixel_mm)],
        central=central,
        both_bones=[int(k) for k in np.flatnonzero(femur & tibia)],
    )


def _regions(tissue: ByteArray, where: BoolArray, pixel_mm: float) -> dict[str, BoolArray]:
    """Masks of the tissues, clear of their neighbours."""
    clear = {name: 1 if name == "cartilage" else round(_CLEAR_MM / pixel_mm) for name in _TISSUES}
    within = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)
    return {
        name: where & ndimage.binary_erosion(np.isin(tissue, values), within, iterations=clear[name], border_value=1)
        for name, values in _TISSUES.items()
    }


def _site_line(labels: ByteArray, k: int, site: PlateSite, pixel_mm: float) -> Line:
    """Where epiphysis and metaphysis meet in a slice, or the middle of the plate between them."""
    upper, lower = (site.metaphysis, site.epiphysis) if site is DISTAL_FEMUR else (site.epiphysis, site.metaphysis)
    count = labels.shape[0]
    above = count - 1 - (labels == upper)[::-1].argmax(axis=0)
    below = (labels == lower).argmax(axis=0)
    both = (labels == upper).any(axis=0) & (labels == lower).any(axis=0) & (below > above)
    columns = _longest_run(both & (below - above < 8.0 / pixel_mm))
    rows = ndimage.gaussian_filter1d((above + below)[columns] / 2, 1.0 / pixel_mm) if columns.size else np.zeros(0)
    return Line(k, columns, np.asarray(rows, np.float32))


def _longest_run(wanted: BoolArray) -> NDArray[np.intp]:
    """Places of the longest run of true values, a tenth taken off at both ends."""
    runs, count = ndimage.label(wanted)
    if not count:
        return np.zeros(0, np.intp)
    places = np.flatnonzero(runs == 1 + int(np.bincount(runs.ravel())[1:].argmax()))
    margin = len(places) // 10
    return np.asarray(places[margin : len(places) - margin])


def _shaft_starts(labels: ByteArray, k: int, joint_row: float, pixel_mm: float) -> Iterator[Start]:
    """Points in the middle of the femoral shaft of one slice, a row every 2 mm."""
    for height_mm in np.arange(*_SHAFT_MM, 2.0):
        row = round(joint_row - height_mm / pixel_mm)
        if row < 2:
            continue
        run = _longest_run(labels[row] == Label.DISTAL_FEMUR_METAPHYSIS)
        if len(run) * pixel_mm >= _SHAFT_WIDTH_MM:
            yield Start(k, row, int(run[len(run) // 2]))


def _condyle_starts(labels: ByteArray, k: int, pixel_mm: float) -> Iterator[Start]:
    """Points below the tops of both posterior condyles, where a slice cuts them apart from each other."""
    runs, count = ndimage.label(np.isin(labels, DISTAL_FEMUR.bone))
    large = [n + 1 for n, box in enumerate(ndimage.find_objects(runs)) if _is_condyle(box, pixel_mm)]
    if count != 2 or len(large) != 2:
        return
    for number in large:
        rows, columns = np.nonzero(runs == number)
        quarter = (columns.max() - columns.min()) // 4
        for column in range(columns.min() + quarter, columns.max() - quarter, max(round(1.0 / pixel_mm), 1)):
            yield Start(k, int(rows[columns == column].min()) + round(_BELOW_TOP_MM / pixel_mm), column)


def _is_condyle(box: tuple[slice, ...], pixel_mm: float) -> bool:
    """Whether a box is wide and high enough for a condyle."""
    rows, columns = ((side.stop - side.start) * pixel_mm for side in box)
    return bool(columns >= _CONDYLE_MM[0] and rows >= _CONDYLE_MM[1])


def _boxed(shape: tuple[int, ...], boxes: tuple[Box, ...], pixel_mm: float) -> BoolArray:
    """Mask of boxes."""
    mask = np.zeros(shape, bool)
    for first, last, *edges in boxes:
        left, top, right, bottom = (round(edge / pixel_mm) for edge in edges)
        mask[first : last + 1, top:bottom, left:right] = True
    return mask


def _real_line(k: int, places: tuple[tuple[float, float], ...], pixel_mm: float) -> Line:
    """A line through places given in mm."""
    across, down = np.array(places).T / pixel_mm
    columns = np.arange(round(across[0]), round(across[-1]) + 1)
    return Line(k, columns, np.asarray(np.interp(columns, across, down), np.float32))
