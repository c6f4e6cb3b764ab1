"""The side that the fibula tells."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.core.anatomy import PROXIMAL_TIBIA, Label, Side
from kneeage.core.volume import Volume
from kneeage.infer.fibula import fibula_evidence, side_from_fibula
from tests.infer.knees import block_knee, edited, without


@pytest.mark.parametrize("codes", ["LIP", "RIP", "RAS", "PIL", "SAL"])
def test_a_right_knee_on_any_grid(codes: str) -> None:
    assert side_from_fibula(block_knee().reoriented(codes)) is Side.RIGHT


def test_a_left_knee_is_a_right_one_mirrored_in_the_world() -> None:
    knee = block_knee()
    mirror = np.diag([-1.0, 1, 1, 1])
    assert side_from_fibula(Volume(knee.array, mirror @ knee.affine)) is Side.LEFT


@pytest.mark.parametrize("gone", [(Label.PROXIMAL_FIBULA,), PROXIMAL_TIBIA.bone])
def test_a_missing_bone_says_nothing(gone: tuple[Label, ...]) -> None:
    assert side_from_fibula(without(block_knee(), *gone)) is Side.UNKNOWN


def test_a_fibula_behind_the_tibia_says_nothing() -> None:
    knee = without(block_knee(), Label.PROXIMAL_FIBULA)
    knee = edited(knee, (slice(28, 38), slice(70, 92), 8), Label.PROXIMAL_FIBULA)
    assert side_from_fibula(knee) is Side.UNKNOWN


def test_evidence_is_strong_where_there_is_enough_of_it_far_enough() -> None:
    whole = fibula_evidence(block_knee())
    assert whole.side is Side.RIGHT
    assert whole.strong
    assert whole.offset_mm == pytest.approx(26)
    assert whole.volume_mm3 == pytest.approx(8 * 30 * 4 * 4)
    little = fibula_evidence(edited(block_knee(), (slice(4, 12), slice(66, 92), slice(0, 9)), 0))
    assert little.side is Side.RIGHT
    assert not little.strong
