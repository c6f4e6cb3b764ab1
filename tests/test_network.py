"""The suite and every program it starts stay on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_socket import SocketConnectBlockedError

# Source: RFC 5737, TEST-NET-1: an address that no machine has.
_BEYOND = ("192.0.2.1", 80)


@pytest.fixture
def door() -> Iterator[socket.socket]:
    """A listening socket on the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_a_test_cannot_connect_beyond_this_machine() -> None:
    with pytest.raises(SocketConnectBlockedError, match=r"192\.0\.2\.1"):
        socket.create_connection(_BEYOND, timeout=1)


def test_a_test_can_connect_to_this_machine(door: socket.socket) -> None:
    with socket.create_connection(door.getsockname(), timeout=5) as connection:
        assert connection.getpeername() == door.getsockname()


def test_a_program_cannot_connect_beyond_this_machine() -> None:
    done = _run(f"import socket; socket.socket().connect({_BEYOND!r})")
    assert done.returncode != 0
    assert "tried to reach '192.0.2.1'" in done.stderr


def test_a_program_cannot_resolve_a_name() -> None:
    done = _run("import socket; socket.getaddrinfo('example.org', 80)")
    assert done.returncode != 0
    assert "tried to reach 'example.org'" in done.stderr


def test_a_program_cannot_send_beyond_this_machine() -> None:
    done = _run(f"import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', {_BEYOND!r})")
    assert done.returncode != 0
    assert "tried to reach '192.0.2.1'" in done.stderr


def test_a_program_can_connect_to_this_machine(door: socket.socket) -> None:
    assert _run(f"import socket; socket.create_connection({door.getsockname()!r})").returncode == 0


def test_the_runtime_is_told_to_send_nothing(tmp_path: Path) -> None:
    """ONNX Runtime would otherwise leave a device identifier in the home folder and send events."""
    code = "import kneeage.infer.engine, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = os.environ | {"HOME": str(tmp_path), "ORT_DISABLE_TELEMETRY": "0"}
    environment.pop("XDG_CACHE_HOME", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    assert not list(tmp_path.iterdir())
