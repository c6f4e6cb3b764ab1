from __future__ import annotations

import gzip
import tracemalloc
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from kneeage.core.anatomy import Plane
from kneeage.core.errors import GeometryError, InputRefusedError, OutputError, UndecodableError, UsageError
from kneeage.core.volume import Volume
from kneeage.io import nifti
from kneeage.io.nifti import NiftiHead, describe_nifti, read_nifti, write_image, write_labels
from kneeage.io.read import list_candidates, load
from kneeage.io.series import SeriesHeader

AFFINE = np.array([[-0.4, 0, 0, 10], [0, 0, -3.5, 20], [0, -0.5, 0, 30], [0, 0, 0, 1.0]])
CODES = ["".join(pick) for axes in permutations(("LR", "PA", "IS")) for pick in product(*axes)]


def _values(shape: tuple[int, ...] = (5, 6, 7)) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def _save(path: Path, values: np.ndarray | None = None, affine: np.ndarray = AFFINE, **header: Any) -> Path:
    image = nib.Nifti1Image(_values() if values is None else values, affine)
    for name, value in header.items():
        image.header[name] = value
    nib.save(image, path)
    return path


def test_a_file_is_read_on_its_own_grid(tmp_path: Path) -> None:
    for name in ("a.nii", "膝.nii.gz"):
        loaded = read_nifti(_save(tmp_path / name))
        np.testing.assert_array_equal(loaded.volume.array[0], _values())
        np.testing.assert_allclose(loaded.volume.affine, AFFINE, atol=1e-6)
        assert loaded.volume.array.dtype == np.float32
        assert (loaded.plane, loaded.header.weighting, loaded.header.source_format) == (Plane.CORONAL, None, "nifti")
        assert (loaded.header.side.value, loaded.header.side_source) == ("unknown", "not stated")
        assert not loaded.header.virtual
    assert load(tmp_path / "a.nii").pixel_sha256 == read_nifti(tmp_path / "膝.nii.gz").pixel_sha256


@pytest.mark.parametrize("codes", CODES)
def test_all_48_orientations_keep_world_positions(tmp_path: Path, codes: str) -> None:
    source = Volume(_values()[None], AFFINE).reoriented(codes)
    write_image(tmp_path / "a.nii", source)
    found = load(tmp_path / "a.nii").volume
    assert found.orientation == codes
    for value in (0, 77, 209):
        where = np.argwhere(found.array[0] == value)[0]
        expected = Volume(_values()[None], AFFINE).world(np.argwhere(_values() == value)[0])
        np.testing.assert_allclose(found.world(where), expected, atol=1e-4)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_types_and_byte_orders(tmp_path: Path, kind: type, order: str) -> None:
    image = nib.Nifti1Image(_values().astype(kind) // 2, AFFINE)
    swapped = nib.Nifti1Image(np.asarray(image.dataobj), AFFINE, image.header.as_byteswapped(order))
    nib.save(swapped, tmp_path / "a.nii")
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii").volume.array[0], _values() // 2)


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    image = nib.Nifti1Image(_values().astype(np.int16), AFFINE)
    image.header.set_slope_inter(2, -3)
    image.to_filename(tmp_path / "a.nii")
    expected = np.asarray(nib.load(tmp_path / "a.nii").dataobj)
    np.testing.assert_allclose(read_nifti(tmp_path / "a.nii").volume.array[0], expected)


def test_nifti_2_is_read(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(_values(), AFFINE), tmp_path / "a.nii")
    np.testing.assert_array_equal(load(tmp_path / "a.nii").volume.array[0], _values())


def test_a_file_without_suffix_is_known_by_its_magic(tmp_path: Path) -> None:
    _save(tmp_path / "a.nii").rename(tmp_path / "image")
    assert load(tmp_path / "image").header.source_format == "nifti"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinite_values_are_refused(tmp_path: Path, bad: float) -> None:
    values = _values()
    values[2, 3, 4] = bad
    with pytest.raises(InputRefusedError, match="NaN or infinite values"):
        load(_save(tmp_path / "a.nii", values))


def test_a_constant_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match="constant"):
        load(_save(tmp_path / "a.nii", np.full((5, 6, 7), 3, np.float32)))


