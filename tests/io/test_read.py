from __future__ import annotations

import logging
import os
import shutil
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from kneeage.core.anatomy import Plane, Side
from kneeage.core.errors import (
    AmbiguousSeriesError,
    GeometryError,
    InputRefusedError,
    UndecodableError,
    UsageError,
    WrongPlaneError,
)
from kneeage.core.volume import Volume
from kneeage.io.nifti import write_labels
from kneeage.io.read import candidate_lines, list_candidates, load, survey
from kneeage.io.wanted import Wanted
from tests.io.support import AXIAL, SAGITTAL, T2, Made, dataset, enhanced, pixels, save, write_series


def test_a_coronal_series_is_loaded_in_ras(coronal: Path) -> None:
    loaded = load(coronal)
    assert loaded.volume.shape == (8, 6, 12)
    assert loaded.volume.array.dtype == np.float32
    assert loaded.volume.orientation == "LIP"
    assert loaded.volume.spacing == pytest.approx((0.4, 0.5, 3.8))
    assert loaded.plane is Plane.CORONAL
    assert loaded.header.weighting == "T1"
    assert loaded.header.fat_suppressed is False
    assert (loaded.header.side, loaded.header.side_source) == (Side.UNKNOWN, "not stated")
    assert loaded.notes == ()


def test_every_voxel_is_where_the_header_says(coronal: Path) -> None:
    volume = load(coronal).volume
    for k in (0, 7):
        index = np.argwhere(volume.array[0] == pixels(Made(), k)[4, 3])[0]
        one = dataset(Made(), k)
        lps = np.array(one.ImagePositionPatient, float) + 3 * 0.4 * np.array([1, 0, 0]) + 4 * 0.5 * np.array([0, 0, -1])
        assert volume.world(index) == pytest.approx(lps * [-1, -1, 1], abs=1e-5)


def test_file_names_do_not_matter(coronal: Path, tmp_path: Path) -> None:
    other = tmp_path / "膝 étude" / "deep" / "er"
    other.mkdir(parents=True)
    for n, path in enumerate(sorted(coronal.iterdir())):
        shutil.copy(path, other / f"{(7 * n) % 12:02d} ü")
    assert load(tmp_path / "膝 étude").pixel_sha256 == load(coronal).pixel_sha256


def test_a_single_file_is_a_volume_of_one_slice(coronal: Path) -> None:
    loaded = load(coronal / "1.2.3-004.dcm")
    assert loaded.volume.shape == (8, 6, 1)
    assert loaded.volume.spacing[2] == pytest.approx(3)


def test_enhanced_and_classic_are_the_same_volume(coronal: Path, tmp_path: Path) -> None:
    save(enhanced(Made()), tmp_path / "enhanced" / "one.dcm")
    new, old = load(tmp_path / "enhanced"), load(coronal)
    np.testing.assert_array_equal(new.volume.array, old.volume.array + 5)
    np.testing.assert_allclose(new.volume.affine, old.volume.affine, atol=1e-6)
    assert new.header.weighting == "T1"


def test_rescale_is_per_frame(coronal: Path, tmp_path: Path) -> None:
    save(enhanced(Made(), slope=lambda k: k + 1), tmp_path / "enhanced" / "one.dcm")
    expected = load(coronal).volume.array * np.arange(1, 13) + 5
    np.testing.assert_array_equal(load(tmp_path / "enhanced").volume.array, expected)


def test_rescale_of_classic_slices(tmp_path: Path) -> None:
    write_series(tmp_path, Made(slices=2).but(RescaleSlope="0.5", RescaleIntercept="-3"))
    assert load(tmp_path).volume.array[0, 0, 0].tolist() == [47, 97]


