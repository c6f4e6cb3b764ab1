"""Files that come in: parsed as they arrive, written to the disk at once, counted and measured on the way."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from kneeage.io.archive import is_archive, open_archive
from kneeage.service.case_files import ending_of
from kneeage.web.errors import RETRY_SECONDS, WebError
from kneeage.web.settings import Limits

_FIELD = b"files"
_HEADER_BYTES = 8192
_HEAD_BYTES = 4


class Places:
    """Places for requests that send files; one request too many is told to come again.

    Args:
        most: How many there are.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """Take a place for the block.

        Raises:
            WebError: None is free.
        """
        if self._taken >= self._most:
            raise WebError(429, "busy", f"{self._most} others send files already; try again", RETRY_SECONDS)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


@dataclass(eq=False)
class _Part:
    """A part of a form that is coming in."""

    names: list[bytes] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    name: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    header_bytes: int = 0
    ending: str = ""
    file: IO[bytes] | None = None
    path: Path | None = None
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    bytes: int = 0


class FormFiles:
    """Writes the files of a form into a folder, under the hash of their bytes.

    Args:
        folder: Where to.
        boundary: What parts the form.
        limits: What is taken at most.
    """

    def __init__(self, folder: Path, boundary: bytes, limits: Limits) -> None:
        self.sizes: dict[str, int] = {}
        self._folder = folder
        self._limits = limits
        self._count = 0
        self._total = 0
        self._part = _Part()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_name,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._open,
                "on_part_data": self._write,
                "on_part_end": self._close,
                "on_end": self._end,
            },
        )
        self._is_whole = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the form."""
        self._parser.write(chunk)

    def finish(self) -> dict[str, int]:
        """Give the bytes of each file by its name.

        Raises:
            WebError: The form was cut short, or holds no file.
        """
        if not self._is_whole:
            raise WebError(422, "invalid", "the form ends too early; send it again")
        if not self.sizes:
            raise WebError(422, "invalid", "the form holds no file in a part named 'files'")
        return self.sizes

    def abandon(self) -> None:
        """Close a file that was cut short."""
        if self._part.file is not None:
            self._part.file.close()

    def _begin(self) -> None:
        """Begin a part."""
        self._count += 1
        if self._count > self._limits.request_files:
            raise WebError(
                413, "too_large", f"one request takes {self._limits.request_files} files; send more requests"
            )
        self._part = _Part()

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's name."""
        self._measure(end - start)
        self._part.name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's value."""
        self._measure(end - start)
        self._part.value += data[start:end]

    def _on_header_end(self) -> None:
        """Take a header."""
        self._part.names.append(bytes(self._part.name).lower())
        self._part.values.append(bytes(self._part.value))
        self._part.name, self._part.value = bytearray(), bytearray()

    def _open(self) -> None:
        """Open a file for a part that is one; other parts are passed over."""
        headers = dict(zip(self._part.names, self._part.values, strict=True))
        _, options = parse_options_header(headers.get(b"content-disposition"))
        if options.get(b"name") != _FIELD or b"filename" not in options:
            return
        self._part.ending = ending_of(options[b"filename"].decode("utf-8", errors="replace"))
        self._part.path = self._folder / f".{secrets.token_hex(16)}"
        self._part.file = self._part.path.open("wb")

    def _write(self, data: bytes, start: int, end: int) -> None:
        """Write a piece of a file."""
        part, size = self._part, end - start
        self._total += size
        part.bytes += size
        limits = self._limits
        if part.bytes > limits.file_bytes or self._total > limits.examination_bytes:
            raise WebError(413, "too_large", f"a file has at most {limits.file_bytes} bytes; send one study")
        if part.file is not None:
            part.digest.update(data[start:end])
            part.file.write(data[start:end])

    def _close(self) -> None:
        """Name a file by its content; the same content that comes twice is one file."""
        part = self._part
        if part.file is None or part.path is None:
            return
        part.file.close()
        kept = part.path.replace(self._folder / f"{part.digest.hexdigest()}{part.ending}")
        self.sizes[kept.name] = part.bytes

    def _end(self) -> None:
        """Note that the form is whole."""
        self._is_whole = True

    def _measure(self, size: int) -> None:
        """Refuse headers that do not end."""
        self._part.header_bytes += size
        if self._part.header_bytes > _HEADER_BYTES:
            raise WebError(422, "invalid", "the headers of a part are too long")


async def arriving(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """Give the body of a request as it comes in.

    Args:
        request: The request.
        limits: How much must come within what time, again and again, until the body ends.

    Raises:
        WebError: Less came: whoever sends nothing, or drop by drop, must not keep others from sending.
    """
    pieces, clock = request.stream(), asyncio.get_running_loop().time
    patience, came = float(limits.idle_seconds), 0
    while True:
        began = clock()
        try:
            async with asyncio.timeout(patience):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            words = f"only {came} bytes came within {limits.idle_seconds} seconds; send it again"
            raise WebError(408, "slow", words) from error
        patience, came = patience - (clock() - began), came + len(piece)
        if came >= limits.least_bytes:
            patience, came = float(limits.idle_seconds), 0
        yield piece


async def receive_form(request: Request, folder: Path, limits: Limits) -> dict[str, int]:
    """Write the files of a request into a folder.

    Args:
        request: A form (``multipart/form-data``).
        folder: Empty folder.
        limits: What is taken at most.

    Returns:
        Bytes of each file by its name there.

    Raises:
        WebError: It is no such form, is cut short, or past a limit.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise WebError(422, "invalid", "send the files as multipart/form-data, in parts named 'files'")
    try:
        form = FormFiles(folder, boundary, limits)
    except FormParserError as error:
        raise WebError(422, "invalid", "the boundary of the form cannot be used") from error
    try:
        async for chunk in arriving(request, limits):
            form.feed(chunk)
        return form.finish()
    except FormParserError as error:
        raise WebError(422, "invalid", "the form is damaged; send it again") from error
    except ClientDisconnect as error:
        raise WebError(422, "invalid", "the form was broken off; send it again") from error
    finally:
        form.abandon()


async def receive_file(request: Request, path: Path, limits: Limits) -> None:
    """Write the labels in the body of a request into a file.

    Raises:
        WebError: They are none, broken off, or past a limit.
    """
    size = 0
    try:
        with path.open("wb") as file:
            async for chunk in arriving(request, limits):
                size += len(chunk)
                if size > limits.correction_bytes:
                    raise WebError(413, "too_large", f"labels have at most {limits.correction_bytes} bytes")
                file.write(chunk)
    except ClientDisconnect as error:
        raise WebError(422, "invalid", "the labels were broken off; send them again") from error
    if size == 0:
        raise WebError(422, "invalid", "the body is empty; send a NIfTI file")


def require_safe(folder: Path, sizes: dict[str, int]) -> bool:
    """Refuse archives that are unsafe by their table of contents, or that come with others.

    Args:
        folder: Where the files lie.
        sizes: Their names.

    Returns:
        Whether they are one archive.

    Raises:
        InputRefusedError: An archive leads outside of itself, unpacks to too much, or is damaged.
        WebError: An archive is not the only file.
    """
    archives = [folder / name for name in sizes if holds_archive(folder / name)]
    if archives and len(sizes) > 1:
        raise WebError(422, "refused", "a zip must be the only file of an examination; open another examination")
    for path in archives:
        with open_archive(path):
            pass
    return bool(archives)


def holds_archive(path: Path) -> bool:
    """Say whether a file begins like a zip archive, whatever it is called."""
    with path.open("rb") as file:
        return is_archive(file.read(_HEAD_BYTES))
