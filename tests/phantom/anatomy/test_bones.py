"""Tests of the bones: sizes, smooth near-true distances, growth, and the measured knee itself."""

from __future__ import annotations

import os
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from kneeage.phantom.anatomy.bones import BoneDistances, BoneShape, Field, Place, bone_distances

BONES = ("femur", "tibia", "fibula", "patella")
BOUNDS = {
    "femur": ((-46, 46), (-48, 34), (-8, 100)),
    "tibia": ((-42, 50), (-54, 22), (-100, 8)),
    "fibula": ((12, 58), (-62, -16), (-100, 2)),
    "patella": ((-24, 46), (6, 54), (2, 62)),
}
MEASURED = BoneShape()


def at(place: Place, shape: BoneShape = MEASURED, roundness: float = 0.0) -> BoneDistances:
    return bone_distances(place, place, shape, roundness)


def lattice(bone: str, step: float, shape: BoneShape = MEASURED, roundness: float = 0.0) -> tuple[list[Field], Field]:
    axes = [np.arange(low, high, step, dtype=np.float32) for low, high in BOUNDS[bone]]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return axes, getattr(at((x, y, z), shape, roundness), bone)


def volume_ml(bone: str, shape: BoneShape = MEASURED, roundness: float = 0.0) -> float:
    return float((lattice(bone, 2.0, shape, roundness)[1] < 0).sum() * 8 / 1000)


def drawn(seed: int) -> BoneShape:
    return BoneShape.draw(np.random.default_rng(seed))


@pytest.mark.parametrize("bone", BONES)
@pytest.mark.parametrize("roundness", [0.0, 1.0])
def test_distances_are_near_true_within_8_mm(bone: str, roundness: float) -> None:
    _, distance = lattice(bone, 1.0, roundness=roundness)
    gradient = np.sqrt(sum(part**2 for part in np.gradient(distance)))
    good = (gradient > 0.7) & (gradient < 1.4)
    assert good[np.abs(distance) < 2].mean() > 0.95
    assert good[np.abs(distance) < 8].mean() > 0.92


@pytest.mark.parametrize("bone", BONES)
def test_distances_survive_a_lattice_of_2_mm(bone: str) -> None:
    rng = np.random.default_rng(0)
    axes, coarse = lattice(bone, 1.8)
    place = [rng.uniform(axis[3], axis[-4], 30_000).astype(np.float32) for axis in axes]
    truth = getattr(at((place[0], place[1], place[2])), bone)
    index = [(points - axis[0]) / 1.8 for points, axis in zip(place, axes, strict=True)]
    near = np.abs(truth) < 3
    error = np.abs(map_coordinates(coarse, index, order=3) - truth)[near]
    assert np.percentile(error, 99) < 0.15


@pytest.mark.parametrize("seed", range(4))
def test_drawn_bones_are_finite_and_keep_apart(seed: int) -> None:
    axes = [np.arange(-60, 61, 3, dtype=np.float32)] * 3
    x, y, z = np.meshgrid(*axes, indexing="ij")
    bones = at((x, y, z), drawn(seed), seed / 3)
    stack = np.stack([bones.femur, bones.tibia, bones.fibula, bones.patella])
    assert stack.dtype == np.float32
    assert np.isfinite(stack).all()
    assert ((stack < 0).sum(axis=0) <= 1).all()
    assert ((stack < 0).any(axis=(1, 2, 3))).all()


def test_draws_differ_and_repeat() -> None:
    assert drawn(1) == drawn(1)
    assert all(first != second for first, second in zip(astuple(drawn(1)), astuple(drawn(2)), strict=True))


class Rare(np.random.Generator):
    """Draws nothing but one extreme deviate where normal ones are asked for."""

    score = 9.0

    def standard_normal(self, *_: object, **__: object) -> float:  # type: ignore[override]
        return self.score


@pytest.mark.parametrize("score", [-9.0, 9.0])
@pytest.mark.parametrize("height", [0.85, 1.15])
def test_the_rarest_bones_can_be_made(score: float, height: float) -> None:
    rare = Rare(np.random.PCG64(0))
    rare.score = score
    shape = replace(BoneShape.draw(rare), epiphysis_height=height)
    x, y, z = np.meshgrid(*[np.arange(-60, 61, 12, dtype=np.float32)] * 3, indexing="ij")
    assert np.isfinite(at((x, y, z), shape).femur).all()


@pytest.mark.parametrize("seed", range(3))
def test_drawn_femur_keeps_about_the_reference_width(seed: int) -> None:
    axes, distance = lattice("femur", 1.5, drawn(seed))
    low = distance[:, :, axes[2] < 45]
    columns = np.flatnonzero((low < 0).any(axis=(1, 2)))
    assert np.ptp(axes[0][columns]) / 2 == pytest.approx(36.5, abs=3)


def test_lowest_point_of_the_condyles_is_the_origin() -> None:
    axes, distance = lattice("femur", 1.0)
    lowest = axes[2][(distance < 0).any(axis=(0, 1))].min()
    assert lowest == pytest.approx(0, abs=1.5)


@pytest.mark.parametrize("bone", BONES)
def test_ossified_bone_is_smaller_in_a_child(bone: str) -> None:
    adult, middle, child = (volume_ml(bone, roundness=roundness) for roundness in (0.0, 0.5, 1.0))
    assert adult > middle > child


