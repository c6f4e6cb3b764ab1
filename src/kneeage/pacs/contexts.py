"""What this node takes and sends: the classes of MR images, in every transfer syntax that is decoded here."""

from __future__ import annotations

from functools import cache

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import ALL_TRANSFER_SYNTAXES
from pynetdicom.presentation import PresentationContext, build_context

# An age is read from these alone; what else a study holds is declined when the association begins.
# Source: DICOM PS3.4 section B.5 (MR Image, Enhanced MR Image, Legacy Converted Enhanced MR Image Storage).
IMAGE_CLASSES = ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")
VERIFICATION_CLASS = "1.2.840.10008.1.1"


@cache
def decodable_syntaxes() -> tuple[UID, ...]:
    """List the transfer syntaxes that this installation decodes, uncompressed ones first."""
    found = [UID(syntax) for syntax in ALL_TRANSFER_SYNTAXES if _is_decodable(UID(syntax))]
    return tuple(sorted(found, key=lambda syntax: syntax.is_compressed))


def received_contexts() -> list[PresentationContext]:
    """List what a peer may send."""
    images = [build_context(uid, list(decodable_syntaxes())) for uid in IMAGE_CLASSES]
    return [build_context(VERIFICATION_CLASS), *images]


def sent_contexts(kinds: set[tuple[str, UID]]) -> list[PresentationContext]:
    """List what is proposed for objects: each class as it is encoded, and the encoding that every archive takes.

    Args:
        kinds: SOP Class UIDs and transfer syntaxes of the objects.
    """
    plain = {(uid, ImplicitVRLittleEndian) for uid, syntax in kinds if not syntax.is_compressed}
    return [build_context(uid, syntax) for uid, syntax in sorted({*kinds, *plain})]


def _is_decodable(syntax: UID) -> bool:
    """Say whether pixels in a transfer syntax can be decoded here."""
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False
