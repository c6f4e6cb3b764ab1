"""Zip archives, read in memory: nothing is unpacked on the disk, and no name inside is trusted."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO, FileIO
from pathlib import Path
from typing import BinaryIO

from kneeage.core.errors import InputRefusedError, UndecodableError
from kneeage.io.item import SourceItem

# Limits of one archive. A whole knee study is a few thousand files and less than 1 GB; these are many times that,
# and still fit a small machine. Our own choice.
MAX_MEMBERS = 50_000
# A table of contents has 46 bytes for each file, its name and what a packer adds. Source: APPNOTE.TXT 4.3.12.
MAX_CONTENTS_BYTES = 32 * 2**20
MAX_MEMBER_BYTES = 512 * 2**20
MAX_TOTAL_BYTES = 4 * 2**30
# How many times an archive may shrink its content, once the content is worth a limit: MR images shrink 2 to 10 times,
# deflate itself stops near 1000. Source: RFC 1951 (258 bytes from one code); the value between is our own choice.
MAX_RATIO = 100
RATIO_FREE_BYTES = 64 * 2**20

_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
_ENTRY = b"PK\x01\x02"
_ENCRYPTED = 0x1
_DRIVE = re.compile(r"^[A-Za-z]:")


def is_archive(head: bytes) -> bool:
    """Say whether a file begins like a zip archive."""
    return head.startswith(_SIGNATURES)


@contextmanager
def open_archive(path: Path) -> Iterator[list[SourceItem]]:
    """Open a zip archive and give its files as items, readable while the archive is open.

    Args:
        path: The archive.

    Yields:
        One item per file, sorted by name.

    Raises:
        InputRefusedError: It is damaged or encrypted, names a file outside itself, or is past a limit.
    """
    with _ContentsFirst(path) as file, _opened(path.name, file) as archive:
        members = sorted((info for info in archive.infolist() if not info.is_dir()), key=lambda info: info.filename)
        _require_safe(path.name, members, path.stat().st_size)
        yield [SourceItem(info.filename, partial(_open_member, archive, info)) for info in members]


class _ContentsFirst(FileIO):
    """A file whose table of contents, which is read first, ends at its limits: parsing it takes ten times its size."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._name = path.name
        self.is_parsed = False

    def read(self, size: int | None = -1) -> bytes:
        """Read; until the table is parsed, no more than one may have."""
        if not self.is_parsed and size is not None and size > MAX_CONTENTS_BYTES:
            raise InputRefusedError(
                f"the zip {self._name!r} has a table of contents of {size} bytes; the limit is {MAX_CONTENTS_BYTES}"
            )
        piece = super().read(size) or b""
        if not self.is_parsed and (count := piece.count(_ENTRY)) > MAX_MEMBERS:
            raise InputRefusedError(
                f"the zip {self._name!r} holds {count} files; the limit is {MAX_MEMBERS}; send one study"
            )
        return piece


def _opened(name: str, file: _ContentsFirst) -> zipfile.ZipFile:
    """Parse the table of contents."""
    try:
        archive = zipfile.ZipFile(file)
    except InputRefusedError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InputRefusedError(f"the zip {name!r} is damaged or cut short; copy it again") from error
    file.is_parsed = True
    return archive


def _require_safe(archive: str, members: list[zipfile.ZipInfo], size_bytes: int) -> None:
    """Refuse an archive by its table of contents, before anything is unpacked."""
    for info in members:
        _require_safe_member(archive, info)
    _require_safe_total(archive, members, size_bytes)


def _require_safe_member(archive: str, info: zipfile.ZipInfo) -> None:
    """Refuse a file by its name, its flags or its size."""
    name = info.filename.replace("\\", "/")
    if name.startswith("/") or _DRIVE.match(name) or ".." in name.split("/"):
        raise InputRefusedError(
            f"the zip {archive!r} holds a file whose name leads outside of it ('../' or an absolute path); "
            "this is how malicious archives are made; pack the study again"
        )
    if info.flag_bits & _ENCRYPTED:
        raise InputRefusedError(f"the zip {archive!r} is encrypted; unpack it first and give the folder")
    if info.file_size > MAX_MEMBER_BYTES:
        raise InputRefusedError(
            f"the zip {archive!r} holds a file of {info.file_size} bytes; the limit is {MAX_MEMBER_BYTES} bytes"
        )


def _require_safe_total(archive: str, members: list[zipfile.ZipInfo], size_bytes: int) -> None:
    """Refuse an archive that unpacks to too much, in bytes or in proportion to its file, whose parts may overlap."""
    total = sum(info.file_size for info in members)
    if total > MAX_TOTAL_BYTES:
        raise InputRefusedError(
            f"the zip {archive!r} unpacks to {total} bytes; the limit is {MAX_TOTAL_BYTES} bytes; send one study"
        )
    if total > RATIO_FREE_BYTES and total > MAX_RATIO * size_bytes:
        raise InputRefusedError(
            f"the zip {archive!r} unpacks to {total // size_bytes} times its size; the limit is {MAX_RATIO} times; "
            "it looks like a decompression bomb"
        )


def _open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    """Unpack one file into memory; its size was checked, and zipfile never gives more than it declares."""
    try:
        return BytesIO(archive.read(info))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        name = Path(info.filename).name
        raise UndecodableError(f"{name!r} is damaged inside the zip; pack the study again") from error
