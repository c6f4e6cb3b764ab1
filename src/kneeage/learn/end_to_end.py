"""The paper's model: a U-Net that was trained on labels, its plates times the image, GoogLeNet; trained as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import lightning
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from kneeage.core.anatomy import Label
from kneeage.learn.age_targets import age_metrics, true_bins
from kneeage.learn.augment import augment_images
from kneeage.learn.data import Files, training_loader
from kneeage.learn.fit import fit
from kneeage.learn.inputs import masked_image
from kneeage.learn.layout import in_layout, laid_out
from kneeage.learn.networks import GoogLeNet, SliceOutputs, build_unet
from kneeage.learn.optimizers import build_optimizer
from kneeage.learn.plate_slices import PLATE_LABELS, PlateSlices, SubjectSquares, shows_plates
from kneeage.learn.segmenter import load_segmenter
from kneeage.learn.settings import (
    EndToEndSettings,
    SegmenterSettings,
    as_json_object,
    check_size,
    from_json_object,
    keep_settings,
    with_steps,
)

# Negative log-likelihood of the true class, per validation subject.
MONITOR = "validation_nll"
# A smaller probability has no logarithm in float32 to speak of.
_LEAST_PROBABILITY = 1e-12
Batch = tuple[Tensor, Tensor, Tensor]  # images (N, 1, H, W), sex (N, 1), age in years (N,)


class SliceAnswers(NamedTuple):
    """What is found in slices.

    Args:
        probabilities: Of each class, shape (S, classes).
        areas: Expected area of plate and scar in pixels, shape (S,).
    """

    probabilities: Tensor
    areas: Tensor


class MaskedGoogLeNet(nn.Module):
    """A U-Net whose plates, open or closed, are what GoogLeNet sees of the image."""

    def __init__(self, unet: nn.Module, googlenet: GoogLeNet) -> None:
        super().__init__()
        self.unet, self.googlenet = unet, googlenet

    def forward(self, image: Tensor, sex: Tensor) -> Tensor:
        """Map slices (S, 1, H, W) and sex (S, 1) to logits over the classes (S, classes)."""
        return self.googlenet(masked_image(image, self.plates(image)), sex)  # type: ignore[no-any-return]

    def forward_with_auxiliary(self, image: Tensor, sex: Tensor) -> SliceOutputs:
        """Give the logits of GoogLeNet and of its auxiliary heads."""
        return self.googlenet.forward_with_auxiliary(masked_image(image, self.plates(image)), sex)

    def answers(self, image: Tensor, sex: Tensor) -> SliceAnswers:
        """Judge each of the slices (S, 1, H, W)."""
        plates = self.plates(image)
        logits = self.googlenet(masked_image(image, plates), sex)
        return SliceAnswers(logits.float().softmax(1), plates.sum((1, 2, 3)))

    def plates(self, image: Tensor) -> Tensor:
        """Sum the probabilities of both plates and both scars: (S, 1, H, W)."""
        probabilities = self.unet(image).float().softmax(1)  # (S, labels, H, W)
        return probabilities[:, list(PLATE_LABELS)].sum(1, keepdim=True)  # type: ignore[no-any-return]


class EndToEnd(lightning.LightningModule):
    """The network, its loss and its metrics.

    Every slice is a training example of its own. A subject's answer is the mean probability over the slices that show
    the plates by the U-Net's own word. In a cohort of one sex the sex is constant and only shifts the last bias.

    Args:
        settings: Settings as a JSON object (see `as_json_object`), so that a checkpoint holds no code.
        segmenter: Settings of the segmenter whose U-Net comes first, as a JSON object.

    Raises:
        UsageError: The slices have a size that the U-Net cannot halve.
    """

    def __init__(self, settings: dict[str, Any], segmenter: dict[str, Any]) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.settings = from_json_object(EndToEndSettings, settings)
        before = from_json_object(SegmenterSettings, segmenter)
        check_size(self.settings.size, before.widths)
        network = MaskedGoogLeNet(
            build_unet(before.widths, len(Label), architecture=before.architecture), _googlenet(self.settings)
        )
        self.network = in_layout(network, self.settings.fit.channels_last)
        self.register_buffer("edges", torch.tensor(self.settings.age_edges_years), persistent=False)

    def forward(self, image: Tensor, sex: Tensor) -> Tensor:
        """Map slices (S, 1, H, W) and sex (S, 1) to logits over the classes (S, classes)."""
        return self.network(self._laid_out(image), sex)  # type: ignore[no-any-return]

    def answers(self, image: Tensor, sex: Tensor) -> SliceAnswers:
        """Judge slices (S, 1, H, W) with sex (S, 1), a batch at a time."""
        batches = zip(image.split(self.settings.fit.batch_size), sex.split(self.settings.fit.batch_size), strict=True)
        found = [self.network.answers(self._laid_out(part), sexes) for part, sexes in batches]
        return SliceAnswers(*(torch.cat(parts) for parts in zip(*found, strict=True)))

    def training_step(self, batch: Batch) -> Tensor:
        """Cross-entropy of the slices' classes, auxiliary heads included."""
        image, sex, age_years = batch
        image = self._laid_out(augment_images(image, self.settings.augment))
        outputs = self.network.forward_with_auxiliary(image, sex)
        target = true_bins(age_years, self._edges())
        main = cross_entropy(outputs.logits.float(), target)
        auxiliary = [cross_entropy(logits.float(), target) for logits in outputs.auxiliary]
        loss: Tensor = main + self.settings.auxiliary_weight * sum(auxiliary, start=torch.zeros_like(main))
        self.log_dict({"train_loss": loss, "train_main_loss": main}, prog_bar=True, sync_dist=True)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Log how one subject, with all its slices, is judged; batches hold one subject."""
        images, sex, age_years = batch  # (1, S, 1, H, W), (1, 1), (1,)
        answers = self.answers(images[0], sex.expand(images.shape[1], 1))
        slices = answers.probabilities[shows_plates(answers.areas)]
        together = slices.mean(0, keepdim=True).clamp_min(_LEAST_PROBABILITY)
        metrics = age_metrics(together.log(), age_years, self._edges())
        metrics["slices_exact_bin"] = (slices.argmax(1) == true_bins(age_years, self._edges())).float().mean()
        named = {f"validation_{name}": value for name, value in metrics.items()}
        self.log_dict(named, prog_bar=True, batch_size=1, sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer of the settings, over all parameters; the budget sets the learning rate at each step."""
        return build_optimizer(self.parameters(), self.settings.fit)

    def _laid_out(self, image: Tensor) -> Tensor:
        """Lay images (N, 1, H, W) out as the weights are."""
        return laid_out(image, self.settings.fit.channels_last)

    def _edges(self) -> Tensor:
        """Edges of the classes in years, shape (classes + 1,)."""
        return self.get_buffer("edges")


