"""The stages of a bundle that are trained here: what their networks take and give."""

from __future__ import annotations

from kneeage.core.anatomy import Label
from kneeage.core.manifest import AgeStage, SegmentStage

SEGMENTER_FILE, AGE_FILE = "segmenter.onnx", "age.onnx"


def segment_stage(size_multiple: int = 32) -> SegmentStage:
    """Stage of a segmenter that gives every label.

    Args:
        size_multiple: What rows and columns must be multiples of: 2 to the power of the U-Net's levels less one.
    """
    return SegmentStage(file=SEGMENTER_FILE, label_values=[int(label) for label in Label], size_multiple=size_multiple)


def age_stage() -> AgeStage:
    """Stage of the age model: 96 mm squared about the joint hold both plates of an adult knee."""
    return AgeStage(file=AGE_FILE, region_shape=(160, 160), max_slices=8, min_slices=3)
