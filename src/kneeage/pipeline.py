"""The one route: source, volume, labels, age distribution, decision, documents."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

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
    WrongPlaneError,
)
from kneeage.core.manifest import VIRTUAL_POPULATION, BundleManifest
from kneeage.core.result import (
    RESULT_FILE,
    BundleReport,
    CovariateReport,
    NoveltyReport,
    Outcome,
    PlateReport,
    Reason,
    ReasonCode,
    Result,
    SeriesReport,
    SoftwareReport,
)
from kneeage.core.volume import Volume
from kneeage.decide.likelihood import local_log_likelihood
from kneeage.decide.posterior import posterior
from kneeage.decide.prior import FittedPrior
from kneeage.decide.question import Question, QuestionOptions
from kneeage.decide.statement import AgeStatement, Asked, state_age
from kneeage.infer.abstain import (
    grid_reasons,
    plane_reason,
    reading_reasons,
    sequence_reason,
    sex_reason,
    side_reason,
    site_reasons,
)
from kneeage.infer.age import AgeFacts, AgeReading, age_inputs, age_outputs, read_age
from kneeage.infer.correct import corrected
from kneeage.infer.covariates import body_warnings, covariate_reports
from kneeage.infer.engine import RUNTIME_VERSION, Engine
from kneeage.infer.explain import PATCH_MM, Explanation, explanation, few_slices, occlude
from kneeage.infer.fibula import side_from_fibula
from kneeage.infer.novelty import NoveltyScale
from kneeage.infer.seen import Regions, Seen
from kneeage.infer.segment import SEGMENT_INPUTS, Segmentation, segment
from kneeage.io.bundle import Bundle, load_bundle
from kneeage.io.nifti import is_nifti_name, write_labels
from kneeage.io.output import whole_folder
from kneeage.io.read import load
from kneeage.io.series import LoadedSeries
from kneeage.io.wanted import Wanted
from kneeage.prepare.plane import plane_of
from kneeage.prepare.recipe import Prepared, load_recipe, prepare

if TYPE_CHECKING:
    from kneeage.report.panels import Shown

LABELS_FILE, PREVIEW_FILE, REPORT_FILE = "labels.nii.gz", "preview.png", "report.html"
EXPLANATION_FILE, PDF_FILE = "explanation.png", "report.pdf"
DICOM_FOLDER = "dicom"
VIRTUAL_WARNING = "trained on a virtual cohort, demonstration only, not for forensic use"
SEX_WARNING = "the sex was not given: the answer is the mean of those for both sexes, and may differ from each of them"
STRAY_WARNING = (
    "open plate of the {bone} is drawn outside its site ({volume} mm³), where none is measured: check the outlines"
)
# Less open plate than this outside of a plate's site is not spoken of. Source: ours; a fifth of what was drawn on the
# condyles of the one real adult series at hand would be spoken of, single voxels of closed virtual plates are not.
STRAYED_MM3 = 20.0
SIDE_WARNING = "the header says {stated}, but the fibula lies as in a {seen} knee: check the side before any use"
WEIGHTING_WARNING = "the series looks {weighting}-weighted; growth plates are judged on T1-weighted series"
UNCALIBRATED_WARNING = (
    "the bundle was trained and never calibrated: how often its intervals hold the true age was not measured"
)
FAT_WARNING = "the series looks fat-suppressed; growth plates are judged on series without fat suppression"

Progress = Callable[[str, float], None]


def _say_nothing(_stage: str, _share: float) -> None:
    """Tell nobody how far an examination is."""


@dataclass(frozen=True, eq=False)
class Examination:
    """A result with the images that its documents show.

    Args:
        result: The answer.
        series: The series that was read.
        labels: Labels on the source grid, uint8; None where nothing was labelled.
        explanation: Where the age came from; None where none was given, or it was not asked for.
        bundle: The bundle that answered; the report compares the subject with whom it covers. None: it does not.
        evidence: What an explanation is made of; None where no age was given.
    """

    result: Result
    series: LoadedSeries
    labels: Volume | None
    explanation: Explanation | None = None
    bundle: Bundle | None = None
    evidence: _Evidence | None = None

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

    @property
    def wanted(self) -> Wanted:
        """What a series must be for the bundle to answer."""
        return Wanted.by(self.manifest)

    def prepare(self, series: LoadedSeries, side: Side | None = None) -> Prepared:
        """Prepare a series by the bundle's recipe.

        Args:
            series: The series.
            side: Side of the knee; what the header says when None.

        Raises:
            GeometryError: The slices were cut in another plane than the bundle's.
        """
        recipe = load_recipe(self.manifest.recipe)
        return prepare(series.volume, recipe, plane=self.manifest.plane, side=side or series.header.side)

    def segment(self, prepared: Prepared) -> Segmentation:
        """Label a prepared volume."""
        return segment(self.manifest.segment, self._segmenter, prepared)

    def load_networks(self) -> None:
        """Load the networks now, so that the first subject waits no longer than the next.

        Raises:
            BundleError: A network of the bundle cannot be used.
        """
        _ = self._segmenter, self._age_networks, self._novelty_scale

    def examine(
        self,
        series: LoadedSeries,
        question: Question,
        *,
        explain: bool = False,
        labels: Volume | None = None,
        progress: Progress = _say_nothing,
    ) -> Examination:
        """Answer a question about one subject.

        Args:
            series: The series.
            question: What is asked.
            explain: Also find out where on the slices the age came from, by 17 more runs of the age networks.
            labels: Labels that a person corrected, uint8 (1, I, J, K), on the grid of the series; None: those that the
                bundle finds.
            progress: Told what begins, and the share of the work that is done.

        Returns:
            The examination, estimated or abstained from.

        Raises:
            UsageError: The prior does not fit the bundle.
            GeometryError: The corrected labels are on another grid.
            BundleError: A network of the bundle cannot be used.
        """
        prior = question.prior_for(self.manifest)
        reason = plane_reason(plane_of(series.volume), self.manifest)
        if reason is not None:
            return Examination(self._result(series, question, reasons=[reason]), series, None, bundle=self.bundle)
        progress("segmenting", 0.1)
        prepared, found = self._labelled(series)
        segmentation = found if labels is None else corrected(found, labels, prepared)
        progress("estimating", 0.5)
        seen = Seen.of(segmentation, prepared, self.manifest)
        reasons = self._reasons_before_reading(series, question, seen)
        read = None if site_reasons(seen.sites, self.manifest.age) else self._read(series, question, seen)
        if read is not None:
            judged = read.regions.quality if read.is_covered else None
            reasons += reading_reasons(judged, seen.plates, read.novelty, self.manifest)
        statement = None if reasons or read is None else self._state_age(series, question, prior, read)
        told = [] if statement is None or read is None else self._covariates(read, prior)
        result = self._result(
            series, question, reasons=reasons, seen=seen, read=read, statement=statement, covariates=told
        )
        evidence = None if read is None or statement is None else _Evidence(read, seen)
        answered = Examination(result, series, seen.segmentation.source_labels, None, self.bundle, evidence)
        if not explain:
            return answered
        progress("explaining", 0.7)
        return self.explained(answered)

    def _labelled(self, series: LoadedSeries) -> tuple[Prepared, Segmentation]:
        """Prepare and label a series.

        Where no side is stated, as in a NIfTI file, and the fibula lies as in a left knee, it is done once more as for
        one: the same knee gets the same answer from every kind of file.
        """
        prepared = self.prepare(series)
        found = self.segment(prepared)
        if series.header.side is Side.UNKNOWN and side_from_fibula(found.source_labels) is Side.LEFT:
            prepared = self.prepare(series, Side.LEFT)
            found = self.segment(prepared)
        return prepared, found

    def explained(self, examination: Examination) -> Examination:
        """Find out where on the slices the age of an examination came from.

        Args:
            examination: What `examine` gave, with this bundle.

        Returns:
            The same with an explanation, or as it is where no age was given.
        """
        evidence = examination.evidence
        if evidence is None:
            return examination
        return replace(examination, explanation=self._explain(evidence.read, evidence.seen))

    def _reasons_before_reading(self, series: LoadedSeries, question: Question, seen: Seen) -> list[Reason]:
        """List what speaks against an estimate before the age networks look."""
        header, manifest = series.header, self.manifest
        single = (
            sequence_reason(header.weighting, header.fat_suppressed, manifest),
            sex_reason(question.known_sex, manifest),
            side_reason(header.side, seen.fibula),
        )
        return [
            *(reason for reason in single if reason is not None),
            *grid_reasons(series.volume, manifest),
            *site_reasons(seen.sites, manifest.age),
        ]

    def _read(self, series: LoadedSeries, question: Question, seen: Seen) -> _Read:
        """Let the age networks look at the regions around the plates."""
        regions = seen.regions()
        facts = AgeFacts(
            sex=question.known_sex,
            height_cm=question.height_cm,
            weight_kg=question.weight_kg,
            weighting=series.header.weighting,
            plates=seen.drawn_plates,
        )
        reading = read_age(self._age_networks, regions.stack, facts, self.manifest)
        usual = facts.as_calibrated
        basis = reading if usual == facts else read_age(self._age_networks, regions.stack, usual, self.manifest)
        covered = sequence_reason(series.header.weighting, series.header.fat_suppressed, self.manifest) is None
        scale, features = self._novelty_scale if covered else None, basis.features
        novelty = None if scale is None or features is None else scale.report(features)
        return _Read(regions, seen.plates, facts, reading, basis, novelty, covered)

    def _state_age(self, series: LoadedSeries, question: Question, prior: FittedPrior, read: _Read) -> AgeStatement:
        """Say what follows from what the age networks saw."""
        return state_age(
            read.reading.log_likelihood,
            self.manifest,
            basis=read.basis.log_likelihood,
            prior=prior,
            asked=Asked(
                thresholds_years=question.thresholds,
                sex=question.known_sex,
                stages={name: plate.stages for name, plate in read.plates.items()},
                windows=question.windows,
                image_is_virtual=series.header.virtual,
            ),
        )

    def _covariates(self, read: _Read, prior: FittedPrior) -> list[CovariateReport]:
        """Say which facts beside the image were used, and what they changed."""

        def age_years(facts: AgeFacts) -> float:
            known = (each for told, each in read.readings if told == facts)
            reading = next(known, None) or read_age(self._age_networks, read.regions.stack, facts, self.manifest)
            return posterior(local_log_likelihood(reading.log_likelihood, self.manifest), prior).mode_years

        return covariate_reports(read.facts, self.manifest.age.fact_names, age_years)

    def _explain(self, read: _Read, seen: Seen) -> Explanation:
        """Cover place after place, and see how far the answer moves."""
        chosen = few_slices(len(read.regions.stack))
        edges = np.array(self.manifest.age_edges_years)
        effects = occlude(
            lambda stack: read_age(self._age_networks, stack, read.facts, self.manifest).log_likelihood,
            read.regions.stack[chosen],
            (edges[:-1] + edges[1:]) / 2,
            max(1, round(PATCH_MM / seen.prepared.volume.spacing[0])),
        )
        through = range(read.regions.slices[0], read.regions.slices[-1] + 1)
        return explanation(effects, seen.prepared, read.regions.corner, through)

    def _result(
        self,
        series: LoadedSeries,
        question: Question,
        *,
        reasons: list[Reason],
        seen: Seen | None = None,
        read: _Read | None = None,
        statement: AgeStatement | None = None,
        covariates: Sequence[CovariateReport] = (),
    ) -> Result:
        """Put the result together."""
        said = {} if statement is None else {name: getattr(statement, name) for name in _STATED}
        measured, novelty = (None, None) if read is None else (read.regions.quality, read.novelty)
        covered = read is None or read.is_covered
        return Result(
            outcome=Outcome.ABSTAINED if statement is None else Outcome.ESTIMATED,
            reasons=reasons,
            subject=question.report(),
            series=_series_report(series),
            quality=None if seen is None else seen.quality(measured, novelty, series.notes, covered=covered),
            plates={} if seen is None else seen.plates,
            covariates=list(covariates),
            bundle=self._bundle_report(),
            software=_software_report(),
            warnings=[*self._warnings(series, question, seen), *(statement.warnings if statement else ())],
            **said,
        )

    def _warnings(self, series: LoadedSeries, question: Question, seen: Seen | None) -> list[str]:
        """List what the reader must know, whatever the answer is."""
        header, warnings = series.header, [VIRTUAL_WARNING] if self.manifest.is_virtual else []
        if self.manifest.policy.decides_nothing:
            warnings.append(UNCALIBRATED_WARNING)
        if question.known_sex is None:
            warnings.append(SEX_WARNING)
        warnings += body_warnings(question.height_cm, question.weight_kg, self.manifest)
        if header.weighting not in (None, "T1", *self.manifest.sequences):
            warnings.append(WEIGHTING_WARNING.format(weighting=header.weighting))
        if header.fat_suppressed:
            warnings.append(FAT_WARNING)
        if seen is not None and {header.side, seen.fibula.side} == {Side.LEFT, Side.RIGHT}:
            warnings.append(SIDE_WARNING.format(stated=header.side.value, seen=seen.fibula.side.value))
        return warnings if seen is None else [*warnings, *_stray_warnings(seen)]

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
    def _age_networks(self) -> list[Engine]:
        """The networks that estimate age."""
        stage = self.manifest.age
        return [self._engine(file, age_inputs(stage), age_outputs(stage)) for file in stage.files]

    @cached_property
    def _novelty_scale(self) -> NoveltyScale | None:
        """The scale of how far an image lies from the training images; None where the bundle has none."""
        novelty = self.manifest.novelty
        return None if novelty is None else NoveltyScale(novelty)

    def _engine(self, file: str, inputs: tuple[str, ...], outputs: tuple[str, ...] = ("logits",)) -> Engine:
        """Load a network of the bundle."""
        model = self.bundle.model_bytes(file)
        return Engine(model, name=file, inputs=inputs, outputs=outputs, threads=self._threads)


def estimate(
    path: Path | str,
    *,
    series: str | None = None,
    bundle: Bundle | Path | str | None = None,
    threads: int | None = None,
    explain: bool = False,
    **question: Unpack[QuestionOptions],
) -> Examination:
    """Estimate a subject's age from a knee MRI series.

    Args:
        path: DICOM file, folder, DICOMDIR, zip, or NIfTI file.
        series: Key of the series, as ``inspect`` prints it; None: the best one for the bundle.
        bundle: A loaded bundle or its folder; None: the bundle that ships with the package.
        threads: Threads of each network; None: every core this process may use.
        explain: Also find out where on the slices the age came from.
        **question: Fields of `Question`: ``sex``, ``height_cm``, ``weight_kg``, ``thresholds``, ``ratio_ages``,
            ``prior``, ``question``, ``legal_basis``, ``consent``, ``claimed_age_years``, ``examiner``.

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
    return examiner.examine(load(Path(path), series, examiner.wanted), asked, explain=explain)


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