def test_enhanced_echoes_are_split(tmp_path: Path) -> None:
    made = Made(slices=4)
    one = enhanced(made, echo=lambda k: 15.0 if k < 2 else 95.0)
    save(one, tmp_path / "one.dcm")
    assert [c.key for c in list_candidates(tmp_path)] == ["1.2.3#echo1", "1.2.3#echo2"]
    assert load(tmp_path).volume.shape == (8, 6, 2)


def test_the_t1_coronal_wins_and_says_why(tmp_path: Path) -> None:
    write_series(tmp_path / "a", Made(uid="1.2.1", orientation=SAGITTAL).but(**T2))
    write_series(tmp_path / "b", Made(uid="1.2.2", orientation=SAGITTAL))
    write_series(tmp_path / "c", Made(uid="1.2.9"))
    found = list_candidates(tmp_path)
    assert [(c.key, c.suitable, c.rank) for c in found] == [
        ("1.2.9", True, 1),
        ("1.2.2", True, 2),
        ("1.2.1", False, None),
    ]
    assert "T1-weighted (spin echo, TR 600 ms, TE 15 ms)" in found[0].reasons
    assert load(tmp_path).header.series_uid == "1.2.9"
    assert load(tmp_path).reasons == found[0].reasons


def test_a_sagittal_t1_alone_is_suitable(tmp_path: Path) -> None:
    write_series(tmp_path, Made(orientation=SAGITTAL))
    assert load(tmp_path).plane is Plane.SAGITTAL


CORONAL_T1_OR_T2 = Wanted(Plane.CORONAL, ("T1", "T2"))


def test_what_a_bundle_covers_wins_over_a_t1_in_another_plane(tmp_path: Path) -> None:
    write_series(tmp_path / "a", Made(uid="1.2.1", orientation=SAGITTAL))
    write_series(tmp_path / "b", Made(uid="1.2.2").but(**T2))
    assert load(tmp_path).header.series_uid == "1.2.1"
    assert load(tmp_path, wanted=CORONAL_T1_OR_T2).header.series_uid == "1.2.2"
    best, other = list_candidates(tmp_path, CORONAL_T1_OR_T2)
    assert (best.key, other.rank) == ("1.2.2", None)
    assert "sagittal; the bundle answers on coronal slices" in other.reasons


def test_a_study_without_the_plane_of_the_bundle_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a", Made(uid="1.2.1", orientation=SAGITTAL))
    write_series(tmp_path / "b", Made(uid="1.2.2", orientation=AXIAL))
    with pytest.raises(WrongPlaneError, match=r"none is coronal; give one that is:\n- 1\.2\.1(.|\n)*1\.2\.2"):
        load(tmp_path, wanted=CORONAL_T1_OR_T2)
    assert load(tmp_path, "1.2.1", CORONAL_T1_OR_T2).plane is Plane.SAGITTAL


def test_a_refusal_leads_to_no_series_in_another_plane(coronal: Path) -> None:
    write_series(coronal / "sagittal", Made(uid="1.2.4", orientation=SAGITTAL))
    next(coronal.glob("*5.dcm")).unlink()
    with pytest.raises(InputRefusedError) as refused:
        load(coronal, wanted=CORONAL_T1_OR_T2)
    assert "1.2.4" not in str(refused.value)


def test_one_file_of_a_t2_is_not_read_as_t1(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path, Made(slices=1, orientation=SAGITTAL).but(**{**T2, "SeriesDescription": "T1 sag"}))
    with pytest.raises(AmbiguousSeriesError, match=r"no series is suitable.*\n.*T2-weighted, not T1"):
        load(path)
    assert load(path, series="1.2.3").header.weighting == "T2"


def test_a_tie_is_refused_with_the_list(tmp_path: Path) -> None:
    write_series(tmp_path / "a", Made(uid="1.2.7"))
    write_series(tmp_path / "b", Made(uid="1.2.8"))
    with pytest.raises(AmbiguousSeriesError, match=r"equally good.*\n1\. 1\.2\.7: knee.*\n1\. 1\.2\.8"):
        load(tmp_path)
    assert load(tmp_path, series="1.2.8").header.series_uid == "1.2.8"


