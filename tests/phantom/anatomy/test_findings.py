"""Tests of incidental findings."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.phantom.anatomy.findings import (
    Finding,
    FindingKind,
    bar_distance,
    draw_findings,
    finding_fields,
    paint_findings,
)
from kneeage.phantom.anatomy.tissue import Tissue

LINE = tuple(np.asarray(c, np.float32) for c in (np.linspace(-20, 20, 81), np.zeros(81), np.zeros(81)))
BONES = {"femur": np.ones(81, bool), "tibia": np.zeros(81, bool)}


def painted(kind: FindingKind, bone: str = "femur") -> np.ndarray:
    findings = (Finding(kind, bone, (0.0, 0.0, 0.0), 6.0),)
    tissue = np.full(81, int(Tissue.FEMUR_EPIPHYSIS), np.uint8)
    paint_findings(tissue, findings, finding_fields(findings, LINE, LINE), BONES)
    return tissue


def test_most_knees_have_no_finding_and_some_have() -> None:
    drawn = [draw_findings(np.random.default_rng(seed)) for seed in range(400)]
    share = np.mean([bool(findings) for findings in drawn])
    assert 0.05 < share < 0.2
    assert {finding.kind for findings in drawn for finding in findings} == set(FindingKind)


def test_rates_can_be_raised_for_training() -> None:
    assert len(draw_findings(np.random.default_rng(0), often=1000.0)) == len(FindingKind)


@pytest.mark.parametrize("kind", [FindingKind.BONE_ISLAND, FindingKind.CYST, FindingKind.CONTUSION, FindingKind.LESION])
def test_a_finding_fills_a_place_of_its_size(kind: FindingKind) -> None:
    extent_mm = (painted(kind) != Tissue.FEMUR_EPIPHYSIS).sum() * 0.5
    assert extent_mm == pytest.approx(12.0, rel=0.3)


def test_a_finding_stays_inside_its_bone_but_metal_does_not() -> None:
    assert (painted(FindingKind.CYST, "tibia") == Tissue.FEMUR_EPIPHYSIS).all()
    assert (painted(FindingKind.METAL_VOID, "tibia") == Tissue.METAL).any()


def test_osteochondritis_has_a_dark_rim() -> None:
    tissue = painted(FindingKind.OSTEOCHONDRITIS)
    assert (tissue == Tissue.CORTEX).any()
    assert tissue[40] == Tissue.OEDEMA


def test_a_bar_is_no_tissue_but_a_place_on_its_plate() -> None:
    bar = (Finding(FindingKind.PHYSEAL_BAR, "tibia", (2.0, 0.0, -25.0), 4.0),)
    assert finding_fields(bar, LINE, LINE) == {}
    assert bar_distance(bar, "femur", LINE[0], LINE[1]) is None
    away = bar_distance(bar, "tibia", LINE[0], LINE[1])
    assert away is not None
    assert LINE[0][np.argmin(away)] == 2.0
