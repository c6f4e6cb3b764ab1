"""What all objects of one examination share: UIDs that follow from the inputs, dates, equipment, identity."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.uid import UID

from kneeage import __version__
from kneeage.core.errors import GeometryError
from kneeage.core.manifest import VIRTUAL_POPULATION
from kneeage.core.result import Result
from kneeage.core.volume import Volume
from kneeage.io.facts import quietly
from kneeage.io.series import LoadedSeries
from kneeage.io.write import deterministic_uid
from kneeage.report.dicom.source import Source, identity, offset_of, source_of

MANUFACTURER = "kneeage"
VIRTUAL_WORDS = "virtual bundle, demonstration only"
# Labels must lie on the grid of the source to this; it is far below what moves a contour.
_GRID_TOLERANCE_MM = 1e-3
_LARGEST_SOURCE_NUMBER = 10**7
_OTHER_TIMES = (
    ("InstanceCreationDate", "InstanceCreationTime"),
    ("ContentDate", "ContentTime"),
    ("DateOfSecondaryCapture", "TimeOfSecondaryCapture"),
)


class SegmentationType(str, Enum):
    """How a segmentation is encoded: a bit plane for every label, or one map of all of them."""

    BINARY = "binary"
    LABEL_MAP = "labelmap"


class Kind(Enum):
    """The objects, each with the number of its series among them and its description."""

    SEGMENTATION = (1, "Growth plates and bones")
    MEASUREMENTS = (2, "Growth plate measurements")
    PREVIEW = (3, "Age estimation preview")
    REPORT = (4, "Age estimation draft report")

    @property
    def number(self) -> int:
        """Place among the series of one examination, from 1."""
        return self.value[0]

    @property
    def words(self) -> str:
        """What it is called."""
        return self.value[1]


@dataclass(frozen=True, eq=False)
class Making:
    """What the objects of one examination are made from.

    Args:
        source: The DICOM series.
        result: The answer.
        labels: Labels on the source grid, uint8, shape (1, I, J, K); None where nothing was labelled.
        series: The series as it was read.
        seed: What all UIDs follow from: source, answer without its time, labels, version.
        moment: When the result was made, in the source's time zone (the machine's where the source states none).
    """

    source: Source
    result: Result
    labels: Volume | None
    series: LoadedSeries
    seed: str
    moment: datetime

    @property
    def is_virtual(self) -> bool:
        """Whether the answer must not leave a demonstration: a virtual bundle gave it, or it names none."""
        return self.result.bundle is None or self.result.bundle.population == VIRTUAL_POPULATION

    def uid(self, kind: Kind, *words: str) -> UID:
        """Make a UID of an object or a part of it; the same inputs give the same."""
        return deterministic_uid(self.seed, kind.name, *words)

    def description(self, kind: Kind) -> str:
        """Describe a series, at most 64 characters."""
        return f"{kind.words} ({VIRTUAL_WORDS})" if self.is_virtual else kind.words

    def series_number(self, kind: Kind) -> int:
        """Number a series after its source, so that a list of series keeps them together."""
        number = self.source.number
        return 100 * (number if 0 < number < _LARGEST_SOURCE_NUMBER else 0) + kind.number

    def creation(self, kind: Kind, *words: str) -> dict[str, Any]:
        """Give the arguments that every constructor of the library takes."""
        return {
            "series_instance_uid": self.uid(kind, "series", *words),
            "series_number": self.series_number(kind),
            "sop_instance_uid": self.uid(kind, "instance", *words),
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": MANUFACTURER,
            "software_versions": __version__,
            "device_serial_number": __version__,
            "series_description": self.description(kind),
        }


def making_of(result: Result, series: LoadedSeries, labels: Volume | None) -> Making:
    """Collect what the objects of an examination are made from.

    Args:
        result: The answer.
        series: The series, read from DICOM files.
        labels: Labels on its grid; None or all background where nothing was labelled.

    Returns:
        What the objects share.

    Raises:
        UsageError: The series was not read from DICOM files.
        InputRefusedError: The source lacks what objects must refer to.
        GeometryError: The labels lie on another grid than the series.
    """
    source = source_of(series)
    drawn = labels if labels is not None and labels.array.any() else None
    if drawn is not None:
        _require_same_grid(drawn, series.volume)
    seed = _seed(source, result, series.pixel_sha256, drawn)
    return Making(source, result, drawn, series, seed, _moment(source, result))


def finished(made: Dataset, making: Making) -> Dataset:
    """Give an object the identity, dates and equipment that all have, and nothing of the running machine.

    Args:
        made: An object from the library.
        making: What it is made from.

    Returns:
        The object.
    """
    with quietly():
        for element in identity(making.source):
            made.add(element)
    date, time = making.moment.strftime("%Y%m%d"), making.moment.strftime("%H%M%S")
    made.SeriesDate, made.SeriesTime = date, time
    for day, hour in _OTHER_TIMES:
        if day in made:
            setattr(made, day, date)
            setattr(made, hour, time)
    for equipment in made.get("ContributingEquipmentSequence", ()):
        equipment.ContributionDateTime = date + time
    return made


def plain(text: str, length: int) -> str:
    """Write text in the characters that every character set of the standard has, cut to a length."""
    return " ".join(text.encode("ascii", "replace").decode("ascii").replace("\\", "/").split())[:length]


def _require_same_grid(labels: Volume, image: Volume) -> None:
    """Refuse labels that do not lie voxel on voxel on the source."""
    corners = np.array(np.meshgrid(*([0, size] for size in image.shape))).reshape(3, -1).T
    if labels.shape != image.shape or np.abs(labels.world(corners) - image.world(corners)).max() > _GRID_TOLERANCE_MM:
        raise GeometryError(
            f"the labels ({labels.shape}) do not lie on the grid of the source ({image.shape}); bring them there first"
        )


def _seed(source: Source, result: Result, pixel_sha256: str, labels: Volume | None) -> str:
    """Hash what the objects follow from: all but the hour, the machine and the names of files."""
    digest = hashlib.sha256()
    answer = result.model_dump_json(exclude={"software": True, "quality": {"notes"}})
    for part in (__version__, pixel_sha256, answer, *_references(source)):
        digest.update(f"{len(part)}:{part}".encode())
    if labels is not None:
        digest.update(np.ascontiguousarray(labels.array, dtype=np.uint8).data)
    return digest.hexdigest()


def _references(source: Source) -> Iterator[str]:
    """List what names the source."""
    yield from (source.study_uid, source.series_uid, source.frame_of_reference_uid)
    yield from (f"{frame.sop_instance_uid} {frame.frame_number}" for frame in source.frames)


def _moment(source: Source, result: Result) -> datetime:
    """Give the time of the result in the source's time zone."""
    stated = None if result.software is None else datetime.fromisoformat(result.software.result_created_utc)
    moment = stated or datetime.now(UTC)
    offset = offset_of(source.header)
    return moment.astimezone(None if offset is None else _zone(offset))


def _zone(offset: str) -> timezone:
    """Make a time zone from an offset such as ``"-0330"``."""
    minutes = 60 * int(offset[1:3]) + int(offset[3:5])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
