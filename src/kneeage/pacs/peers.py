"""Archives by their addresses: ``dicom://AETITLE@host:port``, ``dicoms://`` over TLS, ``https://host/dicom-web``."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from kneeage.core.errors import UsageError

# Source: DICOM PS3.15 section B.1 and the registered ports acr-nema 104, dicom 11112 and dicom-tls 2762.
DEFAULT_PORT = 11112
DEFAULT_TLS_PORT = 2762
# Source: DICOM PS3.5 section 6.2 (AE: at most 16 characters, no backslash, no control characters).
MAX_AE_TITLE = 16

_EXAMPLES = "give dicom://AETITLE@host:port, dicoms://AETITLE@host:port or https://host/dicom-web"


@dataclass(frozen=True)
class Tls:
    """Certificates of this node; all files are PEM.

    Args:
        certificate: Own certificate.
        key: Its private key; None: it lies in the certificate's file.
        authority: Authority that the peer's certificate must come from; None: those that the system trusts, and a
            listener asks its peers for none.
    """

    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None

    def for_listener(self) -> ssl.SSLContext | None:
        """Make what a listener wraps connections with; None without a certificate.

        Raises:
            UsageError: A file cannot be used.
        """
        if self.certificate is None:
            return None
        context = self._with_files(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        context.verify_mode = ssl.CERT_REQUIRED if self.authority else ssl.CERT_NONE
        return context

    def for_caller(self) -> ssl.SSLContext:
        """Make what a caller wraps its connection with; the peer's name and certificate are checked.

        Raises:
            UsageError: A file cannot be used.
        """
        return self._with_files(ssl.create_default_context())

    def _with_files(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """Load the certificates."""
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
            if self.authority is not None:
                context.load_verify_locations(self.authority)
        except OSError as error:
            raise UsageError(f"the TLS files cannot be used ({error.strerror or error}); give PEM files") from error
        return context


@dataclass(frozen=True)
class DicomPeer:
    """An archive that speaks DICOM.

    Args:
        ae_title: Its AE title.
        host: Its address.
        port: Its port.
        secure: Whether it is spoken to over TLS.
    """

    ae_title: str
    host: str
    port: int
    secure: bool = False

    def __str__(self) -> str:
        return f"dicom{'s' if self.secure else ''}://{self.ae_title}@{self.host}:{self.port}"


@dataclass(frozen=True)
class WebPeer:
    """An archive that speaks DICOMweb.

    Args:
        url: Root of its service.
    """

    url: str

    def __str__(self) -> str:
        # A query may hold a token.
        return urlsplit(self.url)._replace(query="", fragment="").geturl()


def parse_peer(text: str) -> DicomPeer | WebPeer:
    """Read the address of an archive.

    Args:
        text: Such as ``dicom://ORTHANC@127.0.0.1:4242`` or ``https://archive/dicom-web``.

    Raises:
        UsageError: It is not such an address.
    """
    parts = urlsplit(text)
    if parts.scheme in ("http", "https") and parts.hostname:
        return _web_peer(text, parts)
    if parts.scheme in ("dicom", "dicoms") and parts.hostname and parts.username:
        return _dicom_peer(text, parts)
    raise UsageError(f"{text!r} is no address of an archive; {_EXAMPLES}")


def require_ae_title(text: str) -> str:
    """Check an AE title.

    Raises:
        UsageError: It is empty, too long, or has characters that the standard forbids.
    """
    if not (0 < len(text.strip()) <= MAX_AE_TITLE and text.isascii() and text.isprintable() and "\\" not in text):
        raise UsageError(f"an AE title has 1 to {MAX_AE_TITLE} ASCII characters and no backslash; found {text!r}")
    return text.strip()


def host_and_port(text: str) -> tuple[str, int]:
    """Read ``host:port``.

    Raises:
        UsageError: It is not that.
    """
    parts = urlsplit(f"//{text}")
    port = _port(text, parts)
    if not parts.hostname or port is None:
        raise UsageError(f"give HOST:PORT, such as 127.0.0.1:9090; found {text!r}")
    return parts.hostname, port


def _web_peer(text: str, parts: SplitResult) -> WebPeer:
    """Make a DICOMweb peer; a password in the address would be seen by everyone who lists processes."""
    if parts.username or parts.password:
        raise UsageError("put the user and password of a DICOMweb archive into a file, and name it with --web-login")
    _port(text, parts)
    return WebPeer(text.rstrip("/"))


def _dicom_peer(text: str, parts: SplitResult) -> DicomPeer:
    """Make a DICOM peer."""
    secure = parts.scheme == "dicoms"
    port = _port(text, parts) or (DEFAULT_TLS_PORT if secure else DEFAULT_PORT)
    return DicomPeer(require_ae_title(parts.username or ""), parts.hostname or "", port, secure)


def _port(text: str, parts: SplitResult) -> int | None:
    """Read the port."""
    try:
        return parts.port
    except ValueError:
        raise UsageError(f"the port in {text!r} is no number from 0 to 65535; {_EXAMPLES}") from None
