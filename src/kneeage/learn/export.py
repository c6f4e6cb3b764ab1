"""From a checkpoint to the ONNX bytes that a bundle carries, and the proof that they answer alike."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from kneeage.learn.age_model import AgeModel, load_age_model
from kneeage.learn.end_to_end import load_end_to_end
from kneeage.learn.inputs import network_inputs
from kneeage.learn.segmenter import load_segmenter

OPSET = 17  # understood by every ONNX Runtime since 1.12
WeightStorage = Literal["float32", "float16"]
FloatArray = NDArray[np.float32]
# Smaller arrays (biases, shapes) stay as they are: they cost no space.
_SMALLEST_HALVED = 256


@dataclass(frozen=True)
class Parity:
    """How far ONNX Runtime is from torch.

    Args:
        largest_difference: Of any logit.
        changed_labels: Positions at which another class has the highest logit.
    """

    largest_difference: float
    changed_labels: int


def export_segmenter(checkpoint: Path, weights: WeightStorage = "float16") -> bytes:
    """Export a trained segmenter: ``image`` (S, 1, J, I) -> ``logits`` (S, labels, J, I).

    Args:
        checkpoint: What `train_segmenter` returned.
        weights: How the weights are stored; the computation is float32 in both cases.

    Returns:
        The ONNX file's bytes.
    """
    module = load_segmenter(checkpoint)
    example = {"image": torch.zeros(2, 1, module.settings.size, module.settings.size)}
    axes = {"image": {0: "S", 2: "J", 3: "I"}, "logits": {0: "S", 2: "J", 3: "I"}}
    return to_onnx(module.network, example, axes, weights)


def export_age_model(checkpoint: Path, weights: WeightStorage = "float16") -> bytes:
    """Export a trained age model: ``image`` (S, 3, H, W), ``sex`` (S, 1) -> ``logits`` (S, bins).

    Whatever the model's inputs and pooling are, it is served regions, and the mean of the logits over all slices of a
    subject is the subject's: with attention the logits carry the slices' weights, and a slice has no answer alone.

    Args:
        checkpoint: What `train_age_model` returned.
        weights: How the weights are stored; the computation is float32 in both cases.

    Returns:
        The ONNX file's bytes.
    """
    example = {"image": torch.zeros(2, 3, 160, 160), "sex": torch.zeros(2, 1)}
    axes = {"image": {0: "S", 2: "H", 3: "W"}, "sex": {0: "S"}, "logits": {0: "S"}}
    return to_onnx(served(load_age_model(checkpoint)), example, axes, weights)


def export_end_to_end(checkpoint: Path, weights: WeightStorage = "float16") -> bytes:
    """Export a model trained end to end: ``image`` (S, 1, H, W), ``sex`` (S, 1) -> ``logits`` (S, classes).

    Args:
        checkpoint: What `train_end_to_end` returned.
        weights: How the weights are stored; the computation is float32 in both cases.

    Returns:
        The ONNX file's bytes.
    """
    module = load_end_to_end(checkpoint)
    example = {"image": torch.zeros(2, 1, module.settings.size, module.settings.size), "sex": torch.zeros(2, 1)}
    axes = {"image": {0: "S", 2: "H", 3: "W"}, "sex": {0: "S"}, "logits": {0: "S"}}
    return to_onnx(module.network, example, axes, weights)


def served(model: AgeModel) -> nn.Module:
    """Give the network that answers for an age model when it is served regions (S, 3, H, W) and the sex (S, 1)."""
    plain = model.settings.inputs == "regions" and model.attention is None
    return model.network if plain else _Served(model)


class _Served(nn.Module):
    """An age model whose logits are such that their mean over the slices is the subject's."""

    def __init__(self, model: AgeModel) -> None:
        super().__init__()
        self.network, self.attention, self._inputs = model.network, model.attention, model.settings.inputs

    def forward(self, image: torch.Tensor, sex: torch.Tensor) -> torch.Tensor:
        """Map regions (S, 3, H, W) and sex (S, 1) to logits (S, bins)."""
        logits, features = self.network.with_features(network_inputs(image, self._inputs), sex)
        if self.attention is None:
            return logits
        weights = self.attention.scores(features).softmax(0)
        return logits * weights / weights.mean()


def to_onnx(
    network: nn.Module,
    example: Mapping[str, torch.Tensor],
    dynamic_axes: Mapping[str, Mapping[int, str]],
    weights: WeightStorage = "float32",
) -> bytes:
    """Export a network in its prediction mode; batch norms are folded into the convolutions.

    Args:
        network: Takes the example's tensors in their order and returns ``logits``.
        example: Input tensors by name.
        dynamic_axes: Names of the axes that may have any length, by tensor and axis.
        weights: How the weights are stored.

    Returns:
        The ONNX file's bytes.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The exporter without dynamo needs no further package; its deprecation is known (torch stays below 2.14).
        warnings.simplefilter("ignore")
        file = Path(folder) / "model.onnx"
        torch.onnx.export(
            network.eval(),
            tuple(example.values()),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(example),
            output_names=["logits"],
            dynamic_axes={name: dict(axes) for name, axes in dynamic_axes.items()},
        )
        model_bytes = file.read_bytes()
    return model_bytes if weights == "float32" else halve_weights(model_bytes)


def halve_weights(model_bytes: bytes) -> bytes:
    """Store large float32 weights as float16, each behind a cast back to float32.

    ONNX Runtime folds the casts when it loads the model, so that serving computes in float32 as before.
    """
    model = onnx.load_from_string(model_bytes)
    casts = [_halve(tensor) for tensor in model.graph.initializer if _worth_halving(tensor)]
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _worth_halving(tensor: onnx.TensorProto) -> bool:
    """Say whether an initialiser is a large float32 array."""
    return tensor.data_type == TensorProto.FLOAT and int(np.prod(tensor.dims)) >= _SMALLEST_HALVED


def _halve(tensor: onnx.TensorProto) -> onnx.NodeProto:
    """Turn an initialiser into float16 under a new name; return the node that casts it back to its old name."""
    name = tensor.name
    values = numpy_helper.to_array(tensor).astype(np.float16)
    tensor.CopyFrom(numpy_helper.from_array(values, f"{name}.float16"))
    return helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT)


def parity(network: nn.Module, model_bytes: bytes, inputs: Mapping[str, FloatArray]) -> Parity:
    """Compare torch with ONNX Runtime on the same inputs, both in float32.

    Args:
        network: What was exported.
        model_bytes: The exported model.
        inputs: Arrays by name, in the order of the network's arguments.

    Returns:
        The largest difference, and how many labels it changed.
    """
    session = onnxruntime.InferenceSession(model_bytes, providers=["CPUExecutionProvider"])
    (served,) = session.run(["logits"], dict(inputs))
    with torch.inference_mode():
        trained = network.eval()(*(torch.from_numpy(array) for array in inputs.values())).numpy()
    changed = int((served.argmax(1) != trained.argmax(1)).sum())
    return Parity(float(np.abs(served - trained).max()), changed)
