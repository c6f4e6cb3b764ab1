"""The age model: GoogLeNet over the regions of a subject, and how it is trained."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from kneeage.learn.augment import augment_regions
from kneeage.learn.data import RegionDataset, ValidationRegions, training_loader
from kneeage.learn.fit import fit
from kneeage.learn.layout import in_layout, laid_out
from kneeage.learn.networks import GoogLeNet
from kneeage.learn.settings import AgeModelSettings, as_json_object, from_json_object, keep_settings

# Negative log-likelihood of the true age bin, per validation subject.
MONITOR = "validation_nll"
Batch = tuple[Tensor, Tensor, Tensor]  # regions (N, S, 3, H, W), sex (N, 1), age in years (N,)


class AgeModel(lightning.LightningModule):
    """GoogLeNet, soft age labels, loss and metrics.

    A subject's logits are the mean over its slices, in training (a few random slices) as in serving.

    Args:
        settings: Settings as a JSON object (see `as_json_object`), so that a checkpoint holds no code.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.settings = from_json_object(AgeModelSettings, settings)
        bins = len(self.settings.age_edges_years) - 1
        network = GoogLeNet(bins, width=self.settings.width, dropout=self.settings.dropout)
        self.network = in_layout(network, self.settings.fit.channels_last)
        self.register_buffer("edges", torch.tensor(self.settings.age_edges_years), persistent=False)

    def forward(self, image: Tensor, sex: Tensor) -> Tensor:
        """Map slices (S, 3, H, W) and sex (S, 1) to logits over the age bins (S, bins)."""
        return self.network(image, sex)  # type: ignore[no-any-return]

    def training_step(self, batch: Batch) -> Tensor:
        """Loss of a few random slices of each subject, auxiliary heads included."""
        regions, sex, age_years = batch
        target = soft_age_labels(age_years, self._edges(), self.settings.label_sigma_years)
        image = augment_regions(regions.flatten(0, 1), self.settings.augment)  # (N * S, 3, H, W)
        image = laid_out(image, self.settings.fit.channels_last)
        slices = regions.shape[1]
        outputs = self.network.forward_with_auxiliary(image, sex.repeat_interleave(slices, dim=0))
        losses = [cross_entropy(pooled(logits, slices), target) for logits in outputs]
        loss: Tensor = losses[0] + self.settings.auxiliary_weight * (losses[1] + losses[2])
        self.log_dict({"train_loss": loss, "train_main_loss": losses[0]}, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Log how one subject, with all its slices, is judged; batches hold one subject."""
        regions, sex, age_years = batch
        image = laid_out(regions[0], self.settings.fit.channels_last)
        logits = pooled(self(image, sex.expand(len(image), 1)), len(image))
        metrics = age_metrics(logits, age_years, self._edges())
        self.log_dict({f"validation_{name}": value for name, value in metrics.items()}, prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; the learning rate is set at each step by the budget."""
        fit_settings = self.settings.fit
        return torch.optim.AdamW(self.parameters(), fit_settings.learning_rate, weight_decay=fit_settings.weight_decay)

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
        "within_one_year": (mode_error <= 1).float().mean(),
    }


def train_age_model(regions_train: Path, regions_val: Path, settings: AgeModelSettings, run: Path) -> Path:
    """Train an age model, or go on with the run that the folder holds.

    Args:
        regions_train: Folder of subjects' regions, one file each (see `kneeage.learn.data.save_regions`).
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
    module = AgeModel(as_json_object(settings))
    training = training_loader(training_set, settings.fit)
    return fit(module, training, validation, settings.fit, run, monitor=MONITOR, mode="min")


def load_age_model(checkpoint: Path) -> AgeModel:
    """Load a trained age model for prediction."""
    return AgeModel.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()
