"""``kneeage study run``: options in, the page's place out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kneeage.study import run as study
from kneeage.study.results import SplitBy
from kneeage.study.run import StudyRequest

Run = Callable[..., Any]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command asked for, of a stand-in that does nothing."""
    found: dict[str, Any] = {}

    def stand_in(request: StudyRequest, runner: object, **more: Any) -> Path:
        found.update(vars(request), runner=runner, **more)
        more["say"]("a stage")
        return request.output / "report.html"

    monkeypatch.setattr(study, "run_study", stand_in)
    return found


def test_options_and_settings_reach_the_study(run: Run, asked: dict[str, Any]) -> None:
    words = "study run IN --external OUT --preset paper -o RUN --folds 0,2 --workers 1 folds=3 end_to_end.fit.epochs=2"
    result = run(*words.split(), "split_by=slice", "--external-subset", "test")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(Path("RUN") / "report.html")
    assert "a stage" in result.stderr
    assert (asked["internal"], asked["external"], asked["folds"]) == (Path("IN"), Path("OUT"), (0, 2))
    assert (asked["external_subset"], asked["segmenter"], asked["scheduler"]) == ("test", None, None)
    settings = asked["settings"]
    assert (settings.preset, settings.deal.folds, settings.deal.split_by) == ("paper", 3, SplitBy.SLICE)
    assert settings.training.end_to_end.fit.epochs == 2
    assert settings.training.model == "end_to_end"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--folds 0,x", "--folds takes whole numbers parted by commas, such as 0,1; found '0,x'"),
        ("--folds -1", "--folds takes whole numbers"),
        ("--preset none", "there is no preset 'none'; take one of default, paper"),
        ("foldz=3", "there is no setting foldz"),
        ("folds=1", "folds"),
        ("age_model.fit.batchsize=3", "the nearest is age_model.fit.batch_size"),
        ("split_by=knee", "split_by"),
        ("--workers 0", "--workers must be 1 or more"),
        ("--workers 2 --scheduler tcp://h:1", "not both"),
    ],
)
def test_what_cannot_be_asked_is_wrong_usage(run: Run, asked: dict[str, Any], words: str, said: str) -> None:
    result = run("study", "run", "IN", "--external", "OUT", "-o", "RUN", *words.split())
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not asked


def test_a_folder_that_is_no_cohort_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("study", "run", tmp_path, "--external", tmp_path, "-o", tmp_path / "run", "--workers", 1)
    assert result.exit_code == 3
    assert "is no cohort" in result.stderr
    assert not (tmp_path / "run").exists()
