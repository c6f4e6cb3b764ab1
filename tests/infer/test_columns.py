"""A plate's site, column by column."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import DISTAL_FEMUR, PROXIMAL_TIBIA, Label
from kneeage.core.errors import GeometryError
from kneeage.infer.columns import site_columns, zones_downwards
from tests.infer.knees import BONE_COLUMNS, block_knee, edited, without


def test_the_femur_ends_and_the_tibia_begins_with_its_epiphysis() -> None:
    assert zones_downwards(DISTAL_FEMUR)[1] is Label.DISTAL_FEMUR_EPIPHYSIS
    assert zones_downwards(PROXIMAL_TIBIA)[0] is Label.PROXIMAL_TIBIA_EPIPHYSIS


def test_an_open_plate_lies_between_its_rows() -> None:
    columns = site_columns(block_knee(), DISTAL_FEMUR)
    assert columns.seen[BONE_COLUMNS].all()
    assert columns.seen.sum() == 36 * 9
    assert (columns.top[BONE_COLUMNS] == 31).all()
    assert (columns.bottom[BONE_COLUMNS] == 33).all()
    assert (columns.centre_row[BONE_COLUMNS] == 31.5).all()
    assert (columns.open_rows[BONE_COLUMNS] == 2).all()


def test_a_closed_site_is_where_the_zones_touch() -> None:
    columns = site_columns(block_knee(open_columns=0), PROXIMAL_TIBIA)
    assert columns.seen.sum() == 36 * 9
    assert not columns.is_open.any()
    assert (columns.top[BONE_COLUMNS] == 62).all()
    assert (columns.bottom[BONE_COLUMNS] == 62).all()


def test_a_scar_is_seen_and_not_open() -> None:
    knee = edited(block_knee(open_columns=0), (BONE_COLUMNS, 31, slice(None)), Label.DISTAL_FEMUR_PHYSEAL_SCAR)
    columns = site_columns(knee, DISTAL_FEMUR)
    assert (columns.scar_rows[columns.seen] == 1).all()
    assert not columns.is_open.any()


def test_stray_labels_do_not_move_the_site() -> None:
    knee = edited(block_knee(), (BONE_COLUMNS, slice(8, 10), slice(None)), Label.DISTAL_FEMUR_EPIPHYSIS)
    knee = edited(knee, (BONE_COLUMNS, 43, slice(None)), Label.DISTAL_FEMUR_METAPHYSIS)
    columns = site_columns(knee, DISTAL_FEMUR)
    assert columns.seen[BONE_COLUMNS].all()
    assert (columns.top[BONE_COLUMNS] == 31).all()


def test_a_wide_unlabelled_gap_is_no_site() -> None:
    knee = edited(block_knee(), (BONE_COLUMNS, slice(31, 35), slice(None)), Label.BACKGROUND)
    assert not site_columns(knee, DISTAL_FEMUR).seen.any()


def test_a_narrow_unlabelled_gap_is_bridged() -> None:
    knee = edited(block_knee(), (BONE_COLUMNS, slice(31, 33), slice(None)), Label.BACKGROUND)
    assert site_columns(knee, DISTAL_FEMUR).seen[BONE_COLUMNS].all()


def test_zones_in_the_wrong_order_are_no_site() -> None:
    knee = block_knee(open_columns=0)
    upside_down = knee.with_array(knee.array[:, :, ::-1])
    assert not site_columns(upside_down, DISTAL_FEMUR).seen.any()


def test_one_zone_alone_is_no_site() -> None:
    assert not site_columns(without(block_knee(), Label.DISTAL_FEMUR_EPIPHYSIS), DISTAL_FEMUR).seen.any()


def test_rows_must_run_down() -> None:
    with pytest.raises(GeometryError, match="orientation 'LPI'"):
        site_columns(block_knee().reoriented("LPI"), DISTAL_FEMUR)


def test_each_column_is_judged_alone() -> None:
    knee = block_knee()
    one = knee.with_array(np.where(np.arange(64)[None, :, None, None] == 20, knee.array, 0).astype(np.uint8))
    np.testing.assert_array_equal(site_columns(one, DISTAL_FEMUR).seen[20], site_columns(knee, DISTAL_FEMUR).seen[20])
