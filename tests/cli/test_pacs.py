"""``kneeage pacs``: what the commands ask of the node and the queue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kneeage.core.anatomy import Sex
from kneeage.decide.question import Question
from kneeage.pacs import examine, fetch, listen
from kneeage.pacs.peers import DicomPeer
from kneeage.service.queue import Queue
from kneeage.service.spool import Spool
from kneeage.service.studies import study_key
from kneeage.service.troubles import Trouble
from tests.cli.conftest import Run, answer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the node was started with."""
    found: dict[str, Any] = {}

    def start(settings: object, examiner: object, destination: object, *_: object) -> None:
        found.update(settings=settings, examiner=examiner, destination=destination)

    monkeypatch.setattr(listen, "listen", start)
    monkeypatch.setattr(examine.StudyExaminer, "check", lambda _: None)
    monkeypatch.setattr("kneeage.cli.pacs.signal.signal", lambda *_: None)
    monkeypatch.setattr("kneeage.service.logs.write_logs", lambda: None)
    return found


def test_the_node_is_closed_unless_told_otherwise(run: Run, asked: dict[str, Any], tmp_path: Path) -> None:
    done = run("pacs", "listen", "--spool", tmp_path)
    assert done.exit_code == 0, done.output
    assert (asked["settings"].host, asked["destination"], asked["examiner"].question.sex) == ("127.0.0.1", None, None)
    assert (asked["examiner"].sex_from_header, asked["examiner"].explain) == (False, True)


def test_everything_can_be_set(run: Run, asked: dict[str, Any], tmp_path: Path) -> None:
    options = "--host 0.0.0.0 --allow A --allow B --allow-address 10.0.0.0/8 --send-to dicom://X@h:104 --sex female"
    sizes = "--stable-seconds 7 --max-object-mib 3 --keep-hours 2 --metrics 127.0.0.1:9 --workers 2 --ae-title ME"
    done = run(
        "pacs", "listen", "--spool", tmp_path, *options.split(), *sizes.split(), "--no-explain", "--associations=60"
    )
    assert done.exit_code == 0, done.output
    settings = asked["settings"]
    assert settings.allowed_ae_titles == ("A", "B")
    assert str(settings.limits.networks[0]) == "10.0.0.0/8"
    assert (settings.rhythm.quiet, settings.rhythm.keep, settings.limits.instance_bytes) == (7, 7200, 3 * 2**20)
    assert (settings.limits.associations, settings.limits.connections > 60) == (60, True)
    assert (settings.metrics, settings.workers, settings.ae_title) == (("127.0.0.1", 9), 2, "ME")
    assert asked["destination"].peer == DicomPeer("X", "h", 104)
    assert (asked["examiner"].question.sex, asked["examiner"].explain) == (Sex.FEMALE, False)


def test_what_is_done_is_on_record_where_it_is_said(run: Run, asked: dict[str, Any], tmp_path: Path) -> None:
    assert run("pacs", "listen", "--spool", tmp_path).exit_code == 0
    assert (asked["settings"].record, asked["examiner"].with_image) == (None, False)
    assert run("pacs", "listen", "--spool", tmp_path, "--data", tmp_path / "data").exit_code == 0
    assert asked["settings"].record.folder == tmp_path / "data"
    assert asked["settings"].record.url == f"sqlite:///{tmp_path / 'data' / 'register.sqlite3'}"
    assert asked["settings"].asked["bundle"]["name"] == "virtual-knee"
    assert asked["examiner"].with_image


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--register postgresql://h/r", "give --data DIR too"),
        ("--host 0.0.0.0", "name who may call with --allow"),
        ("--allow-address here", "takes an address or network"),
        ("--send-to archive", "is no address of an archive"),
        ("--sex male --sex-from-header", "not both"),
        ("--metrics 9", "give HOST:PORT"),
        ("--ae-title SEVENTEENLETTERSX", "an AE title has"),
    ],
)
def test_wrong_usage_is_said_before_the_door_opens(
    run: Run, asked: dict[str, Any], tmp_path: Path, options: str, words: str
) -> None:
    done = run("pacs", "listen", "--spool", tmp_path, *options.split())
    assert done.exit_code == 2
    assert words in done.stderr
    assert not asked


