from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from kneeage.cohort.folder import Cohort, read_cohort
from kneeage.cohort.nnunet import export_nnunet
from kneeage.cohort.split import Group, Place, Split, make_folds
from kneeage.core.errors import InputRefusedError, OutputError, UsageError
from kneeage.core.volume import Volume
from kneeage.io.nifti import write_image, write_labels
from tests.cohort.folders import AFFINE, cohort_of, image, labels, person
from tests.io.support import Made, write_series

NAMES = ("ada", "bea", "cid", "dan")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four subjects; the last has no labels."""
    place = tmp_path_factory.mktemp("export")
    cohort = cohort_of(place, [person(name, chronological_age_years=12 + n / 9) for n, name in enumerate(NAMES)])
    (cohort / "subjects" / "dan" / "labels.nii.gz").unlink()
    return cohort


@pytest.fixture
def cohort(folder: Path) -> Cohort:
    return read_cohort(folder)


def _split(**groups: str) -> Split:
    return Split({name: Place(Group(group)) for name, group in groups.items()}, "by hand", 0)


def _tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _verify(dataset: Path) -> None:
    """Check a raw data set as nnU-Net documents and checks it, with the reader that it takes for NIfTI."""
    assert re.fullmatch(r"Dataset\d{3}_[A-Za-z0-9]+", dataset.name)
    facts = _json(dataset / "dataset.json")
    assert {"channel_names", "labels", "numTraining", "file_ending"} <= set(facts)
    ending, values = facts["file_ending"], list(facts["labels"].values())
    assert facts["labels"]["background"] == 0
    assert values == list(range(len(values)))
    assert list(facts["channel_names"]) == ["0"]
    images = sorted((dataset / "imagesTr").iterdir())
    cases = [path.name.removesuffix(f"_0000{ending}") for path in images]
    assert [f"{case}_0000{ending}" for case in cases] == [path.name for path in images]
    assert len(cases) == facts["numTraining"] > 0
    assert sorted(path.name for path in (dataset / "labelsTr").iterdir()) == [f"{case}{ending}" for case in cases]
    assert not set(cases) & {path.name.removesuffix(f"_0000{ending}") for path in (dataset / "imagesTs").iterdir()}
    for case, path in zip(cases, images, strict=True):
        grey, mask = SimpleITK.ReadImage(path), SimpleITK.ReadImage(dataset / "labelsTr" / f"{case}{ending}")
        assert grey.GetSize() == mask.GetSize()
        for fact in ("GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(grey, fact)() == getattr(mask, fact)()
        array = SimpleITK.GetArrayFromImage(mask)
        assert array.dtype == np.uint8
        assert set(np.unique(array)) <= set(values)
        assert np.isfinite(SimpleITK.GetArrayFromImage(grey)).all()


def test_data_set_keeps_the_rules_of_nnunet(cohort: Cohort, tmp_path: Path) -> None:
    split = _split(ada="training", bea="validation", cid="training", dan="external")
    made = export_nnunet(cohort, tmp_path / "raw", split)
    _verify(made.folder)
    assert _tree(tmp_path / "raw") == [
        "Dataset001_Kneeage/dataset.json",
        "Dataset001_Kneeage/imagesTr/ada_0000.nii.gz",
        "Dataset001_Kneeage/imagesTr/cid_0000.nii.gz",
        "Dataset001_Kneeage/imagesTs/bea_0000.nii.gz",
        "Dataset001_Kneeage/imagesTs/dan_0000.nii.gz",
        "Dataset001_Kneeage/labelsTr/ada.nii.gz",
        "Dataset001_Kneeage/labelsTr/cid.nii.gz",
    ]
    assert (made.training, made.test, made.without_labels) == (2, 2, ())


def test_values_are_those_of_the_cohort(cohort: Cohort, tmp_path: Path) -> None:
    made = export_nnunet(cohort, tmp_path)
    written = nib.load(made.folder / "imagesTr" / "bea_0000.nii.gz")
    assert np.array_equal(written.get_fdata(dtype=np.float32), image(1).array[0])
    assert np.allclose(written.affine, AFFINE)
    mask = nib.load(made.folder / "labelsTr" / "bea.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj), labels().array[0])


def test_labels_have_our_names(cohort: Cohort, tmp_path: Path) -> None:
    facts = _json(export_nnunet(cohort, tmp_path).folder / "dataset.json")
    assert list(facts["labels"].items())[:2] == [("background", 0), ("distal_femur_physis", 1)]
    assert facts["labels"]["tibial_tuberosity_physis"] == 11
    assert "population: not stated" in facts["description"]


def test_subject_without_labels_is_listed_and_not_learnt_from(cohort: Cohort, tmp_path: Path) -> None:
    made = export_nnunet(cohort, tmp_path)
    _verify(made.folder)
    assert (made.training, made.test, made.without_labels) == (3, 0, ("dan",))
    assert not [name for name in _tree(tmp_path) if "dan" in name]


def test_folds_are_those_of_the_split(cohort: Cohort, tmp_path: Path) -> None:
    split = make_folds(cohort.entries, 2, 0)
    made = export_nnunet(cohort, tmp_path, split)
    folds = _json(made.folder / "splits_final.json")
    for number, fold in enumerate(folds):
        assert sorted(fold["train"] + fold["val"]) == ["ada", "bea", "cid"]
        assert set(fold["val"]) == set(split.tested_in(number)) - {"dan"}
    assert (made.training, len(folds)) == (3, 2)


def test_nobody_to_learn_from_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    split = _split(ada="test", bea="validation", cid="external", dan="training")
    with pytest.raises(InputRefusedError, match="none of the 1 subjects to learn from has labels"):
        export_nnunet(cohort, tmp_path / "raw", split)
    assert not (tmp_path / "raw").exists()


def test_split_of_others_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match="no place for 'dan'"):
        export_nnunet(cohort, tmp_path, _split(ada="training", bea="training", cid="training"))


def _relabelled(tmp_path: Path, volume: Volume) -> Cohort:
    folder = cohort_of(tmp_path, [person("ada"), person("bea")])
    path = folder / "subjects" / "bea" / "labels.nii.gz"
    path.unlink()
    write_labels(path, volume)
    return read_cohort(folder)


def test_foreign_label_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    cohort = _relabelled(tmp_path, labels(12))
    with pytest.raises(InputRefusedError, match=r"subject 'bea': the value 12 is none of the permanent labels 0 to 11"):
        export_nnunet(cohort, tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_labels_on_another_grid_are_refused(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 1
    with pytest.raises(InputRefusedError, match=r"'bea': .* up to 1 mm "):
        export_nnunet(_relabelled(tmp_path, Volume(labels().array, moved)), tmp_path / "raw")


def test_oblique_dicom_is_one_grid_for_the_reader_of_nnunet(tmp_path: Path) -> None:
    angle = np.deg2rad(17)
    tilted = (np.cos(angle), np.sin(angle), 0.0, 0.0, 0.0, -1.0)
    folder = cohort_of(tmp_path, [person("ada")])
    (folder / "subjects" / "ada" / "image.nii.gz").unlink()
    (folder / "subjects" / "ada" / "labels.nii.gz").unlink()
    write_series(folder / "subjects" / "ada" / "series", Made(orientation=tilted))
    table = folder / "subjects.csv"
    table.write_text(re.sub(r"subjects/ada/[^,\n]+", "subjects/ada/series", table.read_text(encoding="utf-8")), "utf-8")
    cohort = read_cohort(folder)
    grid = cohort.series(cohort.entries[0]).volume
    write_labels(folder / "subjects" / "ada" / "labels.nii.gz", grid.with_array((grid.array > 300).astype(np.uint8)))
    _verify(export_nnunet(cohort, tmp_path / "raw").folder)


def test_number_must_be_free(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "Dataset007_Heart").mkdir()
    with pytest.raises(UsageError, match="'Dataset007_Heart' has the number 7"):
        export_nnunet(cohort, tmp_path, dataset_id=7)
    with pytest.raises(UsageError, match="1 to 999; found 1000"):
        export_nnunet(cohort, tmp_path, dataset_id=1000)
    assert export_nnunet(cohort, tmp_path, dataset_id=8).folder.name == "Dataset008_Kneeage"
    with pytest.raises(OutputError, match="not empty"):
        export_nnunet(cohort, tmp_path, dataset_id=8)


@pytest.mark.parametrize(("sequence", "channel"), [("T1 TSE", "T1 TSE"), ("CT", "MR"), ("", "MR")])
def test_channel_is_the_one_contrast(tmp_path: Path, sequence: str, channel: str) -> None:
    cohort = read_cohort(cohort_of(tmp_path, [person("ada", sequence=sequence)]))
    facts = _json(export_nnunet(cohort, tmp_path / "raw").folder / "dataset.json")
    assert facts["channel_names"] == {"0": channel}


def test_progress_is_told(cohort: Cohort, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    export_nnunet(cohort, tmp_path, tell=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_virtual_images_stay_marked(tmp_path: Path) -> None:
    folder = cohort_of(tmp_path, [person("ada")])
    path = folder / "subjects" / "ada" / "image.nii.gz"
    path.unlink()
    write_image(path, image(0), virtual=True)
    made = export_nnunet(read_cohort(folder), tmp_path / "raw")
    raw = nib.load(made.folder / "imagesTr" / "ada_0000.nii.gz")
    assert b"virtual" in bytes(raw.header["descrip"].tobytes())
