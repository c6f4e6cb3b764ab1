"""A real server in a process of its own, with its workers, and clients that speak to it over the loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

COMMAND = "from kneeage.cli import main; main()"
# Only what never comes is waited for so long.
PATIENCE_SECONDS = 400.0


@dataclass
class Server:
    """A running server.

    Args:
        process: Its process, which leads a group of its own.
        address: Where it answers.
    """

    process: subprocess.Popen[str]
    address: str

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """A client with a session; every change carries its token."""
        with httpx.Client(base_url=self.address, timeout=PATIENCE_SECONDS) as client:
            client.headers["X-CSRF-Token"] = client.get("/api/session").json()["csrf_token"]
            yield client

    def kill(self) -> None:
        """Kill server and workers at once, as a power cut does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(data: Path, *options: str, said: str = r"https?://127\.0\.0\.1:\d+") -> Iterator[Server]:
    """Start a server, and end it with the block."""
    command = [sys.executable, "-c", COMMAND, "serve", "--data", str(data), "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        found = next((match for line in process.stderr if (match := re.search(said, line))), None)
        assert found is not None, "the server did not start"
        try:
            yield Server(process, found.group())
        finally:
            process.terminate()
            process.stderr.close()


def open_with(client: httpx.Client, name: str, content: bytes) -> str:
    """Open an examination, send its one file and ask; give its identifier."""
    key = str(client.post("/api/examinations", json={"reference": name}).raise_for_status().json()["id"])
    client.post(f"/api/examinations/{key}/files", files=[("files", (name, content))]).raise_for_status()
    client.post(f"/api/examinations/{key}/runs", json={"sex": "male", "explain": False}).raise_for_status()
    return key


def wait_until(client: httpx.Client, keys: list[str], *, documents: bool) -> list[dict[str, Any]]:
    """Wait until all examinations are answered, and their documents made."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        found = [client.get(f"/api/examinations/{key}").raise_for_status().json() for key in keys]
        if all(_is_over(one, documents=documents) for one in found):
            return found
        time.sleep(0.1)
    raise AssertionError([(one["state"], one["latest"]) for one in found])


def _is_over(case: dict[str, Any], *, documents: bool) -> bool:
    """Say whether nothing is at work on an examination."""
    if case["state"] in ("inspecting", "queued", "running"):
        return False
    made = (case["latest"] or {}).get("documents")
    return not documents or made is None or made["state"] not in ("queued", "running")
