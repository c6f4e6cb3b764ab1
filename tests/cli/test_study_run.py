"""``kneeage study run``: options in, the page's place out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kneeage.cli import speak
from kneeage.study import collect
from kneeage.study import keep as keeping
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
        ("--preset none", "there is no preset 'none'; take one of default, forensic, paper"),
        ("foldz=3", "there is no setting foldz; the nearest is folds"),
        ("split.seed=3", "the nearest is split_seed"),
        ("folds=1", "kneeage: settings do not fit: folds: Input should be greater than or equal to 2"),
        ("folds=two", "kneeage: settings do not fit: folds: Input should be a valid integer"),
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


def test_a_log_is_told_once_a_minute_how_far_a_stage_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(speak.time, "monotonic", lambda: now[0])
    lines = speak.Lines("Preparing subjects")
    for seconds, done in ((0, 100), (30, 130), (60, 160), (90, 190), (120, 220)):
        now[0] = float(seconds)
        lines(done, 400)
    lines(0, 50)
    now[0] = 240.0
    lines(30, 50)
    assert capsys.readouterr().err.splitlines() == [
        "Preparing subjects: 160 of 400, about 4 min left",
        "Preparing subjects: 220 of 400, about 3 min left",
        "Preparing subjects: 30 of 50, about 1 min left",
    ]


def test_the_page_is_made_again_and_the_small_files_are_kept(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Path, ...]] = []
    monkeypatch.setattr(collect, "write_documents", lambda *places: calls.append(places) or Path("page.html"))
    monkeypatch.setattr(keeping, "keep_study", lambda *places: calls.append(places) or 512_000)
    result = run("study", "page", tmp_path, "-o", "OUT")
    assert (result.exit_code, result.stdout.strip()) == (0, "page.html")
    result = run("study", "keep", tmp_path, "KEPT")
    assert (result.exit_code, result.stdout.strip()) == (0, "KEPT")
    assert "512 kB" in result.stderr
    assert calls == [(tmp_path, Path("OUT")), (tmp_path, Path("KEPT"))]


def test_a_page_of_no_study_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("study", "page", tmp_path)
    assert result.exit_code == 3
    assert "holds no study: it has no plan.json" in " ".join(result.stderr.split())
