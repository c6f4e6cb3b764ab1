"""Measurements of a plate."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import DISTAL_FEMUR, PLATE_SITES, PROXIMAL_TIBIA, Label, PlateSite
from kneeage.core.manifest import Calibration, ThicknessScale
from kneeage.core.result import PlateReport
from kneeage.core.volume import Volume
from kneeage.infer.morphometry import MIN_THICKNESS_MM, calibrated, measure_plate
from kneeage.infer.region import find_sites
from tests.infer.knees import AFFINE, BONE_COLUMNS, block_knee, edited, without


def measured(knee: Volume, site: PlateSite) -> PlateReport:
    return measure_plate(knee, site, find_sites(knee).of(site))


@pytest.mark.parametrize("site", PLATE_SITES, ids=lambda site: site.name)
def test_an_open_plate(site: PlateSite) -> None:
    report = measured(block_knee(plate_rows=3), site)
    assert report.found
    assert report.openness == 1
    assert report.thickness_mm == pytest.approx(3)
    assert report.area_mm2 == pytest.approx(36 * 9 * 4)
    assert report.volume_mm3 == pytest.approx(36 * 9 * 4 * 3)


def test_a_half_open_plate() -> None:
    report = measured(block_knee(open_columns=18), PROXIMAL_TIBIA)
    assert report.openness == pytest.approx(0.5)
    assert report.thickness_mm == pytest.approx(2)


def test_a_closed_plate_is_a_finding() -> None:
    report = measured(block_knee(open_columns=0), DISTAL_FEMUR)
    assert report.found
    assert report.openness == 0
    assert report.thickness_mm is None
    assert report.area_mm2 == 0
    assert report.volume_mm3 == 0


def test_a_scar_is_not_open() -> None:
    knee = edited(block_knee(open_columns=0), (BONE_COLUMNS, 31, slice(None)), Label.DISTAL_FEMUR_PHYSEAL_SCAR)
    assert measured(knee, DISTAL_FEMUR).openness == 0


@pytest.mark.parametrize("open_columns", [0, 18, 36])
def test_volume_is_that_of_the_open_columns(open_columns: int) -> None:
    """Plate that was drawn outside of the site, in bone or beside it, counts in no measurement."""
    knee = block_knee(open_columns=open_columns, plate_rows=2)
    stray = edited(knee, (BONE_COLUMNS, slice(2, 5), slice(None)), Label.DISTAL_FEMUR_PHYSIS)
    report = measured(stray, DISTAL_FEMUR)
    assert report.volume_mm3 == pytest.approx((report.thickness_mm or 0) * report.area_mm2)
    assert report.volume_mm3 == measured(knee, DISTAL_FEMUR).volume_mm3


def test_nothing_is_measured_where_no_site_was_found() -> None:
    assert measured(without(block_knee(), Label.DISTAL_FEMUR_EPIPHYSIS), DISTAL_FEMUR) == PlateReport(found=False)


@pytest.mark.parametrize("slope", [0.0, 0.37, 0.93])
def test_thickness_is_perpendicular_to_a_sloping_plate(slope: float) -> None:
    """A plate of 3 mm at any slope measures 3 mm, to a fifth of a voxel."""
    spacing_mm, thickness_mm = 0.5, 3.0
    column, row = np.arange(120)[:, None] * spacing_mm, np.arange(240)[None, :] * spacing_mm
    distance = (row - 40.2 - slope * (column - 30)) / np.hypot(1, slope)
    slice_labels = np.where(distance < 0, Label.DISTAL_FEMUR_METAPHYSIS, Label.DISTAL_FEMUR_EPIPHYSIS)
    slice_labels = np.where(np.abs(distance) <= thickness_mm / 2, Label.DISTAL_FEMUR_PHYSIS, slice_labels)
    stack = np.repeat(slice_labels[..., None], 3, axis=2).astype(np.uint8)
    knee = Volume(stack[None], AFFINE @ np.diag([spacing_mm, spacing_mm, 1, 1]))
    assert measured(knee, DISTAL_FEMUR).thickness_mm == pytest.approx(thickness_mm, abs=0.2 * spacing_mm)


def test_one_column_has_no_slope() -> None:
    knee = edited(block_knee(open_columns=0), (20, slice(31, 34), 4), Label.DISTAL_FEMUR_PHYSIS)
    assert measured(knee, DISTAL_FEMUR).thickness_mm == pytest.approx(3)


CALIBRATION = Calibration(thickness={"distal_femur": ThicknessScale(slope=0.9, offset_mm=-0.5)})
DRAWN = PlateReport(found=True, openness=0.5, thickness_mm=2.0, area_mm2=300, volume_mm3=600)


def test_thickness_and_volume_are_corrected_together() -> None:
    plate = calibrated(DRAWN, CALIBRATION, DISTAL_FEMUR)
    assert plate.thickness_mm == pytest.approx(1.3)
    assert plate.volume_mm3 == pytest.approx(600 * 1.3 / 2.0)
    assert (plate.openness, plate.area_mm2) == (0.5, 300)


def test_a_correction_leaves_some_thickness() -> None:
    thin = calibrated(DRAWN.model_copy(update={"thickness_mm": 0.6}), CALIBRATION, DISTAL_FEMUR)
    assert thin.thickness_mm == MIN_THICKNESS_MM


@pytest.mark.parametrize("plate", [DRAWN.model_copy(update={"thickness_mm": None}), PlateReport(found=False)])
def test_what_is_not_open_is_not_corrected(plate: PlateReport) -> None:
    assert calibrated(plate, CALIBRATION, DISTAL_FEMUR) == plate


def test_a_plate_without_a_scale_stays_as_it_was_drawn() -> None:
    assert calibrated(DRAWN, CALIBRATION, PROXIMAL_TIBIA) == DRAWN
