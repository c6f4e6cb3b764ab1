"""What the node examined, opened in the workstation: looked at, asked again, corrected, downloaded, purged."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'web'")

from pydicom import dcmread

from kneeage.core.anatomy import Sex
from kneeage.decide.question import Question
from kneeage.io.write import DicomHeader, write_dicom_series
from kneeage.pacs.examine import StudyExaminer
from kneeage.service.queue import Queue
from kneeage.service.recorder import Recorder, RecordPlace
from kneeage.service.spool import Spool
from kneeage.service.studies import study_key
from kneeage.service.worker import Worker
from tests.infer.knees import as_image, block_knee
from tests.pacs.fakes import FakeExaminer
from tests.service.support import RHYTHM
from tests.web.support import Door, make_bundle, settings_of


@pytest.fixture
def door(tmp_path: Path) -> Door:
    (tmp_path / "data").mkdir()
    return Door(settings_of(tmp_path / "data", make_bundle(tmp_path / "bundle")))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def queue(spool: Spool) -> Queue:
    return Queue(spool.database)


@pytest.fixture
def recorder(door: Door, queue: Queue, spool: Spool) -> Recorder:
    return RecordPlace(door.settings.data, door.settings.url).recorder(queue, spool)


def receive(queue: Queue, spool: Spool, folder: Path) -> str:
    """Have the node receive a knee of blocks; give the key of the study."""
    for path in write_dicom_series(folder, as_image(block_knee()), header=DicomHeader(uid_seed="node")):
        header = dcmread(path, stop_before_pixels=True)
        uid = str(header.StudyInstanceUID)
        sha256, kept = spool.keep(path, study_key(uid))
        queue.add(uid, str(header.SOPInstanceUID), sha256=sha256, file=kept)
    return study_key(uid)


def examine(door: Door, queue: Queue, spool: Spool, folder: Path) -> None:
    """Have the node examine it."""
    receive(queue, spool, folder)
    examiner = StudyExaminer(door.settings.bundles[0], Question(sex=Sex.MALE), threads=1, with_image=True)
    assert Worker("w", queue, spool, examiner, None, RHYTHM, examiner.asked()).work_once()


def listed(door: Door) -> str:
    """The only examination of the list."""
    (found,) = door.client.get("/api/examinations").json()["items"]
    assert found["created_by"] == "pacs"
    return str(found["id"])


def test_it_is_looked_at_asked_again_and_corrected(
    door: Door, queue: Queue, spool: Spool, recorder: Recorder, tmp_path: Path
) -> None:
    examine(door, queue, spool, tmp_path / "images")
    recorder.catch_up()
    key = listed(door)
    shown = door.show(key)
    assert (shown["state"], shown["latest"]["outcome"]) == ("done", "estimated")
    assert {"image.nii.gz", "labels.nii.gz", "report.html", "report.pdf", "measurements.dcm"} <= set(
        shown["latest"]["files"]
    )
    labels = door.client.get(f"/api/examinations/{key}/runs/1/files/labels.nii.gz").content
    packed = door.client.get(f"/api/examinations/{key}/runs/1/files/all.zip").content
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert {"result.json", "dicom/measurements.dcm"} <= set(archive.namelist())
    assert door.ask(key, lang="zh").status_code == 202
    door.work()
    assert door.client.post(f"/api/examinations/{key}/corrections?base=1", content=labels).status_code == 202
    door.work()
    runs = door.show(key)["runs"]
    assert [(run["kind"], run["state"]) for run in runs] == [("estimate", "done")] * 2 + [("correction", "done")]
    assert len({run["estimated_age_years"] for run in runs}) == 1
    assert door.client.get("/api/audit/verify").json()["whole"]


def test_it_is_purged_while_the_node_keeps_its_own(
    door: Door, queue: Queue, spool: Spool, recorder: Recorder, tmp_path: Path
) -> None:
    examine(door, queue, spool, tmp_path / "images")
    recorder.catch_up()
    key = listed(door)
    assert door.client.post(f"/api/examinations/{key}/purge").status_code == 200
    assert door.client.get(f"/api/examinations/{key}/runs/1/files/result.json").status_code == 410
    assert list(spool.folder.rglob("*.dcm"))


def test_what_the_node_works_on_is_shown_and_not_touched_in_the_workstation(
    door: Door, queue: Queue, spool: Spool, recorder: Recorder, tmp_path: Path
) -> None:
    receive(queue, spool, tmp_path / "images")
    queue.settle(0)
    assert queue.claim("w", 60) is not None
    recorder.catch_up()
    key = listed(door)
    assert door.show(key)["state"] == "running"
    answer = door.client.post(f"/api/examinations/{key}/cancel")
    assert (answer.status_code, "PACS node" in answer.text) == (409, True)
    assert door.client.post(f"/api/examinations/{key}/purge").status_code == 409
    assert door.ask(key).status_code == 409
    assert door.send(key, ("knee.nii.gz", b"knee")).status_code == 409
    door.work()
    assert door.show(key)["state"] == "running"


def test_a_study_that_is_parked_and_removed_is_followed_in_the_workstation(
    door: Door, queue: Queue, spool: Spool, recorder: Recorder, tmp_path: Path
) -> None:
    key = receive(queue, spool, tmp_path / "images")
    assert Worker("w", queue, spool, FakeExaminer(refuses=True), None, RHYTHM).work_once()
    recorder.catch_up()
    shown = door.show(listed(door))
    assert (shown["state"], shown["reference"], shown["reason"]["code"]) == ("refused", key, "input_refused")
    queue.remove(key, spool.remove)
    recorder.catch_up()
    assert (door.show(shown["id"])["state"], door.show(shown["id"])["reference"]) == ("purged", "")
    assert door.ask(shown["id"]).status_code == 409
    found = door.client.get("/api/audit", params={"examination": shown["id"]}).json()["items"]
    assert [(line["who"], line["action"]) for line in found[:3]] == [
        ("operator", "removed"),
        ("pacs", "parked"),
        ("pacs", "estimate refused"),
    ]
    assert {line["facts"]["study"] for line in found} == {key}
    assert door.client.get("/api/audit/verify").json()["whole"]
