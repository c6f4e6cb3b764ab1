"""DICOM files, headers first: what an instance says about itself, without its pixels.

Only the attributes of ``_KEYWORDS`` are read. Age, birth date, size, weight and sex are not among them. Name and
identifier of the subject are turned into a token that means nothing outside this process, and are forgotten.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import BinaryIO

from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.pixels.decoders.base import get_decoder
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, MediaStorageDirectoryStorage

from kneeage.core.errors import InputRefusedError, UndecodableError
from kneeage.io.facts import READ_ERRORS, Facts, macros_of, quietly
from kneeage.io.geometry import SlicePlane
from kneeage.io.inflate import require_small_when_inflated
from kneeage.io.instance import Acquisition, Frame, Instance
from kneeage.io.item import SourceItem

# Limits of one instance, checked in the header before anything is allocated. MR matrices end at 2048, and the
# standard's own limit of 65535 x 65535 x 2^31 frames is a decompression bomb. Our own choice.
MAX_ROWS_OR_COLUMNS = 4096
MAX_FRAMES = 10_000

# Source: DICOM PS3.4 section B.5 (MR Image, Enhanced MR Image, Legacy Converted Enhanced MR Image Storage).
_MR_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4"})
_PREAMBLE_BYTES = 128
_PREFIX = b"DICM"
# First bytes of data sets that lack the preamble: group 0002 or 0008, little endian, low element numbers.
_BARE_STARTS = (b"\x02\x00\x00\x00", b"\x02\x00\x01\x00", b"\x08\x00\x00\x00", b"\x08\x00\x05\x00", b"\x08\x00\x08\x00")
_PIXEL_GROUPS = (b"\xe0\x7f", b"\x7f\xe0")
_TOKEN_KEY = os.urandom(16)

_TEXT_KEYWORDS = {
    "SeriesDescription": "series description",
    "ProtocolName": "protocol name",
    "StudyDescription": "study description",
    "RequestedProcedureDescription": "requested procedure",
    "PerformedProcedureStepDescription": "performed procedure",
}
_KEYWORDS = (
    *_TEXT_KEYWORDS,
    "AcquisitionContrast",
    "AnatomicRegionSequence",
    "BitsAllocated",
    "BodyPartExamined",
    "Columns",
    "ContrastBolusAgent",
    "EchoNumbers",
    "EchoPulseSequence",
    "EchoTime",
    "EffectiveEchoTime",
    "FlipAngle",
    "FrameLaterality",
    "FrameOfReferenceUID",
    "ImageLaterality",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ImageType",
    "InversionTime",
    "Laterality",
    "MagneticFieldStrength",
    "Manufacturer",
    "Modality",
    "NumberOfFrames",
    "PatientID",
    "PatientName",
    "PerFrameFunctionalGroupsSequence",
    "PhotometricInterpretation",
    "PixelSpacing",
    "ReceiveCoilName",
    "RepetitionTime",
    "RescaleIntercept",
    "RescaleSlope",
    "Rows",
    "SamplesPerPixel",
    "ScanOptions",
    "ScanningSequence",
    "SequenceName",
    "SequenceVariant",
    "SeriesInstanceUID",
    "SharedFunctionalGroupsSequence",
    "SliceThickness",
    "SOPClassUID",
    "SOPInstanceUID",
    "SpacingBetweenSlices",
    "SpectrallySelectedExcitation",
    "SpectrallySelectedSuppression",
    "StudyInstanceUID",
    "TemporalPositionIdentifier",
)


def read_instance(item: SourceItem) -> Instance | None:
    """Read the header of a file.

    Args:
        item: Any file.

    Returns:
        The instance, or None where the file is not DICOM or holds no image.

    Raises:
        UndecodableError: It is DICOM, but damaged or cut short.
        OSError: The file cannot be opened.
    """
    with item.open() as handle, quietly():
        if not _looks_like_dicom(handle):
            return None
        dataset = _read_header(handle, item, _KEYWORDS)
        if not _holds_an_image(dataset, item):
            return None
        if _transfer_syntax(dataset) != DeflatedExplicitVRLittleEndian and handle.read(2) not in _PIXEL_GROUPS:
            raise UndecodableError(f"{item.file_name!r} has no pixel data: it is cut short; send the file again")
        return _instance(dataset, item)


def read_header(item: SourceItem, keywords: Sequence[str]) -> Dataset:
    """Read named attributes of a DICOM file, up to the pixels.

    Args:
        item: The file.
        keywords: Attributes to read; those that are absent stay absent.

    Returns:
        The attributes, undecoded until they are looked at.

    Raises:
        UndecodableError: The header is damaged.
        OSError: The file cannot be opened.
    """
    with item.open() as handle, quietly():
        return _read_header(handle, item, keywords)


def require_transfer_syntax(dataset: Dataset) -> UID:
    """Give the transfer syntax, and write it into a data set that came without file meta information."""
    syntax = _transfer_syntax(dataset)
    dataset.file_meta.TransferSyntaxUID = syntax
    return syntax


def _looks_like_dicom(handle: BinaryIO) -> bool:
    """Look for the DICM prefix, or for the start of a data set that lacks it."""
    head = handle.read(_PREAMBLE_BYTES + len(_PREFIX))
    handle.seek(0)
    return head[_PREAMBLE_BYTES:] == _PREFIX or head.startswith(_BARE_STARTS)


def _read_header(handle: BinaryIO, item: SourceItem, keywords: Sequence[str]) -> Dataset:
    """Read named attributes, up to the pixels."""
    require_small_when_inflated(handle, item.file_name)
    try:
        return dcmread(handle, stop_before_pixels=True, force=True, specific_tags=list(keywords))
    except READ_ERRORS as error:
        raise UndecodableError(f"{item.file_name!r} has a damaged DICOM header; send the file again") from error


def _holds_an_image(dataset: Dataset, item: SourceItem) -> bool:
    """Say whether it is an image; refuse one whose header is not whole."""
    facts = Facts(dataset)
    sop_class = facts.text("SOPClassUID")
    is_directory = Facts(dataset.file_meta).text("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage
    if is_directory or (sop_class is not None and "Image Storage" not in UID(sop_class).name and "Rows" not in dataset):
        return False
    if sop_class is None or facts.whole("Rows") is None or facts.whole("Columns") is None:
        raise UndecodableError(f"{item.file_name!r} is cut short inside its DICOM header; send the file again")
    return True


def _instance(dataset: Dataset, item: SourceItem) -> Instance:
    """Take what we use from a header."""
    facts = Facts(dataset)
    problem = _problem(facts, _transfer_syntax(dataset), item.file_name)
    frames = _frames(dataset) if problem is None else (_frame(Facts(dataset), 0),)
    return Instance(
        item=item,
        subject_token=_subject_token(dataset),
        series_uid=facts.text("SeriesInstanceUID"),
        study_uid=facts.text("StudyInstanceUID"),
        modality=(facts.text("Modality") or "").upper(),
        transfer_syntax=_transfer_syntax(dataset),
        rows=facts.whole("Rows") or 0,
        columns=facts.whole("Columns") or 0,
        frames=frames,
        texts=_texts(facts),
        body_parts=_body_parts(facts),
        lateralities=_lateralities(dataset),
        manufacturer=facts.text("Manufacturer"),
        field_strength_tesla=facts.number("MagneticFieldStrength"),
        problem=problem,
        sop_class_uid=facts.text("SOPClassUID"),
        sop_instance_uid=facts.text("SOPInstanceUID"),
        frame_of_reference_uid=facts.text("FrameOfReferenceUID"),
    )


def _problem(facts: Facts, transfer_syntax: UID, name: str) -> InputRefusedError | None:
    """Say why the pixels of an instance cannot be used, from its header alone."""
    words = _unsuitable_kind(facts) or _beyond_limits(facts)
    if words is not None:
        return InputRefusedError(f"{name!r}: {words}")
    return _undecodable(transfer_syntax, name)


def _unsuitable_kind(facts: Facts) -> str | None:
    """Say what keeps an image from being a grey MR image."""
    modality = (facts.text("Modality") or "not stated").upper()
    if modality != "MR":
        return f"its modality is {modality}; an MR series is needed"
    sop_class = facts.text("SOPClassUID") or ""
    if sop_class not in _MR_CLASSES:
        return f"it is of the class {UID(sop_class).name}, not an original MR image; send the original series"
    photometric = (facts.text("PhotometricInterpretation") or "MONOCHROME2").upper()
    if facts.whole("SamplesPerPixel") not in (None, 1) or photometric != "MONOCHROME2":
        return f"its pixels are {photometric}, not grey values (MONOCHROME2); send the original series"
    return None


def _beyond_limits(facts: Facts) -> str | None:
    """Say which size in the header is impossible or past the limit."""
    rows, columns = facts.whole("Rows") or 0, facts.whole("Columns") or 0
    frames = facts.whole("NumberOfFrames") if facts.value("NumberOfFrames") is not None else 1
    if not (0 < rows <= MAX_ROWS_OR_COLUMNS and 0 < columns <= MAX_ROWS_OR_COLUMNS):
        return f"its header states {rows} rows x {columns} columns; the limit is {MAX_ROWS_OR_COLUMNS} each, above 0"
    if frames is None or not 0 < frames <= MAX_FRAMES:
        return f"its header states {frames or 'no valid number of'} frames; the limit is {MAX_FRAMES}, above 0"
    return None


def _undecodable(transfer_syntax: UID, name: str) -> UndecodableError | None:
    """Name a transfer syntax that no decoder of this installation reads, and the remedy."""
    try:
        if get_decoder(transfer_syntax).is_available:
            return None
    except NotImplementedError:
        pass
    return UndecodableError(
        f"{name!r} is encoded as {transfer_syntax.name} ({transfer_syntax}), which cannot be decoded here; "
        "send it as Explicit VR Little Endian, or convert it with `gdcmconv --raw IN OUT`"
    )


def _transfer_syntax(dataset: Dataset) -> UID:
    """Give the transfer syntax; guess it from the encoding where the file meta information lacks it."""
    stated = Facts(dataset.file_meta).text("TransferSyntaxUID")
    if stated is not None:
        return UID(stated)
    is_implicit, is_little_endian = dataset.original_encoding
    if is_implicit is False:
        return UID("1.2.840.10008.1.2.1" if is_little_endian else "1.2.840.10008.1.2.2")
    return ImplicitVRLittleEndian


def _subject_token(dataset: Dataset) -> str:
    """Give a token that is the same for the instances of one subject, and tells nothing else.

    Where neither identifier nor name is written, the study stands for the subject.
    """
    identity = [_raw(dataset, keyword).strip(b" ^\0").upper() for keyword in ("PatientID", "PatientName")]
    if not any(identity):
        identity = [b"study", _raw(dataset, "StudyInstanceUID")]
    return hashlib.blake2b(b"\0".join(identity), key=_TOKEN_KEY, digest_size=16).hexdigest()


def _raw(dataset: Dataset, keyword: str) -> bytes:
    """Give the bytes of an attribute, undecoded and unchecked."""
    element: object = dataset.get_item(Tag(keyword)) if Tag(keyword) in dataset else None
    if isinstance(element, RawDataElement):
        return element.value or b""
    return str(element.value or "").encode() if isinstance(element, DataElement) else b""


def _texts(facts: Facts) -> dict[str, str]:
    """Collect the free texts, by what they are called."""
    found = {name: facts.text(keyword) for keyword, name in _TEXT_KEYWORDS.items()}
    return {name: text for name, text in found.items() if text is not None}


def _body_parts(facts: Facts) -> tuple[str, ...]:
    """Collect the words that name the body part."""
    regions = [Facts(item).text("CodeMeaning") for item in facts.items("AnatomicRegionSequence")]
    found = [facts.text("BodyPartExamined"), *regions]
    return tuple(word.upper() for word in found if word)


def _lateralities(dataset: Dataset) -> dict[str, str]:
    """Collect the laterality codes, by attribute; those of enhanced images from their first frame."""
    facts = Facts(*_group_datasets(dataset, 0), dataset)
    found = {keyword: facts.text(keyword) for keyword in ("ImageLaterality", "Laterality", "FrameLaterality")}
    for region in facts.items("AnatomicRegionSequence"):
        for modifier in Facts(region).items("AnatomicRegionModifierSequence"):
            found["AnatomicRegionModifierSequence"] = Facts(modifier).text("CodeValue")
    return {keyword: code.upper() for keyword, code in found.items() if code}


def _frames(dataset: Dataset) -> tuple[Frame, ...]:
    """Take the facts of every frame; a classic image has one."""
    count = Facts(dataset).whole("NumberOfFrames") or 1
    shared = _shared_datasets(dataset)
    groups = Facts(dataset).items("PerFrameFunctionalGroupsSequence")
    per_frame = [macros_of(group) for group in groups[:count]] + [[]] * (count - len(groups))
    return tuple(_frame(Facts(*own, *shared, dataset), number) for number, own in enumerate(per_frame))


def _group_datasets(dataset: Dataset, number: int) -> list[Dataset]:
    """Give the functional groups that hold for one frame, the most specific first."""
    groups = Facts(dataset).items("PerFrameFunctionalGroupsSequence")
    return (macros_of(groups[number]) if number < len(groups) else []) + _shared_datasets(dataset)


def _shared_datasets(dataset: Dataset) -> list[Dataset]:
    """Give the functional groups that hold for all frames."""
    groups = Facts(dataset).items("SharedFunctionalGroupsSequence")
    return macros_of(groups[0]) if groups else []


def _frame(facts: Facts, number: int) -> Frame:
    """Take the facts of one frame. Source: DICOM PS3.3 sections C.7.6.2, C.7.6.16 and C.8.13.5."""
    slope, intercept = facts.number("RescaleSlope"), facts.number("RescaleIntercept")
    return Frame(
        number=number,
        plane=SlicePlane(
            position_mm=facts.numbers("ImagePositionPatient", 3),
            orientation=facts.numbers("ImageOrientationPatient", 6),
            pixel_spacing_mm=facts.numbers("PixelSpacing", 2),
            thickness_mm=facts.number("SliceThickness"),
            spacing_mm=facts.number("SpacingBetweenSlices"),
        ),
        acquisition=_acquisition(facts),
        temporal_position=_first_whole(facts, "TemporalPositionIndex", "TemporalPositionIdentifier"),
        slope=1.0 if slope is None else slope,
        intercept=0.0 if intercept is None else intercept,
    )


def _acquisition(facts: Facts) -> Acquisition:
    """Take how a frame was acquired."""
    return Acquisition(
        image_type=facts.codes("FrameType") or facts.codes("ImageType"),
        sequence=facts.codes("ScanningSequence") or facts.codes("EchoPulseSequence"),
        variant=facts.codes("SequenceVariant"),
        options=facts.codes("ScanOptions") if facts.value("ScanOptions") is not None else None,
        sequence_name=facts.text("SequenceName") or "",
        repetition_time_ms=facts.number("RepetitionTime"),
        echo_time_ms=_first_number(facts, "EffectiveEchoTime", "EchoTime"),
        inversion_time_ms=_first_number(facts, "InversionTime", "InversionTimes"),
        flip_angle_degrees=facts.number("FlipAngle"),
        echo_number=facts.whole("EchoNumbers"),
        contrast=facts.text("AcquisitionContrast"),
        suppression=facts.codes("SpectrallySelectedSuppression") + facts.codes("SpectrallySelectedExcitation"),
        contrast_agent=facts.value("ContrastBolusAgent") is not None,
    )


def _first_number(facts: Facts, *keywords: str) -> float | None:
    """Give the first attribute that holds a number."""
    return next((number for number in map(facts.number, keywords) if number is not None), None)


def _first_whole(facts: Facts, *keywords: str) -> int | None:
    """Give the first attribute that holds a whole number."""
    return next((number for number in map(facts.whole, keywords) if number is not None), None)