def write_documents(
    examination: Examination,
    folder: Path | str,
    lang: str = "en",
    dicom: Literal["binary", "labelmap"] | None = None,
    *,
    pdf: bool = False,
) -> None:
    """Write ``result.json``, ``labels.nii.gz``, ``preview.png`` and ``report.html`` into a new folder.

    The folder appears whole or not at all. Where nothing was labelled there is no ``labels.nii.gz``; where the
    examination has an explanation there is an ``explanation.png`` too.

    Args:
        examination: What to write about.
        folder: The folder; it must not exist, or be empty.
        lang: Language of the report, ``"en"`` or ``"zh"``.
        dicom: Write DICOM objects into the folder ``dicom`` too, the segmentation encoded in this way; None: none.
        pdf: Write ``report.pdf`` too, and put it among the DICOM objects.

    Raises:
        OutputError: The folder cannot be written.
        UsageError: The report is not written in this language, or a PDF or DICOM objects cannot be made here, or DICOM
            objects of NIfTI.
        InputRefusedError: The source lacks what DICOM objects must refer to.
        BundleError: The bundle's reference knees cannot be read.
    """
    # The report's drawing and page libraries are loaded only when there is something to write.
    from kneeage.report.figures import preview_png
    from kneeage.report.heat import explanation_png

    result, labels, shown = examination.result, examination.labels, _shown(examination)
    preview, page = preview_png(result, shown, lang), _report_page(examination, shown, lang)
    explained = examination.explanation
    heat = None if explained is None else explanation_png(result, shown, explained, lang)
    printed = _report_pdf(page, lang) if pdf else None
    write_dicom = None if dicom is None else _dicom_writer(examination, preview, printed, lang, dicom)
    with whole_folder(Path(folder)) as whole:
        (whole / RESULT_FILE).write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (whole / PREVIEW_FILE).write_bytes(preview)
        (whole / REPORT_FILE).write_text(page, encoding="utf-8")
        if printed is not None:
            (whole / PDF_FILE).write_bytes(printed)
        if heat is not None:
            (whole / EXPLANATION_FILE).write_bytes(heat)
        if labels is not None:
            write_labels(whole / LABELS_FILE, labels, note=label_note(result))
        if write_dicom is not None:
            write_dicom(whole / DICOM_FOLDER)


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
        series: Key of the series; None: the best one for the bundle.
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
    loaded = load(Path(path), series, examiner.wanted)
    labels = examiner.segment(examiner.prepare(loaded)).source_labels
    write_labels(target, labels, note=_label_note(is_virtual=examiner.manifest.is_virtual))
    return labels


