"""An archive that does as a test tells it: it lists one series, and hands over what it is given."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, build_context, evt
from pynetdicom.events import Event

from kneeage.pacs.contexts import IMAGE_CLASSES, decodable_syntaxes
from kneeage.pacs.peers import DicomPeer
from tests.ports import HOST, free_port

# Source: DICOM PS3.4 sections C.6.2 (Study Root information model: FIND, MOVE, GET) and B.5.
QUERIES = ("1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.1.2.2.3")
SPECTROSCOPY = "1.2.840.10008.5.1.4.1.1.4.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclass
class ToldArchive:
    """What the archive has and does.

    Args:
        images: What it lists.
        handed: What it tries to hand over; None: what it lists.
        before: Called before it hands anything over.
        tls: How it calls the door of a C-MOVE; None: in plain text.
    """

    images: list[Dataset]
    handed: list[Dataset] | None = None
    before: Callable[[], None] = lambda: None
    tls: ssl.SSLContext | None = None
    port: int = field(default_factory=free_port)
    door_port: int = field(default_factory=free_port)

    @property
    def peer(self) -> DicomPeer:
        return DicomPeer("ARCHIVE", HOST, self.port)

    def find(self, event: Event) -> Iterator[tuple[int, Dataset]]:
        """Answer C-FIND."""
        level = event.identifier.QueryRetrieveLevel
        keywords = {"STUDY": [], "SERIES": ["SeriesInstanceUID"], "IMAGE": ["SOPInstanceUID", "SOPClassUID"]}[level]
        for image in self.images if level == "IMAGE" else self.images[:1]:
            found = Dataset()
            found.QueryRetrieveLevel = level
            for keyword in ("StudyInstanceUID", *keywords):
                setattr(found, keyword, getattr(image, keyword))
            yield 0xFF00, found

    def get(self, _: Event) -> Iterator[Any]:
        """Answer C-GET."""
        handed = self.images if self.handed is None else self.handed
        self.before()
        yield len(handed)
        for image in handed:
            yield 0xFF00, image

    def move(self, event: Event) -> Iterator[Any]:
        """Answer C-MOVE."""
        options = {} if self.tls is None else {"tls_args": (self.tls, HOST)}
        yield HOST, self.door_port, {"contexts": [build_context(uid) for uid in IMAGE_CLASSES], **options}
        yield from self.get(event)


@contextlib.contextmanager
def running(archive: ToldArchive) -> Iterator[ToldArchive]:
    """The archive while the block lasts."""
    entity = AE("ARCHIVE")
    for uid in QUERIES:
        entity.add_supported_context(uid)
    for uid in IMAGE_CLASSES:
        entity.add_supported_context(uid, list(decodable_syntaxes()), scu_role=True, scp_role=True)
    handlers: list[evt.EventHandlerType] = [
        (evt.EVT_C_FIND, archive.find),
        (evt.EVT_C_GET, archive.get),
        (evt.EVT_C_MOVE, archive.move),
    ]
    server = entity.start_server((HOST, archive.port), block=False, evt_handlers=handlers)
    try:
        yield archive
    finally:
        assert server is not None
        server.shutdown()
