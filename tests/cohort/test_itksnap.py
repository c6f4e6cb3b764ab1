"""What ITK-SNAP is handed: images and segmentations on one grid, and a workspace that opens them wherever they go."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from kneeage.cohort.folder import read_cohort
from kneeage.cohort.itksnap import LabelSource, export_cohort, export_series, workspace
from kneeage.core.anatomy import LABEL_COLOURS, Label
from kneeage.core.errors import OutputError
from kneeage.core.volume import Volume
from kneeage.io.itksnap import label_descriptions
from kneeage.io.nifti import read_values, write_labels
from kneeage.io.read import load
from kneeage.io.series import LoadedSeries
from tests.cohort.drawn import make_cohort, redrawn, subject

FILES = {"image.nii.gz", "labels.nii.gz", "labels.txt"}


def quiet(_done: int, _total: int) -> None: ...


def entries(folder: ET.Element) -> dict[str, str]:
    return {entry.get("key", ""): entry.get("value", "") for entry in folder.findall("entry")}


def below(tree: ET.Element, *keys: str) -> ET.Element:
    for key in keys:
        (tree,) = [folder for folder in tree.findall("folder") if folder.get("key") == key]
    return tree


def test_every_subject_gets_a_folder(tmp_path: Path) -> None:
    cohort = read_cohort(make_cohort(tmp_path / "Studie ä", "v1", "膝2", unlabelled=("膝2",)))
    told: list[tuple[int, int]] = []
    out = tmp_path / "zum Zeichnen 描"
    done = export_cohort(cohort, cohort.entries, out, None, lambda *counts: told.append(counts))
    assert done.written == {"v1": LabelSource.COHORT, "膝2": LabelSource.EMPTY}
    assert (done.kept, done.refused, told) == ([], {}, [(1, 2), (2, 2)])
    for seed, name in ((4, "v1"), (5, "膝2")):
        assert {path.name for path in (out / name).iterdir()} == {*FILES, f"{name}.itksnap"}
        image, labels = load(out / name / "image.nii.gz"), read_values(out / name / "labels.nii.gz")
        np.testing.assert_array_equal(image.volume.array, subject(seed=seed).volume.array)
        np.testing.assert_array_equal(image.volume.affine, labels.affine)
        assert image.header.virtual
        assert (out / name / "labels.txt").read_text("ascii") == label_descriptions()
    np.testing.assert_array_equal(read_values(out / "v1" / "labels.nii.gz").array, subject().labels.array)
    assert not read_values(out / "膝2" / "labels.nii.gz").array.any()


def test_folders_that_are_there_are_kept(tmp_path: Path) -> None:
    cohort = read_cohort(make_cohort(tmp_path / "c", "v1", "v2"))
    export_cohort(cohort, cohort.entries[:1], tmp_path / "out", None, quiet)
    edited = tmp_path / "out" / "v1" / "labels.nii.gz"
    edited.write_bytes(b"hours of work")
    done = export_cohort(cohort, cohort.entries, tmp_path / "out", None, quiet)
    assert (list(done.written), done.kept) == (["v2"], ["v1"])
    assert edited.read_bytes() == b"hours of work"


def test_a_draft_is_drawn_where_there_are_no_labels(tmp_path: Path) -> None:
    cohort = read_cohort(make_cohort(tmp_path / "c", "v1", "v2", unlabelled=("v2",)))
    drawn: list[LoadedSeries] = []

    def draft(series: LoadedSeries) -> Volume:
        drawn.append(series)
        return subject(seed=5).labels

    done = export_cohort(cohort, cohort.entries, tmp_path / "out", draft, quiet)
    assert done.written == {"v1": LabelSource.COHORT, "v2": LabelSource.DRAFT}
    assert len(drawn) == 1
    np.testing.assert_array_equal(read_values(tmp_path / "out/v2/labels.nii.gz").array, subject(seed=5).labels.array)


def test_labels_with_faults_can_be_exported_to_be_mended(tmp_path: Path) -> None:
    folder = make_cohort(tmp_path / "c", "v1", "v2")
    path = folder / "subjects/v1/labels.nii.gz"
    path.unlink()
    write_labels(path, redrawn(subject().labels, 1, to=99))
    beside = folder / "subjects/v2/labels.nii.gz"
    beside.unlink()
    write_labels(beside, Volume(subject(seed=5).labels.array[:, 1:], subject(seed=5).labels.affine))
    cohort = read_cohort(folder)
    done = export_cohort(cohort, cohort.entries, tmp_path / "out", None, quiet)
    assert done.written == {"v1": LabelSource.COHORT}
    assert 99 in read_values(tmp_path / "out/v1/labels.nii.gz").array
    assert "(95, 96, 12) voxels and the image (96, 96, 12)" in done.refused["v2"]
    assert not (tmp_path / "out/v2").exists()


def test_one_series_is_exported_under_a_name(tmp_path: Path) -> None:
    folder = make_cohort(tmp_path / "c", "v1")
    series = load(folder / "subjects/v1/image.nii.gz")
    assert export_series(tmp_path / "out/knee", series, None, None) is LabelSource.EMPTY
    assert {path.name for path in (tmp_path / "out/knee").iterdir()} == {*FILES, "knee.itksnap"}
    with pytest.raises(OutputError, match="not empty"):
        export_series(tmp_path / "out/knee", series, None, None)


def test_a_workspace_names_its_files_relative_to_itself() -> None:
    tree = ET.fromstring(workspace((96, 95, 12)))
    root = entries(tree)
    layers = [entries(below(tree, "Layers", f"Layer[00{n}]")) for n in (0, 1)]
    assert tree.tag == "registry"
    assert root["Version"].isdigit()
    # ITK-SNAP takes what follows the place of saving, and looks for it where the workspace is now.
    assert [layer["AbsolutePath"].removeprefix(root["SaveLocation"] + "/") for layer in layers] == [
        "image.nii.gz",
        "labels.nii.gz",
    ]
    assert [layer["Role"] for layer in layers] == ["MainRole", "SegmentationRole"]
    grey = entries(below(tree, "Layers", "Layer[000]", "ProjectMetaData", "Files", "Grey"))
    assert grey == {"Dimensions": "96 95 12"}


def test_a_workspace_has_our_names_and_colours() -> None:
    tree = ET.fromstring(workspace((4, 4, 4)))
    table = below(tree, "Layers", "Layer[000]", "ProjectMetaData", "IRIS", "LabelTable")
    assert entries(table) == {"NumberOfElements": "11"}
    elements = [entries(below(table, f"Element[{n}]")) for n in range(11)]
    for label, element in zip(list(Label)[1:], elements, strict=True):
        assert (element["Index"], element["Label"]) == (str(int(label)), label.name.lower())
        assert tuple(map(int, element["Color"].split())) == LABEL_COLOURS[label]
        assert (element["Alpha"], element["Flags"]) == ("255", "1 1")
