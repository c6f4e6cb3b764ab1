"""What an archive hands over is the whole study and nothing else, or nothing is estimated."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from kneeage.core.errors import OutputError
from kneeage.pacs.fetch import MoveDoor, Retrieval, Search, fetch
from kneeage.pacs.peers import Tls, WebPeer
from kneeage.pacs.send import Caller
from kneeage.pacs.web import WebArchive
from kneeage.service.worker import DeliveryError
from tests.pacs.archive import SECONDARY_CAPTURE, SPECTROSCOPY, ToldArchive, running
from tests.pacs.support import association, make_study, send, study_uid
from tests.ports import HOST

WAYS = [Retrieval.GET, Retrieval.MOVE]


@pytest.fixture
def images(tmp_path: Path) -> list[Dataset]:
    """The study that is asked for."""
    return [dcmread(path) for path in make_study(tmp_path / "mine", "mine", 6)]


@pytest.fixture
def foreign(tmp_path: Path) -> list[Path]:
    """A study of somebody else."""
    return make_study(tmp_path / "foreign", "foreign")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where images are written."""
    made = tmp_path / "fetched"
    made.mkdir()
    return made


def fetched(archive: ToldArchive, folder: Path, way: Retrieval = Retrieval.GET, caller: Caller | None = None) -> int:
    """Fetch, and count the images."""
    door = MoveDoor(HOST, archive.door_port)
    asked = Search(study_uid("mine"))
    with running(archive):
        fetch(archive.peer, asked, folder, caller=caller or Caller(), retrieval=way, door=door)
    return len(list(folder.iterdir()))


def of_class(image: Dataset, uid: str) -> Dataset:
    """The same as an object of another class, which our associations do not have."""
    other = copy.deepcopy(image)
    other.SOPInstanceUID = f"{image.SOPInstanceUID}.1"
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = uid
    return other


@pytest.mark.parametrize("way", WAYS)
def test_an_image_that_cannot_be_written_is_our_failure(
    images: list[Dataset], folder: Path, way: Retrieval, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name in ("000005.dcm", "000006.dcm"):
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device"):
        fetched(ToldArchive(images), folder, way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("handed_from", [0, 1])
def test_what_fails_and_may_be_an_image_ends_it(
    images: list[Dataset], folder: Path, way: Retrieval, handed_from: int
) -> None:
    unlisted = of_class(images[0], SECONDARY_CAPTURE)
    with pytest.raises(DeliveryError, match="did not hand over 1 objects"):
        fetched(ToldArchive(images, [*images[handed_from:], unlisted]), folder, way)


@pytest.mark.parametrize("way", WAYS)
def test_what_fails_and_is_no_image_is_not_missed(images: list[Dataset], folder: Path, way: Retrieval) -> None:
    others = [of_class(images[0], SPECTROSCOPY), of_class(images[1], SECONDARY_CAPTURE)]
    assert fetched(ToldArchive([*images, *others]), folder, way) == len(images)


def test_a_series_of_which_nothing_is_an_image_is_passed_over(images: list[Dataset], folder: Path) -> None:
    with pytest.raises(ValueError, match="has no MR image"):
        fetched(ToldArchive([of_class(images[0], SPECTROSCOPY)]), folder)


def test_a_class_that_the_archive_does_not_name_may_be_an_image(images: list[Dataset], folder: Path) -> None:
    odd = of_class(images[0], SPECTROSCOPY)
    nameless = copy.deepcopy(odd)
    nameless.SOPClassUID = ""
    with pytest.raises(DeliveryError, match="did not hand over 1 objects"):
        fetched(ToldArchive([*images, nameless], [*images, odd]), folder)


@pytest.mark.parametrize("way", WAYS)
def test_an_archive_that_hands_over_another_study_is_not_trusted(
    images: list[Dataset], foreign: list[Path], folder: Path, way: Retrieval
) -> None:
    archive = ToldArchive(images, [*images, *(dcmread(path) for path in foreign)])
    with pytest.raises(DeliveryError, match="did not hand over 3 objects"):
        fetched(archive, folder, way)
    assert {dcmread(path).StudyInstanceUID for path in folder.iterdir()} == {study_uid("mine")}


def test_what_others_send_to_the_door_is_refused(images: list[Dataset], foreign: list[Path], folder: Path) -> None:
    archive, statuses = ToldArchive(images), []
    archive.before = lambda: statuses.extend(send(archive.door_port, foreign))
    assert fetched(archive, folder, Retrieval.MOVE) == len(images)
    assert statuses == [0xA900] * 3


def test_the_door_speaks_tls_where_there_is_a_certificate(
    images: list[Dataset], folder: Path, certificate: Tls
) -> None:
    archive, established = ToldArchive(images, tls=certificate.for_caller()), []

    def call_in_plain_text() -> None:
        with association(archive.door_port) as link:
            established.append(link.is_established)

    archive.before = call_in_plain_text
    assert fetched(archive, folder, Retrieval.MOVE, Caller(tls=certificate)) == len(images)
    assert established == [False]


def web_archive(monkeypatch: pytest.MonkeyPatch, images: list[Dataset]) -> WebPeer:
    """A web archive that hands images over."""
    monkeypatch.setattr(WebArchive, "studies", lambda *_: images[:1])
    monkeypatch.setattr(WebArchive, "series", lambda *_: images[:1])
    monkeypatch.setattr(WebArchive, "instances", lambda *_: iter(images))
    return WebPeer("http://archive")


def test_a_web_archive_that_hands_over_another_study_is_not_trusted(
    images: list[Dataset], foreign: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = web_archive(monkeypatch, [*images, dcmread(foreign[0])])
    with pytest.raises(DeliveryError, match="image of another study"):
        fetch(peer, Search(study_uid("mine")), folder, caller=Caller())


def test_an_image_from_the_web_that_cannot_be_written_is_our_failure(
    images: list[Dataset], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = web_archive(monkeypatch, images)
    with pytest.raises(OutputError, match=r"cannot be written \(No such file"):
        fetch(peer, Search(study_uid("mine")), folder / "none", caller=Caller())
