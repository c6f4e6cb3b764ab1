"""Networks in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.errors import BundleError
from kneeage.infer.engine import Engine
from tests.infer.knees import segment_model


def test_runs_in_float32() -> None:
    engine = Engine(segment_model([0, 5]), name="blocks", inputs=("image",), threads=1)
    logits = engine.run({"image": np.full((2, 1, 3, 4), 5.0)})
    assert logits.shape == (2, 2, 3, 4)
    assert logits.dtype == np.float32
    assert (logits.argmax(axis=1) == 1).all()


def test_a_file_that_is_no_network_is_refused() -> None:
    with pytest.raises(BundleError, match=r"cannot load network 'x.onnx'"):
        Engine(b"no network", name="x.onnx", inputs=("image",))


def test_other_inputs_are_refused() -> None:
    with pytest.raises(BundleError, match=r"must have the inputs \['image', 'sex'\]; it has \['image'\]"):
        Engine(segment_model(), name="x.onnx", inputs=("image", "sex"))


def test_another_output_is_refused() -> None:
    model = segment_model().replace(b"logits", b"scores")
    with pytest.raises(BundleError, match="no output 'logits'"):
        Engine(model, name="x.onnx", inputs=("image",))


def test_a_wrong_shape_is_an_error_of_the_bundle() -> None:
    engine = Engine(segment_model(), name="x.onnx", inputs=("image",), threads=1)
    with pytest.raises(BundleError, match=r"network 'x.onnx' failed"):
        engine.run({"image": np.zeros((1, 2, 3, 4), dtype=np.float32)})


def test_an_answer_that_is_not_finite_is_refused() -> None:
    engine = Engine(segment_model(), name="x.onnx", inputs=("image",), threads=1)
    with pytest.raises(BundleError, match="not finite"):
        engine.run({"image": np.full((1, 1, 3, 4), np.nan, dtype=np.float32)})
