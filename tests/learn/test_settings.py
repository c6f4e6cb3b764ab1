"""Settings: kept with the run, read back, unknown keys refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kneeage.core.anatomy import Label
from kneeage.core.errors import UsageError
from kneeage.learn.settings import (
    AgeModelSettings,
    FitSettings,
    SegmenterSettings,
    as_json_object,
    from_json_object,
    keep_settings,
)


@pytest.mark.parametrize("settings", [SegmenterSettings(size=128), AgeModelSettings(width=0.25)])
def test_settings_survive_json(settings: SegmenterSettings | AgeModelSettings) -> None:
    assert from_json_object(type(settings), as_json_object(settings)) == settings


def test_there_is_one_class_weight_per_label() -> None:
    assert len(SegmenterSettings().class_weights) == len(Label)


def test_age_bins_are_half_years_from_8_to_26() -> None:
    edges = AgeModelSettings().age_edges_years
    assert (edges[0], edges[1], edges[-1]) == (8.0, 8.5, 26.0)


@pytest.mark.parametrize("raw", [{"sise": 128}, {"fit": {"steps": 3}}, {"size": "large"}])
def test_unknown_keys_and_wrong_types_are_refused(raw: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"settings do not fit: (sise|fit\.steps|size): "):
        from_json_object(SegmenterSettings, raw)


def test_a_run_may_be_made_longer(tmp_path: Path) -> None:
    keep_settings(SegmenterSettings(fit=FitSettings(max_steps=10)), tmp_path)
    keep_settings(SegmenterSettings(fit=FitSettings(max_steps=20, max_minutes=1, workers=1)), tmp_path)


def test_a_run_with_other_settings_is_refused(tmp_path: Path) -> None:
    keep_settings(SegmenterSettings(), tmp_path)
    other = replace(SegmenterSettings(), size=128, fit=FitSettings(steps_per_epoch=7))
    with pytest.raises(
        UsageError, match=r"other settings \(fit\.steps_per_epoch: 250 there, 7 here, size: 256 there, 128 here\)"
    ):
        keep_settings(other, tmp_path)
