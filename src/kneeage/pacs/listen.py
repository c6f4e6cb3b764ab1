"""A DICOM node that answers C-ECHO and C-STORE, and has what it received examined and the results sent back."""

from __future__ import annotations

import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.events import Event

from kneeage.core.errors import OutputError
from kneeage.io.lock import only_run
from kneeage.pacs.contexts import received_contexts
from kneeage.pacs.guard import MAX_DATA_PDU_BYTES, GuardedServer, Limits, watch_messages
from kneeage.pacs.receive import Receiver, RefusedObjectError, StoreStatus
from kneeage.service.logs import log, log_failure
from kneeage.service.metrics import QueueCollector, serve_metrics
from kneeage.service.processes import WorkerProcesses, WorkPlan
from kneeage.service.queue import Queue
from kneeage.service.spool import Spool
from kneeage.service.worker import Destination, Examine, Rhythm

if TYPE_CHECKING:
    from kneeage.service.recorder import Recorder, RecordPlace

# How often workers are looked after.
CHECK_SECONDS = 0.5
# How long a node that is told to stop waits for a register that does not answer; the rest is written when it starts.
_JOIN_SECONDS = 10.0


@dataclass(frozen=True)
class ListenSettings:
    """How the node listens.

    Args:
        spool: Folder of the queue, the images and the results.
        host: Address to listen on.
        port: Port; 0: any that is free.
        ae_title: Own AE title; peers must call it.
        allowed_ae_titles: Peers that may call; empty: all.
        tls: What connections are wrapped with; None: plain text.
        limits: What peers may do.
        rhythm: Times of the workers.
        workers: Number of worker processes.
        study_seconds: A study that takes longer is taken from its worker.
        metrics: Host and port of the metrics; None: no metrics.
        asked: What is asked about every study and which bundle answers, for the record.
        record: Where what is done is put on record; None: it waits in the queue for a node that is told.
    """

    spool: Path
    host: str = "127.0.0.1"
    port: int = 11112
    ae_title: str = "KNEEAGE"
    allowed_ae_titles: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    limits: Limits = field(default_factory=Limits)
    rhythm: Rhythm = field(default_factory=Rhythm)
    workers: int = 1
    study_seconds: float = 600.0
    metrics: tuple[str, int] | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)
    record: RecordPlace | None = None


@dataclass(frozen=True, eq=False)
class Node:
    """The handlers of the node: each gives a status, whatever happens.

    Args:
        receiver: Takes objects.
        queue: Counts.
    """

    receiver: Receiver
    queue: Queue

    def echo(self, _: Event) -> int:
        """Answer C-ECHO."""
        return StoreStatus.SUCCESS

    def store(self, event: Event) -> Dataset:
        """Answer C-STORE."""
        request: Any = event.request
        try:
            self.receiver.receive(
                event.dataset_path,
                sop_class_uid=str(request.AffectedSOPClassUID),
                sop_instance_uid=str(request.AffectedSOPInstanceUID),
            )
        except RefusedObjectError as error:
            return self._refused(error.status, error.comment)
        except OSError as error:
            log_failure("object could not be kept", error)
            return self._refused(StoreStatus.OUT_OF_RESOURCES, "object could not be kept")
        except Exception as error:  # noqa: BLE001 (the network's edge: the peer gets a status, whatever happened)
            log_failure("object could not be taken", error)
            return self._refused(StoreStatus.PROCESSING_FAILURE, "unforeseen failure")
        return _answer(StoreStatus.SUCCESS)

    def refuse_connection(self, reason: str) -> None:
        """Count and log a connection that was closed."""
        self._count("connections_refused", reason)
        log("connection refused", reason=reason)

    def note_association(self, outcome: str) -> Callable[[Event], None]:
        """Make a handler that counts associations that began in some way."""

        def note(_: Event) -> None:
            """Count and log one."""
            self._count("associations", outcome)
            log(f"association {outcome}")

        return note

    def limit_associations(self, event: Event) -> None:
        """Reject an association that is one too many.

        The library would count connections that have not said a word: ten of them would shut everyone out.
        Source: DICOM PS3.8 section 9.3.4 (rejected transient, presentation related, local limit exceeded).
        """
        others = event.assoc.ae.active_associations
        if sum(one.is_established for one in others) >= self.receiver.limits.associations:
            event.assoc.acse.send_reject(0x02, 0x03, 0x02)
            self.note_association("rejected")(event)
            # Waits, as the library does after its own rejections, lest the connection closes before the words are out.
            event.assoc.kill()

    def note_close(self, event: Event) -> None:
        """Count a connection that was closed because its peer broke a limit."""
        channel = event.assoc.dul.socket
        refusal = getattr(getattr(channel and channel.socket, "watch", None), "refusal", None)
        if refusal is not None:
            self.refuse_connection(refusal)

    def handlers(self) -> list[evt.EventHandlerType]:
        """List what is bound to the events of the library."""
        return [
            (evt.EVT_C_ECHO, self.echo),
            (evt.EVT_C_STORE, self.store),
            (evt.EVT_PDU_RECV, watch_messages),
            (evt.EVT_REQUESTED, self.limit_associations),
            (evt.EVT_ACCEPTED, self.note_association("accepted")),
            (evt.EVT_REJECTED, self.note_association("rejected")),
            (evt.EVT_CONN_CLOSE, self.note_close),
        ]

    def _refused(self, status: StoreStatus, comment: str) -> Dataset:
        """Answer with a failure."""
        self._count("instances_refused", f"{status:04X}")
        log("object refused", status=f"{status:04X}", comment=comment)
        return _answer(status, comment)

    def _count(self, name: str, label: str) -> None:
        """Count; where the disk is full, the peer still gets its answer."""
        try:
            self.queue.count(name, label)
        except Exception as error:  # noqa: BLE001 (a counter must not keep a peer from its status)
            log_failure("nothing could be counted", error)


