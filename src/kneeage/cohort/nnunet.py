"""A cohort as a raw data set of nnU-Net v2, to train its networks on the same images and labels.

Source of the format: nnU-Net v2, documentation/dataset_format.md and what its integrity check asks for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from kneeage.cohort.folder import Cohort
from kneeage.cohort.label_maps import read_labels
from kneeage.cohort.split import Group, Split, require_same_subjects
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Label
from kneeage.core.errors import InputRefusedError, OutputError, UsageError
from kneeage.io.nifti import read_nifti, write_image, write_labels
from kneeage.io.output import require_free, whole_folder

FILE_ENDING = ".nii.gz"
TRAINING_IMAGES, TRAINING_LABELS, TEST_IMAGES = "imagesTr", "labelsTr", "imagesTs"
DATASET_FILE = "dataset.json"
# nnU-Net looks for this file among the preprocessed data; it is written here to be copied there.
FOLDS_FILE = "splits_final.json"
# Three digits. Source: nnU-Net v2, documentation/dataset_format.md.
DATASET_IDS = (1, 999)
_DATASET_NAME = "Kneeage"
_CHANNEL = "0000"
# Any name but "CT" and "noNorm" asks for z-scores per image. Source: nnU-Net v2, explanation_normalization.md.
_MIXED_CHANNEL = "MR"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        folder: The data set.
        training: Number of subjects to learn from.
        test: Number of subjects to test on.
        without_labels: Subjects that were left out of training because nobody has labelled them.
    """

    folder: Path
    training: int
    test: int
    without_labels: tuple[str, ...]


