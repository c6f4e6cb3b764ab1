"""Look at a compressed frame before it is decoded: is it whole, and is it as large as the header says?

Decoders fill what is missing with plausible grey values, and allocate what the codestream asks for.
"""

from __future__ import annotations

import struct

from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

# Source: ITU-T T.81 table B.1 (SOI, EOI, SOF); ITU-T T.87 table C.1 (SOF55); ITU-T T.800 table A.2 (SOC, SIZ, EOC).
_END_OF_IMAGE = b"\xff\xd9"
_START_OF_IMAGE = b"\xff\xd8"
_START_OF_CODESTREAM = b"\xff\x4f\xff\x51"
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
# JPEG 2000 codestreams wrapped in a JP2 file begin after a few boxes.
_SEARCHED_BYTES = 512


def codestream_fault(frame: bytes, transfer_syntax: UID, rows: int, columns: int) -> str | None:
    """Say what is wrong with a compressed frame.

    Args:
        frame: The frame as it lies in the file.
        transfer_syntax: How it is encoded; encodings other than the JPEG families are not looked at.
        rows: Rows that the header states.
        columns: Columns that the header states.

    Returns:
        A few words, or None when nothing is wrong.
    """
    if transfer_syntax in JPEG2000TransferSyntaxes:
        size = _size_of_jpeg_2000(frame)
    elif transfer_syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes):
        size = _size_of_jpeg(frame)
    else:
        return None
    if not frame.rstrip(b"\0").endswith(_END_OF_IMAGE):
        return "its pixel data is cut short"
    if size != (rows, columns, 1):
        return f"its pixel data does not hold the {rows} x {columns} pixels of one value that the header states"
    return None


def _size_of_jpeg_2000(frame: bytes) -> tuple[int, int, int] | None:
    """Read rows, columns and components from the SIZ segment. Source: ITU-T T.800 section A.5.1."""
    start = frame.find(_START_OF_CODESTREAM, 0, _SEARCHED_BYTES)
    if start < 0 or len(frame) < start + 42:
        return None
    columns, rows, left, top, components = struct.unpack_from(">4I16xH", frame, start + 8)
    return (rows - top, columns - left, components)


def _size_of_jpeg(frame: bytes) -> tuple[int, int, int] | None:
    """Read rows, columns and components from the first frame header. Source: ITU-T T.81 section B.2.2."""
    at = 2
    while frame.startswith(_START_OF_IMAGE) and at + 10 <= len(frame) and frame[at] == 0xFF:
        if frame[at + 1] in _FRAME_MARKERS:
            rows, columns, components = struct.unpack_from(">2HB", frame, at + 5)
            return (rows, columns, components)
        at += 1 if frame[at + 1] == 0xFF else 2 + struct.unpack_from(">H", frame, at + 2)[0]
    return None
