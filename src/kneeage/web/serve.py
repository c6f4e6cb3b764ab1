"""A server with its workers: started together, ended together."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import uvicorn

from kneeage.core.errors import OutputError, UsageError
from kneeage.io.lock import only_run
from kneeage.service.cases import SYSTEM, StateError
from kneeage.service.desk import DeskPlan
from kneeage.service.logs import log, log_failure
from kneeage.service.processes import WorkerProcesses
from kneeage.service.run_queue import RunQueue
from kneeage.service.tables import writing
from kneeage.web.app import make_app
from kneeage.web.office import Office
from kneeage.web.settings import WebSettings

_DAY_SECONDS = 86400.0
_PURGE_EVERY_SECONDS = 600.0
_CHECK_SECONDS = 0.5
# Pages that listen to events never go by themselves.
_SHUTDOWN_SECONDS = 2


def serve(settings: WebSettings, stopped: threading.Event, tell: Callable[[str], None]) -> None:
    """Serve until told to stop.

    Args:
        settings: What the server is told.
        stopped: Set when it is to end.
        tell: Told where the server is found.

    Raises:
        UsageError: Logins are needed, and there is no user.
        OutputError: The address, the folder or the register cannot be had, or another server works there.
    """
    app = make_app(settings)
    office: Office = app.state.office
    if settings.needs_login and office.accounts.count() == 0:
        raise UsageError("users must log in, and there is none; add one with 'kneeage user add NAME --data DIR'")
    with only_run(office.files.lock, "examinations"), _socket(settings) as listener:
        # A PACS node may be putting files in their place; it does so where it is the one writer.
        with writing(office.register.journal.engine):
            office.files.sweep(office.register.known_files(), office.register.corrections())
        RunQueue(office.register.journal).recover()
        with _workers(settings, office) as workers, _server(app, settings, listener):
            tell(_address(settings, listener.getsockname()[1]))
            _keep(office, workers, stopped)


@contextlib.contextmanager
def _workers(settings: WebSettings, office: Office) -> Iterator[WorkerProcesses]:
    """Keep workers running for the block."""
    plan = DeskPlan(settings.data, settings.url, settings.bundles)
    queue = RunQueue(office.register.journal)
    workers = WorkerProcesses(plan, queue, count=settings.workers, limit_seconds=settings.run_seconds)
    try:
        yield workers
    finally:
        workers.stop()


@contextlib.contextmanager
def _server(app: object, settings: WebSettings, listener: socket.socket) -> Iterator[None]:
    """Answer requests in a thread for the block."""
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=settings.proxy is not None,
        ssl_certfile=None if settings.certificate is None else str(settings.certificate),
        ssl_keyfile=None if settings.key is None else str(settings.key),
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        h11_max_incomplete_event_size=65536,
        limit_concurrency=1000,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        if not server.started:
            raise OutputError("the server cannot start; check the certificate and its key")
        yield
    finally:
        server.should_exit = True
        thread.join()


def _keep(office: Office, workers: WorkerProcesses, stopped: threading.Event) -> None:
    """Replace workers that die, and remove what need not be kept, until told to stop."""
    purged_at = 0.0
    while not stopped.wait(_CHECK_SECONDS):
        try:
            workers.check()
            if time.monotonic() - purged_at > _PURGE_EVERY_SECONDS:
                purge_old(office)
                purged_at = time.monotonic()
        except Exception as error:  # noqa: BLE001 (the database may be away for a while; the server answers on)
            log_failure("upkeep failed", error)


def purge_old(office: Office) -> None:
    """Remove images and documents of examinations that nothing happened to for as long as they are kept."""
    days = office.settings.keep_days
    if days is None:
        return
    for key in office.register.older_than(time.time() - days * _DAY_SECONDS):
        with contextlib.suppress(StateError):
            office.register.purge(key, SYSTEM, lambda key=key: office.files.remove(key))  # type: ignore[misc]
            log("purged", examination=key)


def _socket(settings: WebSettings) -> socket.socket:
    """Take the address.

    Raises:
        OutputError: It cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise OutputError(
            f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}); choose another --port"
        ) from error
    listener.listen(128)
    return listener


def _address(settings: WebSettings, port: int) -> str:
    """Say where the server is found."""
    if settings.proxy is not None:
        return settings.proxy
    scheme = "http" if settings.certificate is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{port}"
