"""Find the slices through the plates' sites and cut the region that the age network sees."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import DISTAL_FEMUR, PLATE_SITES, PROXIMAL_TIBIA, PlateSite
from kneeage.core.errors import GeometryError
from kneeage.core.manifest import AgeStage
from kneeage.core.volume import Volume
from kneeage.infer.columns import SiteColumns, site_columns
from kneeage.infer.slices import to_slices

# A slice shows a site when it shows at least this share of the site's largest width. Source: ours; it leaves out the
# margins, where a thick slice mixes bone with soft tissue and two narrow condyles replace the one plate.
MIN_WIDTH_SHARE = 0.5
# Where fewer slices than the first number show so much of both sites, those that show at least this share of both count
# too: in children the femoral site lies in front of the tibial one, and an oblique stack hardly meets both. Source:
# ours; of 42 virtual knees two had fewer than three slices that show half of both sites, and none a quarter.
FEW_SLICES, WIDE_SHARE = 4, 0.25
# The least width of a site, well under the 50 to 80 mm of a real one. Source: ours.
MIN_WIDTH_MM = 15.0
# The least volume of a bone: a tenth of what one 3 mm slice through a knee shows of it. Source: ours.
MIN_BONE_MM3 = 2000.0
# Voxels by which a middle may miss a tie and still count as one. Source: ours; far above what NIfTI's float32 affines
# move a place by, far below an eighth, the least that middles differ by.
_TIE = 0.01


@dataclass(frozen=True)
class SiteSeen:
    """What is seen of one plate's site.

    Args:
        bone_seen: Whether the bone was labelled at all.
        found: Whether the site was seen, open or closed.
        slices: Indices along K of the slices that show a fair share of its width.
        centre_mm: World position of its middle; None when it was not found.
        width_mm: Its largest width within one slice.
        margin_slices: Indices of the slices that show at least a small share of its width; ``slices`` among them.
        columns: Where it is column by column, so that nobody need look again; None where that is not kept.
    """

    bone_seen: bool
    found: bool
    slices: tuple[int, ...]
    centre_mm: tuple[float, float, float] | None
    width_mm: float
    margin_slices: tuple[int, ...] = ()
    columns: SiteColumns | None = field(default=None, repr=False, compare=False)

    def columns_on(self, labels: Volume, site: PlateSite) -> SiteColumns:
        """Give the site column by column, on the labels that it was found on."""
        return self.columns or site_columns(labels, site)


@dataclass(frozen=True)
class SitesSeen:
    """What is seen of both plates' sites."""

    distal_femur: SiteSeen
    proximal_tibia: SiteSeen

    def of(self, site: PlateSite) -> SiteSeen:
        """Give what is seen of one plate's site."""
        return {DISTAL_FEMUR.name: self.distal_femur, PROXIMAL_TIBIA.name: self.proximal_tibia}[site.name]

    @property
    def both_found(self) -> bool:
        """Whether both sites were seen."""
        return self.distal_femur.found and self.proximal_tibia.found

    @property
    def common_slices(self) -> tuple[int, ...]:
        """Slices that show both sites, in order: the only ones the age network sees."""
        common = set(self.distal_femur.slices) & set(self.proximal_tibia.slices)
        if len(common) < FEW_SLICES:
            common |= set(self.distal_femur.margin_slices) & set(self.proximal_tibia.margin_slices)
        return tuple(sorted(common))


def find_sites(labels: Volume) -> SitesSeen:
    """Find both plates' sites.

    Args:
        labels: Label values, shape (1, I, J, K), in a canonical orientation whose rows run down the leg.

    Returns:
        What is seen of each site.

    Raises:
        GeometryError: The rows do not run down the leg.
    """
    femur, tibia = (_find_site(labels, site) for site in PLATE_SITES)
    return SitesSeen(femur, tibia)


def chosen_slices(sites: SitesSeen, max_slices: int) -> tuple[int, ...]:
    """Choose at most ``max_slices`` of the slices through both sites, evenly spread."""
    common = sites.common_slices
    picks = np.linspace(0, len(common) - 1, min(max_slices, len(common)))
    return tuple(common[round(float(pick))] for pick in picks)


def age_regions(image: Volume, plate_probability: Volume, sites: SitesSeen, stage: AgeStage) -> NDArray[np.float32]:
    """Cut the region around both sites out of the slices that show them.

    All slices share one centre, the midpoint between both sites. What lies outside the image is filled with the
    image's least value and no plate.

    Args:
        image: Prepared image, shape (1, I, J, K).
        plate_probability: Probabilities of open plate and scar on the same grid, shape (2, I, J, K).
        sites: What ``find_sites`` found on this grid.
        stage: Region shape and number of slices.

    Returns:
        Float32 (S, 3, rows, columns), with S between 0 and ``stage.max_slices``.

    Raises:
        GeometryError: A site was not found, so there is no centre.
    """
    indices = chosen_slices(sites, stage.max_slices)
    corner = region_corner(image, sites, stage)
    grey = _cut(to_slices(image.array, indices), corner, stage.region_shape, float(image.array.min()))
    plates = _cut(to_slices(plate_probability.array, indices), corner, stage.region_shape, 0.0)
    return np.concatenate([grey, plates], axis=1).astype(np.float32)


