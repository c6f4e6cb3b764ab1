"""The stages of a bundle that are trained here: what their networks take and give."""

from __future__ import annotations

from collections.abc import Sequence

from kneeage.core.anatomy import Label
from kneeage.core.manifest import AgeStage, SegmentStage

SEGMENTER_FILE, AGE_FILE = "segmenter.onnx", "age.onnx"


def segment_stage(size_multiple: int = 32) -> SegmentStage:
    """Stage of a segmenter that gives every label.

    Args:
        size_multiple: What rows and columns must be multiples of: 2 to the power of the U-Net's levels less one.
    """
    return SegmentStage(file=SEGMENTER_FILE, label_values=[int(label) for label in Label], size_multiple=size_multiple)


def age_files(models: int) -> list[str]:
    """Name the files of one age model, or of an ensemble."""
    return [AGE_FILE] if models == 1 else [f"age_{place}.onnx" for place in range(1, models + 1)]


def age_stage(files: Sequence[str] = (AGE_FILE,), fact_names: Sequence[str] = ("sex",)) -> AgeStage:
    """Stage of the age models: 96 mm squared about the joint hold both plates of an adult knee.

    Args:
        files: One network, or an ensemble.
        fact_names: What the networks are told beside the image.
    """
    return AgeStage(
        files=list(files),
        region_shape=(160, 160),
        max_slices=8,
        min_slices=3,
        slice_pooling="in_graph",
        fact_names=list(fact_names),
    )
