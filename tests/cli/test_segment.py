"""``kneeage segment``."""

from __future__ import annotations

from pathlib import Path

from kneeage.core.errors import UndecodableError
from tests.cli.conftest import Pipeline, Run


def test_it_says_what_was_seen(run: Run, stand_in: Pipeline) -> None:
    done = run("segment", "knee.nii.gz", "-o", "labels.nii.gz", "--series", "1.2")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "Seen: distal_femur_physis, distal_femur_epiphysis, proximal_fibula" in done.stderr
    assert stand_in.asked == {
        "path": Path("knee.nii.gz"),
        "out": Path("labels.nii.gz"),
        "series": "1.2",
        "bundle": None,
    }


def test_a_refusal_ends_with_3(run: Run, stand_in: Pipeline) -> None:
    stand_in.error = UndecodableError("the pixels are cut short")
    done = run("segment", "knee", "-o", "labels.nii.gz")
    assert (done.exit_code, done.stderr) == (3, "kneeage: the pixels are cut short\n")
