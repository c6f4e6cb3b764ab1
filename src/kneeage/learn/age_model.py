"""The age model: a network over the regions of a subject, and how it is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from kneeage.learn.age_targets import age_loss, age_metrics, log_probabilities, output_count
from kneeage.learn.augment import augment_regions
from kneeage.learn.backbones import build_backbone
from kneeage.learn.data import Files, RegionDataset, ValidationRegions, training_loader
from kneeage.learn.fact_input import FactInput, drop_facts, fact_names
from kneeage.learn.fit import fit
from kneeage.learn.inputs import CHANNELS, network_inputs
from kneeage.learn.layout import in_layout, laid_out
from kneeage.learn.optimizers import build_optimizer
from kneeage.learn.settings import (
    AgeModelSettings,
    AugmentSettings,
    as_json_object,
    from_json_object,
    keep_settings,
    with_steps,
)

# Negative log-likelihood of the true age bin, per validation subject.
MONITOR = "validation_nll"
Batch = tuple[Tensor, Tensor, Tensor]  # regions (N, S, 3, H, W), facts (N, F), age in years (N,)


class SliceAttention(nn.Module):
    """Scores the slices of a subject by their features; a softmax over the scores gives each slice's weight.

    Source: Ilse et al. 2018, arXiv:1802.04712, equation 8.
    """

    def __init__(self, features: int, hidden: int = 128) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(features, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, features: Tensor, slices: int) -> Tensor:
        """Map features (N * slices, features) to weights (N, slices, 1) that add up to 1 over a subject's slices."""
        return self.scores(features).reshape(-1, slices, 1).softmax(1)

    def scores(self, features: Tensor) -> Tensor:
        """Score slices (S, features): (S, 1)."""
        return self.score(features).float()  # type: ignore[no-any-return]


