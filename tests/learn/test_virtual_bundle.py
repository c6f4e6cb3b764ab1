"""On which image grids a bundle is valid; its making is tested in ``tests/study/test_virtual_bundle.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kneeage.core.manifest import BundleManifest
from kneeage.core.volume import Volume
from kneeage.infer.abstain import grid_reasons
from kneeage.io.bundle import load_bundle
from kneeage.io.read import list_candidates, load
from kneeage.learn.virtual_bundle import GRID_MARGIN, VirtualBundleSettings, body_range, grid_limits
from kneeage.phantom.cohort.subject import plan_series

# Enough of the training subjects to come near both ends of what hospitals have, few enough to be planned in a second.
PLANNED = 600
Grid = tuple[float, float, float]


@pytest.fixture(scope="module")
def grids() -> list[Grid]:
    """Width, pixel and distance of slices of training series, in mm."""
    people = VirtualBundleSettings().people()["training"][:PLANNED]
    planned = [plan_series(person.seed, person.hospital, person.imaging) for person in people]
    return [(series.pixels * series.pixel_mm, series.pixel_mm, series.spacing_mm) for series in planned]


@pytest.fixture(scope="module")
def manifest(grids: list[Grid]) -> BundleManifest:
    """A bundle that was trained on them."""
    facts = [dict(zip(("field_of_view_mm", "pixel_mm", "slice_spacing_mm"), grid, strict=True)) for grid in grids]
    return load_bundle().manifest.model_copy(update=grid_limits(facts))


def outermost(grids: list[Grid]) -> set[Grid]:
    """The grids at the ends of each measure."""
    return {chosen(grids, key=lambda grid: grid[place]) for chosen in (min, max) for place in range(3)}


def refused(manifest: BundleManifest, grid: Grid) -> bool:
    """Whether a coronal series of square slices is refused."""
    width, pixel, spacing = grid
    pixels = round(width / pixel)
    affine = np.array([[-pixel, 0, 0, 0], [0, 0, spacing, 0], [0, -pixel, 0, 0], [0, 0, 0, 1]])
    series = Volume(np.broadcast_to(np.float32(0), (1, pixels, pixels, 20)), affine)
    return bool(grid_reasons(series, manifest))


def test_limits_are_the_ends_of_the_training_series_widened() -> None:
    one, other = ({"field_of_view_mm": 20 * n, "pixel_mm": n / 10, "slice_spacing_mm": n} for n in (3.0, 4.0))
    found = grid_limits([other, one, other])
    assert found["slice_spacing_mm"] == pytest.approx((3 / GRID_MARGIN, 4 * GRID_MARGIN))
    assert found["pixel_mm"] == pytest.approx((0.3 / GRID_MARGIN, 0.4 * GRID_MARGIN))
    assert found["field_of_view_mm"] == pytest.approx((60 / GRID_MARGIN, 80 * GRID_MARGIN))


def test_bodies_are_those_of_the_training_subjects() -> None:
    bodies = [(120.0, 20.0), (190.0, 60.0), (160.0, 90.0)]
    found = body_range([{"height_cm": height, "weight_kg": weight} for height, weight in bodies])
    assert (found.height_cm, found.weight_kg) == ((120, 190), (20, 90))
    assert found.body_mass_index == pytest.approx((20 / 1.44, 90 / 2.56))
    assert not any(found.outside(*body) for body in bodies)


@pytest.mark.parametrize(
    "grid",
    [
        (160.0, 0.3125, 3.8),
        (120.0, 0.2, 2.5),
        (200.0, 0.7, 5.0),
        (140.0, 0.55, 3.0),
        (179.2, 0.7, 4.4),
    ],
)
def test_usual_coronal_knees_are_let_in(manifest: BundleManifest, grid: Grid) -> None:
    assert not refused(manifest, grid)


@pytest.mark.parametrize(
    "grid",
    [
        (300.0, 0.6, 4.0),
        (90.0, 0.35, 3.0),
        (160.0, 1.25, 4.0),
        (160.0, 0.5, 0.8),
        (160.0, 0.5, 8.0),
    ],
)
def test_foreign_grids_are_refused(manifest: BundleManifest, grid: Grid) -> None:
    assert refused(manifest, grid)


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize("in_plane", [True, False])
def test_a_header_of_half_or_double_size_is_refused(
    manifest: BundleManifest, grids: list[Grid], factor: float, in_plane: bool
) -> None:
    scales = (factor, factor, 1.0) if in_plane else (1.0, 1.0, factor)
    for width, pixel, spacing in outermost(grids):
        assert refused(manifest, (width * scales[0], pixel * scales[1], spacing * scales[2]))


@pytest.mark.parametrize(
    "series", ["knee_t1_coronal_philips", "knee_t2_sagittal_philips", "knee_multiecho_sagittal_ge"]
)
def test_real_series_are_let_in(manifest: BundleManifest, realdata: Path, series: str) -> None:
    found = load(realdata / series, series=list_candidates(realdata / series)[0].key)
    assert grid_reasons(found.volume, manifest.model_copy(update={"plane": found.plane})) == []


def test_every_training_series_is_let_in(manifest: BundleManifest, grids: list[Grid]) -> None:
    assert not any(refused(manifest, grid) for grid in outermost(grids))
