"""A PostgreSQL server of Debian's package, in a folder of its own, on a Unix socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path


def _programs() -> Path | None:
    """Folder of the newest server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


def _as_owner(*command: str) -> None:
    """Run a program as a user that the server accepts; it refuses root."""
    runuser = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*runuser, *command], check=True, capture_output=True, timeout=300, cwd="/")


@contextmanager
def running_server() -> Iterator[str | None]:
    """Give the URL of a new server's database; None where no server is installed."""
    programs = _programs()
    if programs is None or find_spec("psycopg") is None:
        yield None
        return
    # A socket's path must be short, and the folder must belong to the server's user.
    folder = Path(tempfile.mkdtemp(prefix="kneeage-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    data = str(folder / "data")
    try:
        _as_owner(str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "kneeage", "--no-sync", "-E", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        log = str(folder / "log")
        _as_owner(str(programs / "pg_ctl"), "-D", data, "-l", log, "-w", "-o", options, "start")
        try:
            yield f"postgresql://kneeage@/postgres?host={folder}"
        finally:
            _as_owner(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