def export_nnunet(
    cohort: Cohort,
    raw_folder: Path,
    split: Split | None = None,
    dataset_id: int = 1,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> Exported:
    """Write a cohort as ``DatasetNNN_Kneeage`` into the folder that nnU-Net calls ``nnUNet_raw``.

    Training images are those of the training group, whether it has folds or not; all others are test images. Without a
    split, all are training images. Where there are folds, ``splits_final.json`` has them in the form of nnU-Net.

    Args:
        cohort: The cohort; an identifier of a subject becomes that of its case.
        raw_folder: Folder of raw data sets; it is made if it is not there.
        split: Groups of all subjects.
        dataset_id: Number of the data set, 1 to 999, which no other data set in that folder has.
        tell: Told how many subjects are done, and how many there are.

    Returns:
        What was written, and who was left out.

    Raises:
        UsageError: The number is not 1 to 999, or is taken.
        InputRefusedError: Nobody of the training group has labels, the split is of other subjects, or an image or its
            labels cannot be read, lie on different grids or hold a value that is no label.
        OutputError: The data set is there, cannot be written, or does not read back the same.
    """
    folder = _free_folder(raw_folder, dataset_id)
    if split is not None:
        require_same_subjects(split, cohort.entries)
    learnt = [entry for entry in cohort.entries if _is_learnt(entry, split)]
    labelled = [entry for entry in learnt if cohort.labels_path(entry) is not None]
    tested = [entry for entry in cohort.entries if not _is_learnt(entry, split)]
    if not labelled:
        raise InputRefusedError(
            f"none of the {len(learnt)} subjects to learn from has labels; label some, or import them"
        )
    with whole_folder(folder) as whole:
        _write_cases(cohort, whole, (labelled, tested), tell)
        _write_json(whole / DATASET_FILE, _description(cohort, labelled, tested))
        if split is not None and split.folds:
            _write_json(whole / FOLDS_FILE, _folds(split, labelled))
    unlabelled = {entry.subject_id for entry in learnt} - {entry.subject_id for entry in labelled}
    return Exported(folder, len(labelled), len(tested), tuple(sorted(unlabelled)))


def _free_folder(raw_folder: Path, dataset_id: int) -> Path:
    """Name the data set, and check that nothing is in its place and that its number is free."""
    first, last = DATASET_IDS
    if not first <= dataset_id <= last:
        raise UsageError(f"the number of a data set is {first} to {last}; found {dataset_id}")
    prefix = f"Dataset{dataset_id:03d}_"
    folder = raw_folder / f"{prefix}{_DATASET_NAME}"
    require_free(folder)
    taken = next((path.name for path in sorted(raw_folder.glob(f"{prefix}*")) if path.name != folder.name), None)
    if taken is not None:
        raise UsageError(f"{taken!r} has the number {dataset_id}; nnU-Net needs one for each data set: give another")
    return folder


def _is_learnt(entry: SubjectEntry, split: Split | None) -> bool:
    """Say whether a network may learn from a subject."""
    return split is None or split.places[entry.subject_id].group is Group.TRAINING


def _write_cases(
    cohort: Cohort,
    folder: Path,
    groups: tuple[Sequence[SubjectEntry], Sequence[SubjectEntry]],
    tell: Callable[[int, int], None],
) -> None:
    """Write the images of both groups, and the labels of the first."""
    for name in (TRAINING_IMAGES, TRAINING_LABELS, TEST_IMAGES):
        (folder / name).mkdir()
    learnt, tested = groups
    cases = chain(((entry, True) for entry in learnt), ((entry, False) for entry in tested))
    for done, (entry, with_labels) in enumerate(cases, 1):
        _write_case(cohort, folder, entry, with_labels=with_labels)
        tell(done, len(learnt) + len(tested))


def _write_case(cohort: Cohort, folder: Path, entry: SubjectEntry, *, with_labels: bool) -> None:
    """Write the image of one subject, with its labels or without."""
    series = cohort.series(entry)
    image = folder / (TRAINING_IMAGES if with_labels else TEST_IMAGES) / f"{entry.subject_id}_{_CHANNEL}{FILE_ENDING}"
    write_image(image, series.volume, virtual=series.header.virtual)
    path = cohort.labels_path(entry)
    if with_labels and path is not None:
        labels = folder / TRAINING_LABELS / f"{entry.subject_id}{FILE_ENDING}"
        write_labels(labels, read_labels(path, series.volume, entry.subject_id))
        _prove_one_grid(image, labels, entry)


def _prove_one_grid(image: Path, labels: Path, entry: SubjectEntry) -> None:
    """Read image and labels back, and check that they have the same voxels in the same places, to the last digit."""
    first, second = read_nifti(image).volume, read_nifti(labels).volume
    if first.shape != second.shape or not np.array_equal(first.affine, second.affine):
        raise OutputError(f"subject {entry.subject_id!r}: image and labels were not written on one grid; report this")


def _description(cohort: Cohort, learnt: Sequence[SubjectEntry], tested: Sequence[SubjectEntry]) -> dict[str, Any]:
    """Say what nnU-Net asks for, and whose knees these are."""
    return {
        "channel_names": {"0": _channel([*learnt, *tested])},
        "labels": {label.name.lower(): int(label) for label in Label},
        "numTraining": len(learnt),
        "file_ending": FILE_ENDING,
        "name": _DATASET_NAME,
        "description": f"knee MRI with labels of bones and growth plates; population: {cohort.population}",
    }


def _channel(entries: Sequence[SubjectEntry]) -> str:
    """Name the contrast where all have one."""
    names = {entry.sequence for entry in entries}
    only = names.pop() if len(names) == 1 else None
    return only if only and only.casefold() not in ("ct", "nonorm") else _MIXED_CHANNEL


def _folds(split: Split, learnt: Sequence[SubjectEntry]) -> list[dict[str, list[str]]]:
    """Give the folds, without the subjects that have no labels."""
    there = {entry.subject_id for entry in learnt}
    return [
        {
            "train": [subject for subject in split.learnt_in(fold) if subject in there],
            "val": [subject for subject in split.tested_in(fold) if subject in there],
        }
        for fold in range(split.folds)
    ]


def _write_json(path: Path, content: object) -> None:
    """Write plain values."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
