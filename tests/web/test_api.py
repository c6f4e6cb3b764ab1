"""From an upload to an answer, a correction, a comparison, a download and a purge."""

from __future__ import annotations

import io
import json
import shutil
import threading
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kneeage.core.anatomy import Label, Plane
from kneeage.core.errors import OutputError
from kneeage.io.nifti import read_values, write_labels
from kneeage.service.tables import AUDIT, writing
from tests.web.support import Door, code, files_of, make_bundle, settings_of


def corrected(door: Door, key: str, folder: Path, plates: bool) -> bytes:
    """The labels with the femoral plate rubbed out, whole or as a mask of plates."""
    (folder / "labels.nii.gz").write_bytes(files_of(door, key, 1, "labels.nii.gz"))
    labels = read_values(folder / "labels.nii.gz")
    values = np.asarray(labels.array, np.uint8)
    drawn = np.where(values == Label.DISTAL_FEMUR_PHYSIS, Label.DISTAL_FEMUR_EPIPHYSIS, values)
    if plates:
        drawn = np.where(values == Label.PROXIMAL_TIBIA_PHYSIS, values, 0)
    write_labels(folder / "drawn.nii.gz", labels.with_array(drawn.astype(np.uint8)))
    return (folder / "drawn.nii.gz").read_bytes()


def test_a_study_is_inspected_and_answered(door: Door, knee: bytes) -> None:
    key = door.open("  a reference ")
    assert door.send(key, ("../../knee.nii.gz", knee)).json() == {"files": 1, "bytes": len(knee)}
    assert door.client.post(f"/api/examinations/{key}/inspect").json()["state"] == "inspecting"
    door.work()
    found = door.show(key)
    assert found["state"] == "ready"
    assert [series["chosen"] for series in found["series"]] == [True]
    run = door.ask(key, question="older than 18?").json()
    assert (run["number"], run["state"]) == (1, "queued")
    door.work()
    found = door.show(key)
    assert (found["state"], found["runs"][0]["outcome"]) == ("done", "estimated")
    result = door.client.get(f"/api/examinations/{key}/runs/1/result").json()
    assert result == json.loads(files_of(door, key, 1, "result.json"))
    assert result["subject"]["question"] == "older than 18?"
    assert result["estimated_age_years"] == found["latest"]["estimated_age_years"]


def test_series_are_ranked_for_the_bundle_that_is_chosen(tmp_path: Path, block_bundle: Path, knee: bytes) -> None:
    (tmp_path / "data").mkdir()
    sagittal = make_bundle(tmp_path / "sagittal", plane=Plane.SAGITTAL)
    door = Door(settings_of(tmp_path / "data", block_bundle, bundles=(block_bundle, sagittal)))
    other = next(one["id"] for one in door.client.get("/api/bundles").json()["items"] if one["planes"] == ["sagittal"])
    key = door.open()
    door.send(key, ("knee.nii.gz", knee))
    for bundle, suitable in (("", True), (f"?bundle={other}", False), ("", True)):
        assert door.client.post(f"/api/examinations/{key}/inspect{bundle}").status_code == 202
        door.work()
        assert [series["suitable"] for series in door.show(key)["series"]] == [suitable]
    assert code(door.client.post(f"/api/examinations/{key}/inspect?bundle={'0' * 16}")) == (422, "invalid")


def test_labels_that_come_back_unchanged_change_nothing(door: Door, knee: bytes) -> None:
    key = door.answered(knee)
    labels = files_of(door, key, 1, "labels.nii.gz")
    door.client.post(f"/api/examinations/{key}/corrections?base=1", content=labels)
    assert door.desk.work_once()
    compared = door.client.get(f"/api/examinations/{key}/compare?a=1&b=2").json()
    assert compared["labels"]["changed_voxels"] == 0
    assert compared["change"]["estimated_age_years"] == 0
    assert compared["a"]["thresholds"] == compared["b"]["thresholds"]


