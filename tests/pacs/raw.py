"""Below the library: what a well-behaved client cannot send."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context

from tests.pacs.support import association


@dataclass
class Raw:
    """An object as bytes, and what is announced about it."""

    sop_class: str
    sop_instance: str
    data: bytes


def encoded(image: Dataset) -> bytes:
    """A data set without file meta information, explicit little endian."""
    data = encode(image, is_implicit_vr=False, is_little_endian=True)
    assert data is not None
    return data


def raw(image: Dataset, data: bytes) -> Raw:
    """Bytes that are announced as an image."""
    return Raw(str(image.SOPClassUID), str(image.SOPInstanceUID), data)


def claiming(image: Dataset, size_bytes: int) -> Raw:
    """An image whose pixel data claims a size."""
    data = encoded(image)
    at = data.index(b"\xe0\x7f\x10\x00OW\0\0") + 8
    return raw(image, data[:at] + struct.pack("<I", size_bytes) + data[at + 4 :])


def raw_store(port: int, sent: Raw) -> int:
    """Send bytes as they are by C-STORE; give the status."""
    with association(port, contexts=[build_context(sent.sop_class, ExplicitVRLittleEndian)]) as link:
        request = C_STORE()
        request.MessageID = 1
        request.AffectedSOPClassUID = sent.sop_class
        request.AffectedSOPInstanceUID = sent.sop_instance
        request.Priority = 2
        request.DataSet = BytesIO(sent.data)
        link.dimse.send_msg(request, link.accepted_contexts[0].context_id)
        _, answer = link.dimse.get_msg(block=True)
        assert answer is not None
        return int(answer.Status)


@contextlib.contextmanager
def negotiated(port: int) -> Iterator[socket.socket]:
    """The socket of an association that was accepted."""
    with association(port) as link:
        link._reactor_checkpoint.clear()
        yield link.dul.socket.socket
        link._reactor_checkpoint.set()
        link.abort()
