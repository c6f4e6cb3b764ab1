"""Tests of the true skeletal stages."""

from __future__ import annotations

import numpy as np
import pytest

from kneeage.phantom.growth.latents import PlateLatents
from kneeage.phantom.growth.stages import (
    SCHMELING_KELLINGHAUS,
    Dedouit,
    SchmelingKellinghaus,
    dedouit,
    dedouit_index,
    schmeling_kellinghaus,
    schmeling_kellinghaus_index,
)


def plate(thickness_mm: float = 2.0, bridged: float = 0.0, scar: float = 0.5) -> PlateLatents:
    return PlateLatents(thickness_mm, 0.2, bridged, 4.0, 0.0, 0.5, 0.5, 0.8, scar)


@pytest.mark.parametrize(
    ("latents", "stage"),
    [
        (plate(2.5), Dedouit.I),
        (plate(2.0), Dedouit.II),
        (plate(1.4), Dedouit.III),
        (plate(2.5, bridged=0.01), Dedouit.I),
        (plate(1.4, bridged=0.03), Dedouit.IV),
        (plate(1.0, bridged=0.9), Dedouit.IV),
        (plate(1.0, bridged=0.99), Dedouit.V),
        (plate(1.0, bridged=1.0), Dedouit.V),
    ],
)
def test_dedouit(latents: PlateLatents, stage: Dedouit) -> None:
    assert dedouit(latents) is stage


@pytest.mark.parametrize(
    ("latents", "stage"),
    [
        (plate(3.0), SchmelingKellinghaus.S2C),
        (plate(1.2, bridged=0.2), SchmelingKellinghaus.S3A),
        (plate(1.2, bridged=0.5), SchmelingKellinghaus.S3B),
        (plate(1.2, bridged=0.9), SchmelingKellinghaus.S3C),
        (plate(1.2, bridged=1.0), SchmelingKellinghaus.S4),
        (plate(1.2, bridged=1.0, scar=0.05), SchmelingKellinghaus.S5),
        (plate(1.2, bridged=0.9, scar=0.05), SchmelingKellinghaus.S3C),
    ],
)
def test_schmeling_kellinghaus(latents: PlateLatents, stage: SchmelingKellinghaus) -> None:
    assert schmeling_kellinghaus(latents) is stage


def test_many_are_graded_as_one_is() -> None:
    rng = np.random.default_rng(0)
    thickness, bridged, scar = rng.uniform(0.5, 3, 50), np.clip(rng.uniform(-0.5, 1.5, 50), 0, 1), rng.uniform(0, 1, 50)
    knees = [plate(*values) for values in zip(thickness, bridged, scar, strict=True)]
    assert [list(Dedouit)[n] for n in dedouit_index(thickness, bridged)] == [dedouit(knee) for knee in knees]
    found = [SCHMELING_KELLINGHAUS[n] for n in schmeling_kellinghaus_index(bridged, scar)]
    assert found == [schmeling_kellinghaus(knee) for knee in knees]


def test_stages_rise_with_maturity() -> None:
    bridged = np.linspace(0, 1, 101)
    assert (np.diff(dedouit_index(np.linspace(3, 0.5, 101), bridged)) >= 0).all()
    assert (np.diff(schmeling_kellinghaus_index(bridged, np.full(101, 0.5))) >= 0).all()
