"""Sites, slices and regions."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import DISTAL_FEMUR, PROXIMAL_TIBIA, Label
from kneeage.core.errors import GeometryError
from kneeage.core.manifest import AgeStage
from kneeage.core.volume import Volume
from kneeage.infer.region import SiteSeen, SitesSeen, age_regions, chosen_slices, find_sites, region_corner
from tests.infer.knees import BONE_COLUMNS, as_image, block_knee, edited, plate_probability_of, without

STAGE = AgeStage(file="age.onnx", region_shape=(40, 40), max_slices=4, min_slices=3)


@pytest.mark.parametrize("open_columns", [36, 12, 0])
def test_both_sites_are_found_open_or_closed(open_columns: int) -> None:
    sites = find_sites(block_knee(open_columns=open_columns))
    assert sites.both_found
    assert sites.common_slices == tuple(range(9))
    assert sites.distal_femur.width_mm == 36


def test_the_centre_is_the_middle_of_the_interface() -> None:
    knee = block_knee(open_columns=0)
    seen = find_sites(knee).of(DISTAL_FEMUR)
    np.testing.assert_allclose(seen.centre_mm, knee.world((33.5, 30.5, 4)))


@pytest.mark.parametrize("shift_mm", [-1e-5, 0.0, 1e-5])
def test_the_last_digits_of_an_affine_do_not_move_a_region(shift_mm: float) -> None:
    knee = block_knee()
    moved = knee.affine.copy()
    moved[:3, 3] += shift_mm
    image, sites = as_image(knee), find_sites(knee)
    nudged = Volume(image.array, moved)
    assert region_corner(nudged, sites, STAGE) == region_corner(image, sites, STAGE)


def test_a_middle_between_two_voxels_goes_to_the_upper_one() -> None:
    knee = block_knee(open_columns=0)
    column, row, _ = knee.index(find_sites(knee).distal_femur.centre_mm)
    assert (column % 1, row % 1) == (0.5, 0.5)
    both = find_sites(knee).distal_femur
    corner = region_corner(as_image(knee), SitesSeen(both, both), STAGE)
    assert corner == (31 - 20, 34 - 20)


def test_a_mirrored_grid_gives_the_same_centre() -> None:
    knee = edited(block_knee(), (slice(16, 30), slice(None), slice(None)), 0)
    centre, mirrored = (find_sites(each).proximal_tibia.centre_mm for each in (knee, knee.reoriented("RIP")))
    np.testing.assert_allclose(centre, mirrored)


def test_a_bone_without_its_site() -> None:
    sites = find_sites(without(block_knee(), Label.DISTAL_FEMUR_METAPHYSIS))
    assert sites.distal_femur == SiteSeen(True, False, (), None, 0.0)
    assert sites.proximal_tibia.found
    assert not sites.both_found


def test_a_trace_of_a_bone_is_no_bone() -> None:
    knee = without(block_knee(), *PROXIMAL_TIBIA.bone)
    knee = edited(knee, (slice(20, 30), slice(60, 64), 4), Label.PROXIMAL_TIBIA_EPIPHYSIS)
    assert not find_sites(knee).proximal_tibia.bone_seen


def test_a_sliver_of_a_site_is_not_found() -> None:
    knee = edited(block_knee(), (slice(26, None), slice(31, 45), slice(None)), 0)
    assert not find_sites(knee).distal_femur.found


def test_a_site_does_not_come_back_behind_a_gap() -> None:
    knee = edited(block_knee(), (slice(25, None), slice(31, 45), 6), 0)
    wider = edited(knee, (slice(12, 16), slice(31, 45), 3), Label.DISTAL_FEMUR_EPIPHYSIS)
    widest = edited(wider, (slice(12, 16), slice(4, 31), 3), Label.DISTAL_FEMUR_METAPHYSIS)
    assert find_sites(widest).distal_femur.slices == tuple(range(6))


def test_slices_that_show_less_than_half_of_the_width_are_left_out() -> None:
    knee = edited(block_knee(), (slice(30, None), slice(31, 45), slice(7, 9)), 0)
    assert find_sites(knee).distal_femur.slices == tuple(range(7))


def test_slices_that_show_a_small_share_are_left_out() -> None:
    knee = edited(block_knee(), (slice(25, None), slice(31, 45), slice(0, 2)), 0)
    assert find_sites(knee).distal_femur.slices == tuple(range(2, 9))


def test_slices_are_spread_evenly() -> None:
    seen = SiteSeen(True, True, tuple(range(3, 14)), (0.0, 0.0, 0.0), 60.0)
    assert chosen_slices(SitesSeen(seen, seen), 3) == (3, 8, 13)
    assert chosen_slices(SitesSeen(seen, seen), 1) == (3,)
    assert chosen_slices(SitesSeen(seen, seen), 99) == seen.slices


def test_no_common_slice_gives_no_slice() -> None:
    one, other = (SiteSeen(True, True, slices, (0.0, 0.0, 0.0), 60.0) for slices in ((1, 2), (4, 5)))
    assert chosen_slices(SitesSeen(one, other), 3) == ()


def test_the_region_lies_around_the_midpoint() -> None:
    knee = block_knee()
    regions = age_regions(as_image(knee), plate_probability_of(knee), find_sites(knee), STAGE)
    assert regions.shape == (4, 3, 40, 40)
    assert regions.dtype == np.float32
    # Midpoint between rows 31.5 and 60.5, columns 16 to 51: row 46, column 34 (halves to even).
    np.testing.assert_array_equal(regions[0, 0], knee.array[0, 14:54, 26:66, 0].T)
    assert regions[:, 1].sum() == 4 * 36 * 4
    assert not regions[:, 2].any()


def test_outside_the_image_is_air_without_plates() -> None:
    knee = block_knee()
    image = knee.with_array(as_image(knee).array - 3)
    stage = STAGE.model_copy(update={"region_shape": (120, 80)})
    regions = age_regions(image, plate_probability_of(knee), find_sites(knee), stage)
    assert regions.shape == (4, 3, 120, 80)
    assert (regions[:, 0, :14] == -3).all()
    assert (regions[:, 0, :, -2:] == -3).all()
    np.testing.assert_array_equal(regions[0, 0, 14:110, 6:70], image.array[0, :, :, 0].T)
    assert not regions[:, 1:, :14].any()


def test_a_scar_is_in_the_third_channel() -> None:
    knee = edited(block_knee(open_columns=0), (BONE_COLUMNS, 31, slice(None)), Label.DISTAL_FEMUR_PHYSEAL_SCAR)
    regions = age_regions(as_image(knee), plate_probability_of(knee), find_sites(knee), STAGE)
    assert not regions[:, 1].any()
    assert regions[:, 2].sum() == 4 * 36


def test_no_site_no_region() -> None:
    knee = without(block_knee(), *DISTAL_FEMUR.bone)
    with pytest.raises(GeometryError, match="needs both plates' sites"):
        age_regions(as_image(knee), plate_probability_of(knee), find_sites(knee), STAGE)


def test_where_few_slices_show_half_of_both_sites_more_of_the_margin_counts() -> None:
    def seen(slices: range, margin: range) -> SiteSeen:
        return SiteSeen(True, True, tuple(slices), (0.0, 0.0, 0.0), 60.0, tuple(margin))

    enough = SitesSeen(seen(range(8), range(10)), seen(range(4, 12), range(2, 14)))
    assert enough.common_slices == (4, 5, 6, 7)
    oblique = SitesSeen(seen(range(6), range(8)), seen(range(5, 12), range(3, 14)))
    assert oblique.common_slices == (3, 4, 5, 6, 7)


def test_the_margin_of_a_site_is_a_quarter_of_its_width() -> None:
    knee = block_knee()
    for k, columns in ((0, 6), (1, 10), (2, 20)):
        knee = edited(knee, (slice(16 + columns, 52), slice(31, 45), k), 0)
    femur = find_sites(knee).distal_femur
    assert femur.slices == (2, 3, 4, 5, 6, 7, 8)
    assert femur.margin_slices == (1, *femur.slices)
