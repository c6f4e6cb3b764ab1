"""A cohort as a folder, imported or virtual."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kneeage.cohort.folder import Cohort, pixel_key, read_cohort, study_key
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Plane, Sex, Side
from kneeage.core.errors import AmbiguousSeriesError, GeometryError, InputRefusedError
from kneeage.core.volume import Volume
from kneeage.io.nifti import write_image, write_labels
from kneeage.phantom.cohort.make import make_cohort
from tests.cohort.folders import AFFINE, SHAPE, cohort_of, image, labels, person, read_table
from tests.io.support import Made, write_series
from tests.phantom.miniature import small_recipe


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cohort_of(tmp_path_factory.mktemp("two"), [person("S1", side="left"), person("S2", sex="f")])


@pytest.fixture(scope="module")
def virtual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("virtual") / "cohort"
    make_cohort(folder, small_recipe(subjects=2), map, lambda *_: None)
    return folder


def test_an_imported_cohort(two: Path) -> None:
    cohort = read_cohort(two)
    assert [entry.subject_id for entry in cohort.entries] == ["S1", "S2"]
    assert (cohort.population, cohort.is_virtual) == ("not stated", False)
    first = cohort.entries[0]
    series = cohort.series(first)
    assert (series.header.side, series.header.side_source, series.plane) == (
        Side.LEFT,
        "cohort table",
        Plane.CORONAL,
    )
    assert np.array_equal(series.volume.array, image(0).array)
    assert first.pixel_sha256 == pixel_key(series.volume)
    assert cohort.age_class(first) == 14


def test_labels_lie_on_the_image_s_grid(two: Path) -> None:
    cohort = read_cohort(two)
    found = cohort.labels(cohort.entries[0])
    assert found is not None
    assert found.array.dtype == np.uint8
    assert np.array_equal(found.array, labels().array)
    assert np.array_equal(found.affine, cohort.series(cohort.entries[0]).volume.affine)


def test_a_virtual_cohort(virtual: Path) -> None:
    cohort = read_cohort(virtual)
    assert cohort.is_virtual
    table = read_table(virtual / "subjects.csv")
    for entry, row in zip(cohort.entries, table, strict=True):
        assert (entry.subject_id, entry.subset) == (row["subject_id"], row["subset"])
        assert entry.chronological_age_years == float(row["chronological_age_years"])
        assert entry.extra["seed"] == row["seed"]
        series = cohort.series(entry)
        assert series.header.virtual
        assert series.header.side.value == row["side"]
        found = cohort.labels(entry)
        assert found is not None
        assert found.shape == series.volume.shape
        assert found.array.any()


def test_no_labels_are_none(two: Path) -> None:
    cohort = read_cohort(two)
    assert cohort.labels(replace(cohort.entries[0], subject_id="S9")) is None


@pytest.mark.parametrize(
    ("drawn", "error", "words"),
    [
        (Volume(labels().array[..., :-1], AFFINE), GeometryError, "'S1': the labels have .* voxels and the image"),
        (Volume(labels().array, AFFINE @ np.diag([1, 1, 1.04, 1])), GeometryError, "lie up to 1.8 mm beside the image"),
        (Volume(np.zeros(SHAPE, np.uint8), AFFINE), InputRefusedError, "'S1': nothing is labelled"),
    ],
)
def test_misfit_labels_are_refused(
    drawn: Volume, error: type[Exception], words: str, two: Path, tmp_path: Path
) -> None:
    cohort = read_cohort(two)
    write_labels(tmp_path / "l.nii.gz", drawn)
    misfit = Cohort(tmp_path, {}, ())
    entry = replace(cohort.entries[0], image=str(two / cohort.entries[0].image), labels="l.nii.gz")
    with pytest.raises(error, match=words):
        misfit.labels(entry)


def test_labels_that_are_no_whole_numbers(two: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "l.nii.gz", Volume(labels().array + np.float32(0.5), AFFINE))
    entry = replace(read_cohort(two).entries[0], image=str(two / "subjects/S1/image.nii.gz"), labels="l.nii.gz")
    with pytest.raises(InputRefusedError, match="the labels are not whole numbers"):
        Cohort(tmp_path, {}, ()).labels(entry)


def test_the_only_series_is_read_whatever_its_weighting(tmp_path: Path) -> None:
    entry = SubjectEntry("S1", Sex.MALE, 14.5, "A", None, "series")
    write_series(tmp_path / "series", Made().but(RepetitionTime=3200, EchoTime=100))
    assert Cohort(tmp_path, {}, ()).series(entry).header.weighting == "T2"
    write_series(tmp_path / "series", Made(uid="1.2.9").but(RepetitionTime=3200, EchoTime=90))
    with pytest.raises(AmbiguousSeriesError, match="subject 'S1': no series is suitable"):
        Cohort(tmp_path, {}, ()).series(entry)


def test_a_missing_image_names_the_subject(two: Path) -> None:
    cohort = read_cohort(two)
    with pytest.raises(InputRefusedError, match=r"subject 'S1': 'none.nii.gz' is not there"):
        cohort.series(replace(cohort.entries[0], image="none.nii.gz"))


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (None, "is no cohort: it has no sound cohort.json"),
        ("[]", "is no cohort"),
        ('{"schema_version": "2.0"}', "states schema version 2.0; this program reads"),
        ('{"schema_version": "1.7"}', "has no subjects.csv yet: the run that makes the cohort was broken off"),
    ],
)
def test_folders_that_are_no_whole_cohort(manifest: str | None, words: str, tmp_path: Path) -> None:
    if manifest is not None:
        (tmp_path / "cohort.json").write_text(manifest, encoding="utf-8")
    with pytest.raises(InputRefusedError, match=words):
        read_cohort(tmp_path)


def test_one_image_has_one_key_in_any_order_of_its_axes() -> None:
    one = image(3)
    moved = Volume(one.array, one.affine + 1e-4 * np.eye(4)[:, 3:].T)
    keys = {pixel_key(each) for each in (one, moved, one.reoriented("RAS"), one.reoriented("PSL"))}
    assert len(keys) == 1
    assert pixel_key(one.with_array(one.array + 1)) not in keys


def test_a_study_s_key_says_nothing_of_its_uid() -> None:
    key = study_key("1.2.3")
    assert key is not None
    assert (len(key), "1.2.3" in key, study_key(None)) == (64, False, None)


def test_a_manifest_says_what_made_the_cohort(two: Path) -> None:
    manifest = json.loads((two / "cohort.json").read_bytes())
    assert (manifest["schema_version"], manifest["made_by"], manifest["population"]) == ("1.1", "import", "not stated")
