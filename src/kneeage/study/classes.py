"""From the age bins of a model to the age classes of a study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kneeage.core.errors import UsageError
from kneeage.study.predictions import FloatArray


def class_shares(edges_years: Sequence[float], classes: Sequence[int]) -> FloatArray:
    """Say which share of each age bin belongs to each class: age is taken to be spread evenly within a bin.

    Args:
        edges_years: Edges of the model's bins, rising, shape (bins + 1,).
        classes: Completed years; class 14 is [14, 15).

    Returns:
        Shape (bins, classes), 0 to 1.

    Raises:
        UsageError: The bins do not reach over every class.
    """
    edges, lower = np.asarray(edges_years, dtype=np.float64), np.asarray(classes, dtype=np.float64)
    if edges[0] > lower[0] or edges[-1] < lower[-1] + 1:
        raise UsageError(
            f"the model's age bins reach from {edges[0]:g} to {edges[-1]:g} years; the classes {classes[0]} to "
            f"{classes[-1]} need {classes[0]} to {classes[-1] + 1}; set age_edges_years, or leave ages out"
        )
    low, high = edges[:-1, None], edges[1:, None]
    overlap = np.clip(np.minimum(high, lower + 1) - np.maximum(low, lower), 0, None)
    return np.asarray(overlap / (high - low), dtype=np.float64)


def class_probabilities(logits: FloatArray, shares: FloatArray) -> FloatArray:
    """Turn logits over age bins into probabilities of the classes, given that the age is in one of them.

    Args:
        logits: Shape (n, bins).
        shares: Shape (bins, classes), of `class_shares`.

    Returns:
        Shape (n, classes); rows have the sum 1, however little of the bins' probability lies within the classes.
    """
    inside = shares.any(axis=1)
    own = np.asarray(logits, dtype=np.float64)[:, inside]
    weights = np.exp(own - own.max(axis=1, keepdims=True)) @ shares[inside]
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)
