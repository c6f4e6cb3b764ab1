"""Send objects to an archive, by C-STORE or STOW-RS; what is confirmed is confirmed one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association

from kneeage.pacs.contexts import sent_contexts
from kneeage.pacs.peers import DicomPeer, Tls, WebPeer
from kneeage.pacs.web import WebArchive
from kneeage.service.worker import DeliveryError, Send

CONNECT_SECONDS = 15.0
ANSWER_SECONDS = 120.0

# Stored, with a remark. Source: DICOM PS3.4 table B.2-1 (warnings: B000, B006, B007).
_WARNINGS = range(0xB000, 0xC000)


@dataclass(frozen=True)
class Caller:
    """How this node calls others.

    Args:
        ae_title: Own AE title.
        tls: Certificates for ``dicoms`` and ``https``.
        web_login: File with ``user:password`` or ``Bearer TOKEN`` for DICOMweb; None: no login.
    """

    ae_title: str = "KNEEAGE"
    tls: Tls = field(default_factory=Tls)
    web_login: Path | None = None

    def entity(self) -> AE:
        """Make the library's entity with our limits of time."""
        entity = AE(self.ae_title)
        entity.connection_timeout = entity.acse_timeout = CONNECT_SECONDS
        entity.dimse_timeout = entity.network_timeout = ANSWER_SECONDS
        return entity

    def associated(self, entity: AE, peer: DicomPeer, **options: Any) -> Association:
        """Ask a peer for an association.

        Raises:
            DeliveryError: It does not answer, or declines.
        """
        secured = (self.tls.for_caller(), peer.host) if peer.secure else None
        link = entity.associate(peer.host, peer.port, ae_title=peer.ae_title, tls_args=secured, **options)
        if link.is_established:
            return with_own_answers(link)
        why = "takes none of these objects" if link.rejected_contexts else "does not answer"
        said = "declines the association" if link.is_rejected else why
        raise DeliveryError(f"the archive {peer.ae_title} {said}; check its address, and that it knows {self.ae_title}")


@dataclass(frozen=True)
class Destination:
    """An archive that results are sent to.

    Args:
        peer: The archive.
        caller: Who sends.
    """

    peer: DicomPeer | WebPeer
    caller: Caller

    def __str__(self) -> str:
        return str(self.peer)

    def __call__(self, files: Sequence[Path]) -> AbstractContextManager[Send]:
        """Open the way for some objects.

        Args:
            files: The objects that will be sent.

        Returns:
            What gives a function that sends one of them and returns once the archive confirmed it.
        """
        if isinstance(self.peer, WebPeer):
            return self._by_web(self.peer)
        return self._by_store(self.peer, files)

    @contextmanager
    def _by_web(self, peer: WebPeer) -> Iterator[Send]:
        """Send by STOW-RS."""
        with WebArchive(peer.url, self.caller.tls, self.caller.web_login) as archive:
            yield archive.store

    @contextmanager
    def _by_store(self, peer: DicomPeer, files: Sequence[Path]) -> Iterator[Send]:
        """Send by C-STORE over one association."""
        entity = self.caller.entity()
        entity.requested_contexts = sent_contexts({_kind_of(path) for path in files})
        link = self.caller.associated(entity, peer)
        try:
            yield partial(_store, link, peer)
        finally:
            link.release()


def with_own_answers(link: Association) -> Association:
    """Leave the answers of a peer to the thread that asked.

    The library's own thread looks for requests of the peer meanwhile, and now and then takes an answer for one and
    throws it away; who asked then waits until the time for an answer is over. A peer that we called has no requests
    but inside an operation of ours, and those reach the thread that asked.
    Source: pynetdicom issue 875; 3.0.4 still has it.
    """
    take = link.dimse.get_msg
    link.dimse.get_msg = lambda block=False: take(block=True) if block else (None, None)  # type: ignore[method-assign]
    return link


def _store(link: Association, peer: DicomPeer, file: Path) -> None:
    """Send one object.

    Raises:
        DeliveryError: It was not stored.
    """
    answer = _sent(link, dcmread(file))
    status = answer.get("Status")
    if status is None:
        raise DeliveryError(f"the archive {peer.ae_title} broke off while an object was sent")
    if status != 0 and status not in _WARNINGS:
        raise DeliveryError(f"the archive {peer.ae_title} did not store an object (status {status:04X})")


def _sent(link: Association, dataset: Dataset) -> Dataset:
    """Send an object; one that the archive does not take in any encoding is a failure as well."""
    send: Callable[[Dataset], Dataset] = link.send_c_store
    try:
        return send(dataset)
    except (ValueError, RuntimeError) as error:
        name = dataset.SOPClassUID.name
        raise DeliveryError(f"the archive takes no {name}, or the association ended; allow it there") from error


def _kind_of(path: Path) -> tuple[str, UID]:
    """Read the class and the transfer syntax of an object."""
    header = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"])
    return str(header.SOPClassUID), UID(header.file_meta.TransferSyntaxUID)
