"""Routes of what is not an examination: bundles, study reports, the audit log, limits."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel

import kneeage
from kneeage.core.anatomy import Label
from kneeage.infer.engine import RUNTIME_VERSION
from kneeage.io.bundle import SUMS_FILE
from kneeage.pipeline import VIRTUAL_WARNING
from kneeage.service.audit import AuditError, lines
from kneeage.service.cases import UnknownCaseError
from kneeage.service.shelf import Shelved
from kneeage.service.tables import reading
from kneeage.web.errors import responses
from kneeage.web.files import file_response
from kneeage.web.office import Office, office_of
from kneeage.web.runs import bundle_facts
from kneeage.web.schemas import ChosenBundle, ShortId
from kneeage.web.security import Reader, Writer

router = APIRouter(prefix="/api")
TheOffice = Annotated[Office, Depends(office_of)]

STUDY_PAGES = ("report.html", "index.html")
_ID_CHARACTERS = 16
_MOST_STUDIES = 1000
_CARD: dict[int | str, dict[str, Any]] = {200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}}
_PAGE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}


class BundleFile(BaseModel):
    """A file of a bundle."""

    name: str
    sha256: str


class BundleBody(BaseModel):
    """A bundle."""

    id: str
    name: str
    version: str | None
    population: str | None
    sha256: str | None
    licence: str | None
    shipped: bool
    chosen: bool
    usable: bool
    problem: str | None
    age_range_years: tuple[float, float] | None
    sexes: list[str]
    planes: list[str]
    files: list[BundleFile]


class BundleList(BaseModel):
    """Bundles."""

    items: list[BundleBody]


class StudyBody(BaseModel):
    """A study run."""

    id: str
    name: str
    files: list[str]


class StudyList(BaseModel):
    """Study runs."""

    items: list[StudyBody]


class AuditLine(BaseModel):
    """A line of the audit log."""

    number: int
    time: str
    who: str
    action: str
    examination: str | None
    facts: dict[str, Any]
    hash: str


class AuditLines(BaseModel):
    """Lines of the audit log, the newest first."""

    items: list[AuditLine]
    total: int


class AuditVerdict(BaseModel):
    """Whether the audit log is whole."""

    whole: bool
    lines: int
    problem: str | None
    head: str


class LabelName(BaseModel):
    """A label."""

    value: int
    name: str


class About(BaseModel):
    """What this is, and its limits."""

    version: str
    python: str
    onnxruntime: str
    limits: dict[str, int]
    keep_days: float | None
    warnings: list[str]
    labels: list[LabelName]


@router.get("/bundles", tags=["bundles"], responses=responses())
def list_bundles(office: TheOffice, _user: Reader) -> BundleList:
    """List the bundles."""
    chosen = office.chosen.id
    return BundleList(items=[_bundle(one, chosen) for one in office.shelf.items])


@router.get("/bundles/{key}/card", tags=["bundles"], responses={**responses(404), **_CARD})
def show_card(office: TheOffice, _user: Reader, key: ShortId) -> PlainTextResponse:
    """Give the model card of a bundle."""
    return PlainTextResponse(_shelved(office, key).card, media_type="text/markdown; charset=utf-8")


@router.put("/bundles/chosen", tags=["bundles"], responses=responses(403, 404, 413))
def choose_bundle(office: TheOffice, user: Writer, asked: ChosenBundle) -> BundleBody:
    """Choose the bundle that answers from now on."""
    shelved = _shelved(office, asked.id)
    office.register.choose_bundle(user, bundle_facts(shelved))
    return _bundle(shelved, shelved.id)


@router.get("/studies", tags=["studies"], responses=responses())
def list_studies(office: TheOffice, _user: Reader) -> StudyList:
    """List the study runs that have a page."""
    return StudyList(items=[_study(key, page) for key, page in _studies(office).items()])


@router.get("/studies/{key}/page", tags=["studies"], responses={**responses(404), **_PAGE})
def show_study(office: TheOffice, _user: Reader, key: ShortId) -> Response:
    """Give the page of a study run."""
    page = _studies(office).get(key)
    if page is None:
        raise UnknownCaseError("there is no such study run")
    return file_response(page, "text/html; charset=utf-8")


@router.get("/about", tags=["about"], responses=responses())
def about(office: TheOffice, _user: Reader) -> About:
    """Say what this is, and its limits."""
    return About(
        version=kneeage.__version__,
        python=platform.python_version(),
        onnxruntime=RUNTIME_VERSION,
        limits=asdict(office.settings.limits),
        keep_days=office.settings.keep_days,
        warnings=[VIRTUAL_WARNING] if _is_virtual(office.chosen) else [],
        labels=[LabelName(value=int(label), name=label.name.lower()) for label in Label],
    )


@router.get("/audit", tags=["audit"], responses=responses())
def list_audit(
    office: TheOffice,
    _user: Reader,
    examination: Annotated[str | None, Query(pattern=r"^[0-9a-f]{32}$")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> AuditLines:
    """List lines of the audit log, the newest first."""
    with reading(office.register.journal.engine) as connection:
        found, total = lines(connection, examination, limit, offset)
    return AuditLines(items=[AuditLine(**asdict(line)) for line in found], total=total)


@router.get("/audit/verify", tags=["audit"], responses=responses())
def verify_audit(office: TheOffice, _user: Reader) -> AuditVerdict:
    """Check every line of the audit log."""
    try:
        head = office.register.journal.verify()
    except AuditError as error:
        return AuditVerdict(whole=False, lines=0, problem=str(error), head="")
    return AuditVerdict(whole=True, lines=head.number, problem=None, head=str(head))


def _shelved(office: Office, key: str) -> Shelved:
    """Find a bundle."""
    shelved = office.shelf.find(key)
    if shelved is None:
        raise UnknownCaseError("there is no such bundle")
    return shelved


def _bundle(shelved: Shelved, chosen: str) -> BundleBody:
    """Describe a bundle."""
    common = {
        "id": shelved.id,
        "shipped": shelved.is_shipped,
        "chosen": shelved.id == chosen,
        "usable": shelved.bundle is not None,
        "problem": shelved.problem,
    }
    if shelved.bundle is None:
        unknown = dict.fromkeys(("version", "population", "sha256", "licence", "age_range_years"))
        return BundleBody.model_validate(
            {**common, **unknown, "name": shelved.folder.name, "sexes": [], "planes": [], "files": []}
        )
    manifest = shelved.bundle.manifest
    return BundleBody.model_validate(
        {
            **common,
            **{name: getattr(manifest, name) for name in ("name", "version", "population", "licence")},
            "age_range_years": manifest.age_range_years,
            "sha256": shelved.bundle.sha256,
            "sexes": [sex.value for sex in manifest.sexes],
            "planes": [manifest.plane.value],
            "files": _bundle_files(shelved.folder),
        }
    )


def _bundle_files(folder: Path) -> list[dict[str, str]]:
    """List the files of a bundle that was verified when the server started."""
    found = [line.split(maxsplit=1) for line in (folder / SUMS_FILE).read_text(encoding="utf-8").splitlines() if line]
    return [{"name": name.lstrip("*"), "sha256": digest} for digest, name in found]


def _is_virtual(shelved: Shelved) -> bool:
    """Say whether a bundle was trained on virtual knees."""
    return shelved.bundle is not None and shelved.bundle.manifest.is_virtual


def _studies(office: Office) -> dict[str, Path]:
    """Find the pages of study runs by an identifier that is made of the folder's name."""
    root = office.settings.studies
    if root is None or not root.is_dir():
        return {}
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())[:_MOST_STUDIES]
    pages = (next((one / name for name in STUDY_PAGES if (one / name).is_file()), None) for one in folders)
    return {_token(page.parent.name): page for page in pages if page is not None}


def _study(key: str, page: Path) -> StudyBody:
    """Describe a study run."""
    names = sorted(path.name for path in page.parent.iterdir() if path.is_file())
    return StudyBody(id=key, name=page.parent.name, files=names[:100])


def _token(name: str) -> str:
    """Name a folder by a hash."""
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:_ID_CHARACTERS]
