"""The counter-example: slices instead of subjects are dealt out to the folds, so that a model meets its own subjects.

It exists to show how much leakage inflates the numbers, and serves nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kneeage.learn.data import (
    SubjectRegions,
    SubjectSlices,
    load_regions,
    load_slices,
    save_regions,
    save_slices,
)

Chosen = NDArray[np.intp]


def fold_of_slices(subject_id: str, slices: int, folds: int, seed: int) -> Chosen:
    """Deal a subject's slices out to the folds, as evenly as they go.

    Args:
        subject_id: Who.
        slices: How many slices.
        folds: Number of folds.
        seed: What it follows from.

    Returns:
        Fold of each slice, shape (slices,).
    """
    digest = hashlib.sha256(f"{seed}\n{subject_id}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest, "big"))
    return np.asarray((rng.permutation(slices) + rng.integers(folds)) % folds, dtype=np.intp)


def dealt_files(
    files: Sequence[Path], place: Path, *, regions: bool, fold: int, folds: int, seed: int
) -> tuple[list[Path], list[Path]]:
    """Write every subject's slices into two files: those that a fold's model learns from, and those it is tested on.

    Args:
        files: One per subject: regions, or prepared slices.
        place: Folder for both kinds of file.
        regions: Whether the files hold regions.
        fold: The fold.
        folds: Number of folds.
        seed: What the deal follows from.

    Returns:
        Files to learn from, and files to be tested on; a subject without slices of a kind has no file of it.
    """
    learned: list[Path] = []
    tested: list[Path] = []
    for path in files:
        subject = load_regions(path) if regions else load_slices(path)
        own = fold_of_slices(subject.subject_id, _count(subject), folds, seed)
        for kind, mine, out in (("learned", own != fold, learned), ("tested", own == fold, tested)):
            if mine.any():
                out.append(place / kind / path.name)
                _save(out[-1], subject, np.flatnonzero(mine))
    return learned, tested


def _count(subject: SubjectRegions | SubjectSlices) -> int:
    """Count slices."""
    return len(subject.regions if isinstance(subject, SubjectRegions) else subject.images)


def _save(path: Path, subject: SubjectRegions | SubjectSlices, chosen: Chosen) -> None:
    """Write some of a subject's slices."""
    if isinstance(subject, SubjectRegions):
        save_regions(path, replace(subject, regions=subject.regions[chosen]))
    else:
        labels = None if subject.labels is None else subject.labels[chosen]
        save_slices(path, replace(subject, images=subject.images[chosen], labels=labels))
