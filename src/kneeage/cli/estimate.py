"""``kneeage estimate``: a knee MRI in, a folder with the draft report out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kneeage.cli.options import (
    THRESHOLDS,
    AsJson,
    BundleFolder,
    ClaimedAge,
    Consent,
    ExaminerName,
    HeightCm,
    Lang,
    LegalBasis,
    Prior,
    QuestionText,
    RatioAges,
    Series,
    SexGiven,
    Source,
    Thresholds,
    WeightKg,
    known_sex,
    language,
    numbers,
)
from kneeage.cli.speak import answering, give, tell, working
from kneeage.core.errors import EXIT_ABSTAINED, InputRefusedError

if TYPE_CHECKING:
    from kneeage.core.result import Result
    from kneeage.decide.question import QuestionOptions

ReportFolder = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="New folder for the report.", show_default=False)
]


@answering
def estimate(
    path: Source,
    output: ReportFolder,
    series: Series = None,
    sex: SexGiven = None,
    height_cm: HeightCm = None,
    weight_kg: WeightKg = None,
    question: QuestionText = None,
    legal_basis: LegalBasis = None,
    consent: Consent = None,
    claimed_age: ClaimedAge = None,
    examiner: ExaminerName = None,
    thresholds: Thresholds = THRESHOLDS,
    ratio_ages: RatioAges = None,
    prior: Prior = None,
    bundle: BundleFolder = None,
    lang: Lang = "en",
    pdf: Annotated[bool, typer.Option("--pdf", help="Write report.pdf too; needs the extra `pdf`.")] = False,
    dicom: Annotated[
        bool, typer.Option("--dicom", help="Write DICOM objects for an archive too; needs the extra `dicom`.")
    ] = False,
    dicom_labelmap: Annotated[
        bool, typer.Option("--dicom-labelmap", help="The same, with the segmentation as one label map.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also draw where on the slices the age came from.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Estimate the age and write a draft report."""
    language(lang)
    objects = dicom_option(dicom=dicom, labelmap=dicom_labelmap)
    pdf_option(lang, pdf=pdf)
    asked: QuestionOptions = {
        "sex": known_sex(sex),
        "height_cm": height_cm,
        "weight_kg": weight_kg,
        "thresholds": numbers(thresholds),
        "ratio_ages": ratio_ages,
        "prior": prior,
        "question": question,
        "legal_basis": legal_basis,
        "consent": consent,
        "claimed_age_years": claimed_age,
        "examiner": examiner,
    }
    result = _examine(
        path,
        output,
        series=series,
        bundle=bundle,
        lang=lang,
        dicom=objects,
        pdf=pdf,
        explain=explain,
        asked=asked,
        as_json=as_json,
    )
    if as_json:
        give(result.model_dump_json(indent=2))
    tell_result(result, output)
    if objects is not None:
        tell(f"DICOM objects: {output / 'dicom'}")
    leave(result)


def dicom_option(*, dicom: bool, labelmap: bool) -> Literal["binary", "labelmap"] | None:
    """Say how to write DICOM objects, if at all.

    Raises:
        UsageError: The extra for them is not installed.
    """
    if not (dicom or labelmap):
        return None
    from kneeage.report.dicom.extra import require_library

    require_library()
    return "labelmap" if labelmap else "binary"


def pdf_option(lang: str, *, pdf: bool) -> None:
    """Check that a PDF can be made, where one was asked for.

    Raises:
        UsageError: It cannot.
    """
    if pdf:
        from kneeage.report.pdf import require_pdf

        require_pdf(lang)


def tell_result(result: Result, folder: Path) -> None:
    """Say what was found and where the report is."""
    from kneeage.pipeline import VIRTUAL_WARNING
    from kneeage.report.summary import reason_lines, summary, virtual_sentences
    from kneeage.report.words import words

    say = words("en")
    for sentence in [*virtual_sentences(result, say), summary(result, say)]:
        tell(sentence)
    for name, message, advice in reason_lines(result, say):
        tell(f"- {name}: {message}. {advice}")
    for warning in result.warnings:
        if warning != VIRTUAL_WARNING:
            tell(f"Warning: {warning}")
    tell(f"Draft report: {folder / 'report.html'}")


def leave(result: Result) -> None:
    """Leave with the exit code of an abstention, if it is one.

    Raises:
        typer.Exit: No age was given.
    """
    from kneeage.core.result import Outcome

    if result.outcome is Outcome.ABSTAINED:
        raise typer.Exit(EXIT_ABSTAINED)


def _examine(
    path: Path,
    output: Path,
    *,
    series: str | None,
    bundle: Path | None,
    lang: str,
    dicom: Literal["binary", "labelmap"] | None,
    pdf: bool,
    explain: bool,
    asked: QuestionOptions,
    as_json: bool,
) -> Result:
    """Estimate and write the documents; a refusal is also given as JSON where JSON was asked for."""
    from kneeage.decide.question import Question
    from kneeage.io.output import require_free
    from kneeage.pipeline import estimate as examine
    from kneeage.pipeline import refused, write_documents

    require_free(output)
    try:
        with working("Estimating"):
            examination = examine(path, series=series, bundle=bundle, explain=explain, **asked)
            write_documents(examination, output, lang, dicom, pdf=pdf)
    except InputRefusedError as error:
        if as_json:
            give(refused(error, Question(**asked)).model_dump_json(indent=2))
        raise
    return examination.result
