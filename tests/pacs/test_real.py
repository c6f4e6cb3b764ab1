"""The real estimate on virtual subjects, round trip through the real archive, looked at with other people's tools."""

from __future__ import annotations

import shutil
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from kneeage.phantom.cohort.write import write_virtual_dicom
from tests.pacs.support import (
    PATIENCE,
    NodeProcess,
    Orthanc,
    all_done_uids,
    dcmtk,
    running_node,
    start_node,
    storescu,
    wait_for,
)
from tests.ports import HOST

OPTIONS = ("--real", "--quiet", "5")
RESULTS = ["DOC", "OT", "SEG", "SR"]


def studies(folder: Path, count: int) -> dict[str, Path]:
    """Virtual subjects as DICOM: the folder of each by its Study Instance UID."""
    made = {}
    for seed in range(count):
        write_virtual_dicom(folder / str(seed), 100 + seed)
        one = next((folder / str(seed)).rglob("*.dcm"))
        made[str(dcmread(one, stop_before_pixels=True).StudyInstanceUID)] = folder / str(seed)
    return made


def faults(one: Path) -> list[str]:
    """What dciodvfy finds wrong, but for private codes."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed; it is in the package dicom3tools")
    done = subprocess.run(["dciodvfy", str(one)], capture_output=True, text=True, timeout=PATIENCE)
    lines = [line for line in done.stderr.splitlines() if line.startswith(("Error", "Warning"))]
    return [line for line in lines if "99KNEEAGE" not in line]


def retrieved(archive: Orthanc, uid: str, folder: Path) -> list[Path]:
    """Retrieve a study with dcmtk's getscu."""
    folder.mkdir(parents=True)
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}")
    command = [dcmtk("getscu"), "-S", "-aec", "ORTHANC", *keys, "-od", str(folder), HOST, str(archive.dicom_port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return sorted(folder.iterdir())


def require_one_result_set(archive: Orthanc, node: NodeProcess, uid: str, source: Path, folder: Path) -> None:
    """The archive has each result of a study once, as it was made and without a fault, and refers to the source."""
    assert [one for one in archive.modalities(uid) if one != "MR"] == RESULTS
    back = retrieved(archive, uid, folder)
    objects: dict[str, Dataset] = {
        str(one.Modality): one for one in (dcmread(path) for path in back) if one.Modality != "MR"
    }
    assert sorted(objects) == RESULTS
    assert {str(one.StudyInstanceUID) for one in objects.values()} == {uid}
    assert [fault for path in back for fault in faults(path)] == []
    image = dcmread(next(source.rglob("*.dcm")), stop_before_pixels=True)
    seg, document = objects["SEG"], objects["DOC"]
    assert seg.FrameOfReferenceUID == image.FrameOfReferenceUID
    assert [one.SeriesInstanceUID for one in seg.ReferencedSeriesSequence] == [image.SeriesInstanceUID]
    # The bundle that ships is virtual.
    assert not [code for code in ("AGE_ESTIMATE", "AGE_INTERVAL", "P_AT_LEAST") if code in objects["SR"].to_json()]
    printed = document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
    assert printed in [path.read_bytes() for path in (node.spool / "results").rglob("report.pdf")]


def come_back(orthanc: Orthanc, folder: Path, subjects: int) -> None:
    """Push virtual subjects to a node, four at once, and look at what the archive has in the end."""
    made = studies(folder / "images", subjects)
    with running_node(folder / "spool", *OPTIONS, "--send-to", orthanc.web) as node, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda images: storescu(node.port, "KNEEAGE", images), made.values()))
        wait_for(lambda: all_done_uids(node.spool, list(made)), 150 * subjects)
        for uid, source in made.items():
            require_one_result_set(orthanc, node, uid, source, folder / "back" / uid)


@pytest.mark.slow
def test_20_virtual_subjects_come_back_from_the_archive(orthanc: Orthanc, tmp_path: Path) -> None:
    come_back(orthanc, tmp_path, 20)


def send_on(archive: Orthanc, uid: str) -> None:
    """Have the archive send a study to the node, as its user does."""
    (found,) = archive.look_up(uid, "Study")
    address = f"http://{HOST}:{archive.http_port}/modalities/kneeage/store"
    asked = urllib.request.Request(address, found.encode(), method="POST")
    with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
        assert answer.status == 200


def test_a_virtual_subject_goes_round_as_with_docker(orthanc: Orthanc, tmp_path: Path) -> None:
    ((uid, source),) = studies(tmp_path / "images", 1).items()
    storescu(orthanc.dicom_port, "ORTHANC", source)
    node = start_node(tmp_path / "spool", orthanc.move_port, *OPTIONS, "--send-to", orthanc.dicom)
    try:
        send_on(orthanc, uid)
        wait_for(lambda: all_done_uids(node.spool, [uid]))
        require_one_result_set(orthanc, node, uid, source, tmp_path / "back")
    finally:
        node.stop()
