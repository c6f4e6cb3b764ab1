"""Folds of training subjects: each model of an ensemble leaves one out, which chooses its checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kneeage.core.errors import InputRefusedError


def deal_folds(files: Sequence[Path], folds: int, seed: int) -> list[tuple[list[Path], list[Path]]]:
    """Deal subjects out.

    Args:
        files: One per subject.
        folds: How many; two or more.
        seed: Of the order in which they are dealt.

    Returns:
        For each fold the files that a model learns from, and those that it leaves out.

    Raises:
        InputRefusedError: There are fewer subjects than folds.
    """
    if len(files) < folds:
        raise InputRefusedError(f"{folds} folds need {folds} subjects or more; found {len(files)}; take fewer folds")
    ordered = sorted(files)
    fold = np.empty(len(ordered), dtype=np.intp)
    fold[np.random.default_rng(seed).permutation(len(ordered))] = np.arange(len(ordered)) % folds
    return [
        (
            [file for file, own in zip(ordered, fold, strict=True) if own != each],
            [file for file, own in zip(ordered, fold, strict=True) if own == each],
        )
        for each in range(folds)
    ]
