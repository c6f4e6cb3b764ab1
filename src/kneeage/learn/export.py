"""From a checkpoint to the ONNX bytes that a bundle carries, and the proof that they answer alike."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
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

from kneeage.core.errors import UsageError
from kneeage.learn.age_model import AgeModel, load_age_model
from kneeage.learn.end_to_end import load_end_to_end
from kneeage.learn.inputs import network_inputs
from kneeage.learn.segmenter import load_segmenter

OPSET = 17  # understood by every ONNX Runtime since 1.12
AGE_OUTPUTS = ("logits", "features")
ALL_BINS = slice(None)
WeightStorage = Literal["float32", "float16"]
FloatArray = NDArray[np.float32]
# Smaller arrays (biases, shapes) stay as they are: they cost no space.
_SMALLEST_HALVED = 256
# Logits that lie as near to each other as this are a tie: float32 sums in another order decide it the other way.
_TIE = 1e-4


@dataclass(frozen=True)
class Parity:
    """How far ONNX Runtime is from torch.

    Args:
        largest_difference: Of any logit; of any other output, as a share of its largest value where that is over 1.
        changed_labels: Positions at which another class has the highest logit, ties apart.
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
    """Export a trained age model: ``image`` (S, 3, H, W) and ``facts`` (1, F) to ``logits`` (1, bins) and ``features``.

    Whatever the model's inputs, target and pooling are, it is served regions and answers for the subject: ``logits``
    are log-probabilities of the bins, ``features`` (1, D) those of the image, before the facts, pooled over slices.

    Args:
        checkpoint: What `train_age_model` returned.
        weights: How the weights are stored; the computation is float32 in both cases.

    Returns:
        The ONNX file's bytes.

    Raises:
        UsageError: The model sees no image.
    """
    return export_subject_model(load_age_model(checkpoint), weights)


def export_subject_model(model: AgeModel, weights: WeightStorage = "float16", bins: slice = ALL_BINS) -> bytes:
    """Export an age model that is in memory; see `export_age_model`.

    Args:
        model: The age model.
        weights: How the weights are stored; the computation is float32 in both cases.
        bins: Age bins that it answers for.

    Returns:
        The ONNX file's bytes.

    Raises:
        UsageError: The model sees no image.
    """
    if model.settings.backbone == "none":
        raise UsageError("an age model with backbone=none sees no image and is not served; choose another backbone")
    example = {"image": torch.zeros(2, 3, 160, 160), "facts": torch.zeros(1, len(model.fact_input.names))}
    return to_onnx(served(model, bins), example, {"image": {0: "S", 2: "H", 3: "W"}}, weights, outputs=AGE_OUTPUTS)


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


def served(model: AgeModel, bins: slice = ALL_BINS) -> nn.Module:
    """Give the network that answers for an age model: regions (S, 3, H, W), facts (1, F) -> (1, bins), (1, D)."""
    return _Served(model, bins)


class _Served(nn.Module):
    """An age model without what only training needs."""

    def __init__(self, model: AgeModel, bins: slice) -> None:
        super().__init__()
        self.model, self.bins = model, bins

    def forward(self, image: torch.Tensor, facts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map regions (S, 3, H, W) and facts (1, F) to log-probabilities (1, bins) and pooled features (1, D)."""
        features = self.model.network.features(network_inputs(image, self.model.settings.inputs))
        logits, together = self.model.judged(features, facts)
        return logits[:, self.bins], together


def to_onnx(
    network: nn.Module,
    example: Mapping[str, torch.Tensor],
    dynamic_axes: Mapping[str, Mapping[int, str]],
    weights: WeightStorage = "float32",
    outputs: Sequence[str] = ("logits",),
) -> bytes:
    """Export a network in its prediction mode; batch norms are folded into the convolutions.

    Args:
        network: Takes the example's tensors in their order and returns the outputs.
        example: Input tensors by name.
        dynamic_axes: Names of the axes that may have any length, by tensor and axis.
        weights: How the weights are stored.
        outputs: Names of what the network returns.

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
            output_names=list(outputs),
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
    answered = session.run(None, dict(inputs))
    with torch.inference_mode():
        trained = network.eval()(*(torch.from_numpy(array) for array in inputs.values()))
    expected = [each.numpy() for each in (trained if isinstance(trained, tuple) else (trained,))]
    scales = [1.0, *(max(1.0, float(np.abs(each).max())) for each in expected[1:])]
    pairs = zip(answered, expected, scales, strict=True)
    differences = [float(np.abs(a - b).max()) / scale for a, b, scale in pairs]
    return Parity(float(np.max(differences)), _changed_labels(answered[0], expected[0]))


def _changed_labels(answered: FloatArray, expected: FloatArray) -> int:
    """Count positions of logits (N, classes, ...) at which another class wins than is expected, ties apart."""
    winners = answered.argmax(1)[:, None]
    lost = expected.max(1) - np.take_along_axis(expected, winners, axis=1)[:, 0]
    return int(np.count_nonzero(lost > _TIE))