def test_an_unknown_series_is_wrong_usage(coronal: Path) -> None:
    with pytest.raises(UsageError, match=r"no series '9\.9'(.|\n)*1\. 1\.2\.3"):
        load(coronal, series="9.9")


def test_a_split_series_needs_its_part_named(tmp_path: Path) -> None:
    write_series(tmp_path, Made(slices=4).but(EchoNumbers=1))
    write_series(tmp_path / "2", Made(slices=4).but(EchoNumbers=2, EchoTime=80, RepetitionTime=600))
    with pytest.raises(AmbiguousSeriesError, match="has 2 parts"):
        load(tmp_path, series="1.2.3")
    assert load(tmp_path, series="1.2.3#echo2").header.acquisition.echo_time_ms == 80


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert list_candidates(tmp_path) == []
    with pytest.raises(InputRefusedError, match="there is no file"):
        load(tmp_path)


def test_text_files_only_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 2000)
    (tmp_path / "b.txt").write_text("")
    assert survey(tmp_path).foreign == 2
    with pytest.raises(InputRefusedError, match="none of the 2 files is a DICOM image"):
        load(tmp_path)


def with_labels(folder: Path, name: str = "labels.nii.gz") -> Path:
    write_labels(folder / name, Volume(np.ones((1, 8, 6, 12), np.uint8), np.diag([0.4, 0.5, 3.8, 1])))
    return folder


def test_labels_are_not_read_as_an_image_even_when_they_are_named(coronal: Path) -> None:
    with pytest.raises(InputRefusedError, match=r"'labels\.nii\.gz' is a label map, not an image"):
        load(with_labels(coronal), series="labels.nii.gz")
    with pytest.raises(InputRefusedError, match="is a label map"):
        load(coronal / "labels.nii.gz")
    assert load(coronal).header.series_uid == "1.2.3"


def test_no_refusal_leads_to_labels(tmp_path: Path) -> None:
    write_series(with_labels(tmp_path), Made(orientation=SAGITTAL).but(**T2))
    with pytest.raises(AmbiguousSeriesError, match="no series is suitable") as caught:
        load(tmp_path)
    assert "labels" not in str(caught.value)
    for path in tmp_path.glob("*.dcm"):
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UndecodableError) as damaged:
        load(tmp_path)
    assert "labels" not in str(damaged.value)


def test_several_label_maps_alone_are_refused(tmp_path: Path) -> None:
    with_labels(with_labels(tmp_path), "second.nii.gz")
    with pytest.raises(InputRefusedError, match="label maps only"):
        load(tmp_path)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match="'nowhere' is not there"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("keep", [200, 500, 700])
def test_a_truncated_file_is_refused_by_name(coronal: Path, keep: int) -> None:
    path = coronal / "1.2.3-005.dcm"
    path.write_bytes(path.read_bytes()[:keep])
    assert len(survey(coronal).unreadable) == 1
    with pytest.raises(UndecodableError, match=r"1\.2\.3-005\.dcm.*(cut short|damaged)"):
        load(coronal)


def test_other_series_can_be_chosen_beside_a_truncated_file(coronal: Path) -> None:
    write_series(coronal / "other", Made(uid="1.2.4", slices=3))
    path = coronal / "1.2.3-012.dcm"
    path.write_bytes(path.read_bytes()[:300])
    assert "left out: '1.2.3-012.dcm'" in load(coronal, series="1.2.4").notes[0]
    with pytest.raises(UndecodableError, match=r"1\.2\.3-012\.dcm.* or choose a series with --series: 1\.2\."):
        load(coronal)


@pytest.mark.parametrize("lost", [1, 50])
def test_truncated_pixel_data_is_refused_by_name(coronal: Path, lost: int) -> None:
    path = coronal / "1.2.3-005.dcm"
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(UndecodableError, match=r"1\.2\.3-005\.dcm.*cut short"):
        load(coronal)