@pytest.mark.parametrize("plates", [False, True])
def test_a_correction_moves_the_answer_and_both_versions_stay(
    door: Door, knee: bytes, tmp_path: Path, plates: bool
) -> None:
    key = door.answered(knee)
    content = "plates" if plates else "labels"
    answer = door.client.post(
        f"/api/examinations/{key}/corrections?base=1&content={content}",
        content=corrected(door, key, tmp_path, plates),
    )
    assert answer.status_code == 202, answer.text
    assert door.desk.work_once()
    compared = door.client.get(f"/api/examinations/{key}/compare?a=1&b=2").json()
    assert compared["change"]["estimated_age_years"] > 0
    assert compared["b"]["plates"]["distal_femur"]["openness"] == 0
    assert compared["a"]["plates"]["distal_femur"]["openness"] == 1
    assert {one["name"] for one in compared["labels"]["by_label"]} >= {"distal_femur_physis"}
    assert [run["kind"] for run in door.show(key)["runs"]] == ["estimate", "correction"]
    sealed = {line["action"]: line["facts"].get("labels_sha256") for line in door.audit()}
    assert len(sealed["correction done"]) == 64
    assert sealed["correction ordered"] == sealed["correction done"]


def test_labels_that_a_broken_off_order_left_are_not_used(door: Door, knee: bytes, tmp_path: Path) -> None:
    key = door.answered(knee)
    left = door.client.app.state.office.files.correction(key, 2)  # type: ignore[attr-defined]
    left.write_bytes(corrected(door, key, tmp_path, plates=False))
    assert door.ask(key).json()["kind"] == "estimate"
    assert door.desk.work_once()
    compared = door.client.get(f"/api/examinations/{key}/compare?a=1&b=2").json()
    assert (compared["change"]["estimated_age_years"], compared["labels"]["changed_voxels"]) == (0, 0)
    assert all("labels_sha256" not in line["facts"] for line in door.audit())
    door.desk = door.new_desk("one that knows no answer")
    door.work()
    assert files_of(door, key, 2, "preview.png") == files_of(door, key, 1, "preview.png")


def test_documents_of_a_correction_are_made_from_its_labels(door: Door, knee: bytes, tmp_path: Path) -> None:
    key = door.answered(knee)
    drawn = corrected(door, key, tmp_path, plates=False)
    door.client.post(f"/api/examinations/{key}/corrections?base=1", content=drawn)
    assert door.desk.work_once()
    door.desk = door.new_desk("one that knows no answer")
    door.work()
    previews = [files_of(door, key, number, "preview.png") for number in (1, 2)]
    assert previews[0] != previews[1]


def test_a_correction_whose_labels_are_gone_gives_no_answer(door: Door, knee: bytes) -> None:
    key = door.answered(knee)
    door.client.post(f"/api/examinations/{key}/corrections?base=1", content=files_of(door, key, 1, "labels.nii.gz"))
    door.client.app.state.office.files.correction(key, 2).unlink()  # type: ignore[attr-defined]
    assert door.desk.work_once()
    run = door.show(key)["latest"]
    assert (run["kind"], run["state"], run["reason"]["code"]) == ("correction", "failed", "output")


def test_labels_of_another_grid_are_refused(door: Door, knee: bytes, tmp_path: Path) -> None:
    key = door.answered(knee)
    (tmp_path / "labels.nii.gz").write_bytes(files_of(door, key, 1, "labels.nii.gz"))
    labels = read_values(tmp_path / "labels.nii.gz")
    moved = labels.affine.copy()
    moved[0, 3] += 5
    write_labels(tmp_path / "moved.nii.gz", type(labels)(np.asarray(labels.array, np.uint8), moved))
    send = (tmp_path / "moved.nii.gz").read_bytes()
    assert code(door.client.post(f"/api/examinations/{key}/corrections?base=1", content=send)) == (422, "refused")
    assert code(door.client.post(f"/api/examinations/{key}/corrections?base=1", content=b"no")) == (422, "refused")
    assert door.show(key)["state"] == "done"


def test_labels_of_another_grid_are_refused_before_they_are_read(door: Door, knee: bytes) -> None:
    key = door.answered(knee)
    head = nib.Nifti1Image(np.zeros((1, 1, 1), np.uint8), np.eye(4)).header
    head.set_data_shape((600, 600, 600))
    # A header without one value after it.
    answer = door.client.post(f"/api/examinations/{key}/corrections?base=1", content=head.binaryblock + bytes(4))
    assert code(answer) == (422, "refused")
    assert "grid" in answer.json()["error"]["message"]


def test_a_refused_study_says_why(door: Door) -> None:
    key = door.open()
    door.send(key, ("notes.txt", b"no image"))
    door.ask(key)
    door.work()
    found = door.show(key)
    assert (found["state"], found["latest"]["outcome"]) == ("refused", "refused")
    assert "none of the 1 files" in found["reason"]["message"] or "neither" in found["reason"]["message"]
    assert door.client.get(f"/api/examinations/{key}/runs/1/result").json()["outcome"] == "refused"