def listen(
    settings: ListenSettings,
    examine: Examine,
    destination: Destination | None,
    is_stopped: threading.Event,
    ready: Callable[[int], None],
) -> None:
    """Listen until told to stop.

    Args:
        settings: How.
        examine: Examines the images in a folder into another; it can be pickled.
        destination: Where results go; it can be pickled. None: they stay in the spool.
        is_stopped: Ends it.
        ready: Told the port once the node listens.

    Raises:
        OutputError: The spool, the register or a port cannot be used, or another node uses the spool.
    """
    spool = Spool(settings.spool)
    with ExitStack() as stack:
        stack.enter_context(only_run(spool.lock, "answers"))
        queue = Queue(spool.database)
        stack.callback(queue.close)
        spool.sweep(0.0)
        if settings.record is not None:
            stack.enter_context(_recording(settings.record.recorder(queue, spool)))
        stack.enter_context(_writing_to(spool.incoming))
        server = stack.enter_context(_serving(settings, Node(Receiver(queue, spool, settings.limits), queue)))
        if settings.metrics is not None:
            collector = QueueCollector(queue, spool, lambda: server.connections)
            stack.callback(serve_metrics(collector, *settings.metrics))
        queue.wait_again()
        plan = WorkPlan(settings.spool, examine, destination, settings.rhythm, settings.asked)
        workers = WorkerProcesses(plan, queue, count=settings.workers, limit_seconds=settings.study_seconds)
        stack.callback(workers.stop)
        log("listening", port=server.server_address[1])
        ready(int(server.server_address[1]))
        while not is_stopped.wait(CHECK_SECONDS):
            workers.check()
        log("stopping")


@contextmanager
def _recording(recorder: Recorder) -> Iterator[None]:
    """Put on record what happens in the block, and what was not yet when the node was stopped.

    A thread of its own does it: a register that is slow to answer holds up no study.
    """
    ended = threading.Event()

    def keep_on() -> None:
        """Look for what happened until the block ends, and once more then."""
        while not ended.wait(CHECK_SECONDS):
            recorder.try_to_catch_up()
        recorder.try_to_catch_up()

    thread = threading.Thread(target=keep_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_JOIN_SECONDS)


@contextmanager
def _writing_to(folder: Path) -> Iterator[None]:
    """Have the library write what it receives into temporary files of a folder: none of it stays in memory.

    On the disk of the spool they are moved, not copied. Both settings hold for the whole process.
    """
    before = (tempfile.tempdir, _config.STORE_RECV_CHUNKED_DATASET, _config.LOG_HANDLER_LEVEL)
    tempfile.tempdir, _config.STORE_RECV_CHUNKED_DATASET, _config.LOG_HANDLER_LEVEL = str(folder), True, "none"
    try:
        yield
    finally:
        tempfile.tempdir, _config.STORE_RECV_CHUNKED_DATASET, _config.LOG_HANDLER_LEVEL = before


@contextmanager
def _serving(settings: ListenSettings, node: Node) -> Iterator[GuardedServer]:
    """Serve in a thread while the block lasts."""
    server = _make_server(settings, node)
    thread = threading.Thread(target=server.serve_forever, name="kneeage-server", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


def _make_server(settings: ListenSettings, node: Node) -> GuardedServer:
    """Make the server.

    Raises:
        OutputError: The port cannot be had.
    """
    entity = AE(settings.ae_title)
    entity.supported_contexts = received_contexts()
    entity.require_called_aet = True
    entity.require_calling_aet = list(settings.allowed_ae_titles)
    entity.maximum_associations = settings.limits.connections
    entity.maximum_pdu_size = MAX_DATA_PDU_BYTES
    entity.network_timeout = settings.limits.idle_seconds
    entity.acse_timeout = entity.dimse_timeout = settings.limits.handshake_seconds
    try:
        server = entity.make_server(
            (settings.host, settings.port),
            ssl_context=settings.tls,
            evt_handlers=node.handlers(),
            server_class=GuardedServer,
            limits=settings.limits,
            refused=node.refuse_connection,
        )
    except OSError as error:
        raise OutputError(
            f"cannot listen on {settings.host} port {settings.port} ({error.strerror}); choose another"
        ) from error
    assert isinstance(server, GuardedServer)  # noqa: S101 (the library's signature says less than it does)
    return server


def _answer(status: StoreStatus, comment: str = "") -> Dataset:
    """Make the answer to a C-STORE."""
    answer = Dataset()
    answer.Status = int(status)
    if comment:
        answer.ErrorComment = comment
    return answer
