"""Routes of examinations: list, open, send files, inspect, cancel, purge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from kneeage.service.cases import Case, CaseState, Order, RunKind, StateError
from kneeage.service.register import require_state
from kneeage.web.errors import WebError, full_disk, responses
from kneeage.web.office import Office, office_of
from kneeage.web.runs import asked_bundle, bundle_facts
from kneeage.web.schemas import CaseBody, CaseList, Id, NewCase, Received, ShortText, case_body, short_case
from kneeage.web.security import Reader, Writer
from kneeage.web.settings import Limits
from kneeage.web.upload import holds_archive, receive_form, require_safe

router = APIRouter(prefix="/api", tags=["examinations"])
TheOffice = Annotated[Office, Depends(office_of)]
RankedFor = Annotated[str | None, Query(pattern=r"^[0-9a-f]{16}$", description="null: the chosen one")]

EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "server-sent events"}
}
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}, "maxItems": 1000}
                    },
                }
            }
        },
    }
}


@router.get("/examinations", responses=responses())
def list_examinations(
    office: TheOffice,
    _user: Reader,
    search: Annotated[ShortText, Query()] = "",
    state: CaseState | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> CaseList:
    """List examinations, the newest first."""
    cases, total = office.register.search(search, state, limit, offset)
    return CaseList(items=[short_case(case) for case in cases], total=total)


@router.post("/examinations", status_code=201, responses=responses(403, 413))
def open_examination(office: TheOffice, user: Writer, asked: NewCase) -> CaseBody:
    """Open an examination; send its files next."""
    return case_body(office.register.create(user, asked.reference))


@router.get("/examinations/{key}", responses=responses(404))
def show_examination(office: TheOffice, _user: Reader, key: Id) -> CaseBody:
    """Show an examination."""
    return case_body(office.register.case(key))


@router.post("/examinations/{key}/files", responses=responses(403, 404, 408, 409, 413), openapi_extra=_FORM)
async def send_files(request: Request, office: TheOffice, user: Writer, key: Id) -> Received:
    """Send files of an examination: a portion is taken whole or not at all, and more may follow."""
    limits = office.settings.limits
    with office.uploads.take():
        case = await run_in_threadpool(office.register.case, key)
        require_state(case.state, (CaseState.DRAFT,), "files are taken until work begins")
        if office.files.free_bytes < limits.free_bytes + int(request.headers.get("content-length") or 0):
            raise full_disk()
        with office.files.incoming(key) as folder:
            sizes = await receive_form(request, folder, limits)
            return await run_in_threadpool(_keep, office, user, key, folder, sizes)


@router.post("/examinations/{key}/inspect", status_code=202, responses=responses(403, 404, 409, 413))
def inspect(office: TheOffice, user: Writer, key: Id, bundle: RankedFor = None) -> CaseBody:
    """Have the series of an examination listed, and ranked for the bundle that is to answer."""
    office.register.order(key, user, Order(RunKind.INSPECT, {}, bundle_facts(asked_bundle(office, bundle))))
    return case_body(office.register.case(key))


@router.post("/examinations/{key}/cancel", responses=responses(403, 404, 409, 413))
def cancel(office: TheOffice, user: Writer, key: Id) -> CaseBody:
    """End the work on an examination."""
    return case_body(office.register.cancel(key, user))


@router.post("/examinations/{key}/purge", responses=responses(403, 404, 409, 413))
def purge(office: TheOffice, user: Writer, key: Id) -> CaseBody:
    """Remove images, masks and documents; what happened stays on record."""
    return case_body(office.register.purge(key, user, lambda: office.files.remove(key)))


@router.get("/events", responses={**responses(), **EVENTS})
def all_events(request: Request, office: TheOffice, _user: Reader) -> StreamingResponse:
    """Tell what changes in any examination, as it happens."""
    return _events(request, office, None, None)


@router.get("/examinations/{key}/events", responses={**responses(404), **EVENTS})
def examination_events(request: Request, office: TheOffice, _user: Reader, key: Id) -> StreamingResponse:
    """Tell what changes in an examination, as it happens."""
    return _events(request, office, key, office.register.case(key))


def _events(request: Request, office: Office, key: str | None, first: Case | None) -> StreamingResponse:
    """Tell what changes for as long as the session of a request is good."""
    office.hub.require_room()
    events = office.hub.events(key, first, lambda: office.sessions.may_read(request))
    return StreamingResponse(events, media_type="text/event-stream")


def _keep(office: Office, user: str, key: str, folder: Path, sizes: dict[str, int]) -> Received:
    """Take files over that came in; what else is there is looked at while nobody can add to it."""
    is_archive = require_safe(folder, sizes)

    def take(known: Mapping[str, int]) -> None:
        """Refuse them, or put them in their place."""
        _require_room({**known, **sizes}, office.settings.limits)
        if known and (is_archive or _is_archive_alone(office, key, known)):
            raise StateError("a zip must be the only file of an examination; open another examination")
        office.files.keep(key, [folder / name for name in sizes])

    files, size_bytes = office.register.add_files(key, user, sizes, take)
    return Received(files=files, bytes=size_bytes)


def _is_archive_alone(office: Office, key: str, known: Mapping[str, int]) -> bool:
    """Say whether the only file of an examination is an archive."""
    return len(known) == 1 and holds_archive(office.files.uploads(key) / next(iter(known)))


def _require_room(sizes: Mapping[str, int], limits: Limits) -> None:
    """Refuse more than an examination may hold."""
    if len(sizes) > limits.files or sum(sizes.values()) > limits.examination_bytes:
        words = f"an examination has at most {limits.files} files and {limits.examination_bytes} bytes; send one study"
        raise WebError(413, "too_large", words)