def label_note(result: Result) -> str:
    """Say in a file of labels what they are worth."""
    return _label_note(is_virtual=_is_virtual(result))


def _stray_warnings(seen: Seen) -> list[str]:
    """Say where an open plate is drawn that no measurement holds, so that picture and table do not contradict."""
    strayed = {site: seen.strayed_mm3(site) for site in PLATE_SITES}
    return [
        STRAY_WARNING.format(bone=site.name.replace("_", " "), volume=round(volume))
        for site, volume in strayed.items()
        if volume >= STRAYED_MM3
    ]


@dataclass(frozen=True, eq=False)
class _Read:
    """What the age networks were given, and what they saw.

    ``basis`` is seen without height and weight. ``is_covered``: the bundle knows the sequence; the limits that it keeps
    on grey values, and its distances, say nothing about another contrast.
    """

    regions: Regions
    plates: dict[str, PlateReport]
    facts: AgeFacts
    reading: AgeReading
    basis: AgeReading
    novelty: NoveltyReport | None
    is_covered: bool

    @property
    def readings(self) -> tuple[tuple[AgeFacts, AgeReading], ...]:
        """What was read already, and with which facts."""
        return (self.facts, self.reading), (self.facts.as_calibrated, self.basis)


@dataclass(frozen=True, eq=False)
class _Evidence:
    """What an answer rests on."""

    read: _Read
    seen: Seen


