"""Nothing that names a subject leaves by the logs or the metrics, whatever becomes of a study."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from kneeage.service.queue import Queue
from kneeage.service.spool import Spool
from tests.pacs.node import record_place
from tests.pacs.raw import encoded, raw, raw_store
from tests.pacs.support import PATIENCE, association, make_study, running_node, store, wait_for
from tests.ports import HOST, free_port

# Source: DICOM PS3.15 table E.1-1 (attributes that name or describe a subject, or who knows one).
IDENTITY = {
    "PatientName": "Geheim^Gretel",
    "PatientID": "GEHEIM-ID",
    "OtherPatientIDs": "GEHEIM-OTHER",
    "PatientBirthDate": "20090817",
    "PatientAddress": "Geheim Lane 1",
    "PatientComments": "Geheim comment",
    "AccessionNumber": "GEHEIM-ACC",
    "StudyID": "GEHEIM-STUDY",
    "StudyDescription": "Geheim knee",
    "SeriesDescription": "Geheim series",
    "ProtocolName": "Geheim protocol",
    "ReferringPhysicianName": "Geheim^Doctor",
    "OperatorsName": "Geheim^Operator",
    "InstitutionName": "Geheim Hospital",
    "StationName": "GEHEIM-STATION",
}
# Values that the standard forbids: libraries like to quote them in warnings.
FORBIDDEN = {"PatientSex": "GEHEIM-SEX", "StudyTime": "geheim-noon", "PatientAge": "GEHEIM-AGE"}


def told_by(port: int) -> str:
    """What the metrics say."""
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=PATIENCE) as answer:
        return str(answer.read().decode())


def register_of(data: Path, spool: Path) -> str:
    """Everything that the register and its audit log hold, which must be something."""
    recorder = record_place(data).recorder(Queue(spool / "queue.sqlite3"), Spool(spool))
    recorder.catch_up()
    assert recorder.journal.verify().number >= 3
    recorder.journal.engine.dispose()
    return b"".join(path.read_bytes() for path in sorted(data.glob("register.sqlite3*"))).decode("latin-1")


def send_bad_ones(port: int, image: Dataset) -> None:
    """Send objects that are refused."""
    data = encoded(image)
    assert raw_store(port, raw(image, data[:-40])) == 0xC000
    assert raw_store(port, raw(image, data[:200] + bytes(range(256)))) in (0xA900, 0xC000)
    del image.PixelData
    with association(port) as link:
        assert store(link, image).Status == 0xA900


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("options", "end"),
    [
        ((), "study done"),
        (("--fails",), "study parked"),
        (("--real",), "study done"),
        (("--send-to", "dicom://AWAY@127.0.0.1:1"), "study put off"),
    ],
)
def test_logs_and_metrics_name_nobody(tmp_path: Path, options: tuple[str, ...], end: str) -> None:
    paths = make_study(tmp_path / "images", f"identity {end}", **IDENTITY, **FORBIDDEN)
    log, metrics = tmp_path / "spool.log", free_port()
    data = tmp_path / "data"
    with running_node(tmp_path / "spool", "--metrics", str(metrics), "--data", str(data), *options) as node:
        with association(node.port) as link:
            assert [store(link, dcmread(path)).Status for path in paths] == [0] * len(paths)
        send_bad_ones(node.port, dcmread(paths[0]))
        wait_for(lambda: end in log.read_text())
        said = [log.read_text(), told_by(metrics), register_of(data, node.spool)]
    assert {"event", "level", "time"} <= set.intersection(*(set(json.loads(line)) for line in said[0].splitlines()))
    image = dcmread(paths[0])
    uids = [str(image.StudyInstanceUID), str(image.SeriesInstanceUID), str(image.SOPInstanceUID)]
    for text in said:
        assert "geheim" not in text.lower()
        assert not [secret for secret in (*IDENTITY.values(), *uids) if secret in text]
