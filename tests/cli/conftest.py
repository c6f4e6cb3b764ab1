"""The command line with a stand-in for the pipeline, which has its own tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from kneeage import pipeline
from kneeage.cli.app import app
from kneeage.cli.speak import set_loudness
from kneeage.core.anatomy import Plane, Side
from kneeage.core.result import Interval, Outcome, Reason, ReasonCode, SeriesReport
from kneeage.core.result import Result as Answer

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Run a command and give its exit code, stdout and stderr."""
    set_loudness(quiet=False, verbosity=0)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(outcome: Outcome = Outcome.ESTIMATED) -> Answer:
    """Give an answer of a kind."""
    series = SeriesReport(
        source_format="nifti",
        plane=Plane.CORONAL,
        side=Side.UNKNOWN,
        side_source="not stated",
        shape=(4, 4, 4),
        spacing_mm=(1, 1, 1),
        virtual=False,
        pixel_sha256="00" * 32,
    )
    if outcome is Outcome.ABSTAINED:
        reason = Reason(code=ReasonCode.BONE_NOT_SEEN, message="the distal femur was not seen")
        return Answer(outcome=outcome, series=series, reasons=[reason])
    interval = Interval(level=0.95, low=14.9, high=18.1, method="m")
    return Answer(outcome=outcome, series=series, estimated_age_years=16.5, interval_years=[interval])


@dataclass
class Pipeline:
    """What the commands asked of the pipeline, and what it answers."""

    outcome: Outcome = Outcome.ESTIMATED
    warnings: tuple[str, ...] = ()
    error: Exception | None = None
    asked: dict[str, object] = field(default_factory=dict)

    def estimate(self, path: Path, **options: object) -> SimpleNamespace:
        self.asked = {"path": path, **options}
        if self.error is not None:
            raise self.error
        return SimpleNamespace(result=answer(self.outcome).model_copy(update={"warnings": list(self.warnings)}))

    def write_documents(
        self, _examination: object, folder: Path, lang: str, dicom: str | None = None, *, pdf: bool = False
    ) -> None:
        self.asked.update({"lang": lang, "dicom": dicom, "pdf": pdf})
        folder.mkdir()
        (folder / "report.html").write_text("report", encoding="utf-8")

    def segment_file(self, path: Path, out: Path, **options: object) -> SimpleNamespace:
        self.asked = {"path": path, "out": out, **options}
        if self.error is not None:
            raise self.error
        return SimpleNamespace(array=np.array([0, 1, 3, 7], np.uint8))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Put a stand-in into the pipeline's place."""
    pipe = Pipeline()
    for name in ("estimate", "write_documents", "segment_file"):
        monkeypatch.setattr(pipeline, name, getattr(pipe, name))
    return pipe
