"""The real estimate on virtual subjects, round trip through the real archive."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from kneeage.phantom.cohort.write import write_virtual_dicom
from tests.pacs.support import Orthanc, all_done_uids, running_node, send, wait_for


def studies(folder: Path, count: int) -> dict[str, list[Path]]:
    """Virtual subjects as DICOM, by their Study Instance UIDs."""
    made = {}
    for seed in range(count):
        write_virtual_dicom(folder / str(seed), 100 + seed)
        paths = sorted((folder / str(seed)).rglob("*.dcm"))
        made[str(dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)] = paths
    return made


def faults(one: Path) -> list[str]:
    """What dciodvfy finds wrong, but for private codes."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed; it is in the package dicom3tools")
    done = subprocess.run(["dciodvfy", str(one)], capture_output=True, text=True, timeout=120)
    lines = [line for line in done.stderr.splitlines() if line.startswith(("Error", "Warning"))]
    return [line for line in lines if "99KNEEAGE" not in line]


def results(archive: Orthanc, uid: str, folder: Path) -> list[Path]:
    """Take the results of a study back out of the archive, object by object."""
    paths = []
    for one in archive.get(f"/dicom-web/instances?StudyInstanceUID={uid}&includefield=00080060&limit=1000"):
        if one["00080060"]["Value"][0] != "MR":
            sop = one["00080018"]["Value"][0]
            paths.append(archive.save(sop, folder / f"{sop}.dcm"))
    return paths


def come_back(orthanc: Orthanc, folder: Path, subjects: int) -> None:
    """Send virtual subjects to a node, four at once, and look at what the archive has in the end."""
    made = studies(folder / "images", subjects)
    options = ("--real", "--send-to", orthanc.web, "--quiet", "5", "--study-seconds", "900")
    with running_node(folder / "spool", *options) as node, ThreadPoolExecutor(4) as pool:
        assert all(set(statuses) == {0} for statuses in pool.map(lambda paths: send(node.port, paths), made.values()))
        wait_for(lambda: all_done_uids(node.spool, list(made)), 150 * subjects)
    wrong: list[str] = []
    for uid in made:
        back = results(orthanc, uid, folder)
        objects: list[Dataset] = [dcmread(path, stop_before_pixels=True) for path in back]
        assert sorted(str(one.Modality) for one in objects if one.Modality in ("DOC", "SEG", "SR")) == [
            "DOC",
            "SEG",
            "SR",
        ]
        assert {str(one.StudyInstanceUID) for one in objects} == {uid}
        wrong += [fault for path in back for fault in faults(path)]
    assert wrong == []


@pytest.mark.slow
def test_20_virtual_subjects_come_back_from_the_archive(orthanc: Orthanc, tmp_path: Path) -> None:
    come_back(orthanc, tmp_path, 20)
