"""``kneeage segment``."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from kneeage.core.errors import UndecodableError
from kneeage.io import bundle
from tests.cli.conftest import Pipeline, Run
from tests.infer.knees import manifest


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A bundle in the place of every other: a virtual one, unless its manifest is changed."""
    model = SimpleNamespace(manifest=manifest())
    monkeypatch.setattr(bundle, "load_bundle", lambda _folder: model)
    return model


def test_it_says_what_was_seen(run: Run, stand_in: Pipeline, loaded: SimpleNamespace) -> None:
    done = run("segment", "knee.nii.gz", "-o", "labels.nii.gz", "--series", "1.2")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "Seen: distal_femur_physis, distal_femur_epiphysis, proximal_fibula" in done.stderr
    assert stand_in.asked == {
        "path": Path("knee.nii.gz"),
        "out": Path("labels.nii.gz"),
        "series": "1.2",
        "bundle": loaded,
    }


@pytest.mark.usefixtures("stand_in")
def test_labels_of_a_virtual_bundle_are_said_to_be_a_demonstration(run: Run, loaded: SimpleNamespace) -> None:
    demonstration = "Trained on a virtual cohort, demonstration only, not for forensic use."
    assert demonstration in run("segment", "knee.nii.gz", "-o", "labels.nii.gz").stderr
    loaded.manifest = manifest(population="a hospital")
    assert demonstration not in run("segment", "knee.nii.gz", "-o", "labels.nii.gz").stderr


@pytest.mark.usefixtures("loaded")
def test_a_refusal_ends_with_3(run: Run, stand_in: Pipeline) -> None:
    stand_in.error = UndecodableError("the pixels are cut short")
    done = run("segment", "knee", "-o", "labels.nii.gz")
    assert (done.exit_code, done.stderr) == (3, "kneeage: the pixels are cut short\n")