def test_waiting_work_is_cancelled_at_once(door: Door, knee: bytes) -> None:
    key = door.open()
    door.send(key, ("knee.nii.gz", knee))
    door.ask(key)
    assert door.client.post(f"/api/examinations/{key}/cancel").json()["state"] == "cancelled"
    assert not door.desk.work_once()
    assert code(door.client.post(f"/api/examinations/{key}/cancel")) == (409, "state")


def test_running_work_is_cancelled_at_its_next_step(door: Door, knee: bytes) -> None:
    key = door.open()
    door.send(key, ("knee.nii.gz", knee))
    door.ask(key)
    task = door.desk.queue.claim("first", 60)
    assert task is not None
    assert door.client.post(f"/api/examinations/{key}/cancel").json()["state"] == "running"
    assert door.desk._try(task) == "cancelled"
    assert door.show(key)["state"] == "cancelled"


@pytest.mark.parametrize("is_running", [False, True])
def test_a_cancelled_correction_leaves_the_answer(door: Door, knee: bytes, is_running: bool) -> None:
    key = door.answered(knee)
    door.work()
    door.client.post(f"/api/examinations/{key}/corrections?base=1", content=files_of(door, key, 1, "labels.nii.gz"))
    task = door.desk.queue.claim("first", 60) if is_running else None
    assert door.client.post(f"/api/examinations/{key}/cancel").status_code == 200
    if task is not None:
        assert door.desk._try(task) == "cancelled"
    found = door.show(key)
    assert (found["state"], [run["state"] for run in found["runs"]]) == ("done", ["done", "cancelled"])
    listed = door.client.get("/api/examinations").json()["items"][0]
    assert (listed["latest"]["number"], listed["answered"]["number"]) == (2, 1)
    assert listed["answered"]["estimated_age_years"] is not None


def test_what_was_cancelled_can_be_inspected_and_asked_again(door: Door, knee: bytes) -> None:
    key = door.open()
    door.send(key, ("knee.nii.gz", knee))
    for cancelled in ("inspect", "runs"):
        assert door.client.post(f"/api/examinations/{key}/{cancelled}", json={}).status_code == 202
        assert door.client.post(f"/api/examinations/{key}/cancel").json()["state"] == "cancelled"
    assert door.client.post(f"/api/examinations/{key}/inspect").status_code == 202
    door.work()
    assert door.show(key)["state"] == "ready"
    assert door.ask(key).status_code == 202
    door.work()
    assert door.show(key)["state"] == "done"
    assert code(door.client.post(f"/api/examinations/{key}/inspect")) == (409, "state")


def test_documents_follow_the_answer(door: Door, knee: bytes) -> None:
    key = door.open()
    door.send(key, ("knee.nii.gz", knee))
    door.ask(key, explain=True)
    assert door.desk.work_once()
    found = door.show(key)
    assert (found["state"], found["latest"]["outcome"]) == ("done", "estimated")
    assert found["latest"]["files"] == ["image.nii.gz", "labels.nii.gz", "result.json"]
    assert found["latest"]["documents"]["state"] == "queued"
    answer = door.client.get(f"/api/examinations/{key}/runs/1/result").text
    for name in ("report.html", "explanation.nii.gz", "all.zip"):
        assert code(door.client.get(f"/api/examinations/{key}/runs/1/files/{name}")) == (409, "state")
    assert door.desk.work_once()
    found = door.show(key)["latest"]
    assert found["documents"] | {"reason": None} == {"state": "done", "stage": "done", "progress": 1, "reason": None}
    assert "are made of DICOM series alone" in found["documents"]["reason"]["message"]
    assert {"report.html", "preview.png", "explanation.png", "explanation.nii.gz"} <= set(found["files"])
    assert code(door.client.get(f"/api/examinations/{key}/runs/1/files/segmentation.dcm")) == (404, "not_found")
    assert door.client.get(f"/api/examinations/{key}/runs/1/result").text == answer
    noted = door.audit()[0]
    assert (noted["action"], noted["facts"]["run"]) == ("documents done", 1)
    assert set(noted["facts"]["sha256"]) == set(found["files"]) - {"image.nii.gz", "labels.nii.gz", "result.json"}


def test_answers_go_before_documents(door: Door, knee: bytes) -> None:
    door.answered(knee)
    second = door.open()
    door.send(second, ("knee.nii.gz", knee))
    door.ask(second)
    assert door.desk.work_once()
    assert door.show(second)["state"] == "done"


