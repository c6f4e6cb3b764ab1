"""The recipe: named preparation steps with typed settings, and a volume's way through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kneeage.core.anatomy import Plane, Side
from kneeage.core.errors import GeometryError, UsageError
from kneeage.core.volume import Volume
from kneeage.prepare import denoise, intensity, morphology, registration
from kneeage.prepare.mapping import Chain, SliceMap
from kneeage.prepare.orient import orient
from kneeage.prepare.prepared import Prepared
from kneeage.prepare.resample import in_plane_resampling, resample

__all__ = [
    "DEFAULT",
    "PAPER",
    "BiasStep",
    "CurvatureFlowStep",
    "MorphologyStep",
    "NonLocalMeansStep",
    "NyulStep",
    "OrientStep",
    "Prepared",
    "Recipe",
    "RegisterStep",
    "ResampleStep",
    "StandardiseStep",
    "load_recipe",
    "prepare",
]

DEFAULT_SPACING_MM = 0.6


class _Step(BaseModel):
    """Settings of one step: unknown keys are refused, values are fixed once made."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OrientStep(_Step):
    """Canonical orientation of the plane; a left knee is shown as a right one."""

    step: Literal["orient"] = "orient"
    mirror_left: bool = True


class ResampleStep(_Step):
    """In-plane resampling; slices stay slices."""

    step: Literal["resample"] = "resample"
    spacing_mm: float = Field(DEFAULT_SPACING_MM, gt=0.05, le=5)


class RegisterStep(_Step):
    """In-plane rigid registration to the template that is given to ``prepare``."""

    step: Literal["register"] = "register"


class BiasStep(_Step):
    """N4 bias field correction; before standardisation."""

    step: Literal["correct_bias"] = "correct_bias"
    shrink: int = Field(6, ge=1, le=16)
    iterations: tuple[int, ...] = (30, 20, 10)


class StandardiseStep(_Step):
    """Percentile clipping and z-score over the tissue."""

    step: Literal["standardise"] = "standardise"
    low_percentile: float = Field(0.5, ge=0, lt=50)
    high_percentile: float = Field(99.5, gt=50, le=100)


class NyulStep(_Step):
    """Nyul landmarks: the standard scale of a cohort, from ``intensity.fit_nyul``."""

    step: Literal["nyul"] = "nyul"
    landmarks: tuple[float, ...] = Field(min_length=2)
    percentiles: tuple[float, ...] = intensity.NYUL_PERCENTILES

    @model_validator(mode="after")
    def _as_many(self) -> NyulStep:
        """Check that each percentile has its landmark."""
        if len(self.landmarks) != len(self.percentiles):
            raise ValueError("landmarks must have one value per percentile")
        return self


class CurvatureFlowStep(_Step):
    """Denoising by curvature flow, slice by slice."""

    step: Literal["curvature_flow"] = "curvature_flow"
    iterations: int = Field(5, ge=1, le=100)
    time_step: float = Field(0.05, gt=0, le=0.125)


class NonLocalMeansStep(_Step):
    """Denoising by non-local means, slice by slice."""

    step: Literal["non_local_means"] = "non_local_means"
    strength: float = Field(1.0, gt=0, le=10)
    patch_radius: int = Field(1, ge=1, le=5)
    search_radius: int = Field(4, ge=1, le=15)


class MorphologyStep(_Step):
    """Grey-scale morphology, slice by slice."""

    step: Literal["morphology"] = "morphology"
    operation: morphology.MorphologyOperation = "enhance"
    radius_mm: float = Field(2.5, gt=0, le=20)


Step = Annotated[
    OrientStep
    | ResampleStep
    | RegisterStep
    | BiasStep
    | StandardiseStep
    | NyulStep
    | CurvatureFlowStep
    | NonLocalMeansStep
    | MorphologyStep,
    Field(discriminator="step"),
]


