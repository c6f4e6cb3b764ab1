"""Find one study in an archive and retrieve its MR series: C-FIND with C-GET or C-MOVE, or QIDO with WADO."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_role

from kneeage.core.errors import AmbiguousSeriesError, InputRefusedError, UsageError
from kneeage.pacs.contexts import IMAGE_CLASSES, decodable_syntaxes, received_contexts
from kneeage.pacs.guard import MAX_DATA_PDU_BYTES, GuardedServer, Limits, watch_messages
from kneeage.pacs.keeper import Keeper, unwritten
from kneeage.pacs.peers import DicomPeer, WebPeer
from kneeage.pacs.receive import RefusedObjectError, StoreStatus
from kneeage.pacs.send import Caller
from kneeage.pacs.web import WebArchive
from kneeage.service.worker import DeliveryError

# Studies that are listed where a query fits several.
MAX_STUDIES = 20

# Source: DICOM PS3.4 sections C.6.2 (Study Root information model: FIND, MOVE, GET).
_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
_GET = "1.2.840.10008.5.1.4.1.2.2.3"
# Source: DICOM PS3.4 sections C.4.1.1.4 and C.4.3.1.4: sub-operations go on, or a match follows.
_PENDING = frozenset({0xFF00, 0xFF01})
# Source: DICOM PS3.4 tables C.4-2 and C.4-3: some of the objects were not handed over, or none was.
_INCOMPLETE = frozenset({0xB000, 0xA702})
# Source: DICOM PS3.5 section 9.1 (UID) and 6.2 (DA, ranges as PS3.4 section C.2.2.2.5).
_UID = re.compile(r"[0-9.]{1,64}")
_DATES = re.compile(r"\d{8}(-\d{8})?")


class Retrieval(str, Enum):
    """How an archive that speaks DICOM hands images over."""

    GET = "get"
    MOVE = "move"


@dataclass(frozen=True)
class Search:
    """Which study is wanted; at least one of these.

    Args:
        study_uid: Study Instance UID.
        accession_number: Accession number.
        subject_id: Identifier of the subject in the archive.
        dates: Study date or range, as YYYYMMDD or YYYYMMDD-YYYYMMDD; it narrows one of the others.

    Raises:
        UsageError: Nothing is given that points to a study, or a value is malformed or has wildcards.
    """

    study_uid: str | None = None
    accession_number: str | None = field(default=None, repr=False)
    subject_id: str | None = field(default=None, repr=False)
    dates: str | None = None

    def __post_init__(self) -> None:
        if not (self.study_uid or self.accession_number or self.subject_id):
            raise UsageError("say which study: --study UID, --accession NUMBER or --subject ID")
        if self.study_uid is not None and not _UID.fullmatch(self.study_uid):
            raise UsageError("a Study Instance UID has digits and points, at most 64")
        if self.dates is not None and not _DATES.fullmatch(self.dates):
            raise UsageError("give --date as YYYYMMDD or YYYYMMDD-YYYYMMDD")
        if any(set("*?\\") & set(text or "") for text in (self.accession_number, self.subject_id)):
            raise UsageError("an accession number or subject ID is given in full, without * and ?")

    @property
    def filters(self) -> dict[str, str]:
        """Attributes and the values that they must have."""
        wanted = {
            "StudyInstanceUID": self.study_uid,
            "AccessionNumber": self.accession_number,
            "PatientID": self.subject_id,
            "StudyDate": self.dates,
        }
        return {keyword: value for keyword, value in wanted.items() if value}


@dataclass(frozen=True)
class MoveDoor:
    """Where an archive sends to in a C-MOVE; it must know our AE title with this address.

    Args:
        host: Address to listen on.
        port: Port to listen on.
    """

    host: str = "127.0.0.1"
    port: int = 11113


def fetch(
    peer: DicomPeer | WebPeer,
    search: Search,
    folder: Path,
    *,
    caller: Caller,
    retrieval: Retrieval = Retrieval.GET,
    door: MoveDoor | None = None,
) -> str:
    """Find one study and write the images of its MR series into a folder.

    Args:
        peer: The archive.
        search: Which study.
        folder: An empty folder.
        caller: Who asks.
        retrieval: How a DICOM archive hands images over.
        door: Where to, in a C-MOVE.

    Returns:
        The Study Instance UID.

    Raises:
        InputRefusedError: No study fits, several do, or it has no MR image.
        DeliveryError: The archive does not answer, or does not hand over every image.
        OutputError: An image cannot be written.
    """
    if isinstance(peer, WebPeer):
        keeper = _fetch_by_web(peer, search, folder, caller)
    else:
        keeper = _fetch_by_dicom(peer, search, folder, caller, retrieval, door or MoveDoor())
    if not keeper.uids:
        raise InputRefusedError("the study has no MR image that the archive hands over in an encoding we decode")
    return keeper.study_uid


def _fetch_by_web(peer: WebPeer, search: Search, folder: Path, caller: Caller) -> Keeper:
    """Find and retrieve by DICOMweb."""
    with WebArchive(peer.url, caller.tls, caller.web_login) as archive:
        keeper = Keeper(folder, _one_study(archive.studies(search.filters, MAX_STUDIES + 1)))
        for series in archive.series(keeper.study_uid):
            for dataset in archive.instances(keeper.study_uid, str(series.SeriesInstanceUID)):
                if dataset.SOPClassUID in IMAGE_CLASSES:
                    _keep_from_web(keeper, dataset)
    return keeper


def _keep_from_web(keeper: Keeper, dataset: Dataset) -> None:
    """Keep an image that came by DICOMweb.

    Raises:
        DeliveryError: It belongs to another study.
        OutputError: It cannot be written.
    """
    try:
        keeper.keep(dataset, lambda path: dataset.save_as(path, enforce_file_format=True))
    except RefusedObjectError as error:
        raise DeliveryError("the archive hands over an image of another study; nothing of it was taken") from error
    except OSError as error:
        raise unwritten(error) from error


def _fetch_by_dicom(
    peer: DicomPeer, search: Search, folder: Path, caller: Caller, retrieval: Retrieval, door: MoveDoor
) -> Keeper:
    """Find and retrieve by C-FIND and C-GET or C-MOVE."""
    with _linked(peer, caller, _FIND) as link:
        study_uid = _one_study(_found(link, _query("STUDY", search.filters, "StudyDate", "StudyDescription")))
        wanted = {"StudyInstanceUID": study_uid, "Modality": "MR"}
        series = [str(one.SeriesInstanceUID) for one in _found(link, _query("SERIES", wanted, "SeriesInstanceUID"))]
    keeper = Keeper(folder, study_uid)
    retrieve = _get if retrieval is Retrieval.GET else _move
    queries = [_query("SERIES", {"StudyInstanceUID": study_uid, "SeriesInstanceUID": uid}) for uid in series]
    try:
        failed = retrieve(peer, caller, queries, keeper, door)
    finally:
        keeper.require_written()
    for uid, count in zip(series, failed, strict=True):
        if count:
            _require_unwanted(peer, caller, uid, count, keeper)
    return keeper


def _get(peer: DicomPeer, caller: Caller, queries: list[Dataset], keeper: Keeper, _: MoveDoor) -> list[int]:
    """Retrieve series over the association that asks for them, and count what failed of each."""
    roles = [build_role(uid, scp_role=True) for uid in IMAGE_CLASSES]
    handlers: list[evt.EventHandlerType] = [(evt.EVT_C_STORE, keeper.handle)]
    with _linked(peer, caller, _GET, *IMAGE_CLASSES, ext_neg=roles, evt_handlers=handlers) as link:
        return [_failures(link.send_c_get(query, _GET)) for query in queries]


def _move(peer: DicomPeer, caller: Caller, queries: list[Dataset], keeper: Keeper, door: MoveDoor) -> list[int]:
    """Have series sent to our own door, and count what failed of each."""
    with _open_door(caller, door, keeper), _linked(peer, caller, _MOVE) as link:
        return [_failures(link.send_c_move(query, caller.ae_title, _MOVE)) for query in queries]


def _require_unwanted(peer: DicomPeer, caller: Caller, series_uid: str, failed: int, keeper: Keeper) -> None:
    """Check that all that an archive did not hand over of a series is of classes that we do not take.

    Args:
        peer: The archive.
        caller: Who asks.
        series_uid: Series Instance UID.
        failed: Objects that it did not hand over, as it counted them.
        keeper: What came.

    Raises:
        DeliveryError: It is not, or the archive's own list of the series does not show it.
    """
    wanted = {"StudyInstanceUID": keeper.study_uid, "SeriesInstanceUID": series_uid}
    with _linked(peer, caller, _FIND) as link:
        listed = _found(link, _query("IMAGE", wanted, "SOPInstanceUID", "SOPClassUID"))
    missing = [one for one in listed if one.get("SOPInstanceUID") not in keeper.uids]
    unwanted = [one for one in missing if one.get("SOPClassUID") and one.SOPClassUID not in IMAGE_CLASSES]
    if len(unwanted) < max(failed, len(missing)):
        raise DeliveryError(
            f"the archive did not hand over {failed} objects of a series, which may be images; nothing was estimated: "
            "see why there (encoding, rights, a damaged file), and try again"
        )


@contextmanager
def _linked(peer: DicomPeer, caller: Caller, *classes: str, **options: Any) -> Iterator[Association]:
    """Keep an association while the block lasts."""
    entity = caller.entity()
    for uid in classes:
        entity.add_requested_context(uid, list(decodable_syntaxes()) if uid in IMAGE_CLASSES else None)
    link = caller.associated(entity, peer, **options)
    try:
        yield link
    finally:
        link.release()


@contextmanager
def _open_door(caller: Caller, door: MoveDoor, keeper: Keeper) -> Iterator[None]:
    """Take what is sent to our AE title while the block lasts.

    Raises:
        UsageError: The port cannot be had.
    """
    entity = AE(caller.ae_title)
    entity.supported_contexts = received_contexts()
    entity.require_called_aet = True
    entity.maximum_pdu_size = MAX_DATA_PDU_BYTES
    handlers: list[evt.EventHandlerType] = [
        (evt.EVT_C_ECHO, lambda _: StoreStatus.SUCCESS),
        (evt.EVT_C_STORE, keeper.handle),
        (evt.EVT_PDU_RECV, watch_messages),
    ]
    try:
        server = entity.make_server(
            (door.host, door.port),
            ssl_context=caller.tls.for_listener(),
            evt_handlers=handlers,
            server_class=GuardedServer,
            limits=Limits(),
            refused=lambda _: None,
        )
    except OSError as error:
        raise UsageError(f"cannot listen on port {door.port} ({error.strerror}); choose another --move-port") from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.stop()  # type: ignore[attr-defined]


def _query(level: str, wanted: dict[str, str], *returned: str) -> Dataset:
    """Make a query: attributes that must match, and attributes that are wanted back."""
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword in ("StudyInstanceUID", *returned):
        setattr(query, keyword, "")
    for keyword, value in wanted.items():
        setattr(query, keyword, value)
    return query


def _found(link: Association, query: Dataset) -> list[Dataset]:
    """Collect what a query finds.

    Raises:
        DeliveryError: The archive does not answer it.
    """
    found = []
    for status, match in link.send_c_find(query, _FIND):
        code = status.get("Status")
        if code in _PENDING and match is not None:
            found.append(match)
        elif code != 0:
            raise DeliveryError(f"the archive does not answer the query ({_words(code)})")
    return found


def _failures(answers: Iterator[tuple[Dataset, Dataset | None]]) -> int:
    """Wait until a retrieval ends, and give the number of objects that were not handed over.

    Raises:
        DeliveryError: It broke off, or nothing was tried.
    """
    code, failed = None, 0
    for status, _ in answers:
        code = status.get("Status")
        failed = status.get("NumberOfFailedSuboperations") or 0
    if code not in (0, *_INCOMPLETE):
        raise DeliveryError(f"the archive does not hand the images over ({_words(code)})")
    return max(failed, int(code in _INCOMPLETE))


def _words(code: int | None) -> str:
    """Name a status."""
    return "it broke off" if code is None else f"status {code:04X}"


def _one_study(found: list[Dataset]) -> str:
    """Give the one study that was found.

    Raises:
        InputRefusedError: None was.
        AmbiguousSeriesError: Several were.
    """
    if not found:
        raise InputRefusedError("the archive has no such study; check what was asked for")
    if len(found) > 1:
        lines = [f"- {one.StudyInstanceUID} of {one.get('StudyDate') or 'no date'}" for one in found[:MAX_STUDIES]]
        more = "; there are more" if len(found) > MAX_STUDIES else ""
        raise AmbiguousSeriesError("\n".join((f"several studies fit{more}; choose one with --study:", *lines)))
    return str(found[0].StudyInstanceUID)
