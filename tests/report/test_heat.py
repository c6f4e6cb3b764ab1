"""The picture of where the age came from."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from kneeage.core.anatomy import Plane
from kneeage.report.heat import explanation_png
from kneeage.report.panels import Shown
from tests.infer.knees import as_image, block_knee


def test_what_moves_the_answer_is_warm_and_the_rest_stays_grey() -> None:
    labels = block_knee()
    moved = np.full(labels.array.shape, np.nan, dtype=np.float32)
    moved[0, :, 48:] = 0.0
    moved[0, :, :40] = 0.8
    picture = explanation_png(Shown(as_image(labels), labels, Plane.CORONAL), labels.with_array(moved))
    pixels = np.asarray(Image.open(BytesIO(picture)).convert("RGB")).astype(int)
    warmth = pixels[..., 0] - pixels[..., 2]
    rows = len(pixels)
    assert warmth[: rows // 4, :380].min() > 60
    assert np.abs(warmth[-rows // 4 :]).max() <= 1
    assert pixels.shape[1] == 3 * 400 + 2 * 12
