"""Files as answers: whole, without a script, and without a way out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from kneeage.web.security import DOCUMENT_POLICY

_PIECE_BYTES = 2**16
_RANGE = b"range"


class WholeFile(FileResponse):
    """A file that is given whole, whatever part is asked for.

    The framework answers parts that it cannot give in plain text, and leaves out what is to be done afterwards.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as if no part were asked for."""
        headers = [(name, value) for name, value in scope["headers"] if name != _RANGE]
        await super().__call__({**scope, "headers": headers}, receive, send)


def file_response(given: Path | IO[bytes], media_type: str, saved_as: str | None = None) -> Response:
    """Answer with a file.

    Args:
        given: Where it lies, or the open file, which is closed when it is sent.
        media_type: What it is.
        saved_as: Name under which the browser saves it, in ASCII; None: the browser shows it.
    """
    headers = {"Content-Security-Policy": DOCUMENT_POLICY, "Accept-Ranges": "none"}
    if isinstance(given, Path):
        return WholeFile(given, media_type=media_type, filename=saved_as, headers=headers)
    headers["Content-Length"] = str(given.seek(0, os.SEEK_END))
    if saved_as is not None:
        headers["Content-Disposition"] = f'attachment; filename="{saved_as}"'
    return StreamingResponse(_pieces(given), media_type=media_type, headers=headers)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Read an open file, and close it."""
    with file:
        file.seek(0)
        while piece := file.read(_PIECE_BYTES):
            yield piece
