"""Written series are true to the standard and lie where the volume lay."""

from __future__ import annotations

import errno
import shutil
import subprocess
from datetime import date
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset

from kneeage.core.anatomy import Sex, Side
from kneeage.core.errors import GeometryError, OutputError, UsageError
from kneeage.core.manifest import VIRTUAL_IMAGE_MARK
from kneeage.core.volume import Volume
from kneeage.io.write import DicomHeader, deterministic_uid, write_dicom_series

SHAPE = (12, 9, 4)
HEADER = DicomHeader(
    uid_seed="subject 7",
    subject_id="V0007",
    sex=Sex.FEMALE,
    side=Side.LEFT,
    description="冠状位 T1 cor",
    study_date=date(2026, 1, 31),
)
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def turn(axis: int, degrees: float) -> np.ndarray:
    """A rotation about a body axis, shape (4, 4)."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(4)
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix[[first, first, second, second], [first, second, first, second]] = cosine, -sine, sine, cosine
    return matrix


def plane_affine(codes: str) -> np.ndarray:
    """Affine of a volume with thick slices along K."""
    return Volume(np.zeros((1, 2, 2, 2)), np.eye(4)).reoriented(codes).affine @ np.diag([0.31, 0.47, 3.6, 1])


AFFINES = {
    "coronal": plane_affine("LIP"),
    "sagittal": plane_affine("PIL"),
    "axial": plane_affine("LPS"),
    "tilted coronal": turn(0, 11) @ turn(2, -7) @ plane_affine("LIP"),
    "tilted sagittal": turn(1, 23) @ turn(0, 4) @ plane_affine("PIR"),
}


def volume_in(affine: np.ndarray, far: bool = True) -> Volume:
    """Numbered voxels on a grid."""
    affine = affine.copy()
    affine[:3, 3] = (-73.25, 41.125, 1017.3) if far else 0
    return Volume(np.arange(np.prod(SHAPE), dtype=np.float32).reshape(1, *SHAPE), affine)


def written(folder: Path, volume: Volume, header: DicomHeader = HEADER) -> list[FileDataset]:
    """Write and read back with pydicom alone."""
    return [pydicom.dcmread(path) for path in write_dicom_series(folder, volume, header=header)]


def affine_of(instances: list[FileDataset]) -> np.ndarray:
    """RAS+ affine of (column, row, slice), from the attributes as the standard defines them."""
    first = instances[0]
    cosines = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    positions = np.array([instance.ImagePositionPatient for instance in instances], float)
    affine = np.eye(4)
    affine[:3, 0] = cosines[0] * float(first.PixelSpacing[1])
    affine[:3, 1] = cosines[1] * float(first.PixelSpacing[0])
    affine[:3, 2] = (positions[-1] - positions[0]) / (len(instances) - 1)
    affine[:3, 3] = positions[0]
    return LPS @ affine


@pytest.mark.parametrize("name", AFFINES)
def test_affine_and_values_read_back(tmp_path: Path, name: str) -> None:
    volume = volume_in(AFFINES[name])
    instances = written(tmp_path, volume)
    np.testing.assert_allclose(affine_of(instances), volume.affine, atol=1e-6)
    pixels = np.stack([instance.pixel_array for instance in instances])
    np.testing.assert_array_equal(np.moveaxis(pixels, (0, 1, 2), (2, 1, 0)), volume.array[0])


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("virtual", [True, False])
def test_instances_are_valid(tmp_path: Path, name: str, side: Side, virtual: bool) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")
    header = DicomHeader(
        uid_seed="x",
        subject_id="V1",
        sex=Sex.MALE if virtual else None,
        side=side,
        description="膝 T1",
        study_date=date(2026, 1, 31) if virtual else None,
        manufacturer=VIRTUAL_IMAGE_MARK if virtual else "kneeage",
        model="" if virtual else "model",
        scan_options="FS" if virtual else "",
        scanning_sequence="SE" if virtual else "SE\\IR",
        inversion_time_ms=None if virtual else 150,
        repetition_time_ms=1000 / 3,
    )
    for path in write_dicom_series(tmp_path, volume_in(AFFINES[name]), header=header)[::3]:
        words = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True).stderr
        assert "Error" not in words, words
        assert "MRImage" in words


def test_one_slice_can_be_written(tmp_path: Path) -> None:
    volume = volume_in(AFFINES["coronal"])
    (instance,) = written(tmp_path, Volume(volume.array[..., :1], volume.affine))
    assert instance.SliceThickness == pytest.approx(3.6)
    assert "SpacingBetweenSlices" not in instance


def test_header_says_what_it_was_told(tmp_path: Path) -> None:
    instance = written(tmp_path, volume_in(AFFINES["coronal"]))[2]
    assert instance.Modality == "MR"
    assert instance.Laterality == "L"
    assert instance.SeriesDescription == "冠状位 T1 cor"
    assert instance.PatientSex == "F"
    assert str(instance.PatientID) == "V0007"
    assert instance.StudyDate == "20260131"
    assert (instance.RepetitionTime, instance.EchoTime, instance.MagneticFieldStrength) == (500, 15, 1.5)
    assert instance.InstanceNumber == 3
    assert instance.SpacingBetweenSlices == pytest.approx(3.6)


def test_nothing_told_is_nothing_said(tmp_path: Path) -> None:
    instance = written(tmp_path, volume_in(AFFINES["coronal"]), DicomHeader(uid_seed="x"))[0]
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "Laterality"):
        assert not instance[keyword].value, keyword
    assert "PatientAge" not in instance


def test_virtual_image_is_marked(tmp_path: Path) -> None:
    header = DicomHeader(uid_seed="x", manufacturer=VIRTUAL_IMAGE_MARK)
    instance = written(tmp_path, volume_in(AFFINES["coronal"]), header)[0]
    assert instance.Manufacturer == "kneeage virtual cohort"
    assert instance.ImageComments == "Computer-generated image; shows no living subject"


def test_uids_follow_from_the_seed(tmp_path: Path) -> None:
    volume = volume_in(AFFINES["coronal"])
    one, again = (written(tmp_path / name, volume) for name in ("a", "b"))
    other = written(tmp_path / "c", volume, DicomHeader(uid_seed="subject 8"))
    uids = [instance.SOPInstanceUID for instance in one]
    assert uids == [instance.SOPInstanceUID for instance in again]
    assert len({*uids, *(instance.SOPInstanceUID for instance in other)}) == 2 * len(one)
    assert one[0].SeriesInstanceUID != other[0].SeriesInstanceUID
    assert all(uid.is_valid and len(uid) <= 64 for uid in uids)


def test_series_of_one_study_share_it(tmp_path: Path) -> None:
    volume = volume_in(AFFINES["coronal"])
    headers = [DicomHeader(uid_seed=seed, study_seed="s", series_number=n) for n, seed in enumerate("ab", 1)]
    first, second = (written(tmp_path / str(n), volume, header)[0] for n, header in enumerate(headers))
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


def test_given_uids_are_kept(tmp_path: Path) -> None:
    header = DicomHeader(uid_seed="x", study_uid="2.25.1", series_uid="2.25.2")
    instance = written(tmp_path, volume_in(AFFINES["coronal"]), header)[0]
    assert (instance.StudyInstanceUID, instance.SeriesInstanceUID) == ("2.25.1", "2.25.2")


def test_uid_words_are_kept_apart() -> None:
    assert deterministic_uid("ab", "c") != deterministic_uid("a", "bc")


@pytest.mark.parametrize(("largest", "bits"), [(4095, 12), (4096, 16), (65535, 16)])
def test_values_are_stored_in_as_many_bits_as_they_need(tmp_path: Path, largest: int, bits: int) -> None:
    volume = volume_in(AFFINES["coronal"])
    volume.array[0, 3, 4, 1] = largest - 0.3
    instance = written(tmp_path, volume)[1]
    assert (instance.BitsStored, instance.HighBit) == (bits, bits - 1)
    assert instance.pixel_array[4, 3] == largest


@pytest.mark.parametrize(("value", "found"), [(-1, "-1 to"), (65536, "to 65536"), (np.nan, "nan"), (np.inf, "inf")])
def test_values_that_cannot_be_stored_are_refused(tmp_path: Path, value: float, found: str) -> None:
    volume = volume_in(AFFINES["coronal"])
    volume.array[0, 0, 0, 0] = value
    with pytest.raises(UsageError, match=found):
        write_dicom_series(tmp_path / "out", volume, header=HEADER)
    assert not (tmp_path / "out").exists()


def test_several_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the volume has 2"):
        write_dicom_series(tmp_path, Volume(np.zeros((2, *SHAPE)), np.eye(4)), header=HEADER)


def test_sheared_rows_and_columns_are_refused(tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.01
    with pytest.raises(GeometryError, match="perpendicular"):
        write_dicom_series(tmp_path, volume_in(affine), header=HEADER)


def test_sheared_slices_are_written_where_they_are(tmp_path: Path) -> None:
    affine = AFFINES["coronal"].copy()
    affine[:3, 2] += 0.1 * affine[:3, 0]
    instances = written(tmp_path, volume_in(affine))
    np.testing.assert_allclose(affine_of(instances)[:3, :3], affine[:3, :3], atol=1e-6)
    assert instances[0].SpacingBetweenSlices == pytest.approx(3.6)


def test_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="choose another folder") as caught:
        write_dicom_series(tmp_path / "file" / "series", volume_in(AFFINES["coronal"]), header=HEADER)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOTDIR
