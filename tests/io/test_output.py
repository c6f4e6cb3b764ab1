"""An output is whole or not there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kneeage.core.errors import InputRefusedError, OutputError
from kneeage.io.output import replace_file, require_free, set_aside, whole_file, whole_folder


def left_behind(folder: Path) -> list[str]:
    """Everything in a folder, hidden names too."""
    return sorted(path.name for path in folder.iterdir())


def fill_folder(target: Path, sizes: dict[str, int], *, meanwhile: Path | None = None) -> None:
    """Write files of the given sizes in bytes; meanwhile somebody else makes a file."""
    with whole_folder(target) as folder:
        for name, size in sizes.items():
            (folder / name).write_bytes(b"0" * size)
        if meanwhile is not None:
            meanwhile.parent.mkdir()
            meanwhile.touch()


def test_folder_takes_its_place_at_the_end(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a.txt").write_text("a")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "sub" / "a.txt").read_text() == "a"
    assert left_behind(tmp_path) == ["out"]


def test_non_ascii_and_missing_parents(tmp_path: Path) -> None:
    target = tmp_path / "报告" / "knie größe" / "out"
    with whole_folder(target) as folder:
        (folder / "a").touch()
    assert left_behind(target) == ["a"]


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with whole_folder(Path("out")) as folder:
        (folder / "a").touch()
    assert left_behind(tmp_path / "out") == ["a"]


def test_folder_one_works_in_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="the one you are in"), whole_folder(Path()):
        pass
    assert Path.cwd() == tmp_path


def test_empty_folder_gives_way(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with whole_folder(tmp_path / "out") as folder:
        (folder / "a").touch()
    assert left_behind(tmp_path / "out") == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize("mode", [0o700, 0o750, 0o555])
def test_an_empty_folder_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "out"
    target.mkdir()
    target.chmod(mode)
    with whole_folder(target) as folder:
        assert folder.stat().st_mode & 0o777 == mode | 0o700
        (folder / "a").touch()
    assert target.stat().st_mode & 0o777 == mode
    assert left_behind(target) == ["a"]


@pytest.mark.parametrize("error", [InputRefusedError("no"), ValueError("bug"), KeyboardInterrupt()])
def test_failure_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def fail() -> None:
        with whole_folder(tmp_path / "deep" / "out") as folder:
            (folder / "a").touch()
            raise error

    with pytest.raises(type(error)):
        fail()
    assert left_behind(tmp_path) == []


def test_foreign_os_error_is_not_called_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, whole_folder(tmp_path / "out"):
        (tmp_path / "missing input").read_bytes()
    assert not isinstance(caught.value, OutputError)
    assert left_behind(tmp_path) == []


def test_output_error_from_inside_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"^as said inside$"), whole_folder(tmp_path / "out"):
        raise OutputError("as said inside")


def test_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "earlier").touch()
    with (
        pytest.raises(OutputError, match="a folder that is not empty; choose another output folder"),
        whole_folder(tmp_path / "out"),
    ):
        pytest.fail("the block must not begin")
    assert left_behind(tmp_path / "out") == ["earlier"]


@pytest.mark.parametrize("link", [False, True])
def test_file_in_the_way_is_refused(tmp_path: Path, link: bool) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "nowhere") if link else (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="is a file; choose another output folder"):
        require_free(tmp_path / "out")


def test_file_above_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="something else lies there"), whole_folder(tmp_path / "file" / "out"):
        pytest.fail("the block must not begin")


def test_folder_filled_meanwhile_is_not_touched(tmp_path: Path) -> None:
    theirs = tmp_path / "out" / "theirs"
    with pytest.raises(OutputError, match="something else lies there"):
        fill_folder(tmp_path / "out", {"mine": 1}, meanwhile=theirs)
    assert left_behind(tmp_path / "out") == ["theirs"]
    assert left_behind(tmp_path) == ["out"]


def test_place_without_permission_is_said(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root ignores permission bits; the read-only disk shows the same")
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="choose a place you may write to"), whole_folder(tmp_path / "out"):
        pytest.fail("the block must not begin")


def test_read_only_disk_is_said(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for whole in (whole_folder, whole_file):
        with pytest.raises(OutputError, match="choose a place you may write to"), whole(small_disk / "out"):
            pytest.fail("the block must not begin")


@pytest.mark.parametrize("above", ["", "deep"])
def test_full_disk_leaves_nothing(small_disk: Path, above: str) -> None:
    target = small_disk / above / "out"
    with pytest.raises(OutputError, match=r"the disk is full: .* was not written; free some space"):
        fill_folder(target, {"small": 1000, "large": 200_000})
    assert left_behind(small_disk) == []
    fill_folder(target, {"small": 50_000})
    assert left_behind(target) == ["small"]


def test_full_disk_leaves_no_file(small_disk: Path) -> None:
    with pytest.raises(OutputError, match="the disk is full"), whole_file(small_disk / "labels.nii.gz") as file:
        file.write_bytes(b"0" * 200_000)
    assert left_behind(small_disk) == []


def test_file_takes_its_place_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "labels.nii.gz"
    with whole_file(target) as file:
        assert file.name.endswith(".nii.gz")
        file.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert left_behind(tmp_path) == ["labels.nii.gz"]


def test_file_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "labels.nii.gz"
    target.write_bytes(b"earlier")
    with pytest.raises(OutputError, match="is there already"), whole_file(target):
        pytest.fail("the block must not begin")
    assert target.read_bytes() == b"earlier"


def test_file_that_came_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "labels.nii.gz"
    with pytest.raises(OutputError, match="is there already"), whole_file(target):
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs"
    assert left_behind(tmp_path) == ["labels.nii.gz"]


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    replace_file(path, "a\n")
    replace_file(path, "b\n")
    assert path.read_bytes() == b"b\n"
    assert [each.name for each in path.parent.iterdir()] == ["table.csv"]


def test_a_file_that_cannot_be_replaced_is_said(tmp_path: Path) -> None:
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(OutputError, match="something else lies there"):
        replace_file(tmp_path / "table.csv", "a")
    assert [each.name for each in tmp_path.iterdir()] == ["table.csv"]


def test_an_edited_file_gets_the_first_free_name(tmp_path: Path) -> None:
    for text in ("first", "second"):
        (tmp_path / "table.csv").write_text(text, encoding="utf-8")
        set_aside(tmp_path / "table.csv", "edited")
    assert (tmp_path / "table.edited-1.csv").read_text(encoding="utf-8") == "first"
    assert (tmp_path / "table.edited-2.csv").read_text(encoding="utf-8") == "second"
