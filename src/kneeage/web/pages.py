"""Page shells: layout and a token, no subject's data; everything else is fetched by the page itself."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, select_autoescape
from markdown_it import MarkdownIt

import kneeage
from kneeage.decide.question import HEIGHT_CM, WEIGHT_KG
from kneeage.service.case_files import ID
from kneeage.service.cases import UnknownCaseError
from kneeage.web.login import ensure_session
from kneeage.web.office import Office, office_of

TEMPLATES = Path(__file__).parent / "templates"
LANGUAGES = ("en", "zh")

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
TheOffice = Annotated[Office, Depends(office_of)]
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
_environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(default=True))


@router.get("/")
@router.get("/examinations")
def examinations(request: Request, office: TheOffice) -> Response:
    """The list of examinations."""
    return page(request, office, "examinations")


@router.get("/new")
@router.get("/studies")
@router.get("/bundles")
@router.get("/about")
def plain(request: Request, office: TheOffice) -> Response:
    """A page that is named like its path."""
    return page(request, office, request.url.path.strip("/"))


@router.get("/bundles/{key}/card")
def model_card(request: Request, office: TheOffice, key: str) -> Response:
    """The model card of a bundle; HTML in its Markdown stays text."""
    shelved = office.shelf.find(key)
    if shelved is None:
        return page(request, office, "error", status=404)
    return page(request, office, "card", shown={"card": _markdown.render(shelved.card)})


@router.get("/api/words")
def report_words() -> Response:
    """The words of reports, with which pages word what results say in English."""
    table = files("kneeage.report").joinpath("words.json").read_text(encoding="utf-8")
    return Response(table, media_type="application/json")


@router.get("/login")
def login(request: Request, office: TheOffice) -> Response:
    """The way in."""
    return page(request, office, "login", is_open=True)


@router.get("/examinations/{key}")
def examination(request: Request, office: TheOffice, key: str) -> Response:
    """One examination."""
    return _of_examination(request, office, "examination", key)


@router.get("/examinations/{key}/correct")
def correct(request: Request, office: TheOffice, key: str) -> Response:
    """The correction of its labels."""
    return _of_examination(request, office, "correct", key)


def unknown(request: Request, office: TheOffice, path: str) -> Response:
    """What is not there: a page that says so, or an error of the API.

    Raises:
        HTTPException: It would be a part of the API.
    """
    if path.startswith("api/"):
        raise HTTPException(404)
    return page(request, office, "error", status=404)


def page(
    request: Request,
    office: Office,
    name: str,
    *,
    status: int = 200,
    is_open: bool = False,
    shown: dict[str, str] | None = None,
) -> Response:
    """Make a page shell.

    Args:
        request: Who asks.
        office: What routes work with.
        name: Name of the page and its template.
        status: HTTP status.
        is_open: Whether it is shown without a login.
        shown: What its template shows besides, such as the identifier in its path.
    """
    response = HTMLResponse(status_code=status)
    session = ensure_session(request, response, office)
    if session.user is None and not is_open:
        target = RedirectResponse(f"/login?next={quote(request.url.path, safe='/')}", 303)
        office.sessions.write(target, session)
        return target
    context = {
        "page": name,
        "csrf_token": office.sessions.csrf_token(session),
        "user": session.user,
        "login_required": office.sessions.needs_login,
        "version": kneeage.__version__,
        "lang": _language(request),
        "shown": shown or {},
        "height_cm": HEIGHT_CM,
        "weight_kg": WEIGHT_KG,
        "status": status,
    }
    response.body = _environment.get_template(f"{name}.html").render(context).encode()
    response.headers["content-length"] = str(len(response.body))
    return response


def _of_examination(request: Request, office: Office, name: str, key: str) -> Response:
    """Make a page of an examination that is there; what is no identifier is not looked up."""
    try:
        if not ID.fullmatch(key):
            raise UnknownCaseError("no examination is called so")
        office.register.case(key)
    except UnknownCaseError:
        return page(request, office, "error", status=404)
    return page(request, office, name, shown={"examination": key})


def _language(request: Request) -> str:
    """Choose the language of a page: asked for, remembered, or preferred by the browser."""
    accepted = request.headers.get("accept-language", "").lower()
    wanted = (request.query_params.get("lang"), request.cookies.get("lang"), accepted[:2])
    return next((one for one in wanted if one in LANGUAGES), LANGUAGES[0])
