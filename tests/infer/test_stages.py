"""Stages of measured plates."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import DISTAL_FEMUR, PROXIMAL_TIBIA, Label
from kneeage.core.result import PlateReport
from kneeage.infer.morphometry import measure_plate
from kneeage.infer.region import find_sites
from kneeage.infer.stages import dedouit_place, scar_share, skeletal_stages, staged
from tests.infer.knees import BONE_COLUMNS, block_knee


def graded(open_columns: int, *, plate_rows: int = 2, scar: bool = False) -> tuple[str | None, str | None]:
    """Stages of the femoral plate of a knee of blocks, whose pixels are 1 mm."""
    labels = block_knee(open_columns=open_columns, plate_rows=plate_rows)
    if scar:
        values = labels.array.copy()
        values[0, BONE_COLUMNS.start + open_columns : BONE_COLUMNS.stop, 31] = Label.DISTAL_FEMUR_PHYSEAL_SCAR
        labels = labels.with_array(values)
    seen = find_sites(labels).of(DISTAL_FEMUR)
    plate = staged(measure_plate(labels, DISTAL_FEMUR, seen), labels, DISTAL_FEMUR, seen)
    return plate.stages.dedouit, plate.stages.schmeling_kellinghaus


@pytest.mark.parametrize(
    ("open_columns", "plate_rows", "wanted"),
    [
        (36, 3, ("I", "2c")),
        (36, 2, ("II", "2c")),
        (36, 1, ("III", "2c")),
        (35, 2, ("II", "2c")),
        (30, 1, ("IV", "3a")),
        (18, 1, ("IV", "3b")),
        (6, 1, ("IV", "3c")),
        (1, 1, ("V", "5")),
        (0, 1, ("V", "5")),
    ],
)
def test_thickness_and_bridging_make_the_stage(open_columns: int, plate_rows: int, wanted: tuple[str, str]) -> None:
    assert graded(open_columns, plate_rows=plate_rows) == wanted


def test_a_closed_plate_with_a_scar_is_stage_4() -> None:
    assert graded(0, scar=True) == ("V", "4")


def test_bridging_is_the_same_with_and_without_a_scar() -> None:
    assert graded(18, scar=True)[0] == graded(18)[0] == "IV"
    assert graded(18, scar=True)[1] == graded(18)[1] == "3b"


def test_a_plate_that_was_not_found_has_no_stage() -> None:
    labels = block_knee()
    nothing = labels.with_array(np.zeros_like(labels.array))
    seen = find_sites(nothing).of(PROXIMAL_TIBIA)
    plate = staged(measure_plate(nothing, PROXIMAL_TIBIA, seen), nothing, PROXIMAL_TIBIA, seen)
    assert plate.stages.dedouit is None
    assert dedouit_place(plate) is None
    assert scar_share(nothing, PROXIMAL_TIBIA, seen) == 0


def test_places_of_stages_rise() -> None:
    plates = [PlateReport(found=True, stages=skeletal_stages(*each, 0.0)) for each in ((1, 3.0), (1, 1.0), (0, None))]
    assert [dedouit_place(plate) for plate in plates] == [0, 2, 4]
