"""The age model: a network over the regions of a subject, and how it is trained."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from kneeage.learn.augment import augment_regions
from kneeage.learn.backbones import build_backbone
from kneeage.learn.data import Files, RegionDataset, ValidationRegions, training_loader
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
Batch = tuple[Tensor, Tensor, Tensor]  # regions (N, S, 3, H, W), sex (N, 1), age in years (N,)


class SliceAttention(nn.Module):
    """Scores the slices of a subject by their features; a softmax over the scores gives each slice's weight.

    Source: Ilse et al. 2018, arXiv:1802.04712, equation 8. The weights are given to the slices' logits, which with a
    linear last layer is the same as giving them to its inputs.
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
        network = build_backbone(self.settings, CHANNELS[self.settings.inputs])
        self.network = in_layout(network, self.settings.fit.channels_last)
        attention = self.settings.pooling == "attention"
        self.attention = SliceAttention(self.network.feature_channels) if attention else None
        self.register_buffer("edges", torch.tensor(self.settings.age_edges_years), persistent=False)

    def forward(self, image: Tensor, sex: Tensor) -> Tensor:
        """Map regions (S, 3, H, W) and sex (S, 1) to logits over the age bins (S, bins)."""
        return self.network(self._seen(image), sex)  # type: ignore[no-any-return]

    def subject_logits(self, regions: Tensor, sex: Tensor) -> Tensor:
        """Map all regions (S, 3, H, W) of one subject and the sex (S, 1) to the subject's logits (1, bins)."""
        logits, features = self.network.with_features(self._seen(regions), sex)
        return self._pooled(logits, features, len(regions))

    def training_step(self, batch: Batch) -> Tensor:
        """Loss of a few random slices of each subject, auxiliary heads included."""
        regions, sex, age_years = batch
        image = self._seen(augment_regions(regions.flatten(0, 1), self._augment()))  # (N * S, channels, H, W)
        slices = regions.shape[1]
        outputs = self.network.forward_with_auxiliary(image, sex.repeat_interleave(slices, dim=0))
        target = self._target(age_years)
        main = cross_entropy(self._pooled(outputs.logits, outputs.features, slices), target)
        auxiliary = [cross_entropy(pooled(logits, slices), target) for logits in outputs.auxiliary]
        loss: Tensor = main + self.settings.auxiliary_weight * sum(auxiliary, start=torch.zeros_like(main))
        self.log_dict({"train_loss": loss, "train_main_loss": main}, prog_bar=True, sync_dist=True)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Log how one subject, with all its slices, is judged; batches hold one subject."""
        regions, sex, age_years = batch
        logits = self.subject_logits(regions[0], sex.expand(regions.shape[1], 1))
        metrics = age_metrics(logits, age_years, self._edges())
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

    def _target(self, age_years: Tensor) -> Tensor:
        """Probabilities (N, bins) that the ages (N,) are trained towards."""
        sigma_years = 0.0 if self.settings.target == "classes" else self.settings.label_sigma_years
        return soft_age_labels(age_years, self._edges(), sigma_years)

    def _pooled(self, logits: Tensor, features: Tensor, slices: int) -> Tensor:
        """Pool logits (N * slices, bins) over each subject's slices to (N, bins)."""
        if self.attention is None:
            return pooled(logits, slices)
        weights: Tensor = self.attention(features, slices)
        return (weights * logits.float().reshape(-1, slices, logits.shape[1])).sum(1)

    def _edges(self) -> Tensor:
        """Edges of the age bins in years, shape (bins + 1,)."""
        return self.get_buffer("edges")


def pooled(logits: Tensor, slices: int) -> Tensor:
    """Average logits (N * slices, bins) over each subject's slices to (N, bins), in float32."""
    return logits.float().reshape(-1, slices, logits.shape[1]).mean(1)


def soft_age_labels(age_years: Tensor, edges_years: Tensor, sigma_years: float) -> Tensor:
    """Spread each age over the bins as a Gaussian, cut off at the outer edges.

    Args:
        age_years: Shape (N,).
        edges_years: Shape (bins + 1,), rising.
        sigma_years: Standard deviation; 0 gives the true bin alone.

    Returns:
        Probabilities of shape (N, bins) that add up to 1. Source: Gao et al. 2017, doi:10.1109/TIP.2017.2689998
        (label distribution learning); here each bin holds the Gaussian's exact mass.
    """
    if sigma_years <= 0:
        return torch.nn.functional.one_hot(true_bins(age_years, edges_years), len(edges_years) - 1).float()
    age = age_years.clamp(edges_years[0], edges_years[-1])[:, None]
    below = 0.5 * (1 + torch.erf((edges_years[None] - age) / (sigma_years * math.sqrt(2))))
    mass = below.diff(dim=1)
    return mass / mass.sum(1, keepdim=True)


def true_bins(age_years: Tensor, edges_years: Tensor) -> Tensor:
    """Index of the bin that holds each age (N,); ages outside count to the outer bins."""
    return torch.bucketize(age_years, edges_years[1:-1], right=True)


def age_metrics(logits: Tensor, age_years: Tensor, edges_years: Tensor) -> dict[str, Tensor]:
    """Judge pooled logits (N, bins) against ages (N,): likelihood of the true bin, errors in years, hits in a year."""
    centres = (edges_years[1:] + edges_years[:-1]) / 2
    mean = logits.softmax(1) @ centres
    mode_error = (centres[logits.argmax(1)] - age_years).abs()
    return {
        "nll": cross_entropy(logits, true_bins(age_years, edges_years)),
        "mean_error_years": (mean - age_years).abs().mean(),
        "mode_error_years": mode_error.mean(),
        "exact_bin": (logits.argmax(1) == true_bins(age_years, edges_years)).float().mean(),
        "within_one_year": (mode_error <= 1).float().mean(),
    }


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
    training_set = RegionDataset(regions_train, settings.slices_per_subject, settings.fit.seed)
    validation = DataLoader(ValidationRegions(regions_val), batch_size=1)
    keep_settings(settings, run)
    lightning.seed_everything(settings.fit.seed, verbose=False)
    fit_settings = with_steps(settings.fit, training_set.subjects)
    module = AgeModel(as_json_object(settings))
    training = training_loader(training_set, fit_settings)
    return fit(module, training, validation, fit_settings, run, monitor=MONITOR, mode="min")


def load_age_model(checkpoint: Path) -> AgeModel:
    """Load a trained age model for prediction."""
    return AgeModel.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()
