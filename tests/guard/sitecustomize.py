"""Keep the Python programs that tests start on this machine; Python loads this file at start-up from PYTHONPATH."""

from __future__ import annotations

import sys
from typing import Any

_ADDRESSED = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_NAMED = {"socket.getaddrinfo", "socket.gethostbyname"}
_LOOPBACK = {None, "", "::1", "localhost"}


def _guard(event: str, args: tuple[Any, ...]) -> None:
    """Refuse an address or a name beyond the loopback; Unix sockets have a path, not a tuple."""
    if event in _ADDRESSED and isinstance(args[1], tuple):
        _refuse_beyond_loopback(args[1][0])
    elif event in _NAMED:
        _refuse_beyond_loopback(args[0])


def _refuse_beyond_loopback(host: object) -> None:
    """Raise unless the host is this machine."""
    name = host.decode() if isinstance(host, bytes) else host
    if name not in _LOOPBACK and not str(name).startswith("127."):
        raise RuntimeError(f"a test tried to reach {name!r}, which is beyond this machine")


sys.addaudithook(_guard)
