"""The one route: source, volume, labels, age distribution, decision, documents."""

from __future__ import annotations

import platform
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Unpack

import numpy as np

import kneeage
from kneeage.core.anatomy import PLATE_SITES, Side
from kneeage.core.errors import (
    AmbiguousSeriesError,
    GeometryError,
    InputRefusedError,
    OutputError,
    UndecodableError,
    UsageError,
)
from kneeage.core.manifest import VIRTUAL_POPULATION, BundleManifest, Calibration
from kneeage.core.result import (
    BundleReport,
    Outcome,
    PlateReport,
    QualityReport,
    Reason,
    ReasonCode,
    Result,
    SeriesReport,
    SoftwareReport,
)
from kneeage.core.volume import Volume
from kneeage.decide.prior import FittedPrior
from kneeage.decide.question import Question, QuestionOptions
from kneeage.decide.statement import AgeStatement, state_age
from kneeage.infer.abstain import plane_reason, sex_reason, site_reasons
from kneeage.infer.age import AGE_INPUTS, age_log_likelihood
from kneeage.infer.engine import RUNTIME_VERSION, Engine
from kneeage.infer.fibula import side_from_fibula
from kneeage.infer.morphometry import calibrated, measure_plate
from kneeage.infer.region import SitesSeen, age_regions, find_sites
from kneeage.infer.segment import SEGMENT_INPUTS, Segmentation, segment
from kneeage.io.bundle import Bundle, load_bundle
from kneeage.io.nifti import is_nifti_name, write_labels
from kneeage.io.output import whole_folder
from kneeage.io.read import load
from kneeage.io.series import LoadedSeries
from kneeage.prepare.plane import plane_of
from kneeage.prepare.recipe import Prepared, load_recipe, prepare

RESULT_FILE, LABELS_FILE, PREVIEW_FILE, REPORT_FILE = "result.json", "labels.nii.gz", "preview.png", "report.html"
VIRTUAL_WARNING = "trained on a virtual cohort, demonstration only, not for forensic use"
SEX_WARNING = "the sex was not given: both are held equally likely, and the answer is the less certain for it"
SIDE_WARNING = "the header says {stated}, but the fibula lies as in a {seen} knee: check the side before any use"
WEIGHTING_WARNING = "the series looks {weighting}-weighted; growth plates are judged on T1-weighted series"
FAT_WARNING = "the series looks fat-suppressed; growth plates are judged on series without fat suppression"


@dataclass(frozen=True, eq=False)
class Examination:
    """A result with the images that its documents show.

    Args:
        result: The answer.
        series: The series that was read.
        labels: Labels on the source grid, uint8; None where nothing was labelled.
    """

    result: Result
    series: LoadedSeries
    labels: Volume | None

    @property
    def image(self) -> Volume:
        """Grey values on the source grid."""
        return self.series.volume


