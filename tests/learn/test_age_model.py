"""The age model: soft labels, metrics, two steps of training, resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.learn.age_model import (
    AgeModel,
    SliceAttention,
    load_age_model,
    pooled,
    train_age_model,
)
from kneeage.learn.presets import PRESETS, overridden, preset
from kneeage.learn.settings import AgeModelSettings, AugmentSettings, FitSettings, as_json_object
from tests.learn.sources import write_regions

FIT = FitSettings(batch_size=2, max_steps=2, steps_per_epoch=1, precision="32-true", progress_bar=False)
TINY = AgeModelSettings(fit=FIT, width=0.125, slices_per_subject=2)
# Changes that end any preset's training after two steps.
QUICK = [
    *("fit.batch_size=2", "fit.epochs=null", "fit.max_steps=2", "fit.steps_per_epoch=2"),
    *("fit.precision=32-true", "fit.progress_bar=false"),
]


def test_pooling_averages_each_subject() -> None:
    logits = torch.arange(12.0).reshape(6, 2)
    torch.testing.assert_close(pooled(logits, 3), torch.stack((logits[:3].mean(0), logits[3:].mean(0))))


def test_attention_pools_by_weights_that_add_up() -> None:
    attention = SliceAttention(5)
    features = torch.randn(6, 5)
    weights = attention(features, 3)
    assert weights.shape == (2, 3, 1)
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 1))
    torch.testing.assert_close(weights[1], attention(features[3:], 3)[0])


def test_attention_over_equal_slices_is_the_mean() -> None:
    model = AgeModel(as_json_object(replace(TINY, pooling="attention"))).eval()
    regions, sex = torch.randn(1, 3, 64, 64).expand(4, -1, -1, -1), torch.ones(4, 1)
    torch.testing.assert_close(model.subject_logits(regions, sex[:1]), model(regions, sex)[:1])


def test_masks_are_dropped_only_where_grey_values_stand_beside_them() -> None:
    dropping = replace(TINY, augment=AugmentSettings(drop_masks=1.0))
    beside, times = (
        AgeModel(as_json_object(replace(dropping, inputs=kind)))._augment() for kind in ("regions", "masked")
    )
    assert (beside.drop_masks, times.drop_masks) == (1.0, 0.0)


@pytest.mark.parametrize(
    "changes",
    [
        ["inputs=masked"],
        ["inputs=raw", "pooling=attention"],
        ["target=classes", "age_edges_years=[10,11,12,13,14,15,16,17,18,19]"],
        ["target=classes", "head=hidden"],
        ["target=corn", "pooling=attention", "facts=[plates]", "head=hidden"],
        ["target=mean_variance", "facts=[height,weight,sequence,plates]"],
        ["backbone=none", "facts=[plates]", "head=hidden"],
        ["norm=none", "fit.optimizer=adam", "fit.schedule=exponential"],
        ["backbone=densenet121"],
        ["backbone=efficientnet-b0"],
        ["backbone=resnet18"],
    ],
)
def test_every_kind_trains_all_that_it_has(changes: list[str]) -> None:
    settings = overridden(TINY, changes)
    module = AgeModel(as_json_object(settings))
    module.log_dict = lambda *_, **__: None
    facts = torch.ones(2, len(module.fact_input.names))
    regions, age_years = torch.rand(2, 2, 3, 64, 64), torch.tensor([11.0, 17.5])
    module.training_step((regions, facts, age_years)).backward()
    assert [name for name, weight in module.named_parameters() if weight.grad is None] == []
    logits = module.eval().subject_logits(regions[0], facts[:1])
    assert logits.shape == (1, len(settings.age_edges_years) - 1)
    assert type(module.configure_optimizers()).__name__.lower() == settings.fit.optimizer


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_two_steps_of_every_preset(tmp_path: Path, name: str) -> None:
    changes = ["width=0.125", "slices_per_subject=1", *QUICK]
    settings = overridden(preset(name).age_model, changes)
    folder = write_regions(tmp_path / "regions")
    assert train_age_model(folder, folder, settings, tmp_path / "run").exists()


def test_epochs_are_passes_over_the_subjects(tmp_path: Path) -> None:
    folder = write_regions(tmp_path / "regions")
    settings = replace(TINY, fit=replace(FIT, max_steps=1, epochs=2))
    train_age_model(folder, folder, settings, tmp_path / "run")
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 4


def test_checkpoint_from_before_an_option_existed_still_loads(tmp_path: Path) -> None:
    folder = write_regions(tmp_path / "regions")
    checkpoint = train_age_model(folder, folder, TINY, tmp_path / "run")
    content = torch.load(checkpoint, weights_only=True)
    settings = content["hyper_parameters"]["settings"]
    for name in ("inputs", "pooling", "target", "backbone", "norm", "facts", "drop_facts", "head", "head_channels"):
        del settings[name]
    for name in ("optimizer", "schedule", "last_rate", "epochs"):
        del settings["fit"][name]
    torch.save(content, tmp_path / "older.ckpt")
    assert load_age_model(tmp_path / "older.ckpt").settings == TINY


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_two_steps_of_training(tmp_path: Path, precision: str) -> None:
    folder = write_regions(tmp_path / "regions")
    settings = replace(TINY, fit=replace(FIT, precision=precision))
    checkpoint = train_age_model(folder, folder, settings, tmp_path / "run")
    assert checkpoint == tmp_path / "run" / "best.ckpt"
    assert load_age_model(checkpoint)(torch.zeros(4, 3, 64, 64), torch.ones(4, 1)).shape == (4, 36)


def test_longer_run_goes_on_from_the_last_step(tmp_path: Path) -> None:
    folder = write_regions(tmp_path / "regions")
    train_age_model(folder, folder, TINY, tmp_path / "run")
    longer = replace(TINY, fit=replace(FIT, max_steps=3))
    train_age_model(folder, folder, longer, tmp_path / "run")
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 3


def test_auxiliary_heads_enter_the_loss() -> None:
    batch = (torch.randn(2, 2, 3, 64, 64), torch.ones(2, 1), torch.tensor([10.0, 20.0]))
    without, with_heads = (
        _loss(AgeModel(as_json_object(replace(TINY, auxiliary_weight=weight))), batch) for weight in (0.0, 0.3)
    )
    assert with_heads > without


def _loss(module: AgeModel, batch: tuple[torch.Tensor, ...]) -> float:
    torch.manual_seed(0)
    module.log_dict = lambda *_, **__: None
    return module.training_step(batch).item()


def test_training_without_regions_makes_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match=r"no \.npz file"):
        train_age_model(tmp_path, tmp_path, TINY, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_subject_without_height_is_judged_alike_whatever_stands_there() -> None:
    model = AgeModel(as_json_object(replace(TINY, facts=("height",), head="hidden"))).eval()
    regions = torch.randn(2, 3, 64, 64)
    unknown, known = (model.subject_logits(regions, torch.tensor([[1.0, 180.0, flag]])) for flag in (0.0, 1.0))
    torch.testing.assert_close(unknown, model.subject_logits(regions, torch.tensor([[1.0, 0.0, 0.0]])))
    assert not torch.allclose(unknown, known)


def test_the_same_fact_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="each fact once"):
        replace(TINY, facts=("height", "height"))
