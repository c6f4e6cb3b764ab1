"""Routes of runs: ask, correct, compare, download; a run has its answer before its documents."""

from __future__ import annotations

import hashlib
import zipfile
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from kneeage.core.anatomy import Label
from kneeage.core.result import Result
from kneeage.core.volume import Volume
from kneeage.decide.prior import fit_prior, parse_prior
from kneeage.infer.correct import plate_values, read_corrected, with_plates
from kneeage.io.nifti import read_values, write_labels
from kneeage.service.case_files import CaseFiles
from kneeage.service.cases import WAITING, CaseState, Order, Run, RunKind, StateError, UnknownCaseError
from kneeage.service.shelf import Shelved, named
from kneeage.web.errors import WebError, responses
from kneeage.web.files import file_response
from kneeage.web.office import Office, office_of
from kneeage.web.schemas import (
    AskedQuestion,
    Change,
    Comparison,
    FileName,
    Id,
    LabelChange,
    LabelChanges,
    Number,
    RunBody,
    Side,
    ThresholdSide,
    run_body,
)
from kneeage.web.security import Reader, Writer
from kneeage.web.upload import receive_file

router = APIRouter(prefix="/api/examinations/{key}", tags=["runs"])
TheOffice = Annotated[Office, Depends(office_of)]
Version = Annotated[int, Query(ge=1, le=1_000_000)]

_LABELS = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_TYPES = {
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".gz": "application/gzip",
    ".dcm": "application/dicom",
    ".zip": "application/zip",
}
_FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind.partition(";")[0]: {} for kind in _TYPES.values()}, "description": "the document"}
}
# The viewer asks for these with every look at a page.
_VIEWED = (FileName.IMAGE, FileName.LABELS, FileName.EXPLANATION_MAP)
_DICOM = ".dcm"
_LABELS_FILE = FileName.LABELS.value


@router.post("/runs", status_code=202, responses=responses(403, 404, 409, 413))
def ask(office: TheOffice, user: Writer, key: Id, asked: AskedQuestion) -> RunBody:
    """Have a question answered."""
    case, shelved = office.register.case(key), asked_bundle(office, asked.bundle)
    _require_prior(asked, shelved)
    if asked.series is not None and asked.series not in {series["key"] for series in case.series or ()}:
        raise WebError(422, "invalid", "body.series: have the examination inspected, and take a key of its list")
    question = asked.model_dump(mode="json", exclude={"bundle"})
    number = office.register.order(key, user, Order(RunKind.ESTIMATE, question, bundle_facts(shelved)))
    return run_body(office.register.case(key).run(number or 0))


@router.post("/corrections", status_code=202, responses=responses(403, 404, 408, 409, 410, 413), openapi_extra=_LABELS)
async def correct(
    request: Request,
    office: TheOffice,
    user: Writer,
    key: Id,
    base: Version,
    content: Literal["labels", "plates"] = "labels",
) -> RunBody:
    """Send corrected labels, or plates drawn anew, as NIfTI on the grid of ``labels.nii.gz``; estimate from them."""
    with office.uploads.take():
        run = await run_in_threadpool(_base_run, office, key, base)
        with office.files.incoming(key) as folder:
            given = folder / "given.nii"
            await receive_file(request, given, office.settings.limits)
            return await run_in_threadpool(_correct, office, user, key, run, _named(given), content)


@router.get("/compare", responses=responses(404, 409, 410))
def compare(office: TheOffice, _user: Reader, key: Id, a: Version, b: Version) -> Comparison:
    """Put two versions side by side."""
    first, second = _side(office, key, a), _side(office, key, b)
    ages = (first.estimated_age_years, second.estimated_age_years)
    moved = None if ages[0] is None or ages[1] is None else ages[1] - ages[0]
    return Comparison(
        a=first, b=second, labels=_label_changes(office, key, a, b), change=Change(estimated_age_years=moved)
    )


@router.get("/runs/{number}/result", responses=responses(404, 409, 410))
def show_result(office: TheOffice, _user: Reader, key: Id, number: Number) -> Result:
    """Give the answer of a run."""
    return _result(office, key, number)


@router.get("/runs/{number}/files/{name}", responses={**responses(404, 409, 410), **_FILES})
def download(
    office: TheOffice,
    user: Reader,
    key: Id,
    number: Number,
    name: FileName,
    download: Annotated[bool, Query(description="as an attachment")] = False,
) -> Response:
    """Give a document of a run; the audit log notes it, unless it is one that the viewer loads by itself."""
    given = _document(office, key, number, name)
    if download or name not in _VIEWED:
        office.register.note(user, "downloaded", key, run=number, file=name.value)
    saved_as = f"{key[:8]}-{number}-{name.value}" if download else None
    return file_response(given, _TYPES[Path(name.value).suffix], saved_as)


def asked_bundle(office: Office, wanted: str | None) -> Shelved:
    """Give the bundle that is asked for, or the chosen one."""
    shelved = office.chosen if wanted is None else office.shelf.find(wanted)
    if shelved is None:
        raise WebError(422, "invalid", "bundle: there is no such bundle")
    return shelved


def bundle_facts(shelved: Shelved) -> dict[str, str]:
    """Name a bundle in the register."""
    bundle = shelved.bundle
    if bundle is None:
        raise WebError(422, "invalid", "this bundle cannot be used; choose another one")
    return named(bundle)


