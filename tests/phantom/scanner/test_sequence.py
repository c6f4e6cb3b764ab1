"""Tests of the signals of virtual sequences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kneeage.io.instance import Acquisition
from kneeage.io.weighting import judge_weighting
from kneeage.phantom.anatomy.tissue import MARROW, Tissue
from kneeage.phantom.scanner.sequence import (
    MATERIALS,
    PLATE_BORDER,
    PLATE_CARTILAGE,
    PLATE_SCAR,
    RED_MARROW,
    TIMES,
    YELLOW_MARROW,
    Material,
    Sequence,
    Signals,
    Weighting,
    draw_sequence,
    random_signals,
    signals,
    spin_echo,
    water_and_fat,
)

T1 = Sequence(Weighting.T1, False, 3, 600, 14, 3.0)
PD = Sequence(Weighting.PD, False, 7, 3000, 30, 3.0)
T2 = Sequence(Weighting.T2, False, 14, 4000, 80, 3.0)


def typical_signal(material: Material, sequence: Sequence, fat_left: float = 1.0) -> float:
    """Signal of a material without variation, relative to unsuppressed yellow marrow."""
    water, fat = water_and_fat(material, sequence)
    return (water + fat_left * fat) / sum(water_and_fat(YELLOW_MARROW, sequence))


def typical(tissue: Tissue, sequence: Sequence, fat_left: float = 1.0) -> float:
    return typical_signal(MATERIALS[tissue], sequence, fat_left)


def drawn(sequence: Sequence, count: int = 60) -> list[Signals]:
    return [signals(sequence, np.random.default_rng(seed)) for seed in range(count)]


def test_spin_echo_by_hand() -> None:
    # TR = T1 recovers 1 - 1/e, TE = T2 leaves 1/e.
    sequence = replace(T1, repetition_time_ms=1000, echo_time_ms=40)
    assert spin_echo(0.8, 1000, 40, sequence) == pytest.approx(0.8 * 0.632121 * 0.367879, abs=1e-5)


def test_single_echo_has_neither_transfer_nor_bright_fat() -> None:
    material, single = MATERIALS[Tissue.MUSCLE], replace(T1, echo_train_length=1)
    water, fat = water_and_fat(material, single)
    assert water == pytest.approx(spin_echo(0.8 * 0.98, 1420, 32, single))
    assert fat == pytest.approx(spin_echo(0.8 * 0.02, 371, 133, single))


def test_long_echo_train_brightens_fat_and_darkens_muscle() -> None:
    long = replace(PD, echo_train_length=20)
    assert (
        water_and_fat(YELLOW_MARROW, long)[1] > 1.1 * water_and_fat(YELLOW_MARROW, replace(PD, echo_train_length=1))[1]
    )
    assert typical(Tissue.MUSCLE, long) < typical(Tissue.MUSCLE, replace(PD, echo_train_length=1))


@pytest.mark.parametrize("tesla", [1.5, 3.0])
@pytest.mark.parametrize(
    ("tissue", "low", "high"),
    [
        (Tissue.MUSCLE, 0.2, 0.4),
        (Tissue.CARTILAGE, 0.28, 0.6),
        (Tissue.EPIPHYSEAL_CARTILAGE, 0.28, 0.6),
        (Tissue.CRUCIATE, 0.4, 0.6),
        (Tissue.CORTEX, 0.05, 0.2),
        (Tissue.LIGAMENT, 0.05, 0.2),
        (Tissue.AIR, 0.0, 0.0),
    ],
)
def test_t1_signals_are_those_of_real_t1_knees(tissue: Tissue, low: float, high: float, tesla: float) -> None:
    assert low <= typical(tissue, replace(T1, field_strength_tesla=tesla)) <= high


def test_late_t1_echo_gives_the_dark_muscle_of_a_real_adult_knee() -> None:
    # Source: coronal T1 TSE at 3 T, TR 581, TE 20: muscle 0.21 to 0.24 of marrow.
    adult = Sequence(Weighting.T1, False, 4, 581, 20, 3.0)
    muscle = np.array([levels.tissue[Tissue.MUSCLE] for levels in drawn(adult)])
    low, high = np.percentile(muscle, (5, 95))
    assert low < 0.22 < high


@pytest.mark.parametrize("sequence", [T1, PD, T2])
def test_fat_is_about_as_bright_as_marrow_in_every_contrast(sequence: Sequence) -> None:
    # Source: under the skin 0.66 of marrow in one adult at 3 T, up to 1.5 near the coil in adolescents.
    fat = np.array([levels.tissue[Tissue.SUBCUTANEOUS_FAT] for levels in drawn(sequence)])
    assert np.median(fat) == pytest.approx(0.87, abs=0.12)
    assert np.percentile(fat, 5) < 0.7
    assert np.percentile(fat, 95) > 1.1


def test_all_fat_of_a_knee_is_alike() -> None:
    for levels in drawn(T1):
        inner, outer = levels.tissue[Tissue.HOFFA_FAT], levels.tissue[Tissue.SUBCUTANEOUS_FAT]
        assert inner / outer == pytest.approx(1, abs=0.25)


def test_marrow_has_no_step_where_a_plate_was() -> None:
    for levels in drawn(T1):
        for bone in ("FEMUR", "TIBIA"):
            above, below = (levels.tissue[Tissue[f"{bone}_{zone}"]] for zone in ("EPIPHYSIS", "METAPHYSIS"))
            assert above == pytest.approx(below)


def test_suppression_leaves_the_stated_share_of_fat() -> None:
    levels = signals(replace(T1, fat_suppressed=True), np.random.default_rng(0))
    assert levels.fat[Tissue.SUBCUTANEOUS_FAT] < 1.5 * levels.fat_left


def test_plates_on_t1_are_grey_between_dark_borders() -> None:
    border, scar, cartilage = (typical_signal(m, T1) for m in (PLATE_BORDER, PLATE_SCAR, PLATE_CARTILAGE))
    assert border < 0.25 < cartilage < 0.65
    assert border < scar < 0.5
    assert cartilage < typical_signal(RED_MARROW, T1) < 0.85


def test_fluid_is_dark_on_t1_and_brightest_on_t2() -> None:
    assert typical(Tissue.FLUID, T1) < typical(Tissue.CARTILAGE, T1)
    others = [tissue for tissue in Tissue if tissue not in (Tissue.FLUID, Tissue.CYST)]
    assert typical(Tissue.FLUID, T2) > max(typical(tissue, T2) for tissue in others)


def test_suppressed_fat_is_darker_than_cartilage_and_water_is_untouched() -> None:
    assert typical(Tissue.DEEP_FAT, PD, 0.1) < 0.5 * typical(Tissue.CARTILAGE, PD, 0.1)
    assert typical(Tissue.FLUID, PD, 0.1) == typical(Tissue.FLUID, PD)
    for levels in drawn(replace(PD, fat_suppressed=True), 20):
        assert 0 < levels.fat_left < 0.3
        assert levels.tissue[Tissue.FEMUR_EPIPHYSIS] < min(levels.cartilage, levels.red_marrow)


def test_marrow_without_suppression_is_one() -> None:
    for levels in drawn(T1, 20):
        assert levels.tissue[Tissue.FEMUR_EPIPHYSIS] == pytest.approx(1, abs=0.12)
        assert levels.fat[Tissue.FEMUR_EPIPHYSIS] > 0.85 * levels.tissue[Tissue.FEMUR_EPIPHYSIS]


def test_variation_is_wide_and_follows_from_the_seed() -> None:
    muscle = np.array([levels.tissue[Tissue.MUSCLE] for levels in drawn(T1)])
    assert 0.1 < muscle.std() / muscle.mean() < 0.3
    first, again = (signals(T1, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.tissue, again.tissue)


def test_random_contrasts_keep_open_plates_apart_from_marrow() -> None:
    for seed in range(300):
        levels = random_signals(np.random.default_rng(seed))
        marrow = [*levels.tissue[list(MARROW)], levels.red_marrow]
        assert np.all(levels.tissue >= 0)
        assert np.all(levels.fat <= levels.tissue)
        assert levels.cartilage < 0.95 * min(marrow) or levels.cartilage > 1.05 * max(marrow)
        assert levels.border < 0.7 * max(marrow)


@pytest.mark.parametrize("weighting", list(Weighting))
def test_drawn_sequence_is_what_the_reader_calls_it(weighting: Weighting) -> None:
    for seed in range(20):
        sequence = draw_sequence(weighting, False, 1.5, np.random.default_rng(seed))
        for value, (low, high) in zip(
            (sequence.repetition_time_ms, sequence.echo_time_ms, sequence.echo_train_length),
            TIMES[weighting],
            strict=True,
        ):
            assert low <= value <= high
        header = Acquisition(
            sequence=("SE",), repetition_time_ms=sequence.repetition_time_ms, echo_time_ms=sequence.echo_time_ms
        )
        assert judge_weighting(header)[0] == weighting.value