def test_short_pixel_data_is_refused_by_name(tmp_path: Path) -> None:
    def cut(one: FileDataset, k: int) -> None:
        if k == 3:
            one.PixelData = one.PixelData[:-4]

    write_series(tmp_path, edit=cut)
    with pytest.raises(UndecodableError, match=r"1\.2\.3-004\.dcm.*cut short"):
        load(tmp_path)


def test_missing_frames_are_refused_by_name(tmp_path: Path) -> None:
    one = enhanced(Made(slices=4))
    one.PixelData = one.PixelData[: 3 * 96]
    save(one, tmp_path / "one.dcm")
    with pytest.raises(UndecodableError, match=r"frame \d of 'one\.dcm'"):
        load(tmp_path)


def test_a_missing_slice_is_named(coronal: Path) -> None:
    (coronal / "1.2.3-006.dcm").unlink()
    with pytest.raises(GeometryError, match=r"missing between slice 5 \(1\.2\.3-005\.dcm\) and slice 6 .*7\.60 mm"):
        load(coronal)
    assert "a slice is missing" in list_candidates(coronal)[0].reasons[0]


def test_the_fault_of_the_one_fitting_series_is_told(coronal: Path) -> None:
    write_series(coronal / "t2", Made(uid="1.2.4", orientation=SAGITTAL).but(**T2))
    (coronal / "1.2.3-006.dcm").unlink()
    with pytest.raises(GeometryError, match="a slice is missing"):
        load(coronal)


def test_a_whole_series_is_taken_before_a_faulty_one(coronal: Path) -> None:
    write_series(coronal / "again", Made(uid="1.2.4"))
    (coronal / "1.2.3-006.dcm").unlink()
    assert load(coronal).header.series_uid == "1.2.4"


def test_a_duplicated_slice_is_named(coronal: Path) -> None:
    shutil.copy(coronal / "1.2.3-006.dcm", coronal / "copy.dcm")
    with pytest.raises(GeometryError, match=r"1\.2\.3-006\.dcm.*copy\.dcm.*same position"):
        load(coronal)


def test_two_subjects_are_refused_without_naming_them(tmp_path: Path) -> None:
    write_series(tmp_path / "a", Made(uid="1.2.7", orientation=SAGITTAL))
    write_series(tmp_path / "b", Made(uid="1.2.8").but(PatientID="secret-4712"))
    with pytest.raises(InputRefusedError, match="images of 2 subjects") as caught:
        load(tmp_path)
    assert "secret" not in str(caught.value)
    assert [c.key for c in list_candidates(tmp_path)] == ["1.2.8", "1.2.7"]
    assert load(tmp_path, series="1.2.7").header.series_uid == "1.2.7"


def test_two_subjects_under_one_series_uid_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a")
    write_series(tmp_path / "b", Made().but(PatientName="Other^One"))
    with pytest.raises(InputRefusedError, match="images of 2 subjects"):
        load(tmp_path)


def test_studies_without_identity_are_not_taken_for_one_subject(tmp_path: Path) -> None:
    nobody: dict[str, Any] = {"PatientID": "", "PatientName": None}
    write_series(tmp_path / "a", Made(uid="1.2.7").but(**nobody))
    write_series(tmp_path / "b", Made(uid="1.2.8", study="1.9", orientation=SAGITTAL).but(**nobody))
    with pytest.raises(InputRefusedError, match="studies without any identifier"):
        load(tmp_path)


def test_localizers_only_are_refused(tmp_path: Path) -> None:
    for n, orientation in enumerate((AXIAL, SAGITTAL, Made().orientation)):
        write_series(tmp_path / str(n), Made(slices=3, orientation=orientation))
    found = list_candidates(tmp_path)
    assert [c.key for c in found] == ["1.2.3#stack3", "1.2.3#stack2", "1.2.3#stack1"]
    assert all("localizer" in c.reasons for c in found)
    with pytest.raises(AmbiguousSeriesError, match="no series is suitable"):
        load(tmp_path)