def region_corner(image: Volume, sites: SitesSeen, stage: AgeStage) -> tuple[int, int]:
    """Give the first row and column of the region around both sites; either may lie outside the image.

    Raises:
        GeometryError: A site was not found, so there is no centre.
    """
    row, column = _centre(image, sites)
    return row - stage.region_shape[0] // 2, column - stage.region_shape[1] // 2


def _find_site(labels: Volume, site: PlateSite) -> SiteSeen:
    """Find one plate's site."""
    bone_seen = _volume_mm3(labels, site) >= MIN_BONE_MM3
    columns = site_columns(labels, site)
    widths = np.count_nonzero(columns.seen, axis=0) * labels.spacing[0]
    if not bone_seen or widths.max() < MIN_WIDTH_MM:
        return SiteSeen(bone_seen, False, (), None, float(widths.max()))
    slices, margin = (
        _run_through(widths >= share * widths.max(), int(widths.argmax())) for share in (MIN_WIDTH_SHARE, WIDE_SHARE)
    )
    seen = np.zeros_like(columns.seen)
    seen[:, slices] = columns.seen[:, slices]
    centre = _middle(labels, seen, columns.centre_row)
    return SiteSeen(True, True, _indices(slices), centre, float(widths.max()), _indices(margin), columns)


def _indices(slices: NDArray[np.intp]) -> tuple[int, ...]:
    """Plain numbers."""
    return tuple(int(index) for index in slices)


def _run_through(wide: NDArray[np.bool_], index: int) -> NDArray[np.intp]:
    """Give the unbroken run of wide slices around one of them: a site does not come back further on."""
    gaps = np.flatnonzero(~wide)
    first = int(gaps[gaps < index].max(initial=-1)) + 1
    last = int(gaps[gaps > index].min(initial=len(wide)))
    return np.arange(first, last)


def _volume_mm3(labels: Volume, site: PlateSite) -> float:
    """Measure the labelled volume of the bone around a site in mm3."""
    voxels = np.count_nonzero(np.isin(labels.array, site.bone))
    return float(voxels * abs(np.linalg.det(labels.affine[:3, :3])))


def _middle(labels: Volume, seen: NDArray[np.bool_], centre_row: NDArray[np.float64]) -> tuple[float, float, float]:
    """Give the world position of a site's middle: halfway across, at the median row, of the median slice."""
    column, slice_index = np.nonzero(seen)
    across = (float(column.min()) + float(column.max())) / 2
    x, y, z = labels.world((across, np.median(centre_row[seen]), np.median(slice_index)))
    return (float(x), float(y), float(z))


def _centre(image: Volume, sites: SitesSeen) -> tuple[int, int]:
    """Give row and column of the midpoint between both sites, rounded to a voxel."""
    centres = [sites.of(site).centre_mm for site in PLATE_SITES]
    if None in centres:
        raise GeometryError("the region needs both plates' sites; at least one was not found in the labels")
    column, row, _ = image.index(np.mean(np.array(centres, dtype=np.float64), axis=0))
    return _nearest_voxel(row), _nearest_voxel(column)


def _nearest_voxel(place: np.float64) -> int:
    """Round half up: middles lie on quarters of a voxel, and a file's last digits must not choose between two."""
    return math.floor(float(place) + 0.5 + _TIE)


def _cut(
    stack: NDArray[np.generic], starts: tuple[int, int], shape: tuple[int, int], fill: float
) -> NDArray[np.generic]:
    """Cut rows and columns from a corner on; (S, C, J, I) to (S, C, rows, columns)."""
    out = np.full((*stack.shape[:2], *shape), fill, dtype=stack.dtype)
    inner, outer = zip(*(_overlap(*job) for job in zip(starts, shape, stack.shape[2:], strict=True)), strict=True)
    out[:, :, inner[0], inner[1]] = stack[:, :, outer[0], outer[1]]
    return out


def _overlap(start: int, size: int, available: int) -> tuple[slice, slice]:
    """Say where a window of ``size`` meets an axis of ``available`` voxels: in the window, and on the axis."""
    low = min(max(start, 0), available)
    high = max(min(start + size, available), low)
    return slice(low - start, high - start), slice(low, high)
