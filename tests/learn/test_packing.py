"""Networks of finished runs: whether they belong together, and whether they answer in ONNX Runtime as in torch."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from kneeage.cohort.folder import read_cohort
from kneeage.cohort.split import Group
from kneeage.core.errors import BundleError, InputRefusedError, UsageError
from kneeage.learn import packing
from kneeage.learn.export import Parity
from kneeage.learn.finished import FINISHED_FILE, SEGMENTER, TRAINING_FILE, read_finished
from kneeage.learn.packing import Trained, age_shares, compare, read_trained, seen_bins
from tests.learn.cohorts import make_six
from tests.learn.trained import AGE, END_TO_END, trained, truth_is_drawn
from tests.learn.trained import SEGMENTER as SEGMENTER_SETTINGS

ALL = slice(None)


@dataclass(frozen=True)
class Runs:
    """What was trained on the cohort of six."""

    cohort: Path
    segmenter: Path
    ages: tuple[Path, Path]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """A segmenter, and two age models behind it; the truth is drawn as long as they are used."""
    place = tmp_path_factory.mktemp("runs")
    cohort = make_six(place / "six")
    segmenter = trained(cohort, place / "segmenter", SEGMENTER_SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        truth_is_drawn(patch)
        first = trained(cohort, place / "first", AGE, segmenter)
        other = replace(AGE, fit=replace(AGE.fit, seed=7))
        yield Runs(cohort, segmenter, (first, trained(cohort, place / "second", other, segmenter)))


@pytest.fixture
def own(runs: Runs, tmp_path: Path) -> Runs:
    """The same runs, to be altered."""
    places = [Path(shutil.copytree(run, tmp_path / run.name)) for run in (runs.segmenter, *runs.ages)]
    return Runs(runs.cohort, places[0], (places[1], places[2]))


def alter(path: Path, **changes: object) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_finished_run_says_what_it_is(runs: Runs) -> None:
    found = read_finished(runs.segmenter)
    assert (found.network, found.population, found.end["steps"]) == (SEGMENTER, "virtual", found.end["steps"])
    assert (len(found.used(Group.TRAINING)), len(found.used(Group.VALIDATION))) == (2, 1)
    assert found.preparation["plane"] == "coronal"
    assert found.preparation["recipe"]["name"] == "default"
    assert "dice_open_plates" in found.best_validation("dice_open_plates", largest=True)


def test_an_ensemble_is_exported_as_it_was_trained(runs: Runs) -> None:
    found = read_trained(runs.segmenter, runs.ages)
    networks = found.networks(ALL)
    assert list(networks) == ["segmenter.onnx", "age_1.onnx", "age_2.onnx"]
    assert networks["segmenter.onnx"] == (runs.ages[0] / "segmenter.onnx").read_bytes()
    told: list[int] = []
    parity = compare(found, networks, read_cohort(runs.cohort), ALL, lambda done, _: told.append(done))
    assert (list(parity), told) == (list(networks), [1])
    assert all(each.largest_difference < 1e-3 and each.changed_labels == 0 for each in parity.values())


def test_networks_that_answer_otherwise_are_refused(runs: Runs) -> None:
    found = read_trained(runs.segmenter, runs.ages)
    networks = found.networks(ALL)
    swapped = {**networks, "age_2.onnx": networks["age_1.onnx"]}
    with pytest.raises(BundleError, match=r"age_2\.onnx does not answer as the network that was trained"):
        compare(found, swapped, read_cohort(runs.cohort), ALL)


@pytest.mark.parametrize("found", [Parity(2e-3, 0), Parity(1e-5, 1), Parity(float("nan"), 0)])
def test_no_difference_and_no_changed_label_are_tolerated(found: Parity) -> None:
    with pytest.raises(BundleError, match="the export is faulty"):
        packing._require_parity({"age.onnx": found})


def test_a_run_that_was_broken_off_is_refused(own: Runs) -> None:
    (own.ages[0] / FINISHED_FILE).unlink()
    with pytest.raises(InputRefusedError, match="is not finished"):
        read_trained(own.segmenter, own.ages)


def test_a_run_that_goes_on_is_not_finished(own: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr("kneeage.learn.train_cohort._trained", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(own.cohort, own.segmenter, SEGMENTER_SETTINGS)
    with pytest.raises(InputRefusedError, match="is not finished"):
        read_finished(own.segmenter)


def test_a_checkpoint_that_changed_is_refused(own: Runs) -> None:
    shutil.copy(own.ages[1] / "best.ckpt", own.ages[0] / "best.ckpt")
    with pytest.raises(InputRefusedError, match="not the one that the training ended with"):
        read_trained(own.segmenter, own.ages)


def test_another_segmenter_is_refused_by_name(own: Runs, tmp_path: Path) -> None:
    more = replace(SEGMENTER_SETTINGS, fit=replace(SEGMENTER_SETTINGS.fit, seed=3))
    other = trained(own.cohort, tmp_path / "other", more)
    with pytest.raises(InputRefusedError, match="was trained behind another segmenter, named 'segmenter'"):
        read_trained(other, own.ages)


def test_a_segmenter_s_file_that_changed_is_refused(own: Runs) -> None:
    (own.ages[0] / "segmenter.onnx").write_bytes(b"another")
    with pytest.raises(InputRefusedError, match="not as the run left it"):
        read_trained(own.segmenter, own.ages).networks(ALL)


def test_another_recipe_is_refused(own: Runs) -> None:
    end = json.loads((own.segmenter / FINISHED_FILE).read_text())
    alter(own.segmenter / FINISHED_FILE, preparation={**end["preparation"], "recipe": {"name": "paper"}})
    with pytest.raises(InputRefusedError, match="another recipe of preparation"):
        read_trained(own.segmenter, own.ages)


def test_an_ensemble_of_different_kinds_is_refused(own: Runs) -> None:
    alter(own.ages[1] / TRAINING_FILE, population="Hospital X")
    with pytest.raises(InputRefusedError, match="were trained with another population"):
        read_trained(own.segmenter, own.ages)
    with pytest.raises(UsageError, match="named twice"):
        read_trained(own.segmenter, [own.ages[0], own.ages[0]])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"facts": ("height",)}, "told different facts"),
        ({"age_edges_years": (8, 11, 11.5, 26)}, "in different age bins"),
    ],
)
def test_an_ensemble_that_is_told_or_answers_otherwise_is_refused(
    runs: Runs, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    other = trained(runs.cohort, tmp_path / "other", replace(AGE, **changes), runs.segmenter)
    with pytest.raises(InputRefusedError, match=said):
        read_trained(runs.segmenter, [runs.ages[0], other])


def test_runs_of_another_kind_are_refused(own: Runs, tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match=re.escape("holds a segmenter, not an age model")):
        read_trained(own.segmenter, [own.segmenter])
    with pytest.raises(InputRefusedError, match="holds an age model, not a segmenter"):
        read_trained(own.ages[0], own.ages)
    with pytest.raises(InputRefusedError, match="holds no run of 'kneeage train'"):
        read_trained(own.segmenter, [tmp_path])


def test_the_paper_s_model_is_refused_with_what_to_do(own: Runs, tmp_path: Path) -> None:
    run = trained(own.cohort, tmp_path / "paper", END_TO_END, own.segmenter)
    with pytest.raises(InputRefusedError, match="bundles have no such stage; train an age model with --preset default"):
        read_trained(own.segmenter, [run])


def test_an_age_model_is_not_gone_on_with_behind_another_segmenter(own: Runs) -> None:
    shutil.copy(own.segmenter / "last.ckpt", own.segmenter / "best.ckpt")
    alter(own.ages[0] / TRAINING_FILE, segmenter_sha256="0" * 64)
    with pytest.raises(UsageError, match="another segmenter sha256"):
        trained(own.cohort, own.ages[0], AGE, own.segmenter)


def test_bins_are_those_between_the_youngest_and_the_oldest_learner() -> None:
    edges = (8.0, 10.0, 12.0, 14.0, 16.0)
    assert seen_bins([10.5, 15.0], edges) == slice(1, 4)
    assert seen_bins([3.0, 99.0], edges) == slice(0, 4)
    with pytest.raises(InputRefusedError, match="lie in one bin, 10 to 12 years"):
        seen_bins([10.5, 11.5], edges)


def test_no_bin_of_the_training_ages_is_empty() -> None:
    assert age_shares([8.5, 8.6], (8, 9, 10)) == pytest.approx([0.75, 0.25])


def test_only_the_bins_that_were_seen_are_answered_for(runs: Runs) -> None:
    import onnxruntime

    found = read_trained(runs.segmenter, runs.ages[:1])
    inputs = {"image": np.ones((2, 3, 64, 64), np.float32), "facts": np.ones((1, 1), np.float32)}
    every, some = (
        onnxruntime.InferenceSession(found.networks(bins)["age.onnx"]).run(["logits"], inputs)[0]
        for bins in (ALL, slice(3, 6))
    )
    assert some == pytest.approx(every[:, 3:6], abs=1e-5)


def test_trained_names_its_stages(runs: Runs) -> None:
    found: Trained = read_trained(runs.segmenter, runs.ages)
    assert (found.age_stage.region_shape, found.age_stage.fact_names) == ((64, 64), ["sex"])
    assert found.segment_stage.size_multiple == 4
