"""The measurements, and what may be said about age, as a structured report after TID 1500.

Source: DICOM PS3.16, TID 1500 (Measurement Report), 1501 (Measurement Group) and 1411 (Volumetric ROI Measurements).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceImageForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom import Dataset
from pydicom.sr.coding import Code

from kneeage import __version__
from kneeage.core.anatomy import PLATE_SITES, Label, PlateSite
from kneeage.core.result import Interval, Outcome, PlateReport, ThresholdReport
from kneeage.io.write import deterministic_uid
from kneeage.report.dicom import codes
from kneeage.report.dicom.making import MANUFACTURER, Kind, Making, finished, plain
from kneeage.report.dicom.segmentation import DrawnSegments
from kneeage.report.dicom.source import evidence

Group = MeasurementsAndQualitativeEvaluations | VolumetricROIMeasurementsAndQualitativeEvaluations

NO_AGE_WORDS = "No age is stated: the bundle was trained on a virtual cohort and says nothing about a real subject"
DRAFT_WORDS = "Unsigned draft; one method alone must never decide an age"
# Characters of one comment and digits after the point of a measurement, our own choice.
_COMMENT_LENGTH = 1000
_DECIMALS = 6


@dataclass(frozen=True)
class _Entry:
    """What one measurement group says.

    Args:
        name: What tracks it, unique in the report.
        finding: What it is about.
        measurements: Name, value and unit of each number.
        evaluations: Name and value of each coded statement.
        comments: Texts.
        site: The plate it is about, if any.
    """

    name: str
    finding: Code
    measurements: Sequence[Measurement] = ()
    evaluations: Sequence[tuple[Code, Code]] = ()
    comments: Sequence[str] = ()
    site: PlateSite | None = None


def measurements(making: Making, segments: DrawnSegments | None) -> Dataset:
    """Make the structured report.

    Args:
        making: What the objects share.
        segments: The segmentation to refer to; None where nothing was labelled.

    Returns:
        A Comprehensive 3D SR object: unverified and preliminary. It holds an age only where the bundle was trained on
        real subjects.
    """
    entries = [_examination(making), *_plates(making), *_ages(making)]
    report = MeasurementReport(
        observation_context=_observer(),
        procedure_reported=codes.MRI,
        imaging_measurements=[_group(making, entry, segments) for entry in entries],
        title=codes.REPORT_TITLE,
        referenced_images=evidence(making.source),
    )
    words = () if segments is None else (segments.object.SOPInstanceUID,)
    made = Comprehensive3DSR(
        evidence=[*evidence(making.source), *([] if segments is None else [segments.object])],
        content=report[0],
        is_complete=True,
        coding_schemes=[CodingSchemeIdentificationItem(codes.OWN_SCHEME, name=codes.OWN_SCHEME_NAME)],
        **making.creation(Kind.MEASUREMENTS, *words),
    )
    return finished(made, making)


def _states_age(making: Making) -> bool:
    """Say whether an age may go into the report."""
    return making.result.outcome is Outcome.ESTIMATED and not making.is_virtual


def _examination(making: Making) -> _Entry:
    """Say how the examination ended, why, and what the reader must know."""
    result = making.result
    reasons = [f"{reason.code.value}: {reason.message}" for reason in result.reasons]
    # Some warnings tell where the age lies, such as at the upper end of those considered.
    warnings = [NO_AGE_WORDS] if making.is_virtual else result.warnings
    return _Entry(
        name="examination",
        finding=codes.EXAMINATION,
        evaluations=[(codes.OUTCOME, codes.own_code(result.outcome.value))],
        comments=[DRAFT_WORDS, *reasons, *warnings],
    )


def _plates(making: Making) -> Iterator[_Entry]:
    """Say what was measured on each plate."""
    for site in PLATE_SITES:
        plate = making.result.plates.get(site.name)
        if plate is not None:
            yield _Entry(
                name=f"{site.name} growth plate",
                finding=codes.EPIPHYSEAL_PLATE,
                measurements=list(_plate_measurements(plate)),
                evaluations=list(_plate_evaluations(plate)),
                site=site,
            )


def _plate_measurements(plate: PlateReport) -> Iterator[Measurement]:
    """Give the numbers of one plate that were measured."""
    for name, value, unit, derivation in (
        (codes.OPENNESS, plate.openness, codes.RATIO, None),
        (codes.THICKNESS, plate.thickness_mm, codes.MILLIMETRE, codes.MEDIAN),
        (codes.AREA, plate.area_mm2, codes.SQUARE_MILLIMETRE, None),
        (codes.VOLUME, plate.volume_mm3, codes.CUBIC_MILLIMETRE, None),
    ):
        if value is not None:
            yield Measurement(name, round(value, _DECIMALS), unit, derivation=derivation)


def _plate_evaluations(plate: PlateReport) -> Iterator[tuple[Code, Code]]:
    """Give the coded statements about one plate."""
    yield codes.SITE_SEEN, codes.YES if plate.found else codes.NO
    for name, grading, stage in (
        (codes.STAGE_DEDOUIT, "DEDOUIT_", plate.stages.dedouit),
        (codes.STAGE_SCHMELING, "SCHMELING_", plate.stages.schmeling_kellinghaus),
    ):
        if stage is not None:
            yield name, codes.own_code(plain(stage, 6), grading)


def _ages(making: Making) -> Iterator[_Entry]:
    """Give the age, its intervals and the thresholds, where they may be stated."""
    result = making.result
    if not _states_age(making):
        return
    if result.estimated_age_years is not None:
        age = _years(codes.MOST_PROBABLE_AGE, result.estimated_age_years)
        yield _Entry("age estimate", codes.AGE_ESTIMATE, [age])
    yield from (_interval(number, interval) for number, interval in enumerate(result.interval_years, start=1))
    yield from (_threshold(threshold) for threshold in result.thresholds)


def _interval(number: int, interval: Interval) -> _Entry:
    """State one interval; an open end has no number."""
    ends = [_years(codes.INTERVAL_LOW, interval.low)]
    ends += [] if interval.high is None else [_years(codes.INTERVAL_HIGH, interval.high)]
    level = Measurement(codes.INTERVAL_LEVEL, interval.level, codes.NO_UNITS)
    comments = [f"Method: {interval.method}"]
    return _Entry(f"age interval {number}", codes.AGE_INTERVAL, [level, *ends], comments=comments)


def _threshold(threshold: ThresholdReport) -> _Entry:
    """State the probability of one threshold and what was decided."""
    probability = Measurement(
        codes.AT_LEAST_PROBABILITY, round(threshold.probability_at_least, _DECIMALS), codes.NO_UNITS
    )
    return _Entry(
        f"age threshold {threshold.age_years:g}",
        codes.AGE_THRESHOLD,
        [_years(codes.AGE_THRESHOLD, threshold.age_years), probability],
        [(codes.DECISION, codes.own_code(threshold.decision.value))],
        [f"Reason: {threshold.decision_reason}"],
    )


def _years(name: Code, value: float) -> Measurement:
    """Give a number of years."""
    return Measurement(name, round(value, _DECIMALS), codes.YEAR)


def _group(making: Making, entry: _Entry, segments: DrawnSegments | None) -> Group:
    """Make one measurement group, of a segment where its plate was drawn."""
    label = None if segments is None or entry.site is None else _drawn(segments, entry.site)
    said = _said(making, entry)
    if segments is None or label is None:
        group: Group = MeasurementsAndQualitativeEvaluations(**said)
    else:
        segment = _referenced_segment(making, segments, label)
        group = VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **said)
    for comment in entry.comments:
        group[0].ContentSequence.append(
            TextContentItem(codes.COMMENT, plain(comment, _COMMENT_LENGTH), RelationshipTypeValues.CONTAINS)
        )
    return group


def _said(making: Making, entry: _Entry) -> dict[str, Any]:
    """Give the arguments that both kinds of groups take."""
    return {
        "tracking_identifier": TrackingIdentifier(making.uid(Kind.MEASUREMENTS, "group", entry.name), entry.name),
        "finding_type": entry.finding,
        "finding_sites": [_finding_site(making, entry.site)],
        "algorithm_id": _algorithm(making),
        "measurements": entry.measurements,
        "qualitative_evaluations": [QualitativeEvaluation(name, value) for name, value in entry.evaluations],
    }


def _drawn(segments: DrawnSegments, site: PlateSite) -> Label | None:
    """Choose the segment that shows a plate: its open part, else its scar."""
    return next((label for label in (site.open_plate, site.scar) if label in segments.numbers), None)


def _referenced_segment(making: Making, segments: DrawnSegments, label: Label) -> ReferencedSegment:
    """Refer to a segment and to the source images it was drawn on."""
    return ReferencedSegment(
        sop_class_uid=segments.object.SOPClassUID,
        sop_instance_uid=segments.object.SOPInstanceUID,
        segment_number=segments.numbers[label],
        source_images=[
            SourceImageForSegmentation(one.sop_class_uid, one.sop_instance_uid, list(one.frame_numbers) or None)
            for one in making.source.instances(segments.slices[label])
        ],
    )


def _finding_site(making: Making, site: PlateSite | None) -> FindingSite:
    """Name the bone of a plate, or the knee, and its side where that is known."""
    place = codes.KNEE if site is None else codes.region_code(site.open_plate)
    return FindingSite(place, laterality=codes.LATERALITY.get(making.series.header.side))


def _algorithm(making: Making) -> AlgorithmIdentification:
    """Identify what measured: the bundle, and the software around it."""
    bundle = making.result.bundle
    parameters = [f"kneeage {__version__}"]
    if bundle is not None:
        parameters += [f"bundle SHA-256 {bundle.sha256}", f"population {plain(bundle.population, 64)}"]
    return AlgorithmIdentification(
        name=plain(MANUFACTURER if bundle is None else bundle.name, 64),
        version=plain(__version__ if bundle is None else bundle.version, 64),
        manufacturer=MANUFACTURER,
        parameters=parameters,
        family=codes.ARTIFICIAL_INTELLIGENCE,
    )


def _observer() -> ObservationContext:
    """Name the observer: this software, not a person."""
    device = DeviceObserverIdentifyingAttributes(
        uid=deterministic_uid(MANUFACTURER, "device", __version__),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=MANUFACTURER,
        serial_number=__version__,
    )
    return ObservationContext(observer_device_context=ObserverContext(CodedConcept.from_code(codes.DEVICE), device))