def test_what_is_purged_gets_no_documents(door: Door, knee: bytes) -> None:
    key = door.answered(knee)
    task = door.desk.queue.claim("first", 60)
    assert task is not None
    assert code(door.client.post(f"/api/examinations/{key}/purge")) == (409, "state")
    door.desk.queue.give_back("first")
    assert door.client.post(f"/api/examinations/{key}/purge").json()["state"] == "purged"
    assert not door.desk.work_once()
    assert door.desk._try(task) == "lost to another worker"
    assert not any((door.settings.data / "examinations").iterdir())


def test_documents_that_fail_leave_the_answer(door: Door, knee: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OutputError("the disk is full")

    key = door.answered(knee)
    monkeypatch.setattr("kneeage.service.desk.write_papers", fail)
    assert door.desk.work_once()
    found = door.show(key)
    assert (found["state"], found["reason"]) == ("done", None)
    assert found["latest"]["documents"]["reason"] == {"code": "output", "message": "the disk is full"}


def test_all_documents_come_in_a_zip_that_is_noted(door: Door, knee: bytes) -> None:
    key = door.answered(knee)
    door.work()
    answer = door.client.get(f"/api/examinations/{key}/runs/1/files/all.zip?download=1")
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert {"result.json", "report.html", "labels.nii.gz", "image.nii.gz"} <= set(names)
    assert (door.audit()[0]["action"], door.audit()[0]["facts"]["file"]) == ("downloaded", "all.zip")


def test_purging_removes_images_and_keeps_the_record(door: Door, knee: bytes) -> None:
    key = door.answered(knee)
    assert door.client.post(f"/api/examinations/{key}/purge").json()["state"] == "purged"
    assert not any((door.settings.data / "examinations").iterdir())
    assert code(door.client.get(f"/api/examinations/{key}/runs/1/result")) == (410, "not_kept")
    actions = [line["action"] for line in door.audit()]
    assert actions == ["purged", "estimate done", "estimate ordered", "files received", "examination opened"]
    assert door.audit()[1]["facts"]["result_sha256"]
    assert door.client.get("/api/audit/verify").json()["whole"] is True


def test_words_of_a_purged_examination_lie_in_no_file(door: Door, knee: bytes) -> None:
    key = door.open("Stachelbeere 1")
    door.send(key, ("knee.nii.gz", knee))
    table = [{"age_years": 10, "weight": 2.7182818}, {"age_years": 20, "weight": 3}]
    door.ask(key, question="Stachelbeere 2", examiner="Stachelbeere 3", prior_table=table)

    def holding(word: bytes) -> set[str]:
        files = [path for path in door.settings.data.rglob("*") if path.is_file()]
        return {path.name for path in files if word in path.read_bytes()}

    door.work()
    assert holding(b"Stachelbeere")
    assert "result.json" in holding(b"2.7182818")
    door.client.post(f"/api/examinations/{key}/purge")
    assert holding(b"Stachelbeere") | holding(b"2.7182818") == set()


def test_what_is_old_is_purged(door: Door, knee: bytes) -> None:
    import dataclasses

    from kneeage.web.serve import purge_old

    key = door.answered(knee)
    office = door.client.app.state.office  # type: ignore[attr-defined]
    purge_old(dataclasses.replace(office, settings=dataclasses.replace(office.settings, keep_days=1)))
    assert door.show(key)["state"] == "done"
    purge_old(dataclasses.replace(office, settings=dataclasses.replace(office.settings, keep_days=0)))
    assert door.show(key)["state"] == "purged"


def test_examinations_are_found_by_their_reference(door: Door) -> None:
    for reference in ("one 100%", "two", "one_b"):
        door.open(reference)
    found = door.client.get("/api/examinations", params={"search": "0%"}).json()
    assert [one["reference"] for one in found["items"]] == ["one 100%"]
    assert door.client.get("/api/examinations?limit=2").json()["total"] == 3


def test_the_chosen_bundle_answers(door: Door) -> None:
    (only, *more) = door.client.get("/api/bundles").json()["items"]
    assert only["chosen"]
    assert not more
    assert door.client.put("/api/bundles/chosen", json={"id": only["id"]}).json()["chosen"]
    assert door.client.get(f"/api/bundles/{only['id']}/card").text == "# Blocks\n"
    assert code(door.client.put("/api/bundles/chosen", json={"id": "0" * 16})) == (404, "not_found")


def test_a_model_card_is_a_page_whose_html_is_text(door: Door, block_bundle: Path) -> None:
    (only,) = door.client.get("/api/bundles").json()["items"]
    card = block_bundle / "MODEL_CARD.md"
    before = card.read_bytes()
    try:
        card.write_text("# Card\n\n| a | b |\n|---|---|\n| 1 | <script>alert(1)</script> |\n", encoding="utf-8")
        text = door.client.get(f"/bundles/{only['id']}/card").text
    finally:
        card.write_bytes(before)
    assert "<h1>Card</h1>" in text
    assert "<td>1</td>" in text
    assert "&lt;script&gt;alert(1)" in text
    assert door.client.get(f"/bundles/{'0' * 16}/card").status_code == 404


def test_a_bundle_that_is_damaged_is_shown_and_cannot_answer(tmp_path: Path, block_bundle: Path) -> None:
    (tmp_path / "data").mkdir()
    damaged = tmp_path / "damaged"
    shutil.copytree(block_bundle, damaged)
    (damaged / "age.onnx").write_bytes(b"changed")
    door = Door(settings_of(tmp_path / "data", damaged, bundles=(damaged, block_bundle)))
    items = {one["name"]: one for one in door.client.get("/api/bundles").json()["items"]}
    broken = items.pop("damaged")
    assert (broken["usable"], broken["chosen"]) == (False, False)
    assert "age.onnx" in broken["problem"]
    assert [one["chosen"] for one in items.values()] == [True]
    assert code(door.client.put("/api/bundles/chosen", json={"id": broken["id"]})) == (422, "invalid")


def test_pages_of_study_runs_are_shown_without_scripts(tmp_path: Path, block_bundle: Path) -> None:
    (tmp_path / "data").mkdir()
    run, other = tmp_path / "studies" / "run 1", tmp_path / "studies" / "no page"
    for folder in (run, other):
        folder.mkdir(parents=True)
    (run / "report.html").write_text("<!DOCTYPE html>a study", encoding="utf-8")
    (tmp_path / "studies" / "link").symlink_to(run)
    door = Door(settings_of(tmp_path / "data", block_bundle, studies=tmp_path / "studies"))
    (only,) = door.client.get("/api/studies").json()["items"]
    assert (only["name"], only["files"]) == ("run 1", ["report.html"])
    answer = door.client.get(f"/api/studies/{only['id']}/page")
    assert answer.text.endswith("a study")
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert code(door.client.get(f"/api/studies/{'0' * 16}/page")) == (404, "not_found")


def test_a_prior_may_be_a_table(door: Door, knee: bytes) -> None:
    key = door.open()
    door.send(key, ("knee.nii.gz", knee))
    table = [{"age_years": 8, "weight": 1}, {"age_years": 12, "weight": 3}, {"age_years": 26, "weight": 0}]
    assert code(door.ask(key, prior_table=table, prior="uniform:8-26")) == (422, "invalid")
    assert door.ask(key, prior_table=table).status_code == 202
    assert door.desk.work_once()
    result = door.client.get(f"/api/examinations/{key}/runs/1/result").json()
    assert result["prior"]["name"].startswith("prior-")
    assert result["prior"]["rows"] == table


def test_an_altered_line_is_found(door: Door) -> None:
    door.open("a")
    office = door.client.app.state.office  # type: ignore[attr-defined]
    with writing(office.register.journal.engine) as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_is_never_updated")
        connection.execute(AUDIT.update().values(who="another"))
    assert "altered" in door.client.get("/api/audit/verify").json()["problem"]


def test_changes_are_told_as_events(door: Door, knee: bytes) -> None:
    with door.client as client:
        key = door.open("told")
        lines: list[str] = []

        def listen() -> None:
            office = client.app.state.office  # type: ignore[attr-defined]

            async def read() -> None:
                async for event in office.hub.events(key, office.register.case(key), lambda: True):
                    lines.append(event.decode())
                    if '"files": 1' in lines[-1]:
                        return

            client.portal.call(read)  # type: ignore[union-attr]

        thread = threading.Thread(target=listen)
        thread.start()
        while not lines:
            thread.join(0.01)
        door.send(key, ("knee.nii.gz", knee))
        thread.join(120)
    assert lines[0].startswith("retry: 1000\n\nevent: examination\ndata: ")
    assert json.loads(lines[-1].partition("data: ")[2])["files"] == 1
