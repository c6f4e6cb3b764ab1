"""Documents as they are handed out: whole, noted, and without a copy that stays."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import pytest

from kneeage.service.case_files import CaseFiles
from kneeage.web.runs import _zipped
from tests.web.support import Door, files_of


@pytest.mark.parametrize("part", ["bytes=abc", "bytes=99999999999-", "bytes=0-0"])
def test_a_document_is_given_whole_whatever_part_is_asked_for(door: Door, knee: bytes, part: str) -> None:
    key = door.answered(knee)
    door.work()
    for name in ("all.zip", "report.html"):
        path = f"/api/examinations/{key}/runs/1/files/{name}"
        answer = door.client.get(path, headers={"Range": part})
        assert (answer.status_code, answer.headers["accept-ranges"]) == (200, "none")
        assert int(answer.headers["content-length"]) == len(answer.content) > 1


def test_an_archive_of_documents_has_no_name_on_the_disk(door: Door, knee: bytes) -> None:
    key = door.answered(knee)
    door.work()
    files: CaseFiles = door.client.app.state.office.files  # type: ignore[attr-defined]
    places = (files.folder.glob("*"), Path(tempfile.gettempdir()).glob("*.zip"))
    before = {path for place in places for path in place}
    with _zipped(files, key, 1) as archive:
        assert zipfile.ZipFile(archive).testzip() is None
        assert {*files.folder.iterdir(), *Path(tempfile.gettempdir()).glob("*.zip")} <= before


def test_every_document_is_noted_but_those_that_the_viewer_loads(door: Door, knee: bytes) -> None:
    key = door.answered(knee)
    door.work()
    names = ("image.nii.gz", "labels.nii.gz", "result.json", "report.html", "preview.png", "all.zip")
    for name in names:
        files_of(door, key, 1, name)
    files_of(door, key, 1, "image.nii.gz?download=1")
    noted = [line["facts"]["file"] for line in reversed(door.audit()) if line["action"] == "downloaded"]
    assert noted == [*names[2:], "image.nii.gz"]