def test_ct_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, Made().but(Modality="CT", SOPClassUID=CTImageStorage))
    assert not list_candidates(tmp_path)[0].suitable
    with pytest.raises(InputRefusedError, match=r"modality is CT; an MR series is needed"):
        load(tmp_path)
    with pytest.raises(InputRefusedError, match="modality is CT"):
        load(tmp_path, series="1.2.3")


def test_rgb_is_refused(tmp_path: Path) -> None:
    rgb = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "BitsAllocated": 8}
    write_series(tmp_path, Made().but(**rgb, BitsStored=8, HighBit=7, PixelData=bytes(6 * 8 * 3)))
    with pytest.raises(InputRefusedError, match="pixels are RGB, not grey values"):
        load(tmp_path)


def test_a_secondary_capture_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, Made().but(SOPClassUID=SecondaryCaptureImageStorage))
    with pytest.raises(InputRefusedError, match="Secondary Capture Image Storage, not an original MR image"):
        load(tmp_path)


def test_a_constant_image_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, Made().but(PixelData=b"\x07\0" * 48))
    with pytest.raises(InputRefusedError, match="constant: every pixel is 7"):
        load(tmp_path)


def test_an_unusable_image_of_the_same_series_is_noted(tmp_path: Path) -> None:
    def spoil(one: FileDataset, k: int) -> None:
        if k == 11:
            one.Rows = 65535

    write_series(tmp_path, edit=spoil)
    loaded = load(tmp_path)
    assert loaded.volume.shape[2] == 11
    assert "left out: '1.2.3-012.dcm': its header states 65535 rows" in loaded.notes[0]


def test_a_blank_slice_is_noted(tmp_path: Path) -> None:
    def blank(one: FileDataset, k: int) -> None:
        if k == 1:
            one.PixelData = bytes(96)

    write_series(tmp_path, Made(slices=3), blank)
    assert load(tmp_path).notes == ("1.2.3-002.dcm is blank",)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"Rows": 65535, "Columns": 65535}, "65535 rows x 65535 columns; the limit is 4096"),
        ({"Rows": 0}, "0 rows x 8 columns; the limit is 4096"),
        ({"NumberOfFrames": 2_000_000_000}, "2000000000 frames; the limit is 10000"),
        ({"NumberOfFrames": 0}, "no valid number of frames; the limit is 10000"),
    ],
)
def test_absurd_sizes_are_refused_from_the_header(tmp_path: Path, extra: dict[str, Any], words: str) -> None:
    write_series(tmp_path, Made(slices=1).but(**extra))
    assert words in list_candidates(tmp_path)[0].reasons[0]
    with pytest.raises(InputRefusedError, match=words):
        load(tmp_path)


def test_a_huge_series_is_refused_from_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kneeage.io.series.MAX_VOXELS", 500)
    write_series(tmp_path)
    with pytest.raises(InputRefusedError, match="576 voxels; the limit is 500"):
        load(tmp_path)


def test_an_unsupported_transfer_syntax_is_named_with_the_remedy(tmp_path: Path) -> None:
    one = dataset(Made(), 0)
    path = save(one, tmp_path / "one.dcm")
    raw = path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.8\0")
    path.write_bytes(raw)
    with pytest.raises(UndecodableError, match=r"encoded as 1\.2\.840\.10008\.1\.2\.8.*gdcmconv --raw"):
        load(path)


def test_an_unreadable_file_is_refused_by_name(coronal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.name == "1.2.3-012.dcm":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputRefusedError, match=r"cannot read '1\.2\.3-012\.dcm': Permission denied"):
        load(coronal)
    with pytest.raises(InputRefusedError, match=r"cannot read '1\.2\.3-012\.dcm': Permission denied"):
        load(coronal / "1.2.3-012.dcm")
    assert len(list_candidates(coronal)) == 1


