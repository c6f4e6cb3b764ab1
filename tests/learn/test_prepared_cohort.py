"""A cohort on its way to the trainers: what is kept, what is made anew, who is left out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from kneeage.cohort.folder import Cohort, read_cohort
from kneeage.core.anatomy import Plane
from kneeage.core.manifest import AgeStage
from kneeage.learn.data import load_regions, load_slices
from kneeage.learn.prepared_cohort import (
    PreparedCohort,
    RegionJob,
    SliceJob,
    Task,
    prepare_cohort,
    wait_for_cohort,
    write_left_out,
)
from kneeage.learn.stages import segment_stage
from tests.learn.cohorts import draw_the_truth, make_six, silent


class InTurn:
    """Does the work here and now, and remembers for whom."""

    def __init__(self) -> None:
        self.subjects: list[str] = []

    def __call__(self, work: Callable[[Task], None], tasks: Sequence[Task]) -> Iterator[None]:
        for task in tasks:
            work(task)
            self.subjects.append(task.entry.subject_id)
            yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_six(tmp_path_factory.mktemp("cohort") / "virtual")


@pytest.fixture
def cohort(made: Path, tmp_path: Path) -> Cohort:
    cohort = read_cohort(shutil.copytree(made, tmp_path / "cohort"))
    return replace(cohort, entries=cohort.entries[:2])


def _prepare(cohort: Cohort, folder: Path, job: SliceJob | RegionJob | None = None) -> tuple[PreparedCohort, list[str]]:
    run = InTurn()
    return prepare_cohort(cohort, job or SliceJob(), folder, run, silent), run.subjects


def test_slices_and_labels_of_every_subject(cohort: Cohort, tmp_path: Path) -> None:
    prepared, _ = _prepare(cohort, tmp_path / "prepared")
    assert prepared.usable == tuple(entry.subject_id for entry in cohort.entries)
    for entry, file in zip(cohort.entries, prepared.files(prepared.usable), strict=True):
        subject = load_slices(file)
        assert (subject.subject_id, subject.age_years) == (entry.subject_id, entry.chronological_age_years)
        assert subject.images.shape == subject.labels.shape
        assert np.unique(subject.labels).size > 3
        assert prepared.facts[entry.subject_id]["slices"] == len(subject.images)


def test_what_is_there_is_kept(cohort: Cohort, tmp_path: Path) -> None:
    _, first = _prepare(cohort, tmp_path / "prepared")
    again, second = _prepare(cohort, tmp_path / "prepared")
    assert (len(first), second) == (2, [])
    assert len(again.usable) == 2


def test_broken_off_run_goes_on(cohort: Cohort, tmp_path: Path) -> None:
    prepared, (first, second) = _prepare(cohort, tmp_path / "prepared")
    (tmp_path / "prepared" / f"{second}.json").unlink()
    assert _prepare(cohort, tmp_path / "prepared") == (prepared, [second])
    prepared.files([first])[0].unlink()
    assert _prepare(cohort, tmp_path / "prepared")[1] == [first]


def test_a_changed_row_is_made_anew(cohort: Cohort, tmp_path: Path) -> None:
    _prepare(cohort, tmp_path / "prepared")
    older = replace(cohort.entries[0], chronological_age_years=12.5)
    prepared, made = _prepare(replace(cohort, entries=(older, *cohort.entries[1:])), tmp_path / "prepared")
    assert made == [older.subject_id]
    assert load_slices(prepared.files(made)[0]).age_years == 12.5


def test_changed_labels_and_another_job_are_made_anew(cohort: Cohort, tmp_path: Path) -> None:
    _prepare(cohort, tmp_path / "prepared")
    labels = cohort.labels_path(cohort.entries[1])
    labels.write_bytes(labels.read_bytes())
    assert _prepare(cohort, tmp_path / "prepared")[1] == [cohort.entries[1].subject_id]
    assert len(_prepare(cohort, tmp_path / "prepared", SliceJob(labels_needed=False))[1]) == 2


def test_a_subject_without_labels_is_left_out_with_its_reason(cohort: Cohort, tmp_path: Path) -> None:
    entry = cohort.entries[0]
    cohort.labels_path(entry).unlink()
    cohort = replace(cohort, entries=(replace(entry, labels=None), *cohort.entries[1:]))
    prepared, _ = _prepare(cohort, tmp_path / "prepared")
    assert prepared.left_out == {entry.subject_id: "it has no labels; label it, or leave it out of this training"}
    assert prepared.files([entry.subject_id]) == []
    write_left_out([prepared], tmp_path / "left_out.csv")
    write_left_out([prepared], tmp_path / "left_out.csv")
    rows = (tmp_path / "left_out.csv").read_text().splitlines()
    assert rows == [
        "subject_id,reason",
        f'{entry.subject_id},"it has no labels; label it, or leave it out of this training"',
    ]
    kept, _ = _prepare(cohort, tmp_path / "unlabelled", SliceJob(labels_needed=False))
    assert load_slices(kept.files([entry.subject_id])[0]).labels is None


def test_labels_on_another_grid_and_unreadable_images_are_left_out(cohort: Cohort, tmp_path: Path) -> None:
    first, second = cohort.entries
    labels = nibabel.load(cohort.labels_path(first))
    moved = nibabel.Nifti1Image(np.asarray(labels.dataobj), labels.affine + np.array([[0, 0, 0, 5.0]] + [[0] * 4] * 3))
    nibabel.save(moved, cohort.labels_path(first))
    (cohort.folder / second.image).write_bytes(b"no image")
    prepared, _ = _prepare(cohort, tmp_path / "prepared")
    assert prepared.usable == ()
    assert "5 mm" in prepared.left_out[first.subject_id]
    assert second.subject_id in prepared.left_out


def test_another_plane_is_left_out(cohort: Cohort, tmp_path: Path) -> None:
    prepared, _ = _prepare(cohort, tmp_path / "prepared", SliceJob(plane=Plane.SAGITTAL))
    assert len(prepared.left_out) == 2


def test_waiting_ends_when_all_is_there(cohort: Cohort, tmp_path: Path) -> None:
    prepared, _ = _prepare(cohort, tmp_path / "prepared")
    assert wait_for_cohort(cohort, SliceJob(), tmp_path / "prepared") == prepared


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegionJob:
    """Cuts regions with a segmenter that draws the true labels."""
    draw_the_truth(monkeypatch)
    network = tmp_path / "segmenter.onnx"
    network.write_bytes(b"network")
    age = AgeStage(file="age.onnx", region_shape=(96, 96), max_slices=8, min_slices=1)
    return RegionJob(network, segment_stage(), age)


def test_regions_are_cut_as_serving_cuts_them(cohort: Cohort, tmp_path: Path, job: RegionJob) -> None:
    prepared, _ = _prepare(cohort, tmp_path / "prepared", job)
    assert prepared.usable
    for subject, file in zip(prepared.usable, prepared.files(prepared.usable), strict=True):
        assert load_regions(file).regions.shape[1:] == (3, 96, 96)
        counts = prepared.facts[subject]["dice_counts"]["distal_femur_metaphysis"]
        assert counts[0] == counts[1] > 0


def test_too_few_slices_are_a_reason(cohort: Cohort, tmp_path: Path, job: RegionJob) -> None:
    many = job.age.model_copy(update={"min_slices": 8})
    prepared, _ = _prepare(cohort, tmp_path / "prepared", replace(job, age=many))
    assert all("at least 8 are needed" in reason for reason in prepared.left_out.values())
    assert len(prepared.left_out) == 2


def test_another_segmenter_cuts_anew(cohort: Cohort, tmp_path: Path, job: RegionJob) -> None:
    _prepare(cohort, tmp_path / "prepared", job)
    job.segmenter.write_bytes(b"another network")
    assert len(_prepare(cohort, tmp_path / "prepared", job)[1]) == 2