def test_notch_is_open_to_the_back_and_widens_with_its_factor() -> None:
    y = np.arange(-44, 30, 0.5, dtype=np.float32)
    middle = at((np.zeros_like(y), y, np.full_like(y, 16)))
    assert (middle.femur[y < -14] > 0).all()
    assert (middle.femur[(y > -6) & (y < 10)] < 0).all()
    x = np.arange(-30, 30, 0.5, dtype=np.float32)
    width = [
        (at((x, np.full_like(x, -25), np.full_like(x, 16)), replace(MEASURED, notch_width=factor)).femur > 0)[
            np.abs(x) < 18
        ].sum()
        for factor in (0.75, 1.0, 1.35)
    ]
    assert width[0] < width[1] < width[2]


def tops(shape: BoneShape, depth: float) -> Field:
    """Height of the femur's top at a depth behind the shaft, one value per column that holds bone."""
    x, z = np.meshgrid(np.arange(-34, 34, 0.5, dtype=np.float32), np.arange(10, 80, 0.25, dtype=np.float32))
    inside = at((x, np.full_like(x, depth), z), shape).femur < 0
    heights = np.where(inside, z, -np.inf).max(axis=0)
    return np.asarray(heights[np.isfinite(heights)])


def test_low_ridges_leave_no_peaks_above_the_condyles() -> None:
    measured, flat = (tops(replace(MEASURED, ridges=ridges), -18).max() for ridges in (9.0, 0.0))
    assert measured > flat + 4


@pytest.mark.parametrize("seed", range(6))
def test_tops_of_the_posterior_condyles_are_rounded_or_flat(seed: int) -> None:
    heights = tops(drawn(seed), -26)
    highest = heights.max()
    assert 32 < highest < 50
    assert np.mean(heights > highest - 6) > 0.4


def test_rounder_plateau_loses_its_corners() -> None:
    x = np.arange(-45, 50, 0.25, dtype=np.float32)
    line = (x, np.full_like(x, -20), np.full_like(x, -6))
    width = [np.sum(at(line, replace(MEASURED, plateau_edge=edge)).tibia < 0) / 4 for edge in (3.0, 7.0)]
    assert width[0] - 6 < width[1] < width[0]


def test_joint_gap_moves_the_tibia() -> None:
    z = np.arange(-20, 0, 0.1, dtype=np.float32)
    line = (np.full_like(z, -18), np.full_like(z, -17), z)
    tops = [z[at(line, replace(MEASURED, joint_gap=gap)).tibia < 0].max() for gap in (6.0, 9.0)]
    assert tops[0] - tops[1] == pytest.approx(3, abs=0.3)


def test_patella_moves_up_by_its_shift() -> None:
    axes, low = lattice("patella", 1.0)
    _, high = lattice("patella", 1.0, replace(MEASURED, patella=(0.0, 0.0, 8.0)))
    centres = [np.average(axes[2], weights=(distance < 0).sum(axis=(0, 1))) for distance in (low, high)]
    assert centres[1] - centres[0] == pytest.approx(8, abs=0.8)


def test_slope_lowers_the_back_of_the_plateau() -> None:
    z = np.arange(-20, 5, 0.1, dtype=np.float32)
    line = (np.full_like(z, -18), np.full_like(z, -32), z)
    flat, steep = (z[at(line, replace(MEASURED, slope=slope)).tibia < 0].max() for slope in (0.0, 0.2))
    assert flat - steep == pytest.approx(3, abs=0.7)


def test_shafts_go_on_to_the_ends_of_the_image() -> None:
    ends = np.array([-118, 118], np.float32)
    bones = at((np.array([-3, 8], np.float32), np.array([-20, 2], np.float32), ends))
    assert bones.tibia[0] < -8
    assert bones.femur[1] < -8
    fibula = at((np.array([25], np.float32), np.array([-44.5], np.float32), ends[:1])).fibula
    assert fibula[0] < -3


# Label values of the map. Source: found by looking at it.
MAP_LABELS = {"femur": 5, "tibia": 6, "fibula": 8, "patella": 7}
LEAST_DICE = {"femur": 0.955, "tibia": 0.965, "fibula": 0.93, "patella": 0.915}


@pytest.fixture(scope="module")
def measured_knee() -> tuple[Field, Place]:
    """Label map with every third voxel, and the reference coordinates of its voxels."""
    root = os.environ.get("KNEEAGE_REALDATA")
    if root is None:
        pytest.skip("KNEEAGE_REALDATA names no folder with the label map")
    simpleitk = pytest.importorskip("SimpleITK", reason="reads the label map")
    stored = simpleitk.ReadImage(str(Path(root) / "knee_anatomy" / "knee_right_labels.nrrd"))
    labels = simpleitk.GetArrayFromImage(stored).transpose(0, 2, 1)[:, ::-1, ::-1]  # lateral, anterior, superior
    spacing = np.array(stored.GetSpacing())[[2, 0, 1]]
    inside = [np.flatnonzero((labels == 5).any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    scale = 37 / ((np.ptp(inside[0]) + 1) * spacing[0] / 2)
    origin = (
        (inside[0][0] + inside[0][-1]) / 2 * spacing[0] * scale,
        78.5,
        inside[2][0] * spacing[2] * scale,
    )
    axes = [
        (np.arange(0, count, 3) * step * scale - start).astype(np.float32)
        for count, step, start in zip(labels.shape, spacing, origin, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return labels[::3, ::3, ::3], (x, y, z)


def test_default_shape_is_the_measured_knee(measured_knee: tuple[Field, Place]) -> None:
    labels, (x, y, z) = measured_knee
    planes = [at((x[n], y[n], z[n])) for n in range(len(x))]
    for bone, value in MAP_LABELS.items():
        ours, theirs = np.stack([getattr(plane, bone) for plane in planes]) < 0, labels == value
        assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > LEAST_DICE[bone], bone
