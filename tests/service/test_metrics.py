"""What Prometheus is told."""

from __future__ import annotations

from kneeage.service.metrics import QueueCollector
from kneeage.service.queue import Queue
from kneeage.service.spool import Spool
from kneeage.service.worker import Worker
from tests.pacs.fakes import MODALITIES


def test_metrics_name_every_state_and_counter(worker: Worker, queue: Queue, spool: Spool) -> None:
    worker.work_once()
    families = {one.name: one for one in QueueCollector(queue, spool, lambda: 2).collect()}
    studies = {one.labels["state"]: one.value for one in families["kneeage_studies"].samples}
    assert studies == {"received": 0, "stable": 0, "running": 0, "done": 1, "parked": 0, "removed": 0}
    assert families["kneeage_connections"].samples[0].value == 2
    assert families["kneeage_objects_sent"].samples[0].value == len(MODALITIES)
    assert families["kneeage_workers_died"].samples[0].value == 0
    assert families["kneeage_instances_received"].samples[0].labels == {"arrival": "new"}
