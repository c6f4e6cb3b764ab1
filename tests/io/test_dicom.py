from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from kneeage.core.errors import InputRefusedError, UndecodableError
from kneeage.io import inflate
from kneeage.io.dicom import read_instance
from kneeage.io.facts import MAX_TEXT_CHARACTERS, MAX_VALUES, Facts
from kneeage.io.instance import Instance
from kneeage.io.item import SourceItem
from kneeage.io.read import load
from tests.io.support import Made, dataset, enhanced, save


def _read(path: Path) -> Instance | None:
    return read_instance(SourceItem(path.name, lambda: path.open("rb")))


def _made(tmp_path: Path, **extra: Any) -> Instance:
    found = _read(save(dataset(Made().but(**extra), 0), tmp_path / "one.dcm"))
    assert found is not None
    return found


def test_facts_of_a_classic_image(tmp_path: Path) -> None:
    one = _made(tmp_path)
    assert (one.rows, one.columns, len(one.frames), one.modality) == (6, 8, 1, "MR")
    assert one.frames[0].plane.pixel_spacing_mm == (0.5, 0.4)
    assert one.frames[0].acquisition.repetition_time_ms == 600
    assert one.texts == {"series description": "cor t1"}
    assert one.problem is None


def test_facts_of_an_enhanced_image(tmp_path: Path) -> None:
    one = _read(save(enhanced(Made(slices=3), slope=lambda k: k + 1), tmp_path / "one.dcm"))
    assert one is not None
    assert [frame.slope for frame in one.frames] == [3, 2, 1]
    assert [frame.plane.position_mm[1] for frame in one.frames if frame.plane.position_mm] == pytest.approx(
        [27.6, 23.8, 20.0]
    )
    assert one.frames[2].acquisition.echo_time_ms == 15
    assert one.frames[2].acquisition.sequence == ("SPIN",)


def test_identity_is_a_token(tmp_path: Path) -> None:
    first, again = _made(tmp_path), _made(tmp_path, PatientName="nobody^known^^", SeriesInstanceUID="1.9")
    other = _made(tmp_path, PatientID="secret-4712")
    assert first.subject_token == again.subject_token != other.subject_token
    assert "secret" not in repr(vars(first))
    assert "Nobody" not in repr(vars(first))


def test_objects_without_an_image_are_foreign(tmp_path: Path) -> None:
    one = dataset(Made().but(SOPClassUID=EncapsulatedPDFStorage, Rows=None, Columns=None, PixelData=None), 0)
    assert _read(save(one, tmp_path / "report.dcm")) is None


def test_text_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("words " * 100)
    assert _read(tmp_path / "a") is None


def test_a_header_without_pixels_is_refused_by_name(tmp_path: Path) -> None:
    path = save(dataset(Made().but(PixelData=None), 0), tmp_path / "one.dcm")
    with pytest.raises(UndecodableError, match=r"'one\.dcm' has no pixel data"):
        _read(path)


@pytest.mark.parametrize("implicit", [True, False])
def test_a_file_without_preamble_is_read(tmp_path: Path, implicit: bool) -> None:
    one = dataset(Made(slices=1), 0)
    path = tmp_path / "bare"
    del one.file_meta
    with path.open("wb") as file:
        dcmwrite(file, one, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert load(path).volume.array[0, 3, 2, 0] == 100 + 2 * 8 + 3


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_uncompressed_encodings_give_the_same_pixels(tmp_path: Path, syntax: Any) -> None:
    plain = save(dataset(Made(slices=1), 0), tmp_path / "plain.dcm")
    one = dcmread(plain)
    if syntax == ExplicitVRBigEndian:
        one.PixelData = one.pixel_array.astype(">u2").tobytes()
    one.file_meta.TransferSyntaxUID = syntax
    one = Dataset(one)
    one.file_meta = dcmread(plain).file_meta
    one.file_meta.TransferSyntaxUID = syntax
    dcmwrite(tmp_path / "other.dcm", one, enforce_file_format=True)
    assert load(tmp_path / "other.dcm").pixel_sha256 == load(plain).pixel_sha256


def test_run_length_encoding_gives_the_same_pixels(tmp_path: Path) -> None:
    plain = save(dataset(Made(slices=1), 0), tmp_path / "plain.dcm")
    one = dcmread(plain)
    one.compress(RLELossless, generate_instance_uid=False)
    assert load(save(one, tmp_path / "rle.dcm")).pixel_sha256 == load(plain).pixel_sha256


def _deflated(tmp_path: Path, rest: bytes) -> Path:
    """A deflated file whose stream holds ``rest`` after a little header."""
    one = dataset(Made(slices=1), 0)
    one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = save(one, tmp_path / "one.dcm")
    raw = path.read_bytes()
    meta_length = int.from_bytes(raw[140:144], "little")
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    path.write_bytes(raw[: 144 + meta_length] + packer.compress(rest) + packer.flush())
    return path


def test_a_deflate_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "MAX_INFLATED_BYTES", 2**22)
    with pytest.raises(InputRefusedError, match="inflates to more than 4194304 bytes; that is the limit"):
        load(_deflated(tmp_path, bytes(2**23)))


def test_a_deflate_bomb_behind_a_long_header_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "MAX_INFLATED_BYTES", 2**22)
    path = _deflated(tmp_path, bytes(2**23))
    raw = path.read_bytes()
    version = b"\x02\0\1\0OB\0\0" + (5000).to_bytes(4, "little") + bytes(5000)
    length = int.from_bytes(raw[140:144], "little") + len(version)
    path.write_bytes(raw[:140] + length.to_bytes(4, "little") + version + raw[144:])
    with pytest.raises(InputRefusedError, match="inflates to more than"):
        load(path)


