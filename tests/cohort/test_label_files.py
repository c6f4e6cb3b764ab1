"""Labels of a cohort: out to ITK-SNAP and back, whole or not at all, and nothing is lost."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from kneeage.cohort import label_files
from kneeage.cohort.folder import read_cohort
from kneeage.cohort.itksnap import export_cohort
from kneeage.cohort.label_checks import FindingKind
from kneeage.cohort.label_files import Imported, check_cohort_labels, import_labels
from kneeage.core.errors import InputRefusedError, OutputError
from kneeage.core.volume import Volume
from kneeage.io.nifti import read_values
from tests.cohort.drawn import make_cohort, redrawn, subject
from tests.cohort.folders import read_table


def quiet(_done: int, _total: int) -> None: ...


class Desk:
    """A cohort, and its subjects on the desk of somebody who draws."""

    def __init__(self, place: Path, *names: str, unlabelled: tuple[str, ...] = ()) -> None:
        self.cohort = make_cohort(place / "Kohorte 队列", *names, unlabelled=unlabelled)
        self.desk = place / "Tisch"
        cohort = read_cohort(self.cohort)
        export_cohort(cohort, cohort.entries, self.desk, None, quiet)

    def save(self, name: str, labels: Volume, dtype: type = np.int16, affine: Any = None, **header: Any) -> None:
        """Save as ITK-SNAP does: whole numbers of 16 bits, without our notes."""
        values = np.asarray(labels.array[0]).astype(dtype)
        image = nib.Nifti1Image(values, labels.affine if affine is None else affine)
        for key, value in header.items():
            image.header[key] = value
        nib.save(image, self.desk / name / "labels.nii.gz")

    def take_back(self) -> Imported:
        return import_labels(self.desk, read_cohort(self.cohort), quiet)

    def labels(self, name: str) -> Volume:
        return read_values(self.cohort / "subjects" / name / "labels.nii.gz")

    def digests(self) -> dict[str, str]:
        files = [path for path in self.cohort.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.cohort)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def edited() -> Volume:
    """True labels with a plate made thinner at one place."""
    labels = np.array(subject().labels.array)
    column = int(np.argwhere(labels[0, ..., 5] == 1)[0][0])
    labels[0, column, :, 5][labels[0, column, :, 5] == 1] = 3
    return subject().labels.with_array(labels)


def test_a_round_trip_without_edits_changes_no_byte(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "v1", "膝2")
    before = desk.digests()
    done = desk.take_back()
    assert (done.unchanged, done.replaced, done.added, done.is_refused) == (["v1", "膝2"], [], [], False)
    assert desk.digests() == before


def test_edits_come_back_with_every_value_and_the_geometry(tmp_path: Path, edited: Volume) -> None:
    desk = Desk(tmp_path, "v1", "膝2")
    before = desk.digests()
    desk.save("v1", edited)
    told: list[tuple[int, int]] = []
    done = import_labels(desk.desk, read_cohort(desk.cohort), lambda *counts: told.append(counts))
    assert (done.replaced, done.unchanged, told) == (["v1"], ["膝2"], [(1, 2), (2, 2)])
    np.testing.assert_array_equal(desk.labels("v1").array, edited.array)
    np.testing.assert_allclose(desk.labels("v1").affine, edited.affine, atol=1e-4)
    assert nib.load(desk.cohort / "subjects/v1/labels.nii.gz").get_data_dtype() == np.uint8
    after = desk.digests()
    assert after.pop("replaced_labels/v1-1.nii.gz") == before["subjects/v1/labels.nii.gz"]
    assert {name for name in after if after[name] != before[name]} == {"subjects/v1/labels.nii.gz"}


def test_every_replaced_file_is_kept(tmp_path: Path, edited: Volume) -> None:
    desk = Desk(tmp_path, "v1")
    for labels in (edited, subject().labels, edited):
        desk.save("v1", labels)
        assert desk.take_back().replaced == ["v1"]
    kept = [desk.cohort / f"replaced_labels/v1-{n}.nii.gz" for n in (1, 2, 3)]
    for path, labels in zip(kept, (subject().labels, edited, subject().labels), strict=True):
        np.testing.assert_array_equal(read_values(path).array, labels.array)


def test_first_labels_are_named_in_the_table(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "v1", "膝2", unlabelled=("v1", "膝2"))
    before = read_table(desk.cohort / "subjects.csv")
    desk.save("膝2", subject(seed=5).labels)
    done = desk.take_back()
    assert (done.added, done.empty, done.findings) == (["膝2"], ["v1"], done.findings)
    first, second = read_table(desk.cohort / "subjects.csv")
    assert first == before[0] | {"labels": ""}
    assert second == before[1] | {"labels": "subjects/膝2/labels.nii.gz"}
    assert not (desk.cohort / "replaced_labels").exists()
    cohort = read_cohort(desk.cohort)
    labels = cohort.labels(cohort.entries[1])
    assert labels is not None
    np.testing.assert_array_equal(labels.array, subject(seed=5).labels.array)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_any_type_of_whole_numbers_is_taken(tmp_path: Path, edited: Volume, dtype: type) -> None:
    desk = Desk(tmp_path, "v1")
    desk.save("v1", edited, dtype)
    assert desk.take_back().replaced == ["v1"]
    np.testing.assert_array_equal(desk.labels("v1").array, edited.array)


def test_scaled_values_are_taken(tmp_path: Path, edited: Volume) -> None:
    desk = Desk(tmp_path, "v1")
    path = desk.desk / "v1" / "labels.nii.gz"
    image = nib.Nifti1Image(np.asarray(edited.array[0], np.float64), edited.affine)
    image.header.set_data_dtype(np.int16)  # nibabel then chooses a slope that fills 16 bits
    nib.save(image, path)
    assert nib.load(path).dataobj.slope != 1
    assert desk.take_back().replaced == ["v1"]
    np.testing.assert_array_equal(desk.labels("v1").array, edited.array)


def test_all_are_refused_where_one_has_errors(tmp_path: Path, edited: Volume) -> None:
    desk = Desk(tmp_path, "v1", "v2", "v3", "v4", "v5")
    before = desk.digests()
    desk.save("v1", edited)
    desk.save("v2", redrawn(subject(seed=5).labels, 1, slices=(6,), to=12))
    desk.save("v3", Volume(subject(seed=6).labels.array[:, 1:], subject(seed=6).labels.affine))
    four = Volume(np.repeat(subject(seed=7).labels.array[0][..., None], 2, axis=3)[None, ..., 0, :], np.eye(4))
    desk.save("v4", four)
    (desk.desk / "v5" / "labels.nii.gz").write_bytes(b"nothing")
    done = desk.take_back()
    assert done.is_refused
    kinds = {(each.subject_id, each.kind) for each in done.findings if each.is_error}
    assert {
        ("v2", FindingKind.UNKNOWN_VALUE),
        ("v3", FindingKind.OTHER_GRID),
        ("v4", FindingKind.OTHER_GRID),
        ("v5", FindingKind.UNREADABLE),
    } <= kinds
    assert "v1" not in {subject_id for subject_id, _ in kinds}
    assert desk.digests() == before


def test_a_series_of_segmentations_is_named(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "v1")
    values = np.repeat(np.asarray(subject().labels.array[0])[..., None], 2, axis=3)
    nib.save(nib.Nifti1Image(values, subject().labels.affine), desk.desk / "v1" / "labels.nii.gz")
    (finding,) = desk.take_back().findings
    assert (finding.kind, finding.subject_id) == (FindingKind.UNREADABLE, "v1")
    assert "(96, 96, 12, 2); one 3-D image is needed" in finding.words


def test_an_emptied_segmentation_replaces_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "v1")
    before = desk.digests()
    desk.save("v1", redrawn(subject().labels, *range(1, 12)))
    done = desk.take_back()
    assert (done.empty, done.findings) == (["v1"], [])
    assert desk.digests() == before


def test_a_folder_without_segmentations_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "v1")
    with pytest.raises(InputRefusedError, match=r"holds no ID/labels.nii.gz"):
        import_labels(tmp_path, read_cohort(desk.cohort), quiet)


def test_a_stranger_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "v1", "v2")
    (desk.desk / "v2").rename(desk.desk / "v22")
    with pytest.raises(InputRefusedError, match=r"is the name of 1 folders here: 'v22'"):
        desk.take_back()


def test_a_failure_on_the_way_leaves_everything_as_it_was(
    tmp_path: Path, edited: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, "v1", "v2", "v3", unlabelled=("v2",))
    desk.save("v1", edited)
    desk.save("v2", subject(seed=5).labels)
    before = desk.digests()
    replace, calls = Path.replace, []

    def fail_at_the_table(self: Path, target: Path) -> Path:
        calls.append(target.name)
        if target.name == "subjects.csv":
            raise PermissionError(13, "Permission denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_at_the_table)
    with pytest.raises(OutputError, match="they are as they were; import again"):
        desk.take_back()
    assert calls == ["labels.nii.gz", "labels.nii.gz", "subjects.csv"]
    assert desk.digests() == before
    monkeypatch.undo()
    done = desk.take_back()
    assert (done.replaced, done.added) == (["v1"], ["v2"])


def test_another_run_is_kept_away(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "v1")
    busy = pytest.raises(OutputError, match=r"another run is making the cohort or its labels in .*run again to go on$")
    with label_files.only_run(desk.cohort / "cohort.json"), busy:
        desk.take_back()


def test_a_cohort_is_checked_subject_by_subject(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "v1", "v2", "v3", "v4", unlabelled=("v2",))
    (desk.cohort / "subjects/v3/labels.nii.gz").write_bytes(b"nothing")
    (desk.cohort / "subjects/v4/labels.nii.gz").unlink()
    told: list[tuple[int, int]] = []
    found = check_cohort_labels(read_cohort(desk.cohort), lambda *counts: told.append(counts))
    assert (found.checked, found.unlabelled, told[-1]) == (3, ["v2"], (4, 4))
    errors = [(each.subject_id, each.kind) for each in found.findings if each.is_error]
    assert errors == [("v3", FindingKind.UNREADABLE), ("v4", FindingKind.UNREADABLE)]
