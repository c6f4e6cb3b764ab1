"""An archive by DICOMweb: QIDO, WADO and STOW, each with a limit of time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom import Dataset, dcmread
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth

from kneeage.core.errors import UsageError
from kneeage.pacs.peers import Tls
from kneeage.service.worker import DeliveryError

CONNECT_SECONDS = 15.0
ANSWER_SECONDS = 120.0

_BEARER = "Bearer "


class WebArchive:
    """A DICOMweb service.

    Args:
        url: Its root.
        tls: Certificates for ``https``.
        login: File with ``user:password`` or ``Bearer TOKEN``; None: no login.

    Raises:
        UsageError: The login file cannot be used.
    """

    def __init__(self, url: str, tls: Tls, login: Path | None = None) -> None:
        self._session = _session(tls, login)
        self._client = DICOMwebClient(url, session=self._session)
        self._client.set_http_retry_params(retry=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def store(self, file: Path) -> None:
        """Store one object.

        Raises:
            DeliveryError: The archive did not confirm it.
        """
        dataset = dcmread(file)
        try:
            answer = self._client.store_instances([dataset])
        except (requests.RequestException, OSError, ValueError) as error:
            raise _unreachable(error) from error
        stored = {str(item.ReferencedSOPInstanceUID) for item in answer.get("ReferencedSOPSequence") or ()}
        if str(dataset.SOPInstanceUID) not in stored:
            failed = answer.get("FailedSOPSequence") or ()
            code = f" (status {failed[0].FailureReason:04X})" if failed and "FailureReason" in failed[0] else ""
            raise DeliveryError(f"the archive did not store an object{code}")

    def studies(self, filters: dict[str, str], limit: int) -> list[Dataset]:
        """Find studies by their attributes.

        Raises:
            DeliveryError: The archive does not answer.
        """
        return self._found(lambda: self._client.search_for_studies(search_filters=filters, limit=limit))

    def series(self, study_uid: str) -> list[Dataset]:
        """Find the MR series of a study.

        Raises:
            DeliveryError: The archive does not answer.
        """
        return self._found(lambda: self._client.search_for_series(study_uid, search_filters={"Modality": "MR"}))

    def instances(self, study_uid: str, series_uid: str) -> Iterator[Dataset]:
        """Retrieve the objects of a series, as the archive has them.

        Raises:
            DeliveryError: The archive does not answer.
        """
        try:
            yield from self._client.iter_series(study_uid, series_uid, media_types=(("application/dicom", "*"),))
        except (requests.RequestException, OSError, ValueError) as error:
            raise _unreachable(error) from error

    def _found(self, search: Any) -> list[Dataset]:
        """Search, and read what was found."""
        try:
            return [Dataset.from_json(one) for one in search()]
        except (requests.RequestException, OSError, ValueError) as error:
            raise _unreachable(error) from error


class _TimedAdapter(HTTPAdapter):
    """Gives every request a limit of time."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request."""
        return super().send(request, **{**options, "timeout": (CONNECT_SECONDS, ANSWER_SECONDS)})


class _Bearer(AuthBase):
    """Sends a token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request."""
        request.headers["Authorization"] = f"{_BEARER}{self._token}"
        return request


def _session(tls: Tls, login: Path | None) -> requests.Session:
    """Make a session that asks no environment for proxies or passwords."""
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, _TimedAdapter())
    session.auth = None if login is None else _auth(login)
    session.verify = True if tls.authority is None else str(tls.authority)
    if tls.certificate is not None:
        session.cert = str(tls.certificate) if tls.key is None else (str(tls.certificate), str(tls.key))
    return session


def _auth(login: Path) -> AuthBase:
    """Read a login.

    Raises:
        UsageError: The file cannot be read, or is neither of the two forms.
    """
    try:
        text = login.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("the file of --web-login cannot be read; give a text file with user:password") from error
    if text.startswith(_BEARER):
        return _Bearer(text.removeprefix(_BEARER))
    user, colon, password = text.partition(":")
    if not colon:
        raise UsageError("the file of --web-login holds neither 'user:password' nor 'Bearer TOKEN'")
    return HTTPBasicAuth(user.encode(), password.encode())


def _unreachable(error: Exception) -> DeliveryError:
    """Say what is wrong, without the address, which may hold a subject's identifier."""
    response = getattr(error, "response", None)
    status = f"answers {response.status_code}" if response is not None else f"does not answer ({type(error).__name__})"
    return DeliveryError(f"the archive {status}; check its address and login")