@pytest.mark.parametrize("padding", [b"\0\0", b"  "])
def test_a_deflate_bomb_behind_a_padded_syntax_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, padding: bytes
) -> None:
    monkeypatch.setattr(inflate, "MAX_INFLATED_BYTES", 2**22)
    path = _deflated(tmp_path, bytes(2**23))
    plain, padded = b"UI\x16\0" + DeflatedExplicitVRLittleEndian.encode(), b"UI\x18\0"
    raw = path.read_bytes().replace(plain, padded + plain[4:] + padding)
    path.write_bytes(raw[:140] + (int.from_bytes(raw[140:144], "little") + 2).to_bytes(4, "little") + raw[144:])
    with pytest.raises(InputRefusedError, match="inflates to more than"):
        load(path)


@pytest.mark.parametrize("stated", [0, 20, 2**31])
def test_a_deflate_bomb_behind_a_false_group_length_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: int
) -> None:
    monkeypatch.setattr(inflate, "MAX_INFLATED_BYTES", 2**22)
    path = _deflated(tmp_path, bytes(2**23))
    raw = path.read_bytes()
    path.write_bytes(raw[:140] + stated.to_bytes(4, "little") + raw[144:])
    with pytest.raises(InputRefusedError, match="inflates to more than"):
        load(path)


def test_a_deflate_bomb_without_group_length_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "MAX_INFLATED_BYTES", 2**22)
    path = _deflated(tmp_path, bytes(2**23))
    raw = path.read_bytes()
    path.write_bytes(raw[:132] + raw[144:])
    with pytest.raises(InputRefusedError, match="inflates to more than"):
        load(path)


def test_a_deflate_bomb_behind_a_command_set_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "MAX_INFLATED_BYTES", 2**22)
    path = _deflated(tmp_path, bytes(2**23))
    raw = path.read_bytes()
    start = 144 + int.from_bytes(raw[140:144], "little")
    path.write_bytes(raw[:start] + b"\0\0\0\1\2\0\0\0\1\0" + raw[start:])
    with pytest.raises(InputRefusedError, match="inflates to more than"):
        load(path)


def test_a_damaged_deflated_file_is_refused_by_name(tmp_path: Path) -> None:
    path = _deflated(tmp_path, bytes(range(256)) * 20)
    raw = path.read_bytes()
    start = 144 + int.from_bytes(raw[140:144], "little")
    path.write_bytes(raw[:start] + b"\x07" * 40)
    with pytest.raises(UndecodableError, match=r"'one\.dcm'.*damaged"):
        load(path)


@pytest.mark.parametrize(
    ("attribute", "value"), [("EchoTime", b"x"), ("EchoTime", b""), ("PixelSpacing", b"a\\b"), ("NumberOfFrames", b"q")]
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_invalid_values_are_absent_values(attribute: str, value: bytes) -> None:
    tag = Tag(attribute)
    vr = {"EchoTime": "DS", "PixelSpacing": "DS", "NumberOfFrames": "IS"}[attribute]
    one = Dataset()
    one[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    facts = Facts(one)
    assert facts.number(attribute) is None
    assert facts.numbers(attribute, 2) is None
    assert facts.whole(attribute) is None


@pytest.mark.parametrize("text", ["A" * 60_000, "\\".join(["A"] * 30_000)], ids=["long", "many"])
def test_texts_end_at_their_limits(text: str) -> None:
    one = Dataset()
    one.add_new("SeriesDescription", "LO", text)
    facts = Facts(one)
    assert 500 < len(facts.text("SeriesDescription") or "") <= MAX_TEXT_CHARACTERS
    assert len(facts.texts("SeriesDescription")) <= MAX_VALUES


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("左膝", "左膝"),
        ("左膝".encode().decode("latin-1"), "左膝"),
        ("左膝".encode("gb2312").decode("latin-1"), "左膝"),
        ("Kniegelenk für später", "Kniegelenk für später"),
        ("two\r\nlines", "two lines"),
        ("swallowed\0\x10binary", None),
    ],
)
def test_texts_are_mended(raw: str, text: str | None) -> None:
    one = Dataset()
    one.SeriesDescription = raw
    assert Facts(one).text("SeriesDescription") == text


def test_the_more_specific_data_set_wins() -> None:
    broad, narrow = Dataset(), Dataset()
    broad.EchoTime, narrow.EchoTime, broad.FlipAngle, narrow.FlipAngle = 1, 2, 3, None
    assert Facts(narrow, broad).number("EchoTime") == 2
    assert Facts(narrow, broad).number("FlipAngle") == 3


def test_side_codes_of_the_region_are_read(tmp_path: Path) -> None:
    modifier, region = Dataset(), Dataset()
    modifier.CodeValue, region.CodeMeaning = "7771000", "Knee"
    region.AnatomicRegionModifierSequence = Sequence([modifier])
    one = _made(tmp_path, AnatomicRegionSequence=Sequence([region]), ImageLaterality="L", BodyPartExamined=None)
    assert one.lateralities == {"ImageLaterality": "L", "AnatomicRegionModifierSequence": "7771000"}
    assert one.body_parts == ("KNEE",)


def test_explicit_little_endian_is_what_the_builder_writes(tmp_path: Path) -> None:
    assert _made(tmp_path).transfer_syntax == ExplicitVRLittleEndian
