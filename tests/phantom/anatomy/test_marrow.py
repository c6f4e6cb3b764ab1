"""Tests of the marrow's pattern."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.phantom.anatomy.marrow import MarrowPattern, marrow_texture, red_share
from kneeage.phantom.anatomy.tissue import Tissue
from kneeage.phantom.growth.law import draw_latents
from tests.phantom.knees import PIXEL_MM, coronal_grid

LATENTS = replace(draw_latents(14.0, Sex.MALE, np.random.default_rng(0)), red_marrow=0.4, red_islands=0.5)
SHAPE = (200, 200)


def everywhere(tissue: Tissue) -> np.ndarray:
    return np.full(SHAPE, int(tissue), np.uint8)


def red(tissue: Tissue, beyond_mm: float, islands: float = 0.0, step: float = 0.5, amount: float = 0.4) -> float:
    fields = [np.full(SHAPE, value, np.float32) for value in (beyond_mm, islands)]
    return float(red_share(everywhere(tissue), *fields, replace(LATENTS, red_marrow=amount), step).mean())


def test_metaphysis_is_redder_than_epiphysis_and_reddest_far_from_the_plate() -> None:
    far, near = (red(Tissue.FEMUR_METAPHYSIS, beyond) for beyond in (30.0, 6.0))
    assert far > near + 0.1
    assert red(Tissue.FEMUR_EPIPHYSIS, -30.0) == pytest.approx(0.04)
    assert red(Tissue.PATELLA, 30.0) == red(Tissue.FEMUR_EPIPHYSIS, -30.0)


def test_red_marrow_has_no_edge_at_the_plate() -> None:
    beyond = np.tile(np.linspace(-10, 10, SHAPE[0], dtype=np.float32)[:, None], (1, SHAPE[1]))
    tissue = np.where(beyond < 0, Tissue.FEMUR_EPIPHYSIS, Tissue.FEMUR_METAPHYSIS).astype(np.uint8)
    share = red_share(tissue, beyond, np.zeros(SHAPE, np.float32), LATENTS, 1.0)[:, 0]
    per_mm = np.abs(np.diff(share)) / np.diff(beyond[:, 0])
    assert share[-1] > 0.4
    assert per_mm.max() < 0.3 * np.ptp(share)


@pytest.mark.parametrize(("amount", "least", "most"), [(0.25, 0.05, 0.15), (0.15, 0.03, 0.1), (0.05, 0.0, 0.015)])
def test_metaphysis_of_children_alone_is_clearly_darker(amount: float, least: float, most: float) -> None:
    contrast = 0.4  # how much darker red marrow is than yellow
    sides = ((Tissue.TIBIA_METAPHYSIS, 10.0), (Tissue.TIBIA_EPIPHYSIS, -10.0))
    beyond, before = (red(tissue, beyond, islands=-2.0, step=0.9, amount=amount) for tissue, beyond in sides)
    assert least < contrast * (beyond - before) < most


def test_islands_add_red_marrow_where_they_lie() -> None:
    assert red(Tissue.TIBIA_METAPHYSIS, 0.0, 2.0) > red(Tissue.TIBIA_METAPHYSIS, 0.0, 0.0) + 0.2
    assert red(Tissue.TIBIA_METAPHYSIS, 30.0, 4.0, amount=0.6) <= 1


def test_islands_are_smooth_and_of_unit_spread() -> None:
    x, y, z = (c.astype(np.float32) for c in np.meshgrid(*[np.arange(-40.0, 40.0, 2.0)] * 3))
    spreads = [MarrowPattern.draw(np.random.default_rng(seed)).islands(x, y, z).std() for seed in range(10)]
    assert np.mean(spreads) == pytest.approx(1.0, abs=0.1)


def texture(tissue: Tissue, density: float = 1.0, pixel_mm: float = PIXEL_MM, beyond_mm: float = 10.0) -> np.ndarray:
    pattern = replace(MarrowPattern.draw(np.random.default_rng(0)), texture=0.1, streaks=0.05)
    pixels = round(120 / pixel_mm)
    grid = replace(coronal_grid(pixels=pixels), pixel_mm=pixel_mm)
    z, x = (c.astype(np.float32) for c in np.meshgrid(*[np.linspace(60, -60, pixels)] * 2, indexing="ij"))
    beyond = np.full_like(x, beyond_mm if "METAPHYSIS" in tissue.name else -beyond_mm)
    fields = {"x": x, "z": z, "femur_distance": beyond, "tibia_distance": beyond}
    painted = np.full(x.shape, int(tissue), np.uint8)
    return marrow_texture(painted, fields, grid, pattern, density, np.random.default_rng(1))


@pytest.mark.parametrize("tissue", [Tissue.FEMUR_EPIPHYSIS, Tissue.FEMUR_METAPHYSIS, Tissue.TIBIA_EPIPHYSIS])
def test_texture_has_the_stated_spread_and_scales_with_density(tissue: Tissue) -> None:
    assert 0.03 < texture(tissue).std() < 0.12
    assert texture(tissue, 1.3).std() == pytest.approx(1.3 * texture(tissue).std(), rel=1e-3)


def test_texture_that_coarse_pixels_show_is_that_of_fine_ones_averaged() -> None:
    fine, coarse = (texture(Tissue.TIBIA_EPIPHYSIS, pixel_mm=pixel_mm) for pixel_mm in (0.15, 0.6))
    averaged = fine.reshape(200, 4, 200, 4).mean(axis=(1, 3))
    assert coarse.std() == pytest.approx(averaged.std(), rel=0.25)
    assert fine.std() > 1.3 * coarse.std()


def test_streaks_run_along_the_shaft() -> None:
    pattern = texture(Tissue.FEMUR_METAPHYSIS)
    along, across = (np.mean(np.diff(pattern, axis=axis) ** 2) for axis in (0, 1))
    assert along < 0.6 * across


def test_there_is_no_texture_outside_marrow() -> None:
    assert not texture(Tissue.MUSCLE).any()
