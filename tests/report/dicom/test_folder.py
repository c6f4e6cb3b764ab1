"""The folder ``dicom`` inside the report's folder, as the pipeline writes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kneeage.core.errors import UsageError
from kneeage.core.result import Result
from kneeage.io.read import load
from kneeage.pipeline import Examination, write_documents
from tests.report.dicom.conftest import Case


def test_objects_lie_in_a_folder_of_their_own(cases: Callable[[str], Case], real: Result, tmp_path: Path) -> None:
    case = cases("coronal")
    write_documents(Examination(real, case.series, case.labels), tmp_path / "out", dicom="binary")
    names = {path.name for path in (tmp_path / "out" / "dicom").iterdir()}
    assert names == {"segmentation.dcm", "measurements.dcm", "preview.dcm"}
    assert (tmp_path / "out" / "result.json").exists()


def test_a_source_without_dicom_leaves_no_folder(real: Result, tmp_path: Path) -> None:
    values = np.arange(6 * 7 * 5, dtype=np.int16).reshape(6, 7, 5)
    nib.save(nib.Nifti1Image(values, np.diag([0.5, 3.0, 0.5, 1.0])), tmp_path / "knee.nii.gz")
    examination = Examination(real, load(tmp_path / "knee.nii.gz"), None)
    with pytest.raises(UsageError, match="leave out --dicom"):
        write_documents(examination, tmp_path / "out", dicom="labelmap")
    assert not (tmp_path / "out").exists()