class AgeModel(lightning.LightningModule):
    """Network over slices, pooling over a subject's slices, age labels, loss and metrics.

    A subject's slices are pooled in training (a few random ones) as in serving.

    Args:
        settings: Settings as a JSON object (see `as_json_object`), so that a checkpoint holds no code.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.settings = from_json_object(AgeModelSettings, settings)
        self.fact_input = FactInput(fact_names(self.settings))
        bins = len(self.settings.age_edges_years) - 1
        network = build_backbone(
            self.settings,
            CHANNELS[self.settings.inputs],
            output_count(bins, self.settings.target),
            len(self.fact_input.names),
        )
        self.network = in_layout(network, self.settings.fit.channels_last)
        attention = self.settings.pooling == "attention"
        self.attention = SliceAttention(self.network.feature_channels) if attention else None
        self.register_buffer("edges", torch.tensor(self.settings.age_edges_years), persistent=False)

    def forward(self, image: Tensor, facts: Tensor) -> Tensor:
        """Judge each slice by itself: regions (S, 3, H, W) and facts (S, F) to log-probabilities (S, bins)."""
        outputs = self.network(self._seen(image), self.fact_input(facts))
        return log_probabilities(outputs, self.settings.target)

    def subject_logits(self, regions: Tensor, facts: Tensor) -> Tensor:
        """Map all regions (S, 3, H, W) of one subject and its facts (1, F) to its log-probabilities (1, bins)."""
        return self.subject_answer(regions, facts)[0]

    def subject_answer(self, regions: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Give the log-probabilities (1, bins) and the pooled features (1, D) of one subject."""
        return self.judged(self.network.features(self._seen(regions)), facts)

    def judged(self, features: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Pool the features (S, D) of one subject's slices; answer as `subject_answer` does."""
        if self.attention is None:
            together = features.float().mean(0, keepdim=True)  # (S, D) -> (1, D)
        else:
            together = (self.attention.scores(features).softmax(0) * features.float()).sum(0, keepdim=True)
        outputs = self.network.judged(together, self.fact_input(facts))
        return log_probabilities(outputs, self.settings.target), together

    def training_step(self, batch: Batch) -> Tensor:
        """Loss of a few random slices of each subject, auxiliary heads included."""
        regions, facts, age_years = batch
        told = self.fact_input(drop_facts(facts, self.fact_input.names, self.settings.drop_facts))
        image = self._seen(augment_regions(regions.flatten(0, 1), self._augment()))  # (N * S, channels, H, W)
        slices = regions.shape[1]
        outputs = self.network.forward_with_auxiliary(image, told.repeat_interleave(slices, dim=0))
        main = self._loss(self.network.judged(self._pooled(outputs.features, slices), told), age_years)
        auxiliary = [self._loss(pooled(logits, slices), age_years) for logits in outputs.auxiliary]
        loss: Tensor = main + self.settings.auxiliary_weight * sum(auxiliary, start=torch.zeros_like(main))
        self.log_dict({"train_loss": loss, "train_main_loss": main}, prog_bar=True, sync_dist=True)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Log how one subject, with all its slices, is judged; batches hold one subject."""
        regions, facts, age_years = batch
        metrics = age_metrics(self.subject_logits(regions[0], facts), age_years, self._edges())
        named = {f"validation_{name}": value for name, value in metrics.items()}
        self.log_dict(named, prog_bar=True, batch_size=1, sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer of the settings; the learning rate is set at each step by the budget."""
        return build_optimizer(self.parameters(), self.settings.fit)

    def _seen(self, regions: Tensor) -> Tensor:
        """Choose what of the regions (S, 3, H, W) the network sees."""
        return laid_out(network_inputs(regions, self.settings.inputs), self.settings.fit.channels_last)

    def _augment(self) -> AugmentSettings:
        """Settings of the augmentation; a channel is dropped only where another one stands beside it."""
        if self.settings.inputs == "regions":
            return self.settings.augment
        return replace(self.settings.augment, drop_grey=0.0, drop_masks=0.0)

    def _loss(self, outputs: Tensor, age_years: Tensor) -> Tensor:
        """Loss of answers (N, outputs) about ages (N,)."""
        settings = self.settings
        return age_loss(outputs, age_years, self._edges(), settings.target, settings.label_sigma_years)

    def _pooled(self, features: Tensor, slices: int) -> Tensor:
        """Pool features (N * slices, D) over each subject's slices to (N, D)."""
        if self.attention is None:
            return pooled(features, slices)
        weights: Tensor = self.attention(features, slices)
        return (weights * features.float().reshape(-1, slices, features.shape[1])).sum(1)

    def _edges(self) -> Tensor:
        """Edges of the age bins in years, shape (bins + 1,)."""
        return self.get_buffer("edges")


def pooled(values: Tensor, slices: int) -> Tensor:
    """Average values (N * slices, D) over each subject's slices to (N, D), in float32."""
    return values.float().reshape(len(values) // slices, slices, values.shape[1]).mean(1)


def train_age_model(regions_train: Files, regions_val: Files, settings: AgeModelSettings, run: Path) -> Path:
    """Train an age model, or go on with the run that the folder holds.

    Args:
        regions_train: Subjects' regions, one file each (see `kneeage.learn.data.save_regions`): a folder or the files.
        regions_val: The same of other subjects, for the metrics and the choice of the best checkpoint.
        settings: Saved with the run as ``settings.json``.
        run: Folder of the run.

    Returns:
        The checkpoint with the smallest negative log-likelihood on ``regions_val``.

    Raises:
        UsageError: The folder holds a run with other settings.
        InputRefusedError: A folder holds no regions, or a file is not what it should be.
    """
    names = fact_names(settings)
    training_set = RegionDataset(regions_train, settings.slices_per_subject, settings.fit.seed, names)
    validation = DataLoader(ValidationRegions(regions_val, names), batch_size=1)
    keep_settings(settings, run)
    lightning.seed_everything(settings.fit.seed, verbose=False)
    fit_settings = with_steps(settings.fit, training_set.subjects)
    module = AgeModel(as_json_object(settings))
    training = training_loader(training_set, fit_settings)
    return fit(module, training, validation, fit_settings, run, monitor=MONITOR, mode="min")


def load_age_model(checkpoint: Path) -> AgeModel:
    """Load a trained age model for prediction."""
    return AgeModel.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()
