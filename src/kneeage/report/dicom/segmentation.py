"""The labels as a DICOM segmentation in the geometry of the source series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom import Dataset

from kneeage.core.anatomy import LABEL_COLOURS, Label
from kneeage.core.volume import Volume
from kneeage.report.dicom import codes
from kneeage.report.dicom.making import MANUFACTURER, Kind, Making, SegmentationType, finished, plain
from kneeage.report.dicom.source import Source, stand_in_number, stand_ins

_TYPES = {
    SegmentationType.BINARY: SegmentationTypeValues.BINARY,
    SegmentationType.LABEL_MAP: SegmentationTypeValues.LABELMAP,
}


@dataclass(frozen=True, eq=False)
class DrawnSegments:
    """A segmentation, and where to find each label in it.

    Args:
        object: The segmentation.
        numbers: Segment number of each label that was drawn.
        slices: Slices of the source that show it.
    """

    object: Dataset
    numbers: Mapping[Label, int]
    slices: Mapping[Label, Sequence[int]]


def segmentation(making: Making, labels: Volume, kind: SegmentationType) -> DrawnSegments:
    """Make the segmentation.

    Frames repeat position and orientation of their source slices as these have them; slices and segments without a
    labelled pixel have no frame.

    Args:
        making: What the objects share.
        labels: Labels on the source grid, uint8, shape (1, I, J, K), not all background.
        kind: How to encode it.

    Returns:
        A Segmentation Storage or Label Map Segmentation Storage object, and what it holds.
    """
    numbers = _segment_numbers(labels, kind)
    made = Segmentation(
        source_images=stand_ins(making.source),
        pixel_array=_numbered(labels, numbers),
        segmentation_type=_TYPES[kind],
        segment_descriptions=[_description(making, label, number) for label, number in numbers.items()],
        content_label="GROWTH_PLATES",
        content_description=making.description(Kind.SEGMENTATION),
        **making.creation(Kind.SEGMENTATION, kind.value),
    )
    _refer_to_source(made, making.source)
    _name_dimensions(made, str(making.uid(Kind.SEGMENTATION, "dimensions", kind.value)))
    slices = {label: _slices_of(labels, label) for label in numbers}
    return DrawnSegments(finished(made, making), numbers, slices)


def _segment_numbers(labels: Volume, kind: SegmentationType) -> dict[Label, int]:
    """Number the labels that are drawn: from 1 without a gap, in a label map by their permanent value.

    Source: DICOM PS3.3 section C.8.20.4 (Segment Number).
    """
    drawn = [label for label in Label if label is not Label.BACKGROUND and (labels.array == label).any()]
    return {label: int(label) if kind is SegmentationType.LABEL_MAP else n for n, label in enumerate(drawn, start=1)}


def _slices_of(labels: Volume, label: Label) -> list[int]:
    """List the slices that show a label."""
    return [int(k) for k in np.flatnonzero((labels.array[0] == label).any(axis=(0, 1)))]


def _numbered(labels: Volume, numbers: dict[Label, int]) -> NDArray[np.uint8]:
    """Turn label values of shape (1, I, J, K) into segment numbers of shape (K, J, I)."""
    table = np.zeros(max(Label) + 1, dtype=np.uint8)
    for label, number in numbers.items():
        table[label] = number
    return np.ascontiguousarray(table[labels.array[0].transpose(2, 1, 0)])


def _description(making: Making, label: Label, number: int) -> SegmentDescription:
    """Describe one segment."""
    name = label.name.lower()
    described = SegmentDescription(
        segment_number=number,
        segment_label=name.replace("_", " "),
        segmented_property_category=codes.ANATOMICAL_STRUCTURE,
        segmented_property_type=codes.structure_code(label),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=_algorithm(making),
        tracking_uid=making.uid(Kind.SEGMENTATION, "segment", name),
        tracking_id=name,
        anatomic_regions=[codes.region_code(label)],
        display_color=CIELabColor.from_rgb(*LABEL_COLOURS[label]),
    )
    side = codes.LATERALITY.get(making.series.header.side)
    if side is not None:
        structure = described.SegmentedPropertyTypeCodeSequence[0]
        structure.SegmentedPropertyTypeModifierCodeSequence = [CodedConcept.from_code(side)]
        described.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [CodedConcept.from_code(side)]
    return described


def _algorithm(making: Making) -> AlgorithmIdentificationSequence:
    """Identify what drew the segments."""
    bundle = making.result.bundle
    return AlgorithmIdentificationSequence(
        name=plain(MANUFACTURER if bundle is None else bundle.name, 64),
        family=codes.ARTIFICIAL_INTELLIGENCE,
        version=plain("unknown" if bundle is None else bundle.version, 64),
        source=MANUFACTURER,
        parameters={} if bundle is None else {"bundle": bundle.sha256, "population": plain(bundle.population, 64)},
    )


def _refer_to_source(made: Dataset, source: Source) -> None:
    """Put references to the source in place of those to the stand-ins."""
    used = set()
    for group in made.PerFrameFunctionalGroupsSequence:
        derivation = group.DerivationImageSequence[0]
        item = derivation.SourceImageSequence[0]
        k = stand_in_number(item.ReferencedSOPInstanceUID)
        used.add(k)
        derivation.SourceImageSequence = [_frame_reference(source, k, item)]
    made.SourceImageSequence = [one.frame_reference() for one in source.instances(sorted(used))]
    made.ReferencedSeriesSequence = [source.series_reference(sorted(used))]


def _frame_reference(source: Source, k: int, item: Dataset) -> Dataset:
    """Refer to source slice k with the purpose that the item states."""
    reference = source.instances([k])[0].frame_reference()
    reference.PurposeOfReferenceCodeSequence = item.PurposeOfReferenceCodeSequence
    reference.SpatialLocationsPreserved = "YES"
    return reference


def _name_dimensions(made: Dataset, uid: str) -> None:
    """Give the organisation of the dimensions a UID that follows from the inputs."""
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
