"""Export: ONNX Runtime answers as torch does, for any number and size of slices."""

from __future__ import annotations

from pathlib import Path

import lightning
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from kneeage.core.errors import UsageError
from kneeage.learn.age_model import AgeModel, load_age_model, train_age_model
from kneeage.learn.end_to_end import EndToEnd
from kneeage.learn.export import (
    OPSET,
    _changed_labels,
    export_age_model,
    export_end_to_end,
    export_segmenter,
    export_subject_model,
    halve_weights,
    parity,
    served,
    to_onnx,
)
from kneeage.learn.networks import GoogLeNet
from kneeage.learn.presets import overridden, preset
from kneeage.learn.segmenter import load_segmenter, train_segmenter
from kneeage.learn.settings import AgeModelSettings, EndToEndSettings, FitSettings, SegmenterSettings, as_json_object
from tests.learn.sources import StripeSource, write_regions

FIT = FitSettings(batch_size=2, max_steps=2, steps_per_epoch=2, precision="32-true", progress_bar=False)
RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = SegmenterSettings(fit=FIT, widths=(8, 8, 16, 16, 16, 16), size=64, validation_slices=2)
    return train_segmenter(StripeSource(), StripeSource(), settings, tmp_path_factory.mktemp("segmenter"))


@pytest.fixture(scope="module")
def age_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("age_model")
    regions = write_regions(folder / "regions")
    return train_age_model(regions, regions, AgeModelSettings(fit=FIT, width=0.125), folder / "run")


def _normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 96, 32)])
def test_segmenter_answers_alike(segmenter: Path, shape: tuple[int, int, int]) -> None:
    slices, rows, columns = shape
    inputs = {"image": _normal(slices, 1, rows, columns)}
    found = parity(load_segmenter(segmenter).network, export_segmenter(segmenter, "float32"), inputs)
    assert found.largest_difference < 1e-3
    assert found.changed_labels == 0


@pytest.mark.parametrize("slices", [1, 5])
def test_age_model_answers_alike(age_model: Path, slices: int) -> None:
    inputs = {"image": _normal(slices, 3, 64, 64), "facts": np.ones((1, 1), dtype=np.float32)}
    found = parity(served(load_age_model(age_model)), export_age_model(age_model, "float32"), inputs)
    assert found.largest_difference < 1e-3
    assert found.changed_labels == 0


@pytest.mark.parametrize(
    "changes",
    [
        ["inputs=masked", "pooling=attention"],
        ["target=corn", "head=hidden", "facts=[height,weight,sequence,plates]", "pooling=attention"],
        ["target=mean_variance", "facts=[plates]"],
        ["inputs=raw", "norm=none"],
        ["backbone=densenet121"],
        ["backbone=efficientnet-b0"],
        ["backbone=resnet18"],
    ],
)
def test_every_kind_of_age_model_is_served_as_it_was_trained(changes: list[str]) -> None:
    torch.manual_seed(0)
    model = AgeModel(as_json_object(overridden(AgeModelSettings(width=0.125), changes))).eval()
    exported = export_subject_model(model, "float32")
    inputs = {"image": _normal(5, 3, 64, 64), "facts": np.ones((1, len(model.fact_input.names)), np.float32)}
    found = parity(served(model), exported, inputs)
    assert found.largest_difference < 1e-3
    assert found.changed_labels == 0
    logits, features = onnxruntime.InferenceSession(exported).run(["logits", "features"], inputs)
    with torch.inference_mode():
        subject = model.subject_logits(*(torch.from_numpy(array) for array in inputs.values()))
    np.testing.assert_allclose(logits, subject, atol=1e-3)
    np.testing.assert_allclose(np.exp(logits).sum(), 1, atol=1e-4)
    assert features.shape == (1, model.network.feature_channels)


def test_a_tie_is_no_changed_label() -> None:
    tie, clear = ((np.array([[0.0, lead]], np.float32), np.array([[lead, 0.0]], np.float32)) for lead in (2e-5, 2e-3))
    assert (_changed_labels(*tie), _changed_labels(*clear)) == (0, 1)


def test_a_model_without_an_image_is_not_served() -> None:
    model = AgeModel(as_json_object(AgeModelSettings(backbone="none")))
    with pytest.raises(UsageError, match="sees no image"):
        export_subject_model(model)


def test_end_to_end_model_answers_alike(tmp_path: Path) -> None:
    torch.manual_seed(0)
    classic = overridden(preset("paper").segmenter, ["widths=[4,4,4,4,4]"])
    settings = EndToEndSettings(size=64, width=0.125)
    module = EndToEnd(as_json_object(settings), as_json_object(classic)).eval()
    content = {
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "pytorch-lightning_version": lightning.__version__,
    }
    torch.save(content, tmp_path / "best.ckpt")
    inputs = {"image": _normal(3, 1, 96, 64), "sex": np.ones((3, 1), dtype=np.float32)}
    found = parity(module.network, export_end_to_end(tmp_path / "best.ckpt", "float32"), inputs)
    assert found.largest_difference < 1e-3
    assert found.changed_labels == 0


def test_tensor_names_and_opset(segmenter: Path, age_model: Path) -> None:
    segmenter_model, age = (
        onnx.load_from_string(raw) for raw in (export_segmenter(segmenter), export_age_model(age_model))
    )
    assert [tensor.name for tensor in segmenter_model.graph.input] == ["image"]
    assert [tensor.name for tensor in age.graph.input] == ["image", "facts"]
    assert [tensor.name for tensor in segmenter_model.graph.output] == ["logits"]
    assert [tensor.name for tensor in age.graph.output] == ["logits", "features"]
    assert {model.opset_import[0].version for model in (segmenter_model, age)} == {OPSET}


def test_no_auxiliary_head_is_exported(age_model: Path) -> None:
    names = {tensor.name for tensor in onnx.load_from_string(export_age_model(age_model)).graph.initializer}
    assert not any("auxiliary" in name for name in names)


def test_half_weights_halve_the_file_and_compute_in_float32() -> None:
    torch.manual_seed(0)
    network = GoogLeNet(12, width=0.5).eval()
    example = {"image": torch.zeros(1, 3, 64, 64), "sex": torch.zeros(1, 1)}
    whole = to_onnx(network, example, {"image": {0: "S"}})
    halved = halve_weights(whole)
    assert len(halved) < 0.6 * len(whole)
    session = onnxruntime.InferenceSession(halved)
    assert {tensor.type for tensor in (*session.get_inputs(), *session.get_outputs())} == {"tensor(float)"}
    inputs = {"image": _normal(1, 3, 64, 64), "sex": np.ones((1, 1), dtype=np.float32)}
    assert parity(network, halved, inputs).largest_difference < 2e-2
