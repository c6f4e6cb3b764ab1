"""Tests of the soft tissue: what lies where about the bones of the measured knee."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kneeage.phantom.anatomy.bones import BoneDistances, BoneShape, Field, Place, bone_distances
from kneeage.phantom.anatomy.soft_tissue import SoftTissue, Tissues, paint_soft_tissue, soft_fields, soft_texture
from kneeage.phantom.anatomy.strand_tables import STRANDS
from kneeage.phantom.anatomy.tissue import Tissue

CARTILAGE_MM = 2.2
FAT = (Tissue.SUBCUTANEOUS_FAT, Tissue.DEEP_FAT, Tissue.HOFFA_FAT)
MUSCLE = (Tissue.MUSCLE, Tissue.CALF_MUSCLE)


def measured(**changes: object) -> SoftTissue:
    """Soft tissue with every structure where the tables put it."""
    unmoved = np.tile(np.array([0, 0, 0, 1], np.float32), (len(STRANDS), 1))
    drawn = SoftTissue.draw(np.random.default_rng(0))
    return replace(drawn, moved=unmoved, fat=8.0, girth=1.0, bulk=1.0, effusion=0.0, septa=0.0, **changes)  # type: ignore[arg-type]


def fields_at(place: Place, soft: SoftTissue, cartilage_mm: float = CARTILAGE_MM) -> dict[str, Field]:
    bones: BoneDistances = bone_distances(place, place, BoneShape(), 0.0)
    fields = soft_fields(place, place, place, bones, soft, cartilage_mm)
    return {
        **fields,
        "x": place[0],
        "y": place[1],
        "femur": bones.femur,
        "tibia": bones.tibia,
        "fibula": bones.fibula,
        "patella": bones.patella,
    }


def coronal(depth_mm: float, step_mm: float = 0.5) -> Place:
    x, z = np.meshgrid(np.arange(-90, 90, step_mm), np.arange(80, -80, -step_mm))
    return x.astype(np.float32), np.full(x.shape, depth_mm, np.float32), z.astype(np.float32)


def tissue_at(x: float, y: float, z: float, soft: SoftTissue | None = None) -> Tissue:
    place = tuple(np.full((1, 1), c, np.float32) for c in (x, y, z))
    soft = soft or measured()
    return Tissue(int(paint_soft_tissue(fields_at(place, soft), soft, CARTILAGE_MM)[0, 0]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("where", "point", "expected"),
    [
        ("vastus medialis", (-30, 0, 65), MUSCLE),
        ("medial gastrocnemius", (-8, -55, 0), (Tissue.CALF_MUSCLE,)),
        ("lateral gastrocnemius", (24, -54, 5), (Tissue.CALF_MUSCLE,)),
        ("popliteus behind the tibia", (2, -40, -40), (Tissue.CALF_MUSCLE,)),
        ("tibialis anterior", (34, -16, -55), (Tissue.MUSCLE,)),
        ("Hoffa's fat", (3, 20, 3), (Tissue.HOFFA_FAT,)),
        ("popliteal fat", (0, -30, 60), (Tissue.DEEP_FAT,)),
        ("popliteal artery", (7, -43, 18), (Tissue.VESSEL,)),
        ("patellar tendon", (7, 30.4, 0), (Tissue.TENDON, Tissue.CAPSULE)),
        ("air in front", (0, 70, 0), (Tissue.AIR,)),
    ],
)
def test_structures_lie_where_they_belong(
    where: str, point: tuple[float, float, float], expected: tuple[Tissue, ...]
) -> None:
    assert tissue_at(*point) in expected, where


@pytest.mark.parametrize("seed", range(8))
def test_skin_encloses_every_bone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = BoneShape.draw(rng)
    soft = SoftTissue.draw(rng, shape.patella)
    axes = (np.arange(-60, 61, 3), np.arange(-60, 55, 3), np.arange(-75, 76, 5))
    x, y, z = (c.astype(np.float32) for c in np.meshgrid(*axes))
    bones = bone_distances((x, y, z), (x, y, z), shape, 0.0)
    skin = soft_fields((x, y, z), (x, y, z), (x, y, z), bones, soft, CARTILAGE_MM)["skin"]
    nearest = np.minimum(np.minimum(bones.femur, bones.tibia), np.minimum(bones.fibula, bones.patella))
    assert skin[nearest < 0].max() < 0


@pytest.mark.parametrize("seed", range(8))
def test_head_of_the_fibula_lies_six_millimetres_below_the_skin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = BoneShape.draw(rng)
    soft = SoftTissue.draw(rng, shape.patella)
    axes = np.arange(10, 60, 1.0), np.arange(-60, -12, 1.5), np.arange(-40, 5, 3.0)
    x, y, z = (c.astype(np.float32).reshape(len(axes[0]), -1) for c in np.meshgrid(*axes, indexing="ij"))
    bones = bone_distances((x, y, z), (x, y, z), shape, 0.0)
    skin = soft_fields((x, y, z), (x, y, z), (x, y, z), bones, soft, CARTILAGE_MM)["skin"]
    assert skin[bones.fibula < 0].max() < -6


def test_front_slices_show_a_small_island_and_back_slices_a_wide_leg() -> None:
    soft = measured()
    shares = [np.mean(fields_at(coronal(depth, 2.0), soft)["skin"] < 0) for depth in (38.0, 20.0, -10.0)]
    assert 0.02 < shares[0] < shares[1] < shares[2]


def test_muscle_and_fat_fill_the_back_where_there_is_no_bone() -> None:
    soft = measured()
    tissue = paint_soft_tissue(fields_at(coronal(-58.0, 2.0), soft), soft, CARTILAGE_MM)
    inside = tissue != Tissue.AIR
    assert np.isin(tissue[inside], MUSCLE).mean() > 0.4
    assert np.isin(tissue[inside], FAT).mean() > 0.15


@pytest.mark.parametrize("depth", [-44.0, -50.0])
def test_muscle_fills_most_of_the_popliteal_fossa(depth: float) -> None:
    soft = measured()
    place = coronal(depth, 1.0)
    fields = fields_at(place, soft)
    tissue = paint_soft_tissue(fields, soft, CARTILAGE_MM)
    bone = np.minimum(np.minimum(fields["femur"], fields["tibia"]), fields["fibula"])
    deep = (fields["fascia"] < -2) & (np.abs(place[2]) < 60) & (bone > 0)
    assert np.isin(tissue[deep], MUSCLE).mean() > 0.6


def test_heads_of_the_gastrocnemius_part_above_the_joint_for_the_vessels() -> None:
    soft = measured(sheath=2.0)
    row = np.arange(-30, 45, 0.25, dtype=np.float32)[None]
    place = (row, np.full_like(row, -46), np.full_like(row, 30))
    muscle = np.isin(paint_soft_tissue(fields_at(place, soft), soft, CARTILAGE_MM)[0], MUSCLE)
    medial, between, lateral = (muscle[np.abs(row[0] - x) < 1.5] for x in (-7, 9, 24))
    assert medial.all()
    assert lateral.all()
    assert not between.any()


def cap(**changes: object) -> tuple[Tissues, Place]:
    """Tissue above the tops of the posterior condyles, and where."""
    soft = measured(origin=8.0, **changes)
    place = coronal(-26.0, 0.25)
    fields = fields_at(place, soft)
    tissue = paint_soft_tissue(fields, soft, CARTILAGE_MM)
    tissue[fields["femur"] < 0] = Tissue.CORTEX
    above = (place[2] > 34) & (place[2] < 52)
    return np.where(above, tissue, Tissue.AIR).astype(np.uint8), place


def test_dark_cap_of_each_condyle_has_a_thickness_of_its_own() -> None:
    tissue, (x, _, _) = cap(tendinous=(3.5, 0.5))
    dark = tissue == Tissue.TENDON
    assert dark[x < -8].sum() > 3 * dark[x > 8].sum() > 0


def test_no_fat_parts_the_heads_of_the_gastrocnemius_from_the_condyles() -> None:
    soft = measured(origin=1.5, capsule=0.6)
    place = coronal(-26.0, 0.25)
    fields = fields_at(place, soft)
    tissue = paint_soft_tissue(fields, soft, CARTILAGE_MM)
    between = (fields["femur"] > 0.6) & (fields["femur"] < 1.2) & (place[2] > 34) & (np.abs(place[0] + 14) < 4)
    assert between.sum() > 20
    assert np.isin(tissue[between], FAT).mean() < 0.1


@pytest.mark.parametrize("lateral_mm", [-8.0, 8.0, 20.0, 26.0])
def test_nothing_parts_the_patella_from_the_knee(lateral_mm: float) -> None:
    y, z = np.meshgrid(np.arange(-40, 70, 0.5, dtype=np.float32), np.arange(14, 50, 2.0, dtype=np.float32))
    skin = fields_at((np.full_like(y, lateral_mm), y, z), measured())["skin"] < 0
    assert (np.abs(np.diff(skin.astype(int), axis=1)).sum(axis=1) <= 1).all()
    edge = skin.sum(axis=1) * 0.5
    assert np.abs(np.diff(edge)).max() < 4


def test_thicker_articular_cartilage_is_not_taken_for_unossified() -> None:
    soft, place = measured(), coronal(-12.0)
    bones = bone_distances(place, place, BoneShape(), 0.0)
    fields = {**fields_at(place, soft, 3.0), **soft_fields(place, place, place, bones, soft, 3.0, 3.0)}
    tissue = paint_soft_tissue(fields, soft, 3.0, 3.0)
    assert np.any(tissue == Tissue.CARTILAGE)
    assert not np.any(tissue == Tissue.EPIPHYSEAL_CARTILAGE)


def test_subcutaneous_fat_thickens_the_leg() -> None:
    lean, obese = (
        np.mean(fields_at(coronal(-10.0, 2.0), replace(measured(), fat=fat))["skin"] < 0) for fat in (2.0, 35.0)
    )
    assert obese > 1.25 * lean


def test_children_have_unossified_cartilage_next_to_the_bone() -> None:
    soft = measured()
    place = coronal(-12.0)
    young = paint_soft_tissue(fields_at(place, soft, 4.0), soft, 4.0)
    adult = paint_soft_tissue(fields_at(place, soft), soft, CARTILAGE_MM)
    assert np.sum(young == Tissue.EPIPHYSEAL_CARTILAGE) > 100
    assert not np.any(adult == Tissue.EPIPHYSEAL_CARTILAGE)


def test_cartilage_is_two_lines_with_menisci_at_the_outer_rims() -> None:
    soft = measured(meniscus=0.6, recess=-0.4, capsule=1.0)
    place = coronal(-17.0, 0.25)
    fields = fields_at(place, soft)
    tissue = paint_soft_tissue(fields, soft, CARTILAGE_MM)
    tissue[np.minimum(fields["femur"], fields["tibia"]) < 0] = Tissue.CORTEX

    def height(value: Tissue, x: float) -> float:
        column = tissue[np.abs(place[2]) < 12].reshape(-1, tissue.shape[1])[:, np.argmin(np.abs(place[0][0] - x))]
        return float(np.sum(column == value)) * 0.25

    for middle, rim in ((-17.0, -30.5), (20.0, 33.0)):
        assert 3.0 < height(Tissue.CARTILAGE, middle) < 6.5
        assert height(Tissue.MENISCUS, middle) < 2.0
        assert 2.0 < height(Tissue.MENISCUS, rim) < 7.0
    assert height(Tissue.CARTILAGE, 0.0) == 0


CARTILAGES = (Tissue.CARTILAGE, Tissue.EPIPHYSEAL_CARTILAGE)


@pytest.mark.parametrize("cartilage_mm", [3.7, 2.7, CARTILAGE_MM])
def test_no_cartilage_wraps_the_shaft_of_the_tibia(cartilage_mm: float) -> None:
    soft = measured()
    axes = np.arange(-45, 50, 1.0), np.arange(-55, 25, 1.0), np.array([-20.0, -30.0, -40.0, -50.0])
    x, y, z = (c.astype(np.float32) for c in np.meshgrid(*axes))
    x, y, z = (c.reshape(len(x), -1) for c in (x, y, z))
    fields = fields_at((x, y, z), soft, cartilage_mm)
    tissue = paint_soft_tissue(fields, soft, cartilage_mm)
    beside = (np.minimum(fields["femur"], fields["tibia"]) > 0) & (fields["patella"] > 0)
    assert not np.isin(tissue[beside], CARTILAGES).any()


@pytest.mark.parametrize("cartilage_mm", [3.7, 2.7, CARTILAGE_MM])
def test_cartilage_of_the_patella_lies_on_its_back_alone_and_is_thin(cartilage_mm: float) -> None:
    soft = measured()
    axes = np.arange(-14, 36, 1.0), np.arange(8, 48, 1.0), np.arange(6, 58, 1.0)
    x, y, z = (c.astype(np.float32).reshape(50, -1) for c in np.meshgrid(*axes, indexing="ij"))
    fields = fields_at((x, y, z), soft, cartilage_mm)
    own = (fields["lower_cartilage"] < 0) & (fields["patella"] > 0)
    assert own.sum() > 500
    assert fields["patella"][own].max() <= 5
    assert (fields["femur"] + fields["patella"])[own].max() < 10.5


@pytest.mark.parametrize("point", [(0, -15, 15), (2, -10, 12), (0, -50, 5), (-20, -50, 0)])
def test_no_cartilage_lies_in_the_notch_or_behind_the_condyles(point: tuple[float, float, float]) -> None:
    assert tissue_at(*point) not in (Tissue.CARTILAGE, Tissue.MENISCUS)


def test_tendons_follow_the_patella() -> None:
    heights = coronal(40.0)[2]
    low, high = (
        float(heights[fields_at(coronal(40.0), measured(patella=(0.0, 0.0, shift)))["tendon"] < 0].max())
        for shift in (-8.0, 8.0)
    )
    assert high > low + 5


def test_draws_differ_and_repeat() -> None:
    first, again, other = (SoftTissue.draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.fat == again.fat != other.fat
    np.testing.assert_array_equal(first.moved, again.moved)


def test_fields_are_finite_single_precision_of_the_shape_of_the_points() -> None:
    place = coronal(-20.0, 4.0)
    for name, field in fields_at(place, SoftTissue.draw(np.random.default_rng(3))).items():
        assert (field.shape, field.dtype) == (place[0].shape, np.dtype(np.float32)), name
        assert np.isfinite(field).all(), name


def test_texture_is_moderate_and_zero_in_air() -> None:
    soft = measured()
    fields = fields_at(coronal(-45.0), soft)
    tissue = paint_soft_tissue(fields, soft, CARTILAGE_MM)
    texture = soft_texture(tissue, 0.5, fields, np.random.default_rng(0))
    assert not texture[tissue == Tissue.AIR].any()
    assert 0.01 < texture[np.isin(tissue, MUSCLE)].std() < 0.3
    assert texture.dtype == np.float32
