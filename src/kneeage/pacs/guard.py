"""A DICOM server that does not trust its peers: limits of address, number, size and time below the protocol's library.

The library reads a whole protocol data unit (PDU) of whatever length it claims into memory, waits without end for one
that was begun, and does the TLS handshake where it accepts connections. Here a connection that claims, dawdles or
stays silent too long is closed, and costs nobody else anything.
"""

from __future__ import annotations

import socket
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from socketserver import BaseServer
from typing import Any, cast
from weakref import WeakSet

from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from kneeage.service.logs import log_failure

Network = IPv4Network | IPv6Network

# Source: DICOM PS3.8 section 9.3.1: type (1 byte), reserved (1 byte), length (4 bytes, big endian).
_PDU_HEADER_BYTES = 6
# Longest PDU: data come in PDUs of at most MAX_DATA_PDU_BYTES, which is what we ask for; the request of an association
# with all 128 presentation contexts has some 100 kB. Our own choice.
MAX_PDU_BYTES = 2**20
MAX_DATA_PDU_BYTES = 2**17
# Command sets have a few hundred bytes, and queries a few kB. Our own choice.
MAX_COMMAND_BYTES = 2**20
# Requests that a peer may send before it has the answer to the first. Source: DICOM PS3.7 section D.3.3.3: one, where
# nothing else was agreed; some room is left for C-CANCEL.
MAX_WAITING_MESSAGES = 8

_COMMAND_BIT, _LAST_BIT = 1, 2


@dataclass(frozen=True)
class Limits:
    """What a peer may do.

    Args:
        networks: Addresses that may connect; empty: all.
        associations: Associations at once.
        silent: Open connections at once beside these, which have not said a word.
        instance_bytes: Size of one object.
        study_bytes: Size of all images of a study.
        study_instances: Images of a study.
        idle_seconds: Silence inside an association.
        handshake_seconds: Time until the association is asked for, and for a TLS handshake.
        pdu_seconds: Time for one PDU.
        free_bytes: Room that is left on the spool's disk; below it nothing is taken.
    """

    networks: tuple[Network, ...] = ()
    associations: int = 10
    silent: int = 30
    instance_bytes: int = 512 * 2**20
    study_bytes: int = 4 * 2**30
    study_instances: int = 20_000
    idle_seconds: float = 30.0
    handshake_seconds: float = 10.0
    pdu_seconds: float = 30.0
    free_bytes: int = 2**30

    @property
    def connections(self) -> int:
        """Open connections at once."""
        return self.associations + self.silent


class PduWatch:
    """Follows the bytes of one connection from PDU to PDU, without keeping them.

    Args:
        limits: What the peer may do.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._header = bytearray()
        self._left = 0
        self._begun: float | None = None
        self._sizes = {_COMMAND_BIT: 0, 0: 0}
        self.refusal: str | None = None

    def before(self) -> None:
        """Refuse to read on where the peer broke a limit.

        Raises:
            ConnectionAbortedError: It did, or a PDU takes too long.
        """
        if self._begun is not None and time.monotonic() - self._begun > self._limits.pdu_seconds:
            self.refusal = "slow"
        if self.refusal is not None:
            raise ConnectionAbortedError(self.refusal)

    def after(self, data: bytes) -> None:
        """Count what was read.

        Raises:
            ConnectionAbortedError: A PDU claims to be longer than the limit.
        """
        self._begun = self._begun or time.monotonic()
        while data:
            data = self._skip(data) if self._left else self._take_header(data)
        if not self._left and not self._header:
            self._begun = None

    def fragment(self, control: int, size_bytes: int, *, is_object: bool) -> None:
        """Count a fragment of a message; past a limit, nothing more is read.

        Args:
            control: Message control header. Source: DICOM PS3.8 section E.2.
            size_bytes: Its size.
            is_object: Whether it belongs to an object that is stored, which goes to the disk.
        """
        kind = control & _COMMAND_BIT
        self._sizes[kind] += size_bytes
        if self._sizes[kind] > (self._limits.instance_bytes if is_object else MAX_COMMAND_BYTES):
            self.refusal = "too large"
        if control & _LAST_BIT:
            self._sizes[kind] = 0

    def _skip(self, data: bytes) -> bytes:
        """Leave out what belongs to the PDU that is being read."""
        taken = min(self._left, len(data))
        self._left -= taken
        return data[taken:]

    def _take_header(self, data: bytes) -> bytes:
        """Read on in a header; at its end, judge the length that it claims."""
        missing = _PDU_HEADER_BYTES - len(self._header)
        self._header += data[:missing]
        if len(self._header) == _PDU_HEADER_BYTES:
            self._left = int.from_bytes(self._header[2:], "big")
            self._header.clear()
            if self._left > MAX_PDU_BYTES:
                self.refusal = "too large"
                raise ConnectionAbortedError(self.refusal)
        return data[missing:]


class WatchedSocket(socket.socket):
    """A connection in plain text whose bytes are watched."""

    watch: PduWatch

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Read, within the limits."""
        self.watch.before()
        data = super().recv(bufsize, flags)
        self.watch.after(data)
        return data


