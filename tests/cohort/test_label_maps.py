"""The reader of labels: for use it takes permanent labels alone, for mending whatever a drawing can hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from kneeage.cohort.label_maps import label_values, read_drawing, read_labels
from kneeage.core.errors import GeometryError, InputRefusedError
from kneeage.core.volume import Volume
from tests.cohort.folders import AFFINE, image, labels

READERS = (read_labels, read_drawing)
Reader = Callable[[Path, Volume, str], Volume | None]


def saved(folder: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """Save values of any type, shape (1, I, J, K)."""
    nib.save(nib.Nifti1Image(values[0], affine), folder / "l.nii.gz")
    return folder / "l.nii.gz"


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("error", [0.0, 4e-4, -4e-4])
def test_whole_numbers_are_taken_however_they_were_scaled(read: Reader, error: float, tmp_path: Path) -> None:
    found = read(saved(tmp_path, labels(3).array + np.float32(error)), image(0), "S1")
    assert found is not None
    assert found.array.dtype == np.uint8
    assert np.array_equal(found.array, labels(3).array)


def test_a_value_that_is_no_label_is_for_mending_only(tmp_path: Path) -> None:
    path = saved(tmp_path, labels(12).array)
    drawing = read_drawing(path, image(0), "S1")
    assert drawing is not None
    assert drawing.array.max() == 12
    with pytest.raises(InputRefusedError, match="subject 'S1': the value 12 is none of the permanent labels 0 to 11"):
        read_labels(path, image(0), "S1")


def test_nothing_drawn_is_for_mending_only(tmp_path: Path) -> None:
    path = saved(tmp_path, labels(0).array)
    assert read_drawing(path, image(0), "S1") is None
    with pytest.raises(InputRefusedError, match="subject 'S1': nothing is labelled"):
        read_labels(path, image(0), "S1")


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("value", [0.5, -1, 256, np.nan, np.inf])
def test_values_of_an_image_are_refused(read: Reader, value: float, tmp_path: Path) -> None:
    values = labels().array.astype(np.float32)
    values[0, 1, 2, 3] = value
    with pytest.raises(InputRefusedError, match="subject 'S1': the labels are not whole numbers from 0 to 255"):
        read(saved(tmp_path, values), image(0), "S1")


@pytest.mark.parametrize("read", READERS)
def test_another_grid_names_the_subject(read: Reader, tmp_path: Path) -> None:
    path = saved(tmp_path, labels().array, AFFINE @ np.diag([1, 1, 1.04, 1]))
    with pytest.raises(GeometryError, match=r"subject 'S1': the labels lie up to 1\.8 mm beside the image"):
        read(path, image(0), "S1")


@pytest.mark.parametrize("read", READERS)
def test_an_unreadable_file_names_the_subject(read: Reader, tmp_path: Path) -> None:
    (tmp_path / "l.nii.gz").write_bytes(b"nothing")
    with pytest.raises(InputRefusedError, match=r"subject 'S1': .*l.nii.gz"):
        read(tmp_path / "l.nii.gz", image(0), "S1")


@pytest.mark.parametrize("dtype", [np.int16, np.float64])
def test_any_type_becomes_uint8(dtype: Any) -> None:
    assert label_values(Volume(labels(11).array.astype(dtype), AFFINE)).array.dtype == np.uint8
