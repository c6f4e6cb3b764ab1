"""The node's door: what it takes, what it answers, and what hostile peers get."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from unittest.mock import Mock

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from pynetdicom.presentation import build_context

from kneeage.core.errors import OutputError, UsageError
from kneeage.pacs.contexts import IMAGE_CLASSES, decodable_syntaxes
from kneeage.pacs.guard import MAX_PDU_BYTES, Limits, PduWatch
from kneeage.pacs.listen import ListenSettings, _recording, listen
from kneeage.pacs.peers import Tls
from kneeage.service.queue import Queue
from tests.pacs.fakes import FakeExaminer
from tests.pacs.raw import claiming, encoded, negotiated, raw, raw_store
from tests.pacs.support import PATIENCE, association, make_study, send, store, study_uid, wait_for
from tests.ports import HOST, free_port

# Peers that mean well are waited for: other work may have the machine meanwhile.
LIMITS = Limits(
    handshake_seconds=PATIENCE,
    idle_seconds=PATIENCE,
    pdu_seconds=PATIENCE,
    instance_bytes=2**18,
    study_bytes=2**19,
    free_bytes=0,
)
IMPATIENT = replace(LIMITS, handshake_seconds=1.5, idle_seconds=5, pdu_seconds=1.5)
ASSOCIATE_REQUEST, DATA = 0x01, 0x04


@dataclass
class Door:
    """A node without workers, in a thread."""

    port: int
    spool: Path
    metrics: int

    @property
    def counters(self) -> dict[tuple[str, str], int]:
        queue = Queue(self.spool / "queue.sqlite3")
        try:
            return queue.counters()
        finally:
            queue.close()

    def refused(self, reason: str) -> int:
        return self.counters.get(("connections_refused", reason), 0)

    def is_alive(self) -> bool:
        with association(self.port) as link:
            return bool(link.is_established and link.send_c_echo().Status == 0)


@contextlib.contextmanager
def open_door(spool: Path, **settings: object) -> Iterator[Door]:
    door = Door(0, spool, free_port())
    stopped, ready = threading.Event(), threading.Event()
    asked = ListenSettings(
        **{"spool": spool, "port": 0, "limits": LIMITS, "workers": 0, "metrics": (HOST, door.metrics), **settings}  # type: ignore[arg-type]
    )

    def note(port: int) -> None:
        door.port = port
        ready.set()

    thread = threading.Thread(target=listen, args=(asked, FakeExaminer(), None, stopped, note))
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield door
    finally:
        stopped.set()
        thread.join()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("door") / "spool") as one:
        yield one


@pytest.fixture(scope="module")
def impatient_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("impatient") / "spool", limits=IMPATIENT) as one:
        yield one


@pytest.fixture
def image(tmp_path: Path, request: pytest.FixtureRequest) -> Dataset:
    """An image of a study that no other test has."""
    return dcmread(make_study(tmp_path, request.node.name, 1)[0])


def sent(door: Door, dataset: Dataset) -> Dataset:
    with association(door.port) as link:
        return store(link, dataset)


# What is taken.


def test_echo(door: Door) -> None:
    wait_for(door.is_alive)


def test_a_study_is_kept_in_the_spool(door: Door, tmp_path: Path) -> None:
    paths = make_study(tmp_path, "kept")
    assert send(door.port, paths) == [0, 0, 0]
    queue = Queue(door.spool / "queue.sqlite3")
    assert queue.size(study_uid("kept"))[0] == 3
    assert not list((door.spool / "incoming").iterdir())


def test_the_same_image_twice_is_one_image(door: Door, image: Dataset) -> None:
    assert [sent(door, image).Status for _ in range(2)] == [0, 0]
    queue = Queue(door.spool / "queue.sqlite3")
    assert queue.size(str(image.StudyInstanceUID))[0] == 1


def test_every_transfer_syntax_that_is_decoded_is_taken(door: Door) -> None:
    syntaxes = decodable_syntaxes()
    assert {JPEG2000Lossless, JPEGLSLossless, RLELossless} <= set(syntaxes)
    assert not syntaxes[0].is_compressed
    with association(door.port) as link:
        assert {one.abstract_syntax for one in link.accepted_contexts} >= set(IMAGE_CLASSES)


def test_a_compressed_image_is_taken_as_it_is(door: Door, image: Dataset) -> None:
    image.compress(RLELossless)
    with association(door.port, contexts=[build_context(IMAGE_CLASSES[0], RLELossless)]) as link:
        assert store(link, image).Status == 0


def _metrics(door: Door) -> str:
    with urllib.request.urlopen(f"http://{HOST}:{door.metrics}/metrics", timeout=PATIENCE) as answer:
        return answer.read().decode()


def test_metrics_and_logs_name_no_subject(door: Door, image: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    sent(door, image)
    text = _metrics(door)
    assert 'kneeage_studies{state="received"}' in text
    assert "kneeage_associations_total" in text
    for secret in (str(image.PatientID), str(image.PatientName), str(image.StudyInstanceUID)):
        assert secret not in text
        assert secret not in caplog.text


# What is refused, each with its status.


def test_an_image_without_pixels(door: Door, image: Dataset) -> None:
    del image.PixelData
    answer = sent(door, image)
    assert (answer.Status, answer.ErrorComment) == (0xA900, "pixel data is missing")


def test_an_image_without_a_study(door: Door, image: Dataset) -> None:
    del image.StudyInstanceUID
    assert sent(door, image).Status == 0xA900


@pytest.mark.parametrize("announced", [{"sop_instance": "1.2.3.4"}, {"sop_class": IMAGE_CLASSES[1]}])
def test_a_data_set_that_is_not_what_was_announced(door: Door, image: Dataset, announced: dict[str, str]) -> None:
    assert raw_store(door.port, replace(raw(image, encoded(image)), **announced)) == 0xA900


def test_a_data_set_that_is_noise(door: Door, image: Dataset) -> None:
    noise = raw(image, b"\x08\x00\x05\x00CS\x05\x00junk!" + bytes(range(256)) * 20)
    assert raw_store(door.port, noise) in (0xA900, 0xC000)


def test_pixel_data_that_claims_two_gigabytes(door: Door, image: Dataset) -> None:
    assert raw_store(door.port, claiming(image, 2**31 - 2)) == 0xC000
    wait_for(door.is_alive)


def test_a_study_beyond_the_limit(door: Door, tmp_path: Path) -> None:
    big = {"Rows": 256, "Columns": 256, "PixelData": b"\1\2" * 65536}
    paths = make_study(tmp_path, "too big", 6, **big)
    statuses = send(door.port, paths)
    assert statuses[:3] == [0, 0, 0]
    assert statuses[-1] == 0xA700


def test_a_disk_that_is_full(tmp_path: Path, image: Dataset) -> None:
    with open_door(tmp_path / "spool", limits=replace(LIMITS, free_bytes=2**62)) as full:
        answer = sent(full, image)
    assert (answer.Status, answer.ErrorComment) == (0xA700, "disk is full")


def test_a_failure_of_the_queue_is_a_status(door: Door, image: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(Queue, "add", fail)
    assert sent(door, image).Status == 0x0110


# Who is let in.


def test_calling_ae_titles(tmp_path: Path) -> None:
    with open_door(tmp_path / "spool", allowed_ae_titles=("GOOD",)) as picky:
        with association(picky.port, ae_title="GOOD") as link:
            assert link.is_established
        with association(picky.port, ae_title="BAD") as link:
            assert link.is_rejected
            # Source: DICOM PS3.8 section 9.3.4: rejected permanently, by the service user, calling AE title not
            # recognised.
            assert (link.acceptor.primitive.result, link.acceptor.primitive.diagnostic) == (1, 3)


def test_a_wrong_called_ae_title_is_rejected(door: Door) -> None:
    with association(door.port, called="ELSEWHERE") as link:
        assert link.is_rejected
        # Source: DICOM PS3.8 section 9.3.4: rejected permanently, by the service user, called AE title not recognised.
        assert link.acceptor.primitive.result_str == "Rejected Permanent"
        assert link.acceptor.primitive.diagnostic == 0x07


def test_other_addresses_are_closed(tmp_path: Path) -> None:
    with open_door(tmp_path / "spool", limits=replace(LIMITS, networks=(ip_network("10.0.0.0/8"),))) as picky:
        with association(picky.port) as link:
            assert not link.is_established
        wait_for(lambda: picky.refused("address"))


def test_more_associations_than_allowed_are_rejected(tmp_path: Path) -> None:
    limits = replace(LIMITS, associations=1)
    with open_door(tmp_path / "spool", limits=limits) as small:
        with association(small.port) as first:
            # The node calls the first one established a little after it was told so; an answer comes later still.
            assert first.send_c_echo().Status == 0
            with association(small.port) as second:
                assert second.is_rejected
                # Source: DICOM PS3.8 section 9.3.4: rejected for now, local limit exceeded.
                assert (second.acceptor.primitive.result, second.acceptor.primitive.diagnostic) == (2, 2)
        wait_for(small.is_alive)


def test_as_many_associations_as_are_allowed_are_taken(tmp_path: Path) -> None:
    limits = replace(LIMITS, associations=4, silent=0)
    with open_door(tmp_path / "spool", limits=limits) as small, contextlib.ExitStack() as links:
        for _ in range(4):
            wait_for(lambda: links.enter_context(association(small.port)).is_established)
        assert small.refused("too many") == 0


def test_connections_that_say_nothing_are_no_associations(tmp_path: Path) -> None:
    limits = replace(LIMITS, associations=1)
    with open_door(tmp_path / "spool", limits=limits) as small, contextlib.ExitStack() as silent:
        for _ in range(5):
            silent.enter_context(socket.create_connection((HOST, small.port), timeout=PATIENCE))
        wait_for(lambda: "kneeage_connections 5" in _metrics(small))
        wait_for(small.is_alive)


def test_connections_that_say_nothing_do_not_shut_others_out(tmp_path: Path) -> None:
    limits = replace(IMPATIENT, associations=1, silent=2)
    with open_door(tmp_path / "spool", limits=limits) as small, contextlib.ExitStack() as silent:
        for _ in range(6):
            silent.enter_context(socket.create_connection((HOST, small.port), timeout=PATIENCE))
        wait_for(lambda: small.refused("too many"))
        wait_for(small.is_alive)


def test_one_node_per_spool(door: Door) -> None:
    settings = ListenSettings(spool=door.spool, port=0, workers=0)
    with pytest.raises(OutputError, match="another run is making answers"):
        listen(settings, FakeExaminer(), None, threading.Event(), lambda _: None)


def test_a_port_that_is_taken_is_said(door: Door, tmp_path: Path) -> None:
    settings = ListenSettings(spool=tmp_path / "spool", port=door.port, workers=0)
    with pytest.raises(OutputError, match="cannot listen on"):
        listen(settings, FakeExaminer(), None, threading.Event(), lambda _: None)


# Hostile peers.


def closes(peer: socket.socket) -> bool:
    """Whether the node closes a connection."""
    with contextlib.suppress(ConnectionError):
        while peer.recv(4096):
            pass
    return True


def connect(door: Door) -> socket.socket:
    return socket.create_connection((HOST, door.port), timeout=PATIENCE)


def test_plain_text_is_closed(door: Door) -> None:
    with connect(door) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n")
        assert closes(peer)
    wait_for(door.is_alive)


def test_silence_is_closed(impatient_door: Door) -> None:
    with connect(impatient_door) as peer:
        assert closes(peer)
    wait_for(impatient_door.is_alive)


def test_half_a_request_is_closed(impatient_door: Door) -> None:
    with connect(impatient_door) as peer:
        peer.sendall(struct.pack(">BBL", ASSOCIATE_REQUEST, 0, 200) + b"\0" * 10)
        assert closes(peer)
    wait_for(impatient_door.is_alive)


def test_a_request_that_trickles_is_closed(impatient_door: Door) -> None:
    sent_bytes = 0
    with connect(impatient_door) as peer, contextlib.suppress(ConnectionError):
        peer.sendall(struct.pack(">BBL", ASSOCIATE_REQUEST, 0, MAX_PDU_BYTES))
        while sent_bytes < PATIENCE / 0.1:
            sent_bytes += peer.send(b"\0")
            time.sleep(0.1)
    assert sent_bytes < PATIENCE / 0.1
    wait_for(impatient_door.is_alive)


def test_a_pdu_that_claims_two_gigabytes_is_closed_before_it_is_read(door: Door) -> None:
    before = door.refused("too large")
    sent_bytes = 0
    with connect(door) as peer, contextlib.suppress(ConnectionError):
        peer.sendall(struct.pack(">BBL", ASSOCIATE_REQUEST, 0, 2**31))
        for _ in range(2**15):
            sent_bytes += peer.send(bytes(2**16))
    assert sent_bytes < 2**26
    wait_for(lambda: door.refused("too large") > before)
    wait_for(door.is_alive)


def test_an_object_without_end_is_closed_at_the_limit(door: Door, image: Dataset) -> None:
    before = door.refused("too large")
    with contextlib.suppress(ConnectionError, AssertionError):
        raw_store(door.port, raw(image, encoded(image) + bytes(2**24)))
    wait_for(lambda: door.refused("too large") > before)
    wait_for(door.is_alive)


def test_a_command_without_end_is_closed_at_the_limit(door: Door) -> None:
    before = door.refused("too large")
    fragment = b"\x01\x01" + bytes(2**16)
    item = struct.pack(">L", len(fragment)) + fragment
    with negotiated(door.port) as peer, contextlib.suppress(OSError):
        for _ in range(2**9):
            peer.sendall(struct.pack(">BBL", DATA, 0, len(item)) + item)
    wait_for(lambda: door.refused("too large") > before)
    wait_for(door.is_alive)


def test_a_register_that_does_not_answer_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kneeage.pacs.listen.CHECK_SECONDS", 0.0)
    monkeypatch.setattr("kneeage.pacs.listen._JOIN_SECONDS", 0.0)
    recorder, answers = Mock(), threading.Event()
    recorder.try_to_catch_up.side_effect = answers.wait
    with _recording(recorder):
        wait_for(lambda: recorder.try_to_catch_up.called)
    answers.set()
    wait_for(lambda: recorder.try_to_catch_up.call_count == 2)


def test_the_watch_counts_pdus_however_they_are_cut() -> None:
    watch = PduWatch(Limits())
    stream = (struct.pack(">BBL", DATA, 0, 10) + bytes(10)) * 3
    for at in range(len(stream)):
        watch.before()
        watch.after(stream[at : at + 1])
    assert watch._begun is None
    with pytest.raises(ConnectionAbortedError):
        watch.after(struct.pack(">BBL", DATA, 0, MAX_PDU_BYTES + 1))
    with pytest.raises(ConnectionAbortedError):
        watch.before()


# TLS.


def test_tls_with_certificates_on_both_sides(tmp_path: Path, certificate: Tls) -> None:
    with open_door(tmp_path / "spool", tls=certificate.for_listener()) as secure:
        with association(secure.port, tls_args=(certificate.for_caller(), HOST)) as link:
            assert link.send_c_echo().Status == 0
        strangers = ssl.create_default_context(cafile=str(certificate.authority))
        with association(secure.port, tls_args=(strangers, HOST)) as link:
            assert not link.is_established
        with association(secure.port) as link:
            assert not link.is_established
        wait_for(lambda: secure.refused("no tls") >= 1)


def test_a_silent_tls_peer_does_not_shut_others_out(tmp_path: Path, certificate: Tls) -> None:
    with (
        open_door(tmp_path / "spool", tls=certificate.for_listener()) as secure,
        connect(secure),
        association(secure.port, tls_args=(certificate.for_caller(), HOST)) as link,
    ):
        assert link.is_established


def test_a_silent_tls_peer_is_closed(tmp_path: Path, certificate: Tls) -> None:
    settings = {"tls": certificate.for_listener(), "limits": IMPATIENT}
    with open_door(tmp_path / "spool", **settings) as secure, connect(secure) as silent:
        assert closes(silent)


def test_tls_files_that_cannot_be_used_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the TLS files cannot be used"):
        Tls(tmp_path / "none.pem").for_listener()
    assert Tls().for_listener() is None
