"""Hand subjects to ITK-SNAP: for each a folder with image, segmentation, label descriptions and a workspace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from kneeage.cohort.folder import Cohort
from kneeage.cohort.label_maps import read_drawing
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import LABEL_COLOURS, Label
from kneeage.core.errors import InputRefusedError
from kneeage.core.manifest import VIRTUAL_IMAGE_MARK
from kneeage.core.volume import Volume
from kneeage.io.itksnap import write_label_descriptions
from kneeage.io.nifti import write_image, write_labels
from kneeage.io.output import whole_folder
from kneeage.io.series import LoadedSeries

IMAGE_FILE, SEGMENTATION_FILE, DESCRIPTIONS_FILE = "image.nii.gz", "labels.nii.gz", "labels.txt"
WORKSPACE_SUFFIX = ".itksnap"

# A place that no file is in. ITK-SNAP looks for a workspace's files where they lay relative to the place in which it
# was saved; as this is never where it is opened, they are always found beside it, wherever the folder goes.
# Source: ITK-SNAP, the note at the head of every workspace it writes.
_SAVED_AT = "/kneeage"
# Release of ITK-SNAP whose entries are written (3.8.0); later ones read them. Source: workspaces that it writes.
_VERSION = "20190612"
_OPAQUE = "255"

Draft = Callable[[LoadedSeries], Volume]
Progress = Callable[[int, int], None]
Registry = Mapping[str, "str | Registry"]


class LabelSource(str, Enum):
    """Where an exported segmentation comes from."""

    COHORT = "cohort"
    DRAFT = "draft"
    EMPTY = "empty"


@dataclass
class Exported:
    """What an export came to, by subject.

    Args:
        written: Where the segmentation of each written folder comes from.
        kept: Subjects whose folders were there, and were left as they are.
        refused: Why a subject could not be exported.
    """

    written: dict[str, LabelSource] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def export_cohort(
    cohort: Cohort, entries: Sequence[SubjectEntry], folder: Path, draft: Draft | None, count: Progress
) -> Exported:
    """Export subjects, each into a folder of its own, written whole or not at all; folders that are there are kept.

    Args:
        cohort: The cohort.
        entries: The subjects wanted.
        folder: Where the subjects' folders go.
        draft: Labels the series of a subject that has no labels; None: its segmentation is empty.
        count: Told how many subjects are done, and how many there are.

    Raises:
        OutputError: A folder cannot be written.
        BundleError: A draft cannot be made by the bundle.
    """
    done = Exported()
    for number, entry in enumerate(entries, 1):
        place = folder / entry.subject_id
        try:
            if (place / SEGMENTATION_FILE).exists():
                done.kept.append(entry.subject_id)
            else:
                series = cohort.series(entry)
                done.written[entry.subject_id] = export_series(place, series, _labels(cohort, entry, series), draft)
        except InputRefusedError as error:
            done.refused[entry.subject_id] = str(error)
        count(number, len(entries))
    return done


def export_series(place: Path, series: LoadedSeries, labels: Volume | None, draft: Draft | None) -> LabelSource:
    """Write the folder of one subject.

    Args:
        place: The folder; its name is that of the workspace.
        series: The image.
        labels: Labels that there are, on its grid; None: there are none.
        draft: Labels a series that has no labels; None: its segmentation is empty.

    Returns:
        Where the segmentation comes from.

    Raises:
        OutputError: The folder is there, or cannot be written.
        InputRefusedError: The series cannot be labelled by the bundle.
    """
    source, drawn = _segmentation(series, labels, draft)
    is_virtual = series.header.virtual
    with whole_folder(place) as whole:
        write_image(whole / IMAGE_FILE, series.volume, virtual=is_virtual)
        write_labels(whole / SEGMENTATION_FILE, drawn, note=VIRTUAL_IMAGE_MARK if is_virtual else "")
        write_label_descriptions(whole / DESCRIPTIONS_FILE)
        text = workspace(series.volume.shape)
        (whole / f"{place.name}{WORKSPACE_SUFFIX}").write_text(text, encoding="utf-8", newline="\n")
    return source


def workspace(shape: tuple[int, int, int]) -> str:
    """Write a workspace that opens image and segmentation beside it, with our names and colours.

    Args:
        shape: Voxels of the image; ITK-SNAP takes the labels over only where they are stated right.

    Returns:
        XML. Source: ITK-SNAP's workspaces, whose entries and folders have a key and a value each.
    """
    own: Registry = {
        "Files": {"Grey": {"Dimensions": " ".join(str(count) for count in shape)}},
        "IRIS": {"LabelTable": _label_table()},
    }
    main: Registry = {**_layer(IMAGE_FILE, "MainRole"), "ProjectMetaData": own}
    tree: Registry = {
        "SaveLocation": _SAVED_AT,
        "Version": _VERSION,
        "Layers": {
            "Layer[000]": main,
            "Layer[001]": _layer(SEGMENTATION_FILE, "SegmentationRole"),
        },
    }
    return "\n".join(['<?xml version="1.0" encoding="UTF-8" ?>', "<registry>", *_xml(tree, 1), "</registry>", ""])


def _labels(cohort: Cohort, entry: SubjectEntry, series: LoadedSeries) -> Volume | None:
    """Read the labels of a subject as they are, so that faults in them can be mended; None where nothing is drawn."""
    path = cohort.labels_path(entry)
    return None if path is None else read_drawing(path, series.volume, entry.subject_id)


def _segmentation(series: LoadedSeries, labels: Volume | None, draft: Draft | None) -> tuple[LabelSource, Volume]:
    """Take the labels that there are, else a draft, else none."""
    if labels is not None:
        return LabelSource.COHORT, labels
    if draft is not None:
        return LabelSource.DRAFT, draft(series)
    return LabelSource.EMPTY, series.volume.with_array(np.zeros(series.volume.array.shape, dtype=np.uint8))


def _layer(file: str, role: str) -> Registry:
    """Name a file and what it is."""
    return {"AbsolutePath": f"{_SAVED_AT}/{file}", "Role": role}


def _label_table() -> Registry:
    """Describe the labels; the background is ITK-SNAP's own."""
    labels = [label for label in Label if label is not Label.BACKGROUND]
    table: dict[str, str | Registry] = {"NumberOfElements": str(len(labels))}
    return table | {f"Element[{n}]": _element(label) for n, label in enumerate(labels)}


def _element(label: Label) -> Registry:
    """Describe a label; its flags are for visibility as a surface and in slices."""
    return {
        "Index": str(int(label)),
        "Alpha": _OPAQUE,
        "Label": label.name.lower(),
        "Color": " ".join(str(part) for part in LABEL_COLOURS[label]),
        "Flags": "1 1",
    }


def _xml(tree: Registry, depth: int) -> list[str]:
    """Write entries and folders, one per line."""
    lines, indent = [], "  " * depth
    for key, value in tree.items():
        if isinstance(value, str):
            lines.append(f"{indent}<entry key={quoteattr(key)} value={quoteattr(value)} />")
        else:
            lines += [f"{indent}<folder key={quoteattr(key)} >", *_xml(value, depth + 1), f"{indent}</folder>"]
    return lines
