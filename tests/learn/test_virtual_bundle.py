"""The making of a virtual bundle, in miniature."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kneeage.core.errors import InputRefusedError
from kneeage.io.bundle import SHIPPED_BUNDLE, load_bundle
from kneeage.learn.settings import AgeModelSettings, FitSettings, SegmenterSettings
from kneeage.learn.virtual_bundle import VirtualBundleSettings, make_virtual_bundle, split_sha256

QUICK = FitSettings(batch_size=2, max_steps=2, steps_per_epoch=2, progress_bar=False, precision="32-true")
TINY = VirtualBundleSettings(
    pool_subjects=2,
    pool_validation_subjects=1,
    training_subjects=3,
    validation_subjects=2,
    test_subjects=2,
    segmenter=SegmenterSettings(fit=QUICK, widths=(4, 4, 8, 8, 8, 8), size=128, validation_slices=2),
    age_model=AgeModelSettings(fit=QUICK, width=0.125, slices_per_subject=2),
    workers=1,
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder in which the segmenter is there already: the shipped one, so that plates are found."""
    folder = tmp_path_factory.mktemp("work")
    shutil.copy(SHIPPED_BUNDLE / "segmenter.onnx", folder / "segmenter.onnx")
    return folder


def test_a_bundle_is_made_and_goes_on_where_it_stopped(work: Path, tmp_path: Path) -> None:
    manifest = make_virtual_bundle(tmp_path / "bundle", work, TINY)
    assert load_bundle(tmp_path / "bundle").manifest == manifest
    assert manifest.is_virtual
    assert manifest.calibration.subjects == len(list((work / "validation" / "regions").iterdir())) > 0
    assert manifest.held_out["subjects"] == 2
    assert 0 <= manifest.held_out["exact_year_accuracy"] <= 1
    assert manifest.held_out["dice_distal_femur_epiphysis"] > 0.7
    seeds = [json.loads(path.read_text())["seed"] for path in (work / "training" / "facts").iterdir()]
    assert manifest.training_split_sha256 == split_sha256([*seeds, 22_000_000, 22_000_001])
    made = {path: path.stat().st_mtime_ns for path in work.rglob("*.npz")}
    again = make_virtual_bundle(tmp_path / "again", work, TINY)
    assert again.held_out == manifest.held_out
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*.npz")} == made


def test_the_split_does_not_depend_on_order() -> None:
    assert split_sha256([3, 1, 2]) == split_sha256([1, 2, 3])
    assert split_sha256([1, 2]) != split_sha256([1, 2, 3])


def test_the_segmenter_is_trained_on_painted_pools(tmp_path: Path) -> None:
    """An untrained network finds no plate, so the making ends before the age model, with a clear word."""
    nothing = replace(TINY, training_subjects=1, validation_subjects=1, test_subjects=1)
    with pytest.raises(InputRefusedError, match=r"no \.npz file of regions"):
        make_virtual_bundle(tmp_path / "bundle", tmp_path / "work", nothing)
    assert (tmp_path / "work" / "segmenter.onnx").stat().st_size > 1000
    assert not (tmp_path / "bundle").exists()