class Examiner:
    """A bundle with its networks loaded, ready for any number of subjects.

    Args:
        bundle: The model bundle.
        threads: Threads of each network; None: every core this process may use.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self.bundle = bundle
        self._threads = threads

    @property
    def manifest(self) -> BundleManifest:
        """What the bundle says about itself."""
        return self.bundle.manifest

    def prepare(self, series: LoadedSeries) -> Prepared:
        """Prepare a series by the bundle's recipe.

        Raises:
            GeometryError: The slices were cut in another plane than the bundle's.
        """
        recipe = load_recipe(self.manifest.recipe)
        return prepare(series.volume, recipe, plane=self.manifest.plane, side=series.header.side)

    def segment(self, prepared: Prepared) -> Segmentation:
        """Label a prepared volume."""
        return segment(self.manifest.segment, self._segmenter, prepared)

    def examine(self, series: LoadedSeries, question: Question) -> Examination:
        """Answer a question about one subject.

        Args:
            series: The series.
            question: What is asked.

        Returns:
            The examination, estimated or abstained from.

        Raises:
            UsageError: The prior does not fit the bundle.
            BundleError: A network of the bundle cannot be used.
        """
        prior = question.prior_for(self.manifest)
        reason = plane_reason(plane_of(series.volume), self.manifest)
        if reason is not None:
            return Examination(self._result(series, question, reasons=[reason]), series, None)
        prepared = self.prepare(series)
        seen = _Seen.of(self.segment(prepared), prepared)
        reasons = site_reasons(seen.sites, self.manifest.age)
        sex_missing = sex_reason(question.known_sex, self.manifest)
        reasons += [] if sex_missing is None else [sex_missing]
        statement = None if reasons else self._state_age(series, question, prior, seen)
        result = self._result(series, question, reasons=reasons, seen=seen, statement=statement)
        return Examination(result, series, seen.segmentation.source_labels)

    def _state_age(self, series: LoadedSeries, question: Question, prior: FittedPrior, seen: _Seen) -> AgeStatement:
        """Estimate the age and say what follows."""
        regions = age_regions(seen.image, seen.segmentation.plate_probability, seen.sites, self.manifest.age)
        return state_age(
            age_log_likelihood(self._age_network, regions, question.known_sex, self.manifest),
            self.manifest,
            prior=prior,
            thresholds_years=question.thresholds,
            image_is_virtual=series.header.virtual,
        )

    def _result(
        self,
        series: LoadedSeries,
        question: Question,
        *,
        reasons: list[Reason],
        seen: _Seen | None = None,
        statement: AgeStatement | None = None,
    ) -> Result:
        """Put the result together."""
        said = {} if statement is None else {name: getattr(statement, name) for name in _STATED}
        return Result(
            outcome=Outcome.ABSTAINED if statement is None else Outcome.ESTIMATED,
            reasons=reasons,
            subject=question.report(),
            series=_series_report(series),
            quality=None if seen is None else seen.quality(series),
            plates={} if seen is None else seen.plates(self.manifest.calibration),
            bundle=self._bundle_report(),
            software=_software_report(),
            warnings=[*self._warnings(series, question, seen), *(statement.warnings if statement else ())],
            **said,
        )

    def _warnings(self, series: LoadedSeries, question: Question, seen: _Seen | None) -> list[str]:
        """List what the reader must know, whatever the answer is."""
        header, warnings = series.header, [VIRTUAL_WARNING] if self.manifest.is_virtual else []
        if question.known_sex is None:
            warnings.append(SEX_WARNING)
        if header.weighting not in (None, "T1"):
            warnings.append(WEIGHTING_WARNING.format(weighting=header.weighting))
        if header.fat_suppressed:
            warnings.append(FAT_WARNING)
        if seen is not None and {header.side, seen.side} == {Side.LEFT, Side.RIGHT}:
            warnings.append(SIDE_WARNING.format(stated=header.side.value, seen=seen.side.value))
        return warnings

    def _bundle_report(self) -> BundleReport:
        """Name the bundle."""
        manifest = self.manifest
        return BundleReport(
            name=manifest.name, version=manifest.version, population=manifest.population, sha256=self.bundle.sha256
        )

    @cached_property
    def _segmenter(self) -> Engine:
        """The network that labels slices."""
        return self._engine(self.manifest.segment.file, SEGMENT_INPUTS)

    @cached_property
    def _age_network(self) -> Engine:
        """The network that estimates age."""
        return self._engine(self.manifest.age.file, AGE_INPUTS)

    def _engine(self, file: str, inputs: tuple[str, ...]) -> Engine:
        """Load a network of the bundle."""
        return Engine(self.bundle.model_bytes(file), name=file, inputs=inputs, threads=self._threads)


def estimate(
    path: Path | str,
    *,
    series: str | None = None,
    bundle: Bundle | Path | str | None = None,
    threads: int | None = None,
    **question: Unpack[QuestionOptions],
) -> Examination:
    """Estimate a subject's age from a knee MRI series.

    Args:
        path: DICOM file, folder, DICOMDIR, zip, or NIfTI file.
        series: Key of the series, as ``inspect`` prints it; None: the best one.
        bundle: A loaded bundle or its folder; None: the bundle that ships with the package.
        threads: Threads of each network; None: every core this process may use.
        **question: Fields of `Question`: ``sex``, ``thresholds``, ``prior``, ``question``, ``legal_basis``,
            ``claimed_age_years``.

    Returns:
        The examination, estimated or abstained from.

    Raises:
        UsageError: An option has a value that it does not take.
        InputRefusedError: The input cannot carry an answer; `refused` turns it into a result.
        BundleError: The bundle is missing, altered, or does not fit this version.
    """
    asked = Question(**question)
    examiner = Examiner(_loaded(bundle), threads)
    asked.prior_for(examiner.manifest)  # a wrong prior is said before a series is read
    return examiner.examine(load(Path(path), series), asked)


def refused(error: InputRefusedError, question: Question | None = None) -> Result:
    """Turn the refusal of an input into a result.

    Args:
        error: Why the input was refused.
        question: What was asked.

    Returns:
        A result without any measurement.
    """
    code = next((code for kind, code in _REFUSALS.items() if isinstance(error, kind)), ReasonCode.INPUT_REFUSED)
    return Result(
        outcome=Outcome.REFUSED,
        reasons=[Reason(code=code, message=str(error))],
        subject=(question or Question()).report(),
        software=_software_report(),
    )


def write_documents(examination: Examination, folder: Path | str, lang: str = "en") -> None:
    """Write ``result.json``, ``labels.nii.gz``, ``preview.png`` and ``report.html`` into a new folder.

    The folder appears whole or not at all. Where nothing was labelled there is no ``labels.nii.gz``.

    Args:
        examination: What to write about.
        folder: The folder; it must not exist, or be empty.
        lang: Language of the report, ``"en"`` or ``"zh"``.

    Raises:
        OutputError: The folder cannot be written.
        UsageError: The report is not written in this language.
    """
    # The report's drawing and page libraries are loaded only when there is something to write.
    from kneeage.report.figures import preview_png
    from kneeage.report.html import render_html

    result, image = examination.result, examination.image
    labels = examination.labels
    shown = image.with_array(np.zeros(image.array.shape, dtype=np.uint8)) if labels is None else labels
    preview, page = preview_png(result, image, shown, lang), render_html(result, image, shown, lang)
    with whole_folder(Path(folder)) as whole:
        (whole / RESULT_FILE).write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (whole / PREVIEW_FILE).write_bytes(preview)
        (whole / REPORT_FILE).write_text(page, encoding="utf-8")
        if labels is not None:
            write_labels(whole / LABELS_FILE, labels, note=_label_note(is_virtual=_is_virtual(result)))


def segment_file(
    path: Path | str,
    out: Path | str,
    *,
    series: str | None = None,
    bundle: Bundle | Path | str | None = None,
    threads: int | None = None,
) -> Volume:
    """Label a volume, of one slice or many, and write the labels on its own grid.

    Args:
        path: DICOM file, folder, DICOMDIR, zip, or NIfTI file.
        out: NIfTI file to write; it must not exist. It appears whole or not at all.
        series: Key of the series; None: the best one.
        bundle: A loaded bundle or its folder; None: the bundle that ships with the package.
        threads: Threads of the network; None: every core this process may use.

    Returns:
        The labels, uint8, shape (1, I, J, K), on the grid of the input.

    Raises:
        UsageError: ``out`` is not named as a NIfTI file.
        InputRefusedError: The input cannot be labelled, or was cut in another plane than the bundle's.
        OutputError: ``out`` exists or cannot be written.
        BundleError: The bundle cannot be used.
    """
    target = _free_nifti(Path(out))
    examiner = Examiner(_loaded(bundle), threads)
    loaded = load(Path(path), series)
    labels = examiner.segment(examiner.prepare(loaded)).source_labels
    write_labels(target, labels, note=_label_note(is_virtual=examiner.manifest.is_virtual))
    return labels


@dataclass(frozen=True, eq=False)
class _Seen:
    """What was seen on one subject's images."""

    image: Volume
    segmentation: Segmentation
    sites: SitesSeen
    side: Side

    @classmethod
    def of(cls, segmentation: Segmentation, prepared: Prepared) -> _Seen:
        """Look at the labels."""
        side = side_from_fibula(segmentation.source_labels)
        return cls(prepared.volume, segmentation, find_sites(segmentation.labels), side)

    def plates(self, calibration: Calibration) -> dict[str, PlateReport]:
        """Measure both plates."""
        drawn = {site: measure_plate(self.segmentation.labels, site, self.sites.of(site)) for site in PLATE_SITES}
        return {site.name: calibrated(plate, calibration, site) for site, plate in drawn.items()}

    def quality(self, series: LoadedSeries) -> QualityReport:
        """Say what the images allow."""
        return QualityReport(
            slices=self.image.shape[2],
            slices_over_femoral_site=len(self.sites.distal_femur.slices),
            slices_over_tibial_site=len(self.sites.proximal_tibia.slices),
            side_from_fibula=self.side,
            notes=list(series.notes),
        )


