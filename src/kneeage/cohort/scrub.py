"""What may stay in a DICOM data set beside what the confidentiality profile names.

The profile lists the attributes that identify; anything else passes. Here it is the other way round for whatever can
hold free text: it goes, unless its keyword is in `KEPT_TEXTS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from kneeage.cohort.profile import NewUid, Profile, replace_uids
from kneeage.core.manifest import VIRTUAL_IMAGE_MARK
from kneeage.io.facts import READ_ERRORS

# Texts that scanners write and that say how an image was made. They stay, where they hold no word of an identity.
KEPT_TEXTS = frozenset(
    {
        "CodeMeaning",
        "CodeValue",
        "CodingSchemeDesignator",
        "Manufacturer",
        "ManufacturerModelName",
        "PulseSequenceName",
        "ReceiveCoilName",
        "RescaleType",
        "SequenceName",
        "SoftwareVersions",
        "StackID",
        "TransmitCoilName",
    }
)
# Source: DICOM PS3.3 section C.7.4.1 (type 2: there, and possibly empty).
EMPTIED_TEXTS = frozenset({"PositionReferenceIndicator"})
KEPT_BINARY = frozenset(
    {"PixelData", "FloatPixelData", "DoubleFloatPixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"}
)
# Source: DICOM PS3.5 section 6.2.
_TEXT_VRS = frozenset({"AE", "AS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"})
_NUMBER_VRS = frozenset({"DS", "IS"})
_BINARY_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_NUMBERS = re.compile(r"[\d.eE+\-\s]*")
# Values that name somebody or something that leads to somebody, beside all names of persons.
_IDENTIFIERS = frozenset(
    {
        "AccessionNumber",
        "DeviceSerialNumber",
        "InstitutionName",
        "MedicalRecordLocator",
        "OtherPatientIDs",
        "PatientAddress",
        "PatientBirthDate",
        "PatientID",
        "PatientTelephoneNumbers",
    }
)
# Curves and overlays. Source: DICOM PS3.5 section 7.6 (repeating groups).
_DRAWN_GROUPS = frozenset({*range(0x5000, 0x5100), *range(0x6000, 0x6100)})
# Its labels are texts, and required, so that it goes as a whole; grey values are as they are without it.
# Source: DICOM PS3.3 section C.7.6.16.2.11 (Real World Value Mapping).
_UNNEEDED = "RealWorldValueMappingSequence"
# UIDs of the standard itself. Source: DICOM PS3.5 section 9.
_STANDARD_ROOT = "1.2.840.10008."
# Shorter words are looked for in texts only: chance puts them between pixels.
_LEAST_BYTES_IN_PIXELS = 6
_LEAST_LATIN_LETTERS, _LEAST_OTHER_LETTERS = 3, 2
_ENCODINGS = ("utf-8", "gb18030", "latin-1")
_OWN_WORDS = frozenset(VIRTUAL_IMAGE_MARK.casefold().split())


class Words:
    """Words that identify somebody, looked for as whole words whatever their case.

    Args:
        words: The words.
    """

    def __init__(self, words: frozenset[str]) -> None:
        texts = sorted(words)
        self._text = re.compile("|".join(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])" for word in texts) or r"(?!)")
        raw = sorted({code for word in texts for code in _encoded(word) if len(code) >= _LEAST_BYTES_IN_PIXELS})
        edged = (rb"(?<![0-9a-z.])" + re.escape(code) + rb"(?![0-9a-z.])" for code in raw)
        self._raw = re.compile(b"|".join(edged) or rb"(?!)")

    def are_in(self, text: str) -> bool:
        """Say whether a text holds one of them."""
        return self._text.search(text.casefold()) is not None

    def are_in_bytes(self, data: bytes) -> bool:
        """Say whether a file holds one of them that is too long to be there by chance."""
        return self._raw.search(data.lower()) is not None


def identity_of(dataset: Dataset) -> Words:
    """Collect the words of a data set that name somebody: subject, staff, institution.

    Args:
        dataset: The data set, before anything is taken out.
    """
    words = {word for element in _elements(dataset) for word in _words_of(element)}
    return Words(frozenset(words) - _OWN_WORDS)


def scrub(level: Dataset, profile: Profile, new_uid: NewUid, words: Words) -> None:
    """Take everything out of a data set that the profile or this module does not let pass, at all levels.

    Args:
        level: The data set; it is changed.
        profile: What is to be done with the attributes that the profile lists.
        new_uid: Gives the UID that takes the place of one.
        words: What must not stay in any text.
    """
    for damaged in [tag for tag in level.keys() if _readable(level, tag) is None]:  # noqa: SIM118 (values stay unread)
        del level[damaged]
    profile.apply(level)
    for element in list(level):
        tag = (element.tag.group, element.tag.element)
        if _must_go(element, words, is_listed=tag in profile):
            _take_out(level, element)
        elif element.VR == "SQ":
            for item in element.value:
                scrub(item, profile, new_uid, words)
        elif element.VR == "UI" and tag not in profile and not _is_standard(element):
            replace_uids(level, tag, new_uid)


def _must_go(element: DataElement, words: Words, *, is_listed: bool) -> bool:
    """Say whether an attribute that the profile has passed or changed must go."""
    if element.tag.group in _DRAWN_GROUPS or element.keyword == _UNNEEDED or not dictionary_has_tag(element.tag):
        return True
    if element.VR in _BINARY_VRS:
        return element.keyword not in KEPT_BINARY
    if element.VR in _TEXT_VRS and not is_listed and element.keyword not in KEPT_TEXTS:
        return True
    if element.VR in _NUMBER_VRS:
        return _NUMBERS.fullmatch(_text(element)) is None
    return element.VR in (*_TEXT_VRS, "CS") and words.are_in(_text(element))


def _take_out(level: Dataset, element: DataElement) -> None:
    """Remove an attribute, or its value alone where the attribute must be there."""
    if element.keyword in EMPTIED_TEXTS:
        element.clear()
    else:
        del level[element.tag]


def _is_standard(element: DataElement) -> bool:
    """Say whether the UIDs of an attribute are the standard's own."""
    return all(uid.startswith(_STANDARD_ROOT) for uid in _text(element).split("\n") if uid)


