"""The arithmetic floor: how long a network's multiply-adds take at this machine's measured matrix rate.

A network cannot run faster than its multiply-adds at the full rate of a large float32 matrix product;
what a benchmark takes beyond that is memory traffic, small layers and everything that is not the network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from math import prod

import numpy as np
import onnx

Shape = tuple[int, ...]
_MATRIX_SIZE = 2048


def multiply_adds(model: bytes, inputs: Mapping[str, Shape]) -> int:
    """Count the multiply-adds of one run of an ONNX network.

    Convolutions, transposed convolutions and matrix products are counted; all else is small beside them.

    Args:
        model: Content of the ``.onnx`` file.
        inputs: Shape of each input in that run.
    """
    graph = onnx.shape_inference.infer_shapes(_with_shapes(onnx.load_from_string(model), inputs)).graph
    shapes = {value.name: _shape(value) for value in (*graph.input, *graph.value_info, *graph.output)}
    shapes |= {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    return sum(_COUNTERS[node.op_type](node, shapes) for node in graph.node if node.op_type in _COUNTERS)


def matrix_rate(repeats: int = 5) -> float:
    """Measure the float32 multiply-adds per second of a large matrix product, the best of some repeats."""
    matrix = np.random.default_rng(0).random((_MATRIX_SIZE, _MATRIX_SIZE), dtype=np.float32)
    matrix @ matrix
    return _MATRIX_SIZE**3 / min(_seconds(lambda: matrix @ matrix) for _ in range(repeats))


def _seconds(action: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _with_shapes(model: onnx.ModelProto, inputs: Mapping[str, Shape]) -> onnx.ModelProto:
    """Write the shapes of one run into the inputs, and forget what was noted about later shapes."""
    for value in model.graph.input:
        for axis, size in enumerate(inputs.get(value.name, ())):
            value.type.tensor_type.shape.dim[axis].dim_value = size
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return model


def _shape(value: onnx.ValueInfoProto) -> Shape:
    """Give the known shape of a value; an unknown size is 0."""
    return tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)


def _convolution(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    """Every output element sums over a kernel of (channels per group, *extent)."""
    return prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])


def _transposed_convolution(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    """Every input element is spread over a kernel of (channels per group, *extent)."""
    return prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])


def _product(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    """Every output element sums over the shared axis."""
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return prod(shapes[node.output[0]]) * shapes[node.input[0]][-2 if transposed else -1]


_COUNTERS: dict[str, Callable[[onnx.NodeProto, Mapping[str, Shape]], int]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Gemm": _product,
    "MatMul": _product,
}
