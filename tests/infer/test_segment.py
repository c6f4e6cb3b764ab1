"""Labels of slices and of volumes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from kneeage.core.anatomy import Label, Plane, Side
from kneeage.core.errors import BundleError
from kneeage.core.manifest import SegmentStage
from kneeage.core.volume import Volume
from kneeage.infer.engine import Engine
from kneeage.infer.segment import BATCH_SLICES, label_slices, segment
from kneeage.prepare.recipe import DEFAULT, OrientStep, Recipe, ResampleStep, prepare
from tests.infer.knees import ALL_LABELS, as_image, block_knee, edited, plate_probability_of, segment_model

STAGE = SegmentStage(file="segment.onnx", label_values=ALL_LABELS, size_multiple=32)
AS_IT_IS = Recipe(name="as it is", steps=(OrientStep(),))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(segment_model(), name="segment.onnx", inputs=("image",), threads=1)


def test_a_knee_of_blocks_is_labelled_exactly(engine: Engine) -> None:
    knee = edited(block_knee(open_columns=10), (slice(40, 52), 31, slice(None)), Label.DISTAL_FEMUR_PHYSEAL_SCAR)
    found = label_slices(STAGE, engine, as_image(knee))
    np.testing.assert_array_equal(found.labels.array, knee.array)
    assert found.labels.array.dtype == np.uint8
    np.testing.assert_allclose(found.plate_probability.array, plate_probability_of(knee).array, atol=1e-3)
    np.testing.assert_array_equal(found.labels.affine, knee.affine)


@pytest.mark.parametrize("codes", ["LIP", "RIP", "RAS", "SPL", "ILA"])
@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT])
def test_labels_lie_on_the_source_grid(engine: Engine, codes: str, side: Side) -> None:
    source = block_knee(open_columns=10).reoriented(codes)
    found = segment(STAGE, engine, prepare(as_image(source), AS_IT_IS, plane=Plane.CORONAL, side=side))
    np.testing.assert_array_equal(found.source_labels.array, source.array)
    np.testing.assert_array_equal(found.source_labels.affine, source.affine)
    assert found.source_labels.array.dtype == np.uint8


def test_resampled_labels_come_back_within_a_voxel(engine: Engine) -> None:
    recipe = Recipe(name="coarse", steps=(OrientStep(), ResampleStep(spacing_mm=1.5)))
    source = block_knee(open_columns=0)
    found = segment(STAGE, engine, prepare(as_image(source), recipe, plane=Plane.CORONAL, side=Side.RIGHT))
    assert found.labels.spacing[:2] == pytest.approx((1.5, 1.5))
    tibia = (found.source_labels.array == Label.PROXIMAL_TIBIA_METAPHYSIS) & (source.array == found.source_labels.array)
    assert tibia.sum() > 0.9 * (source.array == Label.PROXIMAL_TIBIA_METAPHYSIS).sum()


def test_one_slice_is_enough(engine: Engine) -> None:
    knee = block_knee()
    one = Volume(knee.array[..., :1], knee.affine)
    np.testing.assert_array_equal(label_slices(STAGE, engine, as_image(one)).labels.array, one.array)


def test_what_cleaning_takes_away_is_gone_everywhere(engine: Engine) -> None:
    knee = block_knee()
    stray = edited(knee, (slice(58, 62), slice(10, 14), 2), Label.DISTAL_FEMUR_PHYSIS)
    found = segment(STAGE, engine, prepare(as_image(stray), AS_IT_IS, plane=Plane.CORONAL, side=Side.RIGHT))
    np.testing.assert_array_equal(found.labels.array, knee.array)
    np.testing.assert_array_equal(found.source_labels.array, knee.array)
    assert found.plate_probability.array[:, 58:62, 10:14].max() < 1e-6


def test_a_bundle_with_few_labels() -> None:
    """The paper's labels alone have no scar: its channel stays empty."""
    values = [0, 1, 2]
    stage = STAGE.model_copy(update={"label_values": values})
    few = Engine(segment_model(values), name="few.onnx", inputs=("image",), threads=1)
    found = label_slices(stage, few, as_image(block_knee()))
    assert found.plate_probability.array.shape[0] == 2
    assert not found.plate_probability.array[1].any()


def test_progress_is_told_slice_by_slice(engine: Engine) -> None:
    told: list[tuple[int, int]] = []
    label_slices(STAGE, engine, as_image(block_knee()), lambda done, of: told.append((done, of)))
    assert told == [(2, 9), (4, 9), (6, 9), (8, 9), (9, 9)]


class Recording:
    """A network that keeps the shapes it saw."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.shapes: list[tuple[int, ...]] = []

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        image = inputs["image"]
        self.shapes.append(image.shape)
        return np.zeros((len(image), self.channels, *image.shape[2:]), dtype=np.float32)


def test_slices_are_padded_and_run_a_few_at_a_time() -> None:
    network = Recording(12)
    label_slices(STAGE, network, Volume(np.zeros((1, 40, 70, 6), dtype=np.float32), np.eye(4)))
    assert network.shapes == [(BATCH_SLICES, 1, 96, 64)] * (6 // BATCH_SLICES)


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(BundleError, match=r"must answer with the shape \(2, 12, 96, 64\)"):
        label_slices(STAGE, Recording(11), as_image(block_knee()))


def test_memory_stays_bounded() -> None:
    image = Volume(np.zeros((1, 256, 256, 24), dtype=np.float32), np.diag([0.6, 0.6, 3.5, 1]))
    tracemalloc.start()
    label_slices(STAGE, Recording(12), image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 2**20


def test_the_default_recipe_takes_real_spacings(engine: Engine) -> None:
    source = as_image(block_knee())
    found = segment(STAGE, engine, prepare(source, DEFAULT, plane=Plane.CORONAL, side=Side.UNKNOWN))
    assert found.labels.spacing[:2] == pytest.approx((0.6, 0.6))
    assert found.source_labels.shape == source.shape
