"""The segmenter: a U-Net that labels every slice, and how it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassConfusionMatrix

from kneeage.core.anatomy import Label
from kneeage.core.errors import UsageError
from kneeage.learn.augment import augment_slices
from kneeage.learn.data import SliceDataset, SliceSource, ValidationSlices, training_loader
from kneeage.learn.fit import fit
from kneeage.learn.layout import in_layout, laid_out
from kneeage.learn.networks import build_unet
from kneeage.learn.optimizers import build_optimizer
from kneeage.learn.settings import SegmenterSettings, as_json_object, from_json_object, keep_settings, with_steps

# Mean Dice of the open plates names the best checkpoint: they are what the age is read from.
MONITOR = "dice_open_plates"
_OPEN_PLATES = (Label.DISTAL_FEMUR_PHYSIS, Label.PROXIMAL_TIBIA_PHYSIS)


class Segmenter(lightning.LightningModule):
    """U-Net, loss and metrics.

    Args:
        settings: Settings as a JSON object (see `as_json_object`), so that a checkpoint holds no code.

    Raises:
        UsageError: There is not one class weight per label.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        from monai.losses.dice import DiceCELoss

        super().__init__()
        self.save_hyperparameters()
        self.settings = from_json_object(SegmenterSettings, settings)
        if len(self.settings.class_weights) != len(Label):
            raise UsageError(f"class_weights needs {len(Label)} values; found {len(self.settings.class_weights)}")
        network = build_unet(self.settings.widths, len(Label), architecture=self.settings.architecture)
        self.network = in_layout(network, self.settings.fit.channels_last)
        self.loss = DiceCELoss(
            to_onehot_y=True, softmax=True, batch=True, weight=torch.tensor(self.settings.class_weights)
        )
        self.confusion = MulticlassConfusionMatrix(len(Label))

    def forward(self, image: Tensor) -> Tensor:
        """Map slices (S, 1, J, I) to logits (S, labels, J, I)."""
        return self.network(image)  # type: ignore[no-any-return]

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Loss of one batch of slices and labels, both (N, 1, size, size)."""
        image, labels = augment_slices(*batch, self.settings.augment)
        loss: Tensor = self.loss(self(laid_out(image, self.settings.fit.channels_last)).float(), labels.long())
        self.log("train_loss", loss, prog_bar=True, sync_dist=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Count predicted against true labels."""
        image, labels = batch
        predicted = self(laid_out(image, self.settings.fit.channels_last)).argmax(1)
        self.confusion.update(predicted, labels[:, 0].long())

    def on_validation_epoch_end(self) -> None:
        """Log the Dice of each label over all validation slices together."""
        dice = dice_per_label(self.confusion.compute())
        self.confusion.reset()
        self.log_dict({f"dice_{label.name.lower()}": dice[label] for label in Label})
        self.log("dice_mean", dice[1:].nanmean())
        self.log(MONITOR, torch.stack([dice[label] for label in _OPEN_PLATES]).nanmean().nan_to_num(), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer of the settings; the learning rate is set at each step by the budget."""
        return build_optimizer(self.parameters(), self.settings.fit)


def dice_per_label(confusion: Tensor) -> Tensor:
    """Dice of each label from a confusion matrix (true, predicted); NaN where a label is neither true nor predicted."""
    counts = confusion.double()
    return (2 * counts.diagonal() / (counts.sum(0) + counts.sum(1))).float()


def train_segmenter(source_train: SliceSource, source_val: SliceSource, settings: SegmenterSettings, run: Path) -> Path:
    """Train a segmenter, or go on with the run that the folder holds.

    Args:
        source_train: Subjects to learn from.
        source_val: Other subjects, for the metrics and the choice of the best checkpoint.
        settings: Saved with the run as ``settings.json``.
        run: Folder of the run.

    Returns:
        The checkpoint with the best Dice of the open plates on ``source_val``.

    Raises:
        UsageError: The folder holds a run with other settings.
    """
    keep_settings(settings, run)
    lightning.seed_everything(settings.fit.seed, verbose=False)
    fit_settings = with_steps(settings.fit, len(source_train))
    training = training_loader(SliceDataset(source_train, settings.size, settings.fit.seed), fit_settings)
    validation = DataLoader(
        ValidationSlices(source_val, settings.size, settings.fit.seed, settings.validation_slices),
        batch_size=settings.fit.batch_size,
    )
    module = Segmenter(as_json_object(settings))
    return fit(module, training, validation, fit_settings, run, monitor=MONITOR, mode="max")


def load_segmenter(checkpoint: Path) -> Segmenter:
    """Load a trained segmenter for prediction."""
    module = Segmenter.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    return module.eval()
