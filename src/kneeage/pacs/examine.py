"""What the node does with a study: the pipeline's estimate and its documents, with what the node was told to ask."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kneeage.core.anatomy import Sex
from kneeage.core.errors import UsageError
from kneeage.decide.question import Question
from kneeage.io.bundle import load_bundle
from kneeage.io.facts import Facts
from kneeage.io.read import load
from kneeage.io.series import LoadedSeries
from kneeage.pipeline import Examiner, write_documents
from kneeage.service.documents import write_viewed
from kneeage.service.shelf import named

# Source: DICOM PS3.3 section C.7.1.1 (Patient's Sex; O, other, is not known to a bundle).
_SEXES = {"M": Sex.MALE, "F": Sex.FEMALE}


@dataclass(frozen=True)
class StudyExaminer:
    """Examines studies, each alone; it can be pickled as long as it has examined none.

    Args:
        bundle: Folder of the model bundle; None: the one that is shipped.
        question: What is asked about every subject, with the sex where it is given.
        sex_from_header: Take the sex from the header of the images. The operator says so, or it is not done.
        lang: Language of the report.
        explain: Show in the report where on the slices the age came from.
        threads: Threads of each network; None: every core.
        with_image: Write the image too, as the viewer of the workstation shows it.

    Raises:
        UsageError: The sex is given and to be read.
    """

    bundle: Path | None = None
    question: Question = field(default_factory=Question)
    sex_from_header: bool = False
    lang: str = "en"
    explain: bool = True
    threads: int | None = None
    with_image: bool = False

    def __post_init__(self) -> None:
        if self.question.sex is not None and self.sex_from_header:
            raise UsageError("give --sex or --sex-from-header, not both")

    def check(self) -> None:
        """Check, before any study comes, that the bundle and the libraries are there.

        Raises:
            UsageError: A library or a typeface is missing, or the prior does not fit the bundle.
            BundleError: The bundle cannot be used.
        """
        from kneeage.report.dicom.extra import require_library
        from kneeage.report.pdf import require_pdf

        require_library()
        require_pdf(self.lang)
        self.question.prior_for(load_bundle(self.bundle).manifest)

    def asked(self) -> dict[str, Any]:
        """Give what is asked about every study and which bundle answers, as the register has it.

        Raises:
            BundleError: The bundle cannot be used.
        """
        known = self.question.known_sex
        question = {
            "sex": None if known is None else known.value,
            "thresholds": list(self.question.thresholds),
            "lang": self.lang,
            "explain": self.explain,
        }
        return {"question": question, "bundle": named(load_bundle(self.bundle))}

    def __call__(self, images: Path, documents: Path) -> None:
        """Examine a study.

        Args:
            images: Folder of its images.
            documents: Empty folder for what comes of it.

        Raises:
            InputRefusedError: The images cannot carry an answer.
        """
        series = load(images, wanted=self._examiner.wanted)
        asked = replace(self.question, sex=header_sex(series)) if self.sex_from_header else self.question
        examination = self._examiner.examine(series, asked, explain=self.explain)
        write_documents(examination, documents, self.lang, "binary", pdf=True)
        if self.with_image:
            write_viewed(examination, documents)

    @cached_property
    def _examiner(self) -> Examiner:
        """The bundle with its networks, loaded once."""
        return Examiner(load_bundle(self.bundle), self.threads)


def header_sex(series: LoadedSeries) -> Sex | None:
    """Read the sex that the header states; None where it states none, or another one than male or female."""
    if series.origin is None:
        return None
    stated = Facts(series.origin.header).text("PatientSex") or ""
    return _SEXES.get(stated.strip().upper())
