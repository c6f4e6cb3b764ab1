"""What trained models answer on many subjects, slice by slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import lightning
import numpy as np
import torch
from numpy.typing import NDArray

from kneeage.core.anatomy import Label
from kneeage.infer.slices import padded_to_multiple
from kneeage.learn.age_model import load_age_model
from kneeage.learn.data import Files, labelled, load_regions, load_slices, region_files, slice_files
from kneeage.learn.end_to_end import load_end_to_end
from kneeage.learn.plate_slices import PLATE_LABELS, shows_plates, squares
from kneeage.learn.segmenter import Segmenter, load_segmenter

Module = TypeVar("Module", bound=lightning.LightningModule)
# The least probability that a logarithm is taken of: that of float32.
_LEAST_PROBABILITY = 1e-30
_SLICES_AT_ONCE = 4


@dataclass(frozen=True, eq=False)
class SubjectAnswer:
    """What a model says of a subject.

    Args:
        subject_id: Who.
        slices: Numbers of the slices that the model judged, shape (S,).
        logits: Of each age bin, slice by slice, shape (S, bins).
        pooled: The subject's logits as the model itself pools its slices, shape (bins,).
    """

    subject_id: str
    slices: tuple[int, ...]
    logits: NDArray[np.float64]
    pooled: NDArray[np.float64]


Answering = Callable[[Path, Files], Iterator[SubjectAnswer]]


def age_model_answers(checkpoint: Path, regions: Files) -> Iterator[SubjectAnswer]:
    """Ask an age model about subjects, all regions of each.

    Args:
        checkpoint: Of `kneeage.learn.age_model.train_age_model`.
        regions: What `kneeage.learn.data.save_regions` wrote.
    """
    model = _placed(load_age_model(checkpoint))
    for path in region_files(regions):
        subject = load_regions(path)
        image = torch.from_numpy(subject.regions.astype(np.float32)).to(model.device)
        facts = torch.from_numpy(subject.row(model.fact_input.names)).to(model.device)
        with torch.inference_mode():
            logits, pooled = model(image, facts.expand(len(image), -1)), model.subject_logits(image, facts)
        yield SubjectAnswer(subject.subject_id, tuple(range(len(image))), _numbers(logits), _numbers(pooled)[0])


def end_to_end_answers(checkpoint: Path, slices: Files) -> Iterator[SubjectAnswer]:
    """Ask an end-to-end model about subjects; slices that show no plate by its own word are left out.

    Args:
        checkpoint: Of `kneeage.learn.end_to_end.train_end_to_end`.
        slices: What `kneeage.learn.data.save_slices` wrote.
    """
    model = _placed(load_end_to_end(checkpoint))
    for path in slice_files(slices):
        subject = load_slices(path)
        image = torch.from_numpy(squares(subject.images, model.settings.size)[:, None]).to(model.device)
        with torch.inference_mode():
            found = model.answers(image, torch.full((len(image), 1), float(subject.sex), device=model.device))
        seen = shows_plates(found.areas)
        logits = _numbers(found.probabilities[seen].clamp_min(_LEAST_PROBABILITY).log())
        numbers = tuple(int(number) for number in torch.nonzero(seen).flatten())
        yield SubjectAnswer(subject.subject_id, numbers, logits, np.log(np.exp(logits).mean(axis=0)))


def plate_dice_counts(checkpoint: Path, slices: Path) -> dict[str, tuple[int, int]]:
    """Compare what a segmenter draws of plates and scars with a subject's labels.

    Args:
        checkpoint: Of `kneeage.learn.segmenter.train_segmenter`.
        slices: One labelled subject, as `kneeage.learn.data.save_slices` wrote it.

    Returns:
        By the name of each label: the voxels that both hold (twice), and those that each holds (added).
    """
    model = _segmenter(checkpoint)
    images, truth = labelled(slices)
    rows, columns = truth.shape[1:]
    padded = padded_to_multiple(images.astype(np.float32)[:, None], 2 ** (len(model.settings.widths) - 1))
    with torch.inference_mode():
        parts = torch.from_numpy(padded).to(model.device).split(_SLICES_AT_ONCE)
        drawn = torch.cat([model(part).argmax(1) for part in parts]).cpu().numpy()[:, :rows, :columns]
    return {Label(value).name.lower(): _dice_counts(truth == value, drawn == value) for value in PLATE_LABELS}


@lru_cache(maxsize=1)
def _segmenter(checkpoint: Path) -> Segmenter:
    """Load a segmenter once for many subjects."""
    return _placed(load_segmenter(checkpoint))


def _dice_counts(truth: NDArray[np.bool_], drawn: NDArray[np.bool_]) -> tuple[int, int]:
    """Count the voxels that both hold (twice), and those that each holds (added)."""
    return 2 * int(np.count_nonzero(truth & drawn)), int(np.count_nonzero(truth)) + int(np.count_nonzero(drawn))


def _placed(model: Module) -> Module:
    """Put a model on the GPU where there is one."""
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def _numbers(values: torch.Tensor) -> NDArray[np.float64]:
    """Bring values to numpy, in float64."""
    return values.detach().cpu().double().numpy()
