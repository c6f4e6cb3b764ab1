"""Tests of the marrow's pattern."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.phantom.anatomy.marrow import MarrowPattern, marrow_texture, red_share
from kneeage.phantom.anatomy.tissue import Tissue
from kneeage.phantom.growth.law import draw_latents
from tests.phantom.knees import coronal_grid

LATENTS = replace(draw_latents(14.0, Sex.MALE, np.random.default_rng(0)), red_marrow=0.4, red_islands=0.5)
SHAPE = (200, 200)


def everywhere(tissue: Tissue) -> np.ndarray:
    return np.full(SHAPE, int(tissue), np.uint8)


def test_metaphysis_is_redder_than_epiphysis_and_reddest_far_from_the_plate() -> None:
    beyond, none = np.full(SHAPE, 30.0, np.float32), np.zeros(SHAPE, np.float32)
    far = red_share(everywhere(Tissue.FEMUR_METAPHYSIS), beyond, none, LATENTS, 0.5)
    near = red_share(everywhere(Tissue.FEMUR_METAPHYSIS), none, none, LATENTS, 0.5)
    epiphysis = red_share(everywhere(Tissue.FEMUR_EPIPHYSIS), -beyond, none, LATENTS, 0.5)
    assert far.mean() == pytest.approx(0.4)
    assert near.mean() == pytest.approx(0.2)
    assert epiphysis.mean() < 0.1


def test_islands_add_red_marrow_where_they_lie() -> None:
    islands = np.zeros(SHAPE, np.float32)
    islands[50:60] = 2.0
    red = red_share(everywhere(Tissue.TIBIA_METAPHYSIS), np.zeros(SHAPE, np.float32), islands, LATENTS, 0.5)
    assert red[55].mean() > red[100].mean() + 0.2
    assert red.max() <= 1


def test_islands_are_smooth_and_of_unit_spread() -> None:
    x, y, z = (c.astype(np.float32) for c in np.meshgrid(*[np.arange(-40.0, 40.0, 2.0)] * 3))
    spreads = [MarrowPattern.draw(np.random.default_rng(seed)).islands(x, y, z).std() for seed in range(10)]
    assert np.mean(spreads) == pytest.approx(1.0, abs=0.1)


def texture(tissue: Tissue, density: float = 1.0) -> np.ndarray:
    pattern = replace(MarrowPattern.draw(np.random.default_rng(0)), texture=0.06, streaks=0.05)
    grid = coronal_grid()
    z, x = np.meshgrid(np.linspace(60, -60, 200), np.linspace(60, -60, 200), indexing="ij")
    fields = {"x": x.astype(np.float32), "z": z.astype(np.float32)}
    return marrow_texture(everywhere(tissue), fields, grid, pattern, density, np.random.default_rng(1))


@pytest.mark.parametrize("tissue", [Tissue.FEMUR_EPIPHYSIS, Tissue.FEMUR_METAPHYSIS, Tissue.TIBIA_EPIPHYSIS])
def test_texture_has_the_stated_spread_and_scales_with_density(tissue: Tissue) -> None:
    assert 0.03 < texture(tissue).std() < 0.12
    assert texture(tissue, 1.3).std() == pytest.approx(1.3 * texture(tissue).std(), rel=1e-3)


def test_streaks_run_along_the_shaft() -> None:
    pattern = texture(Tissue.FEMUR_METAPHYSIS)
    along, across = (np.mean(np.diff(pattern, axis=axis) ** 2) for axis in (0, 1))
    assert along < 0.6 * across


def test_there_is_no_texture_outside_marrow() -> None:
    assert not texture(Tissue.MUSCLE).any()
