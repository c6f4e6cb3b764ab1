"""The same work on many items at once: on the cores of this machine, or on a dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar

from kneeage.core.errors import UsageError, WorkerError
from kneeage.core.machine import possible_processes

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
# What keeps numpy's linear algebra to one thread, so that the cores are shared out once and not twice.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_CONNECT_SECONDS = 10


class Runner(Protocol):
    """Does work on many items, in any order."""

    def __call__(self, work: Callable[[Item], None], items: Sequence[Item], /) -> Iterator[None]:
        """Do the work on each item, and yield after each that is finished."""
        ...


def in_turn(work: Callable[[Item], None], items: Sequence[Item]) -> Iterator[None]:
    """Do the work on one item after the other, in this process; a `Runner`."""
    for item in items:
        work(item)
        yield


def on_cores(work: Callable[[Item], None], items: Sequence[Item], workers: int) -> Iterator[None]:
    """Do the work in processes of its own; each is started anew, so that all give the same numbers.

    Args:
        work: What is done with each item; a function of a module.
        items: The items.
        workers: Number of processes wanted; Windows takes 61.

    Yields:
        None after each finished item.

    Raises:
        WorkerError: A process died.
    """
    workers = possible_processes(workers)
    context = multiprocessing.get_context("spawn")
    with _one_thread(), ProcessPoolExecutor(workers, context, _follow_parent) as executor:
        try:
            for future in _as_done(executor, work, items, workers):
                yield future.result()
        except BrokenProcessPool:
            raise WorkerError(
                "a worker process died, perhaps for want of memory; run again to go on, with fewer workers"
            ) from None


def on_cluster(work: Callable[[Item], None], items: Sequence[Item], scheduler: str) -> Iterator[None]:
    """Do the work on a dask cluster whose workers have this package and see the same folders.

    Args:
        work: What is done with each item; a function of a module.
        items: The items.
        scheduler: Address of the scheduler, such as ``tcp://host:8786``.

    Yields:
        None after each finished item.

    Raises:
        UsageError: The extra is not installed, or no scheduler answers.
        WorkerError: The cluster gave an item up.
    """
    with _client(scheduler) as client:
        from distributed import KilledWorker
        from distributed import as_completed as completed

        futures = client.map(work, items, pure=False)
        try:
            for future in completed(futures):
                yield future.result()
        except KilledWorker:
            raise WorkerError("workers of the cluster died again and again; see their logs, then run again") from None
        finally:
            client.cancel(futures)


def _as_done(
    executor: ProcessPoolExecutor, work: Callable[[Item], None], items: Sequence[Item], workers: int
) -> Iterator[Future[None]]:
    """Give futures as they are done; no process has more than one item, so that an interrupted run ends soon."""
    waiting = iter(items)
    running = {executor.submit(work, item) for item in islice(waiting, workers)}
    while running:
        done, running = wait(running, return_when=FIRST_COMPLETED)
        running |= {executor.submit(work, item) for item in islice(waiting, len(done))}
        yield from done


def _client(scheduler: str) -> Client:
    """Connect to a scheduler."""
    try:
        from distributed import Client
        from distributed.comm import get_address_host_port
    except ModuleNotFoundError as error:
        raise UsageError(f"a cluster needs {error.name}; install it with: pip install 'kneeage[cluster]'") from None
    try:
        # A client that finds nobody stays half open and can hang the program later, so the door is tried first.
        socket.create_connection(get_address_host_port(scheduler), _CONNECT_SECONDS).close()
        return Client(scheduler, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise UsageError(f"no dask scheduler answers at {scheduler!r}; give its address, tcp://host:port") from error


@contextmanager
def _one_thread() -> Iterator[None]:
    """Set what new processes inherit."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it ends, also when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the end of the parent process; what is half written stays under its temporary name."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