def _shown(examination: Examination) -> Shown:
    """Give what the documents show: where nothing was labelled, the image alone."""
    from kneeage.report.panels import Shown

    image, labels = examination.image, examination.labels
    nothing = np.zeros(image.array.shape, dtype=np.uint8)
    return Shown(image, image.with_array(nothing) if labels is None else labels, examination.series.plane)


def _report_page(examination: Examination, shown: Shown, lang: str) -> str:
    """Write the report as HTML, with what the bundle and the explanation have to show."""
    from kneeage.report.html import Backing, render_html
    from kneeage.report.reference import unpacked

    bundle = examination.bundle
    file = None if bundle is None else bundle.manifest.reference_knees
    backing = Backing(
        manifest=None if bundle is None else bundle.manifest,
        explained=examination.explanation,
        knees=[] if bundle is None or file is None else unpacked(bundle.model_bytes(file)),
    )
    return render_html(examination.result, shown, lang, backing)


def _report_pdf(page: str, lang: str) -> bytes:
    """Print the report."""
    from kneeage.report.pdf import pdf_bytes, require_pdf

    require_pdf(lang)
    return pdf_bytes(page)


def _dicom_writer(
    examination: Examination, preview: bytes, pdf: bytes | None, lang: str, dicom: Literal["binary", "labelmap"]
) -> Callable[[Path], None]:
    """Make the DICOM objects, and give what writes them into a folder."""
    from kneeage.report.dicom.extra import require_library

    require_library()
    from kneeage.report.dicom.making import SegmentationType
    from kneeage.report.dicom.objects import dicom_objects, write_objects

    objects = dicom_objects(
        examination.result,
        examination.series,
        examination.labels,
        preview_png=preview,
        report_pdf=pdf,
        lang=lang,
        segmentation_type=SegmentationType(dicom),
    )
    return partial(write_objects, objects=objects)


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
    WrongPlaneError: ReasonCode.WRONG_PLANE,
}


def _is_virtual(result: Result) -> bool:
    """Say whether a virtual bundle answered."""
    return result.bundle is not None and result.bundle.population == VIRTUAL_POPULATION


def _label_note(*, is_virtual: bool) -> str:
    """Say what labels are worth; NIfTI has room for 79 characters."""
    return VIRTUAL_WARNING if is_virtual else "kneeage labels"
