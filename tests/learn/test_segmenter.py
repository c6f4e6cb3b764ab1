"""The segmenter: Dice, two steps of training, resume."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kneeage.core.errors import UsageError
from kneeage.learn.presets import PRESETS, overridden, preset
from kneeage.learn.segmenter import Segmenter, dice_per_label, load_segmenter, train_segmenter
from kneeage.learn.settings import AugmentSettings, FitSettings, SegmenterSettings, as_json_object
from tests.learn.sources import KilledSource, StripeSource

FIT = FitSettings(batch_size=2, max_steps=2, steps_per_epoch=1, precision="32-true", progress_bar=False)
TINY = SegmenterSettings(fit=FIT, widths=(8, 8, 8, 8, 8, 8), size=64, validation_slices=2)


def _with_fit(**changes: object) -> SegmenterSettings:
    return replace(TINY, fit=replace(FIT, **changes))


def _weights(checkpoint: Path) -> torch.Tensor:
    return torch.cat([weight.flatten().float() for weight in load_segmenter(checkpoint).state_dict().values()])


def _dice(true: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
    return 2 * (true & predicted).sum() / (true.sum() + predicted.sum())


def _columns(run: Path, name: str) -> list[str]:
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    return [row[name] for row in rows if row.get(name)]


def test_dice_equals_counting_by_hand() -> None:
    true = torch.tensor([0, 0, 1, 1, 1, 2])
    predicted = torch.tensor([0, 1, 1, 1, 2, 2])
    confusion = torch.zeros(4, 4)
    for row, column in zip(true, predicted, strict=True):
        confusion[row, column] += 1
    by_hand = [
        2 * ((true == k) & (predicted == k)).sum() / ((true == k).sum() + (predicted == k).sum()) for k in range(4)
    ]
    torch.testing.assert_close(dice_per_label(confusion), torch.stack(by_hand), equal_nan=True)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_two_steps_of_training(tmp_path: Path, precision: str) -> None:
    checkpoint = train_segmenter(StripeSource(), StripeSource(), _with_fit(precision=precision), tmp_path / "run")
    assert checkpoint == tmp_path / "run" / "best.ckpt"
    logits = load_segmenter(checkpoint)(torch.zeros(1, 1, 64, 96))
    assert logits.shape == (1, 12, 64, 96)
    assert len(_columns(tmp_path / "run", "dice_distal_femur_physis")) == 2


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_two_steps_of_every_preset(tmp_path: Path, name: str) -> None:
    chosen = preset(name).segmenter
    narrow = ",".join("4" for _ in chosen.widths)
    quick = ["fit.batch_size=2", "fit.max_steps=2", "fit.steps_per_epoch=2", "fit.progress_bar=false"]
    settings = overridden(chosen, [*quick, f"widths=[{narrow}]", "size=64", "validation_slices=2"])
    checkpoint = train_segmenter(StripeSource(), StripeSource(), settings, tmp_path / "run")
    assert load_segmenter(checkpoint)(torch.zeros(1, 1, 64, 96)).shape == (1, 12, 64, 96)


def test_loss_falls_on_stripes(tmp_path: Path) -> None:
    still = AugmentSettings(flip=0, warp=0, gain=0, offset=0, gamma=0, noise=0)
    settings = replace(_with_fit(max_steps=60, steps_per_epoch=60, learning_rate=1e-2, batch_size=4), augment=still)
    train_segmenter(StripeSource(), StripeSource(), settings, tmp_path)
    losses = [float(loss) for loss in _columns(tmp_path, "train_loss")]
    assert losses[-1] < 0.85 * losses[0]


def test_killed_and_resumed_run_equals_an_unbroken_one(tmp_path: Path) -> None:
    settings = _with_fit(max_steps=6, steps_per_epoch=2)
    train_segmenter(StripeSource(), StripeSource(), settings, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="killed"):
        train_segmenter(KilledSource(draws=7), StripeSource(), settings, tmp_path / "killed")
    train_segmenter(StripeSource(), StripeSource(), settings, tmp_path / "killed")
    torch.testing.assert_close(_weights(tmp_path / "killed" / "last.ckpt"), _weights(tmp_path / "whole" / "last.ckpt"))
    assert _columns(tmp_path / "killed", "dice_mean") == _columns(tmp_path / "whole", "dice_mean")


def test_finished_run_is_left_alone(tmp_path: Path) -> None:
    source = StripeSource()
    train_segmenter(source, source, TINY, tmp_path)
    before = _weights(tmp_path / "last.ckpt")
    train_segmenter(source, source, TINY, tmp_path)
    torch.testing.assert_close(_weights(tmp_path / "last.ckpt"), before)


def test_time_limit_ends_the_run(tmp_path: Path) -> None:
    settings = _with_fit(max_steps=1000, steps_per_epoch=500, max_minutes=1e-6)
    assert train_segmenter(StripeSource(), StripeSource(), settings, tmp_path).exists()


def test_class_weights_must_cover_the_labels() -> None:
    with pytest.raises(UsageError, match="class_weights needs 12 values; found 2"):
        Segmenter(as_json_object(replace(TINY, class_weights=(1.0, 2.0))))
