"""What a server is told, with its limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from kneeage.core.errors import UsageError
from kneeage.service.addresses import is_loopback

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Limits:
    """What is taken at most. All are our own choice; a knee study is a few thousand files and less than 1 GB.

    Args:
        file_bytes: One file.
        examination_bytes: All files of an examination.
        files: Files of an examination.
        request_files: Files of one request.
        correction_bytes: Labels that come back.
        json_bytes: Any other body.
        uploads: Requests that send files at once.
        streams: Clients that listen to events at once.
        waiting: Runs that wait.
        free_bytes: Room that the disk must keep.
        idle_seconds: A request that sends less than ``least_bytes`` for so long loses its place.
        least_bytes: Less than this within ``idle_seconds`` is no sending: 2 KiB in a second.
        logins: Failed logins by one name from one address within a minute.
        many_logins: The same by one name from anywhere, or by any names from one address.
    """

    file_bytes: int = 512 * MEBIBYTE
    examination_bytes: int = 4096 * MEBIBYTE
    files: int = 20_000
    request_files: int = 1000
    correction_bytes: int = 64 * MEBIBYTE
    json_bytes: int = MEBIBYTE
    uploads: int = 8
    streams: int = 200
    waiting: int = 200
    free_bytes: int = 512 * MEBIBYTE
    idle_seconds: int = 30
    least_bytes: int = 61_440
    logins: int = 5
    many_logins: int = 50


@dataclass(frozen=True)
class WebSettings:
    """How a server answers.

    Args:
        data: Folder of its examinations.
        url: URL of its register.
        bundles: Folders of bundles.
        studies: Folder of study runs; None: none are shown.
        host: Address to listen on.
        port: Port to listen on; 0: any.
        login: Whether users must log in.
        certificate: TLS certificate.
        key: Its key.
        proxy: Origin under which a proxy offers the server, such as ``https://knees.example.org``.
        workers: Processes that read and estimate.
        run_seconds: A run that takes longer is ended.
        keep_days: Images and documents stay so long after the last change; None: until they are purged by hand.
        limits: What is taken at most.

    Raises:
        UsageError: Others could reach the server without a login, or a login could be read on its way.
    """

    data: Path
    url: str
    bundles: tuple[Path, ...]
    studies: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8700
    login: bool = False
    certificate: Path | None = None
    key: Path | None = None
    proxy: str | None = None
    workers: int = 2
    run_seconds: float = 600.0
    keep_days: float | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise UsageError("TLS needs both --tls-cert and --tls-key")
        if self.proxy is not None and not _is_origin(self.proxy):
            raise UsageError("--behind-proxy takes an origin, such as https://knees.example.org")
        if self.proxy is not None and not _is_guarded(self.proxy):
            raise UsageError(
                f"behind {self.proxy} passwords would travel in clear: have the proxy offer the server over https"
            )
        if not is_loopback(self.host) and self.certificate is None and self.proxy is None:
            raise UsageError(
                f"on {self.host} passwords would travel in clear: give --tls-cert and --tls-key, or --behind-proxy"
            )

    @property
    def needs_login(self) -> bool:
        """Whether users must log in: they must where anybody but this machine's users can reach the server."""
        return self.login or self.proxy is not None or not is_loopback(self.host)

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach the server over TLS."""
        return self.certificate is not None or (self.proxy or "").startswith("https:")

    @property
    def hosts(self) -> frozenset[str] | None:
        """Names that a request may call the server by; None: any, since its address is not known to be one of them.

        A page of another origin whose name is made to point here would otherwise be taken for our own.
        """
        if self.proxy is not None:
            return frozenset({(urlsplit(self.proxy).hostname or "").lower()})
        if is_loopback(self.host):
            return frozenset({"localhost", "127.0.0.1", "::1", self.host.lower()})
        return None


def _is_guarded(origin: str) -> bool:
    """Say whether nobody on the way to an origin can read what is sent."""
    parts = urlsplit(origin)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def _is_origin(text: str) -> bool:
    """Say whether a text is an origin: scheme and host, and perhaps a port."""
    parts = urlsplit(text)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/") and not parts.query