def test_a_broken_link_is_a_missing_slice(coronal: Path) -> None:
    (coronal / "1.2.3-012.dcm").unlink()
    (coronal / "1.2.3-012.dcm").symlink_to(coronal / "gone")
    with pytest.raises(InputRefusedError, match="No such file"):
        load(coronal)


def test_pipes_are_left_alone(coronal: Path) -> None:
    os.mkfifo(coronal / "pipe")
    assert load(coronal).volume.shape == (8, 6, 12)


def test_a_mixed_folder_never_stops_the_listing(coronal: Path) -> None:
    (coronal / "notes.txt").write_text("words")
    (coronal / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\0\x10")
    (coronal / "broken.nii.gz").write_bytes(b"\x1f\x8b nothing")
    write_series(coronal / "ct", Made(uid="1.2.4", slices=2).but(Modality="CT", SOPClassUID=CTImageStorage))
    nib.save(nib.Nifti1Image(np.random.default_rng(0).random((4, 5, 6, 2)), np.eye(4)), coronal / "four.nii")
    found = survey(coronal)
    assert [c.key for c in found.candidates] == ["1.2.3", "1.2.4", "four.nii"]
    assert found.foreign == 1
    assert len(found.unreadable) == 2
    assert "one 3-D image is needed" in candidate_lines(found.candidates)[2]


def test_long_lists_are_cut(coronal: Path) -> None:
    many = list_candidates(coronal) * 30
    assert candidate_lines(many)[-1] == "and 10 more"


def test_private_facts_never_show(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    private = {
        "PatientAge": "999Y",
        "PatientSize": "1.7",
        "OtherPatientIDs": "secret-1",
        "InstitutionName": "secret place",
        "ReferringPhysicianName": "secret doctor",
    }
    write_series(tmp_path, Made(slices=3).but(**private))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded, found = load(tmp_path), list_candidates(tmp_path)
    told = repr(loaded) + repr(found) + caplog.text
    for word in ("secret", "Nobody", "2001", "999Y"):
        assert word not in told


def test_age_birth_date_size_weight_and_sex_change_nothing(tmp_path: Path) -> None:
    first = Made(slices=3)
    second = first.but(
        PatientAge="012Y", PatientBirthDate="19500101", PatientSize="1.1", PatientWeight="20", PatientSex="F"
    )
    write_series(tmp_path / "a", first)
    write_series(tmp_path / "b", second)
    a, b = load(tmp_path / "a"), load(tmp_path / "b")
    assert a.pixel_sha256 == b.pixel_sha256
    assert (a.header, a.reasons, a.notes) == (b.header, b.reasons, b.notes)


def test_invalid_header_values_survive(coronal: Path) -> None:
    for path in coronal.iterdir():
        raw = path.read_bytes()
        raw = raw.replace(b"20010203", b"20019999").replace(b"90", b"x ")
        path.write_bytes(raw)
    assert load(coronal).header.acquisition.flip_angle_degrees is None


@pytest.mark.parametrize("step", [0, 1, 2, 3, 4])
def test_damaged_bytes_raise_only_our_errors(coronal: Path, step: int, caplog: pytest.LogCaptureFixture) -> None:
    path = coronal / "1.2.3-005.dcm"
    whole = path.read_bytes()
    rng = np.random.default_rng(step)
    for _ in range(40):
        raw = bytearray(whole)
        for at in rng.integers(128, len(raw), 6):
            raw[at] = int(rng.integers(0, 256))
        path.write_bytes(raw[: int(rng.integers(140, len(raw) + 1))])
        with suppress(InputRefusedError):
            load(path)
        found = survey(path)
        told = repr(found) + caplog.text
        assert "secret-4711" not in told
        assert "Nobody" not in told
