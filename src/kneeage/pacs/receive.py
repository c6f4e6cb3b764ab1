"""Take an object that a peer stores: check it, keep it for good, and answer with the status that fits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.uid import DeflatedExplicitVRLittleEndian

from kneeage.core.errors import InputRefusedError
from kneeage.io.dicom import read_instance
from kneeage.io.facts import READ_ERRORS, quietly
from kneeage.io.instance import Instance
from kneeage.io.item import SourceItem
from kneeage.pacs.guard import Limits
from kneeage.service.queue import Queue
from kneeage.service.spool import Spool
from kneeage.service.studies import Arrival, study_key

_UNDEFINED_LENGTH = 0xFFFFFFFF
_PIXEL_DATA = 0x7FE00010
# Elements longer than this are not read.
_DEFERRED_BYTES = 1024
# Source: DICOM PS3.5 section 6.2 (LO: at most 64 characters).
_COMMENT_CHARACTERS = 64


class StoreStatus(IntEnum):
    """How a C-STORE ends. Source: DICOM PS3.4 table B.2-1 and PS3.7 annex C."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    OUT_OF_RESOURCES = 0xA700
    DOES_NOT_MATCH_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC000


class RefusedObjectError(InputRefusedError):
    """An object is not taken.

    Args:
        status: What the peer is told.
        comment: Why, without a word of the object.
    """

    def __init__(self, status: StoreStatus, comment: str) -> None:
        super().__init__(comment)
        self.status = status
        self.comment = comment[:_COMMENT_CHARACTERS]


@dataclass(frozen=True, eq=False)
class Receiver:
    """Keeps objects in a spool and notes them in its queue.

    Args:
        queue: The queue.
        spool: The spool.
        limits: What a peer may send.
    """

    queue: Queue
    spool: Spool
    limits: Limits

    def receive(self, path: Path, *, sop_class_uid: str, sop_instance_uid: str) -> Arrival:
        """Take an object.

        Args:
            path: Where it was written as it came; it is moved away.
            sop_class_uid: Class that the peer announced.
            sop_instance_uid: UID that the peer announced.

        Returns:
            Whether it was new. It is on the disk and in the queue when this returns.

        Raises:
            RefusedObjectError: It is not taken.
        """
        study_uid = self._checked(path, sop_class_uid, sop_instance_uid)
        self._require_room(path, study_uid)
        sha256, kept = self.spool.keep(path, study_key(study_uid))
        try:
            return self.queue.add(study_uid, sop_instance_uid, sha256=sha256, file=kept)
        except FileNotFoundError:
            raise RefusedObjectError(StoreStatus.OUT_OF_RESOURCES, "study is being removed; send again") from None

    def _checked(self, path: Path, sop_class_uid: str, sop_instance_uid: str) -> str:
        """Check that it is the image that was announced, and give its study's UID."""
        if path.stat().st_size > self.limits.instance_bytes:
            raise RefusedObjectError(StoreStatus.OUT_OF_RESOURCES, "object is larger than the limit")
        instance = _header(path)
        if (instance.sop_class_uid, instance.sop_instance_uid) != (sop_class_uid, sop_instance_uid):
            raise RefusedObjectError(StoreStatus.DOES_NOT_MATCH_CLASS, "data set is not what the command announced")
        if not instance.study_uid or not instance.series_uid:
            raise RefusedObjectError(StoreStatus.DOES_NOT_MATCH_CLASS, "Study or Series Instance UID is missing")
        if instance.transfer_syntax != DeflatedExplicitVRLittleEndian and _is_cut_short(path):
            raise RefusedObjectError(StoreStatus.CANNOT_UNDERSTAND, "pixel data is shorter than it claims")
        return instance.study_uid

    def _require_room(self, path: Path, study_uid: str) -> None:
        """Refuse what does not fit on the disk or into the limits of a study."""
        count, size_bytes = self.queue.size(study_uid)
        is_too_large = size_bytes + path.stat().st_size > self.limits.study_bytes
        if count >= self.limits.study_instances or is_too_large:
            raise RefusedObjectError(StoreStatus.OUT_OF_RESOURCES, "study is larger than the limit")
        if self.spool.free_bytes < self.limits.free_bytes:
            raise RefusedObjectError(StoreStatus.OUT_OF_RESOURCES, "disk is full")


def _header(path: Path) -> Instance:
    """Read the header of an object."""
    try:
        instance = read_instance(SourceItem("object", lambda: path.open("rb")))
    except InputRefusedError as error:
        has_header = "no pixel data" in str(error)
        status = StoreStatus.DOES_NOT_MATCH_CLASS if has_header else StoreStatus.CANNOT_UNDERSTAND
        raise RefusedObjectError(status, "pixel data is missing" if has_header else "data set is damaged") from error
    if instance is None:
        raise RefusedObjectError(StoreStatus.DOES_NOT_MATCH_CLASS, "data set holds no image")
    return instance


def _is_cut_short(path: Path) -> bool:
    """Say whether the pixel data claims more bytes than the object has."""
    try:
        with path.open("rb") as file, quietly():
            dataset: Dataset = dcmread(file, force=True, specific_tags=["PixelData"], defer_size=_DEFERRED_BYTES)
    except READ_ERRORS:
        return True
    pixels: object = dataset.get_item(_PIXEL_DATA, keep_deferred=True) if _PIXEL_DATA in dataset else None
    if not isinstance(pixels, RawDataElement) or pixels.length == _UNDEFINED_LENGTH:
        return False
    return pixels.value_tell + pixels.length > path.stat().st_size
