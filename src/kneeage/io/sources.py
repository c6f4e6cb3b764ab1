"""From a path to the items in it: a DICOM or NIfTI file, a folder, a DICOMDIR or a zip."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, dcmread
from pydicom.multival import MultiValue

from kneeage.core.errors import InputRefusedError
from kneeage.io.archive import is_archive, open_archive
from kneeage.io.facts import READ_ERRORS, quietly
from kneeage.io.inflate import require_small_when_inflated
from kneeage.io.item import SourceItem

# Files in one folder tree or DICOMDIR. Ten times the largest study we know of; our own choice.
MAX_FILES = 100_000

_HEAD_BYTES = 1024
# SOP class of a DICOMDIR, followed by the tag group 0002 of the next element.
# Source: DICOM PS3.4 section I.4 (Media Storage Directory Storage).
_DICOMDIR_SIGNATURE = b"1.2.840.10008.1.3.10\x02\x00"


@contextmanager
def open_source(path: Path) -> Iterator[list[SourceItem]]:
    """Give every file of a source as an item; items can be opened as long as the source is open.

    Args:
        path: DICOM file, NIfTI file, folder (nested, mixed), DICOMDIR or zip.

    Yields:
        The items, sorted by name.

    Raises:
        InputRefusedError: The path is not there, cannot be read, is unsafe or past a limit.
    """
    with ExitStack() as stack:
        yield _items(Path(path), stack)


def _items(path: Path, stack: ExitStack) -> list[SourceItem]:
    """List the items of a path by its kind."""
    if path.is_dir():
        return _folder_items(path)
    head = _read_head(path)
    if is_archive(head):
        return stack.enter_context(open_archive(path))
    if path.name.upper() == "DICOMDIR" or _DICOMDIR_SIGNATURE in head:
        return _dicomdir_items(path)
    return [_file_item(path, path.name)]


def _read_head(path: Path) -> bytes:
    """Read the first bytes of a file."""
    if not path.exists():
        raise InputRefusedError(f"{path.name!r} is not there; give a DICOM file, folder, DICOMDIR, zip or NIfTI file")
    if not path.is_file():
        raise InputRefusedError(f"{path.name!r} is neither a file nor a folder; give a DICOM or NIfTI file or folder")
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as error:
        raise InputRefusedError(f"cannot read {path.name!r}: {error.strerror}; check its permissions") from error


def _folder_items(folder: Path) -> list[SourceItem]:
    """List the files below a folder; linked folders are not followed, so that no walk runs in a circle."""
    unreadable: list[SourceItem] = []

    def note(error: OSError) -> None:
        """Keep a folder that cannot be listed as an item that cannot be opened."""
        unreadable.append(_file_item(Path(str(error.filename)), Path(str(error.filename)).name))

    items: list[SourceItem] = []
    for parent, _, files in os.walk(folder, onerror=note):
        items += [_file_item(path, path.relative_to(folder).as_posix()) for path in _readable(Path(parent), files)]
        if len(items) > MAX_FILES:
            raise InputRefusedError(f"the folder holds more than {MAX_FILES} files; that is the limit; give one study")
    return sorted(items + unreadable, key=lambda item: item.name)


def _readable(parent: Path, names: list[str]) -> Iterator[Path]:
    """Leave out pipes, sockets and devices, which would hang; keep broken links, so that they are missed."""
    for name in names:
        path = parent / name
        if path.is_file() or (path.is_symlink() and not path.exists()):
            yield path


def _dicomdir_items(path: Path) -> list[SourceItem]:
    """List the files that a DICOMDIR refers to, all of them inside its folder."""
    with quietly():
        references = _references(path)
    if len(references) > MAX_FILES:
        raise InputRefusedError(f"the DICOMDIR names {len(references)} files; the limit is {MAX_FILES}; give one study")
    items = {item.name: item for item in (_referenced_item(path.parent, parts) for parts in references)}
    return sorted(items.values(), key=lambda item: item.name)


def _references(path: Path) -> list[list[str]]:
    """Read the parts of every referenced file name of a DICOMDIR."""
    try:
        with path.open("rb") as file:
            require_small_when_inflated(file, path.name)
            directory = dcmread(file, force=True, specific_tags=["DirectoryRecordSequence"])
            records: list[Dataset] = list(directory["DirectoryRecordSequence"].value)
            return [_parts(record.ReferencedFileID) for record in records if record.get("ReferencedFileID")]
    except READ_ERRORS as error:
        raise InputRefusedError(f"the DICOMDIR {path.name!r} cannot be read; give the folder around it") from error


def _parts(file_id: object) -> list[str]:
    """Give the components of a Referenced File ID, one or many."""
    return [str(part) for part in file_id] if isinstance(file_id, MultiValue) else [str(file_id)]


def _referenced_item(folder: Path, parts: list[str]) -> SourceItem:
    """Make the item of one reference, and refuse one that leads outside of the folder, links included."""
    names_one_folder_deeper = all(part not in ("", ".", "..") and not {"/", "\\", ":"} & set(part) for part in parts)
    target = _find_below(folder, parts) if names_one_folder_deeper else folder.parent
    if not (names_one_folder_deeper and target.resolve().is_relative_to(folder.resolve())):
        raise InputRefusedError("the DICOMDIR names a file outside its folder; give the folder of the study itself")
    return _file_item(target, "/".join(parts))


def _find_below(folder: Path, parts: list[str]) -> Path:
    """Follow the components; discs that were copied often turn up in lower case."""
    exact = folder.joinpath(*parts)
    lower = folder.joinpath(*(part.lower() for part in parts))
    return lower if lower.exists() and not exact.exists() else exact


def _file_item(path: Path, name: str) -> SourceItem:
    """Make the item of a file on the disk."""
    return SourceItem(name, partial(_open_file, path))


def _open_file(path: Path) -> BinaryIO:
    """Open a file for reading; Python opens it, so that any script in its name is fine."""
    return path.open("rb")
