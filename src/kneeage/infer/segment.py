"""Label every slice of a prepared volume, clean the labels by anatomy, and carry them to the source grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import PLATE_SITES, Label
from kneeage.core.errors import BundleError
from kneeage.core.manifest import SegmentStage
from kneeage.core.volume import Volume
from kneeage.infer.body import body_box
from kneeage.infer.clean import cleaned_labels
from kneeage.infer.engine import FloatArray32, Network
from kneeage.infer.slices import from_slices, padded_to_multiple, to_slices
from kneeage.prepare.recipe import Prepared

SEGMENT_INPUTS = ("image",)
# Slices per run of the network: enough to fill the cores, few enough to keep its feature maps small.
BATCH_SLICES = 2
# Class probabilities are kept as whole 255ths until they are carried to the source grid: a quarter of the memory,
# and no label moves by more than 1/255 of the way between two voxels.
_SCALE = 255
OPEN_PLATES = tuple(site.open_plate for site in PLATE_SITES)
SCARS = tuple(site.scar for site in PLATE_SITES)

ByteArray = NDArray[np.uint8]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class SliceLabels:
    """The labels of a prepared volume, on its own grid.

    Args:
        labels: Cleaned labels, uint8, shape (1, I, J, K).
        plate_probability: Probability of open plate and of scar, float32, shape (2, I, J, K); zero where cleaning
            took a plate away.
        probabilities: Class probabilities times 255, uint8, shape (S, labels, J, I); all or nothing where cleaning
            changed the label.
    """

    labels: Volume
    plate_probability: Volume
    probabilities: ByteArray


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The labels of one volume on both grids.

    Args:
        labels: Cleaned labels on the prepared grid, uint8, shape (1, I, J, K).
        source_labels: The same on the source grid, uint8.
        plate_probability: Probability of open plate and of scar on the prepared grid, float32, shape (2, I, J, K).
    """

    labels: Volume
    source_labels: Volume
    plate_probability: Volume


def segment(stage: SegmentStage, network: Network, prepared: Prepared) -> Segmentation:
    """Label a prepared volume.

    Args:
        stage: The segmentation stage of the bundle.
        network: Its network.
        prepared: The volume, prepared by the bundle's recipe.

    Returns:
        The labels on the prepared and on the source grid.

    Raises:
        BundleError: The network's answer does not fit the stage.
    """
    found = label_slices(stage, network, prepared.volume)
    source_labels = prepared.labels_to_source(_slice_probabilities(found.probabilities), stage.label_values)
    return Segmentation(found.labels, source_labels, found.plate_probability)


def label_slices(stage: SegmentStage, network: Network, image: Volume, progress: Progress | None = None) -> SliceLabels:
    """Label a prepared volume on its own grid only, as training the age network needs it.

    The network sees only the part that holds the leg; the air around it is background.

    Args:
        stage: The segmentation stage of the bundle.
        network: Its network.
        image: Prepared image, float32, shape (1, I, J, K).
        progress: Called with the slices done and the slices there are.

    Returns:
        Cleaned labels and probabilities.

    Raises:
        BundleError: The network's answer does not fit the stage.
    """
    values = np.array(stage.label_values, dtype=np.uint8)
    raw = _empty_slices(image, 1, np.uint8)
    probabilities = _empty_slices(image, len(values), np.uint8)
    probabilities[:, values == Label.BACKGROUND] = _SCALE
    plates = _empty_slices(image, 2, np.float32)
    for batch in _batches(image.shape[2]):
        rows, columns = body_box(to_slices(image.array[..., batch])[:, 0], image.spacing)
        stack = np.asarray(to_slices(image.array[:, columns, rows, batch]), np.float32)
        soft = _class_probabilities(stage, network, stack)
        raw[batch, 0, rows, columns] = values[_winners(soft)]
        probabilities[batch, :, rows, columns] = np.rint(soft * _SCALE)
        plates[batch, :, rows, columns] = _plate_probability(soft, values)
        if progress is not None:
            progress(batch.stop, image.shape[2])
    labels = cleaned_labels(image.with_array(from_slices(raw)))
    _impose(to_slices(np.asarray(labels.array, np.uint8))[:, 0], raw[:, 0], values, probabilities, plates)
    return SliceLabels(labels, image.with_array(from_slices(plates)), probabilities)


def _empty_slices(image: Volume, channels: int, dtype: type[np.generic]) -> NDArray[Any]:
    """Make room for all slices of an image's grid, shape (S, channels, J, I)."""
    columns, rows, slices = image.shape
    return np.zeros((slices, channels, rows, columns), dtype=dtype)


def _batches(slices: int) -> Iterator[slice]:
    """Part the slices into batches."""
    for start in range(0, slices, BATCH_SLICES):
        yield slice(start, min(start + BATCH_SLICES, slices))


def _class_probabilities(stage: SegmentStage, network: Network, stack: FloatArray32) -> FloatArray32:
    """Give class probabilities (S, labels, J, I) of slices (S, 1, J, I)."""
    count, _, rows, columns = stack.shape
    padded = padded_to_multiple(stack, stage.size_multiple)
    logits = network.run({"image": padded})
    wanted = (count, len(stage.label_values), *padded.shape[2:])
    if logits.shape != wanted:
        raise BundleError(
            f"the segmentation network must answer with the shape {wanted}; it answered with {logits.shape}; "
            "make the bundle anew"
        )
    return _softmax(logits[:, :, :rows, :columns])


def _softmax(logits: FloatArray32) -> FloatArray32:
    """Turn logits into probabilities along axis 1."""
    soft = np.exp(logits - logits.max(axis=1, keepdims=True))
    soft /= soft.sum(axis=1, keepdims=True)
    return np.asarray(soft)


def _winners(soft: FloatArray32) -> ByteArray:
    """Number of the most probable class, the first of equal ones; (S, labels, J, I) to (S, J, I).

    Class by class, which is several times faster than ``argmax`` along an axis that is not the last.
    """
    best, winner = soft[:, 0].copy(), np.zeros((len(soft), *soft.shape[2:]), dtype=np.uint8)
    for number in range(1, soft.shape[1]):
        np.putmask(winner, soft[:, number] > best, np.uint8(number))
        np.maximum(best, soft[:, number], out=best)
    return winner


def _plate_probability(soft: FloatArray32, values: ByteArray) -> FloatArray32:
    """Sum the probabilities of open plate and of scar over both bones; (S, labels, J, I) to (S, 2, J, I)."""
    return np.stack([soft[:, np.isin(values, group)].sum(axis=1) for group in (OPEN_PLATES, SCARS)], axis=1)


def _impose(
    clean: ByteArray, raw: ByteArray, values: ByteArray, probabilities: ByteArray, plates: FloatArray32
) -> None:
    """Make the probabilities agree with the cleaned labels, in place, where cleaning changed them."""
    changed = clean != raw
    index, row, column = np.nonzero(changed)
    probabilities[index, :, row, column] = _SCALE * (clean[changed][:, None] == values)
    for channel, group in enumerate((OPEN_PLATES, SCARS)):
        plates[index, channel, row, column] = np.isin(clean[changed], group)


def _slice_probabilities(probabilities: ByteArray) -> Callable[[int], FloatArray32]:
    """Give a function from a slice index to its class probabilities as float32 (labels, I, J), summing to one."""

    def of_slice(index: int) -> FloatArray32:
        shares = np.swapaxes(probabilities[index], 1, 2).astype(np.float32)
        shares /= shares.sum(axis=0)
        return np.asarray(shares)

    return of_slice
