"""``kneeage labels``: to ITK-SNAP and back, and checks in words, JSON and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kneeage import pipeline
from kneeage.io import bundle
from kneeage.io.nifti import read_values, write_image, write_labels
from tests.cli.conftest import Run
from tests.cohort.drawn import make_cohort, redrawn, subject


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Two subjects, the second without labels."""
    return make_cohort(tmp_path / "Kohorte", "v1", "膝2", unlabelled=("膝2",))


def save(path: Path, *values: int, to: int, slices: tuple[int, ...] = ()) -> None:
    """Draw something else."""
    path.unlink()
    write_labels(path, redrawn(subject().labels, *values, slices=slices, to=to))


def test_out_and_back(run: Run, cohort: Path, tmp_path: Path) -> None:
    done = run("labels", "export", cohort, "-o", tmp_path / "desk")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'desk'}\n")
    assert "2 written: 1 with the cohort's labels, 0 with a draft, 1 empty. 0 were there" in done.stderr
    again = run("labels", "export", cohort, "-o", tmp_path / "desk")
    assert "0 written: 0 with the cohort's labels, 0 with a draft, 0 empty. 2 were there and are kept." in again.stderr
    save(tmp_path / "desk/v1/labels.nii.gz", 8, to=0)
    taken = run("labels", "import", tmp_path / "desk", cohort)
    assert taken.exit_code == 0, taken.stderr
    assert "0 added, 1 replaced, 0 unchanged." in taken.stderr
    assert "replaced_labels" in taken.stderr
    assert "Left out, since nothing is drawn yet: 膝2." in taken.stderr
    assert 8 not in read_values(cohort / "subjects/v1/labels.nii.gz").array
    assert 8 in read_values(cohort / "replaced_labels/v1-1.nii.gz").array


def test_every_empty_segmentation_is_named(run: Run, tmp_path: Path) -> None:
    names = [f"v{number}" for number in range(7)]
    cohort = make_cohort(tmp_path / "cohort", *names, unlabelled=tuple(names))
    run("labels", "export", cohort, "-o", tmp_path / "desk")
    done = run("labels", "import", tmp_path / "desk", cohort)
    assert f"Left out, since nothing is drawn yet: {', '.join(names)}." in done.stderr


def test_errors_stop_an_import(run: Run, cohort: Path, tmp_path: Path) -> None:
    run("labels", "export", cohort, "-o", tmp_path / "desk")
    save(tmp_path / "desk/v1/labels.nii.gz", 1, to=12, slices=(6,))
    before = (cohort / "subjects/v1/labels.nii.gz").read_bytes()
    done = run("labels", "import", tmp_path / "desk", cohort)
    assert done.exit_code == 3
    assert "error: v1, slice 6: the value 12 is none of the permanent labels" in done.stdout
    assert "1 error in the labels: nothing was imported; mend them and import again" in done.stderr
    assert (cohort / "subjects/v1/labels.nii.gz").read_bytes() == before
    told = json.loads(run("labels", "import", tmp_path / "desk", cohort, "--json").stdout)
    assert (told["imported"], told["empty"]) == (False, ["膝2"])
    assert told["findings"][0]["slices"] == [6]


def test_chosen_subjects_are_exported(run: Run, cohort: Path, tmp_path: Path) -> None:
    assert run("labels", "export", cohort, "-o", tmp_path / "desk", "--subject", "膝2").exit_code == 0
    assert [path.name for path in (tmp_path / "desk").iterdir()] == ["膝2"]
    done = run("labels", "export", cohort, "-o", tmp_path / "desk", "--subject", "v9")
    assert (done.exit_code, "--subject: v9 not in the cohort" in done.stderr) == (2, True)