def _require_prior(asked: AskedQuestion, shelved: Shelved) -> None:
    """Refuse a range of ages that does not fit the bundle before the question waits in the line."""
    if asked.prior is not None and shelved.bundle is not None:
        fit_prior(parse_prior(asked.prior), shelved.bundle.manifest.age_edges_years)


def _base_run(office: Office, key: str, number: int) -> Run:
    """Give the run that is to be corrected."""
    run = office.register.case(key).run(number)
    _path(office, key, number, _LABELS_FILE)
    return run


def _correct(office: Office, user: str, key: str, base: Run, given: Path, content: str) -> RunBody:
    """Check labels, keep them, and have the question answered from them."""
    shelved = asked_bundle(office, None if base.bundle is None else base.bundle["id"])
    known = [] if shelved.bundle is None else shelved.bundle.manifest.segment.label_values
    found = _labels(_path(office, key, base.number, _LABELS_FILE))
    allowed = known if content == "labels" else plate_values(known)
    drawn = read_corrected(read_values(given, grid=found), found, allowed)
    labels = given.with_name("labels.nii.gz")
    write_labels(labels, drawn if content == "labels" else with_plates(found, drawn))
    facts = {"base": base.number, "labels_sha256": hashlib.sha256(labels.read_bytes()).hexdigest()}
    order = Order(RunKind.CORRECTION, base.question, bundle_facts(shelved), base.number, facts)
    number = office.register.order(
        key, user, order, lambda number: labels.replace(office.files.correction(key, number))
    )
    return run_body(office.register.case(key).run(number or 0))


def _named(given: Path) -> Path:
    """Give a NIfTI file the ending of what it is."""
    with given.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    return given.rename(given.with_name("given.nii.gz")) if is_packed else given


def _labels(path: Path) -> Volume:
    """Read labels of ours."""
    values = read_values(path)
    return values.with_array(np.asarray(values.array, np.uint8))


def _side(office: Office, key: str, number: int) -> Side:
    """Describe one of two versions."""
    result = _result(office, key, number)
    said = [
        ThresholdSide(
            age_years=one.age_years, probability_at_least=one.probability_at_least, decision=one.decision.value
        )
        for one in result.thresholds
    ]
    return Side(
        run=number,
        outcome=result.outcome.value,
        estimated_age_years=result.estimated_age_years,
        interval_years=result.interval_years,
        thresholds=said,
        plates=result.plates,
    )


def _label_changes(office: Office, key: str, a: int, b: int) -> LabelChanges | None:
    """Count where the labels of two versions differ; None where one has none, or they show different series."""
    paths = [office.files.find(key, number, _LABELS_FILE) for number in (a, b)]
    if paths[0] is None or paths[1] is None:
        return None
    first, second = _labels(paths[0]), _labels(paths[1])
    if first.shape != second.shape:
        return None
    changed = int(np.count_nonzero(first.array != second.array))
    voxel_mm3 = float(np.prod(first.spacing))
    counts = [np.bincount(np.ravel(one.array), minlength=len(Label)) for one in (first, second)]
    by_label = [
        LabelChange(label=int(one), name=one.name.lower(), a_voxels=int(counts[0][one]), b_voxels=int(counts[1][one]))
        for one in Label
        if one is not Label.BACKGROUND and (counts[0][one] or counts[1][one])
    ]
    return LabelChanges(changed_voxels=changed, changed_mm3=changed * voxel_mm3, by_label=by_label)


def _result(office: Office, key: str, number: int) -> Result:
    """Read the answer of a run."""
    return Result.model_validate_json(_path(office, key, number, FileName.RESULT.value).read_bytes())


def _document(office: Office, key: str, number: int, name: FileName) -> Path | IO[bytes]:
    """Find a document, or make the archive of all."""
    if name is FileName.ALL:
        _path(office, key, number, FileName.RESULT.value)
        _require_made(office, key, number)
        return _zipped(office.files, key, number)
    folder = "dicom/" if name.value.endswith(_DICOM) else ""
    return _path(office, key, number, folder + name.value)


def _path(office: Office, key: str, number: int, name: str) -> Path:
    """Find a file of a run; its name is one of ours."""
    case = office.register.case(key)
    if case.state is CaseState.PURGED:
        raise WebError(410, "not_kept", "the images and documents of this examination were purged")
    case.run(number)
    path = office.files.find(key, number, name)
    if path is None:
        _require_made(office, key, number)
        raise UnknownCaseError(f"run {number} has no such document")
    return path


def _require_made(office: Office, key: str, number: int) -> None:
    """Refuse what is still being made.

    Raises:
        StateError: The documents of the run are not there yet.
    """
    documents = office.register.case(key).run(number).documents
    if documents is not None and documents.state.value in WAITING:
        raise StateError("the documents are being made; ask again in a moment")


def _zipped(files: CaseFiles, key: str, number: int) -> IO[bytes]:
    """Put all files of a run into an archive that has no name: it is gone when it is closed, also by a kill."""
    with ExitStack() as open_until_it_is_whole:
        file = open_until_it_is_whole.enter_context(TemporaryFile(dir=files.folder))
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for folder in (files.results(key, number), files.documents(key, number)):
                for one in sorted(path for path in folder.rglob("*") if path.is_file()):
                    archive.write(one, one.relative_to(folder).as_posix())
        open_until_it_is_whole.pop_all()
    return file