def test_everyone_may_call_when_it_is_said(run: Run, asked: dict[str, Any], tmp_path: Path) -> None:
    assert run("pacs", "listen", "--spool", tmp_path, "--host", "0.0.0.0", "--allow", "any").exit_code == 0
    assert asked["settings"].allowed_ae_titles == ()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A spool with a parked study and one that comes in."""
    spool = Spool(tmp_path / "spool")
    queue = Queue(spool.database)
    (tmp_path / "image").write_bytes(b"image")
    for study in ("1.1", "1.2"):
        queue.add(study, "1", sha256="a", file=tmp_path / "image")
        queue.settle(0 if study == "1.1" else 1000)
    job = queue.claim("w", 60)
    assert job is not None
    queue.park(job, Trouble("input_refused", "no knee"))
    queue.close()
    return spool.folder


def test_studies_are_listed(run: Run, spool: Path) -> None:
    done = run("pacs", "list", "--spool", spool, "--json")
    found = {one["study_uid"]: one for one in json.loads(done.stdout)}
    assert {uid: one["state"] for uid, one in found.items()} == {"1.1": "parked", "1.2": "received"}
    assert found["1.1"]["reason"] == "no knee"
    assert study_key("1.1") in run("pacs", "list", "--spool", spool, "--state", "parked").stdout


def test_parked_studies_are_retried(run: Run, spool: Path) -> None:
    assert "1 study is in the line again" in run("pacs", "retry", "--spool", spool).stderr
    assert json.loads(run("pacs", "list", "--spool", spool, "--state", "parked", "--json").stdout) == []


def test_a_parked_study_is_removed(run: Run, spool: Path) -> None:
    done = run("pacs", "remove", "--spool", spool, study_key("1.1"))
    assert (done.exit_code, "1 study was removed" in done.stderr) == (0, True)
    assert "where it listens with --data" in done.stderr
    found = json.loads(run("pacs", "list", "--spool", spool, "--state", "removed", "--json").stdout)
    assert [(one["study_uid"], one["instances"]) for one in found] == [("1.1", 0)]


def test_a_removal_is_on_record(run: Run, spool: Path, tmp_path: Path) -> None:
    done = run("pacs", "remove", "--spool", spool, "--parked", "--data", tmp_path / "data")
    assert (done.exit_code, done.stderr.strip()) == (0, "1 study was removed.")
    verified = run("audit", "verify", "--data", tmp_path / "data")
    assert (verified.exit_code, verified.stdout.partition(":")[0]) == (0, "6")


@pytest.mark.parametrize(
    ("options", "exit_code", "words"),
    [
        ("1.2", 1, "is received: a study is removed when it is parked or done"),
        ("9.9", 2, "no study has that name"),
        ("", 2, "name one study"),
        ("1.1 --parked", 2, "name one study"),
        ("1.1 --register postgresql://h/r", 2, "give --data DIR too"),
    ],
)
def test_what_cannot_be_removed_is_said(run: Run, spool: Path, options: str, exit_code: int, words: str) -> None:
    done = run("pacs", "remove", "--spool", spool, *options.split())
    assert (done.exit_code, words in done.stderr) == (exit_code, True), done.stderr
    assert json.loads(run("pacs", "list", "--spool", spool, "--state", "removed", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list", "--spool", "nowhere"), "holds no queue"),
        (("list", "--spool", "SPOOL", "--state", "lost"), "--state takes received"),
        (("retry", "--spool", "SPOOL", "9.9"), "no parked study has that name"),
    ],
)
def test_what_is_not_there_is_said(run: Run, spool: Path, arguments: tuple[str, ...], words: str) -> None:
    done = run("pacs", *(str(spool) if one == "SPOOL" else one for one in arguments))
    assert done.exit_code == 2
    assert words in done.stderr


def test_a_study_is_fetched_examined_and_reported(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def fetch_study(peer: object, search: object, folder: Path, **options: object) -> None:
        asked.update(peer=peer, search=search, images=folder, **options)

    def look(_self: object, images: Path, documents: Path) -> None:
        assert images == asked["images"]
        (documents / "result.json").write_text(answer().model_dump_json())

    monkeypatch.setattr(fetch, "fetch", fetch_study)
    monkeypatch.setattr(examine.StudyExaminer, "__call__", look)
    monkeypatch.setattr(examine.StudyExaminer, "check", lambda _: None)
    out = tmp_path / "out"
    done = run("pacs", "fetch", "dicom://X@h", "--study", "1.2", "--by", "move", "-o", out, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["outcome"] == "estimated"
    assert (asked["search"].study_uid, asked["retrieval"]) == ("1.2", fetch.Retrieval.MOVE)
    assert not asked["images"].exists()
    assert (out / "result.json").is_file()


def test_what_an_examiner_says_reaches_the_question(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[examine.StudyExaminer] = []

    def look(examiner: examine.StudyExaminer, _images: Path, documents: Path) -> None:
        asked.append(examiner)
        (documents / "result.json").write_text(answer().model_dump_json())

    monkeypatch.setattr(fetch, "fetch", lambda *_, **__: None)
    monkeypatch.setattr(examine.StudyExaminer, "__call__", look)
    monkeypatch.setattr(examine.StudyExaminer, "check", lambda _: None)
    said = {
        "question": "Q?",
        "legal-basis": "§",
        "consent": "the guardian",
        "claimed-age": "15",
        "examiner": "E",
        "height-cm": "170.5",
        "weight-kg": "60",
        "thresholds": "14,18",
        "ratio-ages": "14-18:18-22",
        "prior": "uniform:10-20",
        "sex": "male",
    }
    options = [word for name, text in said.items() for word in (f"--{name}", text)]
    done = run("pacs", "fetch", "dicom://X@h", "--study", "1.2", "-o", tmp_path / "out", "--no-explain", *options)
    assert done.exit_code == 0, done.output
    assert asked[0].question == Question(
        sex=Sex.MALE,
        height_cm=170.5,
        weight_kg=60.0,
        thresholds=(14.0, 18.0),
        ratio_ages="14-18:18-22",
        prior="uniform:10-20",
        question="Q?",
        legal_basis="§",
        consent="the guardian",
        claimed_age_years=15.0,
        examiner="E",
    )
    assert not asked[0].explain


@pytest.mark.parametrize(
    ("options", "words"), [("", "say which study"), ("--study 1 --by mail", "--by takes get, move")]
)
def test_fetch_says_what_is_wrong(run: Run, tmp_path: Path, options: str, words: str) -> None:
    done = run("pacs", "fetch", "dicom://X@h", "-o", tmp_path / "out", *options.split())
    assert done.exit_code == 2
    assert words in done.stderr
