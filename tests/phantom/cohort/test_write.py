"""What is written of a virtual subject is read back by our reader and by the tools that others use."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest

from kneeage.core.anatomy import Plane, Sex, Side
from kneeage.core.errors import OutputError
from kneeage.core.manifest import VIRTUAL_IMAGE_MARK
from kneeage.core.volume import Volume
from kneeage.io.read import list_candidates, load
from kneeage.phantom.cohort import write
from kneeage.phantom.cohort.subject import HOSPITAL_A, HOSPITAL_B, Imaging, VirtualSubject, virtual_subject
from kneeage.phantom.cohort.write import FileFormat, dicom_header, write_dicom, write_subject, write_virtual_dicom
from kneeage.phantom.scanner.sequence import Weighting
from tests.phantom.miniature import ONE_PLANE, coarse

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SERIES = [
    (Plane.CORONAL, Weighting.T1, False, Side.RIGHT),
    (Plane.CORONAL, Weighting.PD, True, Side.LEFT),
    (Plane.SAGITTAL, Weighting.T2, False, Side.LEFT),
    (Plane.SAGITTAL, Weighting.T1, True, Side.RIGHT),
]
NAMES = [f"{plane.value}-{weighting}-{side.value}" for plane, weighting, _, side in SERIES]
each_series = pytest.mark.parametrize("series", SERIES, ids=NAMES)


@cache
def subject_of(plane: Plane, weighting: Weighting, fat_suppressed: bool, side: Side) -> VirtualSubject:
    hospital = coarse(HOSPITAL_A if side is Side.RIGHT else HOSPITAL_B)
    imaging = Imaging(plane, weighting, fat_suppressed, planes_per_slice=1)
    return virtual_subject(4, side=side, hospital=hospital, imaging=imaging)


def require(tool: str, package: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed (Debian package {package})")


def require_same(found: Volume, wanted: Volume) -> None:
    """Same values at the same world positions, whatever the order of the axes."""
    found, wanted = found.reoriented("RAS"), wanted.reoriented("RAS")
    np.testing.assert_allclose(found.affine, wanted.affine, atol=1e-3)
    np.testing.assert_array_equal(found.array, wanted.array)


@each_series
def test_our_reader_reads_the_series_back(series: Any, tmp_path: Path) -> None:
    subject = subject_of(*series)
    write_dicom(tmp_path / "series", subject)
    (candidate,) = list_candidates(tmp_path / "series")
    found = load(tmp_path / "series", candidate.key)
    require_same(found.volume, subject.volume)
    header = found.header
    assert (header.plane, header.weighting, bool(header.fat_suppressed), header.side) == series
    assert header.virtual
    assert header.field_strength_tesla == subject.sequence.field_strength_tesla


@each_series
def test_simpleitk_reads_the_same_geometry(series: Any, tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    subject = subject_of(*series)
    write_dicom(tmp_path, subject)
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path)))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    array = np.transpose(sitk.GetArrayFromImage(image), (2, 1, 0))
    require_same(Volume(array[None], LPS @ affine), subject.volume)


@each_series
def test_dcm2niix_reads_the_same_geometry(series: Any, tmp_path: Path) -> None:
    require("dcm2niix", "dcm2niix")
    subject = subject_of(*series)
    write_dicom(tmp_path / "series", subject)
    command = ["dcm2niix", "-b", "n", "-z", "n", "-f", "knee", "-o", str(tmp_path), str(tmp_path / "series")]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = tmp_path.glob("*.nii")
    image = nibabel.load(path)
    require_same(Volume(np.asarray(image.dataobj)[None], image.affine), subject.volume)


@each_series
def test_every_instance_is_valid(series: Any, tmp_path: Path) -> None:
    require("dciodvfy", "dicom3tools")
    write_dicom(tmp_path, subject_of(*series))
    for path in sorted(tmp_path.iterdir()):
        words = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True).stderr
        assert "Error" not in words, words
        assert "Warning" not in words, words
        assert "MRImage" in words


@each_series
def test_the_header_says_how_the_series_was_made(series: Any, tmp_path: Path) -> None:
    subject = subject_of(*series)
    write_dicom(tmp_path, subject)
    instance = pydicom.dcmread(next(tmp_path.iterdir()))
    sequence = subject.sequence
    assert instance.RepetitionTime == sequence.repetition_time_ms
    assert instance.EchoTime == sequence.echo_time_ms
    assert instance.EchoTrainLength == sequence.echo_train_length
    assert instance.MagneticFieldStrength == sequence.field_strength_tesla
    assert instance.ScanningSequence == "SE"
    assert instance.MRAcquisitionType == "2D"
    assert instance.SequenceVariant == ("SK" if sequence.echo_train_length > 1 else "NONE")
    assert instance.get("ScanOptions", "") == ("FS" if sequence.fat_suppressed else "")
    assert instance.SliceThickness == pytest.approx(subject.protocol.thickness_mm)
    assert instance.SpacingBetweenSlices == pytest.approx(subject.protocol.spacing_mm)
    assert instance.Manufacturer == VIRTUAL_IMAGE_MARK
    assert instance.SeriesDescription.endswith("knee (virtual)")
    assert instance.PatientID == "V000000000004"


@pytest.mark.parametrize("file_format", list(FileFormat))
def test_a_3d_series_is_written_and_read_back(file_format: FileFormat, tmp_path: Path) -> None:
    imaging = Imaging(volumetric=True, planes_per_slice=1)
    subject = virtual_subject(4, hospital=coarse(HOSPITAL_A), imaging=imaging)
    image = write_subject(tmp_path, subject, file_format)
    require_same(load(image).volume, subject.volume)
    if file_format is FileFormat.DICOM:
        instance = pydicom.dcmread(next(image.iterdir()))
        assert instance.MRAcquisitionType == "3D"
        assert "3D" in instance.SeriesDescription
        assert instance.SliceThickness == instance.SpacingBetweenSlices == 8


def test_the_header_tells_neither_age_nor_size(tmp_path: Path) -> None:
    write_dicom(tmp_path, subject_of(*SERIES[0]))
    instance = pydicom.dcmread(next(tmp_path.iterdir()))
    for keyword in ("PatientAge", "PatientBirthDate", "PatientSize", "PatientWeight"):
        assert not instance.get(keyword), keyword


def test_other_pixels_of_one_seed_have_other_uids() -> None:
    young, old = (
        virtual_subject(4, hospital=coarse(HOSPITAL_A), imaging=ONE_PLANE, chronological_age_years=age)
        for age in (10, 20)
    )
    assert dicom_header(young).uid_seed != dicom_header(old).uid_seed


@pytest.mark.parametrize("file_format", list(FileFormat))
def test_image_and_labels_lie_beside_each_other(file_format: FileFormat, tmp_path: Path) -> None:
    subject = subject_of(*SERIES[0])
    image = load(write_subject(tmp_path, subject, file_format))
    labels = nibabel.load(tmp_path / "labels.nii.gz")
    require_same(image.volume, subject.volume)
    require_same(Volume(np.asarray(labels.dataobj)[None], labels.affine), subject.labels)
    assert image.header.virtual
    chosen = [candidate.key for candidate in list_candidates(tmp_path) if candidate.suitable]
    assert len(chosen) == 1
    assert "labels" not in chosen[0]
    assert labels.get_data_dtype() == np.uint8
    assert bytes(labels.header["descrip"].tobytes()).rstrip(b"\0").decode() == VIRTUAL_IMAGE_MARK


def test_a_demo_subject_is_made_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = subject_of(*SERIES[0])
    monkeypatch.setattr(write, "virtual_subject", lambda seed: subject if seed == 4 else None)
    assert write_virtual_dicom(tmp_path / "demo", 4) is subject
    require_same(load(tmp_path / "demo").volume, subject.volume)


def test_a_full_disk_is_said(small_disk: Path) -> None:
    imaging = Imaging(planes_per_slice=1)
    subject = virtual_subject(1, hospital=coarse(HOSPITAL_A, pixels=128, slices=5), sex=Sex.MALE, imaging=imaging)
    with pytest.raises(OutputError, match="No space left"):
        write_dicom(small_disk / "series", subject)