@pytest.mark.parametrize("option", ["--draft", "--from-bundle"])
def test_a_bundle_drafts(option: str, run: Run, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = SimpleNamespace(source_labels=subject(seed=5).labels)
    examiner = SimpleNamespace(prepare=lambda series: series, segment=lambda _prepared: drawn)
    monkeypatch.setattr(bundle, "load_bundle", lambda folder: folder)
    monkeypatch.setattr(pipeline, "Examiner", lambda _bundle: examiner)
    done = run("labels", "export", cohort, "-o", tmp_path / "desk", option, "--bundle", "b")
    assert "1 with the cohort's labels, 1 with a draft, 0 empty" in done.stderr
    values = read_values(tmp_path / "desk/膝2/labels.nii.gz").array
    np.testing.assert_array_equal(values, subject(seed=5).labels.array)


def test_a_subject_that_cannot_be_exported_is_named(run: Run, cohort: Path, tmp_path: Path) -> None:
    (cohort / "subjects/v1/image.nii.gz").write_bytes(b"nothing")
    done = run("labels", "export", cohort, "-o", tmp_path / "desk")
    assert done.exit_code == 3
    assert "Not exported: subject 'v1': " in done.stderr
    assert (tmp_path / "desk/膝2/膝2.itksnap").exists()


def test_one_series_is_exported(run: Run, cohort: Path, tmp_path: Path) -> None:
    image = cohort / "subjects/v1/image.nii.gz"
    done = run("labels", "export", image, "-o", tmp_path / "desk")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'desk' / 'series'}\n")
    assert run("labels", "export", image, "-o", tmp_path / "desk", "--subject", "k7").exit_code == 0
    assert (tmp_path / "desk/k7/k7.itksnap").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--bundle", "b"), "--bundle goes with --draft"),
        (("--series", "1.2"), "--series goes with a single series"),
    ],
)
def test_options_that_do_not_go_together(options: tuple[str, ...], words: str, run: Run, cohort: Path) -> None:
    done = run("labels", "export", cohort, "-o", cohort / "desk", *options)
    assert (done.exit_code, words in done.stderr) == (2, True)


@pytest.mark.parametrize("names", [("a", "b"), ("../up",)])
def test_a_series_has_one_sound_name(names: tuple[str, ...], run: Run, cohort: Path, tmp_path: Path) -> None:
    named = [part for name in names for part in ("--subject", name)]
    image = cohort / "subjects/v1/image.nii.gz"
    done = run("labels", "export", image, "-o", tmp_path / "desk", *named)
    assert (done.exit_code, "--subject" in done.stderr) == (2, True)
    assert not (tmp_path / "desk").exists()


def test_a_sound_cohort_passes(run: Run, cohort: Path) -> None:
    done = run("labels", "check", cohort)
    assert done.exit_code == 0, done.stdout
    assert "Without labels: 膝2." in done.stderr
    assert "1 checked: 0 errors" in done.stderr
    assert all(line.startswith("warning: v1, ") for line in done.stdout.splitlines())


def test_a_cohort_with_an_error_does_not_pass(run: Run, cohort: Path) -> None:
    save(cohort / "subjects/v1/labels.nii.gz", 1, 9, to=0, slices=(6,))
    done = run("labels", "check", cohort)
    assert done.exit_code == 3
    assert "error: v1, slice 6, distal_femur_physis: the plate is not labelled here" in done.stdout
    told = json.loads(run("labels", "check", cohort, "--json").stdout)
    assert (told["checked"], told["errors"]) == (1, 1)
    assert told["findings"][0] == {
        "kind": "missing_in_slice",
        "severity": "error",
        "words": "the plate is not labelled here, and labelled before and after; label it here too, open or scar",
        "label": "distal_femur_physis",
        "slices": [6],
        "subject_id": "v1",
    }


def test_one_file_is_checked_with_and_without_its_image(run: Run, cohort: Path, tmp_path: Path) -> None:
    labels, image = cohort / "subjects/v1/labels.nii.gz", cohort / "subjects/v1/image.nii.gz"
    assert run("labels", "check", labels).exit_code == 0
    assert run("labels", "check", labels, image).exit_code == 0
    other = subject().volume.reoriented("RAS")
    write_image(tmp_path / "other.nii.gz", other.__class__(other.array[:, 1:], other.affine))
    done = run("labels", "check", labels, tmp_path / "other.nii.gz")
    assert done.exit_code == 3
    assert "error: the labels have (96, 96, 12) voxels and the image (95, 12, 96)" in done.stdout


def test_what_does_not_go_with_a_check(run: Run, cohort: Path) -> None:
    image = cohort / "subjects/v1/image.nii.gz"
    assert run("labels", "check", cohort, image).exit_code == 2
    assert run("labels", "check", image, "--series", "1.2").exit_code == 2
    assert run("labels", "check", cohort / "nothing.nii.gz").exit_code == 3
