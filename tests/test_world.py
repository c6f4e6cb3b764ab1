"""World positions from file to file: whatever the orientation, the format and the side, a plate stays where it is."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kneeage.core.anatomy import Label, Plane, Sex, Side
from kneeage.core.volume import Volume
from kneeage.io.nifti import write_image
from kneeage.io.read import list_candidates, load
from kneeage.io.series import LoadedSeries
from kneeage.io.write import DicomHeader, write_dicom_series
from kneeage.phantom.cohort.subject import HOSPITAL_A, Imaging, virtual_subject
from kneeage.phantom.scanner.protocol import Layout
from kneeage.prepare.plane import plane_of
from kneeage.prepare.recipe import OrientStep, Recipe, ResampleStep, prepare

COARSE = replace(HOSPITAL_A, coronal=Layout((150, 165), (48,), (9, 9), (8.0, 8.0), (0.9, 0.9)))
PLATES = (Label.DISTAL_FEMUR_PHYSIS, Label.PROXIMAL_TIBIA_PHYSIS)
GEOMETRY = Recipe(name="geometry", steps=(OrientStep(), ResampleStep(spacing_mm=2.0)))
ORIENTATIONS = ["".join(codes) for axes in permutations(("LR", "PA", "IS")) for codes in product(*axes)]
SIDES = [Side.RIGHT, Side.LEFT]
# A scanner's header says six digits of a direction; on this field of view that is far less than this.
TOLERANCE_MM = 0.01


@cache
def knee(side: Side) -> Volume:
    """Labels of a virtual child's knee, whose plates are open."""
    one_plane = Imaging(planes_per_slice=1)
    subject = virtual_subject(
        5, chronological_age_years=11, sex=Sex.MALE, side=side, hospital=COARSE, imaging=one_plane
    )
    return subject.labels


def centroids(labels: Volume) -> NDArray[np.float64]:
    found = [labels.world(np.argwhere(np.rint(labels.array[0]) == plate)).mean(axis=0) for plate in PLATES]
    return np.array(found)


def read_back(path: Path, volume: Volume, side: Side, kind: str) -> LoadedSeries:
    if kind == "nifti":
        write_image(path / "knee.nii.gz", volume.with_array(volume.array.astype(np.float32)))
        return load(path / "knee.nii.gz")
    write_dicom_series(path / "knee", volume, header=DicomHeader(uid_seed="world", side=side))
    (candidate,) = list_candidates(path / "knee")
    return load(path / "knee", candidate.key)


def test_there_are_48_orientations() -> None:
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("codes", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["nifti", "dicom"])
@pytest.mark.parametrize("side", SIDES)
def test_plates_stay_in_place(codes: str, kind: str, side: Side, tmp_path: Path) -> None:
    truth = centroids(knee(side))
    series = read_back(tmp_path, knee(side).reoriented(codes), side, kind)
    np.testing.assert_allclose(centroids(series.volume), truth, atol=TOLERANCE_MM)
    if kind == "dicom":
        assert series.header.side is side
    if plane_of(series.volume) is Plane.CORONAL and series.plane is Plane.CORONAL:
        np.testing.assert_allclose(centroids(there_and_back(series, side)), truth, atol=0.5)


def there_and_back(series: LoadedSeries, side: Side) -> Volume:
    """Take labels through preparation (mirroring a left knee) and back as certain probabilities."""
    prepared = prepare(series.volume, GEOMETRY, plane=Plane.CORONAL, side=side)
    assert prepared.mirrored is (side is Side.LEFT)
    labels = prepared.labels_from_source(series.volume.with_array(np.rint(series.volume.array).astype(np.uint8)))
    values = [int(label) for label in Label]
    one_hot = [(labels.array[0, :, :, k] == np.array(values)[:, None, None]) * 1.0 for k in range(labels.shape[2])]
    return prepared.labels_to_source(one_hot, values)