class WatchedTlsSocket(ssl.SSLSocket):
    """A TLS connection whose bytes are watched."""

    watch: PduWatch

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Read, within the limits."""
        self.watch.before()
        data = super().recv(buflen, flags)
        self.watch.after(data)
        return data


class GuardedServer(ThreadedAssociationServer):
    """An association server with limits.

    Args:
        *args: As of the library's server.
        limits: What peers may do.
        refused: Told why a connection was closed.
        **kwargs: As of the library's server.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *args: Any, limits: Limits, refused: Callable[[str], None], **kwargs: Any) -> None:
        self._limits = limits
        self._refused = refused
        self._open: WeakSet[socket.socket] = WeakSet()
        super().__init__(*args, **kwargs)
        if self.ssl_context is not None:
            self.ssl_context.sslsocket_class = WatchedTlsSocket

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return sum(one.fileno() >= 0 for one in list(self._open))

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; what takes time is done in its own thread."""
        accepted, address = cast(socket.socket, self.socket).accept()
        client = WatchedSocket(fileno=accepted.detach())
        client.settimeout(self._limits.handshake_seconds)
        client.watch = PduWatch(self._limits)
        return client, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Close connections from other addresses, and those that are too many."""
        reason = self._unwelcome(str(client_address[0]))
        if reason is None:
            self._open.add(request)
            return True
        self._refused(reason)
        return False

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the TLS handshake, then hand over to the library."""
        client = request if self.ssl_context is None else self._secured(request, self.ssl_context)
        client.settimeout(self._limits.pdu_seconds)
        super().finish_request(client, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note why a connection could not be begun."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self._refused("no tls")
        elif error is not None:
            log_failure("connection failed", error)

    def stop(self) -> None:
        """End the server and its associations."""
        for association in self.active_associations:
            association.abort()
        BaseServer.shutdown(self)
        self.server_close()

    def _unwelcome(self, address: str) -> str | None:
        """Say why an address may not connect now."""
        peer = ip_address(address.partition("%")[0])
        mapped = getattr(peer, "ipv4_mapped", None) or peer
        if self._limits.networks and not any(mapped in network for network in self._limits.networks):
            return "address"
        return "too many" if self.connections >= self._limits.connections else None

    def _secured(self, client: WatchedSocket, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Do the TLS handshake within the time for it."""
        secure = context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        secure.watch = client.watch  # type: ignore[attr-defined]
        self._open.add(secure)
        try:
            secure.do_handshake()
        except OSError:
            secure.close()
            raise
        return secure


def watch_messages(event: Event) -> None:
    """Count the fragments of messages as they come; bound to the event of a PDU that was received."""
    channel = event.assoc.dul.socket
    watch = getattr(channel and channel.socket, "watch", None)
    if not isinstance(watch, PduWatch):
        return
    dimse = event.assoc.dimse
    if dimse.msg_queue.qsize() > MAX_WAITING_MESSAGES:
        watch.refusal = "too many requests"
    for item in getattr(event.pdu, "presentation_data_value_items", ()):
        data = item.presentation_data_value
        watch.fragment(data[0], len(data), is_object=isinstance(dimse.message, C_STORE_RQ))
