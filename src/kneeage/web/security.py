"""Who asks, and may they: session cookies, tokens against forged requests, host names, headers, rates."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.responses import Response
from fastapi.security import APIKeyCookie, APIKeyHeader
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kneeage.service.accounts import SESSION_SECONDS, Accounts
from kneeage.service.cases import LOCAL
from kneeage.web.errors import WebError, error_response
from kneeage.web.settings import WebSettings

COOKIE = "kneeage_session"
CSRF_HEADER = "X-CSRF-Token"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
# Documents of ours, shown by a browser: no script, no form, no origin, no way out.
DOCUMENT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"

# For the API's description; sessions are read by `session_of`, tokens by `require_csrf`.
_SESSION = APIKeyCookie(
    name=COOKIE, scheme_name="session", auto_error=False, description="set by GET and POST /api/session"
)
_TOKEN = APIKeyHeader(
    name=CSRF_HEADER, scheme_name="token", auto_error=False, description="csrf_token of GET or POST /api/session"
)

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "X-Frame-Options": "SAMEORIGIN",
}
_MINUTE = 60.0
_MOST_COUNTED = 10_000
_SENDS_FILES = ("/files", "/corrections")


@dataclass(frozen=True)
class Session:
    """Who asks.

    Args:
        token: Secret of the session.
        user: The user; None: nobody who logged in.
    """

    token: str
    user: str | None


class Sessions:
    """Signed cookies.

    Args:
        key: What they are signed with.
        accounts: Users; None where nobody need log in.
        is_secure: Whether browsers reach the server over TLS.
    """

    def __init__(self, key: bytes, accounts: Accounts | None, *, is_secure: bool) -> None:
        self._key = key
        self._signer = URLSafeTimedSerializer(key, salt="kneeage-session")
        self._accounts = accounts
        self._is_secure = is_secure

    @property
    def needs_login(self) -> bool:
        """Whether users must log in."""
        return self._accounts is not None

    def read(self, request: Request) -> Session | None:
        """Give the session of a request; None where its cookie is missing, forged or too old."""
        try:
            token = self._signer.loads(request.cookies.get(COOKIE, ""), max_age=int(SESSION_SECONDS))
        except BadSignature:
            return None
        return Session(token, self._user(token)) if isinstance(token, str) else None

    def may_read(self, request: Request) -> bool:
        """Say whether who made a request may still see what is here: the session may have ended since."""
        if not self.needs_login:
            return True
        session = self.read(request)
        return session is not None and session.user is not None

    def begin(self) -> Session:
        """Begin a session of nobody, or of this machine's user where nobody need log in."""
        token = secrets.token_urlsafe(32)
        return Session(token, None if self.needs_login else LOCAL)

    def write(self, response: Response, session: Session) -> None:
        """Give a session to a browser."""
        response.set_cookie(
            COOKIE,
            self._signer.dumps(session.token),
            max_age=int(SESSION_SECONDS),
            httponly=True,
            samesite="strict",
            secure=self._is_secure,
            path="/",
        )

    def csrf_token(self, session: Session) -> str:
        """Give the token that a request of this session must carry to change anything."""
        return hmac.new(self._key, f"csrf:{session.token}".encode(), hashlib.sha256).hexdigest()

    def is_csrf_token(self, session: Session, given: str) -> bool:
        """Say whether a token belongs to a session."""
        return hmac.compare_digest(self.csrf_token(session).encode(), given.encode())

    def _user(self, token: str) -> str | None:
        """Give the user of a session."""
        return LOCAL if self._accounts is None else self._accounts.user_of(token)


class Rate:
    """Counts events of the last minute by a name.

    Args:
        clock: Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, list[float]] = {}
        self._turn = threading.Lock()

    def count(self, name: str, most: int) -> None:
        """Count one more, unless it is one too many.

        Args:
            name: What is counted.
            most: How many are let through.

        Raises:
            WebError: Too often.
        """
        with self._turn:
            if len(self._seen) > _MOST_COUNTED:
                self._seen.clear()
            now = self._clock()
            seen = [at for at in self._seen.get(name, ()) if at >= now - _MINUTE]
            if len(seen) >= most:
                wait = math.ceil(seen[0] + _MINUTE - now)
                raise WebError(429, "busy", "too many attempts; wait a minute", retry_after=max(1, wait))
            self._seen[name] = [*seen, now]

    def forget(self, name: str) -> None:
        """Take back what was counted last."""
        with self._turn:
            self._seen[name] = self._seen.get(name, [])[:-1]


def session_of(request: Request) -> Session:
    """Give the session of a user.

    Raises:
        WebError: Nobody is logged in.
    """
    sessions: Sessions = request.app.state.office.sessions
    session = sessions.read(request)
    if session is None and not sessions.needs_login:
        session = sessions.begin()
    if session is None or session.user is None:
        raise WebError(401, "login", "log in first")
    return session


def reader(session: Annotated[Session, Depends(session_of)], _cookie: Annotated[str | None, Security(_SESSION)]) -> str:
    """Give the user of a request that changes nothing."""
    return str(session.user)


def writer(
    request: Request,
    session: Annotated[Session, Depends(session_of)],
    _cookie: Annotated[str | None, Security(_SESSION)],
    _token: Annotated[str | None, Security(_TOKEN)],
) -> str:
    """Give the user of a request that changes something.

    Raises:
        WebError: The request does not carry the session's token: another page may have made it.
    """
    require_csrf(request, session)
    return str(session.user)


def require_csrf(request: Request, session: Session) -> None:
    """Refuse a request that another page may have made.

    Raises:
        WebError: It does not carry the session's token.
    """
    sessions: Sessions = request.app.state.office.sessions
    if not sessions.is_csrf_token(session, request.headers.get(CSRF_HEADER, "")):
        raise WebError(403, "csrf", f"send the session's token in the header {CSRF_HEADER}; reload the page")


Reader = Annotated[str, Depends(reader)]
Writer = Annotated[str, Depends(writer)]


class Guard:
    """Stands before all routes: refuses foreign host names and large bodies, and adds headers to every answer.

    Args:
        app: The application.
        settings: What the server was told.
    """

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            """Add headers to the answer."""
            if message["type"] == "http.response.start":
                self._add_headers(MutableHeaders(scope=message), scope["path"])
            await send(message)

        error = self._refusal(Request(scope))
        answer = self._app if error is None else error_response(error)
        await answer(scope, receive, send_guarded)

    def _refusal(self, request: Request) -> WebError | None:
        """Say what is wrong with a request, if anything is."""
        hosts = self._settings.hosts
        if hosts is not None and (_host_name(request.headers.get("host", "")) not in hosts):
            return WebError(400, "host", "this server is not called so; open the address that it names at its start")
        if request.method in ("GET", "HEAD", "OPTIONS") or request.url.path.endswith(_SENDS_FILES):
            return None
        length = request.headers.get("content-length", "")
        is_counted = length.isdecimal() and int(length) <= self._settings.limits.json_bytes
        if "transfer-encoding" in request.headers or (length and not is_counted):
            return WebError(413, "too_large", f"the body is larger than {self._settings.limits.json_bytes} bytes")
        return None

    def _add_headers(self, headers: MutableHeaders, path: str) -> None:
        """Add what every answer carries."""
        headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        headers.setdefault("Cache-Control", "no-cache" if path.startswith("/static/") else "no-store")
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        if self._settings.is_secure:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")


def _host_name(host: str) -> str:
    """Take the port off a Host header."""
    name, colon, port = host.lower().rpartition(":")
    return (name if colon and port.isdecimal() else host.lower()).strip("[]")
