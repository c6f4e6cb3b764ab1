"""Move between a volume (C, I, J, K) and the stack of slices (S, C, J, I) that a network sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", bound=np.generic)


def to_slices(array: NDArray[Value], indices: Sequence[int] | None = None) -> NDArray[Value]:
    """Take slices out of a volume's array.

    Args:
        array: Shape (C, I, J, K).
        indices: Which slices along K; None: all.

    Returns:
        Shape (S, C, J, I): rows run along J, columns along I.
    """
    chosen = array if indices is None else array[..., list(indices)]
    return np.moveaxis(chosen, (3, 0, 2, 1), (0, 1, 2, 3))


def from_slices(stack: NDArray[Value]) -> NDArray[Value]:
    """Put a stack of all slices, shape (S, C, J, I), back into a volume's array (C, I, J, K)."""
    return np.moveaxis(stack, (0, 1, 2, 3), (3, 0, 2, 1))


def padded_to_multiple(stack: NDArray[Value], multiple: int) -> NDArray[Value]:
    """Add rows below and columns behind until both numbers are multiples of ``multiple``.

    Args:
        stack: Shape (S, C, J, I).
        multiple: At least 1.

    Returns:
        Shape (S, C, J', I'); what is added has the slice's least value (air), as in training.
    """
    *_, rows, columns = stack.shape
    grown = (rows + -rows % multiple, columns + -columns % multiple)
    out = np.broadcast_to(stack.min(axis=(2, 3), keepdims=True), (*stack.shape[:2], *grown)).copy()
    out[:, :, :rows, :columns] = stack
    return out