def _googlenet(settings: EndToEndSettings) -> GoogLeNet:
    """Build the classifier of masked slices."""
    classes = len(settings.age_edges_years) - 1
    return GoogLeNet(classes, channels=1, width=settings.width, norm=settings.norm, dropout=settings.dropout)


def train_end_to_end(
    slices_train: Files, slices_val: Files, segmenter: Path, settings: EndToEndSettings, run: Path
) -> Path:
    """Train end to end, or go on with the run that the folder holds.

    Args:
        slices_train: Labelled subjects, one file each (see `kneeage.learn.data.save_slices`): a folder or the files.
        slices_val: Other subjects, for the metrics and the choice of the best checkpoint.
        segmenter: Checkpoint of the U-Net, trained on the labels of ``slices_train`` (`train_segmenter`).
        settings: Saved with the run as ``settings.json``.
        run: Folder of the run.

    Returns:
        The checkpoint with the smallest negative log-likelihood on ``slices_val``.

    Raises:
        UsageError: The folder holds a run with other settings, or the size does not suit the U-Net.
        InputRefusedError: There are no files, one of them is not what it should be, or a training subject has no
            labels.
    """
    training_set = PlateSlices(slices_train, settings.size, settings.fit.seed)
    validation = DataLoader(SubjectSquares(slices_val, settings.size), batch_size=1, num_workers=settings.fit.workers)
    before = load_segmenter(segmenter)
    lightning.seed_everything(settings.fit.seed, verbose=False)
    module = EndToEnd(as_json_object(settings), as_json_object(before.settings))
    module.network.unet.load_state_dict(before.network.state_dict())
    keep_settings(settings, run)
    fit_settings = with_steps(settings.fit, training_set.slices)
    training = training_loader(training_set, fit_settings)
    return fit(module, training, validation, fit_settings, run, monitor=MONITOR, mode="min")


def load_end_to_end(checkpoint: Path) -> EndToEnd:
    """Load a trained model for prediction."""
    return EndToEnd.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()