class Recipe(BaseModel):
    """A named list of preparation steps, saved with the bundle that was trained on it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    steps: tuple[Step, ...]

    @model_validator(mode="after")
    def _starts_with_orientation(self) -> Recipe:
        """Check that the orientation comes first and only once, and the spacing changes once at most."""
        kinds = [step.step for step in self.steps]
        if kinds[:1] != ["orient"] or kinds.count("orient") != 1:
            raise ValueError("a recipe starts with the one step 'orient'")
        if kinds.count("resample") > 1:
            raise ValueError("a recipe resamples once at most")
        return self


# What serves: the steps without which a network cannot work at all. Add others when they measure better.
DEFAULT = Recipe(name="default", steps=(OrientStep(), ResampleStep(), StandardiseStep()))
# The five kinds of step that the paper names, in its order but for two: the orientation must be known before anything
# else, and the bias field (part of denoising) must be removed from raw grey values, before they are standardised.
# The paper gives no settings; these are ours.
PAPER = Recipe(
    name="paper",
    steps=(
        OrientStep(),
        ResampleStep(),
        BiasStep(),
        StandardiseStep(),
        CurvatureFlowStep(),
        MorphologyStep(),
    ),
)


def load_recipe(raw: dict[str, Any]) -> Recipe:
    """Read a recipe, as saved in a bundle by ``Recipe.model_dump(mode="json")``.

    Args:
        raw: The recipe as plain values.

    Returns:
        The recipe.

    Raises:
        UsageError: A step or a setting is unknown or out of range.
    """
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "recipe"
        raise UsageError(f"the preparation recipe is not valid at {where}: {fault['msg']}; correct it") from error


def prepare(volume: Volume, recipe: Recipe, *, plane: Plane, side: Side, template: Volume | None = None) -> Prepared:
    """Take a volume through the steps of a recipe.

    Args:
        volume: Grey values of shape (1, I, J, K), in any orientation.
        recipe: Steps to take.
        plane: Plane of the slices.
        side: Side of the knee; an unknown side is not mirrored.
        template: Template for the step ``register``, in canonical orientation and prepared by the steps before it.

    Returns:
        The prepared volume with its way back.

    Raises:
        GeometryError: The volume has several channels, or was cut in another plane.
        UsageError: The recipe registers, and there is no template.
    """
    if volume.array.shape[0] != 1:
        raise GeometryError(f"one channel is prepared at a time; the volume has {volume.array.shape[0]}")
    mirror_left = any(step.mirror_left for step in recipe.steps if isinstance(step, OrientStep))
    current, orientation = orient(volume, plane, side, mirror_left=mirror_left)
    maps: list[SliceMap] = []
    for step in recipe.steps[1:]:
        current = _take(step, current, maps, template)
    return Prepared(_as_float32(current), volume, orientation, Chain(tuple(maps)))


def _take(step: Step, volume: Volume, maps: list[SliceMap], template: Volume | None) -> Volume:
    """Take one step; a change of grid is noted in ``maps``."""
    match step:
        case ResampleStep():
            plan = in_plane_resampling(volume, step.spacing_mm)
            maps.append(plan)
            return resample(volume, plan)
        case RegisterStep():
            rigid = registration.register_in_plane(volume, _required(template))
            maps.append(rigid)
            return registration.move(volume, rigid)
        case _:
            return _change_values(step, volume)


def _change_values(step: Step, volume: Volume) -> Volume:
    """Take one step that leaves the grid as it is; its settings are named as the arguments of its function."""
    settings = {name: getattr(step, name) for name in type(step).model_fields if name != "step"}
    match step:
        case MorphologyStep():
            return morphology.grey_morphology(volume, step.operation, radius_mm=step.radius_mm)
        case NyulStep():
            return intensity.apply_nyul(volume, step.landmarks, step.percentiles)
        case _:
            return _FUNCTIONS[type(step)](volume, **settings)


_FUNCTIONS: dict[type, Callable[..., Volume]] = {
    BiasStep: denoise.correct_bias,
    StandardiseStep: intensity.standardise,
    CurvatureFlowStep: denoise.curvature_flow,
    NonLocalMeansStep: denoise.non_local_means,
}


def _required(template: Volume | None) -> Volume:
    """Demand the template."""
    if template is None:
        raise UsageError("the recipe registers to a template; give the template, or a recipe without 'register'")
    return template


def _as_float32(volume: Volume) -> Volume:
    """Give float32 values, whatever the steps left."""
    return volume.with_array(np.asarray(volume.array, np.float32))
