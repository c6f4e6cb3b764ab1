"""Deflated DICOM files are inflated whole by the library; measure first how large they become."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from pydicom.filereader import read_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from kneeage.core.errors import InputRefusedError, UndecodableError
from kneeage.io.facts import READ_ERRORS, Facts

# Size of one file after inflation. An enhanced MR object of 2000 frames of 512 x 512 has 1 GB. Our own choice.
MAX_INFLATED_BYTES = 2**30

_PREAMBLE_BYTES = 128
_PREFIX = b"DICM"
_CHUNK_BYTES = 2**20


def require_small_when_inflated(handle: BinaryIO, name: str) -> None:
    """Refuse a deflated file that inflates beyond the limit; leave the handle at its start.

    Args:
        handle: A DICOM file, at its start.
        name: What to call it in messages.

    Raises:
        InputRefusedError: It inflates to more than ``MAX_INFLATED_BYTES``.
        UndecodableError: The deflated stream is damaged.
    """
    if any(_comes_deflated(handle, is_implicit=is_implicit) for is_implicit in (False, True)):
        _measure(handle, name)
    handle.seek(0)


def _comes_deflated(handle: BinaryIO, *, is_implicit: bool) -> bool:
    """Say whether the data set is deflated; leave the handle where the library would begin to inflate.

    The groups before it are read as the library reads them, whatever length they state: file meta information, which
    some files write with implicit VRs, then a command set.
    """
    handle.seek(0)
    handle.seek(_PREAMBLE_BYTES + len(_PREFIX) if handle.read(_PREAMBLE_BYTES + len(_PREFIX)).endswith(_PREFIX) else 0)
    try:
        meta = read_dataset(handle, is_implicit, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
        read_dataset(handle, True, True, stop_when=lambda tag, _vr, _length: tag.group != 0)
    except READ_ERRORS:
        return False
    return Facts(meta).text("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian


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
