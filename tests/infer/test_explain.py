"""Where the age came from: covering what the network looks at moves the answer, covering the rest does not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from kneeage.core.anatomy import Plane, Side
from kneeage.infer.age import AgeFacts, age_inputs, age_outputs, read_age
from kneeage.infer.engine import Engine
from kneeage.infer.explain import covered, effect_of_covering, explanation, few_slices, occlude
from kneeage.infer.region import age_regions, chosen_slices, find_sites, region_corner
from kneeage.prepare.recipe import Recipe, prepare
from tests.infer.knees import as_image, block_knee, manifest, plate_probability_of, pooled_age_model

MANIFEST = manifest(
    age={
        "files": ["age.onnx"],
        "region_shape": (48, 48),
        "max_slices": 5,
        "min_slices": 3,
        "slice_pooling": "in_graph",
        "fact_names": ["sex"],
    },
    sexes=["male"],
)
STAGE = MANIFEST.age
NETWORK = Engine(
    pooled_age_model(MANIFEST.age_edges_years, years_per_open=80.0),
    name="age.onnx",
    inputs=age_inputs(STAGE),
    outputs=age_outputs(STAGE),
    threads=1,
)
AGES = np.array(MANIFEST.age_edges_years[:-1]) + 0.5


def read(regions: np.ndarray) -> np.ndarray:
    return read_age([NETWORK], regions, AgeFacts(), MANIFEST).log_likelihood


def test_the_plates_move_the_answer_and_the_rest_does_not() -> None:
    labels = block_knee()
    sites, image = find_sites(labels), as_image(labels)
    regions = age_regions(image, plate_probability_of(labels), sites, STAGE)
    effects = occlude(read, regions, AGES, 8)
    plates = regions[0, 1] > 0
    down, along = pairwise(effects.rows), list(pairwise(effects.columns))
    by_patch = np.array([[plates[top:bottom, left:right].any() for left, right in along] for top, bottom in down])
    assert effects.moved[by_patch].min() > 10 * effects.moved[~by_patch].max()
    assert (effects.older_years[by_patch] < 0).all()  # an open plate makes the answer younger
    assert effects.older_years[~by_patch] == pytest.approx(0, abs=1e-4)


def test_a_place_is_covered_by_what_is_around_it() -> None:
    regions = np.zeros((2, 3, 20, 20), dtype=np.float32)
    regions[0, 0], regions[1, 0] = 2.0, 4.0
    mask = np.zeros((2, 20, 20), dtype=bool)
    mask[:, 8:12, 8:12] = True
    regions[:, 0, 8:12, 8:12], regions[:, 1:, 8:12, 8:12] = 9.0, 1.0
    hidden = covered(regions, mask)
    assert [np.unique(slice_) for slice_ in hidden[:, 0]] == [[2.0], [4.0]]
    assert not hidden[:, 1:].any()
    assert regions[0, 0, 9, 9] == 9.0


def test_a_place_of_any_shape_has_its_effect() -> None:
    labels = block_knee()
    regions = age_regions(as_image(labels), plate_probability_of(labels), find_sites(labels), STAGE)
    plates = regions[:, 1] > 0
    moved, older_years = effect_of_covering(read, regions, AGES, plates)
    assert moved > 0.9
    assert older_years < -1
    assert effect_of_covering(read, regions, AGES, np.roll(plates, 8, axis=1) & ~plates) == pytest.approx(
        (0, 0), abs=1e-3
    )


@pytest.mark.parametrize(("count", "wanted"), [(1, [0]), (3, [0, 1, 2]), (8, [1, 4, 6])])
def test_few_slices_are_spread(count: int, wanted: list[int]) -> None:
    assert few_slices(count) == wanted


@pytest.mark.parametrize("side", [Side.RIGHT, Side.LEFT])
def test_effects_lie_where_the_region_was(side: Side) -> None:
    source = as_image(block_knee()).reoriented("RAS")
    recipe = Recipe.model_validate({"name": "blocks", "steps": [{"step": "orient"}]})
    prepared = prepare(source, recipe, plane=Plane.CORONAL, side=side)
    labels = prepared.volume.with_array(prepared.volume.array.astype(np.uint8))
    sites = find_sites(labels)
    slices, corner = chosen_slices(sites, 3), region_corner(prepared.volume, sites, STAGE)
    regions = age_regions(prepared.volume, plate_probability_of(labels), sites, STAGE)
    effects = occlude(read, regions, AGES, 8)
    shown = explanation(effects, prepared, corner, slices)
    assert shown.moved.shape == source.shape
    assert (shown.most_moved, shown.most_years) == (effects.moved.max(), np.abs(effects.older_years).max())
    np.testing.assert_array_equal(shown.moved.affine, source.affine)
    seen = np.isfinite(shown.moved.array[0])
    assert np.flatnonzero(seen.any(axis=(0, 2))).tolist() == sorted(8 - k for k in slices)  # A runs against P
    strongest = shown.moved.world(np.argwhere(np.nan_to_num(shown.moved.array[0]) > 0.9 * np.nanmax(shown.moved.array)))
    plates = source.world(np.argwhere(np.isin(source.array[0], (1, 2))))
    assert np.abs(strongest[:, 0].mean() - plates[:, 0].mean()) < 8
