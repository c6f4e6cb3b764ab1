"""Presets: what they say, changes by key and value, the resolved configuration on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from kneeage.core.errors import OutputError, UsageError
from kneeage.learn.presets import CONFIG_FILE, PRESETS, TrainingSettings, load_config, overridden, preset, save_config
from kneeage.learn.settings import AgeModelSettings, SegmenterSettings


def test_default_changes_nothing() -> None:
    default = preset("default")
    assert default.model == "age_model"
    assert (default.segmenter, default.age_model) == (SegmenterSettings(), AgeModelSettings())


def test_paper_follows_its_protocol() -> None:
    paper = preset("paper")
    fit = paper.end_to_end.fit
    assert paper.model == "end_to_end"
    assert (fit.optimizer, fit.schedule, fit.learning_rate, fit.last_rate) == ("adam", "exponential", 1e-3, 3e-4)
    assert (fit.batch_size, fit.epochs) == (8, 200)
    assert paper.end_to_end.age_edges_years == tuple(range(10, 20))
    assert (paper.segmenter.architecture, paper.segmenter.widths) == ("classic", (64, 128, 256, 512, 1024))


def test_unknown_preset_is_refused() -> None:
    with pytest.raises(UsageError, match="no preset 'papers'; take one of default, forensic, paper"):
        preset("papers")


def test_changes_reach_nested_settings_and_leave_the_preset_alone() -> None:
    changed = overridden(
        preset("default"), ["age_model.fit.batch_size=4", "age_model.age_edges_years=[10,11,12]", "model=end_to_end"]
    )
    assert (changed.age_model.fit.batch_size, changed.age_model.age_edges_years) == (4, (10, 11, 12))
    assert changed.model == "end_to_end"
    assert preset("default") == TrainingSettings()


def test_a_number_of_steps_takes_the_place_of_epochs() -> None:
    assert overridden(preset("paper"), ["end_to_end.fit.max_steps=3"]).end_to_end.fit.epochs is None
    assert overridden(preset("paper").end_to_end, ["fit.max_steps=3"]).fit.epochs is None
    assert overridden(preset("paper"), ["segmenter.fit.max_steps=3"]).end_to_end.fit.epochs == 200
    both = ["end_to_end.fit.max_steps=3", "end_to_end.fit.epochs=1"]
    with pytest.raises(UsageError, match=r"end_to_end\.fit\.max_steps and end_to_end\.fit\.epochs both say how long"):
        overridden(preset("paper"), both)


def test_changes_suit_any_settings() -> None:
    assert overridden(SegmenterSettings(), ["fit.max_minutes=1.5", "size=128"]).fit.max_minutes == 1.5
    assert overridden(AgeModelSettings(), []) == AgeModelSettings()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ("age_model.fit.batchsize=8", "no setting age_model.fit.batchsize; the nearest is age_model.fit.batch_size"),
        ("agemodel.width=1", "the nearest is age_model.width"),
        ("age_model.fit=8", "age_model.fit is a group of settings; name one of them, such as age_model.fit.seed"),
        ("age_model.fit.batch_size", "is no key=value"),
        ("age_model.fit.batch_size=many", "age_model.fit.batch_size: Input should be a valid integer"),
        ("age_model.fit.batch_size=0", "greater than or equal to 1"),
        ("age_model.fit.batch_size=${oc.env:HOME}", "valid integer"),
        ("age_model.age_edges_years=[10,", "is no YAML"),
        ("age_model.age_edges_years=[10,9,8]", "must be three or more rising ages"),
        ("end_to_end.age_edges_years=[10,10.5,11]", r"need age_edges_years of whole years, such as \[10"),
        ("age_model.facts=[height,height]", "names each fact once"),
        ("segmenter.size=100", "6 levels of the U-Net need a multiple of 32"),
        ("end_to_end.size=100", "6 levels of the U-Net need a multiple of 32"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(change: str, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        overridden(preset("default"), [change])


def test_norm_is_of_googlenet_alone() -> None:
    with pytest.raises(UsageError, match="norm=none is of the backbone googlenet alone"):
        overridden(AgeModelSettings(), ["backbone=resnet18", "norm=none"])


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_resolved_configuration_survives_the_disk(name: str, tmp_path: Path) -> None:
    settings = overridden(preset(name), ["age_model.fit.seed=7"])
    save_config(settings, tmp_path / CONFIG_FILE)
    assert load_config(TrainingSettings, tmp_path / CONFIG_FILE) == settings
    with pytest.raises(OutputError):
        save_config(settings, tmp_path / CONFIG_FILE)


def test_configuration_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text("age_model:\n  widht: 1.0\n")
    with pytest.raises(UsageError, match="the nearest is age_model"):
        load_config(TrainingSettings, tmp_path / CONFIG_FILE)


@pytest.mark.parametrize(("text", "match"), [("[1, 2", "cannot be"), ("[1, 2]", "must hold keys"), (None, "cannot be")])
def test_file_that_is_no_configuration_is_refused(text: str | None, match: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / CONFIG_FILE).write_text(text)
    with pytest.raises(UsageError, match=match):
        load_config(TrainingSettings, tmp_path / CONFIG_FILE)