def _readable(level: Dataset, tag: BaseTag) -> DataElement | None:
    """Read an attribute; None where its value makes no sense."""
    try:
        return level[tag]
    except READ_ERRORS:
        return None


def _elements(level: Dataset) -> Iterator[DataElement]:
    """Go through the attributes of all levels that can be read."""
    for tag in list(level.keys()):
        element = _readable(level, tag)
        if element is None:
            continue
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)


def _words_of(element: DataElement) -> Iterator[str]:
    """Give the words of a name, and an identifier as a whole."""
    if element.VR == "PN":
        parts = re.split(r"[\s^=,\\]+", _text(element).casefold())
    elif element.keyword in _IDENTIFIERS:
        parts = _text(element).casefold().split("\n")
    else:
        return
    yield from (part.strip() for part in parts if _is_telling(part.strip()))


def _is_telling(word: str) -> bool:
    """Say whether a word is long enough to be told from others."""
    return len(word) >= (_LEAST_LATIN_LETTERS if word.isascii() else _LEAST_OTHER_LETTERS)


def _text(element: DataElement) -> str:
    """Write the values of an attribute on a line each."""
    value: object = element.value
    if value is None or isinstance(value, bytes):
        return ""
    return "\n".join(map(str, value)) if isinstance(value, MultiValue) else str(value)


def _encoded(word: str) -> Iterator[bytes]:
    """Write a word in the character sets that scanners use."""
    for encoding in _ENCODINGS:
        try:
            yield word.encode(encoding).lower()
        except UnicodeEncodeError:
            continue
