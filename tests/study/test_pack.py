"""A bundle from finished runs: what it says of itself, and what it does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kneeage.cohort.folder import POPULATION_NOT_STATED, read_cohort
from kneeage.core.anatomy import Sex
from kneeage.core.errors import BundleError, InputRefusedError, OutputError, UsageError
from kneeage.core.manifest import BundleManifest
from kneeage.io.bundle import load_bundle
from kneeage.learn import packing
from kneeage.learn.export import Parity
from kneeage.learn.virtual_bundle import split_sha256
from kneeage.study.pack import PackRequest, pack
from tests.learn.cohorts import make_six
from tests.learn.trained import AGE, SEGMENTER, trained, truth_is_drawn


@pytest.fixture(scope="module")
def request_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackRequest]:
    """A segmenter and an age model on the cohort of six, not yet packed."""
    place = tmp_path_factory.mktemp("runs")
    cohort = make_six(place / "six")
    segmenter = trained(cohort, place / "segmenter", SEGMENTER)
    with pytest.MonkeyPatch.context() as patch:
        truth_is_drawn(patch)
        age = trained(cohort, place / "age", AGE, segmenter)
        yield PackRequest(cohort, segmenter, (age,), place / "bundle")


@pytest.fixture(scope="module")
def packed(request_of: PackRequest) -> BundleManifest:
    return pack(request_of).manifest


def asked(request: PackRequest, output: Path, **changes: object) -> PackRequest:
    """The same request with changes."""
    return PackRequest(**{**vars(request), "output": output, **changes})


def stated(request: PackRequest, place: Path, population: str) -> PackRequest:
    """The same runs and cohort, of another population."""
    cohort, age = place / "cohort", place / "age"
    shutil.copytree(request.cohort, cohort)
    shutil.copytree(request.age_runs[0], age)
    for path in (cohort / "cohort.json", age / "training.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "population": population}))
    return asked(request, place / "bundle", cohort=cohort, age_runs=(age,))


def test_what_the_runs_say_is_in_the_manifest(request_of: PackRequest, packed: BundleManifest) -> None:
    learners = [entry for entry in read_cohort(request_of.cohort).entries if entry.subset == "training"]
    assert (packed.name, packed.version, packed.licence) == ("bundle", "1.0.0", "not stated")
    assert (packed.population, packed.sexes, packed.sequences) == ("virtual", [Sex.MALE], ["T1"])
    assert packed.recipe["name"] == "default"
    assert packed.training_split_sha256 == split_sha256(entry.subject_id for entry in learners)
    assert packed.training == {
        "segmenter_subjects": 2,
        "segmenter_steps": packed.training["segmenter_steps"],
        "age_models": 1,
        "age_model_subjects": 2,
        "age_model_steps": packed.training["age_model_steps"],
        "validation_subjects": 1,
    }
    assert 11 <= packed.age_edges_years[0] < packed.age_edges_years[-1] <= 12
    assert packed.age_range_years == (packed.age_edges_years[0], packed.age_edges_years[-1])


def test_what_nobody_fitted_is_absent(packed: BundleManifest) -> None:
    assert (packed.calibration.subjects, packed.calibration.conformal, packed.calibration.thickness) == (0, None, {})
    assert packed.policy.decides_nothing
    assert (packed.references, packed.novelty, packed.quality_limits, packed.growth_limits) == (None, None, None, [])
    assert (packed.held_out, packed.lineage) == ({}, None)


def test_the_card_holds_counts_and_no_subject(request_of: PackRequest, packed: BundleManifest) -> None:
    bundle = load_bundle(request_of.output)
    card = bundle.model_bytes("MODEL_CARD.md").decode()
    assert card.startswith(f"# bundle {packed.version}\n**Trained on a virtual cohort, demonstration only")
    assert "| all | 0 | 2 | 0 | 1 |" in card.replace("| all | 2 | 0 | 1 | 0 |", "| all | 0 | 2 | 0 | 1 |")
    for needed in ("They chose the checkpoint", "## Must not be used for", "every threshold decision is `undetermined`",
                   "| nll |", "| open plates |", '"max_steps": 2', "| segmenter.onnx |"):  # fmt: skip
        assert needed in card
    written = card + bundle.model_bytes("bundle.json").decode()
    assert not [entry for entry in read_cohort(request_of.cohort).entries if entry.subject_id in written]
    assert str(request_of.cohort.parent) not in written


def test_a_person_s_bundle_says_that_it_was_tested_on_nobody(request_of: PackRequest, tmp_path: Path) -> None:
    request = stated(request_of, tmp_path, "boys, Hospital X")
    assert pack(request).manifest.population == "boys, Hospital X"
    card = (request.output / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "**Not calibrated, and tested on nobody.**" in card
    assert "The segmenter learned from 2 labelled subjects of the population virtual" in " ".join(card.split())


def test_a_population_that_is_not_stated_must_be_said(request_of: PackRequest, tmp_path: Path) -> None:
    request = stated(request_of, tmp_path, POPULATION_NOT_STATED)
    for population in (None, "virtual", POPULATION_NOT_STATED):
        with pytest.raises(UsageError, match="say with --population"):
            pack(asked(request, tmp_path / "bundle", population=population))
    assert pack(asked(request, tmp_path / "bundle", population="boys")).manifest.population == "boys"


def test_a_population_that_is_stated_is_not_overruled(request_of: PackRequest, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the cohort states its population, 'virtual'"):
        pack(asked(request_of, tmp_path / "bundle", population="boys"))


def test_another_cohort_is_refused_without_naming_anybody(request_of: PackRequest, tmp_path: Path) -> None:
    cohort = Path(shutil.copytree(request_of.cohort, tmp_path / "cohort"))
    lines = (cohort / "subjects.csv").read_text().splitlines(keepends=True)
    (cohort / "subjects.csv").write_text("".join(lines[:-1]))
    with pytest.raises(InputRefusedError, match="learned from another cohort") as refused:
        pack(asked(request_of, tmp_path / "bundle", cohort=cohort))
    assert lines[-1].split(",")[0] not in str(refused.value)


def test_a_taken_folder_is_refused_before_any_work(request_of: PackRequest, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not empty"):
        pack(asked(request_of, request_of.cohort, cohort=tmp_path))


def test_nothing_is_written_where_the_networks_answer_otherwise(
    request_of: PackRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "parity", lambda *_: Parity(1.0, 5))
    with pytest.raises(BundleError, match=r"segmenter\.onnx does not answer as the network that was trained"):
        pack(asked(request_of, tmp_path / "bundle"))
    assert not list(tmp_path.iterdir())