def _loaded(bundle: Bundle | Path | str | None) -> Bundle:
    """Load a bundle that is not loaded yet."""
    if isinstance(bundle, Bundle):
        return bundle
    return load_bundle(None if bundle is None else Path(bundle))


def _free_nifti(path: Path) -> Path:
    """Refuse, before any work is done, a name that no NIfTI file has, or that is taken."""
    if not is_nifti_name(path.name):
        raise UsageError(f"labels are written as .nii or .nii.gz; found {path.name!r}")
    if path.exists():
        raise OutputError(f"{path.name!r} exists; name another file or remove it")
    return path


def _series_report(series: LoadedSeries) -> SeriesReport:
    """Say what was read."""
    header = series.header
    return SeriesReport(
        **{name: getattr(header, name) for name in _HEADER_FIELDS},
        plane=series.plane,
        pixel_sha256=series.pixel_sha256,
        rank_reasons=list(series.reasons),
    )


def _software_report() -> SoftwareReport:
    """Say what ran, and when."""
    return SoftwareReport(
        kneeage=kneeage.__version__,
        python=platform.python_version(),
        onnxruntime=RUNTIME_VERSION,
        result_created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


_STATED = tuple(field.name for field in fields(AgeStatement) if field.name != "warnings")
_NOT_IN_HEADER = {"plane", "pixel_sha256", "rank_reasons"}
_HEADER_FIELDS = tuple(name for name in SeriesReport.model_fields if name not in _NOT_IN_HEADER)
_REFUSALS: dict[type[InputRefusedError], ReasonCode] = {
    GeometryError: ReasonCode.GEOMETRY,
    UndecodableError: ReasonCode.UNDECODABLE,
    AmbiguousSeriesError: ReasonCode.AMBIGUOUS_SERIES,
}


def _is_virtual(result: Result) -> bool:
    """Say whether a virtual bundle answered."""
    return result.bundle is not None and result.bundle.population == VIRTUAL_POPULATION


def _label_note(*, is_virtual: bool) -> str:
    """Say what labels are worth; NIfTI has room for 79 characters."""
    return VIRTUAL_WARNING if is_virtual else "kneeage labels"
