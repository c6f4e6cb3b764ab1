"""Routes of sessions: who am I, log in, log out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from kneeage.service.cases import STRANGER
from kneeage.web.errors import WebError, responses
from kneeage.web.office import Office, office_of
from kneeage.web.schemas import LoginBody, SessionBody
from kneeage.web.security import Session, require_csrf
from kneeage.web.settings import Limits

router = APIRouter(prefix="/api/session", tags=["session"])
TheOffice = Annotated[Office, Depends(office_of)]


@router.get("", responses=responses())
def show_session(request: Request, response: Response, office: TheOffice) -> SessionBody:
    """Say who asks, and give the token that changes must carry."""
    return session_body(office, ensure_session(request, response, office))


@router.post("", responses=responses(403, 413))
def log_in(request: Request, response: Response, office: TheOffice, asked: LoginBody) -> SessionBody:
    """Log in; the answer has a new token."""
    before = office.sessions.read(request)
    if before is None:
        raise WebError(403, "csrf", "get a session first, then send its token")
    require_csrf(request, before)
    counted = _counted(request, asked.name, office.settings.limits)
    # Counted before the password is looked at: many guesses at once get no further than one after the other.
    for name, most in counted.items():
        office.logins.count(name, most)
    if not (office.sessions.needs_login and office.accounts.is_password(asked.name, asked.password)):
        office.register.note(STRANGER, "login refused")
        raise WebError(401, "login", "the name or the password is wrong")
    for name in counted:
        office.logins.forget(name)
    session = Session(office.accounts.open_session(asked.name), asked.name)
    office.sessions.write(response, session)
    office.register.note(asked.name, "logged in")
    return session_body(office, session)


@router.delete("", status_code=204, responses=responses(403))
def log_out(request: Request, office: TheOffice) -> Response:
    """Log out."""
    response = Response(status_code=204)
    session = office.sessions.read(request)
    if session is not None:
        require_csrf(request, session)
        office.accounts.close_session(session.token)
    office.sessions.write(response, office.sessions.begin())
    return response


def _counted(request: Request, name: str, limits: Limits) -> dict[str, int]:
    """Name what a login is counted by, and how often it may fail.

    Whoever guesses somebody's password elsewhere does not keep her from logging in where she is, unless from very many
    places; guesses that are counted out in one place count in no other one.
    """
    address = request.client.host if request.client else ""
    wide = dict.fromkeys((f"address {address}", f"name {name}"), limits.many_logins)
    return {f"both {address} {name}": limits.logins, **wide}


def ensure_session(request: Request, response: Response, office: Office) -> Session:
    """Give the session of a request; begin one where there is none."""
    session = office.sessions.read(request)
    if session is None:
        session = office.sessions.begin()
        office.sessions.write(response, session)
    return session


def session_body(office: Office, session: Session) -> SessionBody:
    """Describe a session."""
    token = office.sessions.csrf_token(session)
    return SessionBody(user=session.user, login_required=office.sessions.needs_login, csrf_token=token)
