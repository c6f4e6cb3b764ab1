"""Results on their way to an archive, and what is said when they do not arrive."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AE, evt

from kneeage.core.errors import UsageError
from kneeage.pacs.contexts import received_contexts
from kneeage.pacs.peers import DicomPeer, Tls, WebPeer, parse_peer
from kneeage.pacs.send import Caller, Destination
from kneeage.service.worker import DeliveryError
from tests.pacs.fakes import result_object
from tests.pacs.support import PATIENCE, Orthanc, make_study, study_uid
from tests.ports import HOST, free_port


@pytest.fixture
def result(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """An object of ours."""
    made = result_object([dcmread(path) for path in make_study(tmp_path / "images", request.node.name)], "OT")
    made.save_as(tmp_path / "result.dcm", enforce_file_format=True)
    return tmp_path / "result.dcm"


def send(peer: DicomPeer | WebPeer, path: Path, caller: Caller | None = None) -> None:
    with Destination(peer, caller or Caller())([path]) as way:
        way(path)


@pytest.mark.parametrize("way", ["dicom", "web"])
def test_an_object_that_is_sent_twice_is_there_once(
    orthanc: Orthanc, result: Path, way: str, request: pytest.FixtureRequest
) -> None:
    for _ in range(2):
        send(parse_peer(getattr(orthanc, way)), result)
    assert orthanc.modalities(study_uid(request.node.name)) == ["OT"]


def answering(status: int, *, takes_results: bool = True, context: ssl.SSLContext | None = None) -> tuple[AE, int]:
    """An archive that answers with a status."""
    entity = AE("ARCHIVE")
    entity.supported_contexts = received_contexts()
    if takes_results:
        entity.add_supported_context("1.2.840.10008.5.1.4.1.1.7")
    port = free_port()
    handlers: list[evt.EventHandlerType] = [(evt.EVT_C_STORE, lambda _: status)]
    entity.start_server((HOST, port), block=False, evt_handlers=handlers, ssl_context=context)
    return entity, port


@pytest.mark.parametrize(("status", "words"), [(0xA700, r"status A700"), (0xC001, "status C001")])
def test_a_failure_status_is_said(result: Path, status: int, words: str) -> None:
    entity, port = answering(status)
    try:
        with pytest.raises(DeliveryError, match=words):
            send(DicomPeer("ARCHIVE", HOST, port), result)
    finally:
        entity.shutdown()


def test_a_warning_is_stored(result: Path) -> None:
    entity, port = answering(0xB000)
    send(DicomPeer("ARCHIVE", HOST, port), result)
    entity.shutdown()


def test_an_object_goes_to_an_archive_over_tls(result: Path, certificate: Tls) -> None:
    entity, port = answering(0, context=certificate.for_listener())
    try:
        peer = parse_peer(f"dicoms://ARCHIVE@{HOST}:{port}")
        send(peer, result, Caller(tls=certificate))
        with pytest.raises(DeliveryError, match="does not answer"):
            send(peer, result, Caller(tls=Tls(authority=certificate.authority)))
        with pytest.raises(DeliveryError, match="does not answer"):
            send(DicomPeer("ARCHIVE", HOST, port), result, Caller(tls=certificate))
    finally:
        entity.shutdown()


class LateEvent(threading.Event):
    """Lets the library's thread go on only a while after it was told to."""

    def wait(self, timeout: float | None = None) -> bool:
        told = super().wait(timeout)
        time.sleep(0.3)
        return told


def test_the_library_takes_no_answer_away() -> None:
    archive, port = answering(0)
    entity = Caller().entity()
    entity.requested_contexts = received_contexts()
    entity.dimse_timeout = PATIENCE
    link = Caller().associated(entity, DicomPeer("ARCHIVE", HOST, port))
    try:
        link._reactor_checkpoint = LateEvent()
        link._reactor_checkpoint.set()
        ask = link.dimse.send_msg
        # The answer is there before the asker looks for it, and the library's thread looks in between.
        link.dimse.send_msg = lambda *message: (ask(*message), time.sleep(1.0))[0]  # type: ignore[method-assign]
        assert [link.send_c_echo().get("Status") for _ in range(3)] == [0, 0, 0]
    finally:
        link.release()
        archive.shutdown()


def test_an_archive_that_takes_no_such_object_is_said(result: Path) -> None:
    entity, port = answering(0, takes_results=False)
    try:
        with pytest.raises(DeliveryError, match="takes none of these objects"):
            send(DicomPeer("ARCHIVE", HOST, port), result)
    finally:
        entity.shutdown()


class Taking(BaseHTTPRequestHandler):
    """A web archive that confirms an object that it finds in what it is sent."""

    uid = b""

    def do_POST(self) -> None:
        found = self.uid in self.rfile.read(int(self.headers["Content-Length"]))
        stored = {"00081155": {"vr": "UI", "Value": [self.uid.decode()]}}
        answer = json.dumps({"00081199": {"vr": "SQ", "Value": [stored] if found else []}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_an_object_goes_to_a_web_archive_over_tls(
    result: Path, certificate: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Taking, "uid", str(dcmread(result).SOPInstanceUID).encode())
    with HTTPServer((HOST, 0), Taking) as server:
        context = certificate.for_listener()
        assert context is not None
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        peer = parse_peer(f"https://{HOST}:{server.server_port}")
        send(peer, result, Caller(tls=certificate))
        for stranger in (Tls(authority=certificate.authority), Tls()):
            with pytest.raises(DeliveryError, match="does not answer"):
                send(peer, result, Caller(tls=stranger))
        server.shutdown()


class Picky(BaseHTTPRequestHandler):
    """A web archive that wants a login, and then fails."""

    wanted = f"Basic {base64.b64encode(b'user:word').decode()}"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(500 if self.headers.get("Authorization") == self.wanted else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def picky() -> Iterator[WebPeer]:
    server = HTTPServer((HOST, 0), Picky)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield WebPeer(f"http://{HOST}:{server.server_port}")
    server.shutdown()
    server.server_close()


def test_a_login_comes_from_a_file(picky: WebPeer, result: Path, tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.write_text("user:word\n")
    with pytest.raises(DeliveryError, match="answers 401"):
        send(picky, result)
    with pytest.raises(DeliveryError, match="answers 500"):
        send(picky, result, Caller(web_login=login))
    login.write_text("Bearer token")
    with pytest.raises(DeliveryError, match="answers 401"):
        send(picky, result, Caller(web_login=login))


@pytest.mark.parametrize(("text", "words"), [("nothing", "holds neither"), (None, "cannot be read")])
def test_a_login_that_is_none_is_said(tmp_path: Path, result: Path, text: str | None, words: str) -> None:
    login = tmp_path / "login"
    if text is not None:
        login.write_text(text)
    with pytest.raises(UsageError, match=words):
        send(WebPeer(f"http://{HOST}:{free_port()}"), result, Caller(web_login=login))
