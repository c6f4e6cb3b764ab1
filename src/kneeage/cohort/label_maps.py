"""Labels of subjects as files: which grids and which values are taken.

Whatever needs labels reads them here; `kneeage.cohort.label_checks` judges what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kneeage.cohort.label_slices import BoolArray, is_permanent
from kneeage.core.anatomy import Label
from kneeage.core.errors import GeometryError, InputRefusedError
from kneeage.core.volume import Volume
from kneeage.io.nifti import read_values

# Distance by which a corner of the labels may miss that of the image. Source: ours; a quarter of the finest pixel of
# knee protocols (0.19 mm), and far more than the single precision of NIfTI loses on a knee.
GRID_TOLERANCE_MM = 0.05
# Distance of a value from a whole number that scaling in single precision explains. Source: ours.
WHOLE_NUMBER_TOLERANCE = 1e-3


def read_labels(path: Path, image: Volume, subject_id: str) -> Volume:
    """Read labels that are to be learnt from or passed on.

    Args:
        path: NIfTI file.
        image: The image; only the order and direction of the labels' axes may differ.
        subject_id: For the errors.

    Returns:
        Permanent labels, uint8 of shape (1, I, J, K), with the affine of the image.

    Raises:
        InputRefusedError: They cannot be read, are empty, or hold a value that is no permanent label.
        GeometryError: They lie on another grid than the image.
    """
    with _of_subject(subject_id):
        labels = label_values(on_grid(read_values(path), image))
        if is_empty(labels):
            raise InputRefusedError("nothing is labelled; draw the labels, or take the file away")
        return labels


def read_drawing(path: Path, image: Volume, subject_id: str) -> Volume | None:
    """Read labels that are to be mended: values that mean nothing are kept.

    Args:
        path: NIfTI file.
        image: The image, as for `read_labels`.
        subject_id: For the errors.

    Returns:
        uint8 of shape (1, I, J, K), with the affine of the image; None where nothing is drawn.

    Raises:
        InputRefusedError: They cannot be read, or are no whole numbers from 0 to 255.
        GeometryError: They lie on another grid than the image.
    """
    with _of_subject(subject_id):
        labels = _whole_numbers(on_grid(read_values(path), image))
        return None if is_empty(labels) else labels


def on_grid(labels: Volume, image: Volume) -> Volume:
    """Put labels on the grid of their image; only the order and direction of their axes may differ.

    Args:
        labels: Label values, shape (1, I, J, K).
        image: The image.

    Returns:
        The same values with the axes and the affine of the image.

    Raises:
        GeometryError: They have another shape, or a corner is off by more than ``GRID_TOLERANCE_MM``.
    """
    turned = labels if _corner_distance_mm(labels, image) <= GRID_TOLERANCE_MM else labels.reoriented(image.orientation)
    distance_mm = _corner_distance_mm(turned, image)
    if distance_mm <= GRID_TOLERANCE_MM:
        return Volume(turned.array, image.affine)
    if turned.shape != image.shape:
        raise GeometryError(f"the labels have {labels.shape} voxels and the image {image.shape}; label this image")
    raise GeometryError(
        f"the labels lie up to {distance_mm:.2g} mm beside the image (tolerance {GRID_TOLERANCE_MM:g} mm); "
        "label this image, and save it without resampling or moving it"
    )


def label_values(labels: Volume) -> Volume:
    """Make labels uint8.

    Args:
        labels: Values of any type as they were read.

    Raises:
        InputRefusedError: A value is no permanent label, or no whole number within the tolerance of scaling.
    """
    whole = _whole_numbers(labels)
    unknown = whole.array[~is_permanent(whole.array)]
    if unknown.size:
        raise InputRefusedError(unknown_value_words(unknown.min()))
    return whole


def is_empty(labels: Volume) -> bool:
    """Say whether nothing is labelled."""
    return not np.any(labels.array)


def not_whole(values: NDArray[Any]) -> BoolArray:
    """Mark values that are no whole numbers within the tolerance of scaling."""
    with np.errstate(invalid="ignore"):  # infinity less itself is no number
        return np.asarray(~(np.abs(values - np.rint(values)) <= WHOLE_NUMBER_TOLERANCE))


def unknown_value_words(value: float) -> str:
    """Say that a whole number is no label."""
    return f"the value {value:g} is none of the permanent labels 0 to {max(Label)}; draw with the labels given"


@contextmanager
def _of_subject(subject_id: str) -> Iterator[None]:
    """Say in an error whose labels they are."""
    try:
        yield
    except InputRefusedError as error:
        raise type(error)(f"subject {subject_id!r}: {error}") from error


def _whole_numbers(labels: Volume) -> Volume:
    """Make labels uint8, whatever the values mean."""
    values, limits = labels.array, np.iinfo(np.uint8)
    if not_whole(values).any() or not limits.min <= np.rint(values.min()) <= np.rint(values.max()) <= limits.max:
        raise InputRefusedError("the labels are not whole numbers from 0 to 255; save a segmentation, not an image")
    return labels.with_array(np.rint(values).astype(np.uint8))


def _corner_distance_mm(labels: Volume, image: Volume) -> float:
    """Give the largest distance of the corners of two grids; infinite where their shapes differ."""
    if labels.shape != image.shape:
        return float("inf")
    corners = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * (np.array(image.shape) - 1)
    return float(np.linalg.norm(labels.world(corners) - image.world(corners), axis=-1).max())
