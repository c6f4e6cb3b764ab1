from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from kneeage.core.errors import UndecodableError
from kneeage.io.codestream import codestream_fault
from kneeage.io.read import load
from kneeage.io.series import describe
from tests.io.support import Made, dataset, enhanced, save

SHAPE = (20, 24)


def _values() -> np.ndarray:
    return (np.add.outer(np.arange(20), np.arange(24)) * 37 % 4096).astype("<u2")


def _jpeg_2000(values: np.ndarray) -> bytes:
    with BytesIO() as out:
        Image.fromarray(values).save(out, "JPEG2000", no_jp2=True, irreversible=False)
        return out.getvalue()


def _jpeg() -> bytes:
    with BytesIO() as out:
        Image.fromarray(_values().astype(np.uint8)).save(out, "JPEG")
        return out.getvalue()


def _write(path: Path, frame: bytes) -> Path:
    one = dataset(Made(slices=1, shape=SHAPE).but(PixelData=_values().tobytes()), 0)
    one.PixelData = encapsulate([frame])
    one["PixelData"].is_undefined_length = True
    one.file_meta.TransferSyntaxUID = JPEG2000Lossless
    return save(one, path)


def test_jpeg_2000_gives_the_pixels(tmp_path: Path) -> None:
    loaded = load(_write(tmp_path / "one.dcm", _jpeg_2000(_values())))
    np.testing.assert_array_equal(loaded.volume.array[0, :, :, 0].T, _values())


def test_a_cut_codestream_is_refused_by_name(tmp_path: Path) -> None:
    frame = _jpeg_2000(_values())
    with pytest.raises(UndecodableError, match=r"'one\.dcm': its pixel data is cut short"):
        load(_write(tmp_path / "one.dcm", frame[: len(frame) // 2]))


def test_a_codestream_of_another_size_is_refused_before_decoding(tmp_path: Path) -> None:
    with pytest.raises(UndecodableError, match=r"does not hold the 20 x 24 pixels"):
        load(_write(tmp_path / "one.dcm", _jpeg_2000(np.tile(_values(), (2, 2)))))


@pytest.mark.parametrize("lenient", [False, True])
def test_a_damaged_codestream_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, lenient: bool
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)  # as printing a PDF leaves it
    frame = bytearray(_jpeg_2000(_values()))
    frame[60:120] = b"\xff" * 60
    with pytest.raises(UndecodableError, match=r"'one\.dcm'.*JPEG 2000.*cannot be decoded"):
        load(_write(tmp_path / "one.dcm", bytes(frame)))
    assert lenient == ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_file_cut_inside_its_codestream_is_refused_by_name(tmp_path: Path) -> None:
    path = _write(tmp_path / "one.dcm", _jpeg_2000(_values()))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(UndecodableError, match=r"'one\.dcm'.*cut short"):
        load(path)


def test_missing_compressed_frames_are_refused_by_name(tmp_path: Path) -> None:
    one = enhanced(Made(slices=3, shape=SHAPE))
    one.PixelData = encapsulate([_jpeg_2000(_values())], has_bot=False)
    one["PixelData"].is_undefined_length = True
    one.file_meta.TransferSyntaxUID = JPEG2000Lossless
    with pytest.raises(UndecodableError, match=r"'one\.dcm'"):
        load(save(one, tmp_path / "one.dcm"))


def test_frames_without_their_item_tags_are_refused_by_name(tmp_path: Path) -> None:
    path = _write(tmp_path / "one.dcm", _jpeg_2000(_values()))
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"\xfe\xff\0\xe0", b"\xfe\xff\0\xe1"))
    with pytest.raises(UndecodableError, match=r"compressed frames of 'one\.dcm' are damaged"):
        load(path)


def test_a_file_that_vanishes_after_the_listing_is_refused(coronal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*args: object) -> tuple[object, ...]:
        (coronal / "1.2.3-003.dcm").unlink()
        return describe(*args)

    monkeypatch.setattr("kneeage.io.read.describe", lose)
    with pytest.raises(UndecodableError, match=r"pixel data of '1\.2\.3-003\.dcm' cannot be read"):
        load(coronal)


def test_short_run_lengths_are_refused_by_name(tmp_path: Path) -> None:
    one = dcmread(save(dataset(Made(slices=1), 0), tmp_path / "plain.dcm"))
    one.compress(RLELossless, generate_instance_uid=False)
    one.PixelData = encapsulate([one.PixelData[16:-8][:70]])
    with pytest.raises(UndecodableError, match=r"'rle\.dcm'.*RLE Lossless"):
        load(save(one, tmp_path / "rle.dcm"))


@pytest.mark.parametrize(
    ("frame", "syntax", "size", "fault"),
    [
        (_jpeg_2000(_values()), JPEG2000Lossless, SHAPE, None),
        (_jpeg_2000(_values()) + b"\0", JPEG2000Lossless, SHAPE, None),
        (_jpeg_2000(_values())[:-2], JPEG2000Lossless, SHAPE, "cut short"),
        (_jpeg_2000(_values()), JPEG2000Lossless, (20, 25), "20 x 25 pixels"),
        (b"\xff\xd9", JPEG2000Lossless, SHAPE, "20 x 24 pixels"),
        (_jpeg(), JPEGBaseline8Bit, SHAPE, None),
        (_jpeg(), JPEGBaseline8Bit, (21, 24), "21 x 24 pixels"),
        (_jpeg()[:-9], JPEGBaseline8Bit, SHAPE, "cut short"),
        (b"\xff\xd8\xff\xf7\0\x0b\x0c\0\x14\0\x18\x01\xff\xd9", JPEGLSLossless, SHAPE, None),
        (b"\xff\xd8\xff\xff\xff\xf7\0\x0b\x0c\0\x14\0\x18\x01\xff\xd9", JPEGLSLossless, SHAPE, None),
        (b"\xff\xd8\xff\xf7\0\x0b\x0c\0\x14\0\x18\x03\xff\xd9", JPEGLSLossless, SHAPE, "20 x 24 pixels of one"),
        (_jpeg_2000(np.dstack([_values().astype(np.uint8)] * 3)), JPEG2000Lossless, SHAPE, "20 x 24 pixels of one"),
        (b"nonsense\xff\xd9", JPEGLSLossless, SHAPE, "20 x 24 pixels"),
        (b"anything", RLELossless, SHAPE, None),
    ],
)
def test_codestream_fault(frame: bytes, syntax: str, size: tuple[int, int], fault: str | None) -> None:
    found = codestream_fault(frame, syntax, *size)
    assert found is None if fault is None else fault in str(found)
