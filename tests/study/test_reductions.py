"""What is said beside the numbers: the world, and what was done in small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from kneeage.phantom.growth.table import TABLES
from kneeage.study.reductions import reduction_sentences, used_settings, world_sentence
from kneeage.study.results import TrainingLog
from kneeage.study.settings import study_settings

_PRESET = {"preset": "table1-tight", "subjects": 1553}


def plan(changes: Sequence[str] = (), preset: str = "default", **more: Any) -> dict[str, Any]:
    """What a study follows from."""
    sides = {"internal": {"manifest": _PRESET}, "external": {"manifest": _PRESET, "subset": None}}
    settings = study_settings(preset, changes).as_json()
    return {"settings": settings, "segmenter": {"name": "b", "version": "1"}, **sides, **more}


def sentences(logs: Sequence[TrainingLog] = (), **more: Any) -> list[str]:
    """What is said of a plan."""
    return list(reduction_sentences(plan(**more), logs))


def steps(preset: str, part: str) -> str:
    """How many steps a preset trains."""
    return f"{getattr(study_settings(preset, []).training, part).fit.max_steps:,}"


def test_the_tight_world_is_seven_times_tighter_than_biology() -> None:
    sds = {
        name: math.hypot(table.tempo_sd_years.value, table.own_sd_years.value)
        for name, table in TABLES.items()
        if name != "forensic"
    }
    assert round(sds["table1"] / sds["table1-tight"]) == 7
    assert (round(sds["table1"], 1), round(sds["table1-tight"], 2)) == (0.7, 0.11)
    sentence = world_sentence(plan())
    assert sentence is not None
    assert sentence.startswith("This world is seven times tighter than biology")
    assert "SD of 0.11 years, that of people by about 0.7" in sentence


@pytest.mark.parametrize("manifest", [{"preset": "table1"}, {}])
def test_other_worlds_need_no_sentence(manifest: dict[str, Any]) -> None:
    assert world_sentence(plan(internal={"manifest": manifest}, external={"manifest": manifest})) is None


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_a_whole_study_is_not_reduced(preset: str) -> None:
    segmenter = {"segmenter": None} if preset == "paper" else {}
    assert sentences(preset=preset, **segmenter) == []


def test_fewer_subjects_than_the_preset_has_are_said() -> None:
    part = {"manifest": {**_PRESET, "subjects": 60}}
    both = "The internal and the external cohort are 60 of the 1,553 subjects of the preset table1-tight."
    assert sentences(internal=part, external={**part, "subset": None}) == [both]
    assert sentences(internal=part) == ["The internal cohort is 60 of the 1,553 subjects of the preset table1-tight."]


def test_a_subset_of_the_external_cohort_is_said() -> None:
    external = {"manifest": _PRESET, "subset": "south"}
    assert sentences(external=external) == ["Of the external cohort only the subset 'south' is tested."]


def test_fewer_folds_are_said() -> None:
    assert sentences(changes=["folds=2"]) == ["The study has 2 folds; the preset has 5."]


def test_a_shorter_training_is_said() -> None:
    assert sentences(changes=["age_model.fit.max_steps=60"]) == [
        f"Training of the age model: 60 steps; the preset has {steps('default', 'age_model')} steps."
    ]
    (segmenter, end) = sentences(
        changes=["end_to_end.fit.epochs=2", "segmenter.fit.max_minutes=5"], preset="paper", segmenter=None
    )
    whole = steps("paper", "segmenter")
    assert segmenter.startswith(f"Training of the segmenter: {whole} steps or 5 minutes; the preset has {whole} steps.")
    assert end == "Training of the end to end model: 2 epochs; the preset has 200 epochs."


def test_where_the_clock_ended_a_training_is_said() -> None:
    logs = [TrainingLog(fold, "age model", [{"step": "9"}, {"step": str(99 + fold)}]) for fold in (0, 1)]
    (sentence,) = sentences(logs, changes=["age_model.fit.max_minutes=90"])
    assert " steps or 90 minutes; the preset has " in sentence
    assert sentence.endswith(" steps. They ended after 100 to 101 steps.")
    (alone,) = sentences(logs[:1], changes=["age_model.fit.max_minutes=90"])
    assert alone.endswith(" steps. It ended after 100 steps.")


def test_other_settings_are_listed_with_the_preset_s_values() -> None:
    (sentence,) = sentences(changes=["age_model.width=0.125", "split_seed=3", "age_model.fit.batch_size=2"])
    width = study_settings("default", []).training.age_model.width
    assert f"age_model.width 0.125 ({width:g})" in sentence
    assert "age_model.fit.batch_size 2 (" in sentence
    assert "split_seed" not in sentence


def test_settings_of_networks_that_are_not_trained_are_left_out() -> None:
    assert not {"segmenter", "recipe", "plane", "end_to_end"} & set(used_settings(plan()))
    assert {"segmenter", "recipe", "plane"} < set(used_settings(plan(segmenter=None)))
    assert sentences(changes=["segmenter.fit.max_steps=2"]) == []
