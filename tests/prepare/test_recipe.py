"""Recipes are read strictly, run in order, and default to what serves."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from kneeage.core.anatomy import Plane, Side
from kneeage.core.errors import GeometryError, UsageError
from kneeage.core.volume import Volume
from kneeage.prepare.recipe import (
    DEFAULT,
    PAPER,
    MorphologyStep,
    NonLocalMeansStep,
    NyulStep,
    OrientStep,
    Recipe,
    RegisterStep,
    ResampleStep,
    load_recipe,
    prepare,
)


@pytest.fixture
def volume() -> Volume:
    """A coronal series in RAS axes with thick slices along A."""
    values = np.random.default_rng(0).gamma(3, 100, (1, 48, 3, 56))
    return Volume(values, np.diag([0.45, 4, 0.4, 1]))


@pytest.mark.parametrize("recipe", [DEFAULT, PAPER])
def test_preset_survives_json(recipe: Recipe) -> None:
    assert load_recipe(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize("recipe", [DEFAULT, PAPER])
def test_preset_gives_the_promised_volume(volume: Volume, recipe: Recipe) -> None:
    prepared = prepare(volume, recipe, plane=Plane.CORONAL, side=Side.RIGHT).volume
    assert prepared.orientation == "LIP"
    assert prepared.spacing == pytest.approx((0.6, 0.6, 4))
    assert prepared.array.dtype == np.float32
    assert np.isfinite(prepared.array).all()


def test_paper_has_its_five_kinds_of_step() -> None:
    kinds = [step.step for step in PAPER.steps]
    assert kinds == ["orient", "resample", "correct_bias", "standardise", "curvature_flow", "morphology"]


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ({"name": "x", "steps": [{"step": "orient"}, {"step": "sharpen"}]}, "sharpen"),
        ({"name": "x", "steps": [{"step": "orient"}, {"step": "resample", "spacing": 1}]}, "spacing"),
        ({"name": "x", "steps": [{"step": "orient"}, {"step": "resample", "spacing_mm": 0}]}, "spacing_mm"),
        ({"name": "x", "steps": [{"step": "resample"}]}, "starts with the one step 'orient'"),
        ({"name": "x", "steps": [{"step": "orient"}, {"step": "orient"}]}, "starts with the one step 'orient'"),
        ({"name": "x", "steps": [{"step": "orient"}, *[{"step": "resample"}] * 2]}, "resamples once"),
        (
            {"name": "x", "steps": [{"step": "orient"}, {"step": "nyul", "landmarks": [0, 1]}]},
            "one value per percentile",
        ),
        ({"name": "x", "steps": [{"step": "orient"}], "author": "y"}, "author"),
    ],
)
def test_wrong_recipe_is_refused_with_the_place(raw: dict[str, Any], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        load_recipe(raw)


def test_every_step_can_be_taken(volume: Volume) -> None:
    steps = (
        OrientStep(),
        ResampleStep(spacing_mm=0.8),
        RegisterStep(),
        NyulStep(landmarks=tuple(np.linspace(0, 100, 11))),
        NonLocalMeansStep(),
        MorphologyStep(operation="opening", radius_mm=1),
    )
    plain = Recipe(name="plain", steps=steps[:2])
    template = prepare(volume, plain, plane=Plane.CORONAL, side=Side.RIGHT).volume
    recipe = Recipe(name="all", steps=steps)
    prepared = prepare(volume, recipe, plane=Plane.CORONAL, side=Side.RIGHT, template=template)
    assert prepared.volume.shape == template.shape


def test_registration_needs_a_template(volume: Volume) -> None:
    recipe = Recipe(name="r", steps=(OrientStep(), RegisterStep()))
    with pytest.raises(UsageError, match="give the template"):
        prepare(volume, recipe, plane=Plane.CORONAL, side=Side.RIGHT)


def test_several_channels_are_refused(volume: Volume) -> None:
    two = volume.with_array(np.repeat(volume.array, 2, axis=0))
    with pytest.raises(GeometryError, match="the volume has 2"):
        prepare(two, DEFAULT, plane=Plane.CORONAL, side=Side.RIGHT)


def test_left_knee_gives_the_values_of_its_right_mirror_image(volume: Volume) -> None:
    mirror_image = Volume(volume.array, np.diag([-1.0, 1, 1, 1]) @ volume.affine)
    right = prepare(volume, DEFAULT, plane=Plane.CORONAL, side=Side.RIGHT)
    left = prepare(mirror_image, DEFAULT, plane=Plane.CORONAL, side=Side.LEFT)
    assert left.mirrored
    assert not right.mirrored
    np.testing.assert_allclose(left.volume.array, right.volume.array, atol=1e-5)


def test_default_recipe_runs_without_simple_itk() -> None:
    program = (
        "import sys, numpy as np\n"
        "sys.modules['SimpleITK'] = None\n"
        "from kneeage.core.anatomy import Plane, Side\n"
        "from kneeage.core.volume import Volume\n"
        "from kneeage.prepare.recipe import DEFAULT, prepare\n"
        "volume = Volume(np.random.default_rng(0).random((1, 20, 20, 2)), np.diag([0.5, 0.5, 4, 1]))\n"
        "prepare(volume, DEFAULT, plane=Plane.AXIAL, side=Side.LEFT)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
