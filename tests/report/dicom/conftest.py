"""Objects of every kind of source, made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from kneeage.core.result import Result
from kneeage.core.volume import Volume
from kneeage.io.series import LoadedSeries
from tests.report.conftest import bundle
from tests.report.dicom.sources import SOURCES, labels_of

pytest.importorskip("highdicom", reason="the extra `dicom` is not installed")

from kneeage.report.dicom.making import SegmentationType
from kneeage.report.dicom.objects import dicom_objects, write_objects

PDF = b"%PDF-1.7 not a whole file"


@dataclass(frozen=True)
class Case:
    """A source on the disk, what was read from it, and the objects made of it."""

    name: str
    source: Path
    series: LoadedSeries
    labels: Volume
    objects: Path


def preview() -> bytes:
    """A small picture whose columns are no multiple of 4."""
    file = BytesIO()
    Image.linear_gradient("L").resize((33, 21)).convert("RGB").save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def real(estimated: Result) -> Result:
    """An estimate by a bundle of real subjects."""
    return estimated.model_copy(update={"bundle": bundle("hospital A")})


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    """Give the case of a source; each is made once, with a bundle that names no population."""
    made: dict[str, Case] = {}

    def case(name: str) -> Case:
        if name not in made:
            made[name] = _made(name, tmp_path_factory.mktemp("case"))
        return made[name]

    return case


def _made(name: str, folder: Path) -> Case:
    """Write a source, read it and make its objects."""
    from tests.report import conftest

    series = SOURCES[name](folder / "source")
    labels = labels_of(series)
    result = conftest.estimated.__wrapped__().model_copy(update={"bundle": bundle("hospital A")})
    kind = SegmentationType.BINARY
    objects = dicom_objects(result, series, labels, preview_png=preview(), report_pdf=PDF, segmentation_type=kind)
    write_objects(folder / "objects", objects)
    return Case(name, folder / "source", series, labels, folder / "objects")
