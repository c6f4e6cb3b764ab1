"""Deflated DICOM files are inflated whole by the library; measure first how large they become."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from kneeage.core.errors import InputRefusedError, UndecodableError

# Size of one file after inflation. An enhanced MR object of 2000 frames of 512 x 512 has 1 GB. Our own choice.
MAX_INFLATED_BYTES = 2**30

# Where the file meta information usually ends, and how far it is searched where it is longer.
_HEAD_BYTES = 1024
_LONG_HEAD_BYTES = 2**20
_CHUNK_BYTES = 2**20
# Source: DICOM PS3.5 section A.5 (Deflated Explicit VR Little Endian).
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_TRANSFER_SYNTAX_TAG = b"\x02\x00\x10\x00UI"
# Tag, VR and length of File Meta Information Group Length, whose value ends 12 bytes after its tag.
_GROUP_LENGTH_TAG = b"\x02\x00\x00\x00UL\x04\x00"


def require_small_when_inflated(handle: BinaryIO, name: str) -> None:
    """Refuse a deflated file that inflates beyond the limit; leave the handle at its start.

    Args:
        handle: A DICOM file, at its start.
        name: What to call it in messages.

    Raises:
        InputRefusedError: It inflates to more than ``MAX_INFLATED_BYTES``.
        UndecodableError: The deflated stream is damaged.
    """
    head = handle.read(_HEAD_BYTES)
    if _TRANSFER_SYNTAX_TAG not in head:
        head += handle.read(_LONG_HEAD_BYTES)
    if _TRANSFER_SYNTAX_TAG + b"\x16\x00" + _DEFLATED in head:
        handle.seek(_start_of_deflated(head, name))
        _measure(handle, name)
    handle.seek(0)


def _start_of_deflated(head: bytes, name: str) -> int:
    """Find where the file meta information ends and the deflated stream begins."""
    start = head.find(_GROUP_LENGTH_TAG)
    if start < 0:
        raise UndecodableError(f"{name!r} has a damaged DICOM header; send the file again")
    return start + 12 + int.from_bytes(head[start + 8 : start + 12], "little")


def _measure(handle: BinaryIO, name: str) -> None:
    """Inflate piece by piece, keep nothing, stop at the limit."""
    stream, size, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, b""
    while size <= MAX_INFLATED_BYTES:
        rest = rest or handle.read(_CHUNK_BYTES)
        if stream.eof or not rest:
            return
        try:
            size += len(stream.decompress(rest, _CHUNK_BYTES))
        except zlib.error as error:
            raise UndecodableError(f"{name!r} is damaged: it cannot be inflated; send the file again") from error
        rest = stream.unconsumed_tail
    raise InputRefusedError(f"{name!r} inflates to more than {MAX_INFLATED_BYTES} bytes; that is the limit")
