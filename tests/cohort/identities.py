"""DICOM files that name somebody in every place that can hold a text, a date or a UID."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from pydicom import DataElement, Dataset
from pydicom.datadict import DicomDictionary, dictionary_has_tag, dictionary_VR
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from kneeage.cohort.profile import PROFILE_EDITION
from kneeage.cohort.scrub import KEPT_TEXTS

# What a test must not find again. Nobody is called so.
NAME = "Zyxwvutsson^Quillon"
IDENTIFIER = "QX-4711-0815"
BIRTH_DATE = "19870623"
_LISTED = dicom_anonymization_database_selector(f"dicomfields_{PROFILE_EDITION}")["ALL_TAGS"]
_LISTED_TAGS = {Tag(tag) for tag in _LISTED if len(tag) == 2}
_TEXTS = {"AE", "AS", "DA", "DT", "LO", "LT", "OB", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
# File meta information, the directory of a disc and commands are no part of an image.
_OTHER_GROUPS = {0x0000, 0x0002, 0x0004}


class Marks:
    """Hands out values that are met once in the world, and remembers them."""

    def __init__(self) -> None:
        self._numbers = count(1000)
        self.given: list[bytes] = []

    def value(self, vr: str) -> Any:
        """Make a value of a VR; None where it can hold nothing that tells."""
        number = next(self._numbers)
        texts = {
            "AE": f"AE-MARK{number}",
            "AS": f"{number % 1000:03d}Y",
            "DA": f"1987{1 + number % 12:02d}{1 + number % 28:02d}",
            "DT": f"198706231415{number % 60:02d}.{number}",
            "TM": f"1759{number % 60:02d}.9{number}",
            "UI": f"1.2.826.0.1.99.{number}.4711",
            "UR": f"https://mark{number}.example/",
            "DS": f"61.2{number}375",
            "IS": f"7{number}4711",
            "OB": f"mark-{number}-bytes!".encode(),
            "UN": f"mark-{number}-bytes!".encode(),
        }
        kinds = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
        value = texts.get(vr, f"Mark{number}^Q" if vr in kinds else None)
        if value is not None:
            self.given.append(value if isinstance(value, bytes) else value.encode())
        return value


def _elements(marks: Marks, tags: Iterable[BaseTag]) -> Iterator[DataElement]:
    """Make an element of every attribute that can hold a mark; a sequence holds a name, a text and a date."""
    for tag in tags:
        vr = dictionary_VR(tag) if dictionary_has_tag(tag) else "UT"  # the table is newer than the dictionary
        if vr == "SQ":
            item = Dataset()
            item.PersonName, item.TextValue, item.Date = (marks.value(kind) for kind in ("PN", "UT", "DA"))
            yield DataElement(tag, vr, Sequence([item]))
        elif (value := marks.value(vr)) is not None:
            yield DataElement(tag, vr, value)


def fill(level: Dataset, marks: Marks) -> None:
    """Put a mark into every attribute that the profile lists, and into every text, date and UID that it does not."""
    texts = {Tag(tag) for tag, facts in DicomDictionary.items() if facts[0] in _TEXTS and facts[4] not in KEPT_TEXTS}
    tags = {tag for tag in _LISTED_TAGS | texts if tag.group not in _OTHER_GROUPS and tag not in level}
    for element in _elements(marks, sorted(tags)):
        level.add(element)


def fill_oddly(one: Dataset, marks: Marks) -> None:
    """Put marks where the standard does not look for them: private, unknown, wrongly typed, drawn, nested, in meta."""
    block = one.private_block(0x0029, "MARKED MAKER", create=True)
    block.add_new(1, "LO", marks.value("LO"))
    nested = Dataset()
    fill(nested, marks)
    nested.private_block(0x0019, "NESTED MAKER", create=True).add_new(2, "UN", marks.value("UN"))
    one.AnatomicRegionSequence = Sequence([nested])
    one.add_new(0x00091001, "UT", marks.value("UT"))  # private without a creator
    one.add_new(0x00119999, "LO", marks.value("LO"))
    one.add_new(0x00180001, "LO", marks.value("LO"))  # in no dictionary
    one.add_new(0x00281050, "LT", marks.value("LT"))  # a number, written as a text
    one.add_new(0x60000022, "LO", marks.value("LO"))
    one.add_new(0x60003000, "OW", marks.value("OB"))
    one.add_new(0x60001500, "LO", marks.value("LO"))
    one.add_new(0x50000030, "SH", marks.value("SH"))
    one.file_meta.SourceApplicationEntityTitle = marks.value("AE")
    one.file_meta.ImplementationVersionName = "MARKED"
    one.file_meta.PrivateInformationCreatorUID = marks.value("UI")
    one.file_meta.PrivateInformation = marks.value("OB")
    one.preamble = b"MARKED-PREAMBLE!" * 8
    marks.given += [b"MARKED"]
