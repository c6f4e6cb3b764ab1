"""Metrics for Prometheus, read from the queue at every scrape: they outlive a restart and name no subject."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from kneeage.core.errors import OutputError
from kneeage.service.queue import Queue
from kneeage.service.spool import Spool

# Name of each counter of the queue, what it counts, and the name of its label (empty: none).
_COUNTERS = {
    "instances_received": ("Images that were received and kept.", "arrival"),
    "instances_refused": ("Images that were refused.", "status"),
    "associations": ("Associations by how they began.", "outcome"),
    "connections_refused": ("Connections that were closed before or against the protocol.", "reason"),
    "studies_ended": ("Studies that were done or parked.", "state"),
    "studies_postponed": ("Times that results could not be sent and will be tried again.", ""),
    "objects_sent": ("Objects that the destination confirmed.", ""),
    "workers_died": ("Workers that died on a study.", ""),
}


class QueueCollector(Collector):
    """Reads a queue and its spool.

    Args:
        queue: The queue.
        spool: Its spool.
        connections: Counts open connections; it is asked at every scrape.
    """

    def __init__(self, queue: Queue, spool: Spool, connections: Callable[[], int]) -> None:
        self._queue = queue
        self._spool = spool
        self._connections = connections

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Give the metrics of this moment."""
        studies = GaugeMetricFamily("kneeage_studies", "Studies by state.", labels=["state"])
        for state, count in self._queue.counts().items():
            studies.add_metric([state.value], count)
        yield studies
        yield GaugeMetricFamily("kneeage_spool_free_bytes", "Room on the spool's disk.", self._spool.free_bytes)
        yield GaugeMetricFamily("kneeage_connections", "Open connections.", self._connections())
        yield from self._counted()

    def _counted(self) -> Iterator[CounterMetricFamily]:
        """Give the counters; one without a value yet is named too."""
        found = self._queue.counters()
        for name, (words, label) in _COUNTERS.items():
            family = CounterMetricFamily(f"kneeage_{name}", words, labels=[label] if label else [])
            values = {key: value for (other, key), value in found.items() if other == name}
            for key, value in (values or ({} if label else {"": 0})).items():
                family.add_metric([key] if label else [], value)
            yield family


def serve_metrics(collector: Collector, host: str, port: int) -> Callable[[], None]:
    """Answer scrapes in a thread of their own.

    Args:
        collector: What is answered.
        host: Address to listen on.
        port: Port to listen on.

    Returns:
        What ends it.

    Raises:
        OutputError: The port cannot be had.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise OutputError(f"metrics cannot be served on port {port} ({error.strerror}); choose another") from error

    def stop() -> None:
        """End it."""
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
