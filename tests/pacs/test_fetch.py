"""One study from a real archive, by every way."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from kneeage.core.errors import AmbiguousSeriesError, InputRefusedError, UsageError
from kneeage.pacs.fetch import MoveDoor, Retrieval, Search, fetch
from kneeage.pacs.peers import parse_peer
from kneeage.pacs.send import Caller, Destination
from kneeage.service.worker import DeliveryError
from tests.pacs.fakes import result_object
from tests.pacs.support import Orthanc, make_study, study_uid
from tests.ports import HOST, free_port

WAYS = ("get", "move", "web")
# Without a space: Orthanc 1.10 finds no value with one by QIDO, however it is encoded.
SUBJECT = "fetched-subject"


@pytest.fixture(scope="module")
def filled(orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Orthanc:
    """An archive with two studies of one subject, one of them with a result of ours."""
    folder = tmp_path_factory.mktemp("fetch")
    one = make_study(folder / "one", "fetch one", AccessionNumber="A1", StudyDate="20260102", PatientID=SUBJECT)
    two = make_study(folder / "two", "fetch two", AccessionNumber="A2", StudyDate="20260304", PatientID=SUBJECT)
    result = folder / "result.dcm"
    result_object([dcmread(path) for path in one], "OT").save_as(result, enforce_file_format=True)
    files = [*one, *two, result]
    with Destination(parse_peer(orthanc.dicom), Caller())(files) as send:
        for path in files:
            send(path)
    return orthanc


def fetched(archive: Orthanc, search: Search, folder: Path, way: str) -> str:
    peer = parse_peer(archive.web if way == "web" else archive.dicom)
    retrieval = Retrieval.MOVE if way == "move" else Retrieval.GET
    return fetch(peer, search, folder, caller=Caller(), retrieval=retrieval, door=MoveDoor(HOST, archive.move_port))


@pytest.mark.parametrize("way", WAYS)
def test_the_mr_images_of_a_study_are_fetched(filled: Orthanc, tmp_path: Path, way: str) -> None:
    uid = fetched(filled, Search(study_uid("fetch one")), tmp_path, way)
    found = [dcmread(path) for path in tmp_path.iterdir()]
    assert uid == study_uid("fetch one")
    assert [(one.Modality, one.StudyInstanceUID) for one in found] == [("MR", uid)] * 3
    assert {len(one.PixelData) for one in found} == {96}


@pytest.mark.parametrize(
    "search",
    [
        Search(accession_number="A2"),
        Search(subject_id=SUBJECT, dates="20260301-20260331"),
        Search(subject_id=SUBJECT, accession_number="A2"),
    ],
)
@pytest.mark.parametrize("way", ["get", "web"])
def test_a_study_is_found_by_what_is_known_of_it(filled: Orthanc, tmp_path: Path, way: str, search: Search) -> None:
    assert fetched(filled, search, tmp_path, way) == study_uid("fetch two")


@pytest.mark.parametrize("way", ["get", "web"])
def test_several_studies_are_listed_and_none_is_fetched(filled: Orthanc, tmp_path: Path, way: str) -> None:
    with pytest.raises(AmbiguousSeriesError, match="several studies fit") as caught:
        fetched(filled, Search(subject_id=SUBJECT), tmp_path, way)
    assert study_uid("fetch one") in str(caught.value)
    assert SUBJECT not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("way", ["get", "web"])
def test_no_study_is_a_refusal(filled: Orthanc, tmp_path: Path, way: str) -> None:
    with pytest.raises(InputRefusedError, match="has no such study"):
        fetched(filled, Search(accession_number="NONE"), tmp_path, way)


@pytest.mark.parametrize("url", ["dicom://AWAY@127.0.0.1:{}", "http://127.0.0.1:{}/dicom-web"])
def test_an_archive_that_is_away_is_said(tmp_path: Path, url: str) -> None:
    peer = parse_peer(url.format(free_port()))
    with pytest.raises(DeliveryError, match="does not answer"):
        fetch(peer, Search("1.2"), tmp_path, caller=Caller())


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "say which study"),
        ({"dates": "20260101"}, "say which study"),
        ({"study_uid": "1.2.*"}, "digits and points"),
        ({"accession_number": "A*"}, "without"),
        ({"accession_number": "A", "dates": "yesterday"}, "YYYYMMDD"),
    ],
)
def test_a_search_that_points_to_no_study_is_wrong_usage(asked: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Search(**asked)
