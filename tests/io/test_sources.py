from __future__ import annotations

import copy
import random
import zipfile
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.fileset import FileSet

from kneeage.core.errors import InputRefusedError, UndecodableError
from kneeage.io import archive, sources
from kneeage.io.read import load, survey
from kneeage.io.sources import open_source
from tests.io.support import Made, dataset, write_series


def _names(path: Path) -> list[str]:
    with open_source(path) as items:
        return [item.name for item in items]


def _zip(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(folder.rglob("*")):
            packed.write(file, file.relative_to(folder).as_posix())
    return path


def _dicomdir(folder: Path, made: Made) -> Path:
    """Write a file set with its DICOMDIR."""
    files = FileSet()
    for k in range(made.slices):
        one = dataset(made, k)
        one.StudyDate, one.StudyTime, one.StudyID, one.AccessionNumber, one.SeriesNumber = "20200101", "12", "1", "", 1
        files.add(one)
    files.write(folder)
    return folder / "DICOMDIR"


def test_a_folder_is_walked_in_order_of_names(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z", "a/b/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert _names(tmp_path) == ["a/b/c", "a/z", "b.txt"]


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_FILES", 2)
    for n in range(3):
        (tmp_path / str(n)).write_text("x")
    with pytest.raises(InputRefusedError, match="more than 2 files; that is the limit"):
        _names(tmp_path)


def test_something_that_is_no_file_is_refused() -> None:
    with pytest.raises(InputRefusedError, match="neither a file nor a folder"):
        _names(Path("/dev/null"))


def test_a_folder_that_cannot_be_listed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    scan = sources.os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(sources.os, "scandir", refuse)
    assert "cannot read 'closed'" in survey(tmp_path).unreadable[0]


def test_a_zip_gives_the_same_volume_as_its_folder(coronal: Path, tmp_path: Path) -> None:
    assert load(_zip(tmp_path / "膝.zip", coronal)).pixel_sha256 == load(coronal).pixel_sha256


def test_nothing_is_unpacked_on_the_disk(coronal: Path, tmp_path: Path) -> None:
    path = _zip(tmp_path / "study.zip", coronal)
    before = sorted(tmp_path.rglob("*"))
    load(path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["../evil.dcm", "a/../../evil.dcm", "/etc/evil", "C:\\evil", "a\\..\\..\\evil"])
def test_a_zip_with_names_that_lead_outside_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr(name, "x")
    with pytest.raises(InputRefusedError, match="name leads outside"):
        load(tmp_path / "x.zip")


def test_a_zip_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for n in range(3):
            packed.writestr(f"{n}.dcm", bytes(archive.RATIO_FREE_BYTES // 2))
    with pytest.raises(InputRefusedError, match=r"times its size; the limit is 100 times"):
        load(tmp_path / "x.zip")


def many_entries(path: Path, count: int) -> Path:
    """A zip whose end says that it holds one file, and whose table of contents holds many."""
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a", b"")
    raw = path.read_bytes()
    at, end = raw.index(b"PK\x01\x02"), raw.index(b"PK\x05\x06")
    record = bytearray(raw[end:])
    record[12:16] = (count * (end - at)).to_bytes(4, "little")
    path.write_bytes(raw[:at] + count * raw[at:end] + record)
    return path


def test_a_zip_of_very_many_files_is_refused_before_they_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = many_entries(tmp_path / "x.zip", 60_000)
    # Nothing that describes a file can be made.
    monkeypatch.setattr(zipfile, "ZipInfo", None)
    with pytest.raises(InputRefusedError, match="holds 60000 files; the limit is 50000"):
        load(path)
    monkeypatch.setattr(archive, "MAX_CONTENTS_BYTES", 1000)
    with pytest.raises(InputRefusedError, match=r"table of contents of \d+ bytes; the limit is 1000"):
        load(path)


def test_a_zip_bomb_of_one_file_named_often_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "RATIO_FREE_BYTES", 2**20)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("0.dcm", random.Random(0).randbytes(2**16) + bytes(2**20))
        for number in range(1, 20):
            again = copy.copy(packed.filelist[0])
            again.filename = f"{number}.dcm"
            packed.filelist.append(again)
    with pytest.raises(InputRefusedError, match="times its size"):
        load(tmp_path / "x.zip")


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("MAX_MEMBERS", 3, "holds 12 files; the limit is 3"),
        ("MAX_MEMBER_BYTES", 100, r"holds a file of \d+ bytes; the limit is 100 bytes"),
        ("MAX_TOTAL_BYTES", 1000, r"unpacks to \d+ bytes; the limit is 1000 bytes"),
    ],
)
def test_limits_of_a_zip_are_stated(
    coronal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, words: str
) -> None:
    monkeypatch.setattr(archive, limit, value)
    with pytest.raises(InputRefusedError, match=words):
        load(_zip(tmp_path / "x.zip", coronal))


def test_a_cut_zip_is_refused(coronal: Path, tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", coronal)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputRefusedError, match="damaged or cut short"):
        load(path)


def test_a_damaged_file_in_a_zip_is_refused_by_name(coronal: Path, tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", coronal)
    raw = bytearray(path.read_bytes())
    raw[200:260] = bytes(60)
    path.write_bytes(raw)
    with pytest.raises(UndecodableError, match=r"'1\.2\.3-001\.dcm' is damaged inside the zip"):
        load(path)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("a", "x")
    raw = bytearray((tmp_path / "x.zip").read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(raw)
    with pytest.raises(InputRefusedError, match="encrypted"):
        load(tmp_path / "x.zip")


def test_a_dicomdir_is_followed(tmp_path: Path, coronal: Path) -> None:
    path = _dicomdir(tmp_path / "disc", Made())
    write_series(tmp_path / "disc" / "not named", Made(uid="1.2.99"))
    assert load(path).pixel_sha256 == load(coronal).pixel_sha256
    assert len(_names(path)) == 12


def test_a_folder_with_a_dicomdir_is_a_folder(tmp_path: Path) -> None:
    _dicomdir(tmp_path, Made(slices=3))
    found = survey(tmp_path)
    assert (len(found.candidates), found.foreign, found.unreadable) == (1, 1, ())


def test_a_dicomdir_in_lower_case_is_followed(tmp_path: Path) -> None:
    path = _dicomdir(tmp_path / "disc", Made(slices=3))
    for file in sorted((tmp_path / "disc").rglob("*"), key=lambda p: -len(p.parts)):
        file.rename(file.with_name(file.name.lower()))
    assert load(path.with_name("dicomdir")).volume.shape == (8, 6, 3)


@pytest.mark.parametrize("reference", [["..", "SECRET"], ["A/../../SECRET"], ["C:", "X"], [".", "X"]])
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_a_dicomdir_that_leads_outside_is_refused(tmp_path: Path, reference: list[str]) -> None:
    path = _dicomdir(tmp_path / "disc", Made(slices=1))
    directory = dcmread(path)
    _image(directory).ReferencedFileID = reference
    directory.save_as(path)
    with pytest.raises(InputRefusedError, match="names a file outside its folder"):
        load(path)


def test_a_dicomdir_that_leads_outside_by_a_link_is_refused(tmp_path: Path, coronal: Path) -> None:
    path = _dicomdir(tmp_path / "disc", Made(slices=1))
    file = tmp_path / "disc" / Path(*_image(dcmread(path)).ReferencedFileID)
    file.unlink()
    file.symlink_to(coronal / "1.2.3-001.dcm")
    with pytest.raises(InputRefusedError, match="names a file outside its folder"):
        load(path)


def test_a_file_that_a_dicomdir_misses_is_refused_by_name(tmp_path: Path) -> None:
    path = _dicomdir(tmp_path / "disc", Made(slices=3))
    file = tmp_path / "disc" / Path(*_image(dcmread(path)).ReferencedFileID)
    file.unlink()
    with pytest.raises(InputRefusedError, match=f"cannot read '{file.name}': No such file"):
        load(path)


def test_too_many_references_of_a_dicomdir_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_FILES", 2)
    with pytest.raises(InputRefusedError, match="names 3 files; the limit is 2"):
        load(_dicomdir(tmp_path, Made(slices=3)))


def test_a_damaged_dicomdir_is_refused(tmp_path: Path) -> None:
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    with pytest.raises(InputRefusedError, match="'DICOMDIR' cannot be read"):
        load(tmp_path / "DICOMDIR")


def test_a_deflated_dicomdir_is_measured_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _dicomdir(tmp_path / "disc", Made(slices=3))
    seen: list[str] = []
    monkeypatch.setattr(sources, "require_small_when_inflated", lambda _file, name: seen.append(name))
    load(path)
    assert seen == ["DICOMDIR"]


def _image(directory: Dataset) -> Dataset:
    return next(record for record in directory.DirectoryRecordSequence if record.DirectoryRecordType == "IMAGE")
