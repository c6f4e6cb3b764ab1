"""Knees of blocks, and networks that see them exactly."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kneeage.core.anatomy import Label, Plane, Sex
from kneeage.core.manifest import AgeStage, BundleManifest, SegmentStage
from kneeage.core.volume import Volume
from kneeage.infer.segment import OPEN_PLATES, SCARS

SPACING_MM = (1.0, 1.0, 4.0)
SHAPE = (64, 96, 9)
BONE_COLUMNS = slice(16, 52)
ALL_LABELS = list(range(12))
# Voxel to world for the orientation LIP, isocentre near the middle.
AFFINE = np.array([[-1.0, 0, 0, 32], [0, 0, -4.0, 16], [0, -1.0, 0, 48], [0, 0, 0, 1]])


def block_knee(*, open_columns: int = 36, plate_rows: int = 2) -> Volume:
    """A right knee of blocks (LIP): the first ``open_columns`` of both plates' 36 columns are open."""
    values = np.zeros(SHAPE, dtype=np.uint8)
    values[BONE_COLUMNS, 4:31] = Label.DISTAL_FEMUR_METAPHYSIS
    values[BONE_COLUMNS, 31:45] = Label.DISTAL_FEMUR_EPIPHYSIS
    values[BONE_COLUMNS, 52:62] = Label.PROXIMAL_TIBIA_EPIPHYSIS
    values[BONE_COLUMNS, 62:92] = Label.PROXIMAL_TIBIA_METAPHYSIS
    values[4:12, 62:92, 3:7] = Label.PROXIMAL_FIBULA
    open_part = slice(BONE_COLUMNS.start, BONE_COLUMNS.start + open_columns)
    values[open_part, 31 : 31 + plate_rows] = Label.DISTAL_FEMUR_PHYSIS
    values[open_part, 62 - plate_rows : 62] = Label.PROXIMAL_TIBIA_PHYSIS
    return Volume(values[None], AFFINE)


def edited(labels: Volume, where: tuple[slice | int, ...], value: int) -> Volume:
    """Write a label into a box (I, J, K)."""
    array = labels.array.copy()
    array[(0, *where)] = value
    return labels.with_array(array)


def without(labels: Volume, *values: int) -> Volume:
    """Take labels away."""
    return labels.with_array(np.where(np.isin(labels.array, values), 0, labels.array).astype(np.uint8))


def as_image(labels: Volume) -> Volume:
    """Grey values equal to the labels."""
    return labels.with_array(labels.array.astype(np.float32))


def plate_probability_of(labels: Volume) -> Volume:
    """Turn labels, shape (1, I, J, K), into certain probabilities of open plate and scar, shape (2, I, J, K)."""
    marks = [np.isin(labels.array[0], group) for group in (OPEN_PLATES, SCARS)]
    return labels.with_array(np.stack(marks).astype(np.float32))


def segment_model(values: list[int] | None = None) -> bytes:
    """A 1x1 convolution whose most probable class is the label nearest to the grey value."""
    grey = np.array(ALL_LABELS if values is None else values, dtype=np.float32)
    weight, bias = 40 * grey, -20 * grey**2
    return _model(
        [helper.make_node("Conv", ["image", "weight", "bias"], ["logits"])],
        {"image": ["S", 1, "J", "I"]},
        {"weight": weight[:, None, None, None], "bias": bias},
        {"logits": ["S", len(grey), "J", "I"]},
    )


def age_model(edges: list[float], *, oldest: float = 20.0, years_per_open: float = 400.0) -> bytes:
    """Age falls with the mean probability of open plate; males are a year older."""
    centres = (np.array(edges[:-1], dtype=np.float32) + np.array(edges[1:], dtype=np.float32)) / 2
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "slope"], ["younger"]),
        helper.make_node("Add", ["sex", "oldest"], ["older"]),
        helper.make_node("Add", ["older", "younger"], ["age"]),
        helper.make_node("MatMul", ["age", "centres"], ["product"]),
        helper.make_node("Sub", ["product", "squares"], ["logits"]),
    ]
    constants = {
        "slope": np.array([[0], [-years_per_open], [0]]),
        "oldest": np.array([[oldest]]),
        "centres": centres[None],
        "squares": centres[None] ** 2 / 2,
    }
    return _model(nodes, {"image": ["S", 3, "H", "W"], "sex": ["S", 1]}, constants, {"logits": ["S", len(centres)]})


def pooled_age_model(
    edges: list[float],
    *,
    facts: int = 1,
    oldest: float = 20.0,
    years_per_open: float = 400.0,
    years_per_fact: float = 0,
) -> bytes:
    """The same as ``age_model``, pooled over slices, with ``facts`` whose first is the sex.

    Every further fact adds so many years. The features are the mean of each channel.
    """
    centres = (np.array(edges[:-1], dtype=np.float32) + np.array(edges[1:], dtype=np.float32)) / 2
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["means"], axes=[0, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["means", "first"], ["features"]),
        helper.make_node("MatMul", ["features", "slope"], ["younger"]),
        helper.make_node("MatMul", ["facts", "weights"], ["known"]),
        helper.make_node("Add", ["known", "oldest"], ["older"]),
        helper.make_node("Add", ["older", "younger"], ["age"]),
        helper.make_node("MatMul", ["age", "centres"], ["product"]),
        helper.make_node("Sub", ["product", "squares"], ["logits"]),
    ]
    constants = {
        "slope": np.array([[0], [-years_per_open], [0]]),
        "oldest": np.array([[oldest]]),
        "weights": np.array([[1.0], *[[years_per_fact]] * (facts - 1)]),
        "centres": centres[None],
        "squares": centres[None] ** 2 / 2,
    }
    inputs: dict[str, list[object]] = {"image": ["S", 3, "H", "W"], "facts": [1, facts]}
    return _model(nodes, inputs, constants, {"logits": [1, len(centres)], "features": [1, 3]})


def _model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[object]],
    constants: dict[str, NDArray[np.generic]],
    outputs: dict[str, list[object]],
) -> bytes:
    """Put a float32 network together; ``first`` is the axis 0."""
    values, answers = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
        for shapes in (inputs, outputs)
    )
    first = numpy_helper.from_array(np.array([0], dtype=np.int64), "first")
    tensors = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "test", values, answers, [*tensors, first])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def manifest(**changes: object) -> BundleManifest:
    """A manifest for networks of this module."""
    values: dict[str, object] = {
        "name": "blocks",
        "version": "1",
        "population": "virtual",
        "licence": "Apache-2.0",
        "plane": Plane.CORONAL,
        "sexes": [Sex.MALE, Sex.FEMALE],
        "age_range_years": (8.0, 26.0),
        "age_edges_years": [float(age) for age in range(8, 27)],
        "labels": {label.name.lower(): int(label) for label in Label},
        "recipe": {"name": "blocks", "steps": [{"step": "orient"}]},
        "segment": SegmentStage(file="segment.onnx", label_values=ALL_LABELS, size_multiple=32),
        "age": AgeStage(file="age.onnx", region_shape=(48, 48), max_slices=5, min_slices=3),
        "training_split_sha256": "0" * 64,
    }
    return BundleManifest.model_validate({**values, **changes})
