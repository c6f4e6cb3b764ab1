"""Ports for servers that tests start."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"
# Below those that systems give to outgoing connections (Linux: from 32768 on), so that none is taken before its server
# starts.
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Find a port on the loopback that nobody listens on; two processes at once hardly find the same."""
    for port in random.SystemRandom().sample(_PORTS, 100):
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind((HOST, port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
