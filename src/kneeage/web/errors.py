"""Errors as the API answers them: one shape, a code for machines, words for people, never what was sent."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from kneeage.core.errors import InputRefusedError, KneeAgeError, OutputError, UsageError
from kneeage.io.output import DISK_FULL
from kneeage.service.cases import BusyError, StateError, UnknownCaseError
from kneeage.service.logs import log, log_failure

RETRY_SECONDS = 5

_STATUSES: tuple[tuple[type[KneeAgeError], int, str], ...] = (
    (UnknownCaseError, 404, "not_found"),
    (StateError, 409, "state"),
    (BusyError, 429, "busy"),
    (InputRefusedError, 422, "refused"),
    (UsageError, 422, "invalid"),
    (OutputError, 429, "busy"),
)
_HTTP_CODES = {404: "not_found", 405: "method"}


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str
    message: str


class ErrorBody(BaseModel):
    """How every error is answered."""

    error: ErrorDetail


class WebError(Exception):
    """An answer that is an error.

    Args:
        status: HTTP status.
        code: For machines.
        message: For people.
        retry_after: Seconds after which to try again.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare errors that a route may answer with, beside those that every route may."""
    return {status: {"model": ErrorBody} for status in (400, 401, 422, 429, *statuses)}


def error_response(error: WebError) -> JSONResponse:
    """Answer with an error."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    body = ErrorBody(error=ErrorDetail(code=error.code, message=str(error)))
    return JSONResponse(body.model_dump(), error.status, headers)


def web_error(error: KneeAgeError) -> WebError:
    """Turn an error of ours into an answer."""
    for kind, status, code in _STATUSES:
        if isinstance(error, kind):
            return WebError(status, code, str(error), RETRY_SECONDS if status == 429 else None)
    return WebError(422, "refused", str(error))


def handle_errors(app: FastAPI) -> None:
    """Have an application answer all errors in one shape."""
    app.add_exception_handler(WebError, _on_web_error)
    app.add_exception_handler(KneeAgeError, _on_own_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(OSError, _on_system_error)
    app.add_exception_handler(Exception, _on_unforeseen)


def _on_web_error(_request: Request, error: Exception) -> JSONResponse:
    """Answer an error that is one already."""
    assert isinstance(error, WebError)  # noqa: S101 (the handler is registered for it alone)
    return error_response(error)


def _on_own_error(_request: Request, error: Exception) -> JSONResponse:
    """Answer an error of ours."""
    assert isinstance(error, KneeAgeError)  # noqa: S101 (the handler is registered for it alone)
    if isinstance(error, OutputError):
        log("output failed", logging.ERROR, kind=type(error).__name__)
    return error_response(web_error(error))


def _on_invalid(_request: Request, error: Exception) -> JSONResponse:
    """Answer fields of a wrong type or size; what was sent is not repeated."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 (the handler is registered for it alone)
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"] if isinstance(part, int) or part.isidentifier())
    return error_response(WebError(422, "invalid", f"{where[:100]}: {str(fault['msg'])[:200]}"))


def _on_http_error(_request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework refuses."""
    assert isinstance(error, HTTPException)  # noqa: S101 (the handler is registered for it alone)
    code = _HTTP_CODES.get(error.status_code, "invalid")
    answer = error_response(WebError(error.status_code, code, str(error.detail)))
    answer.headers.update(error.headers or {})
    return answer


def _on_system_error(request: Request, error: Exception) -> JSONResponse:
    """Answer that the disk is full, where it is."""
    if not (isinstance(error, OSError) and error.errno in DISK_FULL):
        return _on_unforeseen(request, error)
    log_failure("the disk is full", error)
    return error_response(full_disk())


def full_disk() -> WebError:
    """Give the answer of a server without room."""
    return WebError(429, "busy", "the disk of the server is full; purge examinations, then try again", 60)


def _on_unforeseen(_request: Request, error: Exception) -> JSONResponse:
    """Answer a failure of ours; the log has its place."""
    log_failure("request failed", error)
    return error_response(WebError(500, "unforeseen", "unforeseen failure; the log of the server has its place"))