def test_a_4d_image_is_refused(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.nii", _values((4, 5, 6, 2)))
    assert not list_candidates(path)[0].suitable
    with pytest.raises(InputRefusedError, match=r"has the shape \(4, 5, 6, 2\); one 3-D image is needed"):
        load(path)


@pytest.mark.parametrize("shape", [(4, 5, 6, 1), (4, 5)])
def test_trailing_ones_and_one_slice_are_fine(tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert load(_save(tmp_path / "a.nii", _values(shape))).volume.shape == (*shape, 1)[:3]


def test_an_absurd_matrix_is_refused_from_the_header(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.nii")
    raw = bytearray(path.read_bytes())
    raw[42:48] = np.array([32000, 32000, 32000], "<i2").tobytes()
    path.write_bytes(raw)
    with pytest.raises(InputRefusedError, match=r"32000.*the limit is 268435456"):
        load(path)


def test_a_late_start_of_values_is_refused(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.nii")
    raw = bytearray(path.read_bytes())
    raw[108:112] = np.array([1e12], "<f4").tobytes()
    path.write_bytes(raw)
    with pytest.raises(InputRefusedError, match="the limit is 67108864"):
        load(path)


def test_colour_and_complex_values_are_refused(tmp_path: Path) -> None:
    colour = np.zeros((4, 5, 6), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    for values in (colour, _values().astype(np.complex64)):
        with pytest.raises(InputRefusedError, match=r"grey values .* are needed"):
            load(_save(tmp_path / "a.nii", values))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("keep", [0.98, 0.5, 0.05])
def test_a_cut_file_is_refused_by_name(tmp_path: Path, name: str, keep: float) -> None:
    path = _save(tmp_path / name, np.random.default_rng(0).random((20, 20, 20)))
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(UndecodableError, match=rf"'{name}'.*(cut short|damaged)"):
        load(path)


def test_a_file_with_another_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"words" * 1000))
    with pytest.raises(UndecodableError, match="is not a whole NIfTI file"):
        load(tmp_path / "a.nii.gz")


def test_a_small_shear_is_repaired_and_recorded(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[0, 2] = 0.01 * 3.5
    loaded = read_nifti(_save(tmp_path / "a.nii", affine=affine))
    direction = loaded.volume.direction
    np.testing.assert_allclose(direction.T @ direction, np.eye(3), atol=1e-9)
    assert "affine repaired: axes made perpendicular (cosine was 0.01)" in loaded.notes
    np.testing.assert_allclose(loaded.volume.world((2, 2.5, 3)), (affine @ [2, 2.5, 3, 1])[:3], atol=1e-5)


def test_a_large_shear_is_refused(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[0, 2] = 0.1 * 3.5
    path = _save(tmp_path / "a.nii", affine=affine)
    with pytest.raises(GeometryError, match=r"not perpendicular .*tolerance is 0\.02"):
        load(path)


def _with_forms(path: Path, sform: np.ndarray | None, qform: np.ndarray | None) -> Path:
    image = nib.Nifti1Image(_values(), None)
    image.header.set_sform(sform, code=0 if sform is None else 1)
    image.header.set_qform(qform, code=0 if qform is None else 1)
    image.to_filename(path)
    raw = bytearray(path.read_bytes())
    raw[252:256] = np.array([qform is not None, sform is not None], "<i2").tobytes()
    path.write_bytes(raw)
    return path


def test_a_file_without_orientation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="neither sform nor qform"):
        load(_with_forms(tmp_path / "a.nii", None, None))


def test_a_qform_alone_is_enough(tmp_path: Path) -> None:
    np.testing.assert_allclose(load(_with_forms(tmp_path / "a.nii", None, AFFINE)).volume.affine, AFFINE, atol=1e-5)


def test_forms_of_different_orientation_are_refused(tmp_path: Path) -> None:
    flipped = AFFINE.copy()
    flipped[:, 0] *= -1
    with pytest.raises(GeometryError, match="of different orientation"):
        load(_with_forms(tmp_path / "a.nii", AFFINE, flipped))


def test_forms_that_differ_a_little_are_noted(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 2
    loaded = load(_with_forms(tmp_path / "a.nii", AFFINE, moved))
    assert loaded.notes == ("sform and qform differ by 2 mm; the sform counts",)
    np.testing.assert_allclose(loaded.volume.affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, 0.0])
def test_an_impossible_affine_is_refused(tmp_path: Path, bad: float) -> None:
    affine = AFFINE.copy()
    affine[:3, 1] = bad
    path = _save(tmp_path / "a.nii")
    raw = bytearray(path.read_bytes())
    raw[280:328] = affine[:3].astype("<f4").tobytes()
    path.write_bytes(raw)
    with pytest.raises(GeometryError, match="not finite or is singular"):
        load(path)


def _patched(path: Path, at: int, *values: float, kind: str = "<f4") -> Path:
    raw = bytearray(path.read_bytes())
    packed = np.array(values, kind).tobytes()
    raw[at : at + len(packed)] = packed
    path.write_bytes(raw)
    return path


def test_an_invalid_qform_beside_an_sform_is_noted(tmp_path: Path) -> None:
    path = _patched(_with_forms(tmp_path / "a.nii", AFFINE, AFFINE), 268, np.nan)
    assert load(path).notes == ("the qform is invalid; the sform counts",)


def test_a_quaternion_that_is_none_is_refused(tmp_path: Path) -> None:
    path = _patched(_with_forms(tmp_path / "a.nii", None, AFFINE), 256, 5.0, 5.0, 5.0)
    with pytest.raises(GeometryError, match="not finite or is singular"):
        load(path)


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    path = _patched(_save(tmp_path / "a.nii"), 70, 9999, kind="<i2")
    with pytest.raises(UndecodableError, match="damaged NIfTI header"):
        load(path)


def test_an_infinite_intercept_is_refused(tmp_path: Path) -> None:
    path = _patched(_save(tmp_path / "a.nii", _values().astype(np.int16)), 112, 2.0, np.inf)
    with pytest.raises(UndecodableError, match="invalid scale slope"):
        load(path)


def test_a_cut_stream_before_the_values_is_refused(tmp_path: Path) -> None:
    raw = bytearray(_save(tmp_path / "a.nii", np.random.default_rng(0).random((9, 9, 9))).read_bytes())
    raw[108:112] = np.array([4096], "<f4").tobytes()
    packed = gzip.compress(bytes(raw))
    (tmp_path / "b.nii.gz").write_bytes(packed[: len(packed) // 4])
    with pytest.raises(UndecodableError, match="damaged or cut short"):
        load(tmp_path / "b.nii.gz")


def test_a_file_that_does_not_read_back_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kneeage.io.nifti.np.allclose", lambda *_, **__: False)
    with pytest.raises(OutputError, match="does not read back"):
        write_image(tmp_path / "a.nii", Volume(_values()[None], AFFINE))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_vanishes_after_the_listing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _save(tmp_path / "a.nii")

    def lose(head: NiftiHead) -> SeriesHeader:
        path.unlink()
        return describe_nifti(head)

    monkeypatch.setattr("kneeage.io.read.describe_nifti", lose)
    with pytest.raises(InputRefusedError, match=r"cannot read 'a\.nii': No such file"):
        load(path)


def test_other_units_are_refused(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.nii", xyzt_units=1)
    with pytest.raises(GeometryError, match="is in meter; convert it to mm"):
        load(path)


def test_a_virtual_image_says_so(tmp_path: Path) -> None:
    write_image(tmp_path / "a.nii.gz", Volume(_values()[None], AFFINE), virtual=True)
    assert load(tmp_path / "a.nii.gz").header.virtual


def test_labels_are_written_as_they_are(tmp_path: Path) -> None:
    labels = (np.arange(210) % 12).reshape(1, 5, 6, 7).astype(np.uint8)
    write_labels(tmp_path / "labels.nii.gz", Volume(labels, AFFINE), note="drawn by hand")
    image = nib.load(tmp_path / "labels.nii.gz")
    assert image.header["descrip"].item() == b"drawn by hand"
    assert image.get_data_dtype() == np.uint8
    assert image.header.get_slope_inter() == (1.0, 0.0) or image.header.get_slope_inter() == (None, None)
    np.testing.assert_array_equal(np.asarray(image.dataobj), labels[0])
    np.testing.assert_allclose(image.get_qform(), AFFINE, atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.nii.gz"]


def test_the_same_labels_give_the_same_bytes(tmp_path: Path) -> None:
    volume = Volume((_values() % 12)[None], AFFINE)
    for name in ("a.nii.gz", "b.nii.gz"):
        write_labels(tmp_path / name, volume)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_sheared_grid_is_written_by_its_sform(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[0, 2] = 0.03 * 3.5
    write_labels(tmp_path / "a.nii", Volume((_values() % 12)[None], affine))
    image = nib.load(tmp_path / "a.nii")
    np.testing.assert_allclose(image.affine, affine, atol=1e-6)
    assert int(image.header["qform_code"]) == 0


@pytest.mark.parametrize("bad", [0.5, -1, 300])
def test_values_that_are_no_labels_are_refused(tmp_path: Path, bad: float) -> None:
    with pytest.raises(UsageError, match="whole numbers from 0 to 255"):
        write_labels(tmp_path / "a.nii", Volume(np.full((1, 2, 2, 2), bad), AFFINE))


def test_writing_refuses_two_channels_other_suffixes_and_existing_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one channel; found 2"):
        write_image(tmp_path / "a.nii", Volume(np.zeros((2, 2, 2, 2)), AFFINE))
    with pytest.raises(UsageError, match=r"must end in \.nii"):
        write_image(tmp_path / "a.img", Volume(_values()[None], AFFINE))
    (tmp_path / "a.nii").write_text("mine")
    with pytest.raises(OutputError, match="there already"):
        write_image(tmp_path / "a.nii", Volume(_values()[None], AFFINE))
    assert (tmp_path / "a.nii").read_text() == "mine"


def test_a_place_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="something else lies there"):
        write_image(tmp_path / "file" / "a.nii", Volume(_values()[None], AFFINE))


def test_values_are_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _save(tmp_path / "a.nii.gz", scl_slope=2, scl_inter=1)
    whole = read_nifti(path)
    monkeypatch.setattr(nifti, "_CHUNK_VALUES", 8)
    assert read_nifti(path).pixel_sha256 == whole.pixel_sha256


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_reading_takes_little_more_than_the_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = _save(tmp_path / name, np.arange(100**3, dtype=np.float64).reshape(100, 100, 100))
    monkeypatch.setattr(nifti, "_CHUNK_VALUES", 2**14)
    tracemalloc.start()
    try:
        read_nifti(path)
        assert tracemalloc.get_traced_memory()[1] < 1.25 * 4 * 100**3
    finally:
        tracemalloc.stop()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match=r"cannot read 'a\.nii'"):
        read_nifti(tmp_path / "a.nii")
